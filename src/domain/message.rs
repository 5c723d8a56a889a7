//! Messages: what the queue stores and delivers.

use super::fence::Fence;
use super::id::{CorrelationId, LeaseToken, MessageId, RunId};
use super::queue::offer::Demand;
use super::retention::Keeping;
use super::run::Run;

/// The handler of the SDK that a queue name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueKind {
    /// Replays a run (the flow route).
    Workflow,
    /// Executes one step (the step route).
    Step,
}

impl QueueKind {
    /// The kind of `__wkf_workflow_x`, `__ns_wkf_step_x` and so on; `None` for anything else.
    pub fn of(queue_name: &str) -> Option<Self> {
        let rest = queue_name.strip_prefix("__")?;
        let rest = match rest.strip_prefix("wkf_") {
            Some(rest) => rest,
            None => {
                let (namespace, rest) = rest.split_once("_wkf_")?;
                let mut bytes = namespace.bytes();
                let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
                if !starts_well || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
                    return None;
                }
                rest
            }
        };
        let kinds = [("workflow_", Self::Workflow), ("step_", Self::Step)];
        kinds.into_iter().find_map(|(prefix, kind)| {
            rest.strip_prefix(prefix).filter(|name| !name.is_empty()).map(|_| kind)
        })
    }
}

/// What a message does to its run when it is delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Replays the run and carries nothing else. Pending messages of this kind coalesce.
    WakeUp(RunId),
    /// Replays the run, and carries the data that creates the run if its creation was lost. It is only
    /// a wake-up if the run exists.
    Start(RunId),
    /// Replays the run and carries other content, so it is never absorbed.
    Replay(RunId),
    /// Executes a step of the run, on line 5 also from the queue of replays. Whatever its handler does
    /// afterwards, it is no replay: it absorbs nothing and waits for nothing.
    Step {
        /// The run.
        run_id: RunId,
        /// The step.
        step_id: CorrelationId,
    },
    /// Replays nothing: a health check.
    #[default]
    Other,
}

impl Purpose {
    /// The run that the message belongs to.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Purpose::WakeUp(run_id) | Purpose::Start(run_id) | Purpose::Replay(run_id) => {
                Some(run_id)
            }
            Purpose::Step { run_id, .. } => Some(run_id),
            Purpose::Other => None,
        }
    }

    /// The step that the message executes.
    pub fn step(&self) -> Option<&CorrelationId> {
        match self {
            Purpose::Step { step_id, .. } => Some(step_id),
            _ => None,
        }
    }
}

/// A message on its way into the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// The queue, which selects the handler.
    pub queue_name: String,
    /// The effect of its delivery.
    pub purpose: Purpose,
    /// JSON, opaque to the engine.
    pub body: Vec<u8>,
    /// While the first message with a key is queued, a second message with that key is the first one.
    pub idempotency_key: Option<String>,
    /// JSON object of the caller's own headers, for delivery over HTTP.
    pub headers: Option<String>,
    /// What it says itself of the process that it needs; see [`Demand::of_message`].
    pub demand: Demand,
    /// How its body is stored.
    pub keeping: Keeping,
    /// The delivery that enqueues it; `None` if the message needs no lease.
    pub fence: Option<Fence>,
}

impl NewMessage {
    /// The lease without which the message may not be enqueued.
    pub fn needed_lease(&self) -> Option<&Fence> {
        self.fence.as_ref().filter(|_| self.purpose.is_of_delivery())
    }
}

/// A claimed message: one attempt to hand it to a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message. Every delivery of a message has the same id.
    pub message_id: MessageId,
    /// The queue, which selects the handler.
    pub queue_name: String,
    /// JSON, opaque to the engine.
    pub body: Vec<u8>,
    /// JSON object of the caller's own headers.
    pub headers: Option<String>,
    /// Counts from 1.
    pub attempt: i64,
    /// Proves this claim.
    pub lease_token: LeaseToken,
}

/// A lease of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The message.
    pub message_id: MessageId,
    /// The queue, which selects the handler.
    pub queue_name: String,
    /// The run that this delivery alone may replay; `None` where others may overlap it.
    pub run_id: Option<RunId>,
    /// Counts from 1.
    pub attempt: i64,
    /// Proves the claim.
    pub lease_token: LeaseToken,
}

/// A wake-up that the engine itself writes, in the transaction of the event that causes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeUp {
    /// The run.
    pub run_id: RunId,
    /// Its workflow, which names the queue.
    pub workflow_name: String,
    /// JSON object of the run. Its `traceCarrier`, if any, links the delivery to the run's trace.
    pub execution_context: Option<String>,
    /// What the run needs of the process that is woken.
    pub demand: Demand,
}

impl WakeUp {
    /// The wake-up of this run.
    pub fn of(run: &Run) -> Self {
        Self {
            run_id: run.run_id.clone(),
            workflow_name: run.workflow_name.clone(),
            execution_context: run.execution_context.clone(),
            demand: Demand::of(run),
        }
    }

    /// The message as the SDK itself would enqueue it.
    pub fn into_message(self, workflow_prefix: &str) -> NewMessage {
        NewMessage {
            queue_name: format!("{workflow_prefix}{}", self.workflow_name),
            body: self.body(),
            purpose: Purpose::WakeUp(self.run_id),
            demand: self.demand,
            ..NewMessage::default()
        }
    }

    /// The body of the message: the run and its trace.
    pub fn body(&self) -> Vec<u8> {
        #[derive(serde::Deserialize)]
        struct Context<'a> {
            #[serde(borrow, rename = "traceCarrier")]
            trace_carrier: Option<&'a serde_json::value::RawValue>,
        }
        #[derive(serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            run_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            trace_carrier: Option<&'a serde_json::value::RawValue>,
        }
        let context: Option<Context<'_>> =
            self.execution_context.as_deref().and_then(|json| serde_json::from_str(json).ok());
        let trace_carrier = context.and_then(|context| context.trace_carrier);
        let body = Body { run_id: self.run_id.as_str(), trace_carrier };
        // Serialising strings and checked JSON cannot fail.
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_name_tells_its_kind_with_and_without_namespace() {
        assert_eq!(QueueKind::of("__wkf_workflow_a"), Some(QueueKind::Workflow));
        assert_eq!(QueueKind::of("__wkf_step_a//b"), Some(QueueKind::Step));
        assert_eq!(QueueKind::of("__app1_wkf_step_a"), Some(QueueKind::Step));
        let foreign = [
            "",
            "__",
            "wkf_step_a",
            "__wkf_step_",
            "__wkf_other_a",
            "__1a_wkf_step_a",
            "___wkf_step_a",
        ];
        for name in foreign {
            assert_eq!(QueueKind::of(name), None, "{name}");
        }
    }
}
