//! Telling the queue how a delivery has ended, as long as it takes.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::asking::ask;
use super::dispatcher::Delivering;
use super::in_flight::{Held, InFlight};
use super::pulse::Duty;
use crate::domain::id::{LeaseToken, MessageId};
use crate::error::{ErrorKind, WorldError};
use crate::store::Outcome;

/// When the end of a delivery that could not be written is written again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The same, when it has failed for long.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(AGAIN_AFTER.as_millis() < AGAIN_AFTER_MAX.as_millis(), "the pauses grow");

/// Settles what is in flight, on the dispatcher's thread.
pub(super) struct Settling {
    delivering: Rc<Delivering>,
    in_flight: Rc<InFlight>,
}

impl Settling {
    pub(super) fn new(delivering: Rc<Delivering>, in_flight: Rc<InFlight>) -> Self {
        Self { delivering, in_flight }
    }

    /// Settles one delivery. While the store fails, the message stays in flight, so that its lease is
    /// extended and nobody is given what is done already. A lost lease changes nothing: the message is
    /// delivered again by whoever holds it then.
    pub(super) async fn settle(
        &self,
        message_id: MessageId,
        lease_token: LeaseToken,
        outcome: Outcome,
    ) {
        self.in_flight.ended(message_id, &lease_token, &outcome);
        let mut pause = AGAIN_AFTER;
        loop {
            let end = self.write(message_id, lease_token.clone(), outcome.clone()).await;
            match self.delivering.noted(Duty::Settle, end) {
                Ok(held) => {
                    if !held {
                        self.delivering.pulse.lease_lost();
                    }
                    return;
                }
                // It fails for ever.
                Err(error) if error.is_final || error.kind == ErrorKind::Closed => return,
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
        }
    }

    /// Gives back what is still in flight, and settles what has ended.
    pub(super) async fn give_back(&self) {
        // All at once: where a lock is held, they wait for it together.
        let release = |(message_id, Held { lease_token, ended }): (MessageId, Held)| {
            let error = "the process closed during the delivery".to_owned();
            let release = Outcome::Release { delay_ms: 0, error, reached: true };
            self.write(message_id, lease_token, ended.unwrap_or(release))
        };
        let ends: Vec<_> = self.in_flight.take().into_iter().map(release).collect();
        for end in ends {
            // What fails now is freed with the other leases of this process when it has ended.
            drop(self.delivering.noted(Duty::Settle, end.await));
        }
    }

    /// Whether the lease still held.
    fn write(
        &self,
        message_id: MessageId,
        lease_token: LeaseToken,
        outcome: Outcome,
    ) -> impl Future<Output = Result<bool, WorldError>> {
        let store = &self.delivering.store;
        ask(move |done| store.settle_delivery(message_id, lease_token, outcome, done))
    }
}
