//! Which due messages a worker claims.

use std::collections::HashSet;

use crate::domain::id::RunId;

/// A due message that is not leased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimable {
    /// The run that the message replays, if any.
    pub run_id: Option<RunId>,
    /// Whether another replay of that run is leased.
    pub is_run_leased: bool,
    /// Whether the worker has refused it.
    pub is_refused: bool,
}

/// Chooses from due messages in the order in which they became due: first come, first claimed. Only one
/// replay of a run is delivered at a time, so that no two replays write one log.
#[derive(Debug, Default)]
pub struct Claiming {
    replayed: HashSet<RunId>,
}

impl Claiming {
    /// Whether the worker gets this message.
    pub fn takes(&mut self, message: &Claimable) -> bool {
        match &message.run_id {
            _ if message.is_refused => false,
            None => true,
            Some(_) if message.is_run_leased => false,
            Some(run_id) => self.replayed.insert(run_id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(number: u64, is_run_leased: bool) -> Claimable {
        let run_id = Some(RunId::new(format!("wrun_{number}")));
        Claimable { run_id, is_run_leased, is_refused: false }
    }

    #[test]
    fn of_one_run_one_replay_is_under_way_and_steps_are_free() {
        let mut claiming = Claiming::default();
        assert!(claiming.takes(&replay(1, false)));
        assert!(!claiming.takes(&replay(1, false)), "its replay was just claimed");
        assert!(!claiming.takes(&replay(2, true)), "somebody replays it");
        let step = Claimable::default();
        assert!(claiming.takes(&step) && claiming.takes(&step));
    }

    #[test]
    fn a_worker_gets_no_message_that_it_has_refused() {
        let mut claiming = Claiming::default();
        assert!(!claiming.takes(&Claimable { is_refused: true, ..replay(1, false) }));
        assert!(!claiming.takes(&Claimable { is_refused: true, ..Claimable::default() }));
        assert!(claiming.takes(&replay(1, false)), "a refused replay does not count as under way");
    }
}
