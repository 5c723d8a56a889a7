//! What a delivery writes holds only as long as its lease does.
//!
//! A process may be paused for longer than its leases last: stopped by a signal, or with its virtual
//! machine. When it goes on, it does not know that somebody else has delivered the message since.

use super::event::EventType;
use super::id::{LeaseToken, MessageId};
use super::message::Purpose;

/// The delivery that a write belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The message that is being delivered.
    pub message_id: MessageId,
    /// The lease that the delivery has.
    pub lease_token: LeaseToken,
}

impl EventType {
    /// Whether only the delivery of a message may write this event: a replay, or the delivery of a
    /// step. The others anybody may write, and so may the code of a step on its own account.
    ///
    /// A `wait_completed` is also written by who cuts a sleep short. The SDK's own `wakeUpRun` (of
    /// `workflow/api`) appends it as any other event, so within a delivery of that run it is fenced;
    /// hookline's own `Run.wakeUp` completes waits by another way, which carries no fence.
    pub fn is_of_delivery(self) -> bool {
        match self {
            EventType::RunCreated | EventType::RunCancelled | EventType::HookReceived => false,
            EventType::RunStarted
            | EventType::RunCompleted
            | EventType::RunFailed
            | EventType::StepCreated
            | EventType::StepStarted
            | EventType::StepCompleted
            | EventType::StepFailed
            | EventType::StepRetrying
            | EventType::HookCreated
            | EventType::HookDisposed
            | EventType::HookConflict
            | EventType::WaitCreated
            | EventType::WaitCompleted => true,
        }
    }
}

impl Purpose {
    /// The same for messages. A wake-up only asks for a replay, which anybody may ask for: it costs
    /// little when it was not needed, and a run that is not woken costs all.
    pub fn is_of_delivery(&self) -> bool {
        !matches!(self, Purpose::WakeUp(_))
    }
}
