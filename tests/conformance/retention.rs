//! Retention 0: a run that ends loses its values, and nothing else.

use hookline::domain::event::{EventBody, EventRequest, EventType, RunCreation};
use hookline::domain::id::HookToken;
use hookline::domain::message::{NewMessage, Purpose};
use hookline::domain::page::PageRequest;
use hookline::domain::run::RunStatus;
use hookline::domain::step::StepStatus;
use hookline::domain::step_resume::StepResume;
use hookline::error::ErrorKind;
use hookline::store::Outcome;

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, news_of, replay, settled, wake_up};

run_by_every_store!(
    the_end_of_a_private_run_drops_its_values_and_keeps_its_log,
    other_runs_keep_their_values,
    a_repeated_resume_of_a_private_run_is_known_after_its_end,
    a_repeated_resume_by_a_step_is_known_after_the_end_of_a_private_run_without_its_digest,
    what_a_step_reports_late_is_not_kept,
    the_streams_of_a_private_run_end_empty_and_get_nothing_more,
    a_private_run_gets_no_new_stream_after_its_end,
    the_waiting_messages_of_a_private_run_go_with_its_end,
    an_attribute_that_comes_later_counts_too,
);

/// Creates a run whose values are dropped when it ends, and starts it.
pub fn start_private(world: &World, run: u64) {
    let attributes = changes(&[("$retention", Some("0")), ("kept", Some("yes"))], true);
    let created = EventBody::RunCreated(RunCreation { attributes, ..creation() });
    let request = EventRequest { spec_version: 8, ..request(run, created) };
    world.tries(request).expect("the run is created");
    world.does(run, EventBody::RunStarted(None));
}

/// Writes chunks to a stream of a run.
pub fn write_of(world: &World, run: u64, name: &str, chunks: &[&str]) -> Result<(), ErrorKind> {
    let chunks = chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
    settled(|done| world.store.write_stream(name.into(), run_id(run), chunks, done))
        .map_err(|error| error.kind)
}

fn the_end_of_a_private_run_drops_its_values_and_keeps_its_log(world: &World) {
    for (run, ending) in (1..).zip(endings()) {
        start_private(world, run);
        for step in ["s", "t"] {
            world.does(run, step_created_and_started(step, 7));
        }
        world.does(run, step_completed("s"));
        world.does(run, step_failed("t"));
        world.does(run, hook_created("h", "token"));
        world.does(run, hook_received("h", Some("token")));
        world.at(10);
        let reply = world.does(run, ending);
        let answered = reply.run.expect("the run is answered");
        assert_eq!(answered.run.expired_at_ms, Some(NOW_MS + 10));
        let read = settled(|done| world.store.run(run_id(run), true, done)).expect("it exists");
        assert_eq!(read, answered);
        assert_eq!((read.input, read.output, read.error), (None, None, None));
        assert!(read.run.status.is_terminal() && read.run.attributes.contains_key("kept"));
        let log = world.log(run);
        assert_eq!(log.len(), 11);
        assert!(log.iter().all(|event| event.payload.is_none()));
        let page = PageRequest::first(10);
        let steps = settled(|done| world.store.steps(run_id(run), page, true, done));
        let steps = steps.expect("they are listed").items;
        let statuses: Vec<_> = steps.iter().map(|view| view.step.status).collect();
        assert_eq!(statuses, [StepStatus::Completed, StepStatus::Failed]);
        for view in steps {
            assert_eq!((view.input, view.output, view.error), (None, None, None));
        }
        let late = world.refuses(run, EventBody::RunStarted(None));
        assert_eq!(late.kind, ErrorKind::RunExpired);
        world.at(0);
    }
}

fn other_runs_keep_their_values(world: &World) {
    start_private(world, 1);
    world.start_run_of(2, 8);
    for run in [1, 2] {
        write_of(world, run, &format!("stream {run}"), &["chunk"]).expect("it is written");
        world.does(run, step_created("s"));
        world.does(run, EventBody::RunCompleted);
    }
    let kept = settled(|done| world.store.run(run_id(2), true, done)).expect("it exists");
    assert_eq!((kept.input, kept.output), (payload("run_created"), payload("run_completed")));
    assert_eq!(kept.run.expired_at_ms, None);
    assert!(
        world.log(2).iter().all(|event| {
            event.payload.is_some() != (event.event_type == EventType::RunStarted)
        })
    );
    assert_eq!(world.slice("stream 2", 0, 10).chunks, [b"chunk".to_vec()]);
}

fn a_repeated_resume_of_a_private_run_is_known_after_its_end(world: &World) {
    start_private(world, 1);
    world.does(1, hook_created("h", "token"));
    let resume = || {
        let resume = Some(mark("r", Some("digest")));
        world.tries(EventRequest { resume, ..request(1, hook_received("h", Some("token"))) })
    };
    let first = resume().expect("it is logged").event.expect("it is answered");
    world.does(1, EventBody::RunCompleted);
    let again = resume().expect("it is done already").event.expect("the first is answered");
    assert_eq!(again.event_id(), first.event_id());
    assert_eq!(again.resume, Some(mark("r", None)));
}

