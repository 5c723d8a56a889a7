//! Lets other processes see what is in the way of this one's deliveries.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::asking::every;
use super::dispatcher::Delivering;
use super::pulse::Duty;

/// How often it is looked whether there is something new to show.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// What others can see of the pulse, on the dispatcher's thread.
pub(super) struct Showing {
    delivering: Rc<Delivering>,
    /// The changes of the pulse that others can see already.
    shown_changes: Cell<Option<u64>>,
}

impl Showing {
    pub(super) fn of(delivering: Rc<Delivering>) -> Rc<Self> {
        Rc::new(Self { delivering, shown_changes: Cell::new(None) })
    }

    /// Shows what is new, for ever.
    pub(super) async fn keep_shown(self: Rc<Self>) {
        every(SHOW_EVERY, &self.delivering, Duty::Dispatch, async || self.show()).await;
    }

    /// Shows what is new.
    pub(super) fn show(&self) {
        let changes = self.delivering.pulse.changes();
        if self.shown_changes.get() == Some(changes) {
            return;
        }
        let report = self.delivering.pulse.report();
        // It cannot be shown while there is no lock file, which the next claim makes.
        if self.delivering.store.show_worker(&report) {
            self.shown_changes.set(Some(changes));
        }
    }
}
