//! Table `queue_time`: the queue's time in the database. See [`crate::store::queue_time`].

use super::db::{Columns, Db, Write, values};
use crate::error::WorldError;
use crate::store::queue_time::KEEP_EVERY_MS;

/// The latest time that any process on the database has reached.
pub(super) async fn reached_ms(db: &Db) -> Result<i64, WorldError> {
    const REACHED: &str = "SELECT greatest(reached_ms, \
         (SELECT created_at_ms FROM hookline.messages ORDER BY message_id DESC LIMIT 1)) \
         FROM hookline.queue_time";
    let row = db.first(REACHED, &[]).await?;
    Ok(row.map(|row| Columns::of(&row).take()).transpose()?.unwrap_or(0))
}

/// Stores the time that was reached in the database, for later processes.
pub(super) fn keep(now_ms: i64) -> Write {
    const KEEP: &str = "UPDATE hookline.queue_time SET reached_ms = $1 WHERE reached_ms <= $1 - $2";
    Write::new(KEEP, values![now_ms, KEEP_EVERY_MS])
}
