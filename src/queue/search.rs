//! The search for forgotten runs: runs with work to do and without a message that would wake them.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::asking::{ask, caught};
use super::dispatcher::Delivering;
use super::pulse::Duty;

/// The delay after the first search. It is short, because a process may have died while it started a
/// run. `SEARCH_EVERY` is the delay after each later search.
const SEARCH_AGAIN_AFTER: Duration = Duration::from_secs(10);
const SEARCH_EVERY: Duration = Duration::from_secs(300);
/// Active runs in one step of the search: some milliseconds of a reader's time.
const SEARCH_RUNS: usize = 1000;
/// The pause between two steps, so that a search among very many runs takes less than 1% of a
/// processor.
const BETWEEN_STEPS: Duration = Duration::from_secs(1);

const _: () =
    assert!(SEARCH_AGAIN_AFTER.as_millis() < SEARCH_EVERY.as_millis(), "soon, then rarely");

/// Wakes forgotten runs now, and rarely afterwards, for ever.
pub(super) async fn search_for_forgotten_runs(delivering: Rc<Delivering>) {
    let mut pause = SEARCH_AGAIN_AFTER;
    loop {
        if let Err(defect) = caught(search_once(&delivering)).await {
            delivering.failed(Duty::Search, &defect);
        }
        sleep(pause).await;
        pause = SEARCH_EVERY;
    }
}

async fn search_once(delivering: &Delivering) {
    let mut after = None;
    loop {
        let woken = ask(|done| delivering.store.wake_forgotten(after, SEARCH_RUNS, done)).await;
        // If the store fails, the next search tries again.
        after = delivering.noted(Duty::Search, woken).ok().and_then(|woken| woken.next);
        if after.is_none() {
            return;
        }
        sleep(BETWEEN_STEPS).await;
    }
}
