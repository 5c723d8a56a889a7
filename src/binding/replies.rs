//! Replies: converts the engine's types into one JSON document and one block of bytes
//! (`ts/native/binding.ts`).

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::records::{
    EventRecord, HookRecord, RunRecord, StepRecord, StoredJson, WaitRecord, event_record,
    hook_record, page_record, run_record, step_record, wait_record,
};
use crate::crypto::RunKey;
use crate::domain::event::Event;
use crate::domain::id::{MessageId, RunId};
use crate::domain::page::Page;
use crate::domain::payload::Payload;
use crate::domain::run::Run;
use crate::error::{ErrorKind, WorldError};
use crate::queue::admission::AdmittedDelivery;
use crate::queue::pulse::{Fault, PulseReading};
use crate::store::{
    Appended, Enqueued, EventReply, HookView, Parked, QueueDepth, RunView, StepView, StoppedMessage,
};

/// A reply for JavaScript.
#[derive(Debug, Default)]
pub struct Reply {
    /// A JSON document, if any.
    pub json: Option<String>,
    /// The bytes to which the document refers.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// Success without content.
    pub fn void() -> Self {
        Self::default()
    }

    /// Makes a document and collects its payloads meanwhile.
    pub(super) fn document<T: Serialize>(
        make: impl FnOnce(&mut Block) -> T,
    ) -> Result<Self, WorldError> {
        let mut block = Block::default();
        let document = make(&mut block);
        // All other content of a document always serialises.
        let json = serde_json::to_string(&document).map_err(|error| {
            let message =
                format!("the database file is damaged; restore it from a backup [{error}]");
            WorldError::new(ErrorKind::Corrupt, message)
        })?;
        Ok(Self { json: Some(json), bytes: block.0 })
    }
}

/// Collects payloads.
#[derive(Default)]
pub(super) struct Block(Vec<u8>);

/// The reference to a payload in a document.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum PayloadRef {
    Bytes { at: usize, len: usize },
    Json { json: String },
}

impl Block {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> PayloadRef {
        let at = self.0.len();
        self.0.extend_from_slice(bytes);
        PayloadRef::Bytes { at, len: bytes.len() }
    }

