//! Table `messages`: its rows, as transactions load and write them. `claims.rs` claims them.

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::{Check, Table};
use super::due::{self, Lane};
use super::long_values;
use crate::domain::id::{CorrelationId, LeaseToken, MessageId, RunId};
use crate::domain::message::{Delivery, NewMessage, Purpose};
use crate::domain::queue::Waiting;
use crate::domain::queue::hold::Refused;
use crate::domain::queue::settle::{Back, Delivered};
use crate::store::transaction::{Arrival, LeasedRow, StoppedRow};

/// The columns of a message that never change, under one checksum. The argument is put before each
/// name.
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
            "step_id, ",
            $of,
            "deployment_id, ",
            $of,
            "spec_version, ",
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

pub(super) static MESSAGES: Table = Table { name: "messages", columns: 11, key: &[0] };
/// The number of [`message_columns`]. The columns that its deliveries change follow them.
pub(super) const MESSAGE_COLUMNS: usize = 12;

/// Checks every message.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", message_columns!(""), " FROM messages"),
    verify: |row| MESSAGES.verify(row, 0),
};

pub(super) fn message_id(row: &Row<'_>) -> Result<MessageId> {
    Ok(MessageId::from_number(row.get(0)?))
}

/// Reads the [`message_columns`] of a checked message, then its `attempt`.
pub(super) fn delivery_of(row: &Row<'_>, lease_token: LeaseToken) -> Result<Delivery> {
    Ok(Delivery {
        message_id: message_id(row)?,
        queue_name: row.get(1)?,
        body: row.get(7)?,
        headers: row.get(8)?,
        attempt: row.get(MESSAGE_COLUMNS)?,
        lease_token,
    })
}

pub(super) fn by_idempotency_key(connection: &Connection, key: &str) -> Result<Option<MessageId>> {
    const BY_KEY: &str =
        "SELECT message_id FROM messages WHERE idempotency_key = ? AND dead_at_ms IS NULL";
    connection.prepare_cached(BY_KEY)?.query_row([key], message_id).optional()
}

pub(super) fn waiting(
    connection: &Connection,
    run_id: &RunId,
    queue_name: &str,
) -> Result<Vec<Waiting>> {
    const WAITING: &str = "SELECT message_id, is_wake_up, available_at_ms, attempt, \
         held_at_ms IS NOT NULL FROM messages INDEXED BY messages_by_run \
         WHERE run_id = ? AND step_id IS NULL AND queue_name = ? AND lease_token IS NULL AND dead_at_ms IS NULL";
    let waiting_of = |row: &Row<'_>| {
        Ok(Waiting {
            message_id: message_id(row)?,
            is_wake_up: row.get(1)?,
            available_at_ms: row.get(2)?,
            attempt: row.get(3)?,
            is_held: row.get(4)?,
        })
    };
    connection
        .prepare_cached(WAITING)?
        .query_map(params![run_id.as_str(), queue_name], waiting_of)?
        .collect()
}

