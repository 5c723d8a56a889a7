//! Seals and opens each kind of value: a payload, an event's JSON, an error, a token, a chunk, a
//! message. Values that the SDK has encrypted stay unchanged.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::TokensAtRest;
use crate::crypto::{DeliverySecret, KeyRing, SealedKind, Seals, TokenSeal, is_encrypted_by_sdk};
use crate::domain::attributes::{
    AttributeChange, AttributeChanges, AttributeValue, Attributes, RETENTION,
};
use crate::domain::event::{Event, EventBody, EventRequest, EventType, ResumeMark, RunCreation};
use crate::domain::id::{HookToken, RunId};
use crate::domain::message::{Delivery, NewMessage, Purpose};
use crate::domain::payload::{Payload, StructuredError};
use crate::domain::resume_key::{ResumeDigests, ResumeKey};
use crate::domain::run::Run;
use crate::domain::step_resume::StepResume;
use crate::domain::transition::replay::Entry;
use crate::error::WorldError;
use crate::store::{
    CommitNews, EventReply, HookView, Outcome, RunView, StepView, StoppedMessage, StreamSlice,
};

/// The context to which a message and the error of its delivery are bound.
const QUEUE: &str = "queue";

/// Seals values on their way into a store, and opens them on their way out.
pub(super) struct AtRest {
    ring: Arc<KeyRing>,
    seals: Seals,
    token_seal: TokenSeal,
    tokens: TokensAtRest,
}

impl AtRest {
    pub(super) fn new(ring: Arc<KeyRing>, token_seal: TokenSeal, tokens: TokensAtRest) -> Self {
        Self { seals: Seals::new(&ring), ring, token_seal, tokens }
    }

    /// Seals an event of this run.
    pub(super) fn seal_event(
        &self,
        run_id: &RunId,
        request: EventRequest,
    ) -> Result<EventRequest, WorldError> {
        let event_type = request.body.event_type();
        let body = self.seal_body(request.body, run_id, request.payload.as_ref())?;
        Ok(EventRequest {
            body,
            run_id: Some(run_id.clone()),
            data: request.data.map(|data| self.seal_json(run_id, event_type, data)).transpose()?,
            payload: request.payload.map(|payload| self.seal_payload(run_id, payload)),
            resume: request.resume.map(|resume| self.seal_resume(resume)),
            ..request
        })
    }

    /// Seals an event that another World has logged by itself.
    ///
    /// # Errors
    /// As [`AtRest::seal_event`].
    pub(super) fn seal_entry(
        &self,
        run_id: &RunId,
        event_type: EventType,
        entry: Entry,
    ) -> Result<Entry, WorldError> {
        let data = entry.data.map(|data| self.seal_json(run_id, event_type, data));
        Ok(Entry {
            data: data.transpose()?,
            payload: entry.payload.map(|payload| self.seal_payload(run_id, payload)),
            ..entry
        })
    }

    /// Opens the error of a failed delivery.
    pub(super) fn open_queue_text(
        &self,
        text: Option<String>,
    ) -> Result<Option<String>, WorldError> {
        let Some(text) = text else { return Ok(None) };
        Ok(Some(self.seals.open_text(QUEUE, &text)?.unwrap_or(text)))
    }

    fn seal_body(
        &self,
        body: EventBody,
        run_id: &RunId,
        payload: Option<&Payload>,
    ) -> Result<EventBody, WorldError> {
        let keyed = |creation: RunCreation| {
            let input = payload.map_or(&[][..], Payload::as_bytes);
            let key = self.ring.key_of_input(run_id, input)?;
            Ok::<_, WorldError>(RunCreation {
                encryption_key_id: Some(key.id().to_owned()),
                attributes: self.seal_attributes(run_id, creation.attributes),
                ..creation
            })
        };
        Ok(match body {
            EventBody::RunCreated(creation) => EventBody::RunCreated(keyed(creation)?),
            EventBody::RunStarted(Some(creation)) => EventBody::RunStarted(Some(keyed(creation)?)),
            EventBody::RunFailed(error) => EventBody::RunFailed(self.seal_error(run_id, error)),
            EventBody::StepFailed { step, error } => {
                EventBody::StepFailed { step, error: self.seal_error(run_id, error) }
            }
            EventBody::StepRetrying { step, error, retry_after_ms } => {
                let error = self.seal_error(run_id, error);
                EventBody::StepRetrying { step, error, retry_after_ms }
            }
            EventBody::HookCreated { hook, token, options } => {
                EventBody::HookCreated { hook, token: self.seal_token(token), options }
            }
            EventBody::HookReceived { hook, token } => {
                EventBody::HookReceived { hook, token: token.map(|token| self.seal_token(token)) }
            }
            EventBody::AttrSet { id, changes } => {
                EventBody::AttrSet { id, changes: self.seal_attributes(run_id, changes) }
            }
            other => other,
        })
    }

