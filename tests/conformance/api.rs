//! The store's part in `start`, `wakeUp`, awaiting and keyed resumes.

use hookline::domain::event::{EventBody, EventRequest, RunCreation};
use hookline::domain::id::HookToken;
use hookline::domain::payload::Payload;
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::error::ErrorKind;

use crate::kit::rows::*;
use crate::kit::{World, bodies, settled};

run_by_every_store!(
    a_start_leaves_the_run_and_its_first_wake_up_or_nothing,
    ends_are_those_of_ended_runs_and_of_runs_that_are_not,
    live_hooks_are_found_by_their_tokens,
    pending_waits_are_completed_together_and_wake_the_run_once,
    only_the_named_waits_are_completed,
    a_keyed_resume_happens_once_and_is_known_after_the_end_of_its_run,
    a_key_for_another_payload_conflicts_and_changes_nothing,
    a_refused_resume_leaves_its_key_free,
    a_key_is_free_after_its_window_and_removed_in_small_numbers,
);

fn a_start_leaves_the_run_and_its_first_wake_up_or_nothing(world: &World) {
    let waking = || EventBody::RunCreated(RunCreation { wakes: true, ..creation() });
    world.does(1, waking());
    let delivery = world.claim_one();
    assert_eq!(bodies(&[delivery]), [format!(r#"{{"runId":"{}"}}"#, run_id(1))]);
    world.refuses(1, waking());
    world.claims_nothing();
}

fn ends_are_those_of_ended_runs_and_of_runs_that_are_not(world: &World) {
    world.start_runs(2);
    world.does(1, EventBody::RunCompleted);
    let asked = vec![run_id(1), run_id(2), run_id(3)];
    let ends = settled(|done| world.store.run_ends(asked, done)).expect("they are looked up");
    assert_eq!(ends.len(), 2);
    assert_eq!(
        ends[0].1.as_ref().ok().and_then(|view| view.output.clone()),
        payload("run_completed")
    );
    let missing = ends[1].1.as_ref().map_err(|error| error.kind);
    assert_eq!((&ends[1].0, missing.err()), (&run_id(3), Some(ErrorKind::RunNotFound)));
}

fn live_hooks_are_found_by_their_tokens(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "live"));
    world.does(1, hook_created("g", "gone"));
    world.does(1, EventBody::HookDisposed { hook: id("g") });
    let asked = ["never", "gone", "live"].map(HookToken::new).to_vec();
    let live = settled(|done| world.store.live_hooks(asked, done)).expect("they are looked up");
    let ids: Vec<_> =
        live.iter().flat_map(|(_, view)| view).map(|view| view.hook.hook_id.as_str()).collect();
    assert_eq!(ids, ["h"]);
    assert_eq!(
        live[0].1.as_ref().ok().and_then(|view| view.metadata.clone()),
        payload("hook_created")
    );
}

/// Completes waits of run 1.
fn complete(world: &World, only: Option<&[&str]>) -> usize {
    let only = only.map(|ids| ids.iter().map(|text| id(text)).collect());
    settled(|done| world.store.complete_waits(run_id(1), only, done)).expect("they are completed")
}

fn pending_waits_are_completed_together_and_wake_the_run_once(world: &World) {
    world.start_runs(1);
    for wait in ["z", "a", "m"] {
        world.does(1, wait_created(wait, NOW_MS + 60_000));
    }
    world.does(1, EventBody::WaitCompleted { wait: id("a") });
    world.claim(10);
    assert_eq!(complete(world, None), 2);
    let log = world.log(1);
    let completed: Vec<_> = log[log.len() - 2..]
        .iter()
        .map(|event| (event.event_type.as_str(), event.correlation_id.clone(), event.data.clone()))
        .collect();
    let data = Some(format!(r#"{{"resumeAt":{}}}"#, NOW_MS + 60_000));
    let expected = ["z", "m"].map(|wait| ("wait_completed", Some(id(wait)), data.clone()));
    assert_eq!(completed, expected);
    assert_eq!(complete(world, None), 0);
    let missing = settled(|done| world.store.complete_waits(run_id(9), None, done));
    assert_eq!(missing.expect_err("there is no such run").kind, ErrorKind::RunNotFound);
}

fn only_the_named_waits_are_completed(world: &World) {
    world.start_runs(1);
    for wait in ["a", "b"] {
        world.does(1, wait_created(wait, NOW_MS + 60_000));
    }
    assert_eq!(complete(world, Some(&["unknown"])), 0);
    assert_eq!(complete(world, Some(&["b"])), 1);
    assert_eq!(complete(world, Some(&["b"])), 0);
    assert_eq!(complete(world, None), 1);
    // An ended run has nothing to wake.
    world.does(1, EventBody::RunCancelled);
    assert_eq!(complete(world, None), 0);
}

pub const WINDOW_MS: i64 = 1000;

pub fn key(key: &str, payload: &str) -> ResumeKey {
    ResumeKey {
        token: HookToken::new("token"),
        digests: ResumeDigests { key: key.into(), payload: payload.into() },
        unsealed: None,
        window_ms: WINDOW_MS,
    }
}

pub fn resume(world: &World, key: &ResumeKey) -> Result<bool, ErrorKind> {
    let event = EventRequest {
        payload: Some(Payload::Bytes(key.digests.payload.clone().into_bytes())),
        ..request(1, hook_received("h", Some("token")))
    };
    settled(|done| world.store.resume_once(event, key.clone(), done)).map_err(|error| error.kind)
}

pub fn with_a_hook(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
}

fn a_keyed_resume_happens_once_and_is_known_after_the_end_of_its_run(world: &World) {
    with_a_hook(world);
    let made = world.hooks(None).remove(0);
    assert_eq!(settled(|done| world.store.earlier_resume(&key("k", "a")).settle(done)), Ok(None));
    assert_eq!(resume(world, &key("k", "a")), Ok(false));
    let log = world.log(1);
    assert_eq!(resume(world, &key("k", "a")), Ok(true));
    assert_eq!(world.log(1), log);
    assert_eq!(resume(world, &key("another", "a")), Ok(false));
    world.does(1, EventBody::RunCompleted);
    assert_eq!(resume(world, &key("k", "a")), Ok(true));
    assert_eq!(
        settled(|done| world.store.earlier_resume(&key("k", "a")).settle(done)),
        Ok(Some(made))
    );
}

fn a_key_for_another_payload_conflicts_and_changes_nothing(world: &World) {
    with_a_hook(world);
    assert_eq!(resume(world, &key("k", "a")), Ok(false));
    let log = world.log(1);
    assert_eq!(resume(world, &key("k", "b")), Err(ErrorKind::IdempotencyConflict));
    assert_eq!(world.log(1), log);
    let conflict = settled(|done| world.store.earlier_resume(&key("k", "b")).settle(done))
        .expect_err("it conflicts");
    assert_eq!(conflict.kind, ErrorKind::IdempotencyConflict);
}

fn a_refused_resume_leaves_its_key_free(world: &World) {
    world.start_runs(1);
    assert_eq!(resume(world, &key("k", "a")), Err(ErrorKind::HookNotFound));
    world.does(1, hook_created("h", "token"));
    assert_eq!(resume(world, &key("k", "b")), Ok(false));
}

fn a_key_is_free_after_its_window_and_removed_in_small_numbers(world: &World) {
    with_a_hook(world);
    for number in 0..200 {
        assert_eq!(resume(world, &key(&format!("old {number}"), "a")), Ok(false));
    }
    world.at(WINDOW_MS - 1);
    assert_eq!(resume(world, &key("old 0", "a")), Ok(true));
    world.at(WINDOW_MS);
    assert_eq!(resume(world, &key("old 199", "b")), Ok(false));
    assert_eq!(resume(world, &key("old 198", "a")), Ok(false));
    // The window of a key begins with its own first resume.
    world.at(2 * WINDOW_MS - 1);
    assert_eq!(resume(world, &key("old 199", "b")), Ok(true));
}
