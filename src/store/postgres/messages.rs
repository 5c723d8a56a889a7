//! Table `messages`: its rows, as transactions load and write them. `claims.rs` claims them.

use std::collections::HashSet;

use tokio_postgres::Row;

use super::db::{Columns, Db, Value, values};
use super::leases::{from_leased, in_order};
use super::loaded::LeaseKey;
use super::rows::without_nul;
use super::writes::{Does, Kind, Write};
use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::domain::message::{NewMessage, Purpose};
use crate::domain::queue::Waiting;
use crate::domain::queue::hold::Refused;
use crate::domain::queue::settle::{Back, Delivered};
use crate::error::WorldError;
use crate::store::columns::ReadColumns;
use crate::store::transaction::{Arrival, LeasedRow, StoppedRow};

/// The numbers of one value of the sequence `message_numbers`.
pub(super) const NUMBERS_OF_BLOCK: i64 = 256;

/// The first of a block of numbers that nobody else has drawn.
pub(super) async fn block_of_numbers(db: &Db) -> Result<i64, WorldError> {
    const NEXT: &str = "SELECT nextval('hookline.message_numbers')";
    let row = db.first(NEXT, &[]).await?;
    row.map(|row| Columns::of(&row).take()).transpose().map(|number| number.unwrap_or_default())
}

pub(super) async fn by_idempotency_key(
    db: &Db,
    key: &str,
) -> Result<Option<MessageId>, WorldError> {
    const BY_KEY: &str = "SELECT message_id FROM hookline.messages \
         WHERE idempotency_key = $1 AND dead_at_ms IS NULL";
    let row = db.first(BY_KEY, &values![key]).await?;
    row.map(|row| Columns::of(&row).message_id()).transpose()
}

/// A message of a run that waits in a queue.
pub(super) type WaitingOf = (RunId, (String, Waiting));

/// Selects waiting messages, locked.
macro_rules! waiting {
    ($of:literal) => {
        concat!(
            "SELECT run_id, queue_name, message_id, is_wake_up, available_at_ms, attempt, \
             held_at_ms IS NOT NULL FROM hookline.messages WHERE ",
            $of,
            " AND step_id IS NULL AND lease_expires_at_ms IS NULL AND dead_at_ms IS NULL \
             ORDER BY run_id, message_id FOR UPDATE"
        )
    };
}

/// The waiting messages of runs, each with its run and its queue. They stay as they are until the end of
/// the transaction: without the lock, a claim that is just committing would take a wake-up that this
/// transaction's event is absorbed by.
pub(super) async fn waiting_of(
    db: &Db,
    run_ids: Vec<String>,
) -> Result<Vec<WaitingOf>, WorldError> {
    const WAITING: &str = waiting!("run_id = ANY ($1)");
    waiting_from(&db.rows(WAITING, &values![run_ids]).await?)
}

/// The same for the runs that these messages replay.
pub(super) async fn waiting_beside(db: &Db, ids: Vec<i64>) -> Result<Vec<WaitingOf>, WorldError> {
    const WAITING: &str = waiting!(
        "run_id = ANY (ARRAY(SELECT CASE WHEN l.step_id IS NULL THEN l.run_id END \
           FROM hookline.messages AS l WHERE l.message_id = ANY ($1)))"
    );
    waiting_from(&db.rows(WAITING, &values![ids]).await?)
}

fn waiting_from(rows: &[Row]) -> Result<Vec<WaitingOf>, WorldError> {
    let waiting = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        let (run_id, queue_name) = (columns.run_id()?, columns.take()?);
        let waiting = Waiting {
            message_id: columns.message_id()?,
            is_wake_up: columns.take()?,
            available_at_ms: columns.take()?,
            attempt: columns.take()?,
            is_held: columns.take()?,
        };
        Ok((run_id, (queue_name, waiting)))
    });
    waiting.collect()
}

