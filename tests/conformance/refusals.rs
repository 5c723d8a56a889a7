//! A refusal is a reply of the rules. It has the kind that the SDK's runtime knows, and nothing is
//! written. The rules are tested beside `domain/transition`; these tests check that a store applies
//! them.

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::id::TOKEN_LENGTH_MAX;
use hookline::domain::spec::SPEC_VERSION_MAX;
use hookline::error::ErrorKind;

use crate::kit::World;
use crate::kit::rows::*;

run_by_every_store!(
    each_refused_event_has_its_kind_and_writes_nothing,
    an_ended_run_refuses_what_the_contract_says,
    an_unacceptable_run_id_is_invalid,
    a_run_of_a_newer_contract_is_not_supported,
    a_refusal_beside_other_events_harms_none_of_them,
    a_legacy_run_takes_three_events_only,
);

fn each_refused_event_has_its_kind_and_writes_nothing(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, step_completed("s"));
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_disposed("h"));
    world.does(1, wait_created("w", NOW_MS));
    world.does(1, wait_completed("w"));
    let cases = [
        (EventBody::RunCreated(creation()), ErrorKind::EntityConflict),
        (step_created("s"), ErrorKind::EntityConflict),
        (step_started("s"), ErrorKind::EntityConflict),
        (step_completed("s"), ErrorKind::EntityConflict),
        (step_failed("s"), ErrorKind::EntityConflict),
        (step_retrying("s", None), ErrorKind::EntityConflict),
        (step_started("unknown"), ErrorKind::NotFound),
        (step_completed("unknown"), ErrorKind::NotFound),
        (hook_created("h", "token"), ErrorKind::EntityConflict),
        (hook_created("h2", &"x".repeat(TOKEN_LENGTH_MAX + 1)), ErrorKind::Invalid),
        (hook_received("h", None), ErrorKind::HookNotFound),
        (hook_received("unknown", None), ErrorKind::HookNotFound),
        (hook_disposed("h"), ErrorKind::EntityConflict),
        (hook_disposed("unknown"), ErrorKind::HookNotFound),
        (wait_created("w", NOW_MS), ErrorKind::EntityConflict),
        (wait_completed("w"), ErrorKind::EntityConflict),
        (wait_completed("unknown"), ErrorKind::NotFound),
    ];
    for (body, kind) in cases {
        let shown = format!("{body:?}");
        assert_eq!(world.refuses(1, body).kind, kind, "{shown}");
    }
}

fn an_ended_run_refuses_what_the_contract_says(world: &World) {
    world.start_runs(3);
    for (run, ending) in (1..).zip(endings()) {
        world.does(run, step_created("pending"));
        world.does(run, step_created("running"));
        world.does(run, step_started("running"));
        world.does(run, wait_created("w", NOW_MS));
        world.does(run, ending);
        let cases = [
            (EventBody::RunStarted(None), ErrorKind::RunExpired),
            (EventBody::RunCompleted, ErrorKind::EntityConflict),
            (EventBody::RunFailed(error("why")), ErrorKind::EntityConflict),
            (step_created("s"), ErrorKind::EntityConflict),
            (hook_created("h", "token"), ErrorKind::EntityConflict),
            (wait_created("w2", NOW_MS), ErrorKind::EntityConflict),
            (wait_completed("w"), ErrorKind::EntityConflict),
            (step_started("pending"), ErrorKind::RunExpired),
            (step_failed("pending"), ErrorKind::RunExpired),
        ];
        for (body, kind) in cases {
            let shown = format!("{body:?}");
            assert_eq!(world.refuses(run, body).kind, kind, "{shown}");
        }
        // A step that was running may still report its result.
        world.does(run, step_completed("running"));
    }
    assert_eq!(world.refuses(1, EventBody::RunCancelled).kind, ErrorKind::EntityConflict);
    assert_eq!(world.refuses(2, EventBody::RunCancelled).kind, ErrorKind::EntityConflict);
}

fn an_unacceptable_run_id_is_invalid(world: &World) {
    let day = 24 * 60 * 60 * 1000;
    for at_ms in [NOW_MS - day - 1, NOW_MS + 5 * 60 * 1000 + 1] {
        let run_id = Some(run_id_made_at(at_ms, 1));
        let request = EventRequest { run_id, ..request(1, EventBody::RunCreated(creation())) };
        let error = world.tries(request).expect_err("the id is not of today");
        assert_eq!((error.kind, error.kind.status()), (ErrorKind::Invalid, Some(400)));
    }
    let request = EventRequest { run_id: None, ..request(1, EventBody::RunCancelled) };
    assert_eq!(world.tries(request).expect_err("of which run?").kind, ErrorKind::Invalid);
}

fn a_run_of_a_newer_contract_is_not_supported(world: &World) {
    for body in [EventBody::RunCreated(creation()), EventBody::RunStarted(Some(creation()))] {
        let request = EventRequest { spec_version: SPEC_VERSION_MAX + 1, ..request(1, body) };
        let error = world.tries(request).expect_err("it is too new");
        assert_eq!(error.kind, ErrorKind::RunNotSupported);
        assert_eq!(error.details["runSpecVersion"], SPEC_VERSION_MAX + 1);
        assert_eq!(error.details["worldSpecVersion"], SPEC_VERSION_MAX);
    }
    assert_eq!(world.log(1), []);
}

fn a_refusal_beside_other_events_harms_none_of_them(world: &World) {
    const EACH: usize = 40;
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..EACH {
                world.tries(request(1, step_started("unknown"))).expect_err("no such step");
            }
        });
        scope.spawn(|| {
            for _ in 0..EACH {
                world.does(1, hook_received("h", None));
            }
        });
    });
    assert_eq!(world.log_types(1).len(), 3 + EACH);
}

fn a_legacy_run_takes_three_events_only(world: &World) {
    let of_legacy = |body| EventRequest { spec_version: 1, ..request(1, body) };
    world.tries(of_legacy(EventBody::RunCreated(creation()))).expect("it is created");
    for body in [EventBody::RunStarted(None), step_created("s"), EventBody::RunCompleted] {
        assert_eq!(world.refuses(1, body).kind, ErrorKind::Invalid);
    }
    let reply = world.does(1, hook_received("h", None));
    assert!(reply.wake_up.is_some());
    world.does(1, wait_completed("w"));
    let reply = world.does(1, EventBody::RunCancelled);
    assert_eq!(reply.event, None);
    assert!(reply.run.is_some_and(|view| view.run.status.is_terminal()));
    assert_eq!(world.log_types(1), ["run_created", "hook_received", "wait_completed"]);
    world.claims_nothing();
}
