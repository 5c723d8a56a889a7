//! When a failed delivery comes again: a pure function of the attempt.

/// Attempts after which a message is given up. The SDK's runtime itself ends a run or a step after 48
/// deliveries, so this only catches messages that it cannot even do that for.
pub const ATTEMPTS_MAX: i64 = 64;

const FIRST_MS: f64 = 500.0;
const MAX_MS: f64 = 60_000.0;
/// How far jitter spreads a delay, to either side.
const JITTER: f64 = 0.2;

/// The delay after the failure of an attempt (from 1), in milliseconds. `fraction` in `0..1` spreads
/// messages that failed together.
pub fn delay_ms(attempt: i64, fraction: f64) -> i64 {
    let doublings = attempt.clamp(1, 16) - 1;
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
