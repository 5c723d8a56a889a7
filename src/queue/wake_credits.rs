//! Wake-ups that events have already written for callers that still ask for them.
//!
//! The SDK appends `hook_received` or `step_completed` and then enqueues a wake-up in a second call.
//! Our event wrote that wake-up in its own transaction, so the second call is a duplicate and gets the
//! existing message. If it were enqueued, a run that was replayed in between would be replayed again
//! without need.
//!
//! The gain: resuming a hook with the SDK's own `resumeHook`, one resume at a time, takes 0.81 of the
//! processor time (0.72 to 0.95) and 0.81 of the time that it takes without credits, because only 0.85
//! as many replays run. With 32 and 128 runs in flight no gain can be measured, and none for this
//! package's `resumeHook`, which makes one call. Measured by `node bench/iterating.mjs OTHER_CHECKOUT`
//! against a build whose `Engine::append_event` grants none; 5 rounds, 2 cores.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::domain::id::{MessageId, RunId};
use crate::lock::lock;

/// The time in which the SDK's second call must follow the first. It follows at once or not at all.
const CREDIT_MS: i64 = 1000;
/// The most runs that are remembered. Forgetting one costs a replay, and never loses a wake-up.
const RUNS_MAX: usize = 4096;

struct Credit {
    message_id: MessageId,
    calls: u32,
    granted_at_ms: i64,
}

impl Credit {
    fn is_fresh(&self, now_ms: i64) -> bool {
        (0..=CREDIT_MS).contains(&(now_ms - self.granted_at_ms))
    }
}

/// The credits, by run.
#[derive(Default)]
pub struct WakeCredits(Mutex<HashMap<RunId, Credit>>);

impl WakeCredits {
    /// Notes that an event of the run has written this wake-up, for which its caller will ask.
    pub fn grant(&self, run_id: RunId, message_id: MessageId, now_ms: i64) {
        let mut credits = lock(&self.0);
        if credits.len() >= RUNS_MAX {
            credits.retain(|_, credit| credit.is_fresh(now_ms));
        }
        if credits.len() >= RUNS_MAX && !credits.contains_key(&run_id) {
            return;
        }
        let calls = credits.get(&run_id).filter(|credit| credit.is_fresh(now_ms));
        let calls = calls.map_or(0, |credit| credit.calls) + 1;
        credits.insert(run_id, Credit { message_id, calls, granted_at_ms: now_ms });
    }

    /// Drops the run's credit: a later call asks for something newer than all its wake-ups so far.
    pub fn revoke(&self, run_id: &RunId) {
        lock(&self.0).remove(run_id);
    }

    /// The existing wake-up for a caller that asks for one, once per grant.
    pub fn take(&self, run_id: &RunId, now_ms: i64) -> Option<MessageId> {
        let mut credits = lock(&self.0);
        let credit = credits.get_mut(run_id)?;
        let message_id = credit.is_fresh(now_ms).then_some(credit.message_id);
        credit.calls -= 1;
        if credit.calls == 0 || message_id.is_none() {
            credits.remove(run_id);
        }
        message_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_grant_answers_one_call_and_only_soon() {
        let credits = WakeCredits::default();
        let (run, message) = (RunId::new("wrun_1"), MessageId::from_number(7));
        assert_eq!(credits.take(&run, 0), None);
        credits.grant(run.clone(), message, 0);
        credits.grant(run.clone(), message, 1);
        assert_eq!(credits.take(&run, 2), Some(message));
        assert_eq!(credits.take(&run, 3), Some(message));
        assert_eq!(credits.take(&run, 4), None);
        credits.grant(run.clone(), message, 10);
        assert_eq!(credits.take(&run, 11 + CREDIT_MS), None);
        credits.grant(run.clone(), message, 10);
        assert_eq!(credits.take(&run, 9), None, "the clock went back");
    }

    #[test]
    fn a_revoked_grant_answers_nobody() {
        let credits = WakeCredits::default();
        credits.grant(RunId::new("wrun_1"), MessageId::from_number(7), 0);
        credits.revoke(&RunId::new("wrun_1"));
        assert_eq!(credits.take(&RunId::new("wrun_1"), 1), None);
    }

    #[test]
    fn the_number_of_remembered_runs_is_bounded() {
        let credits = WakeCredits::default();
        for number in 0..(RUNS_MAX as i64 + 10) {
            let message = MessageId::from_number(number);
            credits.grant(RunId::new(format!("wrun_{number}")), message, 0);
        }
        assert_eq!(credits.0.lock().unwrap().len(), RUNS_MAX);
        credits.grant(RunId::new("late"), MessageId::from_number(1), CREDIT_MS + 1);
        assert_eq!(credits.0.lock().unwrap().len(), 1);
    }
}
