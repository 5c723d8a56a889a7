//! Operations whose rows another transaction holds: perhaps a user's, in which a hook was resumed. They
//! are tried again, and others go on meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::locks_of;
use super::writer::Submitted;
use crate::store::operation::Operation;

/// How often they are tried again.
pub(super) const TRY_AGAIN_EVERY: Duration = Duration::from_millis(50);
/// For how long one is tried.
const TRY_AGAIN_FOR: Duration = Duration::from_secs(30);

/// An operation that was set aside.
pub(super) struct SetAside {
    pub(super) submitted: Submitted,
    /// The runs that it locks, as far as it names them.
    pub(super) runs: Vec<String>,
    pub(super) give_up_at: Instant,
}

/// All of them, in the order in which they came.
pub(super) struct Aside {
    waiting: VecDeque<SetAside>,
    try_again_at: Instant,
}

impl Aside {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), try_again_at: Instant::now() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// Sets an operation aside.
    pub(super) fn put(&mut self, submitted: Submitted) {
        let runs = runs_of(&submitted.operation);
        let give_up_at = Instant::now() + TRY_AGAIN_FOR;
        self.put_back(SetAside { submitted, runs, give_up_at });
    }

    /// Sets one aside again.
    pub(super) fn put_back(&mut self, again: SetAside) {
        self.waiting.push_back(again);
    }

    /// The last one that was set aside is given up at this time.
    pub(super) fn give_last_up_at(&mut self, give_up_at: Instant) {
        self.waiting.back_mut().into_iter().for_each(|last| last.give_up_at = give_up_at);
    }

    /// Takes the operations out of a batch that would wait for a run for which others wait already.
    pub(super) fn take_from(&mut self, batch: &mut Vec<Submitted>) {
        if self.is_empty() {
            return;
        }
        for submitted in std::mem::take(batch) {
            let runs = runs_of(&submitted.operation);
            match self.waiting.iter().any(|it| share(&it.runs, &runs)) {
                true => self.put(submitted),
                false => batch.push(submitted),
            }
        }
    }

    /// Takes all of them, if it is time to try again.
    pub(super) fn take_due(&mut self) -> VecDeque<SetAside> {
        if self.is_empty() || Instant::now() < self.try_again_at {
            return VecDeque::new();
        }
        self.try_again_at = Instant::now() + TRY_AGAIN_EVERY;
        std::mem::take(&mut self.waiting)
    }
}

fn runs_of(operation: &Operation) -> Vec<String> {
    let (mut runs, mut messages) = (Vec::new(), Vec::new());
    locks_of(operation, &mut runs, &mut messages);
    runs
}

/// Whether the same run is among both.
pub(super) fn share(some: &[String], others: &[String]) -> bool {
    some.iter().any(|run_id| others.contains(run_id))
}
