//! Reads everything that a database holds, through the store's own interface.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::message::Delivery;
use hookline::domain::page::{LIMIT_MAX, Page, PageRequest, SortOrder};
use hookline::error::WorldError;
use hookline::store::sqlite::{Location, SqliteStore};
use hookline::store::upkeep::{QueuedMessage, Upkeep};
use hookline::store::{
    ClaimRequest, EventQuery, HookView, RunQuery, Stopped, StoppedMessage, Store,
};

use crate::kit::rows::NOW_MS;
use crate::kit::{LEASE_MS, STEP_PREFIX, WORKFLOW_PREFIX, offer, open_file, options, settled};
use crate::story::{RUNS, named, resume_key, runs, stream, token};

/// The rows of an answer in order, each as its debug text, or the error.
pub type Answer = Result<Vec<String>, WorldError>;
/// The answers by question.
pub type Answers = BTreeMap<String, Answer>;

/// A time at which a second delivery could be due.
const LATER_MS: i64 = NOW_MS + 1_000_000;

/// Reads all of a database as a reader, then claims as a writer.
pub fn ask(path: &Path) -> Answers {
    let mut answers = Answers::new();
    let clock = Arc::new(ManualClock::at(LATER_MS));
    let reader = SqliteStore::open_to_read(options(Location::File(path.to_owned()), &clock));
    for (question, read) in read_questions() {
        let answer = reader.as_ref().map_err(Clone::clone).and_then(read);
        answers.insert(question, answer);
    }
    drop(reader);
    let writer = open_file(path, &clock);
    let claimed = writer.and_then(|store| claim(&store));
    answers.insert("claim".into(), claimed);
    answers
}

type Read = Box<dyn Fn(&SqliteStore) -> Result<Vec<String>, WorldError>>;

fn read_questions() -> Vec<(String, Read)> {
    let mut questions: Vec<(String, Read)> = Vec::new();
    let mut ask = |question: String, read: Read| questions.push((question, read));
    for resolve_data in [true, false] {
        ask(
            format!("runs, data {resolve_data}"),
            Box::new(move |store| {
                let query =
                    RunQuery { workflow_name: None, statuses: None, page: all(), resolve_data };
                rows(settled(|done| store.runs(query, done)))
            }),
        );
        ask(
            format!("hooks, data {resolve_data}"),
            Box::new(move |store| {
                let page = settled(|done| store.hooks(None, all(), resolve_data, done))?;
                Ok(page.items.iter().map(hook_row).collect())
            }),
        );
        for (run, run_id) in runs() {
            ask_run(&mut ask, run, run_id, resolve_data);
        }
    }
    for (run, _) in runs().filter(|(run, _)| (4..RUNS - 1).contains(run)) {
        ask(
            format!("hook by token {run}"),
            Box::new(move |store| {
                Ok(vec![hook_row(&settled(|done| store.hook_by_token(&token(run)).settle(done))?)])
            }),
        );
        ask(
            format!("hook and run by token {run}"),
            Box::new(move |store| {
                let (hook, run) =
                    settled(|done| store.hook_and_run_by_token(&token(run)).settle(done))?;
                Ok(vec![hook_row(&hook), debug(&run)])
            }),
        );
    }
    ask(
        "earlier resume".into(),
        Box::new(|store| {
            Ok(settled(|done| store.earlier_resume(&resume_key()).settle(done))?
                .iter()
                .map(hook_row)
                .collect())
        }),
    );
    ask(
        "dead messages".into(),
        Box::new(|store| {
            rows(settled(|done| store.stopped_messages(Stopped::Dead, all(), done)).map(|page| {
                Page {
                    items: page.items.into_iter().map(lasting_of_dead).collect(),
                    cursor: None,
                    has_more: page.has_more,
                }
            }))
        }),
    );
    ask(
        "damages".into(),
        Box::new(|store| {
            settled(|done| store.examine(done)).map(|examination| examination.damages().to_vec())
        }),
    );
    questions
}

