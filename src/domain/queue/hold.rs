//! Held messages: no living worker has the code that the message needs.
//!
//! A release may change, rename or remove the code under a parked run, and during a rolling release two
//! versions of the code share one database. A worker that does not have the fitting code refuses the
//! message, so that another worker gets it. If every living worker has refused the message, it is held:
//! it is not delivered until a worker starts, a worker loads other code, or a person redrives it.

use super::Waiting;
use crate::domain::id::MessageId;

/// The claim of a delivery that the code of its process does not fit the run: the code is missing, or
/// its replay diverges from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeMismatch {
    /// The host's time at which the process loaded its code.
    pub code_loaded_at_ms: i64,
}

/// Whether other code may exist that fits a run or step: code that was there before this process loaded
/// its own, or the code of another worker that is alive or that has replayed the run. Otherwise only
/// the code that is here has ever replayed the run, so no other code would fit better, and the mismatch
/// is a defect of that code.
pub fn may_other_code_fit(
    mismatch: CodeMismatch,
    created_at_ms: i64,
    of_other_workers: bool,
) -> bool {
    created_at_ms < mismatch.code_loaded_at_ms || of_other_workers
}

/// The state of a message after a worker has refused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The workers that have refused it.
    pub by: Vec<String>,
    /// Whether it is held.
    pub is_held: bool,
    /// Waiting wake-ups of its run, which the held message absorbs.
    pub absorbed: Vec<MessageId>,
}

/// Refuses a message in the name of a worker. `earlier` are the workers that refused it before, `living`
/// the workers that are alive. `waiting` holds the waiting messages of its run in its queue.
pub fn refuse(
    worker: &str,
    mut earlier: Vec<String>,
    living: &[String],
    waiting: &[Waiting],
) -> Refused {
    if !earlier.iter().any(|other| other == worker) {
        earlier.push(worker.to_owned());
    }
    let is_held = has_nobody(&earlier, living);
    let absorbed = waiting.iter().filter(|waiting| is_held && waiting.is_wake_up);
    Refused { absorbed: absorbed.map(|waiting| waiting.message_id).collect(), by: earlier, is_held }
}

/// Whether every living worker is among those that have refused a message, so that it is held.
pub fn has_nobody(refused_by: &[String], living: &[String]) -> bool {
    living.iter().all(|worker| refused_by.contains(worker))
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::waiting;
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn other_code_may_fit_a_run_that_is_older_than_the_code_here_or_that_another_worker_may_have() {
        let mismatch = CodeMismatch { code_loaded_at_ms: 100 };
        assert!(may_other_code_fit(mismatch, 99, false), "an earlier release made the run");
        assert!(may_other_code_fit(mismatch, 100, true), "another worker may have another release");
        assert!(!may_other_code_fit(mismatch, 100, false), "the code here made the run");
    }

    #[test]
    fn a_message_is_held_when_every_living_worker_has_refused_it() {
        let alone = refuse("a", vec![], &names(&["a"]), &[]);
        assert_eq!(alone, Refused { by: names(&["a"]), is_held: true, absorbed: vec![] });
        let first = refuse("a", vec![], &names(&["a", "b"]), &[]);
        assert_eq!(first, Refused { by: names(&["a"]), is_held: false, absorbed: vec![] });
        assert!(refuse("b", first.by, &names(&["a", "b"]), &[]).is_held);
        let again = refuse("a", names(&["a"]), &names(&["a", "b"]), &[]);
        assert_eq!(again.by, names(&["a"]), "once is enough");
        assert!(refuse("b", names(&["dead"]), &names(&["b"]), &[]).is_held);
        assert!(refuse("a", vec![], &[], &[]).is_held, "a database in memory shows no workers");
    }

    #[test]
    fn a_held_message_absorbs_the_waiting_wake_ups_of_its_run() {
        let others = [waiting(1, true, 0), waiting(2, false, 0), waiting(3, true, 9)];
        let held = refuse("a", vec![], &names(&["a"]), &others);
        assert_eq!(held.absorbed, [1, 3].map(MessageId::from_number));
        let passed_on = refuse("a", vec![], &names(&["a", "b"]), &others);
        assert_eq!(passed_on.absorbed, []);
    }
}
