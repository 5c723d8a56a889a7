//! The requests that append an event.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::requests::{FenceRequest, PayloadFormat, parse};
use crate::domain::attributes::{AttributeChange, AttributeChanges, AttributeValue};
use crate::domain::event::{EventBody, EventRequest, EventType, Report, ResumeMark, RunCreation};
use crate::domain::hook::HookOptions;
use crate::domain::id::{CorrelationId, HookToken, MessageId, Position, RunId};
use crate::domain::page::PageRequest;
use crate::domain::payload::{Payload, StructuredError};
use crate::domain::queue::hold::CodeMismatch;
use crate::domain::spec::SPEC_VERSION_DEFAULT;
use crate::domain::step_resume::StepResume;
use crate::error::WorldError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppendEvent {
    run_id: Option<String>,
    pub(super) event_type: String,
    pub(super) correlation_id: Option<String>,
    pub(super) spec_version: Option<u32>,
    pub(super) event_data: Option<Box<RawValue>>,
    pub(super) payload_format: Option<PayloadFormat>,
    fence: Option<FenceRequest>,
    code_mismatch: Option<CodeMismatchRequest>,
    event_count: Option<f64>,
    since_cursor: Option<String>,
    #[serde(default)]
    skip_preload: bool,
    resume_id: Option<String>,
    resume_payload_digest: Option<String>,
    step_resume: Option<StepResumeRequest>,
}

/// Events that are appended together. Their payloads are in a block of bytes.
#[derive(Deserialize)]
pub struct AppendEvents {
    events: Vec<PlacedEvent>,
}

#[derive(Deserialize)]
struct PlacedEvent {
    event: AppendEvent,
    payload: Option<Place>,
}

impl AppendEvents {
    pub fn into_events(self, bytes: &[u8]) -> Result<Vec<EventRequest>, WorldError> {
        let event = |PlacedEvent { event, payload }: PlacedEvent| {
            event.into_event(payload.map(|place| place.of(bytes)).transpose()?)
        };
        self.events.into_iter().map(event).collect()
    }
}

/// Where a payload is in a block of bytes.
#[derive(Deserialize)]
pub(super) struct Place {
    at: usize,
    len: usize,
}

impl Place {
    pub(super) fn of(self, bytes: &[u8]) -> Result<Vec<u8>, WorldError> {
        let end = self.at.checked_add(self.len);
        let payload = end.and_then(|end| bytes.get(self.at..end));
        let payload = payload.map(<[u8]>::to_vec);
        payload.ok_or_else(|| WorldError::invalid("a payload lies outside of the bytes"))
    }
}

/// See [`CodeMismatch`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CodeMismatchRequest {
    code_loaded_at_ms: i64,
}

/// The fields of `eventData` that the rules read. The rest is kept unchanged.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct EventData {
    deployment_id: Option<String>,
    workflow_name: Option<String>,
    execution_context: Option<Box<RawValue>>,
    step_name: Option<String>,
    stack: Option<String>,
    error_code: Option<String>,
    retry_after: Option<f64>,
    resume_at: Option<f64>,
    token: Option<String>,
    is_webhook: Option<bool>,
    is_system: Option<bool>,
    token_retention_until: Option<f64>,
    owner_message_id: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    allow_reserved_attributes: bool,
    encryption_public_key: Option<String>,
    #[serde(default)]
    changes: Vec<ChangeRequest>,
    writer: Option<Writer>,
}

/// One change of `attr_set`; without a value it removes the attribute.
#[derive(Deserialize)]
struct ChangeRequest {
    key: String,
    value: Option<String>,
}

/// Who writes an `attr_set`.
#[derive(Deserialize)]
struct Writer {
    r#type: String,
}

impl From<ChangeRequest> for AttributeChange {
    fn from(ChangeRequest { key, value }: ChangeRequest) -> Self {
        Self { key, value: value.map(AttributeValue::plain) }
    }
}

