//! Hooks: a token names at most one live hook, is freed with it, and is found with one look-up.

use hookline::domain::event::{EventBody, EventRequest, EventType};
use hookline::domain::hook::{Hook, HookOptions};
use hookline::domain::id::{HookToken, TOKEN_LENGTH_MAX};
use hookline::domain::step_resume::StepResume;
use hookline::error::ErrorKind;

use crate::kit::rows::*;
use crate::kit::{World, settled};
use crate::retention::start_private;

run_by_every_store!(
    a_created_hook_is_answered_with_its_metadata,
    a_live_hook_is_found_by_its_token_with_its_run,
    an_unknown_token_is_told_to_its_caller_but_not_in_the_message,
    a_held_token_is_a_logged_conflict_with_the_run_that_holds_it,
    a_disposed_hook_frees_its_token_and_is_gone,
    each_ending_of_a_run_frees_the_tokens_of_its_hooks,
    a_freed_token_names_the_next_hook,
    a_payload_is_logged_in_order_and_the_hook_stays,
    nothing_is_received_after_a_disposal,
    a_payload_with_another_token_is_refused_without_a_wake_up,
    of_many_hooks_with_one_token_one_gets_it,
    a_resume_and_a_disposal_at_once_leave_no_payload_behind_the_disposal,
    a_step_that_is_repeated_finds_the_hook_that_it_has_resumed_and_resumes_it_once,
    tokens_may_hold_any_text,
    a_retained_hook_outlives_its_run_and_is_gone_when_its_time_is_over,
    a_retained_token_is_taken_by_the_next_hook_when_its_time_is_over,
    hooks_that_are_over_are_deleted_when_other_hooks_outlive_their_runs,
    a_hook_that_outlives_its_run_is_nothing_to_wait_for,
    a_retained_hook_of_a_private_run_loses_its_metadata,
);

/// Creates a hook of the SDK itself whose token is retained for 10 ms.
fn hook_retained(hook: &str, token: &str) -> EventBody {
    let retained_until_ms = Some(NOW_MS + 10);
    let options = HookOptions { is_system: true, retained_until_ms, ..HookOptions::default() };
    EventBody::HookCreated { hook: id(hook), token: HookToken::new(token), options }
}

fn a_retained_hook_outlives_its_run_and_is_gone_when_its_time_is_over(world: &World) {
    world.start_runs(3);
    for (run, ending) in (1..).zip(endings()) {
        world.at(0);
        let (hook, token) = (format!("h{run}"), format!("token {run}"));
        let made = world.does(run, hook_retained(&hook, &token)).hook.expect("it is answered").hook;
        world.does(run, hook_created(&format!("gone{run}"), &format!("other token {run}")));
        world.does(run, ending);
        let hook_token = HookToken::new(&*token);
        let (view, ended) =
            settled(|done| world.store.hook_and_run_by_token(&hook_token).settle(done))
                .expect("its token names it");
        assert_eq!(view.hook, Hook { outlives_run: true, ..made.clone() });
        assert_eq!(view.metadata, payload("hook_created"));
        assert!(ended.status.is_terminal());
        assert_eq!(settled(|done| world.store.hook(id(&hook), true, done)), Ok(view.clone()));
        assert_eq!(world.hooks(Some(run)), [view]);
        let refused = world.refuses(run, hook_received(&hook, Some(&token)));
        assert_eq!(refused.kind, ErrorKind::HookNotFound);
        world.at(10);
        assert_eq!(found(world, &token), Err(ErrorKind::HookNotFound));
        let missing = settled(|done| world.store.hook(id(&hook), true, done));
        assert_eq!(missing.expect_err("it is over").kind, ErrorKind::HookNotFound);
        assert_eq!(world.hooks(Some(run)), []);
    }
}

fn a_retained_token_is_taken_by_the_next_hook_when_its_time_is_over(world: &World) {
    world.start_runs(3);
    world.does(1, hook_retained("first", "secret"));
    world.does(1, EventBody::RunCompleted);
    world.at(9);
    assert_eq!(world.does(2, hook_created("second", "secret")).hook, None);
    assert_eq!(world.log_types(2)[2..], ["hook_conflict"]);
    world.at(10);
    world.does(3, hook_created("third", "secret"));
    assert_eq!(found(world, "secret"), Ok("third".into()));
    world.does(3, hook_received("third", Some("secret")));
}

