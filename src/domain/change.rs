//! Row-level effects of a decision: what a store writes, in this order, in one transaction.

use super::event::Event;
use super::hook::Hook;
use super::id::{CorrelationId, RunId};
use super::message::WakeUp;
use super::retention::Keeping;
use super::run::Run;
use super::step::Step;
use super::wait::Wait;

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new run.
    InsertRun(Run),
    /// The run as it is now.
    UpdateRun(Run),
    /// One more event at the end of its run's log, and whether its payload will be dropped some day.
    AppendEvent(Event, Keeping),
    /// A new step.
    InsertStep(Step),
    /// The step as it is now.
    UpdateStep(Step),
    /// A new hook; its token is taken from now on.
    InsertHook(Hook),
    /// Ends the hook and frees its token.
    DisposeHook {
        /// The run.
        run_id: RunId,
        /// The hook.
        hook_id: CorrelationId,
        /// The time of the disposal.
        at_ms: i64,
    },
    /// A new wait.
    InsertWait(Wait),
    /// The wait as it is now.
    UpdateWait(Wait),
    /// The run has ended. Deletes its hooks, which frees their tokens, its waits and its sleeping
    /// wake-ups. A hook whose token is retained longer stays, and outlives the run.
    FreeRun(RunId),
    /// Drops every value of the run so that nobody can read it again, also not in the files: the payloads
    /// of its events, the metadata of its hooks, the contents of its streams, which it closes, and its
    /// waiting messages.
    DropValues(RunId),
    /// Enqueues a wake-up of the run in the same transaction (the outbox).
    Enqueue(WakeUp),
}
