//! The delivery engine: it knows the store's operations and no SQL.
//!
//! [`dispatcher`] claims messages and keeps a bounded number in flight, [`delivery`] hands one over,
//! [`http`] does so over the network, `app` knows where, and `readiness` whether the app is there.
//! `leases` extends and frees leases, and `settling` tells the queue how a delivery has ended. `search`
//! looks for forgotten runs. [`purpose`] reads what a message is for, [`admission`] lets a delivery over
//! HTTP in once, [`pulse`] knows whether anything delivers and what is in the way, and `showing` shows
//! that to other processes.

pub mod admission;
mod app;
mod asking;
pub mod delivery;
pub mod dispatcher;
pub mod http;
mod in_flight;
mod leases;
pub mod listening;
pub mod pulse;
pub mod purpose;
mod readiness;
mod search;
mod settling;
mod showing;
pub mod wake_credits;
mod work;
