//! Wake-ups coalesce: a run has at most one due and one sleeping wake-up, so n resumes do not cost n
//! replays. No wake-up is lost while it is needed.

use hookline::domain::event::EventBody;
use hookline::domain::message::NewMessage;
use hookline::store::{Outcome, QueueDepth};

use crate::kit::rows::*;
use crate::kit::{World, bodies, replay, settled, start_message, step_message, wake_up};

run_by_every_store!(
    a_due_wake_up_absorbs_the_next_one,
    a_due_replay_with_content_absorbs_a_wake_up,
    a_message_with_content_is_never_absorbed,
    wake_ups_of_different_runs_do_not_meet,
    wake_ups_of_different_queues_do_not_meet,
    a_wake_up_during_a_delivery_is_kept_and_delivered_next,
    of_many_wake_ups_during_a_delivery_one_is_kept,
    a_sleeping_wake_up_does_not_absorb_a_due_one,
    a_due_wake_up_does_not_absorb_a_sleeping_one,
    a_run_has_one_sleeping_wake_up_which_takes_the_earlier_time,
    a_rescheduled_wake_up_joins_the_one_that_sleeps_already,
    a_wake_up_rescheduled_for_now_stays_beside_the_sleeping_one,
    failed_wake_ups_of_one_run_do_not_pile_up,
    a_released_wake_up_that_joins_another_keeps_the_higher_attempt,
    a_rescheduled_message_with_content_joins_nothing,
    a_dead_wake_up_absorbs_nothing,
    resumes_of_one_run_share_a_wake_up,
    the_runtimes_wake_up_and_the_engines_are_one,
    a_resume_during_a_delivery_is_delivered_next,
    the_end_of_a_run_takes_its_wake_ups_along_and_nothing_else,
    a_start_message_carries_its_input_until_its_run_is_there,
    a_start_message_of_a_run_that_is_there_only_wakes_it,
    a_start_message_that_sleeps_goes_with_its_run,
);

fn released(delay_ms: i64) -> Outcome {
    Outcome::Release { delay_ms, error: "no".into(), reached: true }
}

fn a_due_wake_up_absorbs_the_next_one(world: &World) {
    let first = world.enqueue(wake_up(1));
    world.at(10);
    assert_eq!(world.enqueue(wake_up(1)), first);
    assert_eq!(world.claim_one().message_id, first);
    world.claims_nothing();
}

fn a_due_replay_with_content_absorbs_a_wake_up(world: &World) {
    let first = world.enqueue(replay(1, "content"));
    assert_eq!(world.enqueue(wake_up(1)), first);
    assert_eq!(bodies(&[world.claim_one()]), ["content"]);
}

fn a_message_with_content_is_never_absorbed(world: &World) {
    world.enqueue(wake_up(1));
    world.enqueue(replay(1, "content"));
    world.enqueue(replay(1, "content"));
    world.enqueue_in(replay(1, "sleeping content"), 10);
    world.enqueue_in(replay(1, "sleeping content"), 10);
    world.at(10);
    let mut delivered = Vec::new();
    for _ in 0..5 {
        let delivery = world.claim_one();
        delivered.extend(bodies(std::slice::from_ref(&delivery)));
        assert!(world.settle(&delivery, Outcome::Ack));
    }
    assert_eq!(delivered[1..], ["content", "content", "sleeping content", "sleeping content"]);
    world.claims_nothing();
}

fn wake_ups_of_different_runs_do_not_meet(world: &World) {
    world.enqueue(wake_up(1));
    world.enqueue(wake_up(2));
    assert_eq!(world.claim(10).len(), 2);
}

fn wake_ups_of_different_queues_do_not_meet(world: &World) {
    let first = world.enqueue(wake_up(1));
    let mut other = wake_up(1);
    other.queue_name = "__app_wkf_workflow_workflow//a".into();
    assert_ne!(world.enqueue(other.clone()), first);
    assert_ne!(world.enqueue_in(wake_up(1), 10), world.enqueue_in(other, 10));
}

fn a_wake_up_during_a_delivery_is_kept_and_delivered_next(world: &World) {
    let first = world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    let second = world.enqueue(wake_up(1));
    assert_ne!(first, second);
    world.claims_nothing();
    assert!(world.settle(&delivery, Outcome::Ack));
    assert_eq!(world.claim_one().message_id, second);
}