    /// A reader of the file could guess a payload from a plain digest.
    fn seal_resume(&self, resume: ResumeMark) -> ResumeMark {
        if let Some(StepResume { place, payload, nth }) = StepResume::of(&resume) {
            let (place, payload) =
                (self.seal_place(&place), self.token_seal.keyed_digest(&payload));
            return StepResume { place, payload, nth }.mark();
        }
        let digest = resume.payload_digest.map(|digest| self.token_seal.keyed_digest(&digest));
        ResumeMark { payload_digest: digest, ..resume }
    }

    /// The place of a resume by a step is a digest too, and a token may be guessed.
    pub(super) fn seal_place(&self, place: &str) -> String {
        self.token_seal.keyed_digest(place)
    }

    /// Keys stay plain, because the rules count and merge by them, and so does the value that the
    /// rules read.
    fn seal_attributes(&self, run_id: &RunId, changes: AttributeChanges) -> AttributeChanges {
        let seal = |change: AttributeChange| match change {
            AttributeChange { key, value: Some(value) } if key != RETENTION => {
                let text = self.seals.seal_text(run_id.as_str(), &value.text);
                AttributeChange { key, value: Some(AttributeValue { text, ..value }) }
            }
            other => other,
        };
        AttributeChanges { changes: changes.changes.into_iter().map(seal).collect(), ..changes }
    }

    fn open_attributes(
        &self,
        run_id: &RunId,
        attributes: Attributes,
    ) -> Result<Attributes, WorldError> {
        let open = |(key, text): (String, String)| {
            let opened = self.seals.open_text(run_id.as_str(), &text)?;
            Ok((key, opened.unwrap_or(text)))
        };
        attributes.into_iter().map(open).collect()
    }

    /// The only secret in a hook's events is its token. The rest stays readable for the inner store.
    fn seal_json(
        &self,
        run_id: &RunId,
        event_type: EventType,
        data: String,
    ) -> Result<String, WorldError> {
        match event_type {
            EventType::HookCreated | EventType::HookReceived | EventType::HookConflict => {
                with_token(&data, |token| self.seal_token(HookToken::new(token)))
                    .ok_or_else(token_not_found)
            }
            // The column requires a JSON document, so the sealed text is a JSON string instead of an
            // object.
            _ => Ok(format!("\"{}\"", self.seals.seal_text(run_id.as_str(), &data))),
        }
    }

    /// A token as it is stored and looked up. It also finds a hook that was created under the other
    /// setting.
    pub(super) fn seal_token(&self, token: HookToken) -> HookToken {
        let sealed = self.token_seal.seal(token.expose());
        match self.tokens {
            _ if self.token_seal.is_sealed(token.expose()) => token.only_sealed_as(sealed),
            TokensAtRest::Plain => token.or_sealed_as(sealed),
            TokensAtRest::Sealed => token.sealed_as(sealed),
        }
    }

    /// Opens a stored token.
    pub(super) fn open_token(&self, stored: &HookToken) -> HookToken {
        self.token_seal.open(stored.expose())
    }

    fn seal_payload(&self, run_id: &RunId, payload: Payload) -> Payload {
        match payload {
            Payload::Bytes(bytes) if is_encrypted_by_sdk(&bytes) => Payload::Bytes(bytes),
            Payload::Bytes(bytes) => {
                Payload::Bytes(self.seals.seal(run_id.as_str(), SealedKind::Bytes, &bytes))
            }
            Payload::Json(text) => {
                let text = text.as_bytes();
                Payload::Bytes(self.seals.seal(run_id.as_str(), SealedKind::Text, text))
            }
        }
    }

    fn open_payload(
        &self,
        run_id: &RunId,
        payload: Option<Payload>,
    ) -> Result<Option<Payload>, WorldError> {
        let Some(Payload::Bytes(bytes)) = payload else { return Ok(payload) };
        Ok(Some(match self.seals.open(run_id.as_str(), &bytes)? {
            None => Payload::Bytes(bytes),
            Some((SealedKind::Bytes, bytes)) => Payload::Bytes(bytes),
            Some((SealedKind::Text, bytes)) => {
                Payload::Json(String::from_utf8_lossy(&bytes).into_owned())
            }
        }))
    }

