//! What the SDK enqueues: read, answered from memory if an event has already written it, or stored.

use std::collections::HashMap;

use super::Engine;
use crate::domain::fence::Fence;
use crate::domain::id::MessageId;
use crate::domain::message::{NewMessage, Purpose};
use crate::domain::queue::offer::Demand;
use crate::error::WorldError;
use crate::queue::purpose::{self, Content};
use crate::store::{Completion, Enqueued};

/// A message as the SDK enqueues it.
#[derive(Debug, Clone, PartialEq)]
pub struct EnqueueRequest {
    /// The queue, which selects the handler.
    pub queue_name: String,
    /// JSON.
    pub body: Vec<u8>,
    /// See [`NewMessage::idempotency_key`].
    pub idempotency_key: Option<String>,
    /// The caller's own headers, for delivery over HTTP.
    pub headers: Option<HashMap<String, String>>,
    /// From now.
    pub delay_ms: i64,
    /// The release that is to deliver it, where it has no run that says so.
    pub deployment_id: Option<String>,
    /// See [`NewMessage::fence`].
    pub fence: Option<Fence>,
}

impl EnqueueRequest {
    /// The message, and its delay in milliseconds.
    fn into_message(self) -> Result<(NewMessage, i64), WorldError> {
        let Content { purpose, demand, keeping } = purpose::of(&self.queue_name, &self.body)?;
        let message = NewMessage {
            queue_name: self.queue_name,
            purpose,
            body: self.body,
            idempotency_key: self.idempotency_key,
            headers: self.headers.map(|headers| serde_json::json!(headers).to_string()),
            demand: Demand {
                deployment_id: self.deployment_id.unwrap_or(demand.deployment_id),
                ..demand
            },
            keeping,
            fence: self.fence,
        };
        Ok((message, self.delay_ms))
    }
}

impl Engine {
    /// Puts a message into the queue. Settles with the id of the message that will be delivered.
    pub fn enqueue(&self, request: EnqueueRequest, done: Completion<MessageId>) {
        let (message, delay_ms) = match request.into_message() {
            Ok(message) => message,
            Err(error) => return done.settle(Err(error)),
        };
        match self.written_before(&message, delay_ms) {
            Some(message_id) => done.settle(Ok(message_id)),
            None => self.store.enqueue(message, delay_ms, done),
        }
    }

    /// Puts messages into the queue, in one commit. Settles with the outcome of each, in their order.
    pub fn enqueue_all(&self, requests: Vec<EnqueueRequest>, done: Completion<Vec<Enqueued>>) {
        let mut known = Vec::with_capacity(requests.len());
        let mut to_store = Vec::new();
        for request in requests {
            known.push(match request.into_message() {
                Err(error) => Some(Err(error)),
                Ok((message, delay_ms)) => match self.written_before(&message, delay_ms) {
                    Some(message_id) => Some(Ok(message_id)),
                    None => {
                        to_store.push((message, delay_ms));
                        None
                    }
                },
            });
        }
        let merged = move |stored: Result<Vec<Enqueued>, WorldError>| {
            done.settle(stored.map(|stored| {
                let mut stored = stored.into_iter();
                known.into_iter().filter_map(|outcome| outcome.or_else(|| stored.next())).collect()
            }));
        };
        self.store.enqueue_all(to_store, Completion::new(merged));
    }

    /// The message that an event has written, if this one is the SDK's second call for it.
    fn written_before(&self, message: &NewMessage, delay_ms: i64) -> Option<MessageId> {
        // Line 5 gives the wake-up of a resume a key, so that it may repeat the call.
        match &message.purpose {
            Purpose::WakeUp(run_id) if delay_ms == 0 => {
                self.wake_credits.take(run_id, self.clock.now_ms())
            }
            _ => None,
        }
    }
}