/// Inserts a message. Ids grow in the order of insertion, even if two processes draw the same number in
/// the same millisecond.
pub(super) fn insert(
    connection: &Connection,
    message: &NewMessage,
    at: Arrival,
) -> Result<MessageId> {
    const NEWEST: &str = "SELECT max(message_id) FROM messages";
    const INSERT: &str = concat!(
        "INSERT INTO messages (",
        message_columns!(""),
        ", available_at_ms, filler) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let newest: Option<i64> = connection.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?;
    let after_newest = newest.map(|newest| MessageId::from_number(newest + 1));
    let id = after_newest.map_or(at.fresh_id, |next| next.max(at.fresh_id));
    let columns = params![
        id.number(),
        message.queue_name,
        message.purpose.run().map(RunId::as_str),
        message.purpose.step().map(CorrelationId::as_str),
        message.demand.deployment_id,
        message.demand.spec_version,
        matches!(message.purpose, Purpose::WakeUp(_)),
        message.body,
        message.headers,
        message.idempotency_key,
        at.created_at_ms,
    ];
    let mut statement = connection.prepare_cached(INSERT)?;
    let rest = params![at.available_at_ms, long_values::filler(message.keeping)];
    MESSAGES.write(&mut statement, columns, rest)?;
    Ok(id)
}

pub(super) fn move_to(connection: &Connection, id: MessageId, available_at_ms: i64) -> Result<()> {
    const MOVE: &str = "UPDATE messages SET available_at_ms = ?2 WHERE message_id = ?1";
    connection.prepare_cached(MOVE)?.execute(params![id.number(), available_at_ms])?;
    Ok(())
}

pub(super) fn make_wake_ups(connection: &Connection, run: &RunId, to: &NewMessage) -> Result<()> {
    const REPLAYS: &str = concat!(
        "SELECT ",
        message_columns!(""),
        " FROM messages WHERE run_id = ? AND step_id IS NULL"
    );
    const MAKE_WAKE_UP: &str = "UPDATE messages SET deployment_id = ?5, spec_version = ?6, \
         is_wake_up = ?7, filler = NULL, body = ?8, checksum = ?12 WHERE message_id = ?1";
    let mut update = connection.prepare_cached(MAKE_WAKE_UP)?;
    let mut select = connection.prepare_cached(REPLAYS)?;
    let rows = select.query_map([run.as_str()], |row| {
        MESSAGES.verify(row, 0)?;
        let (queue_name, headers, key): (String, Option<String>, Option<String>) =
            (row.get(1)?, row.get(8)?, row.get(9)?);
        Ok((message_id(row)?, queue_name, headers, key, row.get::<_, i64>(10)?))
    })?;
    for row in rows.collect::<Result<Vec<_>>>()? {
        let (id, queue_name, headers, key, created_at_ms) = row;
        let no_step: Option<&str> = None;
        let columns = params![
            id.number(),
            queue_name,
            run.as_str(),
            no_step,
            to.demand.deployment_id,
            to.demand.spec_version,
            true,
            to.body,
            headers,
            key,
            created_at_ms
        ];
        MESSAGES.write(&mut update, columns, &[])?;
    }
    Ok(())
}

/// Gives every message of a run to another release, whose workers have not refused it.
pub(super) fn move_to_release(
    connection: &Connection,
    run: &RunId,
    release_id: &str,
) -> Result<()> {
    const OF_RUN: &str =
        concat!("SELECT ", message_columns!(""), " FROM messages WHERE run_id = ?");
    const MOVE: &str = "UPDATE messages SET deployment_id = ?5, checksum = ?12, \
         refused_by = NULL, held_at_ms = NULL WHERE message_id = ?1";
    let mut update = connection.prepare_cached(MOVE)?;
    let mut select = connection.prepare_cached(OF_RUN)?;
    let rows = select.query_map([run.as_str()], |row| {
        MESSAGES.verify(row, 0)?;
        (0..MESSAGES.columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>>>()
    })?;
    for mut columns in rows.collect::<Result<Vec<_>>>()? {
        columns[4] = Value::Text(release_id.to_owned());
        let columns: Vec<&dyn ToSql> = columns.iter().map(|value| value as &dyn ToSql).collect();
        MESSAGES.write(&mut update, &columns, &[])?;
    }
    Ok(())
}

/// Runs that are not there, but have messages for a release that nobody has the lease of, each as often as
/// it has messages; at most `limit` of a lane.
pub(super) fn runs_to_create(
    connection: &Connection,
    release_id: &str,
    limit: usize,
) -> Result<Vec<RunId>> {
    const IN_LANE: &str = "SELECT run_id FROM messages AS m INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
         AND queue_name = ? AND deployment_id = ? AND spec_version = ? AND run_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = m.run_id) LIMIT ?";
    const HELD: &str = "SELECT run_id FROM messages AS m INDEXED BY messages_held \
         WHERE held_at_ms IS NOT NULL AND deployment_id = ? AND run_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.run_id = m.run_id) LIMIT ?";
    let limit = limit as i64;
    let run_id = |row: &Row<'_>| Ok(RunId::new(row.get::<_, String>(0)?));
    let mut held = connection.prepare_cached(HELD)?;
    let mut runs: Vec<RunId> =
        held.query_map(params![release_id, limit], run_id)?.collect::<Result<_>>()?;
    let mut in_lane = connection.prepare_cached(IN_LANE)?;
    for (Lane { queue_name, demand }, _) in due::lanes(connection, &[String::new()])? {
        if demand.deployment_id != release_id {
            continue;
        }
        let key = params![queue_name, release_id, demand.spec_version, limit];
        for run in in_lane.query_map(key, run_id)? {
            runs.push(run?);
        }
    }
    Ok(runs)
}

/// Deletes the messages for a deployment id that are neither leased nor stopped.
pub(super) fn delete_for_deployment(connection: &Connection, deployment_id: &str) -> Result<()> {
    const DELETE_LANE: &str = "DELETE FROM messages WHERE message_id IN \
         (SELECT message_id FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
         AND queue_name = ? AND deployment_id = ? AND spec_version = ?)";
    let mut delete = connection.prepare_cached(DELETE_LANE)?;
    for (Lane { queue_name, demand }, _) in due::lanes(connection, &[String::new()])? {
        if demand.deployment_id == deployment_id {
            delete.execute(params![queue_name, demand.deployment_id, demand.spec_version])?;
        }
    }
    Ok(())
}

