//! What the writer is given to do, one piece at a time.

use super::backlog::Waiting;
use super::transaction::Tx;
use crate::error::WorldError;
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
    /// Runs inside the transaction. `Err` is a fault of the storage, for which the whole batch is
    /// rolled back; a refusal is an outcome.
    fn execute(&mut self, tx: &mut Tx<'_>) -> Result<(), WorldError>;
    /// Tells the caller: the outcome, or the fault that prevented it.
    fn settle(self: Box<Self>, fault: Option<&WorldError>);
}

/// What a caller has submitted.
pub(super) struct Submitted<T, W> {
    pub(super) durability: Durability,
    pub(super) work: W,
    pub(super) outcome: Option<Result<T, WorldError>>,
    pub(super) waiting: Option<Waiting>,
    pub(super) done: Completion<T>,
}

impl<T, W> Operation for Submitted<T, W>
where
    T: Send,
    W: FnMut(&mut Tx<'_>) -> Result<T, WorldError> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn execute(&mut self, tx: &mut Tx<'_>) -> Result<(), WorldError> {
        match (self.work)(tx) {
            Err(error) if error.kind.is_storage_fault() => Err(error),
            outcome => {
                self.outcome = Some(outcome);
                Ok(())
            }
        }
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
