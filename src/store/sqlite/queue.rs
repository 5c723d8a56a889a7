//! Table `messages`: the queue.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Result, Row, Rows, params};

use super::checksum::{Check, Table};
use super::due::{self, Due};
use super::queue_time::{self, QueueTime};
use super::runs;
use crate::clock::Clock;
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::{Delivery, NewMessage, Purpose, WakeUp};
use crate::domain::run::Run;
use crate::store::{ClaimRequest, Claimed, Outcome, UNABLE_DELAY_MS};

/// What a message is as long as it lives, checked as one; the argument stands before each name.
macro_rules! message_columns {
    ($of:literal) => {
        concat!(
            $of,
            "message_id, ",
            $of,
            "queue_name, ",
            $of,
            "run_id, ",
            $of,
            "is_wake_up, ",
            $of,
            "body, ",
            $of,
            "headers, ",
            $of,
            "idempotency_key, ",
            $of,
            "created_at_ms, ",
            $of,
            "checksum"
        )
    };
}
pub(super) use message_columns;

pub(super) static MESSAGES: Table = Table { name: "messages", columns: 8, key: &[0] };
/// How many [`message_columns`] there are; what changes with its deliveries stands behind them.
pub(super) const MESSAGE_COLUMNS: usize = 9;

/// Checks every message.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", message_columns!(""), " FROM messages"),
    verify: |row| MESSAGES.verify(row, 0),
};

/// The queue's time and the clock that it is read from.
#[derive(Clone, Copy)]
pub(super) struct Times<'a> {
    pub(super) time: &'a QueueTime,
    pub(super) clock: &'a dyn Clock,
}

impl Times<'_> {
    /// Now, as the queue has it.
    pub(super) fn now_ms(&self) -> i64 {
        self.time.now_ms(self.clock)
    }
}

/// Puts a message into the queue, to be due after `delay_ms`, unless one that is there already stands
/// for it. Returns the one that will be delivered.
pub(super) fn enqueue(
    connection: &Connection,
    message: &NewMessage,
    delay_ms: i64,
    fresh_id: impl FnOnce() -> MessageId,
    times: Times<'_>,
) -> Result<MessageId> {
    let waking = only_wakes(connection, message)?;
    let message = waking.as_ref().unwrap_or(message);
    let now_ms = times.now_ms();
    let available_at_ms = now_ms.saturating_add(delay_ms);
    if let Some(key) = &message.idempotency_key
        && let Some(queued) = by_idempotency_key(connection, key)?
    {
        return Ok(queued);
    }
    if let Purpose::WakeUp(run_id) = &message.purpose
        && let Some(absorbing) = absorb(connection, message, run_id, available_at_ms, now_ms)?
    {
        return Ok(absorbing);
    }
    // Two processes may draw the same number in the same millisecond, and one may have reached a later
    // time than the other; the table knows both.
    let (mut id, mut now_ms) = (fresh_id(), now_ms);
    if let Some((newest, created_at_ms)) = newest(connection)? {
        id = id.max(MessageId::from_number(newest.number() + 1));
        now_ms = times.time.now_at_least_ms(times.clock, created_at_ms);
    }
    insert(connection, id, message, (now_ms, now_ms.saturating_add(delay_ms)))?;
    Ok(id)
}

/// The wake-up that is left of a start message when its run is there. It goes with its run then, and
/// sleeps in no more than one message.
fn only_wakes(connection: &Connection, message: &NewMessage) -> Result<Option<NewMessage>> {
    let Purpose::Start(run_id) = &message.purpose else { return Ok(None) };
    let Some(run) = runs::by_id(connection, run_id)? else { return Ok(None) };
    let purpose = Purpose::WakeUp(run_id.clone());
    Ok(Some(NewMessage { purpose, body: WakeUp::of(&run).body(), ..message.clone() }))
}

