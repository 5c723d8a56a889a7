//! Which due messages a worker claims, of those that it [offers](super::offer) to take.
//!
//! On line 4 of the SDK only one replay of a run is delivered at a time, so that no two replays write one
//! log. On line 5 a delivery also executes steps, for as long as they take, and the run must hear of other
//! events meanwhile. The protocol of line 5 keeps overlapping deliveries safe. Still, a delivery that
//! would replay waits for every other one that is not executing a step: the two would do the same work.

use std::collections::HashSet;

use crate::domain::id::RunId;
use crate::domain::spec::SpecVersion;

/// A due message that is not leased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimable {
    /// Its run, if any.
    pub run_id: Option<RunId>,
    /// Whether it executes a step of its run, and is no replay.
    pub is_step: bool,
    /// The spec version of its run; 0 if it is not known.
    pub spec_version: u32,
    /// The deliveries of its run that are under way. Empty for a message that is no replay.
    pub under_way: Vec<UnderWay>,
    /// Whether the worker has refused it.
    pub is_refused: bool,
}

/// A delivery that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// Whether its message executes a step, and is no replay.
    pub is_step: bool,
    /// Whether a step of the run is running that this delivery executes.
    pub executes_step: bool,
}

/// Chooses from due messages in the order in which they became due: first come, first claimed.
#[derive(Debug, Default)]
pub struct Claiming {
    /// The runs of claimed messages that are not executing a step yet.
    begun: HashSet<RunId>,
}

impl Claiming {
    /// Whether the worker gets this message.
    pub fn takes(&mut self, message: &Claimable) -> bool {
        let Claimable { run_id, is_step, spec_version, under_way, is_refused } = message;
        let overlaps = SpecVersion(*spec_version).replays_overlap();
        match run_id {
            _ if *is_refused => false,
            None => true,
            Some(run_id) if *is_step => {
                if overlaps {
                    self.begun.insert(run_id.clone());
                }
                true
            }
            Some(_) if !overlaps && under_way.iter().any(|other| !other.is_step) => false,
            Some(_) if overlaps && under_way.iter().any(|other| !other.executes_step) => false,
            Some(run_id) => self.begun.insert(run_id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLAYING: UnderWay = UnderWay { is_step: false, executes_step: false };
    const REPLAY_IN_STEP: UnderWay = UnderWay { is_step: false, executes_step: true };
    const STEP: UnderWay = UnderWay { is_step: true, executes_step: true };
    const STEP_THAT_REPLAYS: UnderWay = UnderWay { is_step: true, executes_step: false };

    fn replay(number: u64, spec_version: u32, under_way: &[UnderWay]) -> Claimable {
        let run_id = Some(RunId::new(format!("wrun_{number}")));
        Claimable { run_id, spec_version, under_way: under_way.to_vec(), ..Claimable::default() }
    }

    fn step(number: u64, spec_version: u32) -> Claimable {
        Claimable { is_step: true, ..replay(number, spec_version, &[]) }
    }

    fn takes(message: &Claimable) -> bool {
        Claiming::default().takes(message)
    }

    #[test]
    fn of_one_run_one_replay_is_under_way_and_steps_are_free() {
        for spec_version in [0, 3, 5] {
            let mut claiming = Claiming::default();
            assert!(claiming.takes(&step(1, spec_version)));
            assert!(claiming.takes(&replay(1, spec_version, &[STEP, STEP_THAT_REPLAYS])));
            let again = replay(1, spec_version, &[]);
            assert!(!claiming.takes(&again), "its replay was just claimed");
            assert!(!claiming.takes(&replay(2, spec_version, &[REPLAYING])), "somebody replays it");
            assert!(!claiming.takes(&replay(3, spec_version, &[REPLAY_IN_STEP])), "so does it");
            assert!(claiming.takes(&step(1, spec_version)));
            assert!(claiming.takes(&Claimable::default()), "a health check is of no run");
        }
    }

    #[test]
    fn a_replay_overlaps_only_deliveries_that_execute_a_step_where_the_runs_line_allows_it() {
        for spec_version in [6, 8] {
            assert!(takes(&replay(1, spec_version, &[])));
            assert!(takes(&replay(1, spec_version, &[REPLAY_IN_STEP, STEP])));
            assert!(!takes(&replay(1, spec_version, &[REPLAYING])));
            assert!(!takes(&replay(1, spec_version, &[REPLAY_IN_STEP, REPLAYING])));
            assert!(!takes(&replay(1, spec_version, &[STEP_THAT_REPLAYS, STEP])));
        }
    }

    #[test]
    fn of_two_replays_of_one_claim_the_second_waits_for_the_first_to_begin_a_step() {
        let mut claiming = Claiming::default();
        assert!(claiming.takes(&replay(1, 6, &[REPLAY_IN_STEP])));
        assert!(!claiming.takes(&replay(1, 6, &[REPLAY_IN_STEP])));
        assert!(claiming.takes(&step(1, 6)) && claiming.takes(&step(1, 6)), "steps always run");
        assert!(claiming.takes(&step(2, 6)));
        assert!(!claiming.takes(&replay(2, 6, &[])), "the step's delivery has not begun it");
    }

    #[test]
    fn a_worker_gets_no_message_that_it_has_refused() {
        let mut claiming = Claiming::default();
        assert!(!claiming.takes(&Claimable { is_refused: true, ..replay(1, 3, &[]) }));
        assert!(!claiming.takes(&Claimable { is_refused: true, ..Claimable::default() }));
        assert!(!claiming.takes(&Claimable { is_refused: true, ..step(1, 6) }));
        assert!(claiming.takes(&replay(1, 3, &[])), "a refused replay does not count as under way");
    }
}
