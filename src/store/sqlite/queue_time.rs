//! Table `queue_time`: the queue's time in the database. See [`crate::store::queue_time`].

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::clock::Clock;
use crate::store::queue_time::{KEEP_EVERY_MS, QueueTime};

/// The current time, not earlier than that of any process on this database.
pub(super) fn shared_now_ms(
    time: &QueueTime,
    connection: &Connection,
    clock: &dyn Clock,
) -> Result<i64> {
    const REACHED: &str = "SELECT max(reached_ms, \
         ifnull((SELECT created_at_ms FROM messages ORDER BY message_id DESC LIMIT 1), 0)) \
         FROM queue_time";
    let reached_ms =
        connection.prepare_cached(REACHED)?.query_row([], |row| row.get(0)).optional()?;
    Ok(time.now_at_least_ms(clock, reached_ms.unwrap_or(0)))
}

/// Stores the time that was reached in the database, for later processes.
pub(super) fn keep(connection: &Connection, now_ms: i64) -> Result<()> {
    const KEEP: &str = "UPDATE queue_time SET reached_ms = ?1 WHERE reached_ms <= ?1 - ?2";
    connection.prepare_cached(KEEP)?.execute(params![now_ms, KEEP_EVERY_MS])?;
    Ok(())
}
