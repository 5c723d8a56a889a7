//! Runs with work to do and without a message are woken. All others are left alone.

use hookline::domain::event::EventBody;
use hookline::store::{ActivePlace, Outcome, Woken};

use crate::kit::rows::*;
use crate::kit::{World, settled, wake_up};

run_by_every_store!(
    a_run_that_was_created_and_never_enqueued_is_woken_once,
    a_run_whose_wait_is_over_is_woken_once,
    a_run_that_waits_is_left_alone,
    a_run_with_a_message_is_left_alone,
    a_run_whose_message_was_given_up_is_left_alone,
    an_ended_run_is_left_alone,
    the_search_goes_through_all_runs_in_parts,
    a_wait_that_is_cut_short_wakes_its_run_by_itself,
);

fn search_from(world: &World, after: Option<ActivePlace>, limit: usize) -> Woken {
    settled(|done| world.store.wake_forgotten(after, limit, done)).expect("the search succeeds")
}

/// How many runs the whole search wakes.
pub fn search(world: &World) -> usize {
    let woken = search_from(world, None, 100);
    assert_eq!(woken.next, None);
    woken.runs
}

/// Replays a run: claims its one wake-up and acknowledges it, after what the replay appends.
pub fn replay_with(world: &World, run: u64, events: impl IntoIterator<Item = EventBody>) {
    world.enqueue(wake_up(run));
    let delivery = world.claim_one();
    for event in events {
        world.does(run, event);
    }
    assert!(world.settle(&delivery, Outcome::Ack));
}

fn a_run_that_was_created_and_never_enqueued_is_woken_once(world: &World) {
    world.does(1, EventBody::RunCreated(creation()));
    assert_eq!(search(world), 1);
    assert_eq!(search(world), 0, "it has a message now");
    let delivery = world.claim_one();
    assert!(String::from_utf8_lossy(&delivery.body).contains(run_id(1).as_str()));
    assert_eq!(search(world), 0, "its message is being delivered");
    world.does(1, EventBody::RunStarted(None));
    assert!(world.settle(&delivery, Outcome::Ack));
    assert_eq!(search(world), 0);
}

fn a_run_whose_wait_is_over_is_woken_once(world: &World) {
    world.start_runs(1);
    replay_with(world, 1, [wait_created("w", NOW_MS + 1000)]);
    assert_eq!(search(world), 0, "it is not over yet");
    world.at(1000);
    assert_eq!(search(world), 1);
    let delivery = world.claim_one();
    world.does(1, wait_completed("w"));
    assert!(world.settle(&delivery, Outcome::Ack));
    assert_eq!(search(world), 0, "the replay itself has completed it");
    world.claims_nothing();
}

fn a_run_that_waits_is_left_alone(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    world.does(1, step_created("s"));
    world.does(1, step_created("t"));
    world.does(1, hook_received("h", None));
    world.does(1, step_started("s"));
    world.does(1, step_completed("s"));
    // One replay sees both, and continues to wait for another hook and the other step.
    let delivery = world.claim_one();
    world.does(1, hook_created("h2", "token 2"));
    assert!(world.settle(&delivery, Outcome::Ack));
    world.does(1, step_started("t"));
    world.does(1, step_retrying("t", None));
    assert_eq!(search(world), 0);
    world.claims_nothing();
}

fn a_run_with_a_message_is_left_alone(world: &World) {
    world.start_runs(2);
    for run in 1..=2 {
        world.does(run, hook_created("h", &format!("token {run}")));
        world.does(run, hook_received("h", None));
    }
    let delivery = world.claim(1).remove(0);
    assert_eq!(search(world), 0);
    let later = Outcome::Reschedule { delay_ms: 1_000_000 };
    assert!(world.settle(&delivery, later));
    assert_eq!(search(world), 0, "a sleeping message will do it");
}

fn a_run_whose_message_was_given_up_is_left_alone(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", None));
    assert!(world.settle(&world.claim_one(), Outcome::Dead { error: "no".into() }));
    assert_eq!(search(world), 0);
}

fn an_ended_run_is_left_alone(world: &World) {
    for (run, ending) in (1..).zip(endings()) {
        world.does(run, EventBody::RunCreated(creation()));
        world.does(run, EventBody::RunStarted(None));
        world.does(run, wait_created("w", NOW_MS + 1));
        world.does(run, ending);
    }
    world.at(10);
    assert_eq!(search(world), 0);
}

fn the_search_goes_through_all_runs_in_parts(world: &World) {
    world.start_runs(3);
    for run in 4..=6 {
        world.does(run, EventBody::RunCreated(creation()));
    }
    let (mut runs, mut parts, mut after) = (0, 0, None);
    loop {
        let woken = search_from(world, after, 2);
        runs += woken.runs;
        parts += 1;
        after = woken.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((runs, parts), (3, 4));
    assert_eq!(world.claim(10).len(), 3);
}

fn a_wait_that_is_cut_short_wakes_its_run_by_itself(world: &World) {
    world.start_runs(1);
    replay_with(world, 1, [wait_created("w", NOW_MS + 1000)]);
    world.does(1, wait_completed("w"));
    world.claim_one();
}
