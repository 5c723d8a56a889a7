//! The deliveries of this process that are not settled. Their leases are extended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::pulse::Pulse;
use crate::domain::id::{LeaseToken, MessageId};
use crate::store::Outcome;

/// The deliveries in flight, on the dispatcher's thread.
pub(super) struct InFlight {
    held: RefCell<HashMap<MessageId, Held>>,
    pulse: Arc<Pulse>,
}

/// One delivery.
pub(super) struct Held {
    pub(super) lease_token: LeaseToken,
    /// Its outcome, until the queue has it.
    pub(super) ended: Option<Outcome>,
}

impl InFlight {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        Self { held: RefCell::default(), pulse }
    }

    pub(super) fn len(&self) -> usize {
        self.held.borrow().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.borrow().is_empty()
    }

    /// Adds a delivery.
    pub(super) fn begin(&self, message_id: MessageId, lease_token: LeaseToken) {
        let held = Held { lease_token: lease_token.clone(), ended: None };
        let earlier = self.held.borrow_mut().insert(message_id, held);
        debug_assert!(
            earlier.is_none_or(|earlier| earlier.lease_token != lease_token),
            "a lease is given once"
        );
        self.pulse.in_flight(self.len());
    }

    /// Notes the handler's outcome, which the queue still has to get.
    pub(super) fn ended(&self, message_id: MessageId, lease_token: &LeaseToken, outcome: &Outcome) {
        // Another token belongs to a later delivery of the same message.
        if let Some(held) = self.held.borrow_mut().get_mut(&message_id)
            && held.lease_token == *lease_token
        {
            held.ended = Some(outcome.clone());
        }
    }

    /// Removes a delivery that is settled or will not be.
    pub(super) fn settled(&self, message_id: MessageId, lease_token: &LeaseToken) {
        self.held
            .borrow_mut()
            .retain(|id, held| *id != message_id || held.lease_token != *lease_token);
        self.pulse.in_flight(self.len());
    }

    /// The leases to extend.
    pub(super) fn leases(&self) -> Vec<(MessageId, LeaseToken)> {
        let held = self.held.borrow();
        held.iter().map(|(id, held)| (*id, held.lease_token.clone())).collect()
    }

    /// Removes and returns all deliveries.
    pub(super) fn take(&self) -> HashMap<MessageId, Held> {
        self.held.take()
    }
}
