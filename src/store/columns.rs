//! The columns of the rows that both stores keep: their order, and what they hold. A store brings the
//! names, and what reads and writes a value.

use serde::de::DeserializeOwned;

use crate::domain::attributes::Attributes;
use crate::domain::event::{Event, EventType, ResumeMark};
use crate::domain::hook::{Hook, HookOptions};
use crate::domain::id::{CorrelationId, HookToken, MessageId, RunId};
use crate::domain::payload::{Payload, StructuredError};
use crate::domain::run::{Run, RunStatus};
use crate::domain::step::{Step, StepStatus};
use crate::domain::wait::Wait;

/// Reads the columns of a row, one after the other. A column that holds something else is a fault of
/// the store.
pub(super) trait ReadColumns {
    type Fault;

    fn text(&mut self) -> Result<String, Self::Fault>;
    fn text_or_null(&mut self) -> Result<Option<String>, Self::Fault>;
    fn number(&mut self) -> Result<i64, Self::Fault>;
    fn number_or_null(&mut self) -> Result<Option<i64>, Self::Fault>;
    fn flag(&mut self) -> Result<bool, Self::Fault>;
    /// A spec version.
    fn version(&mut self) -> Result<u32, Self::Fault>;
    /// A word of a closed list.
    fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T, Self::Fault>;
    /// A JSON text, or NULL.
    fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Self::Fault>;
    fn token(&mut self) -> Result<HookToken, Self::Fault>;

    fn run_id(&mut self) -> Result<RunId, Self::Fault> {
        Ok(RunId::new(self.text()?))
    }

    fn correlation_id(&mut self) -> Result<CorrelationId, Self::Fault> {
        Ok(CorrelationId::new(self.text()?))
    }
}

pub(super) fn run_from<C: ReadColumns>(columns: &mut C) -> Result<Run, C::Fault> {
    Ok(Run {
        run_id: columns.run_id()?,
        status: columns.word(RunStatus::parse)?,
        deployment_id: columns.text()?,
        workflow_name: columns.text()?,
        spec_version: columns.version()?,
        execution_context: columns.text_or_null()?,
        input_position: columns.number_or_null()?,
        output_position: columns.number_or_null()?,
        error: columns.json()?,
        error_position: columns.number_or_null()?,
        error_code: columns.text_or_null()?,
        created_at_ms: columns.number()?,
        updated_at_ms: columns.number()?,
        started_at_ms: columns.number_or_null()?,
        completed_at_ms: columns.number_or_null()?,
        encryption_key_id: columns.text_or_null()?,
        attributes: columns.json::<Attributes>()?.unwrap_or_default(),
        encryption_public_key: columns.text_or_null()?,
        expired_at_ms: columns.number_or_null()?,
        release_id: columns.text()?,
    })
}

pub(super) fn step_from<C: ReadColumns>(columns: &mut C) -> Result<Step, C::Fault> {
    Ok(Step {
        run_id: columns.run_id()?,
        step_id: columns.correlation_id()?,
        step_name: columns.text()?,
        status: columns.word(StepStatus::parse)?,
        created_position: columns.number()?,
        output_position: columns.number_or_null()?,
        error: columns.json()?,
        error_position: columns.number_or_null()?,
        owner: columns.number_or_null()?.map(MessageId::from_number),
        attempt: columns.number()?,
        created_at_ms: columns.number()?,
        updated_at_ms: columns.number()?,
        started_at_ms: columns.number_or_null()?,
        completed_at_ms: columns.number_or_null()?,
        retry_after_ms: columns.number_or_null()?,
        spec_version: columns.version()?,
    })
}

pub(super) fn hook_from<C: ReadColumns>(columns: &mut C) -> Result<Hook, C::Fault> {
    Ok(Hook {
        run_id: columns.run_id()?,
        hook_id: columns.correlation_id()?,
        token: columns.token()?,
        environment: columns.text_or_null()?,
        metadata_position: columns.number_or_null()?,
        created_at_ms: columns.number()?,
        disposed_at_ms: columns.number_or_null()?,
        spec_version: columns.version()?,
        options: HookOptions {
            is_webhook: columns.flag()?,
            is_system: columns.flag()?,
            retained_until_ms: columns.number_or_null()?,
        },
        outlives_run: columns.flag()?,
    })
}

pub(super) fn wait_from<C: ReadColumns>(columns: &mut C) -> Result<Wait, C::Fault> {
    Ok(Wait {
        run_id: columns.run_id()?,
        correlation_id: columns.correlation_id()?,
        resume_at_ms: columns.number()?,
        completed_at_ms: columns.number_or_null()?,
        created_at_ms: columns.number()?,
        updated_at_ms: columns.number()?,
        spec_version: columns.version()?,
    })
}

/// Reads an event without its payload. The caller fills in the spec version of its run.
pub(super) fn event_from<C: ReadColumns>(columns: &mut C) -> Result<Event, C::Fault> {
    let mut event = Event {
        run_id: columns.run_id()?,
        position: columns.number()?,
        event_type: columns.word(EventType::parse)?,
        correlation_id: columns.text_or_null()?.map(CorrelationId::new),
        created_at_ms: columns.number()?,
        spec_version: columns.version()?,
        data: columns.text_or_null()?,
        run_spec_version: 0,
        payload: None,
        resume: None,
    };
    let resume_id = columns.text_or_null()?;
    let payload_digest = columns.text_or_null()?;
    event.resume = resume_id.map(|id| ResumeMark { id, payload_digest });
    Ok(event)
}

/// The column `error`.
pub(super) fn error_text(error: Option<&StructuredError>) -> Option<String> {
    // Serialising a struct of strings cannot fail.
    error.and_then(|error| serde_json::to_string(error).ok())
}

/// The column `attributes`.
pub(super) fn attributes_text(attributes: &Attributes) -> Option<String> {
    // Serialising a map of strings cannot fail.
    (!attributes.is_empty()).then(|| serde_json::to_string(attributes).unwrap_or_default())
}

/// The columns `payload_format` and `payload`.
pub(super) fn format_and_bytes(payload: Option<&Payload>) -> (Option<i16>, Option<&[u8]>) {
    let format = payload.map(|payload| match payload {
        Payload::Bytes(_) => 1,
        Payload::Json(_) => 2,
    });
    (format, payload.map(Payload::as_bytes))
}

/// The payload of the columns `payload_format` and `payload`; `None` if they hold none.
pub(super) fn payload_of(format: i64, bytes: Vec<u8>) -> Option<Payload> {
    match format {
        1 => Some(Payload::Bytes(bytes)),
        2 => String::from_utf8(bytes).ok().map(Payload::Json),
        _ => None,
    }
}