/// A run has been made: what was to start it only wakes it now. The SDK writes no other message of it
/// before.
pub(super) fn run_made(connection: &Connection, run: &Run) -> Result<()> {
    const CARRYING_MORE: &str = concat!(
        "SELECT ",
        message_columns!(""),
        " FROM messages WHERE run_id = ? AND NOT is_wake_up"
    );
    const ONLY_WAKES: &str =
        "UPDATE messages SET is_wake_up = ?4, body = ?5, checksum = ?9 WHERE message_id = ?1";
    let body = WakeUp::of(run).body();
    let mut update = connection.prepare_cached(ONLY_WAKES)?;
    let mut select = connection.prepare_cached(CARRYING_MORE)?;
    let rows = select.query_map([run.run_id.as_str()], |row| {
        MESSAGES.verify(row, 0)?;
        let (queue_name, headers, key): (String, Option<String>, Option<String>) =
            (row.get(1)?, row.get(5)?, row.get(6)?);
        Ok((message_id(row)?, queue_name, headers, key, row.get::<_, i64>(7)?))
    })?;
    for row in rows.collect::<Result<Vec<_>>>()? {
        let (id, queue_name, headers, key, created_at_ms) = row;
        let run_id = run.run_id.as_str();
        let columns =
            params![id.number(), queue_name, run_id, true, body, headers, key, created_at_ms];
        MESSAGES.write(&mut update, columns, &[])?;
    }
    Ok(())
}

fn newest(connection: &Connection) -> Result<Option<(MessageId, i64)>> {
    const NEWEST: &str =
        "SELECT message_id, created_at_ms FROM messages ORDER BY message_id DESC LIMIT 1";
    connection
        .prepare_cached(NEWEST)?
        .query_row([], |row| Ok((message_id(row)?, row.get(1)?)))
        .optional()
}

fn by_idempotency_key(connection: &Connection, key: &str) -> Result<Option<MessageId>> {
    const BY_KEY: &str =
        "SELECT message_id FROM messages WHERE idempotency_key = ? AND dead_at_ms IS NULL";
    connection.prepare_cached(BY_KEY)?.query_row([key], message_id).optional()
}

/// A due wake-up is absorbed by any unclaimed due replay of the run, which will see every event that
/// has been committed by then. A sleeping one joins the run's other sleeping one; the earlier time
/// wins, because waking too early costs a replay and waking too late loses time.
fn absorb(
    connection: &Connection,
    message: &NewMessage,
    run_id: &RunId,
    available_at_ms: i64,
    now_ms: i64,
) -> Result<Option<MessageId>> {
    const DUE: &str = "SELECT message_id FROM messages INDEXED BY messages_by_run \
         WHERE run_id = ?1 AND queue_name = ?2 AND lease_token IS NULL AND dead_at_ms IS NULL AND available_at_ms <= ?3 LIMIT 1";
    const JOIN_SLEEPING: &str = "UPDATE messages INDEXED BY messages_by_run \
         SET available_at_ms = min(available_at_ms, ?4) WHERE run_id = ?1 AND queue_name = ?2 AND is_wake_up AND lease_token IS NULL \
         AND dead_at_ms IS NULL AND available_at_ms > ?3 RETURNING message_id";
    if available_at_ms <= now_ms {
        return connection
            .prepare_cached(DUE)?
            .query_row(params![run_id.as_str(), message.queue_name, now_ms], message_id)
            .optional();
    }
    connection
        .prepare_cached(JOIN_SLEEPING)?
        .query_row(
            params![run_id.as_str(), message.queue_name, now_ms, available_at_ms],
            message_id,
        )
        .optional()
}

fn message_id(row: &Row<'_>) -> Result<MessageId> {
    Ok(MessageId::from_number(row.get(0)?))
}

fn insert(
    connection: &Connection,
    id: MessageId,
    message: &NewMessage,
    (created_at_ms, available_at_ms): (i64, i64),
) -> Result<()> {
    const INSERT: &str = concat!(
        "INSERT INTO messages (",
        message_columns!(""),
        ", available_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let columns = params![
        id.number(),
        message.queue_name,
        message.purpose.replayed_run().map(RunId::as_str),
        matches!(message.purpose, Purpose::WakeUp(_)),
        message.body,
        message.headers,
        message.idempotency_key,
        created_at_ms,
    ];
    let mut statement = connection.prepare_cached(INSERT)?;
    MESSAGES.write(&mut statement, columns, params![available_at_ms])?;
    Ok(())
}

/// The run has ended: nothing is left to wake. Messages that carry more stay; the runtime ends them.
pub(super) fn delete_wake_ups(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_WAKE_UPS: &str =
        "DELETE FROM messages WHERE run_id = ? AND is_wake_up AND lease_token IS NULL";
    connection.prepare_cached(DELETE_WAKE_UPS)?.execute([run_id.as_str()])?;
    Ok(())
}

