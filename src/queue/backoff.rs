//! When a failed delivery comes again: a pure function of the attempt.

/// Attempts after which a message is given up.
pub const ATTEMPTS_MAX: i64 = 64;
/// Deliveries after which the SDK's runtime itself ends a run or a step.
const ATTEMPTS_OF_RUNTIME: i64 = 48;

const FIRST_MS: f64 = 500.0;
const MAX_MS: f64 = 60_000.0;
/// How far jitter spreads a delay, to either side.
const JITTER: f64 = 0.2;
/// The first delay is doubled so often at most.
const DOUBLINGS_MAX: i64 = 15;

const _: () = {
    assert!(ATTEMPTS_OF_RUNTIME < ATTEMPTS_MAX, "only what the runtime cannot end is given up");
    assert!(1.0 + JITTER < 2.0 * (1.0 - JITTER), "delays that double never shrink by jitter");
    assert!(FIRST_MS * (1 << DOUBLINGS_MAX) as f64 >= MAX_MS, "the doublings reach the maximum");
};

/// The delay after the failure of an attempt (from 1), in milliseconds. `fraction` in `0..1` spreads
/// messages that failed together.
pub fn delay_ms(attempt: i64, fraction: f64) -> i64 {
    let doublings = attempt.clamp(1, DOUBLINGS_MAX + 1) - 1;
    let delay = (FIRST_MS * f64::powi(2.0, doublings as i32)).min(MAX_MS);
    (delay * (1.0 + JITTER * (2.0 * fraction - 1.0))) as i64
}

#[cfg(test)]
mod tests {
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
}
