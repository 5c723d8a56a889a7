//! Reads of one entity: by its id, with and without payloads, and the reply if it does not exist.

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::id::{CorrelationId, event_id};
use hookline::domain::page::PageRequest;
use hookline::domain::payload::Payload;
use hookline::error::ErrorKind;
use hookline::store::EventQuery;

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(
    a_run_is_read_with_and_without_its_payloads,
    an_unknown_run_is_not_found_by_name,
    a_step_is_read_with_and_without_its_run_and_its_payloads,
    an_unknown_step_is_not_found,
    a_hook_is_read_with_and_without_its_metadata,
    an_unknown_hook_is_not_found_by_its_id,
    an_event_is_read_by_its_public_id,
    an_event_id_that_the_log_did_not_make_is_not_found,
    an_event_without_payloads_keeps_its_other_data,
    an_entity_without_payloads_keeps_everything_else,
    a_payload_of_any_length_keeps_every_byte,
);

fn a_run_is_read_with_and_without_its_payloads(world: &World) {
    world.start_runs(1);
    world.does(1, EventBody::RunCompleted);
    let view = settled(|done| world.store.run(run_id(1), true, done)).expect("it exists");
    assert_eq!((view.input, view.output), (payload("run_created"), payload("run_completed")));
    let bare = settled(|done| world.store.run(run_id(1), false, done)).expect("it exists");
    assert_eq!((bare.input, bare.output), (None, None));
    assert_eq!(bare.run, view.run);
    assert_eq!(settled(|done| world.store.run_by_id(&run_id(1)).settle(done)), Ok(view.run));
}

fn an_unknown_run_is_not_found_by_name(world: &World) {
    let errors = [
        settled(|done| world.store.run(run_id(1), true, done)).expect_err("it never was"),
        settled(|done| world.store.run_by_id(&run_id(1)).settle(done)).expect_err("it never was"),
        world.refuses(1, EventBody::RunCompleted),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::RunNotFound);
        assert_eq!(error.details["runId"], run_id(1).as_str());
    }
}

fn a_step_is_read_with_and_without_its_run_and_its_payloads(world: &World) {
    world.start_runs(2);
    world.does(1, step_created("other"));
    world.does(2, step_created("s"));
    world.does(2, step_completed("s"));
    let read = |run: Option<u64>, resolve_data| {
        settled(|done| world.store.step(run.map(run_id), id("s"), resolve_data, done))
    };
    let view = read(Some(2), true).expect("it exists");
    assert_eq!(view.step.run_id, run_id(2));
    let payloads = (view.input.clone(), view.output.clone());
    assert_eq!(payloads, (payload("step_created"), payload("step_completed")));
    assert_eq!(read(None, true), Ok(view.clone()));
    let bare = read(Some(2), false).expect("it exists");
    assert_eq!((bare.input, bare.output, bare.step), (None, None, view.step));
    assert_eq!(read(Some(1), true).expect_err("not of this run").kind, ErrorKind::NotFound);
}

fn an_unknown_step_is_not_found(world: &World) {
    world.start_runs(1);
    for run in [None, Some(run_id(1)), Some(run_id(2))] {
        let error = settled(|done| world.store.step(run, id("s"), true, done));
        assert_eq!(error.expect_err("it never was").kind, ErrorKind::NotFound);
    }
}

fn a_hook_is_read_with_and_without_its_metadata(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "secret"));
    let read = |resolve_data| settled(|done| world.store.hook(id("h"), resolve_data, done));
    let view = read(true).expect("it lives");
    assert_eq!(view.metadata, payload("hook_created"));
    let bare = read(false).expect("it lives");
    assert_eq!((bare.metadata, bare.hook), (None, view.hook));
}

fn an_unknown_hook_is_not_found_by_its_id(world: &World) {
    let error = settled(|done| world.store.hook(id("h"), true, done)).expect_err("it never was");
    assert_eq!(error.kind, ErrorKind::HookNotFound);
    assert_eq!(error.details["token"], "h");
}