/// Leases due messages, the longest due first. Of one run only one replay is leased at a time.
pub(super) fn claim(
    connection: &Connection,
    request: &ClaimRequest,
    mut lease_token: impl FnMut() -> LeaseToken,
    times: Times<'_>,
) -> Result<Claimed> {
    const CLAIMABLE: &str = concat!(
        "SELECT ",
        message_columns!(""),
        ", attempt FROM messages AS m WHERE message_id = ? \
         AND (run_id IS NULL OR NOT EXISTS (SELECT 1 FROM messages AS leased \
           WHERE leased.run_id = m.run_id AND leased.lease_token IS NOT NULL))"
    );
    const LEASE: &str = "UPDATE messages SET lease_owner = ?2, lease_token = ?3, \
         lease_expires_at_ms = ?4, freed_lease_token = NULL, admitted = 0, attempt = attempt + 1 WHERE message_id = ?1";
    // The replay reads the log after this, so it sees at least as much.
    const SEES_LOG: &str = "UPDATE runs SET replayed_position = \
         ifnull((SELECT max(position) FROM events WHERE run_id = ?1), 0) WHERE run_id = ?1";
    let now_ms = times.time.shared_now_ms(connection, times.clock)?;
    free_expired(connection, now_ms, times)?;
    let mut due = Due::of(connection, due::queues(connection, &request.prefixes)?, now_ms)?;
    let mut replayed = HashSet::new();
    let mut deliveries = Vec::new();
    let mut claimable = connection.prepare_cached(CLAIMABLE)?;
    let mut lease = connection.prepare_cached(LEASE)?;
    let mut sees_log = connection.prepare_cached(SEES_LOG)?;
    let mut looked_at = 0;
    while looked_at < request.limit
        && let Some(message_id) = due.next()?
    {
        // Another replay of its run is leased: the message waits for its end.
        let Some(due) = claimable
            .query_row([message_id.number()], |row| due_of(row, lease_token()))
            .optional()?
        else {
            continue;
        };
        looked_at += 1;
        let (run_id, delivery) = match due {
            DueMessage::Sound { run_id, delivery } => (run_id, delivery),
            DueMessage::Damaged(message_id) => {
                put_off(connection, message_id, now_ms)?;
                continue;
            }
        };
        if let Some(run_id) = run_id {
            if replayed.contains(&run_id) {
                continue;
            }
            sees_log.execute([&run_id])?;
            replayed.insert(run_id);
        }
        lease.execute(params![
            delivery.message_id.number(),
            request.lease_owner,
            delivery.lease_token.expose(),
            now_ms + request.lease_ms,
        ])?;
        times.time.lease_seen(delivery.message_id, now_ms + request.lease_ms, times.clock);
        deliveries.push(delivery);
    }
    Ok(Claimed { deliveries, next_due_at_ms: due.next_due_at_ms()?, now_ms })
}

/// A message that may be claimed.
enum DueMessage {
    /// What it becomes.
    Sound { run_id: Option<String>, delivery: Delivery },
    /// Its row is not what was written.
    Damaged(MessageId),
}

