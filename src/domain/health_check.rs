//! Health checks of the SDK: an app answers each in a stream of its own, which nobody needs for long.

/// Begins the names of these streams. The SDK goes on with an id that grows with time.
const NAMES: &str = "__health_check__";
/// Comes after all of these names.
const AFTER_NAMES: &str = "__health_check_`";

/// How long such a stream is kept. The SDK asks for half a minute, if its caller does not say otherwise,
/// and reads an answer within a second.
pub const KEPT_MS: i64 = 10 * 60 * 1000;

/// How many of the oldest streams a new one looks at. It is more than one, so that they become fewer.
const LOOKED_AT: i64 = 16;

/// Which streams of earlier health checks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldChecks {
    /// Their names begin here.
    pub from: &'static str,
    /// Their names are less than this.
    pub before: &'static str,
    /// So many of these, in the order of the names, are looked at.
    pub looked_at: i64,
    /// Those that were made at this time or earlier go.
    pub made_until_ms: i64,
}

/// What goes when a stream with this name is made; `None` if that is no answer to a health check.
pub fn old_checks(made: &str, now_ms: i64) -> Option<OldChecks> {
    made.starts_with(NAMES).then_some(OldChecks {
        from: NAMES,
        before: AFTER_NAMES,
        looked_at: LOOKED_AT,
        made_until_ms: now_ms.saturating_sub(KEPT_MS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_health_check_removes_earlier_ones() {
        let old = old_checks("__health_check__01K0", KEPT_MS + 5).expect("it is one");
        assert_eq!(old.made_until_ms, 5);
        assert!((old.from..old.before).contains(&"__health_check__zzz"));
        for other in ["strm_1_user", "__health_check_", "health", "a__health_check__1"] {
            assert_eq!(old_checks(other, 0), None);
            assert!(!(old.from..old.before).contains(&other));
        }
    }
}
