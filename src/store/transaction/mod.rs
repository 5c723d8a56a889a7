//! What the operations of a store do inside a transaction: load rows, ask the rules, write rows.
//!
//! Written once for every store: a store brings the [`Rows`] of its open transaction. What differs
//! from store to store (claims, leases of dead owners, streams, lists) is the store's own.

mod events;
mod imports;
mod queue;
mod releases;
mod resumes;
mod rows;

pub use events::{answer_unchanged, stamp, unchanged};
pub use resumes::{earlier_resume, hook_of_step};
pub use rows::{Arrival, LeasedRow, Rows, StoppedRow};

use super::CommitNews;
use crate::entropy::Entropy;
use crate::error::WorldError;

/// The time of a transaction, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The host's time: when events happen.
    pub ms: i64,
    /// The queue's time, by which messages are due: it never goes back.
    pub queue_ms: i64,
}

/// An open transaction, and what its operations need beside rows.
pub struct Transaction<'a, R> {
    /// The rows.
    pub rows: &'a R,
    /// When it happens.
    pub now: Now,
    /// Draws names.
    pub entropy: &'a Entropy,
    /// Where new hooks are made; see [`Hook::environment`](crate::domain::hook::Hook::environment).
    pub environment: Option<&'a str>,
    /// Begins the queue names of flow messages.
    pub workflow_prefix: &'a str,
    /// The release of this process, if it has one.
    pub release: Option<&'a str>,
    /// Lists the names of the living workers. It reads more than rows, and few operations need it.
    pub living_workers: &'a dyn Fn() -> Result<Vec<String>, WorldError>,
    /// What the commit will make visible.
    pub news: &'a mut CommitNews,
}