fn hooks_that_are_over_are_deleted_when_other_hooks_outlive_their_runs(world: &World) {
    world.start_runs(2);
    world.does(1, hook_retained("h", "secret"));
    world.does(1, EventBody::RunCompleted);
    world.at(10);
    // The hook of a later run has the same name and another time.
    let options = HookOptions { retained_until_ms: Some(NOW_MS + 20), ..HookOptions::default() };
    let token = HookToken::new("secret of another");
    world.does(2, EventBody::HookCreated { hook: id("kept"), token, options });
    world.does(2, EventBody::RunCompleted);
    // Now the first hook does not even exist.
    world.at(0);
    assert_eq!(found(world, "secret"), Err(ErrorKind::HookNotFound));
    assert_eq!(found(world, "secret of another"), Ok("kept".into()));
}

fn a_hook_that_outlives_its_run_is_nothing_to_wait_for(world: &World) {
    world.start_runs(1);
    world.does(1, hook_retained("h", "secret"));
    let live = || {
        settled(|done| world.store.live_hooks(vec![HookToken::new("secret")], done))
            .expect("it is read")
            .len()
    };
    assert_eq!(live(), 1);
    world.does(1, EventBody::RunCompleted);
    assert_eq!(live(), 0);
}

fn a_retained_hook_of_a_private_run_loses_its_metadata(world: &World) {
    start_private(world, 1);
    world.does(1, hook_retained("h", "secret"));
    world.does(1, EventBody::RunCompleted);
    let token = HookToken::new("secret");
    let view = settled(|done| world.store.hook_by_token(&token).settle(done)).expect("it is kept");
    assert_eq!(view.metadata, None);
}

fn found(world: &World, token: &str) -> Result<String, ErrorKind> {
    settled(|done| world.store.hook_by_token(&HookToken::new(token)).settle(done))
        .map(|view| view.hook.hook_id.into_string())
        .map_err(|error| error.kind)
}

fn a_created_hook_is_answered_with_its_metadata(world: &World) {
    world.start_runs(1);
    let body = EventBody::HookCreated {
        hook: id("h"),
        token: HookToken::new("secret"),
        options: HookOptions { is_webhook: true, ..HookOptions::default() },
    };
    let view = world.does(1, body).hook.expect("the hook is answered");
    assert_eq!((view.hook.run_id.clone(), view.hook.hook_id.clone()), (run_id(1), id("h")));
    assert_eq!((view.hook.token.expose(), view.hook.options.is_webhook), ("secret", true));
    assert_eq!((&view.hook.environment, view.hook.created_at_ms), (&test_environment(), NOW_MS));
    assert_eq!(view.metadata, payload("hook_created"));
    let read = settled(|done| world.store.hook(id("h"), true, done)).expect("it exists");
    assert_eq!(read, view);
    // This hook has no metadata.
    let request = EventRequest { payload: None, ..request(1, hook_created("h2", "other")) };
    let view = world.tries(request).expect("it is created").hook.expect("it is answered");
    assert_eq!(view.metadata, None);
}

fn a_live_hook_is_found_by_its_token_with_its_run(world: &World) {
    world.start_runs(2);
    world.does(2, hook_created("h", "secret"));
    let token = HookToken::new("secret");
    let (view, run) = settled(|done| world.store.hook_and_run_by_token(&token).settle(done))
        .expect("the hook lives");
    assert_eq!((view.hook.hook_id.clone(), run.run_id), (id("h"), run_id(2)));
    assert_eq!(view.metadata, payload("hook_created"));
    assert_eq!(settled(|done| world.store.hook_by_token(&token).settle(done)), Ok(view));
}

