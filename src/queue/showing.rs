//! Shows other processes what this one knows of its deliveries: the faults that prevent them, and their
//! way.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::asking::every;
use super::dispatcher::Delivering;
use super::pulse::Duty;

/// The interval at which a changed report is shown.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// The shown report, on the dispatcher's thread.
pub(super) struct Showing {
    delivering: Rc<Delivering>,
    /// The report that others can already see.
    shown: RefCell<String>,
}

impl Showing {
    pub(super) fn of(delivering: Rc<Delivering>) -> Rc<Self> {
        Rc::new(Self { delivering, shown: RefCell::default() })
    }

    /// Shows changed reports, for ever.
    pub(super) async fn keep_shown(self: Rc<Self>) {
        every(SHOW_EVERY, &self.delivering, Duty::Dispatch, async || self.show()).await;
    }

    /// Shows the report if it has changed.
    pub(super) fn show(&self) {
        let report = self.delivering.report().to_string();
        // There is no lock file until the next claim makes one, so nothing can be shown.
        if *self.shown.borrow() != report && self.delivering.store.show_worker(&report) {
            self.shown.replace(report);
        }
    }
}
