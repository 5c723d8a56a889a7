//! The rules of runs from spec version 6 on, where they differ from older runs.

use hookline::domain::event::{EventBody, EventRequest, EventType, Report, RunCreation};
use hookline::domain::id::MessageId;
use hookline::domain::page::{EventPlace, LIMIT_MAX, PageRequest};
use hookline::domain::payload::StructuredError;
use hookline::domain::run::RunStatus;
use hookline::domain::step::StepStatus;
use hookline::error::ErrorKind;
use hookline::store::EventQuery;

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(
    event_ids_are_positions,
    an_event_of_a_newer_version_than_its_run_is_accepted,
    a_step_that_is_created_by_its_start_answers_once_that_it_was,
    the_owner_of_a_step_is_kept_until_another_start,
    a_failed_run_keeps_the_bytes_of_its_error_and_its_code,
    a_failed_step_keeps_the_bytes_of_its_last_error,
    the_end_of_a_step_wakes_nobody,
    a_start_answers_with_the_first_page_of_the_log,
    an_event_answers_with_what_its_writer_has_not_seen,
    a_conflict_of_tokens_answers_with_what_its_writer_has_not_seen,
    a_resume_with_an_id_happens_once,
    attributes_are_read_back_with_and_without_data,
    a_change_of_attributes_is_made_once,
    the_changes_under_a_name_are_listed_by_it,
);

fn event_ids_are_positions(world: &World) {
    for spec_version in [6, 7, 8] {
        world.start_run_of(spec_version.into(), spec_version);
        let ids: Vec<_> =
            world.log(spec_version.into()).iter().map(|event| event.event_id()).collect();
        assert_eq!(ids, ["evnt_00000000000000000000000001", "evnt_00000000000000000000000002"]);
    }
}

fn an_event_of_a_newer_version_than_its_run_is_accepted(world: &World) {
    world.start_run_of(1, 7);
    world
        .tries(EventRequest { spec_version: 8, ..request(1, step_created("s")) })
        .expect("only the version of the run counts");
    let versions: Vec<_> = world.log(1).iter().map(|event| event.spec_version).collect();
    assert_eq!(versions, [7, 3, 8]);
}

