//! The part of `NativeWorld` for the person who runs a World: the CLI and `ts/world/upkeep.ts` use it.

use std::path::PathBuf;

use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::{Value, json};

use super::event_requests::{AppendEvent, Place};
use super::promise::JsValue;
use super::replies::{self, Reply};
use super::requests;
use super::world::{NativeWorld, then};
use crate::domain::event::EventType;
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::spec::SPEC_VERSION_DEFAULT;
use crate::domain::transition::replay::{Entry, PastEvent, PastFact};
use crate::domain::wait::Wait;
use crate::error::WorldError;
use crate::store::Completion;
use crate::store::upkeep::{
    Backup, Examination, OldSnapshot, Outlook, QueuedMessage, ServerExamination,
};

/// A run of another World, given by its log. Its payloads are in the block of bytes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportRun {
    run_id: String,
    events: Vec<ImportedEvent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportedEvent {
    event: AppendEvent,
    created_at_ms: f64,
    payload: Option<Place>,
}

impl ImportedEvent {
    fn past(self, bytes: &[u8]) -> std::result::Result<PastEvent, WorldError> {
        let payload = self.payload.map(|place| place.of(bytes)).transpose()?;
        let created_at_ms = self.created_at_ms as i64;
        let fact = match EventType::parse(&self.event.event_type) {
            Some(by_world @ (EventType::HookConflict | EventType::Noop)) => {
                PastFact::ByWorld(by_world, entry(by_world, self.event, payload)?)
            }
            _ => PastFact::Asked(Box::new(self.event.into_event(payload)?)),
        };
        Ok(PastEvent { created_at_ms, fact })
    }
}

/// The content of an event that the other World wrote by itself.
fn entry(
    event_type: EventType,
    event: AppendEvent,
    payload: Option<Vec<u8>>,
) -> std::result::Result<Entry, WorldError> {
    let correlation_id = event.correlation_id.filter(|id| !id.is_empty());
    if event_type == EventType::HookConflict && correlation_id.is_none() {
        return Err(WorldError::invalid("hook_conflict needs a correlationId"));
    }
    let payload = match (event.payload_format, payload) {
        (Some(format), Some(bytes)) => Some(format.payload(bytes)?),
        _ => None,
    };
    Ok(Entry {
        correlation_id: correlation_id.map(CorrelationId::new),
        spec_version: event.spec_version.unwrap_or(SPEC_VERSION_DEFAULT),
        data: event.event_data.map(|raw| Box::<str>::from(raw).into_string()),
        payload,
        resume: None,
    })
}

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn outlook(&self, env: Env, run_id: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.upkeep.outlook(RunId::new(run_id), then(done, outlook));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn examine(&self, env: Env) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| engine.upkeep.examine(then(done, examination)))
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn workers(&self, env: Env) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.workers(then(done, |all: Vec<Value>| replies::value(all.into())))
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn back_up(&self, env: Env, to: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.upkeep.back_up(PathBuf::from(to), then(done, backup));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn import_run(&self, env: Env, request: String, bytes: &[u8]) -> Result<JsValue> {
        self.promise(env, |engine| {
            let request: ImportRun = requests::parse(&request)?;
            let events = request.events.into_iter().map(|event| event.past(bytes));
            let log: Vec<PastEvent> = events.collect::<std::result::Result<_, _>>()?;
            let run_id = RunId::new(request.run_id);
            Ok(move |done: Completion<Reply>| {
                engine.upkeep.import_run(run_id, log, then(done, |()| Ok(Reply::void())));
            })
        })
    }
}

fn outlook(outlook: Outlook) -> std::result::Result<Reply, WorldError> {
    let waits: Vec<Value> = outlook.waits.iter().map(wait).collect();
    let messages: Vec<Value> = outlook.messages.iter().map(message).collect();
    let demand = outlook.demand.map(|demand| {
        json!({ "deploymentId": demand.deployment_id, "specVersion": demand.spec_version })
    });
    replies::value(json!({ "demand": demand, "waits": waits, "messages": messages }))
}

fn wait(wait: &Wait) -> Value {
    json!({
        "correlationId": wait.correlation_id.as_str(),
        "createdAtMs": wait.created_at_ms,
        "resumeAtMs": wait.resume_at_ms,
    })
}

fn message(message: &QueuedMessage) -> Value {
    json!({
        "messageId": message.message_id.to_string(),
        "queueName": message.queue_name,
        "stepId": message.step_id.as_ref().map(CorrelationId::as_str),
        "idempotencyKey": message.idempotency_key,
        "attempt": message.attempt,
        "createdAtMs": message.created_at_ms,
        "availableAtMs": message.available_at_ms,
        "leaseExpiresAtMs": message.lease_expires_at_ms,
        "lastError": message.last_error,
        "deadAtMs": message.dead_at_ms,
        "heldAtMs": message.held_at_ms,
    })
}

fn examination(found: Examination) -> std::result::Result<Reply, WorldError> {
    replies::value(match found {
        Examination::Sqlite(found) => json!({
            "kind": "sqlite",
            "version": found.sqlite_version,
            "schemaVersion": found.schema_version,
            "journalMode": found.journal_mode,
            "bytes": found.bytes,
            "freeBytes": found.free_bytes,
            "damages": found.damages,
        }),
        Examination::Postgres(found) => of_server(&found),
    })
}

fn of_server(found: &ServerExamination) -> Value {
    let holder = |it: &OldSnapshot| json!({ "what": it.what, "ageMs": it.age_ms });
    json!({
        "kind": "postgres",
        "version": found.version,
        "schema": found.schema,
        "schemaVersion": found.schema_version,
        "bytes": found.bytes,
        "isStandby": found.is_standby,
        "onlyReads": found.only_reads,
        "tls": found.tls,
        "role": found.role,
        "missingRights": found.missing_rights,
        "roundTripUs": found.round_trip_us,
        "clockAheadMs": found.clock_ahead_ms,
        "isDirect": found.is_direct,
        "syncsToDisk": found.syncs_to_disk,
        "synchronousCommit": found.synchronous_commit,
        "connections": found.connections,
        "connectionsMax": found.connections_max,
        "oldSnapshots": found.old_snapshots.iter().map(holder).collect::<Vec<_>>(),
        "queue": {
            "bytes": found.queue.bytes,
            "liveRows": found.queue.live_rows,
            "deadRows": found.queue.dead_rows,
            "vacuumedMsAgo": found.queue.vacuumed_ms_ago,
        },
        "livingWorkers": found.living_workers,
        "knownWorkers": found.known_workers,
    })
}

fn backup(made: Backup) -> std::result::Result<Reply, WorldError> {
    replies::value(json!({ "bytes": made.bytes, "runs": made.runs, "events": made.events }))
}
