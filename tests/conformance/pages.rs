//! Lists: order, filters, limits, and cursors that stay valid while the list grows and shrinks.

use hookline::domain::event::EventBody;
use hookline::domain::id::CorrelationId;
use hookline::domain::page::{LIMIT_MAX, Page, PageRequest, SortOrder};
use hookline::domain::run::RunStatus;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{EventQuery, RunQuery};

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(
    pages_of_events_join_into_the_log_in_both_orders,
    pages_of_steps_join_into_the_list_in_both_orders,
    pages_of_hooks_join_into_the_list_in_both_orders,
    pages_of_runs_join_into_the_list_in_both_orders,
    the_last_page_keeps_a_cursor_that_finds_what_comes_later,
    a_cursor_survives_the_entities_it_was_made_of,
    an_unreadable_cursor_is_invalid,
    a_page_holds_up_to_a_thousand_items,
    runs_are_filtered_by_workflow_and_status,
    lists_of_nothing_are_empty_pages,
    steps_and_hooks_of_other_runs_are_not_listed,
    disposed_hooks_are_not_listed,
    events_of_a_correlation_id_are_listed_with_and_without_their_run,
    events_of_a_conflicting_hook_are_found_by_its_id_alone,
    payloads_are_left_out_of_lists_that_do_not_want_them,
);

/// Reads a list to its end, page by page, and checks the cursor and `has_more` of each page.
fn read_all<T>(
    limit: usize,
    order: SortOrder,
    read: impl Fn(PageRequest) -> Result<Page<T>, WorldError>,
) -> Vec<T> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = read(PageRequest { limit, after, order }).expect("the page is read");
        assert!(page.items.len() <= limit);
        assert!(page.items.len() == limit || !page.has_more);
        assert_eq!(page.cursor.is_some(), !page.items.is_empty());
        all.extend(page.items);
        if !page.has_more {
            return all;
        }
        after = page.cursor;
    }
}

/// Checks that pages of each size join into the same list, and into its reverse.
fn joins<T: Clone + PartialEq + std::fmt::Debug>(
    expected: &[T],
    read: impl Fn(PageRequest) -> Result<Page<T>, WorldError>,
) {
    let reversed: Vec<T> = expected.iter().rev().cloned().collect();
    for limit in [1, 2, 3, expected.len(), expected.len() + 1, LIMIT_MAX] {
        assert_eq!(read_all(limit, SortOrder::Ascending, &read), expected, "limit {limit}");
        assert_eq!(read_all(limit, SortOrder::Descending, &read), reversed, "limit {limit}");
    }
}

fn event_ids(
    world: &World,
    run: Option<u64>,
    correlation_id: Option<&str>,
    page: PageRequest,
) -> Result<Page<String>, WorldError> {
    let query = EventQuery {
        run_id: run.map(run_id),
        correlation_id: correlation_id.map(CorrelationId::new),
        page,
        resolve_data: true,
    };
    let page = world.events(&query)?;
    let items = page.items.iter().map(|event| event.event_id()).collect();
    Ok(Page { items, cursor: page.cursor, has_more: page.has_more })
}

fn step_ids(world: &World, run: u64, page: PageRequest) -> Result<Page<String>, WorldError> {
    let page = settled(|done| world.store.steps(run_id(run), page, true, done))?;
    let items = page.items.into_iter().map(|view| view.step.step_id.into_string()).collect();
    Ok(Page { items, cursor: page.cursor, has_more: page.has_more })
}

fn hook_ids(
    world: &World,
    run: Option<u64>,
    page: PageRequest,
) -> Result<Page<String>, WorldError> {
    let page = settled(|done| world.store.hooks(run.map(run_id), page, true, done))?;
    let items = page.items.into_iter().map(|view| view.hook.hook_id.into_string()).collect();
    Ok(Page { items, cursor: page.cursor, has_more: page.has_more })
}

fn run_ids(
    world: &World,
    workflow_name: Option<&str>,
    statuses: Option<&[RunStatus]>,
    page: PageRequest,
) -> Result<Page<String>, WorldError> {
    let statuses = statuses.map(<[RunStatus]>::to_vec);
    let workflow_name = workflow_name.map(str::to_owned);
    let query = RunQuery { workflow_name, statuses, page, resolve_data: true };
    let page = settled(|done| world.store.runs(query, done))?;
    let items = page.items.into_iter().map(|view| view.run.run_id.into_string()).collect();
    Ok(Page { items, cursor: page.cursor, has_more: page.has_more })
}