fn of_many_wake_ups_during_a_delivery_one_is_kept(world: &World) {
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    let kept = world.enqueue(wake_up(1));
    for _ in 0..5 {
        assert_eq!(world.enqueue(wake_up(1)), kept);
    }
    assert!(world.settle(&delivery, Outcome::Ack));
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    world.claims_nothing();
}

fn a_sleeping_wake_up_does_not_absorb_a_due_one(world: &World) {
    let sleeping = world.enqueue_in(wake_up(1), 5000);
    let due = world.enqueue(wake_up(1));
    assert_ne!(sleeping, due);
    let delivery = world.claim_one();
    assert_eq!(delivery.message_id, due);
    assert!(world.settle(&delivery, Outcome::Ack));
    world.at(5000);
    assert_eq!(world.claim_one().message_id, sleeping);
}

fn a_due_wake_up_does_not_absorb_a_sleeping_one(world: &World) {
    let due = world.enqueue(wake_up(1));
    let sleeping = world.enqueue_in(wake_up(1), 5000);
    assert_ne!(sleeping, due);
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    world.claims_nothing();
    world.at(5000);
    assert_eq!(world.claim_one().message_id, sleeping);
}

fn a_run_has_one_sleeping_wake_up_which_takes_the_earlier_time(world: &World) {
    let sleeping = world.enqueue_in(wake_up(1), 5000);
    assert_eq!(world.enqueue_in(wake_up(1), 9000), sleeping);
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 5000));
    assert_eq!(world.enqueue_in(wake_up(1), 3000), sleeping);
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 3000));
    world.at(9000);
    let delivery = world.claim_one();
    assert_eq!(delivery.message_id, sleeping);
    assert!(world.settle(&delivery, Outcome::Ack));
    world.claims_nothing();
}

fn a_rescheduled_wake_up_joins_the_one_that_sleeps_already(world: &World) {
    for (start_ms, delay_ms, wakes_in_ms) in [(0, 9000, 5000), (10_000, 3000, 3000)] {
        world.at(start_ms);
        let sleeping = world.enqueue_in(wake_up(1), 5000);
        world.enqueue(wake_up(1));
        assert!(world.settle(&world.claim_one(), Outcome::Reschedule { delay_ms }));
        assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + start_ms + wakes_in_ms));
        world.at(start_ms + 9000);
        let delivery = world.claim_one();
        assert_eq!(delivery.message_id, sleeping);
        assert!(world.settle(&delivery, Outcome::Ack));
        world.claims_nothing();
    }
}

fn a_wake_up_rescheduled_for_now_stays_beside_the_sleeping_one(world: &World) {
    let sleeping = world.enqueue_in(wake_up(1), 5000);
    let due = world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), Outcome::Reschedule { delay_ms: 0 }));
    let delivery = world.claim_one();
    assert_eq!(delivery.message_id, due);
    assert!(world.settle(&delivery, Outcome::Ack));
    world.at(5000);
    assert_eq!(world.claim_one().message_id, sleeping);
}

fn failed_wake_ups_of_one_run_do_not_pile_up(world: &World) {
    // The app is down: each resume wakes the run, and each delivery fails.
    for _ in 0..10 {
        world.enqueue(wake_up(1));
        assert!(world.settle(&world.claim_one(), released(5000)));
    }
    // The app is back: one replay sees all payloads.
    world.at(5000);
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    world.claims_nothing();
}

fn a_released_wake_up_that_joins_another_keeps_the_higher_attempt(world: &World) {
    world.enqueue(wake_up(1));
    for _ in 0..3 {
        assert!(world.settle(&world.claim_one(), released(0)));
    }
    assert!(world.settle(&world.claim_one(), released(5000)));
    // Another wake-up fails once and joins the one that has failed four times.
    world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), released(3000)));
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 3000));
    world.at(5000);
    assert_eq!(world.claim_one().attempt, 5);
}

fn a_rescheduled_message_with_content_joins_nothing(world: &World) {
    world.enqueue_in(wake_up(1), 5000);
    let id = world.enqueue(replay(1, "content"));
    assert!(world.settle(&world.claim_one(), Outcome::Reschedule { delay_ms: 3000 }));
    world.enqueue(step_message("a step"));
    assert!(world.settle(&world.claim_one(), Outcome::Reschedule { delay_ms: 3000 }));
    world.at(3000);
    let deliveries = world.claim(10);
    assert_eq!(bodies(&deliveries), ["content", "a step"]);
    assert_eq!(deliveries[0].message_id, id);
}