fn an_event_is_read_by_its_public_id(world: &World) {
    world.start_runs(1);
    world.at(777);
    world.does(1, step_created("s"));
    for logged in world.log(1) {
        let event_id = logged.event_id();
        let read = settled(|done| world.store.event(run_id(1), event_id.clone(), true, done));
        assert_eq!(read, Ok(logged.clone()));
        let bare = settled(|done| world.store.event(run_id(1), event_id, false, done));
        assert_eq!(bare.expect("it exists").payload, None);
    }
}

fn an_event_id_that_the_log_did_not_make_is_not_found(world: &World) {
    world.start_runs(2);
    world.does(2, step_created("s"));
    let of_another_run = world.log(2)[2].event_id();
    let foreign = [
        String::new(),
        "evnt_".into(),
        "evnt_01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
        event_id(3, 3, NOW_MS),
        // The right position with another time names another event.
        event_id(3, 1, NOW_MS + 1),
        event_id(6, 1, NOW_MS),
        of_another_run,
        world.log(1)[0].event_id().to_lowercase(),
    ];
    for event_id in foreign {
        let read = settled(|done| world.store.event(run_id(1), event_id.clone(), true, done));
        assert_eq!(read.expect_err(&event_id).kind, ErrorKind::NotFound, "{event_id}");
    }
    let of_no_run =
        settled(|done| world.store.event(run_id(9), event_id(3, 1, NOW_MS), true, done));
    assert_eq!(of_no_run.expect_err("no such run").kind, ErrorKind::NotFound);
}

fn an_event_without_payloads_keeps_its_other_data(world: &World) {
    world.start_runs(1);
    let data = Some(r#"{"stepName":"step//s"}"#.to_owned());
    let request = EventRequest { data: data.clone(), ..request(1, step_created("s")) };
    world.tries(request).expect("it is logged");
    let query = EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: Some(CorrelationId::new("s")),
        page: PageRequest::first(10),
        resolve_data: false,
    };
    let page = world.events(&query).expect("the log is read");
    assert_eq!(page.items.len(), 1);
    assert_eq!((&page.items[0].data, &page.items[0].payload), (&data, &None));
}

fn an_entity_without_payloads_keeps_everything_else(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, step_started("s"));
    world.does(1, step_failed("s"));
    world.does(1, EventBody::RunFailed(error("why")));
    let page = PageRequest::first(10);
    let steps = settled(|done| world.store.steps(run_id(1), page, false, done));
    let step = steps.expect("steps are read").items.remove(0);
    assert_eq!((step.input, step.output), (None, None));
    assert_eq!(step.step.error, Some(error("fatal")));
    let run = settled(|done| world.store.run(run_id(1), false, done)).expect("it exists");
    assert_eq!(run.run.error, Some(error("why")));
}

fn a_payload_of_any_length_keeps_every_byte(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    // On both sides of each length at which a store may store values differently.
    let lengths = [0, 1, 767, 768, 769, 1500, 4096, 70_000, 256 << 10, (256 << 10) + 1, 3 << 20];
    let payloads =
        lengths.map(|length| Payload::Bytes((0..length).map(|byte| (byte % 251) as u8).collect()));
    for payload in &payloads {
        let resume = request(1, hook_received("h", None));
        let resume = EventRequest { payload: Some(payload.clone()), ..resume };
        world.tries(resume).expect("the rules allow it");
    }
    let stored: Vec<_> = world.log(1).into_iter().skip(3).map(|event| event.payload).collect();
    assert!(stored.iter().flatten().eq(&payloads), "a payload has changed");
    let chunks: Vec<_> = payloads.iter().map(|payload| payload.as_bytes().to_vec()).collect();
    settled(|done| world.store.write_stream("s".into(), run_id(1), chunks.clone(), done))
        .expect("they are written");
    let slice = settled(|done| world.store.stream_slice("s".into(), 0, 100, done));
    assert!(slice.expect("they are read").chunks == chunks, "a chunk has changed");
}