/// The messages with these idempotency keys that were not given up.
pub(super) async fn with_keys(
    db: &Db,
    keys: Vec<String>,
) -> Result<Vec<(String, MessageId)>, WorldError> {
    const WITH_KEYS: &str = "SELECT idempotency_key, message_id FROM hookline.messages \
         WHERE idempotency_key = ANY ($1) AND dead_at_ms IS NULL";
    let rows = db.rows(WITH_KEYS, &values![keys]).await?;
    let with_key = |row: &Row| {
        let mut columns = Columns::of(row);
        Ok((columns.take()?, columns.message_id()?))
    };
    rows.iter().map(with_key).collect()
}

pub(super) fn insert(id: MessageId, message: &NewMessage, at: Arrival) -> Write {
    macro_rules! insert {
        () => {
            "INSERT INTO hookline.messages (message_id, queue_name, run_id, step_id, deployment_id, \
             spec_version, is_wake_up, body, headers, idempotency_key, created_at_ms, \
             available_at_ms) "
        };
    }
    const INSERT: &str =
        concat!(insert!(), "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    static INSERTS: Kind = Kind {
        table: "messages",
        many: concat!(
            insert!(),
            "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        ),
        key: 1,
        does: Does::Insert,
    };
    let columns = values![
        id,
        &message.queue_name,
        message.purpose.run(),
        message.purpose.step(),
        &message.demand.deployment_id,
        message.demand.spec_version,
        matches!(message.purpose, Purpose::WakeUp(_)),
        &message.body,
        &message.headers,
        &message.idempotency_key,
        at.created_at_ms,
        at.available_at_ms,
    ];
    Write::of(&INSERTS, INSERT, columns)
}

pub(super) fn move_to(id: MessageId, available_at_ms: i64) -> Write {
    const MOVE: &str = "UPDATE hookline.messages SET available_at_ms = $2 WHERE message_id = $1";
    Write::new(MOVE, values![id, available_at_ms])
}

pub(super) fn make_wake_ups(run_id: &RunId, to: &NewMessage) -> Write {
    const MAKE: &str = "UPDATE hookline.messages SET deployment_id = $2, spec_version = $3, \
         is_wake_up = true, body = $4 WHERE run_id = $1 AND step_id IS NULL";
    static MAKES: Kind = Kind {
        table: "messages",
        many: "UPDATE hookline.messages AS m SET deployment_id = n.deployment_id, \
             spec_version = n.spec_version, is_wake_up = true, body = n.body \
             FROM unnest($1, $2, $3, $4) AS n(run_id, deployment_id, spec_version, body) \
             WHERE m.run_id = n.run_id AND m.step_id IS NULL",
        key: 1,
        does: Does::Update,
    };
    let columns = values![run_id, &to.demand.deployment_id, to.demand.spec_version, &to.body];
    Write::of(&MAKES, MAKE, columns)
}

/// Those of these runs that have a replay in the queue of which nobody has the lease.
pub(super) async fn with_waiting_replays(
    db: &Db,
    run_ids: Vec<String>,
) -> Result<HashSet<RunId>, WorldError> {
    const WAIT: &str = "SELECT DISTINCT run_id FROM hookline.messages WHERE run_id = ANY ($1) \
         AND step_id IS NULL AND lease_expires_at_ms IS NULL AND dead_at_ms IS NULL";
    let rows = db.rows(WAIT, &values![run_ids]).await?;
    rows.iter().map(|row| Columns::of(row).run_id()).collect()
}

pub(super) fn delete_wake_ups(run_id: &RunId) -> Write {
    const DELETE: &str = "DELETE FROM hookline.messages WHERE run_id = $1 \
         AND ((is_wake_up AND lease_expires_at_ms IS NULL) OR held_at_ms IS NOT NULL)";
    // No deletion of rows by their key, which may be moved: it finds what was put in before it.
    static DELETES: Kind = Kind {
        table: "messages",
        many: "DELETE FROM hookline.messages WHERE run_id = ANY ($1) \
             AND ((is_wake_up AND lease_expires_at_ms IS NULL) OR held_at_ms IS NOT NULL)",
        key: 1,
        does: Does::Update,
    };
    Write::of(&DELETES, DELETE, values![run_id])
}

pub(super) fn delete_unclaimed(run_id: &RunId) -> Write {
    const DELETE: &str =
        "DELETE FROM hookline.messages WHERE run_id = $1 AND lease_expires_at_ms IS NULL";
    Write::new(DELETE, values![run_id])
}

pub(super) fn move_to_release(run_id: &RunId, release_id: &str) -> Write {
    const MOVE: &str = "UPDATE hookline.messages SET deployment_id = $2, refused_by = NULL, \
         held_at_ms = NULL WHERE run_id = $1";
    Write::new(MOVE, values![run_id, release_id])
}

/// Runs that are not there, but have at most `limit` messages for a release that nobody has the lease of,
/// each as often as it has messages.
pub(super) async fn runs_to_create(
    db: &Db,
    release_id: &str,
    limit: usize,
) -> Result<Vec<RunId>, WorldError> {
    const RUNS: &str = "SELECT run_id FROM hookline.messages AS m \
         WHERE deployment_id = $1 AND lease_token IS NULL AND dead_at_ms IS NULL \
         AND run_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM hookline.runs AS r WHERE r.run_id = m.run_id) LIMIT $2";
    let rows = db.rows(RUNS, &values![release_id, limit]).await?;
    rows.iter().map(|row| Columns::of(row).run_id()).collect()
}

pub(super) fn delete_for_deployment(deployment_id: &str) -> Write {
    const DELETE: &str = "DELETE FROM hookline.messages WHERE deployment_id = $1 \
         AND lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL";
    Write::new(DELETE, values![deployment_id])
}

pub(super) fn delete(id: MessageId) -> Write {
    const DELETE: &str = "DELETE FROM hookline.messages WHERE message_id = $1";
    static DELETES: Kind = Kind {
        table: "messages",
        many: "DELETE FROM hookline.messages WHERE message_id = ANY ($1)",
        key: 1,
        does: Does::Delete,
    };
    Write::of(&DELETES, DELETE, values![id])
}

/// Messages with their leases, which stay as they are until the end of the transaction.
pub(super) async fn leased(
    db: &Db,
    leases: impl Iterator<Item = (i64, String)>,
) -> Result<Vec<(LeaseKey, LeasedRow)>, WorldError> {
    const LEASED: &str = concat!(
        "SELECT m.message_id, m.lease_token, m.is_wake_up, m.attempt, m.spec_version, m.queue_name, \
         CASE WHEN m.step_id IS NULL THEN m.run_id END, m.lease_owner, m.refused_by",
        from_leased!()
    );
    let (ids, tokens) = in_order(leases);
    let rows = db.rows(LEASED, &values![ids, tokens]).await?;
    let leased = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        let key = (columns.message_id()?, columns.take()?);
        let delivered = Delivered {
            is_wake_up: columns.take()?,
            attempt: columns.take()?,
            spec_version: columns.version()?,
        };
        let leased = LeasedRow {
            delivered,
            queue_name: columns.take()?,
            run_id: columns.take::<Option<String>>()?.map(RunId::new),
            lease_owner: columns.take()?,
            refused_by: names_of(columns.take()?),
        };
        Ok((key, leased))
    });
    leased.collect()
}

