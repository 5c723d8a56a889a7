//! Fences: a delivery may write only while it has its lease.
//!
//! A signal or a paused virtual machine may stop a process for longer than its leases last. When the
//! process continues, it does not know that another worker has delivered the message since.

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
    /// Whether only a delivery may write this event: a replay, or the delivery of a step. Anybody may
    /// write the other events, including the code of a step.
    ///
    /// Code that cuts a sleep short also writes `wait_completed`. The SDK's own `wakeUpRun` (of
    /// `workflow/api`) appends it like any other event, so it is fenced within a delivery of that run.
    /// Hookline's `Run.wakeUp` completes waits in another way, without a fence.
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
            | EventType::WaitCompleted
            | EventType::AttrSet
            | EventType::Noop => true,
        }
    }
}

impl Purpose {
    /// Whether only a delivery may enqueue this message. Anybody may ask for a replay by a wake-up: an
    /// unneeded wake-up costs little, but a lost one leaves the run asleep.
    pub fn is_of_delivery(&self) -> bool {
        !matches!(self, Purpose::WakeUp(_))
    }
}
