//! Rules for every log: the run must exist and match, positions are dense, times do not decrease, and
//! runs from before the event log know only three events.

use super::test_kit::*;
use super::*;
use crate::domain::run::RunStatus;
use crate::domain::spec::SPEC_VERSION_MAX;

/// Every event that needs an existing run.
fn events_of_an_existing_run() -> Vec<EventBody> {
    let mut bodies = endings().to_vec();
    bodies.extend([
        step_created("s"),
        step_started("s"),
        step_completed("s"),
        step_failed("s"),
        step_retrying("s", None),
        hook_created("h", "token"),
        hook_received("h", None),
        hook_disposed("h"),
        wait_created("w", NOW_MS),
        wait_completed("w"),
        attr_set(Some("a"), &[("key", Some("value"))]),
    ]);
    bodies
}

#[test]
fn an_event_of_an_unknown_run_is_refused() {
    for body in events_of_an_existing_run() {
        assert_eq!(Rows::default().refuses(body), Refusal::RunNotFound(run_id(1)));
    }
}

#[test]
fn an_event_without_a_run_id_is_refused_unless_it_creates_the_run() {
    let mut bodies = events_of_an_existing_run();
    bodies.push(EventBody::RunStarted(Some(creation())));
    for body in bodies {
        let request = EventRequest { run_id: None, ..request(1, body) };
        assert_eq!(Rows::default().append(request), Err(Refusal::RunIdMissing));
    }
}

#[test]
fn an_event_of_a_run_from_a_newer_engine_is_refused() {
    let mut bodies = events_of_an_existing_run();
    bodies.push(EventBody::RunStarted(None));
    for body in bodies {
        let mut rows = Rows::with_running_run();
        let run = rows.runs.get_mut(&run_id(1)).expect("run 1 exists");
        run.spec_version = SPEC_VERSION_MAX + 1;
        assert_eq!(rows.refuses(body), Refusal::RunUnsupported(SPEC_VERSION_MAX + 1));
    }
}

#[test]
fn an_event_reads_the_rows_it_names_and_no_others() {
    let needs = |body: &EventBody| needs(&request(1, body.clone()));
    let nothing = Needs::default();
    let of_step = |step: &str| Needs { step: Some(id(step)), ..Needs::default() };
    let of_hook = |hook: &str| Needs { hook: Some(id(hook)), ..Needs::default() };
    let of_wait = |wait: &str| Needs { wait: Some(id(wait)), ..Needs::default() };
    let of_release = Needs { release: true, ..Needs::default() };
    assert_eq!(needs(&EventBody::RunCreated(creation())), of_release);
    let with_log = Needs { log: Some(0), ..Needs::default() };
    assert_eq!(needs(&EventBody::RunStarted(None)), with_log);
    for ending in endings() {
        assert_eq!(needs(&ending), nothing);
    }
    assert_eq!(needs(&step_created("s")), of_step("s"));
    assert_eq!(needs(&step_started("s")), of_step("s"));
    assert_eq!(needs(&step_completed("s")), of_step("s"));
    assert_eq!(needs(&step_failed("s")), of_step("s"));
    assert_eq!(needs(&step_retrying("s", None)), of_step("s"));
    let with_token = Needs { token: Some(HookToken::new("t")), ..of_hook("h") };
    assert_eq!(needs(&hook_created("h", "t")), with_token.clone());
    let received = Needs { release: true, ..with_token };
    assert_eq!(needs(&hook_received("h", Some("t"))), received);
    assert_eq!(needs(&hook_received("h", None)), Needs { token: None, ..received });
    assert_eq!(needs(&hook_disposed("h")), of_hook("h"));
    assert_eq!(needs(&wait_created("w", 1)), of_wait("w"));
    assert_eq!(needs(&wait_completed("w")), of_wait("w"));
    let named = Needs { attributes_set: Some(id("a")), ..Needs::default() };
    assert_eq!(needs(&attr_set(Some("a"), &[])), named);
    assert_eq!(needs(&attr_set(None, &[])), nothing);
}

