//! The durable engine behind the npm package `hookline`.
//!
//! - [`domain`]: what a run is and which events it allows. Pure.
//! - [`store`]: the operations a World needs of its database; [`store::sqlite`] does them.
//! - [`queue`]: delivers messages. [`board`]: who waits for what: chunks, ends of runs, hooks.
//! - [`world`]: one engine for each database of the process, shared through `sharing`; [`config`] says
//!   how.
//! - [`test_controls`]: what tests of users may do to their World.
//! - [`crypto`]: the key ring, and what is derived from it and sealed under it.
//! - [`binding`]: what JavaScript sees. No rules, only conversion.
//! - [`error`], [`clock`], [`entropy`], [`lock`]: what every layer above the domain shares.

// The settings are in clippy.toml.
#![warn(clippy::disallowed_methods, clippy::disallowed_types, clippy::too_many_lines)]

pub mod binding;
pub mod board;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod entropy;
pub mod error;
pub mod lock;
pub mod queue;
mod sharing;
pub mod store;
pub mod test_controls;
pub mod world;
