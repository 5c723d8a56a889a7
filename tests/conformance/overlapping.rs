//! Deliveries of a run of line 5: steps always run, and a replay overlaps only deliveries that are
//! executing a step, or waiting for one.

use std::sync::mpsc::RecvTimeoutError;

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::fence::Fence;
use hookline::domain::id::MessageId;
use hookline::domain::message::{Delivery, NewMessage, Purpose};
use hookline::domain::queue::offer::Demand;
use hookline::error::ErrorKind;
use hookline::store::{EventReply, Outcome};

use crate::forgotten::search;
use crate::kit::rows::*;
use crate::kit::{LEASE_MS, PATIENCE, World, bodies, news_of, replay, settled, wake_up};

run_by_every_store!(
    a_replay_waits_for_a_delivery_until_that_executes_a_step,
    a_replay_waits_again_when_the_step_has_ended,
    a_replay_waits_while_any_delivery_executes_no_step,
    a_step_message_always_runs_and_is_overlapped_while_its_step_runs,
    a_step_message_that_goes_on_to_replay_is_overlapped_while_it_executes_another_step,
    a_replay_waits_for_no_replay_that_waits_for_a_step_of_another_delivery,
    a_replay_waits_for_no_step_message_that_waits_for_a_step_of_another_delivery,
    a_replay_waits_for_a_replay_while_a_queued_step_runs,
    step_messages_of_a_run_run_at_once,
    a_step_message_absorbs_no_wake_up_and_no_sleeping_one_joins_it,
    the_beginning_of_a_step_tells_the_queue_if_a_replay_waits,
    a_message_that_is_asked_for_again_is_the_same_and_counts_on,
    a_released_message_keeps_its_id_beside_a_sleeping_wake_up,
    a_wake_up_is_not_absorbed_by_a_message_that_was_delivered_before,
    a_key_holds_while_its_message_is_queued_or_in_flight,
    the_message_of_a_wait_keeps_its_content_and_its_key,
    the_end_of_a_step_wakes_nobody_and_leaves_nothing_forgotten,
    a_delivery_that_lost_its_lease_may_write_until_its_message_is_given_again,
    a_start_message_is_of_its_line_before_and_after_its_run_is_there,
    line_4_still_delivers_one_replay_of_a_run_at_a_time,
);
run_by_every_shared_store!(another_process_hears_that_a_replay_may_be_claimed,);

const SPEC_VERSION: u32 = 8;

fn tries(world: &World, body: EventBody) -> Result<EventReply, ErrorKind> {
    let request = EventRequest { spec_version: SPEC_VERSION, ..request(1, body) };
    world.tries(request).map_err(|error| error.kind)
}

fn does(world: &World, body: EventBody) -> EventReply {
    tries(world, body).expect("the rules allow it")
}

/// Starts run 1.
fn start(world: &World) {
    does(world, EventBody::RunCreated(creation()));
    does(world, EventBody::RunStarted(None));
}

/// A delivery creates and begins a step within its replay.
fn begins(world: &World, step: &str, delivery: &Delivery) {
    let owner = Some(delivery.message_id);
    let creates = Some("step//a".into());
    does(world, EventBody::StepStarted { step: id(step), owner, creates });
}

/// A message that executes a step of run 1.
fn step_message(step: &str) -> NewMessage {
    let purpose = Purpose::Step { run_id: run_id(1), step_id: id(step) };
    NewMessage { purpose, body: format!("step {step}").into(), ..wake_up(1) }
}

fn started(step: &str) -> EventBody {
    EventBody::StepStarted { step: id(step), owner: None, creates: None }
}

fn released(delay_ms: i64) -> Outcome {
    Outcome::Release { delay_ms, error: "no".into(), reached: true }
}

/// A delivery of run 1 that replays, and another wake-up behind it.
fn replaying_with_a_wake_up_behind(world: &World) -> (Delivery, MessageId) {
    start(world);
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    (delivery, world.enqueue(wake_up(1)))
}

