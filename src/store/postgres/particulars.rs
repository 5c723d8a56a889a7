//! What Postgres's store does in its own way within a transaction.

use std::collections::HashMap;
use std::sync::Mutex;

use super::batch::{Batch, Tx};
use super::claims::Lanes;
use super::cleaning::Cleaning;
use super::doubt::Witness;
use super::leases::HeldLease;
use super::owners::{Absent, Sign};
use super::{claims, keys, leases, owners, streams};
use crate::clock::Clock;
use crate::domain::fence::Fence;
use crate::domain::id::{LeaseToken, MessageId};
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::operation::{FreedLeases, Particulars, StreamName};
use crate::store::queue_time::QueueTime;
use crate::store::sealed::KeptKey;
use crate::store::{Admission, ClaimRequest, Claimed};

/// For how long the lock of a worker must have been free before it counts as dead: its connection may
/// have broken.
const LOCK_FREE_MS: i64 = 3000;
/// The same for a worker whose server has restarted or failed since. It tries to connect to each of its
/// hosts for some seconds.
const SERVER_CHANGED_MS: i64 = 15_000;

/// The workers whose lock is free, each with the time since when. One that has come back and gone again
/// between two looks is absent anew.
#[derive(Default)]
pub(super) struct Suspects(Mutex<HashMap<Absent, i64>>);

impl Suspects {
    /// The dead ones among the workers with these signs.
    fn dead(&self, signs: Vec<(Absent, Sign)>, elapsed_ms: i64) -> Vec<String> {
        let mut since = lock(&self.0);
        since.retain(|absent, _| signs.iter().any(|(other, _)| other == absent));
        let is_dead = |(absent, sign): &(Absent, Sign)| {
            let since_ms = *since.entry(absent.clone()).or_insert(elapsed_ms);
            elapsed_ms - since_ms
                >= match sign {
                    Sign::Ended => 0,
                    Sign::LockFree => LOCK_FREE_MS,
                    Sign::ServerChanged => SERVER_CHANGED_MS,
                }
        };
        signs.into_iter().filter(is_dead).map(|(absent, _)| absent.owner).collect()
    }
}

/// Which owners of leases are alive: by their locks, and by their silence.
pub(super) struct PostgresParticulars<'a> {
    pub(super) queue_time: &'a QueueTime,
    pub(super) clock: &'a dyn Clock,
    pub(super) suspects: &'a Suspects,
    pub(super) lanes: &'a Lanes,
    pub(super) cleaning: &'a Cleaning,
    pub(super) me: &'a str,
}

impl PostgresParticulars<'_> {
    /// Frees expired leases whose owners are silent; returns whether there are any.
    fn free_expired(&self, tx: &Tx<'_>, expired: &[HeldLease]) -> Result<bool, WorldError> {
        let mut frees = false;
        for lease in expired {
            let id = lease.fence.message_id;
            if self.queue_time.is_silent(id, lease.expires_at_ms, self.clock) {
                tx.rows.change_message(id, leases::free(id))?;
                frees = true;
            }
        }
        Ok(frees)
    }
}

impl Particulars<Batch> for PostgresParticulars<'_> {
    fn claim(&self, tx: &mut Tx<'_>, request: &ClaimRequest) -> Result<Claimed, WorldError> {
        let now_ms = tx.now.queue_ms;
        let look = || tx.rows.load(claims::look(tx.rows.db(), request, self.lanes, now_ms));
        let earlier = tx.rows.take_look().filter(|look| look.is_still_true(now_ms));
        let mut found = earlier.map_or_else(look, Ok)?;
        if self.free_expired(tx, &found.expired)? {
            found = look()?;
        }
        if let Some(release) = request.offer.release.as_deref().filter(|id| !found.is_here(id)) {
            tx.rows.release_is_here(release, tx.now.ms);
        }
        let lease_token = || tx.entropy.lease_token();
        let claim = claims::claim(tx.rows.db(), request, lease_token, found, now_ms);
        let (claimed, writes) = tx.rows.load(claim)?;
        tx.rows.lease(&claimed, writes);
        if let Some(first) = claimed.deliveries.first() {
            tx.rows.witness(Witness::lease(first));
        }
        for (id, expires_at_ms) in claims::ends(&claimed, request.lease_ms) {
            self.queue_time.lease_seen(id, expires_at_ms, self.clock);
        }
        self.cleaning.delivered(claimed.deliveries.len());
        Ok(claimed)
    }

    fn extend(
        &self,
        tx: &mut Tx<'_>,
        leases: &[(MessageId, LeaseToken)],
        lease_ms: i64,
    ) -> Result<Vec<MessageId>, WorldError> {
        let expires_at_ms = tx.now.queue_ms + lease_ms;
        let held = tx.rows.load(leases::extend(tx.rows.db(), leases, expires_at_ms))?;
        for id in &held {
            self.queue_time.lease_seen(*id, expires_at_ms, self.clock);
        }
        let ids = leases.iter().map(|(id, _)| *id);
        Ok(ids.filter(|id| !held.contains(id)).collect())
    }

    fn admit(&self, rows: &Batch, lease: &Fence) -> Result<Admission, WorldError> {
        rows.load(leases::admit(rows.db(), lease))
    }

    fn free_dead_leases(&self, tx: &mut Tx<'_>) -> Result<FreedLeases, WorldError> {
        let mut freed = FreedLeases::default();
        let all = tx.rows.load(leases::all(tx.rows.db()))?;
        let ends: Vec<_> = all.iter().map(|it| (it.fence.message_id, it.expires_at_ms)).collect();
        self.queue_time.leases_are(&ends, self.clock);
        let signs = tx.rows.load(owners::signs(tx.rows.db(), self.me))?;
        for owner in self.suspects.dead(signs, self.clock.elapsed_ms()) {
            for lease in all.iter().filter(|lease| lease.lease_owner == owner) {
                tx.free_after_death(&lease.fence)?;
                freed.count += 1;
            }
            tx.rows.write(owners::forget_without_leases(&owner))?;
            freed.owners.push(owner);
        }
        tx.news.queue |= freed.count > 0;
        Ok(freed)
    }

    fn append_chunks(
        &self,
        rows: &Batch,
        stream: &StreamName,
        chunks: &[Vec<u8>],
        now_ms: i64,
    ) -> Result<(), WorldError> {
        let open = rows.stream(stream, now_ms)?;
        if !open.is_closed {
            streams::append(&open, chunks).into_iter().try_for_each(|write| rows.write(write))?;
            rows.note_stream(stream, open.with(chunks.len()));
        }
        Ok(())
    }

    fn close_stream(
        &self,
        rows: &Batch,
        stream: &StreamName,
        now_ms: i64,
    ) -> Result<(), WorldError> {
        let open = rows.stream(stream, now_ms)?;
        if open.is_closed {
            return Ok(());
        }
        rows.note_stream(stream, open.closed());
        rows.write(streams::close(&open, now_ms))
    }

    fn keep_key(
        &self,
        rows: &Batch,
        key: &KeptKey,
        as_first: bool,
        now_ms: i64,
    ) -> Result<(), WorldError> {
        rows.write(keys::lock())?;
        rows.write(keys::insert(key, as_first, now_ms))
    }
}
