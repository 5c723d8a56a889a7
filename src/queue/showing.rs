//! Shows other processes the faults that prevent this one's deliveries.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::asking::every;
use super::dispatcher::Delivering;
use super::pulse::Duty;

/// The interval at which new faults are looked for.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// The shown part of the pulse, on the dispatcher's thread.
pub(super) struct Showing {
    delivering: Rc<Delivering>,
    /// The number of pulse changes that others can already see.
    shown_changes: Cell<Option<u64>>,
}

impl Showing {
    pub(super) fn of(delivering: Rc<Delivering>) -> Rc<Self> {
        Rc::new(Self { delivering, shown_changes: Cell::new(None) })
    }

    /// Shows new changes, for ever.
    pub(super) async fn keep_shown(self: Rc<Self>) {
        every(SHOW_EVERY, &self.delivering, Duty::Dispatch, async || self.show()).await;
    }

    /// Shows new changes.
    pub(super) fn show(&self) {
        let changes = self.delivering.pulse.changes();
        if self.shown_changes.get() == Some(changes) {
            return;
        }
        let report = self.delivering.pulse.report();
        // There is no lock file until the next claim makes one, so nothing can be shown.
        if self.delivering.store.show_worker(&report) {
            self.shown_changes.set(Some(changes));
        }
    }
}