/// A resume that the code of a step makes: [`StepResume`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResumeRequest {
    place: String,
    payload: String,
    nth: u32,
}

impl StepResumeRequest {
    pub fn into_mark(self) -> ResumeMark {
        let Self { place, payload, nth } = self;
        StepResume { place, payload, nth }.mark()
    }
}

impl AppendEvent {
    pub fn into_event(self, payload: Option<Vec<u8>>) -> Result<EventRequest, WorldError> {
        let payload = match (self.payload_format, payload) {
            (Some(format), Some(bytes)) => Some(format.payload(bytes)?),
            _ => None,
        };
        let data = self.event_data.map(|raw| Box::<str>::from(raw).into_string());
        let fields: EventData = match &data {
            Some(text) => parse(text)?,
            None => EventData::default(),
        };
        let correlation_id = self.correlation_id.filter(|id| !id.is_empty());
        let report = Report {
            since: self.since_cursor.as_deref().and_then(|cursor| place_in(&self.run_id, cursor)),
            held: self.event_count.map(|count| count as i64),
            skips_log: self.skip_preload,
        };
        let mut body = body(&self.event_type, correlation_id, fields, payload.as_ref())?;
        if let EventBody::RunStarted(Some(creation)) = &mut body {
            creation.release_id = self.fence.as_ref().and_then(|fence| fence.adopted_by.clone());
        }
        let is_resume = body.event_type() == EventType::HookReceived;
        let named =
            self.resume_id.map(|id| ResumeMark { id, payload_digest: self.resume_payload_digest });
        let of_step = self.step_resume.map(StepResumeRequest::into_mark);
        let resume = of_step.or(named).filter(|_| is_resume);
        Ok(EventRequest {
            run_id: self.run_id.filter(|id| !id.is_empty()).map(RunId::new),
            body,
            spec_version: self.spec_version.unwrap_or(SPEC_VERSION_DEFAULT),
            data,
            payload,
            fence: self.fence.map(FenceRequest::into_fence),
            code_mismatch: self.code_mismatch.map(|CodeMismatchRequest { code_loaded_at_ms }| {
                CodeMismatch { code_loaded_at_ms }
            }),
            report,
            resume,
        })
    }
}

/// The position in the log of this run at which a reader's cursor is. What a caller has seen is only
/// a hint, so a foreign cursor is none.
fn place_in(run_id: &Option<String>, cursor: &str) -> Option<Position> {
    let page = PageRequest { after: Some(cursor.to_owned()), ..PageRequest::first(1) };
    let place = page.after_event().ok().flatten()?;
    (run_id.as_deref() == Some(place.run_id.as_str())).then_some(place.position)
}

fn missing(event_type: &str, field: &str) -> WorldError {
    WorldError::invalid(format!("{event_type} needs {field}"))
}