fn a_replay_waits_for_a_delivery_until_that_executes_a_step(world: &World) {
    let (delivery, behind) = replaying_with_a_wake_up_behind(world);
    world.claims_nothing();
    begins(world, "s", &delivery);
    assert_eq!(world.claim_one().message_id, behind);
}

fn a_replay_waits_again_when_the_step_has_ended(world: &World) {
    let (delivery, behind) = replaying_with_a_wake_up_behind(world);
    begins(world, "s", &delivery);
    does(world, step_completed("s"));
    world.claims_nothing();
    begins(world, "t", &delivery);
    does(world, step_retrying("t", None));
    world.claims_nothing();
    assert!(world.settle(&delivery, Outcome::Ack));
    assert_eq!(world.claim_one().message_id, behind);
}

fn a_replay_waits_while_any_delivery_executes_no_step(world: &World) {
    let (first, _) = replaying_with_a_wake_up_behind(world);
    begins(world, "s", &first);
    let second = world.claim_one();
    let third = world.enqueue(wake_up(1));
    world.claims_nothing();
    begins(world, "t", &second);
    assert_eq!(world.claim_one().message_id, third);
}

fn a_step_message_always_runs_and_is_overlapped_while_its_step_runs(world: &World) {
    let (replaying, behind) = replaying_with_a_wake_up_behind(world);
    does(world, step_created("s"));
    world.enqueue(step_message("s"));
    let step = world.claim_one();
    assert_eq!(bodies(std::slice::from_ref(&step)), ["step s"]);
    assert!(world.settle(&replaying, Outcome::Ack));
    world.claims_nothing();
    does(world, started("s"));
    let woken = world.claim_one();
    assert_eq!(woken.message_id, behind);
    assert!(world.settle(&woken, Outcome::Ack));
    // The delivery of a step goes on with the run when its step has ended.
    does(world, step_completed("s"));
    world.enqueue(wake_up(1));
    world.claims_nothing();
}

fn a_step_message_that_goes_on_to_replay_is_overlapped_while_it_executes_another_step(
    world: &World,
) {
    start(world);
    does(world, step_created("s"));
    world.enqueue(step_message("s"));
    let delivery = world.claim_one();
    does(world, started("s"));
    does(world, step_completed("s"));
    let behind = world.enqueue(wake_up(1));
    world.claims_nothing();
    begins(world, "t", &delivery);
    assert_eq!(world.claim_one().message_id, behind);
}

/// Two deliveries that both go on with run 1, because their steps have ended together: a replay, and the
/// delivery of a step.
fn two_that_go_on(world: &World) -> [Delivery; 2] {
    start(world);
    world.enqueue(wake_up(1));
    let replay = world.claim_one();
    does(world, step_created("s"));
    world.enqueue(step_message("s"));
    let step = world.claim_one();
    begins(world, "a", &replay);
    does(world, started("s"));
    does(world, step_completed("a"));
    does(world, step_completed("s"));
    [replay, step]
}

/// One of two deliveries begins the next step of run 1, so the other one waits for it.
fn nobody_waits_but_for_replays(world: &World, begins_next: &Delivery) {
    world.enqueue(wake_up(1));
    world.claims_nothing();
    begins(world, "next", begins_next);
    for _ in 0..3 {
        let heard = world.claim_one();
        world.enqueue(wake_up(1));
        world.claims_nothing();
        assert!(world.settle(&heard, Outcome::Ack));
    }
    let heard = world.claim_one();
    world.enqueue(wake_up(1));
    begins(world, "heard", &heard);
    world.claim_one();
    does(world, step_completed("heard"));
    does(world, step_completed("next"));
    world.enqueue(wake_up(1));
    world.claims_nothing();
}

fn a_replay_waits_for_no_replay_that_waits_for_a_step_of_another_delivery(world: &World) {
    let [_, step] = two_that_go_on(world);
    nobody_waits_but_for_replays(world, &step);
}

fn a_replay_waits_for_no_step_message_that_waits_for_a_step_of_another_delivery(world: &World) {
    let [replay, _] = two_that_go_on(world);
    nobody_waits_but_for_replays(world, &replay);
}

