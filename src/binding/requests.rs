//! Requests: converts JSON text from TypeScript into the engine's types.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::domain::attributes::{AttributeChange, AttributeChanges, AttributeValue};
use crate::domain::event::{EventBody, EventRequest, EventType, Report, RunCreation};
use crate::domain::fence::Fence;
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, Position, RunId};
use crate::domain::page::{LIMIT_DEFAULT, LIMIT_MAX, PageRequest, SortOrder};
use crate::domain::payload::{Payload, StructuredError, unstorable_because};
use crate::domain::queue::hold::CodeMismatch;
use crate::domain::resume_key::{ResumeDigests, ResumeKey, WINDOW_MS_MAX};
use crate::domain::run::RunStatus;
use crate::domain::spec::SPEC_VERSION_DEFAULT;
use crate::error::WorldError;
use crate::queue::admission::ClaimedDelivery;
use crate::queue::http::{AppAddress, Trusted};
use crate::store::{EventQuery, RunQuery, StreamRead};
use crate::world::EnqueueRequest;

/// Reads a request.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, WorldError> {
    serde_json::from_str(json).map_err(|error| match error.classify() {
        // The message of the error may contain a value, which may be secret. So only its place is
        // shown.
        serde_json::error::Category::Data => WorldError::invalid(format!(
            "a field has the wrong type, or a required one is missing (before column {} of the request)",
            error.column()
        )),
        _ => WorldError::invalid("the request is not JSON"),
    })
}

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
}

/// See [`CodeMismatch`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CodeMismatchRequest {
    code_loaded_at_ms: i64,
}

/// What JavaScript knows of the app's address.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    url: Option<String>,
    base_path: Option<String>,
    #[serde(default)]
    authorities: Vec<String>,
    #[serde(default)]
    any_certificate: bool,
}

impl App {
    /// The address, without a configured URL.
    pub fn into_address(self) -> AppAddress {
        let trusted = Trusted { authorities: self.authorities, any: self.any_certificate };
        let base_path = self.base_path.unwrap_or_default();
        AppAddress { configured: None, hint: self.url, base_path, trusted }
    }
}

/// The delivery that a write belongs to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FenceRequest {
    message_id: String,
    lease_token: String,
}

impl FenceRequest {
    /// A malformed id names no message, so it holds no lease.
    fn into_fence(self) -> Fence {
        let none = MessageId::from_number(0);
        Fence {
            message_id: MessageId::parse(&self.message_id).unwrap_or(none),
            lease_token: LeaseToken::new(self.lease_token),
        }
    }
}

