//! Forgotten runs: runs with work to do and without a message that would wake them.
//!
//! The outbox alone leaves none. But the SDK's `start()` is two calls, between which a process may die,
//! and a damaged or hand-edited table may have lost a message.

use crate::domain::run::RunStatus;
use crate::domain::spec::SpecVersion;

/// The facts about a run that decide whether it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prospects {
    /// Its status.
    pub status: RunStatus,
    /// Its spec version.
    pub spec_version: u32,
    /// Whether the queue holds a message that replays the run. A dead message counts, because a person
    /// has to decide about it.
    pub has_replay: bool,
    /// Whether the queue holds a message that executes a step of the run; a dead one counts.
    pub has_step: bool,
    /// Whether a hook of the run was resumed, and the run's last replay may not have seen it.
    pub has_unseen_resume: bool,
    /// Whether a step of the run has ended, and the run's last replay may not have seen it.
    pub has_unseen_step_end: bool,
    /// Whether a wait of the run has elapsed and is not completed.
    pub has_overdue_wait: bool,
}

/// Whether the run has work to do and nothing would ever wake it. A run that waits for an event that
/// has not happened is not forgotten.
///
/// On line 5 the delivery that executes a step goes on with the run. So the message of a step wakes its
/// run, and the end of a step leaves nothing to do.
pub fn is_forgotten(run: &Prospects) -> bool {
    let step_end_wakes = SpecVersion(run.spec_version).step_end_wakes();
    if run.has_replay || (run.has_step && !step_end_wakes) {
        return false;
    }
    match run.status {
        RunStatus::Pending => true,
        RunStatus::Running => {
            run.has_unseen_resume
                || run.has_overdue_wait
                || (run.has_unseen_step_end && step_end_wakes)
        }
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Prospects = Prospects {
        status: RunStatus::Running,
        spec_version: 3,
        has_replay: false,
        has_step: false,
        has_unseen_resume: false,
        has_unseen_step_end: false,
        has_overdue_wait: false,
    };
    const WAITS_ON_LINE_5: Prospects = Prospects { spec_version: 6, ..WAITS };

    #[test]
    fn a_run_is_forgotten_when_it_has_something_to_do_and_no_message() {
        for waits in [WAITS, WAITS_ON_LINE_5] {
            let forgotten = [
                Prospects { status: RunStatus::Pending, ..waits },
                Prospects { has_unseen_resume: true, ..waits },
                Prospects { has_overdue_wait: true, ..waits },
            ];
            for run in forgotten {
                assert!(is_forgotten(&run), "{run:?}");
                assert!(!is_forgotten(&Prospects { has_replay: true, ..run }), "{run:?}");
            }
            assert!(!is_forgotten(&waits), "it waits for what has not come");
        }
    }

    #[test]
    fn the_end_of_a_step_is_work_only_where_it_wakes_the_run() {
        assert!(is_forgotten(&Prospects { has_unseen_step_end: true, ..WAITS }));
        assert!(!is_forgotten(&Prospects { has_unseen_step_end: true, ..WAITS_ON_LINE_5 }));
    }

    #[test]
    fn the_message_of_a_step_wakes_its_run_only_where_its_delivery_goes_on() {
        for (waits, is_woken) in [(WAITS, false), (WAITS_ON_LINE_5, true)] {
            let run = Prospects { has_step: true, has_unseen_resume: true, ..waits };
            assert_eq!(is_forgotten(&run), !is_woken, "{run:?}");
        }
    }

    #[test]
    fn a_run_that_has_ended_is_never_forgotten() {
        for status in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled] {
            let run =
                Prospects { status, has_unseen_resume: true, has_overdue_wait: true, ..WAITS };
            assert!(!is_forgotten(&run));
        }
    }
}
