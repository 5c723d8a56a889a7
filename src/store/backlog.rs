//! How many bytes of callers' values wait to be written, and how many may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than a disk that works leaves waiting, and less than a server lacks.
const WAITING_BYTES_MAX: usize = 128 << 20;

/// The bytes that wait.
#[derive(Default)]
pub struct Backlog(Arc<AtomicUsize>);

/// A part of the backlog; gone when it is dropped.
pub struct Waiting {
    bytes: usize,
    backlog: Arc<AtomicUsize>,
}

impl Backlog {
    /// Adds a value; `None` when there is no room. Alone, a value of any size has room.
    pub fn add(&self, bytes: usize) -> Option<Waiting> {
        let added = |waiting: usize| {
            let sum = waiting.saturating_add(bytes);
            (waiting == 0 || sum <= WAITING_BYTES_MAX).then_some(sum)
        };
        let added = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
        added.ok().map(|_| Waiting { bytes, backlog: Arc::clone(&self.0) })
    }

    /// Whether no value waits.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.backlog.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_room_until_it_is_full_and_again_when_one_has_gone() {
        let backlog = Backlog::default();
        let first = backlog.add(WAITING_BYTES_MAX - 10);
        let second = backlog.add(10);
        assert!(first.is_some() && second.is_some());
        assert!(backlog.add(1).is_none());
        assert!(backlog.add(0).is_some());
        drop(second);
        assert!(backlog.add(10).is_some());
    }

    #[test]
    fn a_value_that_is_larger_than_all_room_is_written_alone() {
        let backlog = Backlog::default();
        let large = backlog.add(2 * WAITING_BYTES_MAX);
        assert!(large.is_some());
        assert!(backlog.add(1).is_none());
        drop(large);
        assert!(backlog.add(1).is_some());
    }
}
