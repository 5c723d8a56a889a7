//! The effects of each event: its entry in the log, its entity, its reply.

use hookline::domain::event::{EventBody, EventRequest, EventType};
use hookline::domain::page::LIMIT_MAX;
use hookline::domain::run::RunStatus;
use hookline::domain::step::StepStatus;
use hookline::error::ErrorKind;
use hookline::store::EventReply;

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(
    a_created_run_is_answered_with_its_event_and_its_input,
    a_run_created_without_an_id_is_named_by_the_store,
    a_second_creation_is_a_conflict_and_writes_nothing,
    the_first_start_answers_with_the_running_run_and_its_whole_log,
    a_start_of_a_running_run_logs_nothing_and_answers_with_the_whole_log,
    a_log_longer_than_a_page_is_not_preloaded,
    a_resilient_start_creates_the_run_and_logs_its_creation_first,
    a_late_creation_after_a_resilient_start_is_a_conflict,
    a_completed_run_answers_with_its_return_value,
    a_failed_run_answers_with_its_error,
    a_second_cancellation_is_logged_and_changes_nothing,
    a_step_answers_with_its_payloads_through_its_life,
    a_retried_step_keeps_its_error_and_its_time,
    a_failed_step_answers_with_its_error,
    a_wait_answers_through_its_life,
    the_engines_wake_up_carries_the_runs_trace,
    the_events_that_wake_a_run_write_its_wake_up_along,
    an_ended_run_is_not_woken,
    payloads_keep_their_format_and_every_byte,
    concurrent_appends_of_one_run_get_dense_positions_once_each,
);

fn position(reply: &EventReply) -> i64 {
    reply.event.as_ref().expect("an event was logged").position
}

fn a_created_run_is_answered_with_its_event_and_its_input(world: &World) {
    let data = Some(r#"{"deploymentId":"dpl"}"#.to_owned());
    let body = EventBody::RunCreated(creation());
    let reply = world.tries(EventRequest { data: data.clone(), ..request(1, body) });
    let reply = reply.expect("the run is created");
    let event = reply.event.clone().expect("it was logged");
    assert_eq!((event.run_id.clone(), event.position), (run_id(1), 1));
    assert_eq!((event.event_type, event.created_at_ms), (EventType::RunCreated, NOW_MS));
    assert_eq!((event.data.clone(), event.payload.clone()), (data, None));
    let view = reply.run.expect("the run is answered");
    assert_eq!((view.run.status, view.run.spec_version), (RunStatus::Pending, 3));
    assert_eq!((view.input, view.output), (payload("run_created"), None));
    assert_eq!((reply.step, reply.hook, reply.wait), (None, None, None));
    assert_eq!((reply.events, reply.wake_up), (None, None));
    let logged = world.log(1);
    assert_eq!(logged.len(), 1);
    assert_eq!(logged[0].payload, payload("run_created"));
    assert_eq!(logged[0].event_id(), event.event_id());
}

fn a_run_created_without_an_id_is_named_by_the_store(world: &World) {
    let body = EventBody::RunCreated(creation());
    let name = || {
        let request = EventRequest { run_id: None, ..request(1, body.clone()) };
        let reply = world.tries(request).expect("the run is created");
        reply.run.expect("the run is answered").run.run_id
    };
    let (first, second) = (name(), name());
    assert_ne!(first, second);
    for run_id in [first, second] {
        assert_eq!(run_id.unacceptable_because(NOW_MS), None);
        assert_eq!(
            settled(|done| world.store.run_by_id(&run_id).settle(done)).expect("it exists").run_id,
            run_id
        );
    }
}

fn a_second_creation_is_a_conflict_and_writes_nothing(world: &World) {
    world.does(1, EventBody::RunCreated(creation()));
    let error = world.refuses(1, EventBody::RunCreated(creation()));
    assert_eq!(error.kind, ErrorKind::EntityConflict);
}

fn the_first_start_answers_with_the_running_run_and_its_whole_log(world: &World) {
    world.does(1, EventBody::RunCreated(creation()));
    world.at(10);
    let reply = world.does(1, EventBody::RunStarted(None));
    let view = reply.run.clone().expect("the run is answered");
    assert_eq!((view.run.status, view.run.started_at_ms), (RunStatus::Running, Some(NOW_MS + 10)));
    assert_eq!(view.input, payload("run_created"));
    assert_eq!(position(&reply), 2);
    let page = reply.events.expect("the log is preloaded");
    assert_eq!(page.items, world.log(1));
    assert!(!page.has_more && page.cursor.is_some());
    assert_eq!(page.items[1].payload, None);
}

fn a_start_of_a_running_run_logs_nothing_and_answers_with_the_whole_log(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.at(10);
    let reply = world.does(1, EventBody::RunStarted(Some(creation())));
    assert_eq!(reply.event, None);
    let run = reply.run.expect("the run is answered").run;
    assert_eq!((run.status, run.started_at_ms), (RunStatus::Running, Some(NOW_MS)));
    let page = reply.events.expect("the log is preloaded");
    let types: Vec<_> = page.items.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["run_created", "run_started", "step_created"]);
    assert_eq!(page.items[2].payload, payload("step_created"));
    assert_eq!(world.log(1), page.items);
}

