//! The end of an operation: settled exactly once, with a value or an error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use crate::error::WorldError;

/// Where the outcome of one operation goes. Dropping it settles with `Closed`, so nobody waits for
/// ever on a thread that has ended.
pub struct Completion<T>(Option<Settle<T>>);

type Settle<T> = Box<dyn FnOnce(Result<T, WorldError>) + Send>;

impl<T> Completion<T> {
    /// Calls `settle` with the outcome, on the thread that has it.
    pub fn new(settle: impl FnOnce(Result<T, WorldError>) + Send + 'static) -> Self {
        Self(Some(Box::new(settle)))
    }

    /// A completion that nobody listens to.
    pub fn ignored() -> Self {
        Self(None)
    }

    /// A completion and where its outcome can be waited for; for Rust callers.
    pub fn channel() -> (Self, mpsc::Receiver<Result<T, WorldError>>)
    where
        T: Send + 'static,
    {
        let (sender, receiver) = mpsc::channel();
        // The receiver may have gone: then nobody wants the outcome.
        (Self::new(move |outcome| drop(sender.send(outcome))), receiver)
    }

    /// Settles.
    pub fn settle(mut self, outcome: Result<T, WorldError>) {
        if let Some(settle) = self.0.take() {
            tell(settle, outcome);
        }
    }
}

/// The thread that tells serves others too: a caller that panics must not end it.
fn tell<T>(settle: Settle<T>, outcome: Result<T, WorldError>) {
    // The panic has been printed, and what the caller held has been dropped.
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
