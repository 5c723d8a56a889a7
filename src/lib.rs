//! The durable engine behind the npm package `hookline`.
//!
//! - [`domain`]: what a run is and which events it allows. Pure.
//! - [`store`]: the operations a World needs of its database; [`store::sqlite`] does them.
//! - [`error`], [`clock`], [`entropy`]: what every layer above the domain shares.

pub mod clock;
pub mod domain;
pub mod entropy;
pub mod error;
pub mod store;
