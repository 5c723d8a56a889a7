//! Removes the dead rows of the queue while this process delivers much.
//!
//! Each delivery leaves dead rows in the table of messages, and every claim walks over their entries in
//! the index. The server's autovacuum looks only once in a minute. By then a busy queue has so many of
//! them that a claim takes several times as long.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use super::connect::{Connector, LONG_ANSWER_WITHIN};
use super::db::{Columns, Db, values};
use crate::error::WorldError;

/// So many deliveries of this process make it look for dead rows. Each leaves two.
const LOOK_AFTER: usize = 20_000;
/// The server counts its dead rows a little later.
const COUNTED_AFTER: Duration = Duration::from_secs(1);

/// Cleans the queue of one database, on a thread that lives only meanwhile.
pub(super) struct Cleaning {
    connector: Connector,
    /// Since the last look.
    delivered: Cell<usize>,
    thread: RefCell<Option<JoinHandle<()>>>,
    closes: Arc<Notify>,
}

impl Cleaning {
    pub(super) fn new(connector: Connector) -> Self {
        let (delivered, thread) = (Cell::default(), RefCell::default());
        Self { connector, delivered, thread, closes: Arc::default() }
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
        // What fails is left to the server's autovacuum, and to the next look.
        let work = move || drop(clean(&connector, &closes));
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

fn clean(connector: &Connector, closes: &Notify) -> Result<(), WorldError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|_| WorldError::closed())?;
    runtime.block_on(async {
        tokio::select! {
            cleaned = look_and_clean(connector) => cleaned,
            () = closes.notified() => Ok(()),
        }
    })
}

async fn look_and_clean(connector: &Connector) -> Result<(), WorldError> {
    tokio::time::sleep(COUNTED_AFTER).await;
    let db = connector.connect("cleans", LONG_ANSWER_WITHIN).await?;
    match is_worth_it(&db).await? {
        true => vacuum(&db).await,
        false => Ok(()),
    }
}

/// Whether there are many dead rows, and this role may remove them. A vacuum reads the whole indexes, so a
/// large table has to have more of them.
async fn is_worth_it(db: &Db) -> Result<bool, WorldError> {
    const MANY: &str = "SELECT s.n_dead_tup >= $1 + s.n_live_tup / 5 \
           AND (pg_has_role(c.relowner, 'USAGE') \
             OR CASE WHEN current_setting('server_version_num')::int >= 170000 \
               THEN has_table_privilege(c.oid, 'MAINTAIN') END IS TRUE) \
         FROM pg_stat_all_tables AS s JOIN pg_class AS c ON c.oid = s.relid \
         WHERE s.relid = 'hookline.messages'::regclass";
    let Some(row) = db.first(MANY, &values![LOOK_AFTER]).await? else { return Ok(false) };
    Columns::of(&row).take()
}

/// The option INDEX_CLEANUP because the dead entries are what is slow, even if few pages have them.
async fn vacuum(db: &Db) -> Result<(), WorldError> {
    db.simple("VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) hookline.messages").await
}
