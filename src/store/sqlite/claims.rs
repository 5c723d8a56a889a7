//! Table `messages`: claims, and the leases that they give.

use rusqlite::{Connection, Result, Row, Rows, params};

use super::messages::{MESSAGES, delivery_of, message_columns, message_id};
use super::queue_time::QueueTime;
use crate::clock::Clock;
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::Delivery;
use crate::domain::queue::claim::Claiming;
use crate::domain::queue::settle::UNABLE_DELAY_MS;
use crate::store::{ClaimRequest, Claimed};

/// What tells whether the owner of a lease is silent: what this process has seen of leases, and a clock
/// that nobody sets.
#[derive(Clone, Copy)]
pub(super) struct Observed<'a> {
    pub(super) time: &'a QueueTime,
    pub(super) clock: &'a dyn Clock,
}

/// Leases due messages, the longest due first. Of one run only one replay is leased at a time.
pub(super) fn claim(
    connection: &Connection,
    request: &ClaimRequest,
    mut lease_token: impl FnMut() -> LeaseToken,
    now_ms: i64,
    observed: Observed<'_>,
) -> Result<Claimed> {
    const DUE: &str = concat!(
        "SELECT ",
        message_columns!(""),
        ", attempt FROM messages AS m \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND available_at_ms <= ?1 \
         AND (run_id IS NULL OR NOT EXISTS (SELECT 1 FROM messages AS leased \
           WHERE leased.run_id = m.run_id AND leased.lease_token IS NOT NULL)) \
         AND (run_id IS NULL OR NOT EXISTS (SELECT 1 FROM messages AS first \
           WHERE first.run_id = m.run_id AND first.queue_name = m.queue_name \
           AND first.lease_token IS NULL AND first.dead_at_ms IS NULL \
           AND first.available_at_ms <= ?1 AND (first.available_at_ms, first.message_id) \
             < (m.available_at_ms, m.message_id))) \
         AND EXISTS (SELECT 1 FROM json_each(?2) AS prefix \
           WHERE substr(m.queue_name, 1, length(prefix.value)) = prefix.value) \
         ORDER BY available_at_ms, message_id LIMIT ?3"
    );
    const LEASE: &str = "UPDATE messages SET lease_owner = ?2, lease_token = ?3, \
         lease_expires_at_ms = ?4, freed_lease_token = NULL, admitted = 0, attempt = attempt + 1 WHERE message_id = ?1";
    // The replay reads the log after this, so it sees at least as much.
    const SEES_LOG: &str = "UPDATE runs SET replayed_position = \
         ifnull((SELECT max(position) FROM events WHERE run_id = ?1), 0) WHERE run_id = ?1";
    free_expired(connection, now_ms, observed)?;
    let prefixes = serde_json::Value::from(request.prefixes.clone()).to_string();
    let due: Vec<Due> = connection
        .prepare_cached(DUE)?
        .query_map(params![now_ms, prefixes, request.limit as i64], |row| {
            due_of(row, lease_token())
        })?
        .collect::<Result<_>>()?;
    let mut claiming = Claiming::default();
    let mut deliveries = Vec::with_capacity(due.len());
    let mut lease = connection.prepare_cached(LEASE)?;
    let mut sees_log = connection.prepare_cached(SEES_LOG)?;
    for due in due {
        let (run_id, delivery) = match due {
            Due::Sound { run_id, delivery } => (run_id, delivery),
            Due::Damaged(message_id) => {
                put_off(connection, message_id, now_ms)?;
                continue;
            }
        };
        if !claiming.takes(run_id.as_ref(), false) {
            continue;
        }
        if let Some(run_id) = run_id {
            sees_log.execute([run_id.as_str()])?;
        }
        lease.execute(params![
            delivery.message_id.number(),
            request.lease_owner,
            delivery.lease_token.expose(),
            now_ms + request.lease_ms,
        ])?;
        observed.time.lease_seen(delivery.message_id, now_ms + request.lease_ms, observed.clock);
        deliveries.push(delivery);
    }
    Ok(Claimed { deliveries, next_due_at_ms: next_due(connection, now_ms)?, now_ms })
}

/// A message that may be claimed.
enum Due {
    /// What it becomes.
    Sound { run_id: Option<RunId>, delivery: Delivery },
    /// Its row is not what was written.
    Damaged(MessageId),
}

/// The claim counts as an attempt.
fn due_of(row: &Row<'_>, lease_token: LeaseToken) -> Result<Due> {
    if MESSAGES.verify(row, 0).is_err() {
        return Ok(Due::Damaged(message_id(row)?));
    }
    let mut delivery = delivery_of(row, lease_token)?;
    delivery.attempt += 1;
    Ok(Due::Sound { run_id: row.get::<_, Option<String>>(2)?.map(RunId::new), delivery })
}

/// Puts a damaged message off, so that it does not hold the others up.
fn put_off(connection: &Connection, message_id: MessageId, now_ms: i64) -> Result<()> {
    const PUT_OFF: &str =
        "UPDATE messages SET available_at_ms = ?2, last_error = ?3 WHERE message_id = ?1";
    connection.prepare_cached(PUT_OFF)?.execute(params![
        message_id.number(),
        now_ms + UNABLE_DELAY_MS,
        "the database file is damaged: this message is not what was written; restore a backup",
    ])?;
    Ok(())
}

/// Frees leases that have expired and whose owners are silent: an expiry alone may be a clock that
/// was set forwards.
fn free_expired(connection: &Connection, now_ms: i64, observed: Observed<'_>) -> Result<()> {
    const EXPIRED: &str = "SELECT message_id, lease_expires_at_ms FROM messages \
         WHERE lease_token IS NOT NULL AND lease_expires_at_ms <= ?";
    const FREE: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL WHERE message_id = ?";
    for (message_id, expires_at_ms) in leases(connection.prepare_cached(EXPIRED)?.query([now_ms])?)?
    {
        if observed.time.is_silent(message_id, expires_at_ms, observed.clock) {
            connection.prepare_cached(FREE)?.execute([message_id.number()])?;
        }
    }
    Ok(())
}

/// Every lease: its message and its expiry.
pub(super) fn all_leases(connection: &Connection) -> Result<Vec<(MessageId, i64)>> {
    const ALL_LEASES: &str =
        "SELECT message_id, lease_expires_at_ms FROM messages WHERE lease_token IS NOT NULL";
    leases(connection.prepare_cached(ALL_LEASES)?.query([])?)
}

fn leases(mut rows: Rows<'_>) -> Result<Vec<(MessageId, i64)>> {
    let mut leases = Vec::new();
    while let Some(row) = rows.next()? {
        leases.push((message_id(row)?, row.get(1)?));
    }
    Ok(leases)
}

fn next_due(connection: &Connection, now_ms: i64) -> Result<Option<i64>> {
    const NEXT_DUE: &str = "SELECT min(available_at_ms) FROM messages \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND available_at_ms > ?";
    connection.prepare_cached(NEXT_DUE)?.query_row([now_ms], |row| row.get(0))
}

/// Prolongs a lease; `false` when it is lost.
pub(super) fn extend(
    connection: &Connection,
    message_id: MessageId,
    lease_token: &LeaseToken,
    expires_at_ms: i64,
) -> Result<bool> {
    const EXTEND: &str = "UPDATE messages SET lease_expires_at_ms = ?3 \
         WHERE message_id = ?1 AND lease_token = ?2";
    let changed = connection.prepare_cached(EXTEND)?.execute(params![
        message_id.number(),
        lease_token.expose(),
        expires_at_ms
    ])?;
    Ok(changed == 1)
}