pub(super) fn has_waiting_replay(connection: &Connection, run_id: &RunId) -> Result<bool> {
    const WAITS: &str = "SELECT 1 FROM messages INDEXED BY messages_by_run \
         WHERE run_id = ? AND step_id IS NULL AND lease_token IS NULL AND dead_at_ms IS NULL";
    connection.prepare_cached(WAITS)?.exists([run_id.as_str()])
}

pub(super) fn delete_wake_ups(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_WAKE_UPS: &str = "DELETE FROM messages WHERE run_id = ? \
         AND ((is_wake_up AND lease_token IS NULL) OR held_at_ms IS NOT NULL)";
    connection.prepare_cached(DELETE_WAKE_UPS)?.execute([run_id.as_str()])?;
    Ok(())
}

pub(super) fn delete_unclaimed(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_UNCLAIMED: &str = "DELETE FROM messages WHERE run_id = ? AND lease_token IS NULL";
    connection.prepare_cached(DELETE_UNCLAIMED)?.execute([run_id.as_str()])?;
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: MessageId) -> Result<()> {
    const DELETE: &str = "DELETE FROM messages WHERE message_id = ?";
    connection.prepare_cached(DELETE)?.execute([id.number()])?;
    Ok(())
}

pub(super) fn leased(
    connection: &Connection,
    id: MessageId,
    lease_token: &LeaseToken,
) -> Result<Option<LeasedRow>> {
    const LEASED: &str = "SELECT is_wake_up, attempt, spec_version, queue_name, \
         CASE WHEN step_id IS NULL THEN run_id END, lease_owner, refused_by FROM messages \
         WHERE message_id = ? AND lease_token = ?";
    let leased_of = |row: &Row<'_>| {
        Ok(LeasedRow {
            delivered: Delivered {
                is_wake_up: row.get(0)?,
                attempt: row.get(1)?,
                spec_version: row.get(2)?,
            },
            queue_name: row.get(3)?,
            run_id: row.get::<_, Option<String>>(4)?.map(RunId::new),
            lease_owner: row.get(5)?,
            refused_by: names_of(row.get(6)?),
        })
    };
    connection
        .prepare_cached(LEASED)?
        .query_row(params![id.number(), lease_token.expose()], leased_of)
        .optional()
}

/// The workers of the column `refused_by`. Their names hold no spaces.
pub(super) fn names_of(refused_by: Option<String>) -> Vec<String> {
    refused_by.iter().flat_map(|names| names.split(' ')).map(str::to_owned).collect()
}

pub(super) fn refuse(
    connection: &Connection,
    id: MessageId,
    refused: &Refused,
    back: &Back,
) -> Result<()> {
    const REFUSE: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL, available_at_ms = ?2, attempt = ?3, \
         last_error = ?4, refused_by = ?5, held_at_ms = ?6 WHERE message_id = ?1";
    connection.prepare_cached(REFUSE)?.execute(params![
        id.number(),
        back.available_at_ms,
        back.attempt,
        back.error,
        refused.by.join(" "),
        refused.is_held.then_some(back.available_at_ms),
    ])?;
    Ok(())
}

/// The most messages that one look for the end of their last worker reads.
const PASSED_ON_MAX: i64 = 1000;

/// At most [`PASSED_ON_MAX`] of them.
pub(super) fn passed_on(connection: &Connection) -> Result<Vec<(MessageId, Vec<String>)>> {
    const PASSED_ON: &str = "SELECT message_id, refused_by FROM messages \
         INDEXED BY messages_passed_on WHERE refused_by IS NOT NULL AND held_at_ms IS NULL \
         AND lease_token IS NULL AND dead_at_ms IS NULL LIMIT ?";
    connection
        .prepare_cached(PASSED_ON)?
        .query_map([PASSED_ON_MAX], |row| Ok((message_id(row)?, names_of(row.get(1)?))))?
        .collect()
}

