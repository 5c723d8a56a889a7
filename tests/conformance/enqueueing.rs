//! Enqueueing and claiming in order: idempotency keys, due times, claims.

use hookline::domain::fence::Fence;
use hookline::domain::message::NewMessage;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{Enqueued, Outcome};

use crate::kit::rows::NOW_MS;
use crate::kit::{
    STEP_PREFIX, WORKFLOW_PREFIX, World, bodies, replay, settled, step_message, wake_up,
};

run_by_every_store!(
    a_message_is_delivered_as_it_was_enqueued,
    messages_that_are_enqueued_together_keep_their_order_and_their_keys,
    of_messages_that_are_enqueued_together_one_with_a_lost_lease_refuses_all,
    messages_are_claimed_in_the_order_in_which_they_fell_due,
    messages_of_several_queues_are_claimed_in_the_order_in_which_they_fell_due,
    messages_that_fall_due_together_are_claimed_in_the_order_of_their_enqueueing,
    a_message_is_claimed_at_its_time_and_not_before,
    a_claim_tells_when_the_next_message_falls_due,
    a_claim_does_not_tell_of_messages_in_queues_that_it_does_not_name,
    a_claim_takes_at_most_what_it_asks_for,
    a_claim_takes_only_the_queues_it_names,
    a_message_is_claimed_once,
    of_one_run_one_replay_is_claimed_at_a_time,
    replays_of_different_runs_and_steps_run_side_by_side,
    a_claim_is_filled_with_other_runs_when_one_has_many_messages,
    messages_of_one_run_are_delivered_in_order,
    a_second_message_with_the_key_is_the_first_one_while_that_is_queued,
    a_second_message_with_the_key_is_the_first_one_while_that_is_delivered,
    a_key_is_free_again_when_its_message_is_done_or_dead,
    messages_without_a_key_are_never_the_same,
    message_ids_grow_and_print_distinct_names,
    concurrent_claims_share_no_message,
);

fn keyed(key: &str, content: &str) -> NewMessage {
    NewMessage { idempotency_key: Some(key.into()), ..step_message(content) }
}