fn a_replay_waits_for_a_replay_while_a_queued_step_runs(world: &World) {
    start(world);
    world.enqueue(wake_up(1));
    world.claim_one();
    does(world, step_created("s"));
    world.enqueue(step_message("s"));
    world.claim_one();
    does(world, started("s"));
    world.enqueue(wake_up(1));
    world.claims_nothing();
}

fn step_messages_of_a_run_run_at_once(world: &World) {
    start(world);
    for step in ["a", "b", "c"] {
        does(world, step_created(step));
        world.enqueue(step_message(step));
    }
    assert_eq!(bodies(&world.claim(10)), ["step a", "step b", "step c"]);
}

fn a_step_message_absorbs_no_wake_up_and_no_sleeping_one_joins_it(world: &World) {
    start(world);
    let step = world.enqueue(step_message("s"));
    assert_ne!(world.enqueue(wake_up(1)), step);
    let sleeping = world.enqueue_in(step_message("t"), 5000);
    assert_ne!(world.enqueue_in(wake_up(1), 9000), sleeping);
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 5000));
}

fn the_beginning_of_a_step_tells_the_queue_if_a_replay_waits(world: &World) {
    let (delivery, behind) = replaying_with_a_wake_up_behind(world);
    let news = news_of(&*world.store, |news| (news.queue, news.streams.clone()));
    // News come in the order of the commits, and each write of a stream makes some.
    let was_told = |marker: &str| {
        world.write(marker, &["chunk"]);
        let told = || news.recv_timeout(PATIENCE).expect("the marker comes");
        let mut queue = false;
        loop {
            match told() {
                (_, streams) if streams.iter().any(|name| name == marker) => return queue,
                (of_queue, _) => queue |= of_queue,
            }
        }
    };
    was_told("before");
    begins(world, "s", &delivery);
    assert!(was_told("a replay waits"));
    assert_eq!(world.claim_one().message_id, behind);
    was_told("claimed");
    begins(world, "t", &delivery);
    assert!(!was_told("nothing waits"));
}

fn another_process_hears_that_a_replay_may_be_claimed(world: &World) {
    let (delivery, behind) = replaying_with_a_wake_up_behind(world);
    let other = World::of(world.opened_again(&world.clock), world.clock.clone());
    other.claims_nothing();
    let news = news_of(&*other.store, |news| news.elsewhere);
    other.store.watch_elsewhere(true);
    begins(world, "s", &delivery);
    loop {
        match news.recv_timeout(PATIENCE) {
            Ok(true) => break,
            Ok(false) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("the other process hears nothing")
            }
        }
    }
    assert_eq!(other.claim_one().message_id, behind);
}

fn a_message_that_is_asked_for_again_is_the_same_and_counts_on(world: &World) {
    start(world);
    for message in [wake_up(1), replay(1, "content"), step_message("s")] {
        let message_id = world.enqueue(message);
        for attempt in 1..=3 {
            let delivery = world.claim_one();
            assert_eq!((delivery.message_id, delivery.attempt), (message_id, attempt));
            assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 0 }));
        }
        assert!(world.settle(&world.claim_one(), Outcome::Ack));
    }
}

fn a_released_message_keeps_its_id_beside_a_sleeping_wake_up(world: &World) {
    start(world);
    let backstop = world.enqueue_in(wake_up(1), 860_000);
    let message_id = world.enqueue(wake_up(1));
    for outcome in [released(1000), Outcome::Reschedule { delay_ms: 1000 }] {
        assert!(world.settle(&world.claim_one(), outcome));
        world.at(world.clock_ms() - NOW_MS + 1000);
        let delivery = world.claim_one();
        assert_eq!(delivery.message_id, message_id);
        assert!(world.settle(&delivery, released(0)));
    }
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    world.at(860_000);
    assert_eq!(world.claim_one().message_id, backstop);
}

