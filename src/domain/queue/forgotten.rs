//! Forgotten runs: runs with work to do and without a message that would wake them.
//!
//! The outbox alone leaves none. But the SDK's `start()` is two calls, between which a process may die,
//! and a damaged or hand-edited table may have lost a message.

use crate::domain::run::RunStatus;

/// The facts about a run that decide whether it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prospects {
    /// Its status.
    pub status: RunStatus,
    /// Whether the queue holds a message of the run. A dead message counts, because a person has to
    /// decide about it.
    pub has_message: bool,
    /// Whether the log has an event of [`EventType::WAKING`](crate::domain::event::EventType::WAKING)
    /// that the run's last replay may not have seen.
    pub has_unseen_event: bool,
    /// Whether a wait of the run has elapsed and is not completed.
    pub has_overdue_wait: bool,
}

/// Whether the run has work to do and nothing would ever wake it. A run that waits for an event that
/// has not happened is not forgotten.
pub fn is_forgotten(run: &Prospects) -> bool {
    if run.has_message {
        return false;
    }
    match run.status {
        RunStatus::Pending => true,
        RunStatus::Running => run.has_unseen_event || run.has_overdue_wait,
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Prospects = Prospects {
        status: RunStatus::Running,
        has_message: false,
        has_unseen_event: false,
        has_overdue_wait: false,
    };

    #[test]
    fn a_run_is_forgotten_when_it_has_something_to_do_and_no_message() {
        let forgotten = [
            Prospects { status: RunStatus::Pending, ..WAITS },
            Prospects { has_unseen_event: true, ..WAITS },
            Prospects { has_overdue_wait: true, ..WAITS },
        ];
        for run in forgotten {
            assert!(is_forgotten(&run), "{run:?}");
            assert!(!is_forgotten(&Prospects { has_message: true, ..run }), "{run:?}");
        }
        assert!(!is_forgotten(&WAITS), "it waits for what has not come");
    }

    #[test]
    fn a_run_that_has_ended_is_never_forgotten() {
        for status in [RunStatus::Completed, RunStatus::Failed, RunStatus::Cancelled] {
            let run = Prospects { status, has_unseen_event: true, has_overdue_wait: true, ..WAITS };
            assert!(!is_forgotten(&run));
        }
    }
}