/// The claim counts as an attempt.
fn due_of(row: &Row<'_>, lease_token: LeaseToken) -> Result<DueMessage> {
    if MESSAGES.verify(row, 0).is_err() {
        return Ok(DueMessage::Damaged(message_id(row)?));
    }
    let mut delivery = delivery_of(row, lease_token)?;
    delivery.attempt += 1;
    Ok(DueMessage::Sound { run_id: row.get(2)?, delivery })
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
fn free_expired(connection: &Connection, now_ms: i64, times: Times<'_>) -> Result<()> {
    const EXPIRED: &str = "SELECT message_id, lease_expires_at_ms FROM messages \
         WHERE lease_token IS NOT NULL AND lease_expires_at_ms <= ?";
    const FREE: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL WHERE message_id = ?";
    for (message_id, expires_at_ms) in leases(connection.prepare_cached(EXPIRED)?.query([now_ms])?)?
    {
        if times.time.is_silent(message_id, expires_at_ms, times.clock) {
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

/// Reads the [`message_columns`] of a message that has been checked, and behind them its `attempt`.
pub(super) fn delivery_of(row: &Row<'_>, lease_token: LeaseToken) -> Result<Delivery> {
    Ok(Delivery {
        message_id: message_id(row)?,
        queue_name: row.get(1)?,
        body: row.get(4)?,
        headers: row.get(5)?,
        attempt: row.get(MESSAGE_COLUMNS)?,
        lease_token,
    })
}

/// Ends a delivery; `false` when its lease is lost, and then nothing changed.
pub(super) fn settle(
    connection: &Connection,
    message_id: MessageId,
    lease_token: &LeaseToken,
    outcome: &Outcome,
    now_ms: i64,
) -> Result<bool> {
    let back = match outcome {
        Outcome::Ack => return ack(connection, message_id, lease_token),
        Outcome::Dead { error } => return bury(connection, message_id, lease_token, error, now_ms),
        Outcome::Reschedule { delay_ms } => Return {
            available_at_ms: now_ms.saturating_add(*delay_ms),
            attempts: Attempts::Reset,
            error: None,
        },
        Outcome::Release { delay_ms, error, reached } => Return {
            available_at_ms: now_ms.saturating_add(*delay_ms),
            attempts: if *reached { Attempts::Keep } else { Attempts::TakeBack },
            error: Some(error),
        },
    };
    queue_time::keep(connection, now_ms)?;
    if joins_sleeping(connection, message_id, lease_token, &back, now_ms)? {
        return ack(connection, message_id, lease_token);
    }
    release(connection, message_id, lease_token, &back)
}

/// How a message goes back into the queue.
struct Return<'a> {
    available_at_ms: i64,
    attempts: Attempts,
    error: Option<&'a str>,
}

/// What a return does to the count of attempts.
#[derive(Clone, Copy)]
enum Attempts {
    /// The handler failed.
    Keep,
    /// The handler succeeded and wants the message again.
    Reset,
    /// No handler was reached.
    TakeBack,
}

impl Attempts {
    /// The new count is the old one times the first, less the second.
    fn factor_and_taken_back(self) -> (i64, i64) {
        match self {
            Attempts::Keep => (1, 0),
            Attempts::Reset => (0, 0),
            Attempts::TakeBack => (1, 1),
        }
    }
}

fn ack(connection: &Connection, message_id: MessageId, lease_token: &LeaseToken) -> Result<bool> {
    const ACK: &str = "DELETE FROM messages WHERE message_id = ? AND lease_token = ?";
    let changed = connection
        .prepare_cached(ACK)?
        .execute(params![message_id.number(), lease_token.expose()])?;
    Ok(changed == 1)
}

/// A run sleeps in one wake-up only: when this delivery is a wake-up that goes to sleep, be it that
/// its run waits or that its handler failed, and another one of the run sleeps already, the other
/// takes the earlier time and the higher count of attempts, and this one may go.
fn joins_sleeping(
    connection: &Connection,
    message_id: MessageId,
    lease_token: &LeaseToken,
    back: &Return<'_>,
    now_ms: i64,
) -> Result<bool> {
    const JOIN: &str = "UPDATE messages AS other INDEXED BY messages_by_run \
         SET available_at_ms = min(other.available_at_ms, ?4), \
           attempt = max(other.attempt, mine.attempt * ?5 - ?6), \
           last_error = ifnull(?7, other.last_error) \
         FROM messages AS mine WHERE mine.message_id = ?1 AND mine.lease_token = ?2 \
         AND mine.is_wake_up AND other.run_id = mine.run_id \
         AND other.queue_name = mine.queue_name AND other.is_wake_up \
         AND other.lease_token IS NULL AND other.dead_at_ms IS NULL AND other.available_at_ms > ?3";
    if back.available_at_ms <= now_ms {
        return Ok(false);
    }
    let (factor, taken_back) = back.attempts.factor_and_taken_back();
    let changed = connection.prepare_cached(JOIN)?.execute(params![
        message_id.number(),
        lease_token.expose(),
        now_ms,
        back.available_at_ms,
        factor,
        taken_back,
        back.error,
    ])?;
    Ok(changed > 0)
}

fn release(
    connection: &Connection,
    message_id: MessageId,
    lease_token: &LeaseToken,
    back: &Return<'_>,
) -> Result<bool> {
    const RELEASE: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL, available_at_ms = ?3, attempt = max(0, attempt * ?4 - ?5), \
         last_error = ?6 WHERE message_id = ?1 AND lease_token = ?2";
    let (factor, taken_back) = back.attempts.factor_and_taken_back();
    let changed = connection.prepare_cached(RELEASE)?.execute(params![
        message_id.number(),
        lease_token.expose(),
        back.available_at_ms,
        factor,
        taken_back,
        back.error,
    ])?;
    Ok(changed == 1)
}

fn bury(
    connection: &Connection,
    message_id: MessageId,
    lease_token: &LeaseToken,
    error: &str,
    now_ms: i64,
) -> Result<bool> {
    const BURY: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL, dead_at_ms = ?3, last_error = ?4 \
         WHERE message_id = ?1 AND lease_token = ?2";
    let changed = connection.prepare_cached(BURY)?.execute(params![
        message_id.number(),
        lease_token.expose(),
        now_ms,
        error
    ])?;
    Ok(changed == 1)
}