fn pages_of_events_join_into_the_log_in_both_orders(world: &World) {
    world.start_runs(2);
    for number in 0..5 {
        // Some share a millisecond.
        world.at(number / 2);
        world.does(1, step_created(&format!("s{number}")));
        world.does(2, step_created(&format!("s{number}")));
    }
    let log: Vec<String> = world.log(1).iter().map(|event| event.event_id()).collect();
    assert_eq!(log.len(), 7);
    assert!(log.is_sorted());
    joins(&log, |page| event_ids(world, Some(1), None, page));
}

fn pages_of_steps_join_into_the_list_in_both_orders(world: &World) {
    world.start_runs(1);
    // The order is neither by name nor by time, but by creation.
    let names = ["c", "a", "e", "b", "d"];
    for name in names {
        world.does(1, step_created(name));
    }
    joins(&names.map(str::to_owned), |page| step_ids(world, 1, page));
}

fn pages_of_hooks_join_into_the_list_in_both_orders(world: &World) {
    world.start_runs(2);
    let names = ["c", "a", "e", "b", "d"];
    for name in names {
        world.does(1, hook_created(name, name));
        world.does(2, hook_created(&format!("2{name}"), &format!("2{name}")));
    }
    joins(&names.map(str::to_owned), |page| hook_ids(world, Some(1), page));
    let all: Vec<String> =
        names.iter().flat_map(|name| [(*name).to_owned(), format!("2{name}")]).collect();
    joins(&all, |page| hook_ids(world, None, page));
}

fn pages_of_runs_join_into_the_list_in_both_orders(world: &World) {
    // Ids sort by the time in them, not by the order of arrival.
    for run in [3, 1, 5, 2, 4] {
        world.does(run, EventBody::RunCreated(creation()));
    }
    let expected: Vec<String> = (1..=5).map(|run| run_id(run).into_string()).collect();
    joins(&expected, |page| run_ids(world, None, None, page));
}

fn the_last_page_keeps_a_cursor_that_finds_what_comes_later(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("a"));
    world.does(1, hook_created("h1", "one"));
    let first = || PageRequest::first(100);
    let behind = |cursor| PageRequest { after: cursor, ..first() };
    let events = event_ids(world, Some(1), None, first()).expect("the page is read");
    let steps = step_ids(world, 1, first()).expect("the page is read");
    let hooks = hook_ids(world, None, first()).expect("the page is read");
    let runs = run_ids(world, None, None, first()).expect("the page is read");
    assert!(!events.has_more && !steps.has_more && !hooks.has_more && !runs.has_more);
    // An empty page with nothing new keeps the cursor valid.
    let nothing = event_ids(world, Some(1), None, behind(events.cursor.clone()));
    assert_eq!(nothing, Ok(Page { items: Vec::new(), cursor: None, has_more: false }));
    world.does(1, step_created("b"));
    world.does(1, hook_created("h2", "two"));
    world.does(2, EventBody::RunCreated(creation()));
    let later = event_ids(world, Some(1), None, behind(events.cursor)).expect("the page is read");
    assert_eq!(later.items.len(), 2);
    let later = step_ids(world, 1, behind(steps.cursor)).expect("the page is read");
    assert_eq!(later.items, ["b"]);
    let later = hook_ids(world, None, behind(hooks.cursor)).expect("the page is read");
    assert_eq!(later.items, ["h2"]);
    let later = run_ids(world, None, None, behind(runs.cursor)).expect("the page is read");
    assert_eq!(later.items, [run_id(2).into_string()]);
}

fn a_cursor_survives_the_entities_it_was_made_of(world: &World) {
    world.start_runs(3);
    world.does(1, hook_created("h1", "one"));
    world.does(2, hook_created("h2", "two"));
    let page = hook_ids(world, None, PageRequest::first(100)).expect("the page is read");
    assert_eq!(page.items, ["h1", "h2"]);
    // The last hook is deleted with its run. The next one must still come after the cursor.
    world.does(2, EventBody::RunCompleted);
    world.does(3, hook_created("h3", "three"));
    let request = PageRequest { after: page.cursor, ..PageRequest::first(100) };
    let page = hook_ids(world, None, request).expect("the page is read");
    assert_eq!(page.items, ["h3"]);
}

