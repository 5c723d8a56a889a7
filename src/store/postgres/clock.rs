//! The database's clock, as this host knows it. Hosts have clocks that differ; the database has one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::hosts_time::HostsTime;
use crate::clock::{Clock, SystemClock};

/// Receives what time it is for the database.
pub(super) trait DatabaseTime: Send + Sync {
    /// It is this time now.
    fn is(&self, now_ms: i64);

    /// The time that the database goes by instead of its own. Only a test has one.
    fn set_ms(&self) -> Option<i64> {
        None
    }
}

/// The time that the database told last, and the time that has elapsed since.
#[derive(Debug)]
pub(super) struct DatabaseClock {
    /// The database's time when this process's elapsed time was 0.
    offset_ms: AtomicI64,
    hosts_time: Arc<HostsTime>,
}

impl DatabaseClock {
    pub(super) fn new(hosts_time: Arc<HostsTime>) -> Self {
        Self { offset_ms: AtomicI64::default(), hosts_time }
    }
}

impl Clock for DatabaseClock {
    fn now_ms(&self) -> i64 {
        self.elapsed_ms() + self.offset_ms.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self) -> i64 {
        SystemClock.elapsed_ms()
    }
}

impl DatabaseTime for DatabaseClock {
    fn is(&self, now_ms: i64) {
        self.offset_ms.store(now_ms - self.elapsed_ms(), Ordering::Relaxed);
        self.hosts_time.measured(now_ms, SystemClock.now_ms());
    }
}

/// The time of a test, whose clock is the database's.
pub(super) struct TestTime(pub(super) Arc<dyn Clock>);

impl DatabaseTime for TestTime {
    fn is(&self, _: i64) {}

    fn set_ms(&self) -> Option<i64> {
        Some(self.0.now_ms())
    }
}
