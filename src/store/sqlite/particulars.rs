//! What SQLite's store does in its own way within a transaction.

use rusqlite::Connection;

use super::owners::Owners;
use super::transaction::Tx;
use super::{claims, erasures, keys, leases, streams};
use crate::clock::Clock;
use crate::domain::fence::Fence;
use crate::domain::id::{LeaseToken, MessageId};
use crate::error::WorldError;
use crate::store::operation::{FreedLeases, Particulars, StreamName};
use crate::store::queue_time::QueueTime;
use crate::store::sealed::KeptKey;
use crate::store::{Admission, ClaimRequest, Claimed};

/// Which owners of leases are alive: by their locks, and by their silence.
pub(super) struct SqliteParticulars<'a> {
    pub(super) queue_time: &'a QueueTime,
    pub(super) clock: &'a dyn Clock,
    pub(super) owners: &'a Owners,
}

impl Particulars<Connection> for SqliteParticulars<'_> {
    fn claim(&self, tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Claimed, WorldError> {
        let lease_token = || tx.entropy.lease_token();
        let observed = claims::Observed { time: self.queue_time, clock: self.clock };
        Ok(claims::claim(tx.rows, request, lease_token, tx.now.queue_ms, observed)?)
    }

    fn extend(
        &self,
        tx: &mut Tx<'_>,
        leases: &[(MessageId, LeaseToken)],
        lease_ms: i64,
    ) -> Result<Vec<MessageId>, WorldError> {
        let expires_at_ms = tx.now.queue_ms + lease_ms;
        let mut lost = Vec::new();
        for (message_id, lease_token) in leases {
            if claims::extend(tx.rows, *message_id, lease_token, expires_at_ms)? {
                self.queue_time.lease_seen(*message_id, expires_at_ms, self.clock);
            } else {
                lost.push(*message_id);
            }
        }
        Ok(lost)
    }

    fn admit(&self, rows: &Connection, lease: &Fence) -> Result<Admission, WorldError> {
        Ok(leases::admit(rows, lease)?)
    }

    fn free_dead_leases(&self, tx: &mut Tx<'_>) -> Result<FreedLeases, WorldError> {
        let mut freed = FreedLeases::default();
        let leases = claims::all_leases(tx.rows)?;
        self.queue_time.leases_are(&leases, self.clock);
        for owner in leases::other_owners(tx.rows, self.owners.me())? {
            if self.owners.is_alive(&owner) {
                continue;
            }
            let deliveries = leases::deliveries_of(tx.rows, &owner)?;
            for delivery in &deliveries {
                tx.free_after_death(delivery)?;
            }
            freed.count += deliveries.len();
            freed.owners.push(owner);
        }
        tx.news.queue |= freed.count > 0;
        // The process that died may have been about to erase what it had dropped.
        tx.news.dropped |= erasures::pending(tx.rows)?.is_some();
        Ok(freed)
    }

    fn append_chunks(
        &self,
        rows: &Connection,
        stream: &StreamName,
        chunks: &[Vec<u8>],
        now_ms: i64,
    ) -> Result<(), WorldError> {
        streams::append(rows, &stream.name, &stream.run_id, chunks, now_ms)
    }

    fn close_stream(
        &self,
        rows: &Connection,
        stream: &StreamName,
        now_ms: i64,
    ) -> Result<(), WorldError> {
        streams::close(rows, &stream.name, &stream.run_id, now_ms)
    }

    fn keep_key(
        &self,
        rows: &Connection,
        key: &KeptKey,
        as_first: bool,
        now_ms: i64,
    ) -> Result<(), WorldError> {
        Ok(keys::insert(rows, key, as_first, now_ms)?)
    }
}
