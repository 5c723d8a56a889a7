//! Dead and held messages, and the depth of the queue.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, Row, params};

use super::due;
use super::messages::{MESSAGE_COLUMNS, MESSAGES, message_columns};
use super::releases;
use crate::domain::id::{MessageId, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::queue::offer::{Demand, Offer};
use crate::error::WorldError;
use crate::store::{LogState, Parked, QueueDepth, Stopped, StoppedMessage};

/// The largest number to which the queue's depth is counted, because counting reads each counted row.
pub(super) const COUNTED_MAX: i64 = 100_000;

/// Counts along the partial indexes of the queue, each number up to [`COUNTED_MAX`].
pub(super) fn queue_depth(
    connection: &Connection,
    living: &[Offer],
    now_ms: i64,
) -> Result<QueueDepth> {
    const LEASED: &str =
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE lease_token IS NOT NULL LIMIT ?)";
    const DEAD: &str =
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE dead_at_ms IS NOT NULL LIMIT ?)";
    const HELD: &str =
        "SELECT count(*) FROM (SELECT 1 FROM messages WHERE held_at_ms IS NOT NULL LIMIT ?)";
    const RUNS: &str = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE status = ? LIMIT ?)";
    let view = connection.unchecked_transaction()?;
    let count = |sql: &str| view.prepare_cached(sql)?.query_row([COUNTED_MAX], |row| row.get(0));
    let runs = |status: &str| {
        view.prepare_cached(RUNS)?.query_row(params![status, COUNTED_MAX], |row| row.get(0))
    };
    let releases = releases::ids(&view)?;
    let is_offered = |demand: &Demand| {
        living.is_empty() || living.iter().any(|offer| offer.covers(demand, &releases))
    };
    let (mut due, mut sleeping, mut first_due_at_ms) = (0, 0, i64::MAX);
    let mut parked: BTreeMap<Demand, Parked> = BTreeMap::new();
    for (lane, (first_at_ms, _)) in due::lanes(&view, &[String::new()])? {
        sleeping += due::count(&view, &lane, (now_ms, i64::MAX), COUNTED_MAX - sleeping)?;
        let count = due::count(&view, &lane, (i64::MIN, now_ms), COUNTED_MAX - due)?;
        if is_offered(&lane.demand) {
            due += count;
            first_due_at_ms = first_due_at_ms.min(first_at_ms);
        } else if count > 0 {
            let of = |demand| Parked { demand, count: 0, oldest_due_ms: 0 };
            let demand = lane.demand;
            let entry = parked.entry(demand.clone()).or_insert_with(|| of(demand));
            entry.count += count;
            entry.oldest_due_ms = entry.oldest_due_ms.max(now_ms - first_at_ms);
        }
    }
    Ok(QueueDepth {
        due,
        parked: parked.into_values().collect(),
        sleeping,
        leased: count(LEASED)?,
        dead: count(DEAD)?,
        held: count(HELD)?,
        oldest_due_ms: (due > 0).then(|| now_ms - first_due_at_ms),
        pending_runs: runs("pending")?,
        running_runs: runs("running")?,
        log: LogState::default(),
    })
}

/// A page of dead or held messages. Its key is the number of the last one.
pub(super) fn list(
    connection: &Connection,
    stopped: Stopped,
    page: &PageRequest,
) -> std::result::Result<Page<StoppedMessage>, WorldError> {
    let (column, index) = match stopped {
        Stopped::Dead => ("dead_at_ms", "messages_dead"),
        Stopped::Held => ("held_at_ms", "messages_held"),
    };
    let (comparison, direction, first) = match page.order {
        SortOrder::Ascending => (">", "ASC", i64::MIN),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let sql = format!(
        "SELECT {}, attempt, last_error, {column} FROM messages INDEXED BY {index} \
         WHERE {column} IS NOT NULL AND message_id {comparison} ? \
         ORDER BY message_id {direction} LIMIT ?",
        message_columns!("")
    );
    let after = page.after_number()?.unwrap_or(first);
    let messages: Vec<StoppedMessage> = connection
        .prepare_cached(&sql)?
        .query_map(params![after, (page.limit + 1) as i64], stopped_of)?
        .collect::<Result<_>>()?;
    Ok(Page::from_lookahead(messages, page.limit, |message| {
        message.message_id.number().to_string()
    }))
}

/// Checks and reads the [`message_columns`], then `attempt, last_error` and the time since when the
/// message is not delivered.
fn stopped_of(row: &Row<'_>) -> Result<StoppedMessage> {
    MESSAGES.verify(row, 0)?;
    Ok(StoppedMessage {
        message_id: MessageId::from_number(row.get(0)?),
        queue_name: row.get(1)?,
        run_id: row.get::<_, Option<String>>(2)?.map(RunId::new),
        attempt: row.get(MESSAGE_COLUMNS)?,
        error: row.get(MESSAGE_COLUMNS + 1)?,
        created_at_ms: row.get(10)?,
        stopped_at_ms: row.get(MESSAGE_COLUMNS + 2)?,
    })
}