/// Refuses bytes that the database would always refuse, with an error that tells the reason.
pub fn refuse_unstorable(bytes: &[u8]) -> Result<(), WorldError> {
    unstorable_because(bytes.len()).map_or(Ok(()), |reason| Err(WorldError::invalid(reason)))
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
pub(super) enum PayloadFormat {
    Bytes,
    Json,
}

impl PayloadFormat {
    pub(super) fn payload(self, bytes: Vec<u8>) -> Result<Payload, WorldError> {
        refuse_unstorable(&bytes)?;
        match self {
            PayloadFormat::Bytes => Ok(Payload::Bytes(bytes)),
            PayloadFormat::Json => {
                let text = String::from_utf8(bytes).ok();
                text.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok())
                    .map(Payload::Json)
                    .ok_or_else(|| WorldError::invalid("the payload is not JSON"))
            }
        }
    }
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
        let body = body(&self.event_type, correlation_id, fields, payload.as_ref())?;
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
            is_webhook: data.is_webhook.unwrap_or(false),
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WakeUpRun {
    run_id: String,
    correlation_ids: Option<Vec<String>>,
}

impl WakeUpRun {
    /// The run and some of its waits; `None` means all.
    pub fn into_parts(self) -> (RunId, Option<Vec<CorrelationId>>) {
        let only = self.correlation_ids.filter(|ids| !ids.is_empty());
        let only = only.map(|ids| ids.into_iter().map(CorrelationId::new).collect());
        (RunId::new(self.run_id), only)
    }
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumeHook {
    run_id: String,
    hook_id: String,
    token: String,
    payload_format: PayloadFormat,
    spec_version: Option<u32>,
    #[serde(default)]
    v1_compat: bool,
}

impl ResumeHook {
    pub fn into_event(self, payload: Vec<u8>) -> Result<EventRequest, WorldError> {
        let payload = self.payload_format.payload(payload)?;
        // Events of spec version 1 hold no token. It is checked all the same, because a hook object may
        // come from anywhere, and only the token is secret.
        let data = serde_json::json!({ "token": self.token });
        let data = (!self.v1_compat).then(|| data.to_string());
        Ok(EventRequest {
            run_id: Some(RunId::new(self.run_id)),
            body: EventBody::HookReceived {
                hook: CorrelationId::new(self.hook_id),
                token: Some(HookToken::new(self.token)),
            },
            spec_version: self.spec_version.unwrap_or(SPEC_VERSION_DEFAULT),
            data,
            payload: Some(payload),
            fence: None,
            code_mismatch: None,
            report: Report::default(),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumeHookOnce {
    #[serde(flatten)]
    resume: ResumeHook,
    key_digest: String,
    payload_digest: String,
    window_ms: f64,
}

impl ResumeHookOnce {
    /// The event and its idempotency key.
    pub fn into_parts(self, payload: Vec<u8>) -> Result<(EventRequest, ResumeKey), WorldError> {
        let key = ResumeKeyRequest {
            token: self.resume.token.clone(),
            key_digest: self.key_digest,
            payload_digest: self.payload_digest,
            window_ms: self.window_ms,
        };
        Ok((self.resume.into_event(payload)?, key.into_key()?))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResumeKeyRequest {
    token: String,
    key_digest: String,
    payload_digest: String,
    window_ms: f64,
}

impl ResumeKeyRequest {
    pub fn into_key(self) -> Result<ResumeKey, WorldError> {
        if !(self.window_ms > 0.0 && self.window_ms <= WINDOW_MS_MAX as f64) {
            return Err(WorldError::invalid(format!(
                "the window of an idempotency key must be above 0 and at most {WINDOW_MS_MAX} ms"
            )));
        }
        Ok(ResumeKey {
            token: HookToken::new(self.token),
            digests: ResumeDigests { key: self.key_digest, payload: self.payload_digest },
            unsealed: None,
            window_ms: self.window_ms as i64,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryClaim {
    message_id: String,
    queue_name: String,
    attempt: i64,
    proof: String,
}

/// The delivery that a request over HTTP claims to be.
pub fn claimed_delivery(json: &str) -> Result<ClaimedDelivery, WorldError> {
    let claim: DeliveryClaim = parse(json)?;
    Ok(ClaimedDelivery {
        message_id: claim.message_id,
        queue_name: claim.queue_name,
        attempt: claim.attempt,
        proof: claim.proof,
    })
}

/// The longest challenge. It is longer than ours, and too short for a text that somebody wants signed.
const CHALLENGE_LENGTH_MAX: usize = 100;

/// A challenge that this process may answer.
pub fn challenge(text: String) -> Result<String, WorldError> {
    match text.is_empty() || text.len() > CHALLENGE_LENGTH_MAX {
        true => Err(WorldError::invalid("the challenge is malformed")),
        false => Ok(text),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListQuery {
    pub run_id: Option<String>,
    correlation_id: Option<String>,
    workflow_name: Option<String>,
    status: Option<String>,
    limit: Option<f64>,
    cursor: Option<String>,
    sort_order: Option<String>,
    #[serde(default = "yes")]
    pub resolve_data: bool,
}

fn yes() -> bool {
    true
}

impl ListQuery {
    /// The requested page. `order` applies if the caller gives none.
    pub fn page(&self, order: SortOrder) -> Result<PageRequest, WorldError> {
        let order = match self.sort_order.as_deref() {
            None => order,
            Some("asc") => SortOrder::Ascending,
            Some("desc") => SortOrder::Descending,
            Some(_) => return Err(WorldError::invalid("sortOrder must be asc or desc")),
        };
        Ok(PageRequest {
            limit: limit(self.limit)?,
            // The SDK passes an empty cursor for none.
            after: self.cursor.clone().filter(|cursor| !cursor.is_empty()),
            order,
        })
    }

    pub fn required_run_id(&self) -> Result<RunId, WorldError> {
        let run_id = self.run_id.as_ref().filter(|id| !id.is_empty());
        run_id.map(RunId::new).ok_or_else(|| WorldError::invalid("this list needs a runId"))
    }

    pub fn runs(&self) -> Result<RunQuery, WorldError> {
        let status = match self.status.as_deref() {
            None => None,
            Some(word) => Some(RunStatus::parse(word).ok_or_else(|| {
                WorldError::invalid(format!("\"{word}\" is not a status of a run"))
            })?),
        };
        Ok(RunQuery {
            workflow_name: self.workflow_name.clone(),
            status,
            page: self.page(SortOrder::Descending)?,
            resolve_data: self.resolve_data,
        })
    }

    pub fn events_of_run(&self) -> Result<EventQuery, WorldError> {
        Ok(EventQuery {
            run_id: Some(self.required_run_id()?),
            correlation_id: None,
            page: self.page(SortOrder::Ascending)?,
            resolve_data: self.resolve_data,
        })
    }

    pub fn events_by_correlation_id(&self) -> Result<EventQuery, WorldError> {
        let correlation_id = self.correlation_id.clone().filter(|id| !id.is_empty());
        let correlation_id =
            correlation_id.ok_or_else(|| WorldError::invalid("this list needs a correlationId"))?;
        Ok(EventQuery {
            run_id: self.run_id.clone().filter(|id| !id.is_empty()).map(RunId::new),
            correlation_id: Some(CorrelationId::new(correlation_id)),
            page: self.page(SortOrder::Ascending)?,
            resolve_data: self.resolve_data,
        })
    }
}

fn limit(limit: Option<f64>) -> Result<usize, WorldError> {
    let Some(limit) = limit else { return Ok(LIMIT_DEFAULT) };
    if limit.fract() != 0.0 || limit < 1.0 || limit > LIMIT_MAX as f64 {
        return Err(WorldError::invalid(format!(
            "limit must be a whole number from 1 to {LIMIT_MAX}"
        )));
    }
    Ok(limit as usize)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enqueue {
    queue_name: String,
    delay_seconds: Option<f64>,
    idempotency_key: Option<String>,
    headers: Option<HashMap<String, String>>,
    fence: Option<FenceRequest>,
}

impl Enqueue {
    pub fn into_request(self, body: Vec<u8>) -> Result<EnqueueRequest, WorldError> {
        refuse_unstorable(&body)?;
        let delay_seconds = self.delay_seconds.unwrap_or(0.0);
        if delay_seconds.is_nan() || delay_seconds < 0.0 {
            return Err(WorldError::invalid("delaySeconds must not be negative"));
        }
        Ok(EnqueueRequest {
            queue_name: self.queue_name,
            body,
            idempotency_key: self.idempotency_key,
            headers: self.headers.filter(|headers| !headers.is_empty()),
            delay_ms: (delay_seconds * 1000.0) as i64,
            fence: self.fence.map(FenceRequest::into_fence),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadStream {
    pub read_id: u32,
    name: String,
    #[serde(default)]
    from: f64,
    limit: Option<f64>,
}

impl ReadStream {
    pub fn into_read(self) -> Result<StreamRead, WorldError> {
        let limit = limit(self.limit)?;
        Ok(StreamRead { name: self.name, from: self.from as i64, limit })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamChunks {
    pub name: String,
    limit: Option<f64>,
    cursor: Option<String>,
}

impl StreamChunks {
    pub fn limit(&self) -> Result<usize, WorldError> {
        limit(self.limit)
    }

    /// The index that the cursor names.
    pub fn from(&self) -> Result<i64, WorldError> {
        match self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
            None => Ok(0),
            Some(cursor) => cursor.parse().ok().filter(|index| *index >= 0).ok_or_else(|| {
                WorldError::invalid("the cursor is not from this stream; start without a cursor")
            }),
        }
    }
}
