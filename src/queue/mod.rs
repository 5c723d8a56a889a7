//! The delivery engine. It uses the store's operations and contains no SQL.
//!
//! [`dispatcher`] claims messages and keeps a bounded number in flight. [`delivery`] hands one over to
//! a handler, and [`http`] does so over the network. `app` finds the app's address, and `readiness`
//! asks whether the app is ready. [`own_server`] asks this process's own server whether it is the app.
//! `leases` extends and frees leases, and `settling` writes how a
//! delivery has ended. `search` looks for forgotten runs. [`purpose`] reads the purpose of a message.
//! [`admission`] admits each delivery over HTTP once. [`pulse`] keeps the faults that
//! prevent deliveries, `reach` keeps what is known of their way, `silence` says why an app does not answer, and
//! `showing` shows all this to other processes.

pub mod admission;
mod app;
mod asking;
pub mod delivery;
pub mod dispatcher;
pub mod http;
mod in_flight;
mod leases;
pub mod listening;
pub mod own_server;
pub mod pulse;
pub mod purpose;
mod reach;
mod readiness;
mod search;
mod settling;
mod showing;
mod silence;
pub mod wake_credits;
mod work;