    pub(super) fn payload(&mut self, payload: Option<Payload>) -> Option<PayloadRef> {
        payload.map(|payload| match payload {
            Payload::Bytes(bytes) => self.bytes(&bytes),
            Payload::Json(json) => PayloadRef::Json { json },
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventReplyRecord {
    event: Option<EventRecord>,
    #[serde(skip_serializing_if = "is_false")]
    step_created: bool,
    run: Option<RunRecord>,
    step: Option<StepRecord>,
    hook: Option<HookRecord>,
    wait: Option<WaitRecord>,
    events: Option<Vec<EventRecord>>,
    cursor: Option<String>,
    has_more: Option<bool>,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn event_reply_record(reply: EventReply, block: &mut Block) -> EventReplyRecord {
    let part = reply.events.map(|page| page_record(page, block, event_record));
    let (events, cursor, has_more) = match part {
        Some(page) => (Some(page.data), page.cursor, Some(page.has_more)),
        None => (None, None, None),
    };
    EventReplyRecord {
        step_created: reply.step_created,
        event: reply.event.map(|event| event_record(event, block)),
        run: reply.run.map(|view| run_record(view, block)),
        step: reply.step.map(|view| step_record(view, block)),
        hook: reply.hook.map(|view| hook_record(view, block)),
        wait: reply.wait.map(wait_record),
        events,
        cursor,
        has_more,
    }
}

pub fn event_reply(reply: EventReply) -> Result<Reply, WorldError> {
    Reply::document(|block| event_reply_record(reply, block))
}

#[derive(Serialize)]
struct AppendedRecord {
    results: Vec<OutcomeRecord>,
}

/// The outcome of one event of a batch.
#[derive(Serialize)]
#[serde(untagged)]
enum OutcomeRecord {
    Done(Box<EventReplyRecord>),
    Refused { fault: Value },
}

pub fn appended(appended: Vec<Appended>) -> Result<Reply, WorldError> {
    Reply::document(|block| {
        let outcome = |appended: Appended| match appended {
            Ok(reply) => OutcomeRecord::Done(Box::new(event_reply_record(reply, block))),
            Err(error) => OutcomeRecord::Refused { fault: fault_value(&error) },
        };
        AppendedRecord { results: appended.into_iter().map(outcome).collect() }
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HookAndRun {
    hook: HookRecord,
    run: ResumedRunRecord,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_resumed: bool,
}

/// The part of a run that a resume needs. Every resume makes this document, so it is small.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResumedRunRecord {
    workflow_name: String,
    execution_context: Option<StoredJson>,
}

pub fn hook_and_run(hook: HookView, run: Run, is_resumed: bool) -> Result<Reply, WorldError> {
    let Run { workflow_name, execution_context, .. } = run;
    Reply::document(|block| HookAndRun {
        hook: hook_record(hook, block),
        run: ResumedRunRecord {
            workflow_name,
            execution_context: execution_context.map(StoredJson),
        },
        is_resumed,
    })
}

fn named<T: Serialize>(
    name: &'static str,
    record: impl FnOnce(&mut Block) -> T,
) -> Result<Reply, WorldError> {
    Reply::document(|block| HashMap::from([(name, record(block))]))
}

pub fn run_alone(run: Run) -> Result<Reply, WorldError> {
    self::run(RunView { run, input: None, output: None, error: None })
}

pub fn run(view: RunView) -> Result<Reply, WorldError> {
    named("run", |block| run_record(view, block))
}

/// A run that has ended, or nothing if the wait was stopped.
pub fn awaited_run(view: Option<RunView>) -> Result<Reply, WorldError> {
    view.map_or_else(|| Ok(Reply::void()), run)
}

/// A hook, or nothing.
pub fn awaited_hook(view: Option<HookView>) -> Result<Reply, WorldError> {
    view.map_or_else(|| Ok(Reply::void()), hook)
}

/// The outcome of each of several messages: its id, or the text of an error.
pub fn enqueued(outcomes: Vec<Enqueued>) -> Result<Reply, WorldError> {
    let one = |outcome: &Enqueued| match outcome {
        Ok(id) => json!({ "messageId": id.to_string() }),
        Err(error) => json!({ "error": fault(error) }),
    };
    value(outcomes.iter().map(one).collect())
}

/// The bytes of a run's key; nothing for a run with plain values.
pub fn run_key(key: Option<RunKey>) -> Reply {
    Reply { json: None, bytes: key.map_or_else(Vec::new, |key| key.to_vec()) }
}

pub fn step(view: StepView) -> Result<Reply, WorldError> {
    named("step", |block| step_record(view, block))
}

pub fn hook(view: HookView) -> Result<Reply, WorldError> {
    named("hook", |block| hook_record(view, block))
}

pub fn event(event: Event) -> Result<Reply, WorldError> {
    named("event", |block| event_record(event, block))
}

pub fn runs(page: Page<RunView>) -> Result<Reply, WorldError> {
    Reply::document(|block| page_record(page, block, run_record))
}

pub fn steps(page: Page<StepView>) -> Result<Reply, WorldError> {
    Reply::document(|block| page_record(page, block, step_record))
}

pub fn hooks(page: Page<HookView>) -> Result<Reply, WorldError> {
    Reply::document(|block| page_record(page, block, hook_record))
}

pub fn events(page: Page<Event>) -> Result<Reply, WorldError> {
    Reply::document(|block| page_record(page, block, event_record))
}

pub(super) fn value(value: Value) -> Result<Reply, WorldError> {
    Ok(Reply { json: Some(value.to_string()), bytes: Vec::new() })
}

pub fn message_id(id: MessageId) -> Result<Reply, WorldError> {
    value(json!({ "messageId": id.to_string() }))
}

pub fn run_id(run_id: RunId) -> Result<Reply, WorldError> {
    value(json!({ "runId": run_id.as_str() }))
}

pub fn stopped_count(count: usize) -> Result<Reply, WorldError> {
    value(json!({ "stoppedCount": count }))
}

/// Whether the keyed resume had been done before.
pub fn repeated(repeated: bool) -> Result<Reply, WorldError> {
    value(json!({ "repeated": repeated }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdmittedRecord {
    admission: &'static str,
    lease_token: Option<String>,
    body: Option<PayloadRef>,
}

/// The permission of a route to run a request; nothing if the request has no live lease.
pub fn admitted_delivery(admitted: AdmittedDelivery) -> Result<Reply, WorldError> {
    let (admission, lease_token, body) = match admitted {
        AdmittedDelivery::NotLive => return Ok(Reply::void()),
        AdmittedDelivery::Enters(delivery) => {
            ("enters", Some(delivery.lease_token), Some(delivery.body))
        }
        AdmittedDelivery::Joins(lease_token) => ("joins", Some(lease_token), None),
        AdmittedDelivery::Waits => ("waits", None, None),
        AdmittedDelivery::Repeated => ("repeated", None, None),
    };
    Reply::document(|block| AdmittedRecord {
        admission,
        lease_token: lease_token.map(|token| token.expose().to_owned()),
        body: body.map(|body| block.bytes(&body)),
    })
}

/// Of a worker that has started.
pub fn worker(lacks_session: bool) -> Result<Reply, WorldError> {
    value(json!({ "lacksSession": lacks_session }))
}

/// A proof, as a header holds it.
pub fn asked(asked: bool) -> Result<Reply, WorldError> {
    value(json!({ "asked": asked }))
}

pub fn proof(proof: String) -> Result<Reply, WorldError> {
    value(json!({ "proof": proof }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoppedRecord {
    message_id: String,
    queue_name: String,
    run_id: Option<String>,
    attempt: i64,
    error: Option<String>,
    created_at_ms: i64,
    stopped_at_ms: i64,
}

fn stopped_record(stopped: StoppedMessage, _: &mut Block) -> StoppedRecord {
    StoppedRecord {
        message_id: stopped.message_id.to_string(),
        queue_name: stopped.queue_name,
        run_id: stopped.run_id.map(|run_id| run_id.as_str().to_owned()),
        attempt: stopped.attempt,
        error: stopped.error,
        created_at_ms: stopped.created_at_ms,
        stopped_at_ms: stopped.stopped_at_ms,
    }
}

/// A page of dead or held messages.
pub fn stopped_messages(page: Page<StoppedMessage>) -> Result<Reply, WorldError> {
    Reply::document(|block| page_record(page, block, stopped_record))
}

/// `WorldStats` of `world.d.ts`, with times as numbers.
pub fn stats(depth: &QueueDepth, pulse: &PulseReading) -> Result<Reply, WorldError> {
    value(json!({
        "messages": {
            "due": depth.due,
            "sleeping": depth.sleeping,
            "leased": depth.leased,
            "dead": depth.dead,
            "held": depth.held,
            "parked": depth.parked.iter().map(|parked| parked.count).sum::<i64>(),
        },
        "parked": depth.parked.iter().map(parked).collect::<Vec<_>>(),
        "oldestDueMessageMs": depth.oldest_due_ms,
        "runs": { "pending": depth.pending_runs, "running": depth.running_runs },
        "deliveries": {
            "inFlight": pulse.in_flight,
            "leasesLost": pulse.leases_lost,
            "faults": pulse.faults.iter().map(Fault::report).collect::<Vec<_>>(),
        },
        "log": { "bytes": depth.log.bytes, "readBy": depth.log.read_by },
    }))
}

/// A `Parked` of `ts/world/pulse.ts`.
fn parked(parked: &Parked) -> Value {
    let Parked { demand, count, oldest_due_ms } = parked;
    json!({
        "deploymentId": demand.deployment_id,
        "specVersion": demand.spec_version,
        "count": count,
        "oldestDueMs": oldest_due_ms,
    })
}

/// The text of an error (`NativeFault` in `ts/native/binding.ts`).
pub fn fault(error: &WorldError) -> String {
    fault_value(error).to_string()
}

fn fault_value(error: &WorldError) -> Value {
    json!({
        "code": error.kind.code(),
        "message": error.message,
        "details": error.details,
    })
}