fn a_log_longer_than_a_page_is_not_preloaded(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    for _ in 3..LIMIT_MAX {
        world.does(1, hook_received("h", None));
    }
    let preloaded = |world: &World| world.does(1, EventBody::RunStarted(None)).events;
    assert_eq!(preloaded(world).expect("just a page").items.len(), LIMIT_MAX);
    world.does(1, hook_received("h", None));
    assert_eq!(preloaded(world), None);
}

fn a_resilient_start_creates_the_run_and_logs_its_creation_first(world: &World) {
    let reply = world.does(1, EventBody::RunStarted(Some(creation())));
    let view = reply.run.clone().expect("the run is answered");
    assert_eq!(view.run.status, RunStatus::Running);
    assert_eq!(view.input, payload("run_started"));
    assert_eq!(position(&reply), 2);
    let page = reply.events.expect("the log is preloaded");
    assert_eq!(page.items, world.log(1));
    let log: Vec<_> =
        page.items.iter().map(|event| (event.event_type, event.payload.clone())).collect();
    let expected = [(EventType::RunCreated, payload("run_started")), (EventType::RunStarted, None)];
    assert_eq!(log, expected);
}

fn a_late_creation_after_a_resilient_start_is_a_conflict(world: &World) {
    world.does(1, EventBody::RunStarted(Some(creation())));
    let error = world.refuses(1, EventBody::RunCreated(creation()));
    assert_eq!(error.kind, ErrorKind::EntityConflict);
}

fn a_completed_run_answers_with_its_return_value(world: &World) {
    world.start_runs(1);
    world.at(10);
    let reply = world.does(1, EventBody::RunCompleted);
    let view = reply.run.expect("the run is answered");
    assert_eq!(view.run.status, RunStatus::Completed);
    assert_eq!(view.run.completed_at_ms, Some(NOW_MS + 10));
    assert_eq!((view.input, view.output), (payload("run_created"), payload("run_completed")));
}

fn a_failed_run_answers_with_its_error(world: &World) {
    world.start_runs(1);
    let mut why = error("why");
    why.stack = Some("Error: why\n    at workflow".into());
    why.code = Some("USER_ERROR".into());
    let reply = world.does(1, EventBody::RunFailed(why.clone()));
    let view = reply.run.expect("the run is answered");
    assert_eq!((view.run.status, view.output), (RunStatus::Failed, None));
    assert_eq!(view.run.error, Some(why.clone()));
    let read = settled(|done| world.store.run_by_id(&run_id(1)).settle(done)).expect("it exists");
    assert_eq!(read.error, Some(why));
}

fn a_second_cancellation_is_logged_and_changes_nothing(world: &World) {
    world.start_runs(1);
    let first = world.does(1, EventBody::RunCancelled);
    world.at(10);
    let second = world.does(1, EventBody::RunCancelled);
    assert_eq!(first.run, second.run);
    assert_eq!((position(&first), position(&second)), (3, 4));
    assert_eq!(world.log_types(1)[2..], ["run_cancelled", "run_cancelled"]);
}

fn a_step_answers_with_its_payloads_through_its_life(world: &World) {
    world.start_runs(1);
    let view = world.does(1, step_created("s")).step.expect("the step is answered");
    assert_eq!((view.step.status, view.step.attempt), (StepStatus::Pending, 0));
    assert_eq!((view.input.clone(), view.output), (payload("step_created"), None));
    world.at(10);
    let view = world.does(1, step_started("s")).step.expect("the step is answered");
    assert_eq!((view.step.status, view.step.attempt), (StepStatus::Running, 1));
    assert_eq!(view.step.started_at_ms, Some(NOW_MS + 10));
    world.at(20);
    let view = world.does(1, step_completed("s")).step.expect("the step is answered");
    assert_eq!((view.step.status, view.step.attempt), (StepStatus::Completed, 1));
    assert_eq!(view.step.completed_at_ms, Some(NOW_MS + 20));
    let payloads = (view.input.clone(), view.output.clone());
    assert_eq!(payloads, (payload("step_created"), payload("step_completed")));
    let read = settled(|done| world.store.step(Some(run_id(1)), id("s"), true, done));
    assert_eq!(read.expect("it exists"), view);
}