#[test]
fn an_event_keeps_what_the_caller_gave_it() {
    let mut rows = Rows::with_running_run();
    let data = Some(r#"{"stepName":"step//s"}"#.to_owned());
    let request = EventRequest {
        data: data.clone(),
        payload: payload("arguments"),
        spec_version: 2,
        ..request(1, step_created("s"))
    };
    let decision = rows.append(request).expect("the rules allow it");
    let event = rows.logs[&run_id(1)].last().expect("it was logged").clone();
    assert_eq!(event.event_type, EventType::StepCreated);
    assert_eq!(event.correlation_id, Some(id("s")));
    assert_eq!((event.data.clone(), event.payload.clone()), (data, payload("arguments")));
    assert_eq!((event.spec_version, event.run_spec_version), (2, SPEC_VERSION_DEFAULT));
    // The caller has the payload already, so the reply does not carry it.
    assert_eq!(decision.event, Some(Event { payload: None, ..event }));
}

#[test]
fn a_report_says_what_the_caller_has_not_seen() {
    let logged = |report: Report| {
        let mut rows = Rows::with_running_run_of(8);
        rows.does(step_created("another"));
        let request = EventRequest { report, ..request(1, step_created("own")) };
        rows.append(request).expect("the rules allow it").log
    };
    let of = |since, held| logged(Report { since, held, skips_log: false });
    assert_eq!(of(None, None), None);
    assert_eq!(of(None, Some(2)), Some(LogPart::Between { after: 2, before: 4 }));
    assert_eq!(of(None, Some(3)), None, "it has seen all");
    assert_eq!(of(None, Some(9)), None, "it cannot have seen so much");
    assert_eq!(of(None, Some(0)), None);
    assert_eq!(of(Some(2), Some(2)), Some(LogPart::After(2)));
    assert_eq!(of(Some(3), None), Some(LogPart::After(3)), "its own event");
}

#[test]
fn a_store_knows_before_where_the_log_of_an_answer_begins() {
    let reports = [None, Some(0), Some(2), Some(9)].into_iter().flat_map(|since| {
        [None, Some(1)]
            .into_iter()
            .flat_map(move |held| [false, true].map(|skips_log| Report { since, held, skips_log }))
    });
    for report in reports {
        for (spec_version, body) in [3, 8].into_iter().flat_map(|version| {
            [EventBody::RunStarted(None), step_created("s")].map(|body| (version, body))
        }) {
            let mut rows = Rows::with_running_run_of(spec_version);
            let request = EventRequest { report, spec_version, ..request(1, body) };
            let named = needs(&request).log;
            let log = rows.append(request.clone()).expect("the rules allow it").log;
            let is_within = |part: LogPart| named.is_some_and(|after| after <= part.after());
            let counts = matches!(log, Some(LogPart::Between { .. }));
            assert!(counts || log.is_none_or(is_within), "{request:?}: {named:?}, {log:?}");
        }
    }
}

#[test]
fn a_part_of_a_log_is_a_page_of_its_events() {
    let mut rows = Rows::with_running_run();
    let first = rows.does(step_created("a")).event.expect("it is logged");
    let log = |positions: std::ops::RangeInclusive<i64>| -> Vec<Event> {
        positions.map(|position| Event { position, ..first.clone() }).collect()
    };
    let of = |part: LogPart, events, limit| {
        part.page(events, limit).map(|page| {
            let positions: Vec<i64> = page.items.iter().map(|event| event.position).collect();
            (positions, page.cursor.is_some(), page.has_more)
        })
    };
    assert_eq!(of(LogPart::Whole, log(1..=2), 2), Some((vec![1, 2], true, false)));
    assert_eq!(of(LogPart::Whole, log(1..=3), 2), None, "it is longer");
    assert_eq!(of(LogPart::After(3), log(4..=6), 2), Some((vec![4, 5], true, true)));
    let between = LogPart::Between { after: 2, before: 5 };
    assert_eq!((between.page_limit(9), between.page_limit(1)), (2, 1));
    assert_eq!(of(between, log(3..=5), 9), Some((vec![3, 4], false, false)));
    assert_eq!(of(between, log(3..=4), 1), Some((vec![3], false, true)));
}

#[test]
fn a_start_is_answered_with_the_log_unless_the_caller_does_without() {
    for (spec_version, log) in [(3, LogPart::Whole), (6, LogPart::After(0))] {
        let mut rows = Rows::with_running_run_of(spec_version);
        assert_eq!(rows.does(EventBody::RunStarted(None)).log, Some(log));
        let report = Report { skips_log: true, ..Report::default() };
        let request = EventRequest { report, ..request(1, EventBody::RunStarted(None)) };
        assert_eq!(rows.append(request).expect("the rules allow it").log, None);
    }
}

#[test]
fn positions_count_from_one_without_gaps_over_refusals() {
    let mut rows = Rows::with_running_run();
    rows.does(step_created("a"));
    rows.refuses(step_created("a"));
    rows.does(step_created("b"));
    let positions: Vec<_> = rows.logs[&run_id(1)].iter().map(|event| event.position).collect();
    assert_eq!(positions, [1, 2, 3, 4]);
}

#[test]
fn the_logs_of_two_runs_count_on_their_own() {
    let mut rows = Rows::with_running_run();
    rows.does_in(2, EventBody::RunCreated(creation()));
    assert_eq!(rows.logs[&run_id(2)][0].position, 1);
}

#[test]
fn times_in_a_log_do_not_decrease_when_the_clock_steps_back() {
    let mut rows = Rows::with_running_run();
    rows.now_ms = NOW_MS + 500;
    rows.does(step_created("a"));
    rows.now_ms = NOW_MS + 100;
    rows.does(step_created("b"));
    assert_eq!(rows.step("b").created_at_ms, NOW_MS + 500);
    rows.now_ms = NOW_MS + 900;
    rows.does(step_created("c"));
    let times: Vec<_> =
        rows.logs[&run_id(1)].iter().map(|event| event.created_at_ms - NOW_MS).collect();
    assert_eq!(times, [0, 0, 500, 500, 900]);
    let ids: Vec<_> = rows.logs[&run_id(1)].iter().map(Event::event_id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

/// A run of spec version 1, from before the event log.
fn with_legacy_run(status: RunStatus) -> Rows {
    let mut rows = Rows { spec_version: 1, ..Rows::default() };
    rows.does(EventBody::RunCreated(creation()));
    let run = rows.runs.get_mut(&run_id(1)).expect("run 1 exists");
    run.status = status;
    rows
}

#[test]
fn a_legacy_run_is_cancelled_without_an_event() {
    for status in [RunStatus::Pending, RunStatus::Running] {
        let mut rows = with_legacy_run(status);
        let decision = rows.does(EventBody::RunCancelled);
        assert_eq!(decision.event, None);
        assert_eq!(decision.entity, Entity::Run(run_id(1)));
        assert_eq!(rows.run().status, RunStatus::Cancelled);
        assert_eq!(rows.run().completed_at_ms, Some(NOW_MS));
        assert_eq!(rows.log(), ["run_created"]);
        // A second cancellation changes nothing and is no error.
        let before = rows.clone();
        assert_eq!(rows.does(EventBody::RunCancelled).entity, Entity::Run(run_id(1)));
        assert_eq!(rows, before);
    }
}

#[test]
fn a_legacy_run_that_ended_otherwise_cannot_be_cancelled() {
    for status in [RunStatus::Completed, RunStatus::Failed] {
        let refusal = with_legacy_run(status).refuses(EventBody::RunCancelled);
        assert_eq!(refusal, Refusal::RunEnded { run_id: run_id(1), status });
    }
}

#[test]
fn a_legacy_run_logs_payloads_and_completed_waits_and_changes_nothing_else() {
    let mut rows = with_legacy_run(RunStatus::Running);
    let before = rows.clone();
    assert_eq!(rows.does(wait_completed("w")).entity, Entity::Nothing);
    assert_eq!(rows.wake_ups, []);
    assert_eq!(rows.does(hook_received("h", None)).entity, Entity::Nothing);
    assert_eq!(rows.wake_ups, [run_id(1)]);
    assert_eq!(rows.log(), ["run_created", "wait_completed", "hook_received"]);
    let versions: Vec<_> = rows.logs[&run_id(1)].iter().map(|event| event.spec_version).collect();
    assert_eq!(versions, [1, SPEC_VERSION_DEFAULT, SPEC_VERSION_DEFAULT]);
    assert_eq!((rows.runs, rows.hooks, rows.waits), (before.runs, before.hooks, before.waits));
}

#[test]
fn a_legacy_run_knows_no_other_event() {
    let known = [EventType::RunCancelled, EventType::WaitCompleted, EventType::HookReceived];
    let mut bodies = events_of_an_existing_run();
    bodies.push(EventBody::RunStarted(None));
    bodies.retain(|body| !known.contains(&body.event_type()));
    assert_eq!(bodies.len(), 12);
    for body in bodies {
        let event_type = body.event_type().as_str();
        let refusal = with_legacy_run(RunStatus::Running).refuses(body);
        assert_eq!(refusal, Refusal::RunTooOld { run_id: run_id(1), event_type });
    }
}

/// Every event that a caller may request.
fn every_event() -> Vec<EventBody> {
    let mut bodies = events_of_an_existing_run();
    bodies.extend([EventBody::RunCreated(creation()), EventBody::RunStarted(None)]);
    bodies
}

#[test]
fn a_delivery_without_its_lease_writes_nothing_that_only_a_delivery_writes() {
    for body in every_event() {
        let event_type = body.event_type();
        let fence = Some(fence("lost"));
        let needed = needs(&EventRequest { fence: fence.clone(), ..request(1, body.clone()) });
        assert_eq!(needed.lease.is_some(), event_type.is_of_delivery(), "{event_type:?}");
        let mut rows = Rows::with_running_run();
        rows.leases.push(super::test_kit::fence("of another claim"));
        let outcome = rows.append(EventRequest { fence, ..request(1, body) });
        let is_lost = outcome == Err(Refusal::LeaseLost);
        assert_eq!(is_lost, event_type.is_of_delivery(), "{event_type:?}");
    }
}

#[test]
fn a_delivery_with_its_lease_is_refused_nothing_for_it() {
    for body in every_event() {
        let mut rows = Rows::with_running_run();
        let unfenced = rows.clone().append(request(1, body.clone()));
        rows.leases.push(fence("held"));
        let fenced = rows.append(EventRequest { fence: Some(fence("held")), ..request(1, body) });
        assert_eq!(fenced, unfenced);
    }
}

#[test]
fn a_lost_lease_is_the_first_thing_that_is_said() {
    let mut rows = Rows::default();
    let request = EventRequest { fence: Some(fence("lost")), ..request(1, step_created("s")) };
    assert_eq!(rows.append(request), Err(Refusal::LeaseLost));
}
