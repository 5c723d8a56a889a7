//! What operations of a store are asked, where that takes more than an id.

use crate::domain::id::{CorrelationId, HookToken, RunId};
use crate::domain::page::PageRequest;
use crate::domain::queue::offer::Offer;
use crate::domain::run::RunStatus;

/// Filters of the list of runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunQuery {
    /// Only runs of this workflow.
    pub workflow_name: Option<String>,
    /// Only runs in one of these statuses.
    pub statuses: Option<Vec<RunStatus>>,
    /// Which part.
    pub page: PageRequest,
    /// Whether payloads are wanted.
    pub resolve_data: bool,
}

/// Filters of the list of events: of one run, of one correlation id, or of both.
#[derive(Debug, Clone, PartialEq)]
pub struct EventQuery {
    /// Only events of this run.
    pub run_id: Option<RunId>,
    /// Only events with this correlation id.
    pub correlation_id: Option<CorrelationId>,
    /// Which part.
    pub page: PageRequest,
    /// Whether payloads are wanted.
    pub resolve_data: bool,
}

/// What a worker asks of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRequest {
    /// At most this many messages.
    pub limit: usize,
    /// Only messages that this covers.
    pub offer: Offer,
    /// Who claims.
    pub lease_owner: String,
    /// How long the lease holds unless it is extended.
    pub lease_ms: i64,
}

/// A place in the list of active runs, by which a search for forgotten ones goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePlace {
    /// The status of the last run that was looked at.
    pub status: RunStatus,
    /// Its workflow.
    pub workflow_name: String,
    /// That run.
    pub run_id: RunId,
}

/// Which part of a stream is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StreamRead {
    /// The stream.
    pub name: String,
    /// The index of the first chunk; a negative one counts from the end.
    pub from: i64,
    /// At most this many chunks.
    pub limit: usize,
}

/// A payload of plain data for the hook with a token. The SDK serialises such a payload in the same way for
/// every hook that [takes](crate::domain::hook::takes_plain_payload) it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainResume {
    /// The token.
    pub token: HookToken,
    /// The payload, serialised.
    pub payload: Vec<u8>,
}
