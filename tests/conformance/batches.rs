//! Events that are appended together: one commit, and for each event the outcome that it would have alone.

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::fence::Fence;
use hookline::domain::id::{LeaseToken, MessageId};
use hookline::domain::step::StepStatus;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::Appended;

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(
    a_batch_is_appended_in_its_order_with_each_event_s_own_answer,
    a_refused_event_leaves_the_others_of_its_batch_alone,
    a_step_that_was_not_created_is_not_started_by_the_same_batch,
    a_batch_with_an_event_that_has_to_be_alone_writes_nothing,
    a_batch_of_a_delivery_that_lost_its_lease_writes_nothing,
    a_batch_of_an_ended_run_is_refused_event_by_event,
);

/// A creation with its input, and any other event without.
fn of(body: EventBody) -> EventRequest {
    let carries = matches!(body, EventBody::StepCreated { .. } | EventBody::RunCompleted);
    let request = EventRequest { spec_version: 8, ..request(1, body) };
    EventRequest { payload: request.payload.filter(|_| carries), ..request }
}

fn start_by(step: &str, owner: i64) -> EventBody {
    EventBody::StepStarted {
        step: id(step),
        owner: Some(MessageId::from_number(owner)),
        creates: None,
    }
}

fn append(world: &World, requests: Vec<EventRequest>) -> Result<Vec<Appended>, WorldError> {
    settled(|done| world.store.append_events(requests, done))
}

fn batch(world: &World, bodies: Vec<EventBody>) -> Vec<Appended> {
    append(world, bodies.into_iter().map(of).collect()).expect("the batch is evaluated")
}

fn kinds(outcomes: &[Appended]) -> Vec<Option<ErrorKind>> {
    outcomes.iter().map(|one| one.as_ref().err().map(|error| error.kind)).collect()
}

fn a_batch_is_appended_in_its_order_with_each_event_s_own_answer(world: &World) {
    world.start_run_of(1, 8);
    let outcomes = batch(
        world,
        vec![
            step_created("a"),
            start_by("a", 7),
            step_created("b"),
            wait_created("w", NOW_MS + 1000),
        ],
    );
    let replies: Vec<_> = outcomes.into_iter().map(|one| one.expect("it is appended")).collect();
    let positions: Vec<_> =
        replies.iter().filter_map(|reply| Some(reply.event.as_ref()?.position)).collect();
    assert_eq!(positions, [3, 4, 5, 6]);
    let started = replies[1].step.as_ref().expect("the step is answered");
    assert_eq!((started.step.status, started.step.attempt), (StepStatus::Running, 1));
    assert_eq!(started.step.owner, Some(MessageId::from_number(7)));
    assert_eq!(started.input, payload("step_created"));
    let created = replies[2].step.as_ref().expect("the step is answered");
    assert_eq!(created.step.status, StepStatus::Pending);
    assert!(replies[3].wait.is_some());
    let log = world.log(1);
    assert_eq!(log.len(), 6);
    assert_eq!(log[2].payload, payload("step_created"));
    assert_eq!(batch(world, Vec::new()).len(), 0);
}

fn a_refused_event_leaves_the_others_of_its_batch_alone(world: &World) {
    world.start_run_of(1, 8);
    world.does(1, step_created("a"));
    let conflict = Some(ErrorKind::EntityConflict);
    let outcomes = batch(
        world,
        vec![step_created("a"), step_created("b"), wait_completed("w"), step_completed("a")],
    );
    assert_eq!(kinds(&outcomes), [conflict, None, Some(ErrorKind::NotFound), None]);
    assert_eq!(world.log_types(1)[2..], ["step_created", "step_created", "step_completed"]);
    // The same batch again.
    let outcomes = batch(world, vec![step_created("a"), step_created("b"), step_completed("a")]);
    assert_eq!(kinds(&outcomes), [conflict; 3]);
}

fn a_step_that_was_not_created_is_not_started_by_the_same_batch(world: &World) {
    world.start_run_of(1, 8);
    world.does(1, step_created_and_started("a", 7));
    let bodies = vec![step_created("a"), start_by("a", 8), step_created("b"), start_by("b", 8)];
    let conflict = Some(ErrorKind::EntityConflict);
    assert_eq!(kinds(&batch(world, bodies)), [conflict, conflict, None, None]);
    let step = |name| {
        let view = settled(|done| world.store.step(Some(run_id(1)), id(name), false, done));
        view.expect("it exists").step
    };
    assert_eq!((step("a").attempt, step("a").owner), (1, Some(MessageId::from_number(7))));
    assert_eq!((step("b").attempt, step("b").owner), (1, Some(MessageId::from_number(8))));
}

fn a_batch_with_an_event_that_has_to_be_alone_writes_nothing(world: &World) {
    world.start_run_of(1, 8);
    let alone =
        [EventBody::RunCancelled, hook_created("h", "token"), attr_set(None, &[("a", Some("1"))])];
    for body in alone {
        let refused = append(world, vec![of(step_created("s")), of(body)]);
        assert_eq!(refused.expect_err("it is refused").kind, ErrorKind::Invalid);
    }
    let with_input = EventRequest { payload: payload("input"), ..of(step_started("s")) };
    let refused = append(world, vec![of(step_created("s")), with_input]);
    assert_eq!(refused.expect_err("it is refused").kind, ErrorKind::Invalid);
    assert_eq!(world.log(1).len(), 2);
}

fn a_batch_of_a_delivery_that_lost_its_lease_writes_nothing(world: &World) {
    world.start_run_of(1, 8);
    let lost = Fence { message_id: MessageId::from_number(1), lease_token: LeaseToken::new("no") };
    let fenced = EventRequest { fence: Some(lost), ..of(step_created("b")) };
    let refused = append(world, vec![of(step_created("a")), fenced]);
    assert_eq!(refused.expect_err("it is refused").kind, ErrorKind::LeaseLost);
    assert_eq!(world.log(1).len(), 2);
}

fn a_batch_of_an_ended_run_is_refused_event_by_event(world: &World) {
    world.start_run_of(1, 8);
    let outcomes =
        batch(world, vec![step_created("a"), EventBody::RunCompleted, step_created("b")]);
    assert_eq!(kinds(&outcomes), [None, None, Some(ErrorKind::EntityConflict)]);
    let outcomes = batch(world, vec![step_created("c"), step_started("c"), step_started("a")]);
    let conflict = Some(ErrorKind::EntityConflict);
    assert_eq!(kinds(&outcomes), [conflict, conflict, Some(ErrorKind::RunExpired)]);
}
