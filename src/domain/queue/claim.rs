//! Which due messages a worker claims.

use std::collections::HashSet;

use crate::domain::id::RunId;

/// Chooses from due messages in the order in which they became due: first come, first claimed. Only one
/// replay of a run is delivered at a time, so that no two replays write one log.
#[derive(Debug, Default)]
pub struct Claiming {
    replayed: HashSet<RunId>,
}

impl Claiming {
    /// Whether the worker gets this message. `run_id` is the run that the message replays, if any.
    /// `is_run_leased` says whether another replay of that run is leased.
    pub fn takes(&mut self, run_id: Option<&RunId>, is_run_leased: bool) -> bool {
        match run_id {
            None => true,
            Some(_) if is_run_leased => false,
            Some(run_id) => self.replayed.insert(run_id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_run_one_replay_is_under_way_and_steps_are_free() {
        let (first, second) = (RunId::new("wrun_1"), RunId::new("wrun_2"));
        let mut claiming = Claiming::default();
        assert!(claiming.takes(Some(&first), false));
        assert!(!claiming.takes(Some(&first), false), "its replay was just claimed");
        assert!(!claiming.takes(Some(&second), true), "somebody replays it");
        assert!(claiming.takes(None, false) && claiming.takes(None, false));
    }
}