fn body(
    event_type: &str,
    correlation_id: Option<String>,
    data: EventData,
    payload: Option<&Payload>,
) -> Result<EventBody, WorldError> {
    let id = || {
        let id = correlation_id.clone().ok_or_else(|| missing(event_type, "a correlationId"));
        id.map(CorrelationId::new)
    };
    let time = |at_ms: Option<f64>, field| at_ms.ok_or_else(|| missing(event_type, field));
    let parsed = EventType::parse(event_type).ok_or_else(|| {
        WorldError::invalid(format!("\"{event_type}\" is not an event type of this World"))
    })?;
    Ok(match parsed {
        EventType::RunCreated => EventBody::RunCreated(
            creation(data)
                .ok_or_else(|| missing(event_type, "a deploymentId and a workflowName"))?,
        ),
        EventType::RunStarted => EventBody::RunStarted(creation(data)),
        EventType::RunCompleted => EventBody::RunCompleted,
        EventType::RunFailed => {
            EventBody::RunFailed(structured_error(payload, None, data.error_code))
        }
        EventType::RunCancelled => EventBody::RunCancelled,
        EventType::StepCreated => EventBody::StepCreated {
            step: id()?,
            step_name: data.step_name.ok_or_else(|| missing(event_type, "a stepName"))?,
        },
        EventType::StepStarted => EventBody::StepStarted {
            step: id()?,
            // A message of another queue can have no live delivery here.
            owner: data.owner_message_id.as_deref().and_then(MessageId::parse),
            creates: data.step_name.filter(|_| payload.is_some()),
        },
        EventType::StepCompleted => EventBody::StepCompleted { step: id()? },
        EventType::StepFailed => EventBody::StepFailed {
            step: id()?,
            error: structured_error(payload, data.stack, None),
        },
        EventType::StepRetrying => EventBody::StepRetrying {
            step: id()?,
            error: structured_error(payload, data.stack, None),
            retry_after_ms: data.retry_after.map(|at_ms| at_ms as i64),
        },
        EventType::HookCreated => EventBody::HookCreated {
            hook: id()?,
            token: HookToken::new(data.token.ok_or_else(|| missing(event_type, "a token"))?),
            options: HookOptions {
                is_webhook: data.is_webhook.unwrap_or(false),
                is_system: data.is_system.unwrap_or(false),
                retained_until_ms: data.token_retention_until.map(|at_ms| at_ms as i64),
            },
        },
        EventType::HookReceived => {
            EventBody::HookReceived { hook: id()?, token: data.token.map(HookToken::new) }
        }
        EventType::HookDisposed => EventBody::HookDisposed { hook: id()? },
        EventType::HookConflict | EventType::Noop => {
            return Err(WorldError::invalid(format!("only the World itself writes {event_type}")));
        }
        EventType::WaitCreated => EventBody::WaitCreated {
            wait: id()?,
            resume_at_ms: time(data.resume_at, "a resumeAt")? as i64,
        },
        EventType::WaitCompleted => EventBody::WaitCompleted { wait: id()? },
        EventType::AttrSet => {
            let by_workflow = data.writer.is_some_and(|writer| writer.r#type == "workflow");
            EventBody::AttrSet {
                id: correlation_id.filter(|_| by_workflow).map(CorrelationId::new),
                changes: AttributeChanges {
                    changes: data.changes.into_iter().map(AttributeChange::from).collect(),
                    allow_reserved: data.allow_reserved_attributes,
                },
            }
        }
    })
}

fn creation(data: EventData) -> Option<RunCreation> {
    let set = |(key, value)| ChangeRequest { key, value: Some(value) }.into();
    Some(RunCreation {
        attributes: AttributeChanges {
            changes: data.attributes.into_iter().map(set).collect(),
            allow_reserved: data.allow_reserved_attributes,
        },
        encryption_public_key: data.encryption_public_key,
        deployment_id: data.deployment_id?,
        release_id: None,
        workflow_name: data.workflow_name?,
        execution_context: data.execution_context.map(|raw| Box::<str>::from(raw).into_string()),
        wakes: false,
        encryption_key_id: None,
    })
}

/// A run that is created together with its first wake-up.
pub fn start_run(request: &str, payload: Vec<u8>) -> Result<EventRequest, WorldError> {
    let request: AppendEvent = parse(request)?;
    let mut event = request.into_event(Some(payload))?;
    if let EventBody::RunCreated(creation) = &mut event.body {
        creation.wakes = true;
    }
    Ok(event)
}

/// The error of a run or a step: a text, or an object with a message. The stack is in the object or
/// beside it.
fn structured_error(
    payload: Option<&Payload>,
    stack_beside: Option<String>,
    code: Option<String>,
) -> StructuredError {
    let value: serde_json::Value = match payload {
        Some(Payload::Json(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => serde_json::Value::Null,
    };
    let text = |name: &str| value.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    let message = value.as_str().map(str::to_owned).or_else(|| text("message"));
    StructuredError {
        message: message.unwrap_or_else(|| "Unknown error".into()),
        stack: stack_beside.or_else(|| text("stack")),
        code,
    }
}
