//! What the deliveries of this process have come to, for whoever watches it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counted as it happens.
#[derive(Debug, Default)]
pub struct Tally {
    in_flight: AtomicUsize,
    leases_lost: AtomicU64,
}

/// A reading of a [`Tally`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Deliveries at work in this process.
    pub in_flight: usize,
    /// Leases that ended while their delivery was at work, so that it may have been done twice.
    pub leases_lost: u64,
}

impl Tally {
    /// So many deliveries are at work now.
    pub fn in_flight(&self, deliveries: usize) {
        self.in_flight.store(deliveries, Ordering::Relaxed);
    }

    /// A lease was lost.
    pub fn lease_lost(&self) {
        self.leases_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// As it stands.
    pub fn counts(&self) -> DeliveryCounts {
        DeliveryCounts {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            leases_lost: self.leases_lost.load(Ordering::Relaxed),
        }
    }
}