    /// The code stays plain: it is from a closed list of the SDK.
    fn seal_error(&self, run_id: &RunId, error: StructuredError) -> StructuredError {
        let code = error.code.clone();
        let secret = StructuredError { code: None, ..error };
        // Serialising a struct of strings cannot fail.
        let text = serde_json::to_string(&secret).unwrap_or_default();
        let message = self.seals.seal_text(run_id.as_str(), &text);
        StructuredError { message, stack: None, code }
    }

    fn open_error(
        &self,
        run_id: &RunId,
        error: Option<StructuredError>,
    ) -> Result<Option<StructuredError>, WorldError> {
        let Some(error) = error else { return Ok(None) };
        let opened = self.seals.open_text(run_id.as_str(), &error.message)?;
        let secret = opened.and_then(|text| serde_json::from_str::<StructuredError>(&text).ok());
        Ok(Some(match secret {
            Some(secret) => StructuredError { code: error.code, ..secret },
            None => error,
        }))
    }

    pub(super) fn open_event(&self, event: Event) -> Result<Event, WorldError> {
        let data = match event.data {
            Some(data) => Some(self.open_json(&event.run_id, event.event_type, data)?),
            None => None,
        };
        let payload = self.open_payload(&event.run_id, event.payload)?;
        Ok(Event { data, payload, ..event })
    }

    fn open_json(
        &self,
        run_id: &RunId,
        event_type: EventType,
        data: String,
    ) -> Result<String, WorldError> {
        if let Some(text) = data.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
            && let Some(opened) = self.seals.open_text(run_id.as_str(), text)?
        {
            return Ok(opened);
        }
        match event_type {
            EventType::HookCreated | EventType::HookReceived | EventType::HookConflict => {
                // An unreadable text was stored before there was a key ring, so it is not sealed.
                let opened = with_token(&data, |stored| self.token_seal.open(stored));
                Ok(opened.unwrap_or(data))
            }
            _ => Ok(data),
        }
    }

    /// Seals the digests too: a reader of the file could guess the sender's key or payload from plain
    /// digests.
    pub(super) fn seal_resume_key(&self, key: ResumeKey) -> ResumeKey {
        let digests = ResumeDigests {
            key: self.token_seal.keyed_digest(&key.digests.key),
            payload: self.token_seal.keyed_digest(&key.digests.payload),
        };
        let token = self.seal_token(key.token);
        ResumeKey { token, digests, unsealed: Some(key.digests), ..key }
    }

    pub(super) fn open_news(&self, news: &CommitNews) -> CommitNews {
        let open = |token: &HookToken| self.token_seal.open(token.expose());
        CommitNews { hooks: news.hooks.iter().map(open).collect(), ..news.clone() }
    }

    pub(super) fn open_run(&self, run: Run) -> Result<Run, WorldError> {
        let error = self.open_error(&run.run_id, run.error)?;
        let attributes = self.open_attributes(&run.run_id, run.attributes)?;
        Ok(Run { error, attributes, ..run })
    }

    pub(super) fn open_run_view(&self, view: RunView) -> Result<RunView, WorldError> {
        let run_id = &view.run.run_id;
        let input = self.open_payload(run_id, view.input)?;
        let output = self.open_payload(run_id, view.output)?;
        let error = self.open_payload(run_id, view.error)?;
        Ok(RunView { run: self.open_run(view.run)?, input, output, error })
    }

    pub(super) fn open_step(&self, view: StepView) -> Result<StepView, WorldError> {
        let mut step = view.step;
        step.error = self.open_error(&step.run_id, step.error)?;
        let input = self.open_payload(&step.run_id, view.input)?;
        let output = self.open_payload(&step.run_id, view.output)?;
        let error = self.open_payload(&step.run_id, view.error)?;
        Ok(StepView { step, input, output, error })
    }

    pub(super) fn open_hook(&self, view: HookView) -> Result<HookView, WorldError> {
        let mut hook = view.hook;
        hook.token = self.open_token(&hook.token);
        let metadata = self.open_payload(&hook.run_id, view.metadata)?;
        Ok(HookView { hook, metadata })
    }

