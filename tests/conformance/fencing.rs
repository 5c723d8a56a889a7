//! A delivery that has lost its lease writes no more events to its run's log, and enqueues no more
//! messages that only a delivery may enqueue.

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::fence::Fence;
use hookline::domain::message::{Delivery, NewMessage};
use hookline::error::ErrorKind;
use hookline::store::Outcome;

use crate::kit::rows::{
    hook_created, hook_received, request, step_completed, step_created, step_started,
};
use crate::kit::{LEASE_MS, World, replay, settled, step_message, wake_up};

run_by_every_store!(
    a_delivery_writes_while_it_has_its_lease,
    a_lease_that_expired_and_that_nobody_took_still_lets_write,
    a_delivery_whose_lease_was_taken_writes_nothing,
    a_replay_that_was_given_back_writes_nothing,
    a_step_that_was_given_back_writes_until_somebody_is_given_it,
    a_start_that_only_reads_is_fenced_too,
    what_anybody_may_write_needs_no_lease,
    a_stale_delivery_enqueues_no_step_and_still_may_wake,
    a_refused_write_leaves_the_wake_up_of_another_alone,
    a_stale_write_in_a_batch_hurts_no_other,
);

fn fenced(body: EventBody, delivery: &Delivery) -> EventRequest {
    EventRequest { fence: Some(fence(delivery)), ..request(1, body) }
}

fn fence(delivery: &Delivery) -> Fence {
    Fence { message_id: delivery.message_id, lease_token: delivery.lease_token.clone() }
}

/// A running run, and the delivery of its replay.
fn replayed(world: &World) -> Delivery {
    world.start_runs(1);
    world.enqueue(replay(1, "replay"));
    world.claim_one()
}

/// The delivery that has lost its lease, and the one that has the lease.
fn taken(world: &World) -> (Delivery, Delivery) {
    let stale = replayed(world);
    world.at(LEASE_MS);
    let current = world.claim_one();
    assert_eq!(stale.message_id, current.message_id);
    (stale, current)
}

fn is_refused(world: &World, stale: &Delivery, body: EventBody) {
    let before = world.log(1);
    let error = world.tries(fenced(body, stale)).expect_err("the lease is lost");
    assert_eq!((error.kind, error.kind.status()), (ErrorKind::LeaseLost, Some(409)));
    assert!(!error.message.contains(stale.lease_token.expose()));
    assert_eq!(world.log(1), before);
}

fn a_delivery_writes_while_it_has_its_lease(world: &World) {
    let delivery = replayed(world);
    for body in [EventBody::RunStarted(None), step_created("s"), EventBody::RunCompleted] {
        world.tries(fenced(body, &delivery)).expect("the lease holds");
    }
    assert_eq!(world.log_types(1), ["run_created", "run_started", "step_created", "run_completed"]);
}

fn a_lease_that_expired_and_that_nobody_took_still_lets_write(world: &World) {
    let delivery = replayed(world);
    world.at(2 * LEASE_MS);
    world.tries(fenced(step_created("s"), &delivery)).expect("nobody else has the message");
}

fn a_delivery_whose_lease_was_taken_writes_nothing(world: &World) {
    let (stale, current) = taken(world);
    world.tries(fenced(step_created("of the current"), &current)).expect("the lease holds");
    for body in [
        step_created("s"),
        step_created("of the current"),
        hook_created("h", "token"),
        EventBody::RunCompleted,
    ] {
        is_refused(world, &stale, body);
    }
    world.tries(fenced(EventBody::RunCompleted, &current)).expect("the lease holds");
    is_refused(world, &stale, EventBody::RunCompleted);
}

fn a_replay_that_was_given_back_writes_nothing(world: &World) {
    let delivery = replayed(world);
    let outcome = Outcome::Release { delay_ms: 1000, error: "gone".into(), reached: true };
    assert!(world.settle(&delivery, outcome));
    is_refused(world, &delivery, step_created("s"));
}

fn a_step_that_was_given_back_writes_until_somebody_is_given_it(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.enqueue(step_message("s"));
    let delivery = world.claim_one();
    world.tries(fenced(step_started("s"), &delivery)).expect("the lease holds");
    let outcome = Outcome::Release { delay_ms: 1000, error: "gone".into(), reached: true };
    assert!(world.settle(&delivery, outcome));
    world.tries(fenced(step_started("s"), &delivery)).expect("nobody else has been given it");
    world.at(1000);
    let again = world.claim_one();
    is_refused(world, &delivery, step_completed("s"));
    world.tries(fenced(step_completed("s"), &again)).expect("the lease holds");
    assert!(world.settle(&again, Outcome::Ack));
}

fn a_start_that_only_reads_is_fenced_too(world: &World) {
    let (stale, current) = taken(world);
    is_refused(world, &stale, EventBody::RunStarted(None));
    let reply = world.tries(fenced(EventBody::RunStarted(None), &current)).expect("it holds");
    assert!(reply.events.is_some());
}

fn what_anybody_may_write_needs_no_lease(world: &World) {
    let (stale, current) = taken(world);
    world.tries(fenced(hook_created("h", "token"), &current)).expect("the lease holds");
    world.tries(fenced(hook_received("h", None), &stale)).expect("a step may resume a hook");
    world.tries(fenced(EventBody::RunCancelled, &stale)).expect("a step may cancel a run");
}

fn a_stale_delivery_enqueues_no_step_and_still_may_wake(world: &World) {
    let (stale, current) = taken(world);
    let of = |message: NewMessage, delivery: &Delivery| {
        let message = NewMessage { fence: Some(fence(delivery)), ..message };
        settled(|done| world.store.enqueue(message, 0, done))
    };
    for message in [step_message("step"), replay(1, "more")] {
        let refused = of(message.clone(), &stale).expect_err("the lease is lost");
        assert_eq!(refused.kind, ErrorKind::LeaseLost);
        of(message, &current).expect("the lease holds");
    }
    of(wake_up(2), &stale).expect("anybody may wake a run");
}

fn a_refused_write_leaves_the_wake_up_of_another_alone(world: &World) {
    let (stale, current) = taken(world);
    world.tries(fenced(step_created("s"), &current)).expect("the lease holds");
    world.does(1, step_started("s"));
    is_refused(world, &stale, step_completed("s"));
    assert!(world.settle(&current, Outcome::Ack));
    world.claims_nothing();
    world.does(1, step_completed("s"));
    world.claim_one();
}

fn a_stale_write_in_a_batch_hurts_no_other(world: &World) {
    let (stale, current) = taken(world);
    let outcomes: Vec<_> = (0..50)
        .map(|number| {
            let (done, outcome) = hookline::store::Completion::channel();
            let by = if number % 2 == 0 { &current } else { &stale };
            let body = step_created(&format!("s{number}"));
            world.store.append_event(fenced(body, by), done);
            (number, outcome)
        })
        .collect();
    for (number, outcome) in outcomes {
        let outcome = outcome.recv().expect("the store settles every operation");
        assert_eq!(outcome.is_ok(), number % 2 == 0, "{number}");
    }
    assert_eq!(world.log(1).len(), 2 + 25);
}
