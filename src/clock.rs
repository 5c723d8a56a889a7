//! The only source of process time.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the time has one owner, and this is it"
)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time, and how much of it has passed: a host's time may be set, what has passed has.
pub trait Clock: Send + Sync + 'static {
    /// Now, in milliseconds since the Unix epoch. May step forwards and backwards.
    fn now_ms(&self) -> i64;
    /// Milliseconds since some moment in the life of this process. Never steps.
    fn elapsed_ms(&self) -> i64;
}

/// A time that the system has kept, as of a file, in milliseconds since the Unix epoch. One before 1970
/// counts as 1970.
pub fn ms_of(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The host's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        // Nothing in the engine can be older than that.
        ms_of(SystemTime::now())
    }

    fn elapsed_ms(&self) -> i64 {
        static BEGINNING: OnceLock<Instant> = OnceLock::new();
        BEGINNING.get_or_init(Instant::now).elapsed().as_millis() as i64
    }
}

/// The host's clock, moved by an offset that can be changed; for Worlds of tests, which skip sleeps.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    offset_ms: AtomicI64,
    skipped_ms: AtomicI64,
}

impl ShiftedClock {
    /// A clock that is ahead of the host's by so much, or behind it.
    pub fn ahead_by(offset_ms: i64) -> Self {
        Self { offset_ms: AtomicI64::new(offset_ms), skipped_ms: AtomicI64::new(0) }
    }

    /// Skips so much time, as if it had passed.
    pub fn skip(&self, ms: u64) {
        // No test skips 292 million years.
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(ms, Ordering::SeqCst);
        self.skipped_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms().saturating_add(self.offset_ms.load(Ordering::SeqCst))
    }

    fn elapsed_ms(&self) -> i64 {
        SystemClock.elapsed_ms().saturating_add(self.skipped_ms.load(Ordering::SeqCst))
    }
}

/// A clock that stands still until it is moved; for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicI64,
    elapsed_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(now_ms: i64) -> Self {
        Self { now_ms: AtomicI64::new(now_ms), elapsed_ms: AtomicI64::new(0) }
    }

    /// Moves it: forwards by time that passes, backwards by a step.
    pub fn set(&self, now_ms: i64) {
        let before_ms = self.now_ms.swap(now_ms, Ordering::SeqCst);
        self.elapsed_ms.fetch_add((now_ms - before_ms).max(0), Ordering::SeqCst);
    }

    /// Steps it by so much, while no time passes.
    pub fn step(&self, by_ms: i64) {
        self.now_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn elapsed_ms(&self) -> i64 {
        self.elapsed_ms.load(Ordering::SeqCst)
    }
}
