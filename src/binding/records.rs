//! The records of runs, steps, hooks, waits and events in replies. The contract is
//! `ts/native/records.ts`.

use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::replies::{Block, PayloadRef};
use crate::domain::attributes::Attributes;
use crate::domain::event::Event;
use crate::domain::id::CorrelationId;
use crate::domain::page::Page;
use crate::domain::payload::StructuredError;
use crate::domain::run::Run;
use crate::domain::spec::SpecVersion;
use crate::domain::wait::Wait;
use crate::store::{HookView, RunView, StepView};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunRecord {
    run_id: String,
    status: &'static str,
    deployment_id: String,
    workflow_name: String,
    spec_version: u32,
    execution_context: Option<StoredJson>,
    attributes: Option<Attributes>,
    encryption_public_key: Option<String>,
    input: Option<PayloadRef>,
    output: Option<PayloadRef>,
    error: Option<StructuredError>,
    error_payload: Option<PayloadRef>,
    error_code: Option<String>,
    expired_at_ms: Option<i64>,
    started_at_ms: Option<i64>,
    completed_at_ms: Option<i64>,
    created_at_ms: i64,
    updated_at_ms: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepRecord {
    run_id: String,
    step_id: String,
    step_name: String,
    status: &'static str,
    input: Option<PayloadRef>,
    output: Option<PayloadRef>,
    error: Option<StructuredError>,
    error_payload: Option<PayloadRef>,
    owner_message_id: Option<String>,
    attempt: i64,
    started_at_ms: Option<i64>,
    completed_at_ms: Option<i64>,
    created_at_ms: i64,
    updated_at_ms: i64,
    retry_after_ms: Option<i64>,
    spec_version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HookRecord {
    run_id: String,
    hook_id: String,
    token: String,
    environment: Option<String>,
    metadata: Option<PayloadRef>,
    created_at_ms: i64,
    spec_version: u32,
    is_webhook: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_system: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_retention_until_ms: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WaitRecord {
    wait_id: String,
    run_id: String,
    status: &'static str,
    resume_at_ms: i64,
    completed_at_ms: Option<i64>,
    created_at_ms: i64,
    updated_at_ms: i64,
    spec_version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventRecord {
    run_id: String,
    event_id: String,
    event_type: &'static str,
    correlation_id: Option<String>,
    created_at_ms: i64,
    spec_version: u32,
    event_data: Option<StoredJson>,
    payload: Option<PayloadRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_id: Option<String>,
}

/// Stored JSON. Text that is not JSON fails the reply.
pub(super) struct StoredJson(pub(super) String);

impl Serialize for StoredJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(&self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => Err(S::Error::custom("a value of an event or of a run is not JSON")),
        }
    }
}

pub(super) fn run_record(view: RunView, block: &mut Block) -> RunRecord {
    let shows_attributes = view.run.spec().has_attributes() || !view.run.attributes.is_empty();
    let Run { run_id, status, deployment_id, workflow_name, spec_version, error, .. } = view.run;
    RunRecord {
        attributes: shows_attributes.then_some(view.run.attributes),
        encryption_public_key: view.run.encryption_public_key,
        run_id: run_id.into_string(),
        status: status.as_str(),
        deployment_id,
        workflow_name,
        spec_version,
        execution_context: view.run.execution_context.map(StoredJson),
        input: block.payload(view.input),
        output: block.payload(view.output),
        error,
        error_payload: block.payload(view.error),
        error_code: view.run.error_code,
        expired_at_ms: view.run.expired_at_ms,
        started_at_ms: view.run.started_at_ms,
        completed_at_ms: view.run.completed_at_ms,
        created_at_ms: view.run.created_at_ms,
        updated_at_ms: view.run.updated_at_ms,
    }
}

pub(super) fn step_record(view: StepView, block: &mut Block) -> StepRecord {
    let step = view.step;
    StepRecord {
        run_id: step.run_id.into_string(),
        step_id: step.step_id.into_string(),
        step_name: step.step_name,
        status: step.status.as_str(),
        input: block.payload(view.input),
        output: block.payload(view.output),
        error: step.error,
        error_payload: block.payload(view.error),
        owner_message_id: step.owner.map(|owner| owner.to_string()),
        attempt: step.attempt,
        started_at_ms: step.started_at_ms,
        completed_at_ms: step.completed_at_ms,
        created_at_ms: step.created_at_ms,
        updated_at_ms: step.updated_at_ms,
        retry_after_ms: step.retry_after_ms,
        spec_version: step.spec_version,
    }
}

pub(super) fn hook_record(view: HookView, block: &mut Block) -> HookRecord {
    let hook = view.hook;
    HookRecord {
        run_id: hook.run_id.into_string(),
        hook_id: hook.hook_id.into_string(),
        token: hook.token.expose().to_owned(),
        environment: hook.environment,
        metadata: block.payload(view.metadata),
        created_at_ms: hook.created_at_ms,
        spec_version: hook.spec_version,
        is_webhook: hook.options.is_webhook,
        is_system: SpecVersion(hook.spec_version)
            .knows_system_hooks()
            .then_some(hook.options.is_system),
        token_retention_until_ms: hook.options.retained_until_ms,
    }
}

pub(super) fn wait_record(wait: Wait) -> WaitRecord {
    WaitRecord {
        wait_id: wait.wait_id(),
        run_id: wait.run_id.into_string(),
        status: if wait.completed_at_ms.is_some() { "completed" } else { "waiting" },
        resume_at_ms: wait.resume_at_ms,
        completed_at_ms: wait.completed_at_ms,
        created_at_ms: wait.created_at_ms,
        updated_at_ms: wait.updated_at_ms,
        spec_version: wait.spec_version,
    }
}

pub(super) fn event_record(event: Event, block: &mut Block) -> EventRecord {
    EventRecord {
        event_id: event.event_id(),
        run_id: event.run_id.into_string(),
        event_type: event.event_type.as_str(),
        correlation_id: event.correlation_id.map(CorrelationId::into_string),
        created_at_ms: event.created_at_ms,
        spec_version: event.spec_version,
        event_data: event.data.map(StoredJson),
        payload: block.payload(event.payload),
        resume_id: event.resume.map(|resume| resume.id),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageRecord<T> {
    pub(super) data: Vec<T>,
    pub(super) cursor: Option<String>,
    pub(super) has_more: bool,
}

pub(super) fn page_record<T, R>(
    page: Page<T>,
    block: &mut Block,
    record: impl Fn(T, &mut Block) -> R,
) -> PageRecord<R> {
    PageRecord {
        data: page.items.into_iter().map(|item| record(item, block)).collect(),
        cursor: page.cursor,
        has_more: page.has_more,
    }
}