/// The workers of the column `refused_by`. Their names hold no spaces.
pub(super) fn names_of(refused_by: Option<String>) -> Vec<String> {
    refused_by.iter().flat_map(|names| names.split(' ')).map(str::to_owned).collect()
}

pub(super) fn refuse(id: MessageId, refused: &Refused, back: &Back) -> Write {
    const REFUSE: &str = "UPDATE hookline.messages SET freed_lease_token = lease_token, \
         lease_owner = NULL, lease_token = NULL, lease_expires_at_ms = NULL, available_at_ms = $2, \
         attempt = $3, last_error = $4, refused_by = $5, held_at_ms = $6 WHERE message_id = $1";
    let columns = values![
        id,
        back.available_at_ms,
        back.attempt,
        back.error.as_deref().map(without_nul),
        refused.by.join(" "),
        refused.is_held.then_some(back.available_at_ms),
    ];
    Write::new(REFUSE, columns)
}

/// The most messages that one look for the end of their last worker reads.
const PASSED_ON_MAX: i64 = 1000;

/// At most [`PASSED_ON_MAX`] of them.
pub(super) async fn passed_on(db: &Db) -> Result<Vec<(MessageId, Vec<String>)>, WorldError> {
    // A message without a lease has no time of its end. "lease_token IS NULL" would allow the index of
    // all that is unclaimed.
    const PASSED_ON: &str = "SELECT message_id, refused_by FROM hookline.messages \
         WHERE refused_by IS NOT NULL AND held_at_ms IS NULL AND lease_expires_at_ms IS NULL \
         AND dead_at_ms IS NULL ORDER BY message_id LIMIT $1 FOR UPDATE SKIP LOCKED";
    let rows = db.rows(PASSED_ON, &values![PASSED_ON_MAX]).await?;
    let passed_on = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok((columns.message_id()?, names_of(columns.take()?)))
    });
    passed_on.collect()
}

