//! A worker refuses a message whose code it does not have. The message goes to the other workers, and is
//! held when none of them has the code.

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::fence::Fence;
use hookline::domain::message::{Delivery, NewMessage, Purpose};
use hookline::domain::page::PageRequest;
use hookline::domain::queue::hold::CodeMismatch;
use hookline::error::ErrorKind;
use hookline::store::{Outcome, Stopped, StoppedMessage};
use std::sync::Arc;

use crate::kit::rows::*;
use crate::kit::{World, bodies, replay, settled, step_message, wake_up};
use crate::owners::free_dead_leases;

run_by_every_store!(
    a_message_that_the_only_worker_refuses_is_held_and_its_attempt_does_not_count,
    a_held_message_is_due_again_when_a_worker_has_new_code,
    a_held_message_can_be_put_back_by_a_person,
    a_held_message_keeps_its_idempotency_key,
    a_held_message_absorbs_every_wake_up_of_its_run,
    the_end_of_a_run_deletes_its_held_messages,
    an_event_that_only_the_code_here_leads_to_is_refused_if_an_earlier_release_made_the_run,
    an_event_about_a_step_is_judged_by_the_age_of_the_step,
);
run_by_every_shared_store!(
    a_message_that_one_worker_refuses_goes_to_the_other_and_is_held_when_both_refuse,
    a_message_that_waits_for_a_worker_which_ends_is_held,
    an_event_that_only_the_code_here_leads_to_is_refused_while_another_worker_lives,
    an_event_that_only_the_code_here_leads_to_is_refused_if_another_worker_has_replayed_the_run,
);

fn refuse() -> Outcome {
    Outcome::Refuse { error: "no such code".into() }
}

fn held(world: &World) -> Vec<StoppedMessage> {
    let page = PageRequest::first(10);
    let held = settled(|done| world.store.stopped_messages(Stopped::Held, page, done));
    held.expect("held messages are read").items
}

fn take_up(world: &World) -> usize {
    settled(|done| world.store.take_up_refused(done)).expect("they are taken up")
}

fn a_message_that_the_only_worker_refuses_is_held_and_its_attempt_does_not_count(world: &World) {
    let message_id = world.enqueue(wake_up(1));
    world.at(5);
    assert!(world.settle(&world.claim_one(), refuse()));
    let expected = StoppedMessage {
        message_id,
        queue_name: wake_up(1).queue_name,
        run_id: Some(run_id(1)),
        attempt: 0,
        error: Some("no such code".into()),
        created_at_ms: NOW_MS,
        stopped_at_ms: NOW_MS + 5,
    };
    assert_eq!(held(world), [expected]);
    world.at(1_000_000);
    world.claims_nothing();
    let depth = settled(|done| world.store.queue_depth(vec![], done)).expect("the depth is read");
    assert_eq!((depth.held, depth.due, depth.oldest_due_ms), (1, 0, None));
}

fn a_held_message_is_due_again_when_a_worker_has_new_code(world: &World) {
    let message = world.enqueue(wake_up(1));
    assert_eq!(take_up(world), 0);
    assert!(world.settle(&world.claim_one(), refuse()));
    assert_eq!(take_up(world), 1);
    assert_eq!(held(world), []);
    let delivery = world.claim_one();
    assert_eq!((delivery.message_id, delivery.attempt), (message, 1));
}

fn a_held_message_can_be_put_back_by_a_person(world: &World) {
    let message = world.enqueue(step_message("a"));
    assert!(world.settle(&world.claim_one(), refuse()));
    assert_eq!(settled(|done| world.store.redrive(message, done)), Ok(message));
    assert_eq!(held(world), []);
    assert_eq!(world.claim_one().message_id, message);
}

fn a_held_message_keeps_its_idempotency_key(world: &World) {
    let keyed = || NewMessage { idempotency_key: Some("key".into()), ..step_message("a") };
    let message = world.enqueue(keyed());
    assert!(world.settle(&world.claim_one(), refuse()));
    assert_eq!(world.enqueue(keyed()), message);
    assert_eq!(settled(|done| world.store.redrive(message, done)), Ok(message));
    assert_eq!(world.claim_one().message_id, message);
}

fn a_held_message_absorbs_every_wake_up_of_its_run(world: &World) {
    world.start_runs(1);
    let message = world.enqueue(replay(1, "diverges"));
    let delivery = world.claim_one();
    world.enqueue(wake_up(1));
    world.enqueue_in(wake_up(1), 60_000);
    assert!(world.settle(&delivery, refuse()));
    assert_eq!(world.enqueue(wake_up(1)), message);
    assert_eq!(world.enqueue_in(wake_up(1), 60_000), message);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", Some("token")));
    world.at(60_000);
    world.claims_nothing();
    assert_eq!(take_up(world), 1);
    let deliveries = world.claim(10);
    assert_eq!(bodies(&deliveries), ["diverges"]);
    assert!(world.settle(&deliveries[0], Outcome::Ack));
    world.claims_nothing();
}