fn a_step_that_is_created_by_its_start_answers_once_that_it_was(world: &World) {
    world.start_run_of(1, 8);
    let data = Some(r#"{"stepName":"step//s","ownerMessageId":"msg_x","more":[1]}"#.to_owned());
    let start = || EventRequest {
        data: data.clone(),
        payload: payload("input"),
        ..request(1, step_created_and_started("s", 7))
    };
    let reply = world.tries(start()).expect("it is created");
    assert!(reply.step_created);
    let event = reply.event.expect("it was logged");
    assert_eq!((event.event_type, event.position), (EventType::StepStarted, 4));
    let view = reply.step.expect("the step is answered");
    assert_eq!((view.step.status, view.step.attempt), (StepStatus::Running, 1));
    assert_eq!((view.step.step_name.as_str(), &view.input), ("step//s", &payload("input")));
    let log = world.log(1);
    assert_eq!(log[2].payload, payload("input"));
    assert_eq!(log[2].data.as_deref(), Some(r#"{"stepName":"step//s"}"#));
    assert_eq!((&log[3].data, &log[3].payload), (&data, &None));
    let error = world.tries(start()).expect_err("somebody executes it already");
    assert_eq!(error.kind, ErrorKind::EntityConflict);
    assert_eq!(world.log(1).len(), 4);
    world.does(1, step_completed("s"));
    world.does(1, EventBody::RunCompleted);
    let unknown = || EventRequest { payload: payload("input"), ..start() };
    assert_eq!(world.tries(unknown()).expect_err("too late").kind, ErrorKind::EntityConflict);
    assert_eq!(world.refuses(1, step_started("t")).kind, ErrorKind::NotFound);
}

fn the_owner_of_a_step_is_kept_until_another_start(world: &World) {
    let owner = |world: &World| {
        let step = settled(|done| world.store.step(Some(run_id(1)), id("s"), false, done));
        step.expect("it exists").step.owner.map(MessageId::number)
    };
    world.start_run_of(1, 8);
    world.does(1, step_created_and_started("s", 7));
    assert_eq!(owner(world), Some(7));
    world.does(1, step_retrying("s", None));
    assert_eq!(owner(world), None);
    let started_by = |owner| EventBody::StepStarted {
        step: id("s"),
        owner: Some(MessageId::from_number(owner)),
        creates: None,
    };
    world.does(1, started_by(8));
    assert_eq!(owner(world), Some(8));
    world.does(1, step_started("s"));
    assert_eq!(owner(world), None);
}

fn a_failed_run_keeps_the_bytes_of_its_error_and_its_code(world: &World) {
    world.start_run_of(1, 8);
    let failure = StructuredError { code: Some("USER_ERROR".into()), ..error("unread") };
    let reply = world.does(1, EventBody::RunFailed(failure));
    let view = reply.run.expect("the run is answered");
    assert_eq!((view.run.status, &view.run.error), (RunStatus::Failed, &None));
    assert_eq!((view.error.clone(), view.output), (payload("run_failed"), None));
    assert_eq!(view.run.error_code.as_deref(), Some("USER_ERROR"));
    for resolve_data in [true, false] {
        let read = settled(|done| world.store.run(run_id(1), resolve_data, done));
        let read = read.expect("it exists");
        assert_eq!((&read.run, &read.error), (&view.run, &view.error));
        assert_eq!(read.input.is_some(), resolve_data);
    }
    assert_eq!(world.log(1)[2].payload, payload("run_failed"));
}

fn a_failed_step_keeps_the_bytes_of_its_last_error(world: &World) {
    world.start_run_of(1, 7);
    world.does(1, step_created_and_started("s", 7));
    let view = world.does(1, step_retrying("s", None)).step.expect("the step is answered");
    assert_eq!((&view.step.error, view.error), (&None, payload("step_retrying")));
    let view = world.does(1, step_failed("s")).step.expect("the step is answered");
    assert_eq!((&view.step.error, view.error), (&None, payload("step_failed")));
    let read = settled(|done| world.store.step(Some(run_id(1)), id("s"), false, done));
    assert_eq!(read.expect("it exists").error, payload("step_failed"));
}

fn the_end_of_a_step_wakes_nobody(world: &World) {
    world.start_run_of(1, 8);
    for (step, ending) in [("s", step_completed("s")), ("t", step_failed("t"))] {
        world.does(1, step_created_and_started(step, 7));
        assert_eq!(world.does(1, ending).wake_up, None);
    }
    world.does(1, hook_created("h", "token"));
    assert!(world.does(1, hook_received("h", None)).wake_up.is_some());
}

fn attributes_are_read_back_with_and_without_data(world: &World) {
    let attributes = changes(&[("$retention", Some("default")), ("a", Some("1"))], true);
    let creation = RunCreation { attributes, ..creation() };
    let created = request(1, EventBody::RunCreated(creation));
    world.tries(EventRequest { spec_version: 8, ..created }).expect("the run is created");
    let reply = world.does(1, attr_set(None, &[("a", None), ("b", Some("ü"))]));
    let answered = reply.run.expect("the run is answered").run.attributes;
    let expected = [("$retention", "default"), ("b", "ü")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(answered, expected);
    for resolve_data in [true, false] {
        let read = settled(|done| world.store.run(run_id(1), resolve_data, done));
        assert_eq!(read.expect("it exists").run.attributes, expected);
    }
    let by_id = settled(|done| world.store.run_by_id(&run_id(1)).settle(done));
    assert_eq!(by_id.expect("it exists").attributes, expected);
}

fn a_change_of_attributes_is_made_once(world: &World) {
    assert_eq!(world.refuses(1, attr_set(None, &[])).kind, ErrorKind::RunNotFound);
    world.start_run_of(1, 8);
    let refused = world.refuses(1, attr_set(Some("a1"), &[("$a", Some("1"))]));
    assert_eq!((refused.kind, &refused.details["status"]), (ErrorKind::Invalid, &400.into()));
    world.does(1, attr_set(Some("a1"), &[("a", Some("1"))]));
    let again = world.refuses(1, attr_set(Some("a1"), &[("a", Some("2"))]));
    assert_eq!(again.kind, ErrorKind::EntityConflict);
    world.start_run_of(2, 8);
    world.does(2, attr_set(Some("a1"), &[("a", Some("1"))]));
    // A value that fills the limit fits, however it is stored.
    world.does(1, attr_set(None, &[("long", Some(&"x".repeat(256)))]));
    world.does(1, EventBody::RunCompleted);
    let late = world.refuses(1, attr_set(None, &[("$a", Some("1"))]));
    assert_eq!(late.kind, ErrorKind::EntityConflict);
}

fn the_changes_under_a_name_are_listed_by_it(world: &World) {
    world.start_run_of(1, 8);
    let data = Some(r#"{"changes":[{"key":"a","value":"1"}],"writer":{"type":"workflow"}}"#.into());
    let body = attr_set(Some("a1"), &[("a", Some("1"))]);
    world.tries(EventRequest { data, payload: None, ..request(1, body) }).expect("it is set");
    let query = EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: Some(id("a1")),
        page: PageRequest::first(10),
        resolve_data: true,
    };
    assert_eq!(world.events(&query).expect("it is read").items, world.log(1)[2..]);
}

fn a_start_answers_with_the_first_page_of_the_log(world: &World) {
    world.start_run_of(1, 8);
    world.does(1, hook_created("h", "token"));
    for _ in 3..=LIMIT_MAX {
        world.does(1, hook_received("h", None));
    }
    let reply = world.does(1, EventBody::RunStarted(None));
    assert!(reply.run.is_some() && reply.event.is_none());
    let first = reply.events.expect("the log is answered");
    assert_eq!((first.items.len(), first.has_more), (LIMIT_MAX, true));
    let query = EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: None,
        page: PageRequest { after: first.cursor, ..PageRequest::first(10) },
        resolve_data: true,
    };
    let rest = world.events(&query).expect("it is read");
    assert_eq!((rest.items.len(), rest.has_more), (1, false));
    let report = Report { skips_log: true, ..Report::default() };
    let without = EventRequest { report, ..request(1, EventBody::RunStarted(None)) };
    assert_eq!(world.tries(without).expect("it runs").events, None);
}

fn an_event_answers_with_what_its_writer_has_not_seen(world: &World) {
    world.start_run_of(1, 8);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", None));
    let tell = |step: &str, since, held| {
        let report = Report { since, held, skips_log: false };
        let reply = world.tries(EventRequest { report, ..request(1, step_created(step)) });
        reply.expect("it is logged").events
    };
    let skipped = tell("a", None, Some(2)).expect("it has skipped two events");
    assert_eq!(skipped.items, world.log(1)[2..4]);
    assert_eq!((skipped.cursor, skipped.has_more), (None, false));
    assert_eq!(tell("b", None, Some(5)), None);
    let since = tell("c", Some(5), Some(1)).expect("it wants everything");
    assert_eq!(since.items, world.log(1)[5..]);
    let key = EventPlace { run_id: run_id(1), position: 7 }.key();
    assert_eq!((since.cursor, since.has_more), (Some(key), false));
}

fn a_conflict_of_tokens_answers_with_what_its_writer_has_not_seen(world: &World) {
    world.start_run_of(1, 8);
    world.start_run_of(2, 8);
    world.does(1, hook_created("h", "token"));
    let report = Report { since: Some(2), held: Some(2), skips_log: false };
    let reply = world.tries(EventRequest { report, ..request(2, hook_created("h", "token")) });
    let reply = reply.expect("a conflict is logged");
    assert_eq!(reply.event.expect("it is logged").event_type, EventType::HookConflict);
    assert_eq!(reply.events.expect("it is reported").items, world.log(2)[2..]);
}

fn a_resume_with_an_id_happens_once(world: &World) {
    world.start_run_of(1, 8);
    world.does(1, hook_created("h", "token"));
    let resume = |id: &str, digest: &str| {
        world.tries(EventRequest {
            resume: Some(mark(id, Some(digest))),
            ..request(1, hook_received("h", Some("token")))
        })
    };
    let first = resume("r1", "digest").expect("it is logged");
    assert!(first.wake_up.is_some());
    let event = first.event.expect("it is logged");
    let repeats = || {
        let again = resume("r1", "digest").expect("it is done already");
        let answered = again.event.expect("the first event is answered");
        assert_eq!((answered.event_id(), again.wake_up), (event.event_id(), None));
        let error = resume("r1", "another").expect_err("it is another payload");
        assert_eq!(error.kind, ErrorKind::EntityConflict);
    };
    repeats();
    resume("r2", "digest").expect("it is another resume");
    world.does(1, hook_disposed("h"));
    repeats();
    world.does(1, EventBody::RunCompleted);
    repeats();
    let names: Vec<_> =
        world.log(1).into_iter().filter_map(|event| event.resume).map(|mark| mark.id).collect();
    assert_eq!(names, ["r1", "r2"]);
}