fn a_repeated_resume_by_a_step_is_known_after_the_end_of_a_private_run_without_its_digest(
    world: &World,
) {
    start_private(world, 1);
    world.start_run_of(2, 8);
    world.does(1, hook_created("h", "token"));
    let resume = |run, hook, payload_digest: &str| {
        let (place, digest) = ("place".to_owned(), payload_digest.to_owned());
        let resume = Some(StepResume { place, payload: digest, nth: 0 }.mark());
        let event = request(run, hook_received(hook, Some("token")));
        world.tries(EventRequest { resume, payload: payload("p"), ..event })
    };
    let first = resume(1, "h", "digest").expect("it is logged").event.expect("it is answered");
    resume(1, "h", "another digest").expect("it is logged");
    world.does(1, EventBody::RunCompleted);
    let token = HookToken::new("token");
    let found = settled(|done| world.store.hook_of_step("place", 1, &token).settle(done));
    assert_eq!(found.expect("it is read").map(|view| view.hook.hook_id), Some(id("h")));
    let again = resume(1, "h", "digest").expect("it is done already").event.expect("as before");
    assert_eq!(again.event_id(), first.event_id());
    let kept: Vec<_> = world.log(1).into_iter().filter_map(|event| event.resume).collect();
    assert!(kept.len() == 2 && kept.iter().all(|mark| !mark.id.contains("digest")));
    // It says nothing of a run that has the token by now.
    world.does(2, hook_created("h2", "token"));
    let event = resume(2, "h2", "digest").expect("it is new").event.expect("it is logged");
    assert_eq!(event.run_id, run_id(2));
}

fn what_a_step_reports_late_is_not_kept(world: &World) {
    start_private(world, 1);
    world.does(1, step_created_and_started("s", 7));
    world.does(1, EventBody::RunCancelled);
    let late = world.does(1, step_completed("s")).step.expect("the step is answered");
    assert_eq!((late.step.status, late.output), (StepStatus::Completed, None));
    assert!(world.log(1).iter().all(|event| event.payload.is_none()));
}

fn the_streams_of_a_private_run_end_empty_and_get_nothing_more(world: &World) {
    start_private(world, 1);
    let long = "long ".repeat(1000);
    write_of(world, 1, "open", &["a", &long]).expect("it is written");
    write_of(world, 1, "closed", &["b"]).expect("it is written");
    settled(|done| world.store.close_stream("closed".into(), run_id(1), done)).expect("it closes");
    let news = news_of(&*world.store, |news| (news.dropped, news.streams.clone()));
    world.does(1, EventBody::RunCompleted);
    // So those who read them live learn of the end.
    let named = loop {
        let (dropped, streams) = news.recv_timeout(PATIENCE).expect("the commit is news");
        if dropped {
            break streams;
        }
    };
    assert_eq!(named, ["open", "closed"]);
    write_of(world, 1, "open", &["late"]).expect("it is ignored");
    for name in named {
        let slice = world.slice(&name, 0, 10);
        assert_eq!((slice.chunks.len(), slice.count, slice.closed), (0, 0, true));
        // Whoever has read some chunks asks for the next one.
        assert_eq!(world.slice(&name, 1, 10).chunks.len(), 0);
    }
    let names = settled(|done| world.store.streams_of_run(run_id(1), done));
    assert_eq!(names.expect("they are listed"), ["open", "closed"]);
}

fn a_private_run_gets_no_new_stream_after_its_end(world: &World) {
    start_private(world, 1);
    world.does(1, EventBody::RunFailed(error("why")));
    assert_eq!(write_of(world, 1, "new", &["a"]), Err(ErrorKind::RunExpired));
    let closed = settled(|done| world.store.close_stream("new".into(), run_id(1), done));
    assert_eq!(closed.map_err(|error| error.kind), Err(ErrorKind::RunExpired));
    let names = settled(|done| world.store.streams_of_run(run_id(1), done));
    assert_eq!(names, Ok(Vec::new()));
}

fn the_waiting_messages_of_a_private_run_go_with_its_end(world: &World) {
    start_private(world, 1);
    world.start_run_of(2, 8);
    let delivered = world.enqueue(replay(1, "delivered"));
    let delivery = world.claim_one();
    assert_eq!(delivery.message_id, delivered);
    for run in [1, 2] {
        world.enqueue(replay(run, "waits"));
        world.enqueue_in(replay(run, "sleeps"), 1000);
        let purpose = Purpose::Step { run_id: run_id(run), step_id: id("s") };
        world.enqueue(NewMessage { purpose, ..wake_up(run) });
        world.does(run, EventBody::RunCompleted);
    }
    assert!(world.settle(&delivery, Outcome::Ack), "its delivery goes on");
    world.at(1000);
    let mut left = 0;
    while let Some(delivery) = world.claim(1).pop() {
        left += 1;
        world.settle(&delivery, Outcome::Ack);
    }
    assert_eq!(left, 3, "those of the other run");
}

fn an_attribute_that_comes_later_counts_too(world: &World) {
    world.start_run_of(1, 8);
    start_private(world, 2);
    for (run, retention) in [(1, Some("0")), (2, None)] {
        let changes = changes(&[("$retention", retention)], true);
        world.does(run, EventBody::AttrSet { id: None, changes });
        world.does(run, EventBody::RunCompleted);
    }
    let read = |run| settled(|done| world.store.run(run_id(run), true, done)).expect("it exists");
    assert_eq!((read(1).run.status, read(1).input), (RunStatus::Completed, None));
    assert_eq!((read(2).run.expired_at_ms, read(2).input), (None, payload("run_created")));
}
