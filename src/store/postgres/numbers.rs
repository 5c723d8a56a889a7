//! The numbers of messages.

use std::cell::Cell;

use super::messages;

/// Numbers for messages, of blocks that nobody else has.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    next: Cell<i64>,
    end: Cell<i64>,
    /// The first one of the block that comes next.
    spare: Cell<Option<i64>>,
}

impl Numbers {
    /// Whether so many messages may need another block.
    pub(super) fn may_end_within(&self, count: usize) -> bool {
        let left = usize::try_from(self.end.get() - self.next.get()).unwrap_or_default();
        self.spare.get().is_none() && left < count
    }

    /// Notes a block for later.
    pub(super) fn add_block(&self, first: i64) {
        self.spare.set(Some(first));
    }

    /// The number that is taken next, if there is one.
    pub(super) fn next(&self) -> Option<i64> {
        if self.next.get() >= self.end.get() {
            let first = self.spare.take()?;
            self.next.set(first);
            self.end.set(first + messages::NUMBERS_OF_BLOCK);
        }
        Some(self.next.get())
    }

    /// Takes it.
    pub(super) fn take(&self) -> Option<i64> {
        let number = self.next()?;
        self.next.set(number + 1);
        Some(number)
    }
}