fn a_dead_wake_up_absorbs_nothing(world: &World) {
    let dead = world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), Outcome::Dead { error: "no".into() }));
    let next = world.enqueue(wake_up(1));
    assert_ne!(dead, next);
    assert_eq!(world.claim_one().message_id, next);
}

fn resumes_of_one_run_share_a_wake_up(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let first = world.does(1, hook_received("h", None)).wake_up;
    assert!(first.is_some());
    for _ in 0..5 {
        assert_eq!(world.does(1, hook_received("h", None)).wake_up, first);
    }
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    world.claims_nothing();
}

fn the_runtimes_wake_up_and_the_engines_are_one(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let engines = world.does(1, hook_received("h", None)).wake_up;
    assert_eq!(Some(world.enqueue(wake_up(1))), engines);
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    let runtimes = world.enqueue(wake_up(1));
    assert_eq!(world.does(1, hook_received("h", None)).wake_up, Some(runtimes));
}

fn a_resume_during_a_delivery_is_delivered_next(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    let kept = world.does(1, hook_received("h", None)).wake_up.expect("it wakes the run");
    assert_ne!(kept, delivery.message_id);
    // The wake-up must not be lost, even if the delivery saw the payload and wants to sleep.
    assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 60_000 }));
    assert_eq!(world.claim_one().message_id, kept);
}

fn the_end_of_a_run_takes_its_wake_ups_along_and_nothing_else(world: &World) {
    world.start_runs(2);
    world.enqueue(wake_up(1));
    let in_flight = world.claim_one();
    world.enqueue(wake_up(1));
    world.enqueue_in(wake_up(1), 5000);
    world.enqueue(replay(1, "content"));
    world.enqueue(step_message("a step"));
    world.enqueue(wake_up(2));
    world.does(1, EventBody::RunCompleted);
    // The delivery that ended the run still has its lease.
    assert!(world.holds(&in_flight));
    assert!(world.settle(&in_flight, Outcome::Ack));
    let deliveries = world.claim(10);
    assert_eq!(bodies(&deliveries)[..2], ["content", "a step"]);
    assert_eq!(deliveries.len(), 3);
    world.at(5000);
    world.claims_nothing();
}

fn body_of(message: NewMessage) -> String {
    String::from_utf8(message.body).expect("a body is text")
}

fn a_start_message_carries_its_input_until_its_run_is_there(world: &World) {
    world.enqueue(start_message(1));
    let started = world.claim_one();
    assert_eq!(bodies(std::slice::from_ref(&started)), [body_of(start_message(1))]);
    // `run_started` makes the run while the message is delivered.
    world.start_runs(1);
    assert!(world.settle(&started, Outcome::Reschedule { delay_ms: 0 }));
    assert_eq!(bodies(&[world.claim_one()]), [body_of(wake_up(1))]);
}

fn a_start_message_of_a_run_that_is_there_only_wakes_it(world: &World) {
    world.start_runs(1);
    let first = world.enqueue(start_message(1));
    assert_eq!(world.enqueue(wake_up(1)), first);
    assert_eq!(bodies(&[world.claim_one()]), [body_of(wake_up(1))]);
    world.claims_nothing();
}

fn a_start_message_that_sleeps_goes_with_its_run(world: &World) {
    for (run, comes_first) in [(1, true), (2, false)] {
        if comes_first {
            world.enqueue(start_message(run));
        }
        world.does(run, EventBody::RunCreated(creation()));
        if !comes_first {
            world.enqueue(start_message(run));
        }
        let delivery = world.claim_one();
        world.does(run, EventBody::RunStarted(None));
        world.does(run, hook_created("h", &format!("token {run}")));
        assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 60_000 }));
        // Wake-ups that arrive meanwhile sleep in the same message.
        world.does(run, hook_received("h", None));
        assert!(world.settle(&world.claim_one(), Outcome::Reschedule { delay_ms: 50_000 }));
        assert_eq!(depth(world).sleeping, 1);
        world.does(run, EventBody::RunCancelled);
        assert_eq!(depth(world).sleeping, 0);
    }
}

fn depth(world: &World) -> QueueDepth {
    settled(|done| world.store.queue_depth(vec![], done)).expect("the queue is counted")
}