fn an_unknown_token_is_told_to_its_caller_but_not_in_the_message(world: &World) {
    let token = HookToken::new("a very secret token");
    let errors = [
        settled(|done| world.store.hook_by_token(&token).settle(done))
            .expect_err("nobody holds it"),
        settled(|done| world.store.hook_and_run_by_token(&token).settle(done))
            .expect_err("nobody holds it"),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::HookNotFound);
        assert_eq!(error.details["token"], "a very secret token");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

fn a_held_token_is_a_logged_conflict_with_the_run_that_holds_it(world: &World) {
    world.start_runs(2);
    world.does(1, hook_created("h", "secret"));
    let reply = world.does(2, hook_created("h2", "secret"));
    let event = reply.event.expect("it was logged");
    assert_eq!(event.event_type, EventType::HookConflict);
    assert_eq!(event.correlation_id, Some(id("h2")));
    let data: serde_json::Value =
        serde_json::from_str(event.data.as_deref().expect("it says why")).expect("JSON");
    assert_eq!(data["conflictingRunId"], run_id(1).as_str());
    assert_eq!((reply.hook, reply.wake_up), (None, None));
    assert_eq!(world.log_types(2)[2..], ["hook_conflict"]);
    let missing = settled(|done| world.store.hook(id("h2"), true, done));
    assert_eq!(missing.expect_err("it was not made").kind, ErrorKind::HookNotFound);
    assert_eq!(found(world, "secret"), Ok("h".into()));
}

fn a_disposed_hook_frees_its_token_and_is_gone(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "secret"));
    let reply = world.does(1, hook_disposed("h"));
    assert_eq!((reply.hook, reply.wake_up), (None, None));
    assert_eq!(found(world, "secret"), Err(ErrorKind::HookNotFound));
    assert_eq!(world.hooks(None), []);
    let missing = settled(|done| world.store.hook(id("h"), true, done)).expect_err("it is gone");
    assert_eq!(missing.kind, ErrorKind::HookNotFound);
    assert_eq!(missing.details["token"], "h");
    assert_eq!(world.refuses(1, hook_disposed("h")).kind, ErrorKind::EntityConflict);
}

fn each_ending_of_a_run_frees_the_tokens_of_its_hooks(world: &World) {
    world.start_runs(4);
    world.does(4, hook_created("h", "token of a run that goes on"));
    for (run, ending) in (1..).zip(endings()) {
        world.does(run, hook_created("h", &format!("token {run}")));
        world.does(run, hook_created("h2", &format!("second token {run}")));
        world.does(run, ending);
        assert_eq!(found(world, &format!("token {run}")), Err(ErrorKind::HookNotFound));
        assert_eq!(found(world, &format!("second token {run}")), Err(ErrorKind::HookNotFound));
        assert_eq!(world.hooks(Some(run)), []);
        assert_eq!(world.refuses(run, hook_received("h", None)).kind, ErrorKind::HookNotFound);
        assert_eq!(world.refuses(run, hook_disposed("h")).kind, ErrorKind::HookNotFound);
    }
    assert_eq!(found(world, "token of a run that goes on"), Ok("h".into()));
}

fn a_freed_token_names_the_next_hook(world: &World) {
    world.start_runs(3);
    world.does(1, hook_created("first", "secret"));
    world.does(1, hook_disposed("first"));
    world.does(2, hook_created("second", "secret"));
    assert_eq!(found(world, "secret"), Ok("second".into()));
    world.does(2, EventBody::RunCompleted);
    world.does(3, hook_created("third", "secret"));
    assert_eq!(found(world, "secret"), Ok("third".into()));
}

fn a_payload_is_logged_in_order_and_the_hook_stays(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "secret"));
    for text in ["one", "two", "three"] {
        let request = EventRequest {
            payload: payload(text),
            ..request(1, hook_received("h", Some("secret")))
        };
        world.tries(request).expect("it is received");
    }
    let payloads: Vec<_> = world.log(1).into_iter().skip(3).map(|event| event.payload).collect();
    assert_eq!(payloads, ["one", "two", "three"].map(payload));
    assert_eq!(found(world, "secret"), Ok("h".into()));
}

fn nothing_is_received_after_a_disposal(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "secret"));
    world.does(1, hook_disposed("h"));
    for token in [None, Some("secret")] {
        let error = world.refuses(1, hook_received("h", token));
        assert_eq!(error.kind, ErrorKind::HookNotFound);
        assert_eq!(error.details["token"], "h");
    }
    world.claims_nothing();
}

fn a_payload_with_another_token_is_refused_without_a_wake_up(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "secret"));
    let error = world.refuses(1, hook_received("h", Some("guess")));
    assert_eq!(error.kind, ErrorKind::HookNotFound);
    world.claims_nothing();
}