pub(super) fn hold(connection: &Connection, id: MessageId, now_ms: i64) -> Result<()> {
    const HOLD: &str = "UPDATE messages SET held_at_ms = ?2 WHERE message_id = ?1";
    connection.prepare_cached(HOLD)?.execute(params![id.number(), now_ms])?;
    Ok(())
}

/// Forgets every refusal; returns how many messages had one.
pub(super) fn take_up_refused(connection: &Connection) -> Result<usize> {
    const TAKE_UP: [&str; 2] = [
        "UPDATE messages INDEXED BY messages_held \
         SET refused_by = NULL, held_at_ms = NULL WHERE held_at_ms IS NOT NULL",
        "UPDATE messages INDEXED BY messages_passed_on \
         SET refused_by = NULL WHERE refused_by IS NOT NULL AND held_at_ms IS NULL",
    ];
    let mut count = 0;
    for sql in TAKE_UP {
        count += connection.prepare_cached(sql)?.execute([])?;
    }
    Ok(count)
}

pub(super) fn delete_leased(
    connection: &Connection,
    id: MessageId,
    lease_token: &LeaseToken,
) -> Result<bool> {
    const DELETE_LEASED: &str = "DELETE FROM messages WHERE message_id = ? AND lease_token = ?";
    let changed = connection
        .prepare_cached(DELETE_LEASED)?
        .execute(params![id.number(), lease_token.expose()])?;
    Ok(changed == 1)
}

pub(super) fn put_back(connection: &Connection, id: MessageId, back: &Back) -> Result<()> {
    const PUT_BACK: &str = "UPDATE messages SET freed_lease_token = lease_token, \
         lease_owner = NULL, lease_token = NULL, lease_expires_at_ms = NULL, \
         available_at_ms = ?2, attempt = ?3, last_error = ?4 WHERE message_id = ?1";
    write_back(connection, PUT_BACK, id, back)
}

pub(super) fn change_waiting(connection: &Connection, id: MessageId, back: &Back) -> Result<()> {
    const CHANGE: &str = "UPDATE messages SET available_at_ms = ?2, attempt = ?3, \
         last_error = ifnull(?4, last_error) WHERE message_id = ?1";
    write_back(connection, CHANGE, id, back)
}

fn write_back(connection: &Connection, sql: &str, id: MessageId, back: &Back) -> Result<()> {
    let Back { available_at_ms, attempt, error } = back;
    connection.prepare_cached(sql)?.execute(params![
        id.number(),
        available_at_ms,
        attempt,
        error
    ])?;
    Ok(())
}

pub(super) fn bury(connection: &Connection, id: MessageId, error: &str, now_ms: i64) -> Result<()> {
    const BURY: &str = "UPDATE messages SET freed_lease_token = lease_token, lease_owner = NULL, \
         lease_token = NULL, lease_expires_at_ms = NULL, dead_at_ms = ?2, last_error = ?3 \
         WHERE message_id = ?1";
    connection.prepare_cached(BURY)?.execute(params![id.number(), now_ms, error])?;
    Ok(())
}

pub(super) fn stopped(connection: &Connection, id: MessageId) -> Result<Option<StoppedRow>> {
    const STOPPED: &str = "SELECT created_at_ms, idempotency_key FROM messages \
         WHERE message_id = ? AND (dead_at_ms IS NOT NULL OR held_at_ms IS NOT NULL)";
    let stopped_of =
        |row: &Row<'_>| Ok(StoppedRow { created_at_ms: row.get(0)?, idempotency_key: row.get(1)? });
    connection.prepare_cached(STOPPED)?.query_row([id.number()], stopped_of).optional()
}

pub(super) fn revive(connection: &Connection, id: MessageId, available_at_ms: i64) -> Result<()> {
    const REVIVE: &str = "UPDATE messages SET dead_at_ms = NULL, held_at_ms = NULL, refused_by = NULL, \
         attempt = 0, available_at_ms = ?2 WHERE message_id = ?1";
    connection.prepare_cached(REVIVE)?.execute(params![id.number(), available_at_ms])?;
    Ok(())
}
