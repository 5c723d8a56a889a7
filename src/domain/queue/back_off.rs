//! The delay before a message is delivered again after its delivery failed or its process died: a pure
//! function of the attempt.

use super::Waiting;

/// The number of failed attempts after which a message is dead.
pub const ATTEMPTS_MAX: i64 = 64;
/// The number of deliveries after which the SDK's runtime itself ends a run or a step.
const ATTEMPTS_OF_RUNTIME: i64 = 48;

const FIRST_MS: f64 = 500.0;
const MAX_MS: f64 = 60_000.0;
/// The fraction by which jitter lengthens or shortens a delay.
const JITTER: f64 = 0.2;
/// The first delay is doubled at most this often.
const DOUBLINGS_MAX: i64 = 15;

const _: () = {
    assert!(ATTEMPTS_OF_RUNTIME < ATTEMPTS_MAX, "only what the runtime cannot end is given up");
    assert!(1.0 + JITTER < 2.0 * (1.0 - JITTER), "delays that double never shrink by jitter");
    assert!(FIRST_MS * (1 << DOUBLINGS_MAX) as f64 >= MAX_MS, "the doublings reach the maximum");
};

/// The delay after a failed attempt (counted from 1), in milliseconds. `fraction` in `0..1` spreads
/// messages that failed together.
pub fn delay_ms(attempt: i64, fraction: f64) -> i64 {
    let doublings = attempt.clamp(1, DOUBLINGS_MAX + 1) - 1;
    let delay = (FIRST_MS * f64::powi(2.0, doublings as i32)).min(MAX_MS);
    (delay * (1.0 + JITTER * (2.0 * fraction - 1.0))) as i64
}

/// The number of attempts after which the death of a process does not delay the next delivery. A deploy
/// replaces all processes, and must not delay work that went well before.
const DEATHS_AT_ONCE: i64 = 2;

/// The delay after the process of an attempt (counted from 1) died, in milliseconds. The first deaths
/// cause none; later deaths count as failed attempts. So a run that kills its process is delivered less
/// and less often.
pub fn after_death_ms(attempt: i64, fraction: f64) -> i64 {
    match attempt - DEATHS_AT_ONCE {
        ..=0 => 0,
        attempt => delay_ms(attempt, fraction),
    }
}

/// The attempts that count when the process of an attempt died: those of the run, if another of its
/// messages has more. Otherwise each new message of a run that kills its processes would begin anew.
pub fn attempts_of_run(attempt: i64, waiting: &[Waiting]) -> i64 {
    waiting.iter().map(|waiting| waiting.attempt).fold(attempt, i64::max)
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::waiting;
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_spread_by_a_fifth() {
        assert_eq!(delay_ms(1, 0.5), 500);
        assert_eq!(delay_ms(2, 0.5), 1000);
        assert_eq!(delay_ms(7, 0.5), 32_000);
        assert_eq!(delay_ms(i64::MAX, 0.5), 60_000);
        assert_eq!(delay_ms(0, 0.5), 500);
        assert_eq!((delay_ms(1, 0.0), delay_ms(1, 0.999)), (400, 599));
    }

    #[test]
    fn a_fresh_message_of_a_run_that_kills_its_processes_does_not_begin_anew() {
        let asleep = [waiting(1, true, 5), waiting(11, true, 5)];
        assert_eq!(attempts_of_run(1, &asleep), 11);
        assert_eq!(attempts_of_run(12, &asleep), 12);
        assert_eq!(attempts_of_run(1, &[]), 1);
    }

    #[test]
    fn after_two_deaths_a_message_waits_as_after_failures() {
        assert_eq!([0, 1, 2].map(|attempt| after_death_ms(attempt, 0.999)), [0, 0, 0]);
        for attempt in 1..20 {
            assert_eq!(after_death_ms(attempt + 2, 0.25), delay_ms(attempt, 0.25));
        }
        assert_eq!(after_death_ms(i64::MAX, 0.5), 60_000);
    }
}