pub(super) fn hold(id: MessageId, now_ms: i64) -> Write {
    const HOLD: &str = "UPDATE hookline.messages SET held_at_ms = $2 WHERE message_id = $1";
    Write::new(HOLD, values![id, now_ms])
}

/// Forgets every refusal; returns how many messages had one.
pub(super) async fn take_up_refused(db: &Db) -> Result<usize, WorldError> {
    const TAKE_UP: &str = "UPDATE hookline.messages SET refused_by = NULL, held_at_ms = NULL \
         WHERE message_id = ANY (ARRAY(SELECT message_id FROM hookline.messages \
           WHERE held_at_ms IS NOT NULL OR (refused_by IS NOT NULL AND held_at_ms IS NULL) \
           ORDER BY message_id + 0 FOR UPDATE))";
    Ok(db.execute(TAKE_UP, &[]).await? as usize)
}

pub(super) fn put_back(id: MessageId, back: &Back) -> Write {
    const PUT_BACK: &str = "UPDATE hookline.messages SET freed_lease_token = lease_token, \
         lease_owner = NULL, lease_token = NULL, lease_expires_at_ms = NULL, \
         available_at_ms = $2, attempt = $3, last_error = $4 WHERE message_id = $1";
    Write::new(PUT_BACK, back_values(id, back))
}

pub(super) fn change_waiting(id: MessageId, back: &Back) -> Write {
    const CHANGE: &str = "UPDATE hookline.messages SET available_at_ms = $2, attempt = $3, \
         last_error = coalesce($4, last_error) WHERE message_id = $1";
    Write::new(CHANGE, back_values(id, back))
}

fn back_values(id: MessageId, back: &Back) -> [Value; 4] {
    let error = back.error.as_deref().map(without_nul);
    values![id, back.available_at_ms, back.attempt, error]
}

pub(super) fn bury(id: MessageId, error: &str, now_ms: i64) -> Write {
    const BURY: &str = "UPDATE hookline.messages SET freed_lease_token = lease_token, \
         lease_owner = NULL, lease_token = NULL, lease_expires_at_ms = NULL, dead_at_ms = $2, \
         last_error = $3 WHERE message_id = $1";
    Write::new(BURY, values![id, now_ms, without_nul(error)])
}

pub(super) async fn stopped(db: &Db, id: MessageId) -> Result<Option<StoppedRow>, WorldError> {
    const STOPPED: &str = "SELECT created_at_ms, idempotency_key FROM hookline.messages \
         WHERE message_id = $1 AND (dead_at_ms IS NOT NULL OR held_at_ms IS NOT NULL) FOR UPDATE";
    let row = db.first(STOPPED, &values![id]).await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(StoppedRow { created_at_ms: columns.take()?, idempotency_key: columns.take()? })
    })
    .transpose()
}

pub(super) fn revive(id: MessageId, available_at_ms: i64) -> Write {
    const REVIVE: &str = "UPDATE hookline.messages SET dead_at_ms = NULL, held_at_ms = NULL, \
         refused_by = NULL, attempt = 0, available_at_ms = $2 WHERE message_id = $1";
    Write::new(REVIVE, values![id, available_at_ms])
}

/// The step that a message executes.
pub(super) fn step_id(columns: &mut Columns<'_>) -> Result<Option<CorrelationId>, WorldError> {
    Ok(columns.take::<Option<String>>()?.map(CorrelationId::new))
}
