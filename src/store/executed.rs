//! An operation between its work and its commit.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Completion;
use super::operation::Operation;
use crate::error::{ErrorKind, WorldError};

/// Whether an operation keeps what it needs to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Its transaction happens once, whatever comes of it.
    Never,
    /// Its transaction may fail because of another process, and is then made again.
    May,
}

impl Repeat {
    /// Runs the work on the request. `again` makes the operation of the same request.
    pub(super) fn run<W: Clone + Send + 'static, T: Send + 'static>(
        self,
        request: W,
        done: Completion<T>,
        again: fn(W, Completion<T>) -> Operation,
        work: impl FnOnce(W) -> Result<T, WorldError>,
    ) -> Executed {
        let kept = (self == Self::May).then(|| request.clone());
        let outcome = outcome_of(|| work(request));
        let failure = outcome.as_ref().err().cloned();
        let end = move |end: End| match (end, kept) {
            (End::Again, Some(request)) => Some(again(request, done)),
            (End::Again, None) => None,
            (End::Settle(fault), _) => {
                done.settle(fault.map_or(outcome, Err));
                None
            }
        };
        Executed { failure, end: Box::new(end) }
    }

    /// Runs work that is never made again.
    #[cfg(test)]
    pub(super) fn run_once<T: Send + 'static>(
        self,
        done: Completion<T>,
        work: impl FnOnce() -> Result<T, WorldError>,
    ) -> Executed {
        let outcome = outcome_of(work);
        let failure = outcome.as_ref().err().cloned();
        let end = move |end: End| {
            if let End::Settle(fault) = end {
                done.settle(fault.map_or(outcome, Err));
            }
            None
        };
        Executed { failure, end: Box::new(end) }
    }
}

/// What becomes of an operation that has run.
enum End {
    /// The caller is told the outcome, or this fault.
    Settle(Option<WorldError>),
    /// It is made again.
    Again,
}

/// An operation that has run, and whose outcome nobody knows yet: its commit comes first.
pub struct Executed {
    failure: Option<WorldError>,
    end: Box<dyn FnOnce(End) -> Option<Operation> + Send>,
}

impl Executed {
    /// Why it was refused or failed; then nothing that it has written may stay.
    pub fn failure(&self) -> Option<&WorldError> {
        self.failure.as_ref()
    }

    /// Tells the caller the outcome, or the fault that prevented it.
    pub fn settle(self, fault: Option<WorldError>) {
        (self.end)(End::Settle(fault));
    }

    /// The operation, to be made again: nothing of it has stayed. `None` for [`Repeat::Never`].
    pub fn again(self) -> Option<Operation> {
        (self.end)(End::Again)
    }
}

impl Operation {
    /// This operation as one that failed before it has run.
    pub fn not_executed(self, why: WorldError) -> Executed {
        let failure = Some(why.clone());
        let end = move |end: End| match end {
            End::Again => Some(self),
            End::Settle(fault) => {
                self.refuse(fault.unwrap_or(why));
                None
            }
        };
        Executed { failure, end: Box::new(end) }
    }
}

/// The outcome of the work. A panic is an outcome of this operation alone.
fn outcome_of<T>(work: impl FnOnce() -> Result<T, WorldError>) -> Result<T, WorldError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(defect(panic.as_ref())))
}

fn defect(panic: &(dyn Any + Send)) -> WorldError {
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