fn a_retried_step_keeps_its_error_and_its_time(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, step_started("s"));
    let reply = world.does(1, step_retrying("s", Some(NOW_MS + 5000)));
    let step = reply.step.expect("the step is answered").step;
    assert_eq!((step.status, step.attempt), (StepStatus::Pending, 1));
    assert_eq!((step.error, step.retry_after_ms), (Some(error("again")), Some(NOW_MS + 5000)));
    let refusal = world.refuses(1, step_started("s"));
    assert_eq!(refusal.kind, ErrorKind::TooEarly);
    assert_eq!(refusal.details["retryAfter"], 5);
    world.at(5000);
    let step = world.does(1, step_started("s")).step.expect("the step is answered").step;
    assert_eq!((step.status, step.attempt), (StepStatus::Running, 2));
    assert_eq!((step.started_at_ms, step.retry_after_ms), (Some(NOW_MS), None));
}

fn a_failed_step_answers_with_its_error(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, step_started("s"));
    let view = world.does(1, step_failed("s")).step.expect("the step is answered");
    assert_eq!((view.step.status, view.output), (StepStatus::Failed, None));
    assert_eq!(view.step.error, Some(error("fatal")));
}

fn a_wait_answers_through_its_life(world: &World) {
    world.start_runs(1);
    let wait = world.does(1, wait_created("w", NOW_MS + 60_000)).wait.expect("it is answered");
    assert_eq!((wait.resume_at_ms, wait.completed_at_ms), (NOW_MS + 60_000, None));
    world.at(60_000);
    let reply = world.does(1, wait_completed("w"));
    let wait = reply.wait.expect("it is answered");
    assert_eq!((wait.completed_at_ms, wait.created_at_ms), (Some(NOW_MS + 60_000), NOW_MS));
    assert_eq!(reply.wake_up, None);
}

fn the_engines_wake_up_carries_the_runs_trace(world: &World) {
    let mut creation = creation();
    creation.execution_context =
        Some(r#"{"workflowCoreVersion":"4.8.9","traceCarrier":{"traceparent":"00-ab"}}"#.into());
    world.does(1, EventBody::RunCreated(creation));
    world.does(1, hook_created("h", "token"));
    let wake_up = world.does(1, hook_received("h", None)).wake_up;
    let delivery = world.claim_one();
    assert_eq!(wake_up, Some(delivery.message_id));
    assert_eq!(delivery.queue_name, crate::kit::WORKFLOW_QUEUE);
    let body: serde_json::Value = serde_json::from_slice(&delivery.body).expect("JSON");
    let expected = serde_json::json!({
        "runId": run_id(1).as_str(),
        "traceCarrier": { "traceparent": "00-ab" },
    });
    assert_eq!(body, expected);
}

fn the_events_that_wake_a_run_write_its_wake_up_along(world: &World) {
    world.start_runs(3);
    for run in 1..=3 {
        world.does(run, hook_created("h", &format!("token {run}")));
        world.does(run, step_created("s"));
    }
    let woken = [
        world.does(1, hook_received("h", None)).wake_up,
        world.does(2, step_completed("s")).wake_up,
        world.does(3, step_failed("s")).wake_up,
    ];
    let claimed: Vec<_> = world.claim(10).iter().map(|d| Some(d.message_id)).collect();
    assert_eq!(claimed, woken);
}

fn an_ended_run_is_not_woken(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, step_started("s"));
    world.does(1, EventBody::RunCancelled);
    let reply = world.does(1, step_completed("s"));
    assert_eq!(reply.wake_up, None);
    world.claims_nothing();
}

fn payloads_keep_their_format_and_every_byte(world: &World) {
    use hookline::domain::payload::Payload;
    world.start_runs(1);
    let every_byte: Vec<u8> = (0..=255).collect();
    let payloads = [
        Some(Payload::Bytes(every_byte)),
        Some(Payload::Bytes(Vec::new())),
        Some(Payload::Json("{\"text\":\"\u{0}ü\u{1F600}\"}".into())),
        Some(Payload::Json(String::new())),
        None,
        Some(Payload::Bytes(vec![7; 300_000])),
    ];
    world.does(1, hook_created("h", "token"));
    for payload in &payloads {
        let request =
            EventRequest { payload: payload.clone(), ..request(1, hook_received("h", None)) };
        world.tries(request).expect("it is logged");
    }
    let logged: Vec<_> = world.log(1).into_iter().skip(3).map(|event| event.payload).collect();
    assert_eq!(logged, payloads);
}

fn concurrent_appends_of_one_run_get_dense_positions_once_each(world: &World) {
    const THREADS: usize = 8;
    const EACH: usize = 25;
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let mut positions: Vec<i64> = std::thread::scope(|scope| {
        let append = || -> Vec<i64> {
            (0..EACH).map(|_| position(&world.does(1, hook_received("h", None)))).collect()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(append)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it appends")).collect()
    });
    positions.sort_unstable();
    assert_eq!(positions, (4..4 + (THREADS * EACH) as i64).collect::<Vec<_>>());
    assert_eq!(world.log(1).len(), 3 + THREADS * EACH);
}