fn the_end_of_a_run_deletes_its_held_messages(world: &World) {
    world.start_runs(1);
    world.enqueue(replay(1, "diverges"));
    assert!(world.settle(&world.claim_one(), refuse()));
    world.does(1, step_created("s"));
    world.does(1, step_created("t"));
    let of_other = world.enqueue(NewMessage {
        idempotency_key: Some("of another run".into()),
        ..step_message("a")
    });
    let purpose = Purpose::Step { run_id: run_id(1), step_id: id("s") };
    world.enqueue(NewMessage { purpose, ..step_message("s") });
    for delivery in world.claim(2) {
        assert!(world.settle(&delivery, refuse()));
    }
    assert_eq!(held(world).len(), 3);
    world.does(1, EventBody::RunCancelled);
    let left: Vec<_> = held(world).into_iter().map(|message| message.message_id).collect();
    assert_eq!(left, [of_other]);
    settled(|done| world.store.redrive(of_other, done)).expect("it is there");
    assert_eq!(take_up(world), 0);
}

/// The event, from a process that loaded its code at this time.
fn mismatched(body: EventBody, code_loaded_at_ms: i64) -> EventRequest {
    EventRequest { code_mismatch: Some(CodeMismatch { code_loaded_at_ms }), ..request(1, body) }
}

fn an_event_that_only_the_code_here_leads_to_is_refused_if_an_earlier_release_made_the_run(
    world: &World,
) {
    world.start_runs(1);
    let failed = || EventBody::RunFailed(error("diverged"));
    let refused = world.tries(mismatched(failed(), NOW_MS + 1)).expect_err("other code may fit");
    assert_eq!((refused.kind, refused.kind.status()), (ErrorKind::CodeMismatch, Some(409)));
    assert_eq!(world.log_types(1), ["run_created", "run_started"]);
    world.tries(mismatched(failed(), NOW_MS)).expect("the code here has made the run");
    let ended = world.tries(mismatched(failed(), NOW_MS + 1)).expect_err("the run has ended");
    assert_eq!(ended.kind, ErrorKind::EntityConflict);
}

fn an_event_about_a_step_is_judged_by_the_age_of_the_step(world: &World) {
    world.start_runs(1);
    world.at(10);
    world.does(1, step_created("s"));
    let refused = world.tries(mismatched(step_started("s"), NOW_MS + 11));
    assert_eq!(refused.expect_err("other code may fit").kind, ErrorKind::CodeMismatch);
    world
        .tries(mismatched(step_started("s"), NOW_MS + 10))
        .expect("the code here has made the step");
}

/// Another worker on the same database.
fn neighbour(world: &World) -> World {
    let clock = Arc::new(ManualClock::at(world.clock_ms()));
    let neighbour = World::of(world.opened_again(&clock), clock);
    neighbour.claims_nothing();
    neighbour
}

fn a_message_that_one_worker_refuses_goes_to_the_other_and_is_held_when_both_refuse(world: &World) {
    world.claims_nothing();
    let other = neighbour(world);
    let message = world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), refuse()));
    assert_eq!(held(world), []);
    world.claims_nothing();
    let delivery = other.claim_one();
    assert_eq!((delivery.message_id, delivery.attempt), (message, 1));
    assert!(other.settle(&delivery, refuse()));
    assert_eq!(held(world).len(), 1);
    other.claims_nothing();
}

fn a_message_that_waits_for_a_worker_which_ends_is_held(world: &World) {
    world.claims_nothing();
    let other = neighbour(world);
    world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), refuse()));
    free_dead_leases(&*world.store);
    assert_eq!(held(world), []);
    other.store.close();
    free_dead_leases(&*world.store);
    assert_eq!(held(world).len(), 1);
}

fn an_event_that_only_the_code_here_leads_to_is_refused_while_another_worker_lives(world: &World) {
    world.claims_nothing();
    world.start_runs(1);
    let failed = || mismatched(EventBody::RunFailed(error("diverged")), NOW_MS);
    let other = neighbour(world);
    assert_eq!(world.tries(failed()).expect_err("it may").kind, ErrorKind::CodeMismatch);
    other.store.close();
    world.tries(failed()).expect("no other worker is alive");
}

fn an_event_that_only_the_code_here_leads_to_is_refused_if_another_worker_has_replayed_the_run(
    world: &World,
) {
    world.start_runs(2);
    let failed = |delivery: &Delivery| {
        let lease_token = delivery.lease_token.clone();
        let fence = Some(Fence { message_id: delivery.message_id, lease_token });
        EventRequest { fence, ..mismatched(EventBody::RunFailed(error("diverged")), NOW_MS) }
    };
    let other = neighbour(world);
    world.enqueue(wake_up(1));
    assert!(other.settle(&other.claim_one(), Outcome::Ack));
    other.store.close();
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    assert_eq!(world.tries(failed(&delivery)).expect_err("it may").kind, ErrorKind::CodeMismatch);
    world.enqueue(wake_up(2));
    let delivery = world.claim_one();
    let of_second = EventRequest { run_id: Some(run_id(2)), ..failed(&delivery) };
    world.tries(of_second).expect("only this worker has replayed the second run");
}
