//! The host's clock may be set while messages wait. No message is lost, and none is delivered early by
//! more than the clock was set forwards.

use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::message::Delivery;
use hookline::store::{ClaimRequest, Outcome, Store};

use crate::kit::rows::*;
use crate::kit::{LEASE_MS, STEP_PREFIX, World, offer, settled, step_message, wake_up};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

run_by_every_store!(
    a_due_message_stays_due_when_the_clock_is_set_back,
    a_sleeping_message_is_due_after_its_delay_although_the_clock_is_set_back,
    a_message_put_back_is_due_after_its_delay_although_the_clock_is_set_back,
    a_clock_set_forwards_wakes_no_sleeping_message_by_more_than_that,
    a_wake_up_is_absorbed_although_the_clock_is_set_back,
    a_lease_outlives_a_clock_that_is_set_forwards,
    a_message_that_sleeps_for_months_is_due_to_the_second,
);

run_by_every_shared_store!(
    after_a_restart_with_a_clock_set_back_only_the_time_in_between_is_waited_for_again,
    after_a_restart_with_a_clock_set_back_nothing_new_is_due_before_its_delay,
    a_process_whose_clock_is_behind_delivers_what_one_ahead_has_enqueued,
    another_process_takes_over_no_lease_because_the_clock_was_set_forwards,
);

impl World {
    /// Lets time pass.
    fn passes(&self, by_ms: i64) {
        let clock: &ManualClock = &self.clock;
        clock.set(hookline::clock::Clock::now_ms(clock) + by_ms);
    }
}

fn a_due_message_stays_due_when_the_clock_is_set_back(world: &World) {
    let message = world.enqueue(step_message("a"));
    world.clock.step(-HOUR_MS);
    assert_eq!(world.claim_one().message_id, message);
}

fn a_sleeping_message_is_due_after_its_delay_although_the_clock_is_set_back(world: &World) {
    let message = world.enqueue_in(step_message("a"), 10_000);
    world.clock.step(-HOUR_MS);
    world.passes(9_999);
    world.claims_nothing();
    world.passes(1);
    assert_eq!(world.claim_one().message_id, message);
}

fn a_message_put_back_is_due_after_its_delay_although_the_clock_is_set_back(world: &World) {
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 10_000 }));
    world.clock.step(-HOUR_MS);
    world.passes(9_999);
    world.claims_nothing();
    world.passes(1);
    world.claim_one();
}

fn a_clock_set_forwards_wakes_no_sleeping_message_by_more_than_that(world: &World) {
    world.enqueue_in(step_message("a"), 2 * HOUR_MS);
    world.clock.step(HOUR_MS);
    world.claims_nothing();
    world.passes(HOUR_MS - 1);
    world.claims_nothing();
    world.clock.step(-HOUR_MS);
    world.passes(1);
    world.claim_one();
}

fn a_wake_up_is_absorbed_although_the_clock_is_set_back(world: &World) {
    let first = world.enqueue(wake_up(1));
    world.clock.step(-HOUR_MS);
    assert_eq!(world.enqueue(wake_up(1)), first);
}

fn a_lease_outlives_a_clock_that_is_set_forwards(world: &World) {
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    world.clock.step(HOUR_MS);
    world.claims_nothing();
    assert_eq!(world.extend(&[&delivery], LEASE_MS), []);
    world.clock.step(-HOUR_MS);
    world.claims_nothing();
    assert!(world.settle(&delivery, Outcome::Ack));
}

fn a_message_that_sleeps_for_months_is_due_to_the_second(world: &World) {
    // Longer than 2^31 milliseconds.
    world.enqueue_in(step_message("a"), 100 * DAY_MS);
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 100 * DAY_MS));
    world.at(100 * DAY_MS - 1);
    world.claims_nothing();
    world.at(100 * DAY_MS);
    world.claim_one();
}

/// Claims by another store on the same file, with its own clock.
fn claimed_by(store: &dyn Store) -> Vec<Delivery> {
    let request = ClaimRequest {
        limit: 10,
        offer: offer(&[STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: LEASE_MS,
    };
    settled(|done| store.claim(request, done)).expect("the claim succeeds").deliveries
}

fn after_a_restart_with_a_clock_set_back_only_the_time_in_between_is_waited_for_again(
    world: &World,
) {
    world.enqueue(step_message("due"));
    world.enqueue_in(step_message("sleeps"), 10_000);
    world.passes(HOUR_MS);
    let put_back = world.claim(10);
    for delivery in &put_back {
        assert!(world.settle(delivery, Outcome::Reschedule { delay_ms: 10_000 }));
    }
    world.store.close();
    let clock = Arc::new(ManualClock::at(NOW_MS - HOUR_MS));
    let restarted = world.opened_again(&clock);
    assert_eq!(claimed_by(&*restarted), []);
    clock.set(NOW_MS - HOUR_MS + 10_000);
    assert_eq!(claimed_by(&*restarted).len(), put_back.len());
}

fn after_a_restart_with_a_clock_set_back_nothing_new_is_due_before_its_delay(world: &World) {
    world.clock.step(HOUR_MS);
    world.enqueue(step_message("keeps the time"));
    let delivery = world.claim_one();
    assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 0 }));
    let delivery = world.claim_one();
    assert!(world.settle(&delivery, Outcome::Ack));
    world.store.close();
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let restarted = world.opened_again(&clock);
    settled(|done| restarted.enqueue(step_message("sleeps"), 10_000, done))
        .expect("it is enqueued");
    assert_eq!(claimed_by(&*restarted), []);
    clock.set(NOW_MS + 10_000);
    assert_eq!(claimed_by(&*restarted).len(), 1);
}

fn a_process_whose_clock_is_behind_delivers_what_one_ahead_has_enqueued(world: &World) {
    let clock = Arc::new(ManualClock::at(NOW_MS - HOUR_MS));
    let behind = world.opened_again(&clock);
    assert_eq!(claimed_by(&*behind), []);
    world.enqueue(step_message("a"));
    assert_eq!(claimed_by(&*behind).len(), 1);
    settled(|done| behind.enqueue(step_message("b"), 0, done)).expect("it is enqueued");
    assert_eq!(world.claim(10).len(), 1);
}

fn another_process_takes_over_no_lease_because_the_clock_was_set_forwards(world: &World) {
    let neighbour = world.opened_again(&world.clock);
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    world.clock.step(HOUR_MS);
    assert_eq!(claimed_by(&*neighbour), [], "its owner may not have noticed yet");
    assert_eq!(world.extend(&[&delivery], LEASE_MS), []);
    world.passes(LEASE_MS);
    assert_eq!(claimed_by(&*neighbour), [], "it was extended since");
    world.passes(LEASE_MS);
    assert_eq!(claimed_by(&*neighbour).len(), 1, "its owner is silent");
    assert!(!world.settle(&delivery, Outcome::Ack));
}
