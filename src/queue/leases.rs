//! Leases: this process extends its own while their deliveries run, and frees those of dead processes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::asking::{ask, every};
use super::dispatcher::Delivering;
use super::in_flight::InFlight;
use super::pulse::Duty;
use crate::domain::queue::lease::{EXTEND_EVERY_MS, EXTENDED_LATELY_MS, LEASE_MS};
use crate::store::Completion;

/// The interval at which this process looks for dead owners.
const FREE_EVERY: Duration = Duration::from_secs(2);

/// The leases of the deliveries in flight, on the dispatcher's thread.
pub(super) struct Leases {
    delivering: Rc<Delivering>,
    in_flight: Rc<InFlight>,
    /// The time of their last extension, by the clock that decides their expiry.
    extended_at_ms: Cell<i64>,
}

impl Leases {
    pub(super) fn new(delivering: Rc<Delivering>, in_flight: Rc<InFlight>) -> Rc<Self> {
        let extended_at_ms = Cell::new(delivering.clock.now_ms());
        Rc::new(Self { delivering, in_flight, extended_at_ms })
    }

    /// Extends them for ever, long before they expire.
    pub(super) async fn keep(self: Rc<Self>) {
        let period = Duration::from_millis(EXTEND_EVERY_MS as u64);
        every(period, &self.delivering, Duty::Extend, async || self.extend()).await;
    }

    /// Extends them if the timer is late. Our own leases must not expire because a clock jumped or the
    /// host slept.
    pub(super) fn extend_if_late(&self) {
        if self.delivering.clock.now_ms() - self.extended_at_ms.get() > EXTENDED_LATELY_MS {
            self.extend();
        }
    }

    fn extend(&self) {
        self.extended_at_ms.set(self.delivering.clock.now_ms());
        let leases = self.in_flight.leases();
        if leases.is_empty() {
            return;
        }
        let Delivering { pulse, clock, .. } = (*self.delivering).clone();
        // A lost lease is counted when its delivery ends. A failed extension is tried again before the
        // lease expires.
        let noted = Completion::new(move |lost| drop(pulse.noted(Duty::Extend, lost, &*clock)));
        self.delivering.store.extend(leases, LEASE_MS, noted);
    }
}

/// Frees the leases of dead processes, for ever. The store reports freed messages, which wakes the
/// dispatcher.
pub(super) async fn free_dead(delivering: Rc<Delivering>) {
    every(FREE_EVERY, &delivering, Duty::FreeLeases, async || {
        let freed = ask(|done| delivering.store.free_dead_leases(done)).await;
        // A failure is tried again after the period.
        drop(delivering.noted(Duty::FreeLeases, freed));
    })
    .await;
}
