//! The delivery engine. It uses the store's operations and contains no SQL.
//!
//! [`dispatcher`] claims messages and keeps a bounded number in flight. [`delivery`] hands one over to
//! a handler, and [`http`] does so over the network. `address` knows where the app may be, `app` finds it
//! there, by `tls` if need be, and `readiness` asks whether it is ready. [`own_server`] asks this
//! process's own server whether it is the app. `leases` extends and frees leases, and `settling` writes how a
//! delivery has ended. `search` looks for forgotten runs. [`purpose`] reads the purpose of a message.
//! [`admission`] admits each delivery over HTTP once. [`pulse`] keeps the faults that
//! prevent deliveries, `reach` keeps what is known of their way, `silence` says why an app does not answer, and
//! `showing` shows all this to other processes, and [`living`] reads what they offer to run.

mod address;
pub mod admission;
mod app;
mod asking;
pub mod delivery;
pub mod dispatcher;
pub mod http;
mod in_flight;
mod leases;
mod listening;
pub mod living;
pub mod own_server;
pub mod pulse;
pub mod purpose;
mod reach;
mod readiness;
mod search;
mod settling;
mod showing;
mod silence;
mod tls;
pub mod wake_credits;
mod work;