fn a_wake_up_is_not_absorbed_by_a_message_that_was_delivered_before(world: &World) {
    start(world);
    let first = world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), released(0)));
    let second = world.enqueue(wake_up(1));
    assert_ne!(first, second);
    assert_eq!(world.enqueue(wake_up(1)), second);
}

fn a_key_holds_while_its_message_is_queued_or_in_flight(world: &World) {
    start(world);
    for message in [step_message("s"), replay(1, "content")] {
        let keyed = NewMessage { idempotency_key: Some("key".into()), ..message };
        let first = world.enqueue(keyed.clone());
        assert_eq!(world.enqueue(keyed.clone()), first);
        let delivery = world.claim_one();
        // The delivery of a step enqueues its own message again, and then asks for it.
        assert_eq!(world.enqueue_in(keyed.clone(), 5000), first);
        assert!(world.settle(&delivery, Outcome::Ack));
        let second = world.enqueue(keyed.clone());
        assert_ne!(first, second);
        assert!(world.settle(&world.claim_one(), Outcome::Ack));
    }
}

fn the_message_of_a_wait_keeps_its_content_and_its_key(world: &World) {
    start(world);
    let key = Some("wait_1:5".to_owned());
    let wait = NewMessage { idempotency_key: key.clone(), ..replay(1, "waitContinuation") };
    let message_id = world.enqueue_in(wait, 5000);
    let wake_up = world.enqueue(wake_up(1));
    assert_eq!(world.claim_one().message_id, wake_up);
    let again = NewMessage { idempotency_key: key, ..replay(1, "waitContinuation") };
    assert_eq!(world.enqueue_in(again, 5000), message_id);
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 5000));
}

fn the_end_of_a_step_wakes_nobody_and_leaves_nothing_forgotten(world: &World) {
    start(world);
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    for (step, end) in [("s", step_completed("s")), ("t", step_failed("t"))] {
        begins(world, step, &delivery);
        assert_eq!(does(world, end).wake_up, None);
    }
    assert!(world.settle(&delivery, Outcome::Ack));
    world.claims_nothing();
    assert_eq!(search(world), 0, "the delivery has gone on with the run");
}

fn a_delivery_that_lost_its_lease_may_write_until_its_message_is_given_again(world: &World) {
    let (delivery, _) = replaying_with_a_wake_up_behind(world);
    begins(world, "s", &delivery);
    let lease_token = delivery.lease_token.clone();
    let fence = Some(Fence { message_id: delivery.message_id, lease_token });
    let write = |body| {
        let of_delivery =
            EventRequest { fence: fence.clone(), spec_version: SPEC_VERSION, ..request(1, body) };
        world.tries(of_delivery).map(drop).map_err(|error| error.kind)
    };
    world.at(LEASE_MS);
    settled(|done| world.store.free_dead_leases(done)).expect("they are looked for");
    assert_eq!(write(step_completed("s")), Ok(()));
    let again = world.claim(1).remove(0);
    assert_eq!((again.message_id, again.attempt), (delivery.message_id, 2));
    assert_eq!(write(step_created("t")), Err(ErrorKind::LeaseLost));
}

fn a_start_message_is_of_its_line_before_and_after_its_run_is_there(world: &World) {
    let demand = Demand { deployment_id: String::new(), spec_version: SPEC_VERSION };
    let starting = NewMessage { purpose: Purpose::Start(run_id(1)), demand, ..wake_up(1) };
    world.enqueue(starting);
    let delivery = world.claim_one();
    start(world);
    let behind = world.enqueue(wake_up(1));
    world.claims_nothing();
    begins(world, "s", &delivery);
    assert_eq!(world.claim_one().message_id, behind);
}

fn line_4_still_delivers_one_replay_of_a_run_at_a_time(world: &World) {
    world.start_runs(1);
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    world.does(1, step_created("s"));
    world.does(1, step_started("s"));
    world.enqueue(wake_up(1));
    world.claims_nothing();
    world.enqueue(step_message("s"));
    assert_eq!(bodies(&[world.claim_one()]), ["step s"]);
    assert!(world.settle(&delivery, Outcome::Ack));
    world.claim_one();
}
