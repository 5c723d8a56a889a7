//! The only source of process time.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the time has one owner, and this is it"
)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time and the elapsed time. A host's time may be set; the elapsed time only grows.
pub trait Clock: Send + Sync + 'static {
    /// The current time in milliseconds since the Unix epoch. It may step forwards and backwards.
    fn now_ms(&self) -> i64;
    /// Milliseconds since a fixed moment of this process. Never steps.
    fn elapsed_ms(&self) -> i64;
}

/// Converts a time of the system, such as a file's, to milliseconds since the Unix epoch. A time before
/// 1970 counts as 1970.
pub fn ms_of(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The host's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        // A clock before 1970 counts as 1970, because nothing in the engine can be older.
        ms_of(SystemTime::now())
    }

    fn elapsed_ms(&self) -> i64 {
        static BEGINNING: OnceLock<Instant> = OnceLock::new();
        BEGINNING.get_or_init(Instant::now).elapsed().as_millis() as i64
    }
}

/// The host's clock plus an offset that can be changed, for Worlds of tests, which skip sleeps.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    offset_ms: AtomicI64,
    skipped_ms: AtomicI64,
}

impl ShiftedClock {
    /// A clock that is ahead of the host's by this offset (behind it, if negative).
    pub fn ahead_by(offset_ms: i64) -> Self {
        Self { offset_ms: AtomicI64::new(offset_ms), skipped_ms: AtomicI64::new(0) }
    }

    /// Skips this time as if it had elapsed.
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

/// A clock that changes only when a test moves it.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: AtomicI64,
    elapsed_ms: AtomicI64,
}

impl ManualClock {
    /// A clock with this time.
    pub fn at(now_ms: i64) -> Self {
        Self { now_ms: AtomicI64::new(now_ms), elapsed_ms: AtomicI64::new(0) }
    }

    /// Sets the clock. Forwards, time elapses; backwards, the clock steps.
    pub fn set(&self, now_ms: i64) {
        let before_ms = self.now_ms.swap(now_ms, Ordering::SeqCst);
        self.elapsed_ms.fetch_add((now_ms - before_ms).max(0), Ordering::SeqCst);
    }

    /// Steps the clock without elapsed time.
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
