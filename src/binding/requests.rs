//! Requests: converts JSON text from TypeScript into the engine's types.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::event_requests::StepResumeRequest;
use crate::domain::event::{EventBody, EventRequest, Report};
use crate::domain::fence::Fence;
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::page::{LIMIT_DEFAULT, LIMIT_MAX, PageRequest, SortOrder};
use crate::domain::payload::{Payload, unstorable_because};
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
pub(super) struct FenceRequest {
    message_id: String,
    lease_token: String,
    /// The release of the delivery, if it has adopted the run.
    pub(super) adopted_by: Option<String>,
}

impl FenceRequest {
    /// A malformed id names no message, so it holds no lease.
    pub(super) fn into_fence(self) -> Fence {
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
    step_resume: Option<StepResumeRequest>,
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
            resume: self.step_resume.map(StepResumeRequest::into_mark),
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
    status: Option<Statuses>,
    limit: Option<f64>,
    cursor: Option<String>,
    sort_order: Option<String>,
    #[serde(default = "yes")]
    pub resolve_data: bool,
}

/// One status, or several of which a run may have any.
#[derive(Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(String),
    Any(Vec<String>),
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
        let read = |word: &String| {
            RunStatus::parse(word)
                .ok_or_else(|| WorldError::invalid(format!(
                    "\"{word}\" is not a status of a run: it is pending, running, completed, failed or \
                     cancelled"
                )))
        };
        let statuses = match &self.status {
            None => None,
            Some(Statuses::One(word)) => Some(vec![read(word)?]),
            Some(Statuses::Any(words)) => Some(words.iter().map(read).collect::<Result<_, _>>()?),
        };
        Ok(RunQuery {
            workflow_name: self.workflow_name.clone(),
            statuses,
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
    deployment_id: Option<String>,
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
            deployment_id: self.deployment_id.filter(|id| !id.is_empty()),
            fence: self.fence.map(FenceRequest::into_fence),
        })
    }
}

/// Messages, whose bodies follow each other in the block of bytes.
#[derive(Deserialize)]
pub struct EnqueueAll(Vec<EnqueueOne>);

#[derive(Deserialize)]
struct EnqueueOne {
    #[serde(flatten)]
    message: Enqueue,
    /// The length of its body in bytes.
    len: usize,
}

impl EnqueueAll {
    pub fn into_requests(self, bodies: &[u8]) -> Result<Vec<EnqueueRequest>, WorldError> {
        let mut rest = bodies;
        let request = |EnqueueOne { message, len }: EnqueueOne| {
            let (body, behind) = rest
                .split_at_checked(len)
                .ok_or_else(|| WorldError::invalid("a body lies outside of the bytes"))?;
            rest = behind;
            message.into_request(body.to_vec())
        };
        self.0.into_iter().map(request).collect()
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
