//! Table `messages`: the leases, and what their owners may do.

use std::collections::HashSet;

use super::db::{Columns, Db, values};
use super::loaded::LeaseState;
use super::writes::Write;
use crate::domain::fence::Fence;
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::{Delivery, Lease};
use crate::error::WorldError;
use crate::store::Admission;

/// The condition that the writes of the delivery with this lease of the message `m` are valid. Without its
/// lease they are if it is a step that no other delivery has been given since: its result is as good. A
/// replay of line 4 needs its lease, because another message may replay its run meanwhile; on line 5 it may
/// do so anyway.
macro_rules! is_valid {
    ($token:literal) => {
        concat!(
            "(m.lease_token IS NOT DISTINCT FROM ",
            $token,
            " OR (m.freed_lease_token IS NOT DISTINCT FROM ",
            $token,
            " AND m.dead_at_ms IS NULL \
             AND (m.run_id IS NULL OR m.step_id IS NOT NULL OR m.spec_version >= 6)))"
        )
    };
}
pub(super) use is_valid;

/// The messages `m` that have the leases of the parameters, locked. "lease_token = token" would allow the
/// index of all leases.
macro_rules! from_leased {
    () => {
        " FROM unnest($1, $2) AS l(id, token) CROSS JOIN LATERAL (\
           SELECT x.* FROM hookline.messages AS x WHERE x.message_id = l.id \
           AND x.lease_token IS NOT DISTINCT FROM l.token FOR UPDATE) AS m"
    };
}
pub(super) use from_leased;

/// Leases in the order of their messages, in which everybody locks them.
pub(super) fn in_order(leases: impl Iterator<Item = (i64, String)>) -> (Vec<i64>, Vec<String>) {
    let mut leases: Vec<(i64, String)> = leases.collect();
    leases.sort_unstable();
    leases.into_iter().unzip()
}

/// What leases are worth. It stays so until the end of the transaction.
pub(super) async fn states(
    db: &Db,
    leases: &HashSet<(MessageId, String)>,
) -> Result<Vec<((MessageId, String), LeaseState)>, WorldError> {
    const STATES: &str = concat!(
        "SELECT m.message_id, l.token, m.lease_token IS NOT DISTINCT FROM l.token, ",
        is_valid!("l.token"),
        " FROM unnest($1, $2) AS l(id, token) CROSS JOIN LATERAL (\
           SELECT x.* FROM hookline.messages AS x WHERE x.message_id = l.id FOR UPDATE) AS m"
    );
    let (ids, tokens) = in_order(leases.iter().map(|(id, token)| (id.number(), token.clone())));
    let rows = db.rows(STATES, &values![ids, tokens]).await?;
    let state_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let lease = (columns.message_id()?, columns.take()?);
        let (is_held, is_valid) = (columns.take()?, columns.take()?);
        Ok((lease, LeaseState { is_held, is_valid }))
    };
    rows.iter().map(state_of).collect()
}

/// The lease of a message, until it expires.
pub(super) async fn lease(
    db: &Db,
    message_id: MessageId,
    now_ms: i64,
) -> Result<Option<Lease>, WorldError> {
    const LEASE: &str = "SELECT queue_name, \
         CASE WHEN step_id IS NULL AND spec_version < 6 THEN run_id END, attempt, lease_token \
         FROM hookline.messages WHERE message_id = $1 AND lease_expires_at_ms > $2";
    let row = db.first(LEASE, &values![message_id, now_ms]).await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(Lease {
            message_id,
            queue_name: columns.take()?,
            run_id: columns.take::<Option<String>>()?.map(RunId::new),
            attempt: columns.take()?,
            lease_token: LeaseToken::new(columns.take::<String>()?),
        })
    })
    .transpose()
}

/// Admits the delivery of a lease, once.
pub(super) async fn admit(db: &Db, lease: &Fence) -> Result<Admission, WorldError> {
    const ADMIT: &str = "UPDATE hookline.messages SET admitted = true \
         WHERE message_id = $1 AND lease_token = $2 AND NOT admitted \
         RETURNING queue_name, body, headers, attempt";
    const HAS: &str = "SELECT 1 FROM hookline.messages WHERE message_id = $1 AND lease_token = $2";
    let values = values![lease.message_id, lease.lease_token.expose()];
    if let Some(row) = db.first(ADMIT, &values).await? {
        let mut columns = Columns::of(&row);
        return Ok(Admission::Admitted(Delivery {
            message_id: lease.message_id,
            queue_name: columns.take()?,
            body: columns.take()?,
            headers: columns.take()?,
            attempt: columns.take()?,
            lease_token: lease.lease_token.clone(),
        }));
    }
    Ok(match db.first(HAS, &values).await? {
        Some(_) => Admission::Repeated,
        None => Admission::LeaseLost,
    })
}

/// Extends leases; returns those that are still held.
pub(super) async fn extend(
    db: &Db,
    leases: &[(MessageId, LeaseToken)],
    expires_at_ms: i64,
) -> Result<Vec<MessageId>, WorldError> {
    const EXTEND: &str = concat!(
        "UPDATE hookline.messages SET lease_expires_at_ms = $3 \
         WHERE message_id = ANY (ARRAY(SELECT m.message_id",
        from_leased!(),
        ")) RETURNING message_id"
    );
    let lease = |(id, token): &(MessageId, LeaseToken)| (id.number(), token.expose().to_owned());
    let (ids, tokens) = in_order(leases.iter().map(lease));
    let rows = db.rows(EXTEND, &values![ids, tokens, expires_at_ms]).await?;
    rows.iter().map(|row| Columns::of(row).message_id()).collect()
}

/// A lease, as the search for dead owners and silent ones sees it.
pub(super) struct HeldLease {
    pub(super) fence: Fence,
    pub(super) lease_owner: String,
    pub(super) expires_at_ms: i64,
}

/// All leases.
pub(super) async fn all(db: &Db) -> Result<Vec<HeldLease>, WorldError> {
    const ALL: &str = "SELECT message_id, lease_token, lease_owner, lease_expires_at_ms \
         FROM hookline.messages WHERE lease_token IS NOT NULL";
    held(db, ALL, &[]).await
}

/// Leases that have expired, and that no other transaction is working on.
pub(super) async fn expired(db: &Db, now_ms: i64) -> Result<Vec<HeldLease>, WorldError> {
    const EXPIRED: &str = "SELECT message_id, lease_token, lease_owner, lease_expires_at_ms \
         FROM hookline.messages WHERE lease_token IS NOT NULL AND lease_expires_at_ms <= $1 \
         ORDER BY message_id + 0 FOR UPDATE SKIP LOCKED";
    held(db, EXPIRED, &values![now_ms]).await
}

async fn held(
    db: &Db,
    sql: &'static str,
    values: &[super::db::Value],
) -> Result<Vec<HeldLease>, WorldError> {
    let held_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let message_id = columns.message_id()?;
        let lease_token = LeaseToken::new(columns.take::<String>()?);
        let fence = Fence { message_id, lease_token };
        Ok(HeldLease { fence, lease_owner: columns.take()?, expires_at_ms: columns.take()? })
    };
    db.rows(sql, values).await?.iter().map(held_of).collect()
}

/// Frees the lease of a message, which keeps its place in the queue.
pub(super) fn free(id: MessageId) -> Write {
    const FREE: &str = "UPDATE hookline.messages SET freed_lease_token = lease_token, \
         lease_owner = NULL, lease_token = NULL, lease_expires_at_ms = NULL WHERE message_id = $1";
    Write::new(FREE, values![id])
}
