//! Admits deliveries over HTTP to this process, or refuses them.
//!
//! The store ensures that each lease is admitted only once, in any process. It cannot know which
//! handlers still run here for an earlier lease: a proxy may give up a request whose handler continues,
//! so the message is delivered again meanwhile.

use std::sync::{Arc, Mutex, OnceLock};

use crate::crypto::{DeliverySecret, ProvenDelivery};
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::{Delivery, Lease};
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::{Admission, Completion, Store};

/// The delivery that a request over HTTP claims to be.
pub struct ClaimedDelivery {
    /// The message's id.
    pub message_id: String,
    /// The message's queue.
    pub queue_name: String,
    /// The attempt, counted from 1.
    pub attempt: i64,
    /// The proof of the request.
    pub proof: String,
}

/// The decision about a request over HTTP.
pub enum AdmittedDelivery {
    /// Its handler may run. The caller calls [`Admissions::end`] at its end.
    Enters(Delivery),
    /// Its handler already runs, and continues under this lease.
    Joins(LeaseToken),
    /// An earlier replay of its run still runs.
    Waits,
    /// It was admitted before.
    Repeated,
    /// It does not come from the holder of a live lease.
    NotLive,
}

/// Admits deliveries.
pub struct Admissions {
    store: Arc<dyn Store>,
    at_work: AtWork,
    secret: OnceLock<DeliverySecret>,
}

impl Admissions {
    /// The admissions for the messages of this store.
    pub fn of(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { store, at_work: AtWork::default(), secret: OnceLock::new() })
    }

    /// The secret that proves that this process has the database. After the first read it is available
    /// even if the database has been closed, because a handler may end later.
    ///
    /// # Errors
    /// Storage faults.
    pub fn secret(&self) -> Result<&DeliverySecret, WorldError> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret);
        }
        let secret = self.store.delivery_secret()?;
        Ok(self.secret.get_or_init(|| secret))
    }

    /// Admits the delivery that a request claims to be, unless it has no live lease, was admitted
    /// before, or has to wait.
    ///
    /// # Errors
    /// Settles with storage faults.
    pub fn admit(self: &Arc<Self>, claimed: &ClaimedDelivery, done: Completion<AdmittedDelivery>) {
        let lease = match self.lease_of(claimed) {
            Ok(Some(lease)) => lease,
            Ok(None) => return done.settle(Ok(AdmittedDelivery::NotLive)),
            Err(error) => return done.settle(Err(error)),
        };
        let joins = match self.at_work.enter(&lease) {
            Entry::Waits => return done.settle(Ok(AdmittedDelivery::Waits)),
            Entry::Enters => None,
            Entry::Joins => Some(lease.lease_token.clone()),
        };
        let (admissions, message_id) = (Arc::clone(self), lease.message_id);
        let told = Completion::new(move |admission: Result<Admission, WorldError>| {
            if joins.is_none() && !matches!(admission, Ok(Admission::Admitted(_))) {
                admissions.at_work.end(message_id);
            }
            done.settle(admission.map(|admission| match (admission, joins) {
                (Admission::LeaseLost, _) => AdmittedDelivery::NotLive,
                (Admission::Admitted(_) | Admission::Repeated, Some(lease_token)) => {
                    AdmittedDelivery::Joins(lease_token)
                }
                (Admission::Admitted(delivery), None) => AdmittedDelivery::Enters(delivery),
                (Admission::Repeated, None) => AdmittedDelivery::Repeated,
            }));
        });
        // A delivery that joins is admitted too, so that it cannot run elsewhere.
        self.store.admit(message_id, lease.lease_token, told);
    }

    /// The lease whose holder made this request.
    fn lease_of(&self, claimed: &ClaimedDelivery) -> Result<Option<Lease>, WorldError> {
        let Some(id) = MessageId::parse(&claimed.message_id) else { return Ok(None) };
        let Some(lease) = self.store.lease(id)? else { return Ok(None) };
        let delivery = ProvenDelivery {
            message_id: id,
            queue_name: &claimed.queue_name,
            attempt: claimed.attempt,
            lease_token: &lease.lease_token,
        };
        Ok(self.secret()?.is_request(&delivery, &claimed.proof).then_some(lease))
    }

    /// Notes that the handler of an admitted delivery has ended.
    pub fn end(&self, message_id: &str) {
        if let Some(id) = MessageId::parse(message_id) {
            self.at_work.end(id);
        }
    }
}

/// The decision about a delivery with a live lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// Nothing prevents it.
    Enters,
    /// Its step still runs for an earlier lease, and continues with this one.
    Joins,
    /// An earlier replay of its run is still running. That replay may have read the log before the
    /// events that this one must see, so it cannot replace this one.
    Waits,
}

/// The deliveries at work: one for each running handler, so there are few.
#[derive(Default)]
struct AtWork(Mutex<Vec<Work>>);

struct Work {
    message_id: MessageId,
    replayed: Option<RunId>,
}

impl AtWork {
    fn enter(&self, lease: &Lease) -> Entry {
        let mut at_work = lock(&self.0);
        let is_same = |work: &&Work| match (&work.replayed, &lease.run_id) {
            (Some(replayed), Some(run_id)) => replayed == run_id,
            _ => work.message_id == lease.message_id,
        };
        match at_work.iter().find(is_same) {
            Some(Work { replayed: Some(_), .. }) => Entry::Waits,
            Some(_) => Entry::Joins,
            None => {
                let (message_id, replayed) = (lease.message_id, lease.run_id.clone());
                at_work.push(Work { message_id, replayed });
                Entry::Enters
            }
        }
    }

    fn end(&self, message_id: MessageId) {
        lock(&self.0).retain(|work| work.message_id != message_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::LeaseToken;

    fn lease(number: i64, lease: &str, run_id: Option<&str>) -> Lease {
        Lease {
            message_id: MessageId::from_number(number),
            queue_name: "__wkf_step_s".into(),
            run_id: run_id.map(RunId::new),
            attempt: 1,
            lease_token: LeaseToken::new(lease),
        }
    }

    fn step(number: i64, token: &str) -> Lease {
        lease(number, token, None)
    }

    fn replay(number: i64, token: &str) -> Lease {
        lease(number, token, Some("wrun_1"))
    }

    #[test]
    fn a_step_that_is_delivered_again_joins_its_handler_until_that_has_ended() {
        let at_work = AtWork::default();
        assert_eq!(at_work.enter(&step(1, "a")), Entry::Enters);
        assert_eq!(at_work.enter(&step(1, "b")), Entry::Joins);
        assert_eq!(at_work.enter(&step(2, "c")), Entry::Enters);
        at_work.end(MessageId::from_number(1));
        assert_eq!(at_work.enter(&step(1, "d")), Entry::Enters);
    }

    #[test]
    fn a_run_is_replayed_by_one_delivery_at_a_time() {
        let at_work = AtWork::default();
        assert_eq!(at_work.enter(&replay(1, "a")), Entry::Enters);
        assert_eq!(at_work.enter(&replay(2, "b")), Entry::Waits);
        assert_eq!(at_work.enter(&replay(1, "c")), Entry::Waits);
        at_work.end(MessageId::from_number(1));
        assert_eq!(at_work.enter(&replay(2, "b")), Entry::Enters);
    }
}