fn ask_run(
    ask: &mut impl FnMut(String, Read),
    run: u64,
    run_id: hookline::domain::id::RunId,
    resolve_data: bool,
) {
    let of = |what: &str| format!("{what} of run {run}, data {resolve_data}");
    let id = run_id.clone();
    ask(
        of("run"),
        Box::new(move |store| row(settled(|done| store.run(id.clone(), resolve_data, done)))),
    );
    let id = run_id.clone();
    ask(
        of("steps"),
        Box::new(move |store| {
            rows(settled(|done| store.steps(id.clone(), all(), resolve_data, done)))
        }),
    );
    ask(
        of("step in any"),
        Box::new(move |store| {
            row(settled(|done| store.step(None, named("step", run), resolve_data, done)))
        }),
    );
    for order in [SortOrder::Ascending, SortOrder::Descending] {
        let id = run_id.clone();
        ask(
            of(&format!("events {order:?}")),
            Box::new(move |store| {
                let page = PageRequest { order, ..all() };
                let query = EventQuery {
                    run_id: Some(id.clone()),
                    correlation_id: None,
                    page,
                    resolve_data,
                };
                rows(settled(|done| store.events(query.clone(), done)))
            }),
        );
    }
    ask(
        of("events by correlation id"),
        Box::new(move |store| {
            let correlation_id = Some(named("step", run));
            let query = EventQuery { run_id: None, correlation_id, page: all(), resolve_data };
            rows(settled(|done| store.events(query.clone(), done)))
        }),
    );
    if !resolve_data {
        return;
    }
    let id = run_id.clone();
    ask(
        of("messages and waits"),
        Box::new(move |store| {
            let outlook = settled(|done| store.outlook(id.clone(), done))?;
            let messages = outlook.messages.into_iter().map(lasting_of_queued);
            let mut messages: Vec<String> = messages.map(|message| debug(&message)).collect();
            // They are in the order in which they become due.
            messages.sort();
            Ok(outlook.waits.iter().map(debug).chain(messages).collect())
        }),
    );
    ask(
        of("stream"),
        Box::new(move |store| {
            let slice = settled(|done| store.stream_slice(stream(run), 0, 100, done))?;
            let end = format!("{} chunks, closed {}", slice.count, slice.closed);
            // A missing stream has no chunks and no end.
            let is_found = slice.count > 0;
            Ok(slice.chunks.iter().map(debug).chain(is_found.then_some(end)).collect())
        }),
    );
    let id = run_id;
    ask(
        of("streams"),
        Box::new(move |store| settled(|done| store.streams_of_run(id.clone(), done))),
    );
}

fn claim(store: &SqliteStore) -> Result<Vec<String>, WorldError> {
    let request = ClaimRequest {
        limit: 1000,
        offer: offer(&[WORKFLOW_PREFIX, STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: LEASE_MS,
    };
    let claimed = settled(|done| store.claim(request, done))?;
    Ok(claimed.deliveries.iter().map(lasting_of_delivery).collect())
}

/// The delivery without the columns that the queue changes while the message waits: no checksum covers
/// them.
fn lasting_of_delivery(delivery: &Delivery) -> String {
    let Delivery { message_id, queue_name, body, headers, .. } = delivery;
    format!("{message_id} {queue_name} {body:?} {headers:?}")
}

fn lasting_of_dead(message: StoppedMessage) -> StoppedMessage {
    StoppedMessage { attempt: 0, error: None, stopped_at_ms: 0, ..message }
}

fn lasting_of_queued(message: QueuedMessage) -> QueuedMessage {
    QueuedMessage {
        attempt: 0,
        available_at_ms: 0,
        lease_expires_at_ms: None,
        last_error: None,
        dead_at_ms: None,
        held_at_ms: None,
        ..message
    }
}

fn all() -> PageRequest {
    PageRequest::first(LIMIT_MAX)
}

fn rows<T: Debug>(page: Result<Page<T>, WorldError>) -> Result<Vec<String>, WorldError> {
    Ok(page?.items.iter().map(debug).collect())
}

fn row<T: Debug>(answer: Result<T, WorldError>) -> Result<Vec<String>, WorldError> {
    Ok(vec![debug(&answer?)])
}

/// The hook with its token, which debug texts hide.
fn hook_row(view: &HookView) -> String {
    format!("{} {view:?}", view.hook.token.expose())
}

fn debug<T: Debug>(row: &T) -> String {
    format!("{row:?}")
}
