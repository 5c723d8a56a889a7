//! The queue's time, by which messages become due, and the silence after which a lease is lost.
//!
//! A host's clock may be set: by hand, by a time server, or after a virtual machine was suspended. A
//! message that was due at ten o'clock must not wait for an hour because the clock was set back to
//! nine. A lease must not end because the clock was set forwards. So the queue's time continues from
//! the latest time that any process has seen, and a lease ends only after its owner has really been
//! silent.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::clock::Clock;
use crate::domain::id::MessageId;
use crate::domain::queue::lease::SILENCE_MS;
use crate::lock::lock;

/// The queue's time waits for a clock that was set back by less than this. Otherwise many small
/// corrections of a time server would move the queue's time away from the host's.
const WAIT_FOR_CLOCK_MS: i64 = 250;
/// The precision with which a database stores the time that was reached, in milliseconds.
pub const KEEP_EVERY_MS: i64 = 1000;

/// The queue's time, as this process knows it.
pub struct QueueTime {
    reading: Mutex<Reading>,
    /// The last seen state of each lease: its expiry, and when this process first saw that expiry.
    leases: Mutex<HashMap<MessageId, Seen>>,
}

#[derive(Clone, Copy)]
struct Reading {
    now_ms: i64,
    elapsed_ms: i64,
}

#[derive(Clone, Copy)]
struct Seen {
    expires_at_ms: i64,
    since_elapsed_ms: i64,
}

impl QueueTime {
    /// Begins with the clock's time.
    pub fn new(clock: &dyn Clock) -> Self {
        let reading = Reading { now_ms: clock.now_ms(), elapsed_ms: clock.elapsed_ms() };
        Self { reading: Mutex::new(reading), leases: Mutex::default() }
    }

    /// The current time: the host's, or the latest time that was reached plus the time since.
    pub fn now_ms(&self, clock: &dyn Clock) -> i64 {
        self.now_at_least_ms(clock, i64::MIN)
    }

    /// The current time, if another process has already reached `reached_ms`.
    pub fn now_at_least_ms(&self, clock: &dyn Clock, reached_ms: i64) -> i64 {
        let mut reading = lock(&self.reading);
        let (host_ms, elapsed_ms) = (clock.now_ms(), clock.elapsed_ms());
        let gone_on_ms = reading.now_ms + (elapsed_ms - reading.elapsed_ms).max(0);
        let own_ms = if gone_on_ms - host_ms <= WAIT_FOR_CLOCK_MS {
            host_ms.max(reading.now_ms)
        } else {
            gone_on_ms
        };
        *reading = Reading { now_ms: own_ms.max(reached_ms), elapsed_ms };
        reading.now_ms
    }

    /// Notes that a lease was taken or extended, or is seen for the first time.
    pub fn lease_seen(&self, message_id: MessageId, expires_at_ms: i64, clock: &dyn Clock) {
        let since_elapsed_ms = clock.elapsed_ms();
        let mut leases = lock(&self.leases);
        let seen = leases.entry(message_id).or_insert(Seen { expires_at_ms, since_elapsed_ms });
        if seen.expires_at_ms != expires_at_ms {
            *seen = Seen { expires_at_ms, since_elapsed_ms };
        }
    }

    /// Whether an expired lease has not changed for so long that its owner must have stopped.
    pub fn is_silent(&self, message_id: MessageId, expires_at_ms: i64, clock: &dyn Clock) -> bool {
        self.lease_seen(message_id, expires_at_ms, clock);
        let leases = lock(&self.leases);
        leases
            .get(&message_id)
            .is_some_and(|seen| clock.elapsed_ms() - seen.since_elapsed_ms >= SILENCE_MS)
    }

    /// Forgets all leases except these, and notes these, each with its expiry.
    pub fn leases_are(&self, now: &[(MessageId, i64)], clock: &dyn Clock) {
        let kept: HashMap<MessageId, i64> = now.iter().copied().collect();
        lock(&self.leases).retain(|message_id, _| kept.contains_key(message_id));
        for (message_id, expires_at_ms) in now {
            self.lease_seen(*message_id, *expires_at_ms, clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const TEN: i64 = 1_795_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    fn started() -> (ManualClock, QueueTime) {
        let clock = ManualClock::at(TEN);
        let time = QueueTime::new(&clock);
        (clock, time)
    }

    #[test]
    fn the_queues_time_is_the_hosts_until_that_steps_back_and_then_goes_on() {
        let (clock, time) = started();
        clock.set(TEN + 5);
        assert_eq!(time.now_ms(&clock), TEN + 5);
        clock.step(HOUR_MS);
        assert_eq!(time.now_ms(&clock), TEN + 5 + HOUR_MS, "a step forwards is followed");
        clock.step(-HOUR_MS);
        assert_eq!(time.now_ms(&clock), TEN + 5 + HOUR_MS, "a step backwards is not");
        clock.set(TEN + 15);
        assert_eq!(time.now_ms(&clock), TEN + 15 + HOUR_MS, "but time goes on");
        clock.set(TEN + 2 * HOUR_MS);
        clock.set(TEN + 20 + 2 * HOUR_MS);
        assert!(time.now_ms(&clock) >= TEN + 20 + 2 * HOUR_MS);
    }

    #[test]
    fn a_small_correction_is_waited_for() {
        let (clock, time) = started();
        assert_eq!(time.now_ms(&clock), TEN);
        clock.step(-100);
        assert_eq!(time.now_ms(&clock), TEN);
        clock.set(TEN - 50);
        assert_eq!(time.now_ms(&clock), TEN);
        clock.set(TEN + 30);
        assert_eq!(time.now_ms(&clock), TEN + 30);
    }

    #[test]
    fn what_another_process_has_reached_is_reached() {
        let (clock, time) = started();
        assert_eq!(time.now_at_least_ms(&clock, TEN + HOUR_MS), TEN + HOUR_MS);
        clock.set(TEN + 10);
        assert_eq!(time.now_ms(&clock), TEN + HOUR_MS + 10);
    }

    #[test]
    fn a_lease_is_silent_when_nobody_has_extended_it_for_long_whatever_the_clock_says() {
        let (clock, time) = started();
        let message = MessageId::from_number(1);
        time.lease_seen(message, TEN + 30_000, &clock);
        clock.step(HOUR_MS);
        assert!(!time.is_silent(message, TEN + 30_000, &clock));
        clock.set(clock.now_ms() + SILENCE_MS);
        assert!(!time.is_silent(message, TEN + 40_000, &clock), "it was extended");
        clock.set(clock.now_ms() + SILENCE_MS);
        assert!(time.is_silent(message, TEN + 40_000, &clock));
        time.leases_are(&[], &clock);
        assert!(!time.is_silent(message, TEN + 40_000, &clock), "it is seen for the first time");
    }
}
