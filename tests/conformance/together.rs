//! Operations that arrive at once share a transaction. Each is answered as if it came after the ones before.

use hookline::domain::event::{Event, EventBody, EventRequest, Report};
use hookline::domain::payload::Payload;
use hookline::error::WorldError;
use hookline::store::{Completion, EventReply, Outcome};

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, hold_writer, wake_up};

run_by_every_store!(
    events_that_arrive_at_once_are_answered_as_one_after_the_other,
    a_claim_among_others_changes_nothing_for_those_behind_it,
);

/// A payload that no transaction keeps for the answers of later events.
const LONG: usize = 100_000;

fn requests(run: u64) -> Vec<EventRequest> {
    let since = |after, body| EventRequest {
        spec_version: 8,
        report: Report { since: Some(after), ..Report::default() },
        ..request(run, body)
    };
    let resume = |name: &str, payload: &str| EventRequest {
        resume: Some(mark(name, None)),
        payload: Some(Payload::Bytes(payload.into())),
        ..since(2, hook_received("h", None))
    };
    let named = |value| attr_set(Some("named"), &[("key", Some(value))]);
    let long = Some(Payload::Bytes(vec![7; LONG]));
    vec![
        since(2, hook_created("h", &format!("token of {run}"))),
        resume("first", "one"),
        resume("first", "one"),
        since(9, resume("second", "two").body),
        since(3, named("one")),
        since(3, named("two")),
        since(0, step_created("a")),
        since(4, step_started("a")),
        EventRequest { payload: long, ..since(1, step_completed("a")) },
        since(1, step_created("b")),
        since(8, step_created("b")),
        since(5, EventBody::RunCompleted),
        since(2, step_created("c")),
    ]
}

/// What an answer says, whichever run it is of.
fn said(reply: Result<EventReply, WorldError>, run: u64) -> String {
    let bare = |event: &Event| (event.position, event.event_type, event.correlation_id.clone());
    let said = reply.map_err(|error| error.kind).map(|reply| {
        let step = reply.step.map(|view| (view.step.status, view.step.attempt, view.output));
        let run = reply.run.map(|view| (view.run.status, view.input, view.output));
        (reply.event.as_ref().map(bare), reply.step_created, step, run, reply.events)
    });
    format!("{said:?}").replace(run_id(run).as_str(), "the run")
}

fn events_that_arrive_at_once_are_answered_as_one_after_the_other(world: &World) {
    let created =
        |run| EventRequest { spec_version: 8, ..request(run, EventBody::RunCreated(creation())) };
    for run in [1, 2] {
        world.tries(created(run)).expect("it is created");
    }
    let alone: Vec<String> =
        requests(1).into_iter().map(|request| said(world.tries(request), 1)).collect();
    let together = world.append_together(requests(2));
    for (number, (together, alone)) in together.into_iter().zip(alone).enumerate() {
        assert_eq!(said(together, 2), alone, "request {number}");
    }
    assert_eq!(world.log_types(1), world.log_types(2));
}

fn a_claim_among_others_changes_nothing_for_those_behind_it(world: &World) {
    world.start_runs(2);
    world.enqueue(wake_up(1));
    let first = world.claim_one();
    world.enqueue(wake_up(2));
    let held = hold_writer(world);
    let claim = |limit| {
        let (done, outcome) = Completion::channel();
        world.store.claim(world.claim_request(limit), done);
        outcome
    };
    let early = claim(1);
    // The wake-up of run 2 is taken, so another one is needed; that of run 1 is not there yet.
    let (done, woken) = Completion::channel();
    world.store.enqueue(wake_up(2), 0, done);
    let (done, acked) = Completion::channel();
    world.store.settle_delivery(first.message_id, first.lease_token, Outcome::Ack, done);
    let late = claim(5);
    drop(held);
    let early = early.recv_timeout(PATIENCE).expect("it settles").expect("it claims").deliveries;
    let woken = woken.recv_timeout(PATIENCE).expect("it settles").expect("it is enqueued");
    assert!(acked.recv_timeout(PATIENCE).expect("it settles").expect("it is acknowledged"));
    let late = late.recv_timeout(PATIENCE).expect("it settles").expect("it claims").deliveries;
    let [taken] = &early[..] else { panic!("one message is claimed: {early:?}") };
    assert_ne!(taken.message_id, woken);
    // Of a run of line 4 only one replay is delivered at a time.
    assert!(late.iter().all(|it| it.message_id != woken && it.message_id != taken.message_id));
    assert!(world.settle(taken, Outcome::Ack));
    let after: Vec<_> = world.claim(5).into_iter().map(|it| it.message_id).collect();
    assert!(after.contains(&woken), "{after:?}");
}
