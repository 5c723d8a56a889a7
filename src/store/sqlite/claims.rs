//! Table `messages`: claims and their leases.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, Row, Rows, params};

use super::due::{Due, Lane};
use super::leases::free;
use super::messages::{
    MESSAGE_COLUMNS, MESSAGES, delivery_of, message_columns, message_id, names_of,
};
use super::{events, releases, steps};
use crate::clock::Clock;
use crate::domain::id::{CorrelationId, LeaseToken, MessageId, RunId};
use crate::domain::message::Delivery;
use crate::domain::queue::claim::{Claimable, Claiming, UnderWay};
use crate::domain::queue::offer::Offer;
use crate::domain::queue::settle::UNABLE_DELAY_MS;
use crate::domain::spec::SpecVersion;
use crate::store::queue_time::QueueTime;
use crate::store::{ClaimRequest, Claimed};

/// Evidence that the owner of a lease is silent: the leases that this process has seen, and a monotonic
/// clock.
#[derive(Clone, Copy)]
pub(super) struct Observed<'a> {
    pub(super) time: &'a QueueTime,
    pub(super) clock: &'a dyn Clock,
}

/// Leases due messages that the worker offers to take, the longest due first.
pub(super) fn claim(
    connection: &Connection,
    request: &ClaimRequest,
    mut lease_token: impl FnMut() -> LeaseToken,
    now_ms: i64,
    observed: Observed<'_>,
) -> Result<Claimed> {
    const CLAIMABLE: &str = concat!(
        "SELECT ",
        message_columns!(""),
        ", attempt, refused_by, m.step_id IS NULL AND EXISTS (SELECT 1 FROM messages AS leased \
           WHERE leased.run_id = m.run_id AND leased.step_id IS NULL \
           AND leased.lease_token IS NOT NULL) FROM messages AS m WHERE message_id = ?"
    );
    const LEASE: &str = "UPDATE messages SET lease_owner = ?2, lease_token = ?3, \
         lease_expires_at_ms = ?4, freed_lease_token = NULL, admitted = 0, attempt = attempt + 1, \
         claimed_position = ?5 WHERE message_id = ?1";
    // The replay reads the log after this, so it sees at least this much.
    const SEES_LOG: &str = "UPDATE runs SET replayed_position = ?3, \
         replayed_by = CASE ifnull(replayed_by, ?2) WHEN ?2 THEN ?2 ELSE '' END WHERE run_id = ?1";
    free_expired(connection, now_ms, observed)?;
    let Offer { prefixes, release, .. } = &request.offer;
    let releases = match release {
        None => releases::ids(connection)?,
        // Nobody else has to tell releases from other ids.
        Some(release) => {
            releases::is_here(connection, release, now_ms)?;
            HashSet::new()
        }
    };
    let takes = |lane: &Lane| request.offer.covers(&lane.demand, &releases);
    let mut due = Due::of(connection, prefixes, takes, now_ms)?;
    let mut claiming = Claiming::default();
    let mut deliveries = Vec::new();
    let mut claimable = connection.prepare_cached(CLAIMABLE)?;
    let mut lease = connection.prepare_cached(LEASE)?;
    let mut sees_log = connection.prepare_cached(SEES_LOG)?;
    while deliveries.len() < request.limit
        && let Some(message_id) = due.next()?
    {
        let message = claimable.query_row([message_id.number()], |row| {
            due_of(row, &request.lease_owner, lease_token())
        })?;
        let DueMessage::Sound { mut claimable, delivery } = message else {
            put_off(connection, message_id, now_ms)?;
            continue;
        };
        add_overlapping(connection, &mut claimable)?;
        if !claiming.takes(&claimable) {
            continue;
        }
        let end = claimable.run_id.as_ref().map(|run_id| events::end(connection, run_id));
        let end = end.transpose()?.unwrap_or(0);
        if let Some(run_id) = claimable.run_id.filter(|_| !claimable.is_step) {
            sees_log.execute(params![run_id.as_str(), request.lease_owner, end])?;
        }
        lease.execute(params![
            delivery.message_id.number(),
            request.lease_owner,
            delivery.lease_token.expose(),
            now_ms + request.lease_ms,
            end,
        ])?;
        observed.time.lease_seen(delivery.message_id, now_ms + request.lease_ms, observed.clock);
        deliveries.push(delivery);
    }
    Ok(Claimed { deliveries, next_due_at_ms: due.next_due_at_ms(), now_ms })
}

