//! The functions that users call in their own transactions: `resume_hook` and `start`.
#![cfg(target_os = "linux")]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod agreement;
mod caller;
#[path = "../kit/mod.rs"]
mod kit;
mod rules;
