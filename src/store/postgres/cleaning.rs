//! Removes the dead rows of the queue while this process delivers much.
//!
//! Each delivery leaves dead rows in the table of messages, and every claim walks over their entries in
//! the index. The server's autovacuum looks only once in a minute. By then a busy queue has so many of
//! them that a claim takes several times as long.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::connect::{Connector, LONG_ANSWER_WITHIN};
use super::db::{Columns, Db};
use crate::error::WorldError;

/// So many deliveries of this process make it look for dead rows. Each leaves two.
const LOOK_AFTER: usize = 20_000;
/// The fewest dead rows for which a vacuum is worth it.
const DEAD_MIN: i64 = 20_000;
/// The server counts its dead rows a little later.
const COUNTED_AFTER: Duration = Duration::from_secs(1);

/// Cleans the queue of one database, on a thread that lives only meanwhile.
pub(super) struct Cleaning {
    connector: Connector,
    /// Since the last look.
    delivered: Cell<usize>,
    /// Dead rows that the last vacuum could not remove.
    left_behind: Arc<AtomicI64>,
    thread: RefCell<Option<JoinHandle<()>>>,
    closes: Arc<Notify>,
}

impl Cleaning {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            delivered: Cell::default(),
            left_behind: Arc::default(),
            thread: RefCell::default(),
            closes: Arc::default(),
        }
    }

    /// Notes that this process has claimed so many messages. Cleans if there were many.
    pub(super) fn delivered(&self, count: usize) {
        self.delivered.set(self.delivered.get() + count);
        let is_at_work = |thread: &JoinHandle<()>| !thread.is_finished();
        if self.delivered.get() < LOOK_AFTER
            || self.thread.borrow().as_ref().is_some_and(is_at_work)
        {
            return;
        }
        self.delivered.set(0);
        let (connector, closes) = (self.connector.clone(), Arc::clone(&self.closes));
        let left_behind = Arc::clone(&self.left_behind);
        // What fails is left to the server's autovacuum, and to the next look.
        let work = move || drop(clean(&connector, &left_behind, &closes));
        let thread = std::thread::Builder::new().name("hookline-postgres-cleaning".into());
        self.thread.replace(thread.spawn(work).ok());
    }
}

impl Drop for Cleaning {
    /// Ends the thread, whatever it does.
    fn drop(&mut self) {
        self.closes.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn clean(
    connector: &Connector,
    left_behind: &AtomicI64,
    closes: &Notify,
) -> Result<(), WorldError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|_| WorldError::closed())?;
    let cleaned = runtime.block_on(async {
        tokio::select! {
            cleaned = look_and_clean(connector, left_behind) => cleaned,
            () = closes.notified() => Ok(()),
        }
    });
    // A search for the server's address may go on for long.
    runtime.shutdown_background();
    cleaned
}

async fn look_and_clean(connector: &Connector, left_behind: &AtomicI64) -> Result<(), WorldError> {
    sleep(COUNTED_AFTER).await;
    let db = connector.connect("cleans", LONG_ANSWER_WITHIN).await?;
    let Some(before) = counted(&db).await? else { return Ok(()) };
    // Others may have removed some of them meanwhile.
    let left = left_behind.fetch_min(before.dead, Ordering::Relaxed).min(before.dead);
    if !is_worth_it(before.dead, before.live, left) {
        return Ok(());
    }
    let vacuumed = vacuum(&db).await;
    sleep(COUNTED_AFTER).await;
    let left = match (vacuumed, counted(&db).await?) {
        // It would fail again.
        (Err(_), _) => before.dead,
        (Ok(()), Some(after)) if after.vacuums > before.vacuums => after.dead,
        // Somebody else is at it.
        (Ok(()), _) => return Ok(()),
    };
    left_behind.store(left, Ordering::Relaxed);
    Ok(())
}

/// Whether a vacuum is worth reading the whole indexes: a large table has to have more dead rows, and so has
/// one where the last vacuum left many behind, because an old snapshot may still see them.
fn is_worth_it(dead: i64, live: i64, left_behind: i64) -> bool {
    dead - left_behind >= DEAD_MIN.max(left_behind).max(live / 5)
}

/// What the server has counted of the table.
struct Counted {
    dead: i64,
    live: i64,
    /// By hand, not by autovacuum.
    vacuums: i64,
}

/// Counts. `None` if this role may remove no rows.
async fn counted(db: &Db) -> Result<Option<Counted>, WorldError> {
    const COUNTED: &str = "SELECT s.n_dead_tup, s.n_live_tup, s.vacuum_count \
         FROM pg_stat_all_tables AS s JOIN pg_class AS c ON c.oid = s.relid \
         JOIN pg_database AS d ON d.datname = current_database() \
         WHERE s.relid = 'hookline.messages'::regclass \
           AND (pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE') \
             OR CASE WHEN current_setting('server_version_num')::int >= 170000 \
               THEN has_table_privilege(c.oid, 'MAINTAIN') END)";
    let row = db.first(COUNTED, &[]).await?;
    row.map(|row| {
        let mut columns = Columns::of(&row);
        Ok(Counted { dead: columns.take()?, live: columns.take()?, vacuums: columns.take()? })
    })
    .transpose()
}

/// Removes dead rows, unless somebody else is doing that. The option INDEX_CLEANUP because the dead entries
/// are what is slow, even if few pages have them.
async fn vacuum(db: &Db) -> Result<(), WorldError> {
    if db.is_direct() {
        db.simple("SET statement_timeout = 0").await?;
    }
    db.simple("VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) hookline.messages").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_vacuumed_for_many_dead_rows() {
        assert!(!is_worth_it(DEAD_MIN - 1, 0, 0));
        assert!(is_worth_it(DEAD_MIN, 0, 0));
    }

    #[test]
    fn a_large_table_is_vacuumed_for_more_of_them() {
        assert!(!is_worth_it(199_999, 1_000_000, 0));
        assert!(is_worth_it(200_000, 1_000_000, 0));
    }

    #[test]
    fn a_table_whose_dead_rows_cannot_be_removed_is_vacuumed_ever_more_rarely() {
        let (mut left_behind, mut vacuums) = (0, Vec::new());
        for dead in (0..=1_000_000).step_by(LOOK_AFTER) {
            if is_worth_it(dead, 0, left_behind) {
                left_behind = dead;
                vacuums.push(dead);
            }
        }
        assert_eq!(vacuums, [20_000, 40_000, 80_000, 160_000, 320_000, 640_000]);
    }
}
