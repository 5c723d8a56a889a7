//! Dead and held messages, and the depth of the queue.

use std::collections::BTreeMap;

use super::db::{Columns, Db, values};
use super::{due, releases};
use crate::domain::id::RunId;
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::queue::offer::{Demand, Offer};
use crate::error::WorldError;
use crate::store::{Parked, QueueDepth, Stopped, StoppedMessage};

/// The largest number to which the queue's depth is counted, because counting reads each counted row.
pub(super) const COUNTED_MAX: i64 = 100_000;

/// Counts along the partial indexes of the queue, each number up to [`COUNTED_MAX`].
pub(super) async fn queue_depth(
    db: &Db,
    living: &[Offer],
    now_ms: i64,
) -> Result<QueueDepth, WorldError> {
    const DEPTH: &str = "SELECT \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.messages \
           WHERE lease_token IS NOT NULL LIMIT $1) AS c), \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.messages \
           WHERE dead_at_ms IS NOT NULL LIMIT $1) AS c), \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.messages \
           WHERE held_at_ms IS NOT NULL LIMIT $1) AS c), \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.runs \
           WHERE status = 'pending' LIMIT $1) AS c), \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.runs \
           WHERE status = 'running' LIMIT $1) AS c)";
    let row = db.first(DEPTH, &values![COUNTED_MAX]).await?;
    let row = row.ok_or_else(|| super::fault::damage("no counts"))?;
    let mut columns = Columns::of(&row);
    let mut depth = QueueDepth {
        leased: columns.take()?,
        dead: columns.take()?,
        held: columns.take()?,
        pending_runs: columns.take()?,
        running_runs: columns.take()?,
        ..QueueDepth::default()
    };
    let releases = releases::ids(db).await?;
    let is_offered = |demand: &Demand| {
        living.is_empty() || living.iter().any(|offer| offer.covers(demand, &releases))
    };
    let lanes = due::lanes(db, &[String::new()]).await?;
    let mut parked: BTreeMap<Demand, Parked> = BTreeMap::new();
    for (lane, counted) in lanes.iter().zip(due::counts(db, &lanes, now_ms).await?) {
        let for_ms = now_ms - counted.first_at_ms;
        depth.sleeping = (depth.sleeping + counted.sleeping).min(COUNTED_MAX);
        if counted.due == 0 {
            continue;
        }
        if is_offered(&lane.demand) {
            depth.due = (depth.due + counted.due).min(COUNTED_MAX);
            depth.oldest_due_ms = depth.oldest_due_ms.max(Some(for_ms));
        } else {
            let of = |demand| Parked { demand, count: 0, oldest_due_ms: 0 };
            let demand = lane.demand.clone();
            let entry = parked.entry(demand.clone()).or_insert_with(|| of(demand));
            entry.count += counted.due;
            entry.oldest_due_ms = entry.oldest_due_ms.max(for_ms);
        }
    }
    Ok(QueueDepth { parked: parked.into_values().collect(), ..depth })
}

/// Stopped messages in the order in which they were enqueued.
pub(super) async fn list(
    db: &Db,
    stopped: Stopped,
    page: &PageRequest,
) -> Result<Page<StoppedMessage>, WorldError> {
    let column = match stopped {
        Stopped::Dead => "dead_at_ms",
        Stopped::Held => "held_at_ms",
    };
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", i64::MIN),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let sql = format!(
        "SELECT message_id, queue_name, run_id, attempt, last_error, created_at_ms, {column} \
         FROM hookline.messages WHERE {column} IS NOT NULL AND message_id {comparison} $1 \
         ORDER BY message_id {direction} LIMIT $2"
    );
    let after = page.after_number()?.unwrap_or(edge);
    let rows = db.rows_of(&sql, &values![after, page.limit + 1]).await?;
    let messages = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(StoppedMessage {
            message_id: columns.message_id()?,
            queue_name: columns.take()?,
            run_id: columns.take::<Option<String>>()?.map(RunId::new),
            attempt: columns.take()?,
            error: columns.take()?,
            created_at_ms: columns.take()?,
            stopped_at_ms: columns.take()?,
        })
    });
    let messages = messages.collect::<Result<Vec<_>, WorldError>>()?;
    Ok(Page::from_lookahead(messages, page.limit, |message| {
        message.message_id.number().to_string()
    }))
}
