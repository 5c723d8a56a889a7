//! Writes the outcome of a delivery to the queue, with retries.

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

/// The first delay before a failed write of an outcome is repeated.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The longest such delay, when the write has failed for long.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(2);

const _: () = assert!(AGAIN_AFTER.as_millis() < AGAIN_AFTER_MAX.as_millis(), "the pauses grow");

/// Settles the deliveries in flight, on the dispatcher's thread.
pub(super) struct Settling {
    delivering: Rc<Delivering>,
    in_flight: Rc<InFlight>,
}

impl Settling {
    pub(super) fn new(delivering: Rc<Delivering>, in_flight: Rc<InFlight>) -> Self {
        Self { delivering, in_flight }
    }

    /// Settles one delivery. While the store fails, the message stays in flight, so its lease is
    /// extended and the finished work is not delivered again. After a lost lease nothing is written:
    /// the new owner of the lease delivers the message again.
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
                // It would fail for ever.
                Err(error) if error.is_final || error.kind == ErrorKind::Closed => return,
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
        }
    }

    /// Settles deliveries that have ended, and releases the others in flight.
    pub(super) async fn give_back(&self) {
        // All at once: if the database is locked, they wait for the lock together.
        let release = |(message_id, Held { lease_token, ended }): (MessageId, Held)| {
            let error = "the process closed during the delivery".to_owned();
            let release = Outcome::Release { delay_ms: 0, error, reached: true };
            self.write(message_id, lease_token, ended.unwrap_or(release))
        };
        let ends: Vec<_> = self.in_flight.take().into_iter().map(release).collect();
        for end in ends {
            // If this fails, the lease is freed with this process's other leases after its end.
            drop(self.delivering.noted(Duty::Settle, end.await));
        }
    }

    /// Settles with whether the lease still existed.
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
