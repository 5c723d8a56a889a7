//! The delivery engine: it knows the store's operations and no SQL.
//!
//! [`dispatcher`] claims messages and keeps a bounded number in flight, [`delivery`] hands one over,
//! [`http`] does so over the network and `app` knows where, [`backoff`] says when a failed one comes
//! again, [`purpose`] reads what a message is for, [`admission`] lets a delivery over HTTP in once, and
//! [`pulse`] knows whether anything delivers, and what stands in the way.

pub mod admission;
mod app;
pub mod backoff;
pub mod delivery;
pub mod dispatcher;
pub mod http;
mod in_flight;
pub mod listening;
pub mod pulse;
pub mod purpose;
pub mod wake_credits;
mod work;