fn of_many_hooks_with_one_token_one_gets_it(world: &World) {
    const RUNS: u64 = 12;
    world.start_runs(RUNS);
    let made: Vec<bool> = std::thread::scope(|scope| {
        let create = |run| move || world.does(run, hook_created("h", "secret")).hook.is_some();
        let threads: Vec<_> = (1..=RUNS).map(|run| scope.spawn(create(run))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it creates")).collect()
    });
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    assert_eq!(world.hooks(None).len(), 1);
    let conflicts =
        (1..=RUNS).filter(|run| world.log_types(*run).contains(&"hook_conflict")).count();
    assert_eq!(conflicts as u64, RUNS - 1);
}

fn a_resume_and_a_disposal_at_once_leave_no_payload_behind_the_disposal(world: &World) {
    const HOOKS: usize = 20;
    world.start_runs(1);
    let names: Vec<String> = (0..HOOKS).map(|number| format!("h{number}")).collect();
    for name in &names {
        world.does(1, hook_created(name, name));
    }
    std::thread::scope(|scope| {
        let names = &names;
        for _ in 0..3 {
            scope.spawn(move || {
                for name in names {
                    // It may be refused or not.
                    let _ = world.tries(request(1, hook_received(name, Some(name))));
                }
            });
        }
        scope.spawn(move || {
            for name in names {
                world.does(1, hook_disposed(name));
            }
        });
    });
    let log = world.log(1);
    for name in &names {
        let of_hook = |event_type: EventType| {
            let is_it = move |event: &&hookline::domain::event::Event| {
                event.event_type == event_type && event.correlation_id == Some(id(name))
            };
            log.iter().filter(is_it).map(|event| event.position).collect::<Vec<_>>()
        };
        let disposed = of_hook(EventType::HookDisposed);
        assert_eq!(disposed.len(), 1);
        assert!(of_hook(EventType::HookReceived).iter().all(|received| *received < disposed[0]));
    }
}

fn a_step_that_is_repeated_finds_the_hook_that_it_has_resumed_and_resumes_it_once(world: &World) {
    world.start_runs(2);
    let token = HookToken::new("secret");
    let resumed_after = |place: &str, repeated| {
        let found = settled(|done| world.store.hook_of_step(place, repeated, &token).settle(done));
        found.expect("it can be read")
    };
    let resumed = |place: &str| resumed_after(place, 0);
    let resume = |run, hook: &str, payload_digest: &str, nth| {
        let (place, payload_digest) = ("place".to_owned(), payload_digest.to_owned());
        let step = StepResume { place, payload: payload_digest, nth };
        let event = request(run, hook_received(hook, Some("secret")));
        world.tries(EventRequest { resume: Some(step.mark()), payload: payload("p"), ..event })
    };
    let made = world.does(1, hook_created("h", "secret")).hook.expect("it is answered");
    assert_eq!(resumed("place"), None);
    let first = resume(1, "h", "a", 0).expect("it is logged").event.expect("it is answered");
    for ended in [false, true] {
        assert_eq!(resumed("place"), Some(made.clone()));
        assert_eq!(resumed_after("place", 1), None);
        assert_eq!(["plac", "places"].map(resumed), [None, None]);
        let again = resume(1, "h", "a", 0).expect("it is done").event;
        assert_eq!(again.map(|event| event.position), Some(first.position));
        match ended {
            false => drop(world.does(1, hook_disposed("h"))),
            true => {
                assert_eq!(world.refuses(1, hook_received("h", None)).kind, ErrorKind::HookNotFound)
            }
        }
    }
    assert_eq!(resume(1, "h", "b", 0).expect_err("it is new").kind, ErrorKind::HookNotFound);
    world.does(2, hook_created("h2", "secret"));
    let again = resume(2, "h2", "a", 0).expect("it is done").event.expect("it is answered");
    assert_eq!((again.run_id, again.position), (run_id(1), first.position));
    resume(2, "h2", "a", 1).expect("it is another resume");
    assert_eq!(world.log_types(1).iter().filter(|one| **one == "hook_received").count(), 1);
    assert_eq!(world.log_types(2).iter().filter(|one| **one == "hook_received").count(), 1);
}

fn tokens_may_hold_any_text(world: &World) {
    world.start_runs(1);
    // Two tokens that differ only in their last character.
    let longest = ["x", "y"].map(|last| "ü".repeat(TOKEN_LENGTH_MAX - 1) + last);
    let tokens = [
        "'; DROP TABLE hooks --",
        "ü\u{1F600}",
        "",
        " ",
        "a\u{0}b",
        "a",
        "A",
        &longest[0],
        &longest[1],
    ];
    for (number, token) in tokens.iter().enumerate() {
        let reply = world.does(1, hook_created(&format!("h{number}"), token));
        assert!(reply.hook.is_some(), "{number}");
    }
    for (number, token) in tokens.iter().enumerate() {
        assert_eq!(found(world, token), Ok(format!("h{number}")), "{number}");
    }
}