    pub(super) fn open_event_reply(&self, reply: EventReply) -> Result<EventReply, WorldError> {
        let events =
            reply.events.map(|page| super::open_page(page, |event| self.open_event(event)));
        Ok(EventReply {
            event: reply.event.map(|event| self.open_event(event)).transpose()?,
            run: reply.run.map(|view| self.open_run_view(view)).transpose()?,
            step: reply.step.map(|view| self.open_step(view)).transpose()?,
            hook: reply.hook.map(|view| self.open_hook(view)).transpose()?,
            events: events.transpose()?,
            ..reply
        })
    }

    /// The secret of deliveries: derived from the stored secret and from the ring.
    pub(super) fn delivery_secret(&self, stored: &DeliverySecret) -> DeliverySecret {
        self.token_seal.delivery_secret(stored)
    }

    /// Seals a message, except for a wake-up: it carries only ids, and the store compares pending ones.
    pub(super) fn seal_message(&self, message: NewMessage) -> NewMessage {
        match message.purpose {
            Purpose::WakeUp(_) => message,
            Purpose::Start(_) | Purpose::Replay(_) | Purpose::Step { .. } | Purpose::Other => {
                let body = self.seals.seal(QUEUE, SealedKind::Bytes, &message.body);
                NewMessage { body, ..message }
            }
        }
    }

    pub(super) fn open_delivery(&self, delivery: Delivery) -> Result<Delivery, WorldError> {
        let opened = self.seals.open(QUEUE, &delivery.body)?;
        Ok(match opened {
            Some((_, body)) => Delivery { body, ..delivery },
            None => delivery,
        })
    }

    /// A handler's error may quote its input.
    pub(super) fn seal_outcome(&self, outcome: Outcome) -> Outcome {
        let seal = |error: &str| self.seals.seal_text(QUEUE, error);
        match outcome {
            Outcome::Release { delay_ms, error, reached } => {
                Outcome::Release { delay_ms, error: seal(&error), reached }
            }
            Outcome::Dead { error } => Outcome::Dead { error: seal(&error) },
            Outcome::Refuse { error } => Outcome::Refuse { error: seal(&error) },
            other => other,
        }
    }

    pub(super) fn open_stopped(
        &self,
        stopped: StoppedMessage,
    ) -> Result<StoppedMessage, WorldError> {
        let Some(text) = &stopped.error else { return Ok(stopped) };
        match self.seals.open_text(QUEUE, text)? {
            Some(error) => Ok(StoppedMessage { error: Some(error), ..stopped }),
            None => Ok(stopped),
        }
    }

    pub(super) fn seal_chunks(&self, stream: &str, chunks: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let context = stream_context(stream);
        chunks.iter().map(|chunk| self.seals.seal(&context, SealedKind::Bytes, chunk)).collect()
    }

    pub(super) fn open_slice(
        &self,
        stream: &str,
        slice: StreamSlice,
    ) -> Result<StreamSlice, WorldError> {
        let context = stream_context(stream);
        let open = |chunk: Vec<u8>| {
            let opened = self.seals.open(&context, &chunk)?;
            Ok::<_, WorldError>(opened.map_or(chunk, |(_, bytes)| bytes))
        };
        let chunks = slice.chunks.into_iter().map(open).collect::<Result<_, _>>()?;
        Ok(StreamSlice { chunks, ..slice })
    }
}

fn stream_context(stream: &str) -> String {
    format!("stream {stream}")
}

/// An event's JSON with its token replaced; `None` if it is no object or its token is no string.
fn with_token(json: &str, replace: impl FnOnce(&str) -> HookToken) -> Option<String> {
    let mut fields: Map<String, Value> = serde_json::from_str(json).ok()?;
    let Some(token) = fields.get_mut("token") else { return Some(json.to_owned()) };
    *token = replace(token.as_str()?).expose().into();
    Some(Value::Object(fields).to_string())
}

fn token_not_found() -> WorldError {
    WorldError::invalid(
        "the data of a hook's event cannot be sealed, so nothing was written: it must be a JSON \
         object, nested no deeper than 127 levels, and its token must be a string",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_replaced_wherever_it_can_be_read_and_nothing_else_is_taken_for_done() {
        let replaced = |json: &str| with_token(json, |_| HookToken::new("sealed"));
        assert_eq!(replaced(r#"{"token":"secret"}"#).as_deref(), Some(r#"{"token":"sealed"}"#));
        assert_eq!(replaced(r#"{"a":1}"#).as_deref(), Some(r#"{"a":1}"#));
        let deep = format!(r#"{{"token":"secret","a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        for odd in [&deep, r#"{"token":"secret""#, r#"["secret"]"#, r#""secret""#, r#"{"token":5}"#]
        {
            assert_eq!(replaced(odd), None);
        }
    }
}
