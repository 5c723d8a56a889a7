//! What the writer is given to do, one piece at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::backlog::Waiting;
use super::transaction::Tx;
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;

/// Whether losing a commit to a power cut would lose something acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// It carries facts: sync.
    Durable,
    /// It carries leases and acks: losing it only means another delivery.
    Volatile,
}

/// One operation in the writer's hands.
pub(super) trait Operation: Send {
    /// What losing it would lose.
    fn durability(&self) -> Durability;
    /// Runs inside the transaction, once.
    fn execute(&mut self, tx: &mut Tx<'_>);
    /// Why it was refused or failed; then nothing that it has written may stay.
    fn failure(&self) -> Option<&WorldError>;
    /// Tells the caller: the outcome, or the fault that prevented it.
    fn settle(self: Box<Self>, fault: Option<&WorldError>);
}

/// What a caller has submitted.
pub(super) struct Submitted<T, W> {
    pub(super) durability: Durability,
    /// `None` once it has run.
    pub(super) work: Option<W>,
    pub(super) outcome: Option<Result<T, WorldError>>,
    pub(super) waiting: Option<Waiting>,
    pub(super) done: Completion<T>,
}

impl<T, W> Operation for Submitted<T, W>
where
    T: Send,
    W: FnOnce(&mut Tx<'_>) -> Result<T, WorldError> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn execute(&mut self, tx: &mut Tx<'_>) {
        let Some(work) = self.work.take() else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| work(tx)));
        self.outcome = Some(outcome.unwrap_or_else(|panic| Err(defect(panic.as_ref()))));
    }

    fn failure(&self) -> Option<&WorldError> {
        self.outcome.as_ref()?.as_ref().err()
    }

    fn settle(self: Box<Self>, fault: Option<&WorldError>) {
        let outcome = match fault {
            Some(fault) => Err(fault.clone()),
            None => self.outcome.unwrap_or_else(|| Err(WorldError::closed())),
        };
        // First: whoever is told may come with the next value at once.
        drop(self.waiting);
        self.done.settle(outcome);
    }
}

fn defect(panic: &(dyn std::any::Any + Send)) -> WorldError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    WorldError::new(
        ErrorKind::Internal,
        format!(
            "a defect of hookline stopped this operation, and nothing was written; please report it: {text}"
        ),
    )
}
