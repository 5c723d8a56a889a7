//! Table `queue_time`: the queue's time in the database. See [`crate::store::queue_time`].

use super::db::{Columns, Db, values};
use super::writes::Write;
use crate::error::WorldError;
use crate::store::queue_time::KEEP_EVERY_MS;

/// The latest time that any process on the database has reached, as a value of a statement; or an earlier
/// one than the parameter, if nobody is further than that. A message's id begins with its time, so only
/// newer messages are looked at: the last entries of the index may be many, of messages that are gone.
macro_rules! reached {
    ($known:literal) => {
        concat!(
            "(SELECT greatest(q.reached_ms, (SELECT m.created_at_ms FROM hookline.messages AS m \
               WHERE m.message_id >= ",
            $known,
            " << 20 ORDER BY m.message_id DESC LIMIT 1)) FROM hookline.queue_time AS q)"
        )
    };
}
pub(super) use reached;

/// The latest time that any process on the database has reached.
pub(super) async fn reached_ms(db: &Db) -> Result<i64, WorldError> {
    const REACHED: &str = concat!("SELECT ", reached!("$1"));
    let row = db.first(REACHED, &values![0_i64]).await?;
    Ok(row.map(|row| Columns::of(&row).take()).transpose()?.unwrap_or(0))
}

/// Stores the time that was reached in the database, for later processes.
pub(super) fn keep(now_ms: i64) -> Write {
    const KEEP: &str = "UPDATE hookline.queue_time SET reached_ms = $1 WHERE reached_ms <= $1 - $2";
    Write::new(KEEP, values![now_ms, KEEP_EVERY_MS])
}