fn a_message_is_delivered_as_it_was_enqueued(world: &World) {
    let id = world.enqueue(step_message(r#"{"stepId":"s"}"#));
    let delivery = world.claim_one();
    assert_eq!((delivery.message_id, delivery.attempt), (id, 1));
    assert_eq!(delivery.queue_name, format!("{STEP_PREFIX}step//a"));
    assert_eq!(delivery.body, br#"{"stepId":"s"}"#);
    let every_byte = NewMessage { body: (0..=255).collect(), ..step_message("") };
    world.enqueue(every_byte.clone());
    assert_eq!(world.claim_one().body, every_byte.body);
}

fn messages_are_claimed_in_the_order_in_which_they_fell_due(world: &World) {
    world.enqueue_in(step_message("third"), 30);
    world.enqueue_in(step_message("first"), 10);
    world.enqueue_in(step_message("second"), 20);
    world.at(30);
    assert_eq!(bodies(&world.claim(10)), ["first", "second", "third"]);
}

/// A message of its own queue.
fn of_queue(queue: &str, content: &str) -> NewMessage {
    NewMessage { queue_name: format!("{STEP_PREFIX}{queue}"), ..step_message(content) }
}

fn messages_of_several_queues_are_claimed_in_the_order_in_which_they_fell_due(world: &World) {
    for (queue, content, delay_ms) in
        [("b", "4", 40), ("a", "3", 30), ("c", "1", 10), ("a", "2", 20), ("b", "5", 50)]
    {
        world.enqueue_in(of_queue(queue, content), delay_ms);
    }
    world.at(45);
    assert_eq!(bodies(&world.claim(3)), ["1", "2", "3"]);
    let claimed = world.claimed(3);
    assert_eq!(bodies(&claimed.deliveries), ["4"]);
    assert_eq!(claimed.next_due_at_ms, Some(NOW_MS + 50));
}

fn messages_that_fall_due_together_are_claimed_in_the_order_of_their_enqueueing(world: &World) {
    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for content in &expected {
        world.enqueue(step_message(content));
    }
    assert_eq!(bodies(&world.claim(20)), expected);
}

fn a_message_is_claimed_at_its_time_and_not_before(world: &World) {
    world.enqueue_in(step_message("later"), 5000);
    world.claims_nothing();
    world.at(4999);
    world.claims_nothing();
    world.at(5000);
    assert_eq!(bodies(&world.claim(10)), ["later"]);
}

fn a_claim_tells_when_the_next_message_falls_due(world: &World) {
    assert_eq!(world.claimed(10).next_due_at_ms, None);
    world.enqueue_in(step_message("late"), 9000);
    world.enqueue_in(step_message("soon"), 5000);
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 5000));
    world.at(5000);
    let claimed = world.claimed(10);
    assert_eq!(bodies(&claimed.deliveries), ["soon"]);
    assert_eq!(claimed.next_due_at_ms, Some(NOW_MS + 9000));
    world.at(9000);
    assert_eq!(world.claimed(10).next_due_at_ms, None);
}

fn a_claim_does_not_tell_of_messages_in_queues_that_it_does_not_name(world: &World) {
    world.enqueue_in(of_queue("a", "step"), 5000);
    world.enqueue_in(wake_up(1), 7000);
    let of_workflows = world.claimed_of(10, &[WORKFLOW_PREFIX]);
    assert_eq!(of_workflows.next_due_at_ms, Some(NOW_MS + 7000));
    assert_eq!(world.claimed(10).next_due_at_ms, Some(NOW_MS + 5000));
}

fn a_claim_takes_at_most_what_it_asks_for(world: &World) {
    for content in ["a", "b", "c"] {
        world.enqueue(step_message(content));
    }
    assert_eq!(bodies(&world.claim(2)), ["a", "b"]);
    assert_eq!(world.claim(0), []);
    assert_eq!(bodies(&world.claim(2)), ["c"]);
}

fn a_claim_takes_only_the_queues_it_names(world: &World) {
    world.enqueue(step_message("step"));
    world.enqueue(wake_up(1));
    let other = NewMessage { queue_name: "__app_wkf_step_a".into(), ..step_message("other app") };
    world.enqueue(other);
    assert_eq!(world.claimed_of(10, &[]).deliveries, []);
    assert_eq!(world.claimed_of(10, &["__other", "__wkf_step_x", "wkf_"]).deliveries, []);
    assert_eq!(bodies(&world.claimed_of(10, &[STEP_PREFIX]).deliveries), ["step"]);
    // A store may remember the queues of earlier claims.
    world.enqueue(step_message("later"));
    assert_eq!(world.claimed_of(10, &[WORKFLOW_PREFIX]).deliveries.len(), 1);
    assert_eq!(bodies(&world.claimed_of(10, &["__app_wkf_"]).deliveries), ["other app"]);
}

fn a_message_is_claimed_once(world: &World) {
    world.enqueue(step_message("a"));
    world.claim_one();
    world.claims_nothing();
}

fn of_one_run_one_replay_is_claimed_at_a_time(world: &World) {
    world.enqueue(replay(1, "first"));
    world.enqueue(replay(1, "second"));
    let first = world.claim_one();
    world.claims_nothing();
    assert!(world.settle(&first, Outcome::Ack));
    let second = world.claim_one();
    assert_eq!(bodies(&[first, second]), ["first", "second"]);
}

fn replays_of_different_runs_and_steps_run_side_by_side(world: &World) {
    world.enqueue(wake_up(1));
    world.enqueue(wake_up(2));
    world.enqueue(step_message("a step of run 1"));
    world.enqueue(step_message("another step of run 1"));
    assert_eq!(world.claim(10).len(), 4);
}

fn a_claim_is_filled_with_other_runs_when_one_has_many_messages(world: &World) {
    for number in 0..20 {
        world.enqueue(replay(1, &format!("1 {number}")));
    }
    world.enqueue(replay(2, "2"));
    world.enqueue(replay(3, "3"));
    world.enqueue(step_message("s"));
    assert_eq!(bodies(&world.claim(3)), ["1 0", "2", "3"]);
    assert_eq!(bodies(&world.claim(3)), ["s"]);
}

fn messages_of_one_run_are_delivered_in_order(world: &World) {
    for content in ["a", "b", "c"] {
        world.enqueue(replay(1, content));
    }
    for content in ["a", "b", "c"] {
        let delivery = world.claim_one();
        assert_eq!(bodies(std::slice::from_ref(&delivery)), [content]);
        assert!(world.settle(&delivery, Outcome::Ack));
    }
}

fn a_second_message_with_the_key_is_the_first_one_while_that_is_queued(world: &World) {
    let first = world.enqueue(keyed("step_1", "first"));
    assert_eq!(world.enqueue(keyed("step_1", "second")), first);
    assert_eq!(world.enqueue_in(keyed("step_1", "third"), 5000), first);
    assert_ne!(world.enqueue(keyed("step_2", "another key")), first);
    assert_eq!(bodies(&world.claim(10)), ["first", "another key"]);
    world.at(5000);
    world.claims_nothing();
}

fn a_second_message_with_the_key_is_the_first_one_while_that_is_delivered(world: &World) {
    let first = world.enqueue(keyed("step_1", "first"));
    let delivery = world.claim_one();
    assert_eq!(world.enqueue(keyed("step_1", "second")), first);
    world.claims_nothing();
    // The key also holds while the message waits for its next attempt after a failure.
    let error = "no".to_owned();
    assert!(world.settle(&delivery, Outcome::Release { delay_ms: 10, error, reached: true }));
    assert_eq!(world.enqueue(keyed("step_1", "third")), first);
    world.at(10);
    assert_eq!(bodies(&world.claim(10)), ["first"]);
}

fn a_key_is_free_again_when_its_message_is_done_or_dead(world: &World) {
    let first = world.enqueue(keyed("step_1", "first"));
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    let second = world.enqueue(keyed("step_1", "second"));
    assert_ne!(first, second);
    let delivery = world.claim_one();
    assert_eq!(delivery.message_id, second);
    assert!(world.settle(&delivery, Outcome::Dead { error: "no".into() }));
    let third = world.enqueue(keyed("step_1", "third"));
    assert_ne!(second, third);
    assert_eq!(world.claim_one().message_id, third);
}

fn messages_without_a_key_are_never_the_same(world: &World) {
    let first = world.enqueue(step_message("same"));
    assert_ne!(world.enqueue(step_message("same")), first);
    assert_eq!(world.claim(10).len(), 2);
}

fn message_ids_grow_and_print_distinct_names(world: &World) {
    let mut ids = Vec::new();
    for since_ms in [0, 0, 5, -5000, 5] {
        world.at(since_ms);
        ids.push(world.enqueue(step_message("a")));
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let mut names: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert!(names.iter().all(|name| name.starts_with("msg_")));
    names.dedup();
    assert_eq!(names.len(), ids.len());
}

fn concurrent_claims_share_no_message(world: &World) {
    const MESSAGES: usize = 60;
    for number in 0..MESSAGES {
        world.enqueue(step_message(&number.to_string()));
    }
    let mut claimed: Vec<_> = std::thread::scope(|scope| {
        let claim_all = || {
            let mut mine = Vec::new();
            loop {
                let deliveries = world.claim(3);
                if deliveries.is_empty() {
                    return mine;
                }
                mine.extend(deliveries.into_iter().map(|delivery| delivery.message_id));
            }
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim_all)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it claims")).collect()
    });
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), MESSAGES);
}

