//! The durable engine behind the npm package `hookline`.
//!
//! - [`domain`]: runs and the events that they allow. Pure.
//! - [`store`]: the database operations that a World needs; [`store::sqlite`] implements them.
//! - [`queue`]: delivers messages. [`board`]: waiters for chunks, ends of runs and hooks.
//! - [`world`]: one engine for each database of the process, shared through `sharing`; [`config`] holds
//!   its settings.
//! - [`moving`]: the move of a database to another place.
//! - [`test_controls`]: the controls that users' tests have over their World.
//! - [`crypto`]: the key ring, and the keys and seals that are derived from it.
//! - [`binding`]: the interface to JavaScript. No rules, only conversion.
//! - [`error`], [`clock`], [`entropy`], [`lock`], `host`: shared by every layer above the domain.

// The limits are in clippy.toml.
#![warn(clippy::disallowed_methods, clippy::disallowed_types, clippy::too_many_lines)]

pub mod binding;
pub mod board;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod database;
pub mod domain;
pub mod entropy;
pub mod error;
mod host;
pub mod lock;
pub mod moving;
pub mod queue;
mod sharing;
pub mod store;
pub mod test_controls;
pub mod world;