/// A message that is due.
enum DueMessage {
    Sound {
        claimable: Claimable,
        delivery: Delivery,
    },
    /// The row differs from what was written.
    Damaged,
}

/// Reads a due message. The claim counts as an attempt.
fn due_of(row: &Row<'_>, worker: &str, lease_token: LeaseToken) -> Result<DueMessage> {
    if MESSAGES.verify(row, 0).is_err() {
        return Ok(DueMessage::Damaged);
    }
    let mut delivery = delivery_of(row, lease_token)?;
    delivery.attempt += 1;
    let another_replay = UnderWay { is_step: false, claimed_at: 0, executes: None };
    let is_replayed: bool = row.get(MESSAGE_COLUMNS + 2)?;
    let claimable = Claimable {
        run_id: row.get::<_, Option<String>>(2)?.map(RunId::new),
        is_step: row.get_ref(3)? != ValueRef::Null,
        spec_version: row.get(5)?,
        under_way: if is_replayed { vec![another_replay] } else { Vec::new() },
        is_refused: names_of(row.get(MESSAGE_COLUMNS + 1)?).iter().any(|name| name == worker),
    };
    Ok(DueMessage::Sound { claimable, delivery })
}

/// Adds to a replay what each delivery of its run is doing, if that matters: only where deliveries of a
/// run may overlap.
fn add_overlapping(connection: &Connection, message: &mut Claimable) -> Result<()> {
    const UNDER_WAY: &str = "SELECT message_id, step_id, claimed_position FROM messages \
         INDEXED BY messages_overlapping \
         WHERE run_id = ? AND lease_token IS NOT NULL AND spec_version >= 6";
    let Some(run_id) = message.run_id.as_ref().filter(|_| !message.is_step) else { return Ok(()) };
    if !SpecVersion(message.spec_version).replays_overlap() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(UNDER_WAY)?;
    let mut rows = statement.query([run_id.as_str()])?;
    message.under_way.clear();
    while let Some(row) = rows.next()? {
        let step_id = row.get::<_, Option<String>>(1)?.map(CorrelationId::new);
        let own_step = |step_id| steps::running(connection, run_id, step_id);
        // After its step, the delivery of a step may replay and execute steps of its own.
        let executes = step_id.as_ref().map(own_step).transpose()?.flatten();
        let executes =
            executes.max(steps::latest_running_of(connection, run_id, message_id(row)?)?);
        let claimed_at = row.get(2)?;
        message.under_way.push(UnderWay { is_step: step_id.is_some(), claimed_at, executes });
    }
    Ok(())
}

/// Postpones a damaged message, so that it does not delay the others.
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

/// Frees expired leases whose owners are silent. An expiry alone may only mean that the clock was set
/// forwards.
fn free_expired(connection: &Connection, now_ms: i64, observed: Observed<'_>) -> Result<()> {
    const EXPIRED: &str = "SELECT message_id, lease_expires_at_ms FROM messages \
         WHERE lease_token IS NOT NULL AND lease_expires_at_ms <= ?";
    for (message_id, expires_at_ms) in leases(connection.prepare_cached(EXPIRED)?.query([now_ms])?)?
    {
        if observed.time.is_silent(message_id, expires_at_ms, observed.clock) {
            free(connection, message_id)?;
        }
    }
    Ok(())
}

/// All leases, each as its message and its expiry.
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

/// Extends a lease; `false` if it is lost.
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
