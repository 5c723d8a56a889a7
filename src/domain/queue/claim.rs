//! Which due messages a worker claims, of those that it [offers](super::offer) to take.
//!
//! On line 4 of the SDK only one replay of a run is delivered at a time, so that no two replays write one
//! log. On line 5 a delivery also executes steps, for as long as they take, and the run must hear of other
//! events meanwhile. The protocol of line 5 keeps overlapping deliveries safe. Still, a delivery that
//! would replay waits for every other one that is replaying: the two would do the same work.
//!
//! The store does not see what the code of a delivery does, only which steps run. A delivery without a
//! running step replays, with one exception. Two deliveries may go on with a run at once, when the steps
//! that they executed ended together. Both then ask for the next step. One of them begins it, and the SDK
//! lets the other one wait until this step ends. So nobody waits for a delivery while another one executes
//! a step that it has begun since.

use std::collections::HashSet;

use crate::domain::id::{Position, RunId};
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
    /// The end of the log when the delivery was claimed.
    pub claimed_at: Position,
    /// Where the latest running step was created that this delivery executes.
    pub executes: Option<Position>,
}

impl UnderWay {
    /// Where it has created the latest step that it executes, if it has created one.
    fn began(&self) -> Option<Position> {
        self.executes.filter(|created| *created > self.claimed_at)
    }
}

/// Whether one of these deliveries of a run replays, and does not wait for a step of another one.
fn any_replays(deliveries: &[UnderWay]) -> bool {
    let latest = deliveries.iter().filter_map(UnderWay::began).max();
    let awaits_latest = |delivery: &UnderWay| latest.is_some_and(|at| at > delivery.claimed_at);
    deliveries.iter().any(|delivery| delivery.executes.is_none() && !awaits_latest(delivery))
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
            Some(_) if overlaps && any_replays(under_way) => false,
            Some(run_id) => self.begun.insert(run_id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLAYING: UnderWay = UnderWay { is_step: false, claimed_at: 1, executes: None };
    const REPLAY_IN_STEP: UnderWay = UnderWay { executes: Some(3), ..REPLAYING };
    const STEP: UnderWay = UnderWay { is_step: true, claimed_at: 2, executes: Some(2) };
    const STEP_THAT_REPLAYS: UnderWay = UnderWay { executes: None, ..STEP };

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
            assert!(!takes(&replay(1, spec_version, &[STEP_THAT_REPLAYS, STEP])));
            let later = UnderWay { claimed_at: 3, ..REPLAYING };
            assert!(!takes(&replay(1, spec_version, &[REPLAY_IN_STEP, later])));
        }
    }

    #[test]
    fn a_delivery_that_waits_for_a_step_which_another_one_has_begun_since_holds_up_nobody() {
        let later = UnderWay { claimed_at: 3, ..REPLAYING };
        let stuck = [REPLAYING, STEP_THAT_REPLAYS, REPLAYING, REPLAY_IN_STEP];
        assert!(takes(&replay(1, 8, &stuck)));
        assert!(!takes(&replay(1, 8, &[stuck.as_slice(), &[later]].concat())), "that one replays");
        let once_later = UnderWay { claimed_at: 4, executes: Some(5), ..REPLAYING };
        assert!(takes(&replay(1, 8, &[stuck.as_slice(), &[later, once_later]].concat())));
    }

    #[test]
    fn a_step_that_its_delivery_has_not_created_ends_no_replay() {
        let of_message = UnderWay { claimed_at: 9, executes: Some(9), ..STEP };
        assert!(!takes(&replay(1, 8, &[REPLAYING, of_message])), "somebody else has queued it");
        let recovers = UnderWay { claimed_at: 9, executes: Some(3), ..REPLAYING };
        assert!(!takes(&replay(1, 8, &[REPLAYING, recovers])), "its process died in it");
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
