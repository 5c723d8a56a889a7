//! Dead messages stay visible and can be put back; the depth of the queue is reported.

use hookline::domain::event::EventBody;
use hookline::domain::message::NewMessage;
use hookline::domain::page::{PageRequest, SortOrder};
use hookline::error::ErrorKind;
use hookline::store::{Outcome, QueueDepth, Stopped, StoppedMessage};

use crate::kit::rows::*;
use crate::kit::{World, settled, step_message, wake_up};

run_by_every_store!(
    a_message_given_up_is_listed_with_its_error,
    dead_messages_are_listed_in_pages,
    a_dead_message_put_back_is_delivered_anew,
    a_message_that_is_not_dead_cannot_be_put_back,
    a_dead_message_gives_way_to_its_successor,
    the_depth_of_the_queue_is_counted,
);

/// Makes all due messages dead.
fn give_up(world: &World) {
    for delivery in world.claim(10) {
        assert!(world.settle(&delivery, Outcome::Dead { error: "broken".into() }));
    }
}

fn dead(world: &World) -> Vec<StoppedMessage> {
    let page = PageRequest::first(10);
    settled(|done| world.store.stopped_messages(Stopped::Dead, page, done))
        .expect("dead messages are read")
        .items
}

fn depth(world: &World) -> QueueDepth {
    settled(|done| world.store.queue_depth(vec![], done)).expect("the depth is read")
}

fn a_message_given_up_is_listed_with_its_error(world: &World) {
    assert_eq!(dead(world), []);
    let replay = world.enqueue(wake_up(1));
    world.at(5);
    give_up(world);
    let expected = StoppedMessage {
        message_id: replay,
        queue_name: wake_up(1).queue_name,
        run_id: Some(run_id(1)),
        attempt: 1,
        error: Some("broken".into()),
        created_at_ms: NOW_MS,
        stopped_at_ms: NOW_MS + 5,
    };
    assert_eq!(dead(world), [expected]);
}

fn dead_messages_are_listed_in_pages(world: &World) {
    let ids = ["a", "b", "c"].map(|content| world.enqueue(step_message(content)));
    give_up(world);
    for order in [SortOrder::Ascending, SortOrder::Descending] {
        let mut listed = Vec::new();
        let mut page = PageRequest { order, ..PageRequest::first(2) };
        loop {
            let got =
                settled(|done| world.store.stopped_messages(Stopped::Dead, page.clone(), done));
            let got = got.expect("a page is read");
            listed.extend(got.items.into_iter().map(|message| message.message_id));
            if !got.has_more {
                break;
            }
            page.after = got.cursor;
        }
        if order == SortOrder::Descending {
            listed.reverse();
        }
        assert_eq!(listed, ids, "{order:?}");
    }
    let foreign = PageRequest { after: Some("x".into()), ..PageRequest::first(2) };
    let error = settled(|done| world.store.stopped_messages(Stopped::Dead, foreign, done))
        .expect_err("no cursor");
    assert_eq!(error.kind, ErrorKind::Invalid);
}

fn a_dead_message_put_back_is_delivered_anew(world: &World) {
    let message = world.enqueue(step_message("a"));
    give_up(world);
    world.claims_nothing();
    world.at(1_000_000);
    assert_eq!(settled(|done| world.store.redrive(message, done)), Ok(message));
    assert_eq!(dead(world), []);
    let delivery = world.claim_one();
    assert_eq!((delivery.message_id, delivery.attempt), (message, 1));
    assert!(world.settle(&delivery, Outcome::Ack));
}

fn a_message_that_is_not_dead_cannot_be_put_back(world: &World) {
    let message = world.enqueue(step_message("a"));
    let refused = |world: &World| {
        settled(|done| world.store.redrive(message, done)).expect_err("it is not dead").kind
    };
    assert_eq!(refused(world), ErrorKind::NotFound);
    let delivery = world.claim_one();
    assert_eq!(refused(world), ErrorKind::NotFound);
    assert!(world.settle(&delivery, Outcome::Ack));
    assert_eq!(refused(world), ErrorKind::NotFound);
}

fn a_dead_message_gives_way_to_its_successor(world: &World) {
    let keyed = || NewMessage { idempotency_key: Some("key".into()), ..step_message("a") };
    let first = world.enqueue(keyed());
    give_up(world);
    let second = world.enqueue(keyed());
    assert_ne!(second, first);
    assert_eq!(settled(|done| world.store.redrive(first, done)), Ok(second));
    assert_eq!(dead(world), []);
    assert_eq!(world.claim_one().message_id, second);
    world.claims_nothing();
}

fn the_depth_of_the_queue_is_counted(world: &World) {
    assert_eq!(depth(world), QueueDepth { log: depth(world).log, ..QueueDepth::default() });
    world.start_runs(2);
    world.does(3, EventBody::RunCreated(creation()));
    world.enqueue(step_message("given up"));
    give_up(world);
    world.enqueue(step_message("leased"));
    world.claim_one();
    world.enqueue_in(step_message("sleeps"), 60_000);
    world.enqueue(step_message("due"));
    world.at(1000);
    world.enqueue(step_message("due later"));
    let expected = QueueDepth {
        due: 2,
        parked: vec![],
        sleeping: 1,
        leased: 1,
        dead: 1,
        held: 0,
        oldest_due_ms: Some(1000),
        pending_runs: 1,
        running_runs: 2,
        log: depth(world).log,
    };
    assert_eq!(depth(world), expected);
}