fn an_unreadable_cursor_is_invalid(world: &World) {
    world.start_runs(1);
    for text in ["x", "not a cursor", "1:x", "ü", "\u{0}"] {
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let page = || PageRequest { limit: 10, after: Some(text.into()), order };
            let outcomes = [
                event_ids(world, Some(1), None, page()),
                event_ids(world, None, Some("s"), page()),
                step_ids(world, 1, page()),
                hook_ids(world, Some(1), page()),
                hook_ids(world, None, page()),
                run_ids(world, None, None, page()),
            ];
            for (list, outcome) in outcomes.into_iter().enumerate() {
                let error = outcome.expect_err(&format!("{text:?} in list {list}"));
                assert_eq!(error.kind, ErrorKind::Invalid, "{text:?} in list {list}");
                assert_eq!(error.details["status"], 400);
            }
        }
    }
}

fn a_page_holds_up_to_a_thousand_items(world: &World) {
    world.start_runs(1);
    for number in 0..LIMIT_MAX + 1 {
        let body = step_created(&format!("s{number:04}"));
        world.store.append_event(request(1, body), hookline::store::Completion::ignored());
    }
    // Comes after them all in the writer's order.
    world.does(1, hook_created("h", "token"));
    let page = step_ids(world, 1, PageRequest::first(LIMIT_MAX)).expect("the page is read");
    assert_eq!((page.items.len(), page.has_more), (LIMIT_MAX, true));
    let rest = PageRequest { after: page.cursor, ..PageRequest::first(LIMIT_MAX) };
    assert_eq!(step_ids(world, 1, rest).expect("the page is read").items, ["s1000"]);
    let page = event_ids(world, Some(1), None, PageRequest::first(LIMIT_MAX));
    assert_eq!(page.expect("the page is read").items.len(), LIMIT_MAX);
}

fn runs_are_filtered_by_workflow_and_status(world: &World) {
    for run in 1..=6 {
        let mut creation = creation();
        creation.workflow_name = if run % 2 == 0 { "even" } else { "odd" }.into();
        world.does(run, EventBody::RunCreated(creation));
    }
    for run in [1, 2, 3] {
        world.does(run, EventBody::RunStarted(None));
    }
    world.does(1, EventBody::RunCompleted);
    world.does(2, EventBody::RunFailed(error("why")));
    world.does(6, EventBody::RunCancelled);
    let listed = |workflow_name, statuses: Option<&[RunStatus]>| {
        let read = |page| run_ids(world, workflow_name, statuses, page);
        let all = read_all(1, SortOrder::Ascending, read);
        let mut downwards = read_all(2, SortOrder::Descending, read);
        downwards.reverse();
        assert_eq!(downwards, all);
        all.iter().map(|text| text[text.len() - 1..].to_owned()).collect::<String>()
    };
    assert_eq!(listed(None, None), "123456");
    assert_eq!(listed(Some("even"), None), "246");
    assert_eq!(listed(Some("odd"), Some(&[RunStatus::Pending])), "5");
    assert_eq!(listed(None, Some(&[RunStatus::Pending])), "45");
    assert_eq!(listed(None, Some(&[RunStatus::Running])), "3");
    assert_eq!(listed(None, Some(&[RunStatus::Completed])), "1");
    assert_eq!(listed(Some("even"), Some(&[RunStatus::Failed])), "2");
    assert_eq!(listed(Some("even"), Some(&[RunStatus::Cancelled])), "6");
    let ended = [RunStatus::Failed, RunStatus::Completed, RunStatus::Cancelled];
    assert_eq!(listed(None, Some(&ended)), "126");
    assert_eq!(listed(Some("even"), Some(&ended)), "26");
    assert_eq!(listed(None, Some(&[RunStatus::Pending; 2])), "45");
    assert_eq!(listed(None, Some(&RunStatus::ALL)), "123456");
    assert_eq!(listed(None, Some(&[])), "");
    assert_eq!(listed(Some("eve"), None), "");
}

fn lists_of_nothing_are_empty_pages(world: &World) {
    let empty = || Ok(Page { items: Vec::new(), cursor: None, has_more: false });
    let first = || PageRequest::first(10);
    assert_eq!(event_ids(world, Some(1), None, first()), empty());
    assert_eq!(event_ids(world, None, Some("s"), first()), empty());
    assert_eq!(step_ids(world, 1, first()), empty());
    assert_eq!(hook_ids(world, Some(1), first()), empty());
    assert_eq!(hook_ids(world, None, first()), empty());
    assert_eq!(run_ids(world, None, None, first()), empty());
}

