//! A database with rows of every kind.

use std::path::Path;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::hook::HookOptions;
use hookline::domain::id::{CorrelationId, HookToken, RunId};
use hookline::domain::message::{NewMessage, Purpose};
use hookline::domain::payload::Payload;
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::store::sqlite::SqliteStore;
use hookline::store::{ClaimRequest, Outcome, Store};

use crate::kit::rows::*;
use crate::kit::{LEASE_MS, STEP_PREFIX, offer, open_file, settled, step_message};

/// Runs of the story; the first three have ended.
pub const RUNS: u64 = 24;
/// The stream of each run.
pub fn stream(run: u64) -> String {
    format!("strm_{run:026}_user")
}

/// The id of an entity of a run.
pub fn named(kind: &str, run: u64) -> CorrelationId {
    CorrelationId::new(format!("{kind}_{run:026}"))
}

/// The token of the hook of a run.
pub fn token(run: u64) -> HookToken {
    HookToken::new(format!("token:{run}"))
}

/// The key of the only keyed resume.
pub fn resume_key() -> ResumeKey {
    ResumeKey {
        token: token(RUNS),
        digests: ResumeDigests { key: "6b6579".repeat(10), payload: "7061".repeat(16) },
        unsealed: None,
        window_ms: 1_000_000,
    }
}

/// Writes the story into a file, checkpoints its log and closes it.
pub fn write(path: &Path) {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(path, &clock).expect("the file opens");
    for run in 1..=RUNS {
        one_run(&store, run);
        clock.set(NOW_MS + run as i64);
    }
    let ends =
        [EventBody::RunCompleted, EventBody::RunFailed(error("it broke")), EventBody::RunCancelled];
    for (run, end) in (1..).zip(ends) {
        append(&store, run, end);
    }
    let (hook, token) = (named("hook", RUNS), Some(token(RUNS)));
    let resume = event(RUNS, EventBody::HookReceived { hook, token });
    settled(|done| store.resume_once(resume, resume_key(), done)).expect("it is resumed");
    append(&store, RUNS - 1, EventBody::HookDisposed { hook: named("hook", RUNS - 1) });
    give_up_some(&store);
    store.close();
}

/// A run with a completed step, a step that will be retried, a hook, a wait and a stream.
fn one_run(store: &SqliteStore, run: u64) {
    append(store, run, EventBody::RunCreated(creation()));
    append(store, run, EventBody::RunStarted(None));
    let (step, again) = (named("step", run), named("again", run));
    for (step, step_name) in [(step.clone(), "step//a"), (again.clone(), "step//b")] {
        let body = EventBody::StepCreated { step: step.clone(), step_name: step_name.into() };
        append(store, run, body);
        append(store, run, EventBody::StepStarted { step, owner: None, creates: None });
    }
    append(store, run, EventBody::StepCompleted { step });
    let error = error("not this time");
    append(store, run, EventBody::StepRetrying { step: again, error, retry_after_ms: None });
    let hook = named("hook", run);
    append(
        store,
        run,
        EventBody::HookCreated { hook, token: token(run), options: HookOptions::default() },
    );
    for (wait, resume_at_ms) in [("wait", NOW_MS + 60_000), ("over", NOW_MS)] {
        append(store, run, EventBody::WaitCreated { wait: named(wait, run), resume_at_ms });
    }
    append(store, run, EventBody::WaitCompleted { wait: named("over", run) });
    let mut chunks: Vec<_> =
        (0..6).map(|chunk| format!("chunk {chunk} of run {run}").into_bytes()).collect();
    // Some values are stored apart from their row.
    if run.is_multiple_of(4) {
        chunks.push(vec![run as u8; 2000]);
    }
    settled(|done| store.write_stream(stream(run), run_id(run), chunks, done)).expect("written");
    if run.is_multiple_of(2) {
        settled(|done| store.close_stream(stream(run), run_id(run), done)).expect("closed");
    }
    let idempotency_key = Some(named("again", run).into_string());
    let headers = Some(r#"{"x-tenant":"a"}"#.into());
    let purpose = Purpose::Step { run_id: run_id(run), step_id: named("again", run) };
    let message = NewMessage { purpose, idempotency_key, headers, ..step_message("of a step") };
    settled(|done| store.enqueue(message, 0, done)).expect("it is enqueued");
}

/// Makes three messages of steps dead; the others stay due.
fn give_up_some(store: &SqliteStore) {
    let request = ClaimRequest {
        limit: 3,
        offer: offer(&[STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: LEASE_MS,
    };
    let claimed = settled(|done| store.claim(request, done)).expect("they are claimed");
    for delivery in claimed.deliveries {
        let (id, token) = (delivery.message_id, delivery.lease_token);
        let outcome = Outcome::Dead { error: "given up".into() };
        settled(|done| store.settle_delivery(id, token, outcome, done)).expect("it is buried");
    }
}

fn event(run: u64, body: EventBody) -> EventRequest {
    let data = Some(format!(r#"{{"run":{run},"said":"{}"}}"#, body.event_type().as_str()));
    // Some are longer than a page.
    let is_long = run.is_multiple_of(6)
        && matches!(body, EventBody::RunCreated(_) | EventBody::StepCompleted { .. });
    let length = if is_long { 6000 } else { 40 };
    let payload = Some(Payload::Bytes(vec![run as u8; length]));
    EventRequest { data, payload, ..request(run, body) }
}

fn append(store: &SqliteStore, run: u64, body: EventBody) {
    settled(|done| store.append_event(event(run, body), done)).expect("the rules allow it");
}

/// Every run of the story.
pub fn runs() -> impl Iterator<Item = (u64, RunId)> {
    (1..=RUNS).map(|run| (run, run_id(run)))
}