fn enqueue_all(
    world: &World,
    messages: Vec<(NewMessage, i64)>,
) -> Result<Vec<Enqueued>, WorldError> {
    settled(|done| world.store.enqueue_all(messages, done))
}

fn messages_that_are_enqueued_together_keep_their_order_and_their_keys(world: &World) {
    let with_key =
        |content: &str| NewMessage { idempotency_key: Some("key".into()), ..step_message(content) };
    let all = vec![
        (with_key("one"), 0),
        (step_message("later"), 500),
        (step_message("two"), 0),
        (with_key("again"), 0),
    ];
    let ids: Vec<_> = enqueue_all(world, all).expect("they are enqueued");
    let ids: Vec<_> = ids.into_iter().map(|id| id.expect("it is enqueued")).collect();
    assert_eq!(ids[3], ids[0], "the second message with a key is the first one");
    let claimed = world.claimed(10);
    assert_eq!(bodies(&claimed.deliveries), ["one", "two"]);
    assert_eq!(claimed.next_due_at_ms, Some(NOW_MS + 500));
    assert_eq!(enqueue_all(world, vec![]), Ok(vec![]));
}

fn of_messages_that_are_enqueued_together_one_with_a_lost_lease_refuses_all(world: &World) {
    world.start_runs(1);
    world.enqueue(wake_up(1));
    let delivery = world.claim_one();
    let fence =
        Fence { message_id: delivery.message_id, lease_token: delivery.lease_token.clone() };
    assert!(world.settle(&delivery, Outcome::Ack));
    let fenced = NewMessage { fence: Some(fence), ..replay(1, "content") };
    let refused = enqueue_all(world, vec![(step_message("other"), 0), (fenced, 0)]);
    assert_eq!(refused.expect_err("it is refused").kind, ErrorKind::LeaseLost);
    world.claims_nothing();
}
