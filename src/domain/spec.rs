//! What differs by spec version: the number of the event contract that a run's SDK speaks.
//!
//! Each function is asked with the version of the run itself. An event may carry another number than
//! its run, and a process may serve runs of several versions.

/// The spec version of a request that names none (`SPEC_VERSION_CURRENT` of the SDK's 4.x line).
pub const SPEC_VERSION_DEFAULT: u32 = 3;
/// The spec version of the runs that the SDK's 5.x line starts.
const SPEC_VERSION_OF_LINE_5: u32 = 7;
/// The newest spec version whose runs this engine executes.
pub const SPEC_VERSION_MAX: u32 = 8;

/// Runs up to this spec version predate the event log (`SPEC_VERSION_LEGACY`).
const LEGACY: u32 = 1;
/// The first version in which deliveries of one run overlap and execute steps themselves.
const OVERLAPPING: u32 = 6;

/// The spec version of the runs that an SDK starts, which continues runs up to `newest`: what
/// `ts/lines/*/spec-version.ts` says.
pub fn spec_version_of_new_runs(newest: u32) -> u32 {
    match SpecVersion(newest).replays_overlap() {
        true => SPEC_VERSION_OF_LINE_5,
        false => SPEC_VERSION_DEFAULT,
    }
}

/// The spec version of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecVersion(pub u32);

impl SpecVersion {
    /// Whether this engine executes such runs. Versions 4 and 5 existed in betas of the SDK only.
    pub fn is_supported(self) -> bool {
        self.0 <= SPEC_VERSION_DEFAULT || (OVERLAPPING..=SPEC_VERSION_MAX).contains(&self.0)
    }

    /// Whether the run predates the event log.
    pub fn is_legacy(self) -> bool {
        self.0 <= LEGACY
    }

    /// Whether an event id is the event's position. Before, it is a ULID.
    pub fn ids_are_positions(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether a replay that starts takes the log page by page. Otherwise it takes the whole log or
    /// nothing.
    pub fn reads_log_in_pages(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether the SDK expects attributes of every run, even if there are none.
    pub fn has_attributes(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether the SDK expects of every hook whether it made the hook itself.
    pub fn knows_system_hooks(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether the error of a failed run or step is a serialised value that only the SDK reads. It then
    /// stays with its event, as other values do. Before, it is an object with a message.
    pub fn errors_are_bytes(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether a delivery may replay a run while others execute its steps. The protocol guards the log
    /// against that. Before, a replay needs the log for itself.
    pub fn replays_overlap(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether a message stays the same when its handler asks for it again: its attempts go on counting,
    /// and it joins no other. The SDK then recognises by the message that it continues its own work.
    pub fn messages_stay(self) -> bool {
        self.0 >= OVERLAPPING
    }

    /// Whether the end of a step must wake its run. Otherwise the delivery that executed the step
    /// continues the run.
    pub fn step_end_wakes(self) -> bool {
        self.0 < OVERLAPPING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_both_lines_are_supported_and_nothing_between_or_after_them() {
        let supported: Vec<u32> =
            (0..20).filter(|version| SpecVersion(*version).is_supported()).collect();
        assert_eq!(supported, [0, 1, 2, 3, 6, 7, 8]);
    }

    #[test]
    fn a_new_run_is_of_the_line_of_its_sdk() {
        assert_eq!([3, 5].map(spec_version_of_new_runs), [3, 3]);
        assert_eq!([6, 8].map(spec_version_of_new_runs), [7, 7]);
    }

    #[test]
    fn the_versions_from_six_on_differ_in_ids_errors_and_wakes() {
        for version in [6, 7, 8].map(SpecVersion) {
            assert!(version.ids_are_positions() && version.errors_are_bytes());
            assert!(!version.step_end_wakes() && !version.is_legacy());
            assert!(version.replays_overlap() && version.messages_stay());
        }
        for version in [1, 2, 3].map(SpecVersion) {
            assert!(!version.ids_are_positions() && !version.errors_are_bytes());
            assert!(version.step_end_wakes());
            assert!(!version.replays_overlap() && !version.messages_stay());
        }
        assert!(SpecVersion(1).is_legacy() && !SpecVersion(2).is_legacy());
    }
}