fn steps_and_hooks_of_other_runs_are_not_listed(world: &World) {
    world.start_runs(2);
    for run in 1..=2 {
        world.does(run, step_created(&format!("s{run}")));
        world.does(run, hook_created(&format!("h{run}"), &format!("token {run}")));
    }
    let steps = step_ids(world, 2, PageRequest::first(10)).expect("the page is read");
    assert_eq!(steps.items, ["s2"]);
    let hooks = hook_ids(world, Some(2), PageRequest::first(10)).expect("the page is read");
    assert_eq!(hooks.items, ["h2"]);
}

fn disposed_hooks_are_not_listed(world: &World) {
    world.start_runs(1);
    for name in ["a", "b", "c"] {
        world.does(1, hook_created(name, name));
    }
    world.does(1, hook_disposed("b"));
    joins(&["a".to_owned(), "c".to_owned()], |page| hook_ids(world, Some(1), page));
}

fn events_of_a_correlation_id_are_listed_with_and_without_their_run(world: &World) {
    world.start_runs(2);
    for run in 1..=2 {
        world.does(run, step_created("s"));
        world.does(run, step_created("other"));
        world.does(run, step_started("s"));
        world.does(run, step_completed("s"));
    }
    let of_run = |run: u64| -> Vec<String> {
        let of_step = |event: &&hookline::domain::event::Event| {
            event.correlation_id == Some(CorrelationId::new("s"))
        };
        world.log(run).iter().filter(of_step).map(|event| event.event_id()).collect()
    };
    assert_eq!(of_run(2).len(), 3);
    joins(&of_run(2), |page| event_ids(world, Some(2), Some("s"), page));
    let both = [of_run(1), of_run(2)].concat();
    joins(&both, |page| event_ids(world, None, Some("s"), page));
}

#[test]
fn events_of_an_entity_are_found_however_far_they_lie_apart() {
    // More than one page scans.
    const BETWEEN: usize = 10_100;
    let world = &World::in_memory();
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, hook_created("h", "token"));
    for _ in 0..BETWEEN {
        let received = request(1, hook_received("h", None));
        world.store.append_event(received, hookline::store::Completion::ignored());
    }
    // Comes after them all in the writer's order.
    world.does(1, step_started("s"));
    let expected: Vec<String> = world
        .log(1)
        .iter()
        .filter(|e| e.event_type.as_str().starts_with("step"))
        .map(|e| e.event_id())
        .collect();
    assert_eq!(expected.len(), 2);
    for run in [Some(1), None] {
        for order in [SortOrder::Ascending, SortOrder::Descending] {
            let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let page = PageRequest { limit: 10, after, order };
                let page = event_ids(world, run, Some("s"), page).expect("the page is read");
                found.extend(page.items);
                pages += 1;
                if !page.has_more {
                    break;
                }
                after = page.cursor;
            }
            if order == SortOrder::Descending {
                found.reverse();
            }
            assert_eq!((&found, pages), (&expected, 2), "{run:?} {order:?}");
        }
    }
}

fn events_of_a_conflicting_hook_are_found_by_its_id_alone(world: &World) {
    world.start_runs(2);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", None));
    world.does(1, wait_created("w", NOW_MS));
    world.does(2, hook_created("loser", "token"));
    let count = |id| {
        let page = event_ids(world, None, Some(id), PageRequest::first(10));
        page.expect("the page is read").items.len()
    };
    assert_eq!((count("h"), count("w"), count("loser"), count("nobody")), (2, 1, 1, 0));
}

fn payloads_are_left_out_of_lists_that_do_not_want_them(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, hook_created("h", "token"));
    let page = || PageRequest::first(10);
    for resolve_data in [true, false] {
        let expected = |text| if resolve_data { payload(text) } else { None };
        let query = RunQuery { workflow_name: None, statuses: None, page: page(), resolve_data };
        let runs = settled(|done| world.store.runs(query, done)).expect("runs are read");
        assert_eq!(runs.items[0].input, expected("run_created"));
        let steps = settled(|done| world.store.steps(run_id(1), page(), resolve_data, done));
        assert_eq!(steps.expect("steps are read").items[0].input, expected("step_created"));
        let hooks = settled(|done| world.store.hooks(None, page(), resolve_data, done));
        assert_eq!(hooks.expect("hooks are read").items[0].metadata, expected("hook_created"));
        let query = EventQuery {
            run_id: Some(run_id(1)),
            correlation_id: None,
            page: page(),
            resolve_data,
        };
        let events = world.events(&query).expect("the log is read");
        assert_eq!(events.items[2].payload, expected("step_created"));
    }
}
