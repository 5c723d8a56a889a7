//! Table `messages`: the leases, and what their owners may do.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::messages::{MESSAGES, delivery_of, message_columns, message_id};
use crate::domain::fence::Fence;
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::Lease;
use crate::store::Admission;

/// Whether the message still has this lease. An expired lease exists until it is freed.
fn has_lease(connection: &Connection, lease: &Fence) -> Result<bool> {
    const HAS: &str = "SELECT 1 FROM messages WHERE message_id = ? AND lease_token = ?";
    connection
        .prepare_cached(HAS)?
        .exists(params![lease.message_id.number(), lease.lease_token.expose()])
}

/// Whether the writes of a delivery are still valid. They are if the delivery has its lease, or if it
/// is a step that no other delivery has been given since: its result is as good. A replay of line 4 needs
/// its lease, because another message may replay its run meanwhile; on line 5 it may do so anyway.
pub(super) fn lease_holds(connection: &Connection, fence: &Fence) -> Result<bool> {
    const HOLDS: &str = "SELECT 1 FROM messages WHERE message_id = ?1 AND (lease_token = ?2 \
         OR (freed_lease_token = ?2 AND dead_at_ms IS NULL \
           AND (run_id IS NULL OR step_id IS NOT NULL OR spec_version >= 6)))";
    connection
        .prepare_cached(HOLDS)?
        .exists(params![fence.message_id.number(), fence.lease_token.expose()])
}

/// The lease of a message, until it expires.
pub(super) fn lease(
    connection: &Connection,
    message_id: MessageId,
    now_ms: i64,
) -> Result<Option<Lease>> {
    const LEASE: &str = "SELECT queue_name, \
         CASE WHEN step_id IS NULL AND spec_version < 6 THEN run_id END, attempt, lease_token FROM messages \
         WHERE message_id = ? AND lease_expires_at_ms > ?";
    connection
        .prepare_cached(LEASE)?
        .query_row(params![message_id.number(), now_ms], |row| {
            Ok(Lease {
                message_id,
                queue_name: row.get(0)?,
                run_id: row.get::<_, Option<String>>(1)?.map(RunId::new),
                attempt: row.get(2)?,
                lease_token: LeaseToken::new(row.get::<_, String>(3)?),
            })
        })
        .optional()
}

/// Admits the delivery of a lease, once.
pub(super) fn admit(connection: &Connection, lease: &Fence) -> Result<Admission> {
    const ADMIT: &str = concat!(
        "UPDATE messages SET admitted = 1 \
         WHERE message_id = ? AND lease_token = ? AND NOT admitted RETURNING ",
        message_columns!(""),
        ", attempt"
    );
    let (id, lease_token) = (lease.message_id.number(), &lease.lease_token);
    let admitted = connection
        .prepare_cached(ADMIT)?
        .query_row(params![id, lease_token.expose()], |row| {
            MESSAGES.verify(row, 0)?;
            delivery_of(row, lease_token.clone())
        })
        .optional()?;
    Ok(match admitted {
        Some(delivery) => Admission::Admitted(delivery),
        None if has_lease(connection, lease)? => Admission::Repeated,
        None => Admission::LeaseLost,
    })
}

/// All other owners of leases.
pub(super) fn other_owners(connection: &Connection, me: &str) -> Result<Vec<String>> {
    const OTHER_OWNERS: &str = "SELECT DISTINCT lease_owner FROM messages \
         WHERE lease_token IS NOT NULL AND lease_owner <> ?";
    connection.prepare_cached(OTHER_OWNERS)?.query_map([me], |row| row.get(0))?.collect()
}

/// Whether an owner holds a lease.
pub(super) fn has_leases(connection: &Connection, owner: &str) -> Result<bool> {
    const HAS_LEASES: &str = "SELECT EXISTS (SELECT 1 FROM messages \
         WHERE lease_token IS NOT NULL AND lease_owner = ?)";
    connection.prepare_cached(HAS_LEASES)?.query_row([owner], |row| row.get(0))
}

/// The deliveries of an owner.
pub(super) fn deliveries_of(connection: &Connection, owner: &str) -> Result<Vec<Fence>> {
    const DELIVERIES: &str = "SELECT message_id, lease_token FROM messages \
         WHERE lease_token IS NOT NULL AND lease_owner = ?";
    let delivery_of = |row: &Row<'_>| {
        let lease_token = LeaseToken::new(row.get::<_, String>(1)?);
        Ok(Fence { message_id: message_id(row)?, lease_token })
    };
    connection.prepare_cached(DELIVERIES)?.query_map([owner], delivery_of)?.collect()
}

/// Frees the lease of a message, which keeps its place in the queue.
pub(super) fn free(connection: &Connection, message_id: MessageId) -> Result<()> {
    const FREE: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL WHERE message_id = ?";
    connection.prepare_cached(FREE)?.execute([message_id.number()])?;
    Ok(())
}
