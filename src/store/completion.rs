//! The outcome of an operation: settled exactly once, with a value or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::error::WorldError;

/// Receives the outcome of one operation. Dropping it settles with `Closed`, so nobody waits for ever
/// for a thread that has ended.
pub struct Completion<T>(Option<Settle<T>>);

type Settle<T> = Box<dyn FnOnce(Result<T, WorldError>) + Send>;

impl<T> Completion<T> {
    /// Calls `settle` with the outcome, on the thread that produces it.
    pub fn new(settle: impl FnOnce(Result<T, WorldError>) + Send + 'static) -> Self {
        Self(Some(Box::new(settle)))
    }

    /// A completion whose outcome is ignored.
    pub fn ignored() -> Self {
        Self(None)
    }

    /// A completion and the receiver of its outcome, for Rust callers.
    pub fn channel() -> (Self, mpsc::Receiver<Result<T, WorldError>>)
    where
        T: Send + 'static,
    {
        let (sender, receiver) = mpsc::channel();
        // If the receiver is dropped, nobody wants the outcome.
        (Self::new(move |outcome| drop(sender.send(outcome))), receiver)
    }

    /// Settles.
    pub fn settle(mut self, outcome: Result<T, WorldError>) {
        if let Some(settle) = self.0.take() {
            tell(settle, outcome);
        }
    }
}

/// Calls `settle`. The calling thread serves others too, so a panic of `settle` must not end it.
fn tell<T>(settle: Settle<T>, outcome: Result<T, WorldError>) {
    // The panic has been printed, and the values that `settle` held are dropped.
    let _ = catch_unwind(AssertUnwindSafe(|| settle(outcome)));
}

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        if let Some(settle) = self.0.take() {
            tell(settle, Err(WorldError::closed()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_dropped_completion_settles_with_closed() {
        let (done, outcome) = Completion::<()>::channel();
        drop(done);
        assert_eq!(outcome.recv().unwrap().unwrap_err().kind, ErrorKind::Closed);
    }

    #[test]
    fn a_caller_that_panics_does_not_harm_the_thread_that_tells_it() {
        Completion::<()>::new(|_| panic!("broken")).settle(Ok(()));
        drop(Completion::<()>::new(|_| panic!("broken")));
    }

    #[test]
    fn a_completion_settles_once() {
        let (done, outcome) = Completion::channel();
        done.settle(Ok(1));
        assert_eq!(outcome.recv().unwrap(), Ok(1));
        assert!(outcome.recv().is_err());
    }
}
