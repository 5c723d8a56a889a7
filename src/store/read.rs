//! The outcome of a point read: available now or later.

use super::Completion;
use crate::error::WorldError;

/// The reply of a look-up by key. A store that has its rows at hand replies at once, at the cost of a
/// function call. A store behind a network replies later.
pub enum Read<T> {
    /// The outcome.
    Now(Result<T, WorldError>),
    /// Starts the read, and settles with its outcome.
    Later(Box<dyn FnOnce(Completion<T>) + Send>),
}

impl<T: 'static> Read<T> {
    /// Applies `change` to the outcome.
    pub fn map<U: 'static>(
        self,
        change: impl FnOnce(Result<T, WorldError>) -> Result<U, WorldError> + Send + 'static,
    ) -> Read<U> {
        match self {
            Read::Now(outcome) => Read::Now(change(outcome)),
            Read::Later(begin) => Read::Later(Box::new(move |done: Completion<U>| {
                begin(Completion::new(move |outcome| done.settle(change(outcome))));
            })),
        }
    }

    /// Settles `done` with the outcome, now or later.
    pub fn settle(self, done: Completion<T>) {
        match self {
            Read::Now(outcome) => done.settle(outcome),
            Read::Later(begin) => begin(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_comes_later_is_changed_and_told_like_one_that_is_there() {
        let later: Read<i64> = Read::Later(Box::new(|done| done.settle(Ok(1))));
        for read in [Read::Now(Ok(1)), later] {
            let (done, outcome) = Completion::channel();
            read.map(|number| number.map(|number| number + 1)).settle(done);
            assert_eq!(outcome.recv().unwrap(), Ok(2));
        }
    }
}
