//! [`Upkeep`] on Postgres.

use std::path::PathBuf;
use std::sync::Arc;

use super::db::{Columns, Db, values};
use super::messages::step_id;
use super::{PostgresStore, due, examination, open_runs, owners, releases, runs, waits};
use crate::domain::id::RunId;
use crate::domain::queue::offer::Demand;
use crate::domain::transition::replay::PastEvent;
use crate::error::WorldError;
use crate::store::Completion;
use crate::store::operation::Operation;
use crate::store::upkeep::{
    Backup, Examination, Outlook, QueuedMessage, Releases, Upkeep, Worker, submitted_upkeep,
};

impl Upkeep for PostgresStore {
    submitted_upkeep!();

    fn outlook(&self, run_id: RunId, done: Completion<Outlook>) {
        self.lists.read_at_once(done, async move |db: &Db| {
            let run = runs::by_id(db, &run_id).await?;
            Ok(Outlook {
                demand: run.as_ref().map(Demand::of),
                waits: waits::open(db, &run_id).await?,
                messages: of_run(db, &run_id).await?,
            })
        });
    }

    fn examine(&self, done: Completion<Examination>) {
        let connector = self.connector.clone();
        let work = move || {
            let found = examination::examine(&connector);
            done.settle(found.map(|found| Examination::Postgres(Box::new(found))));
        };
        // Should no thread be had, dropping the closure settles with `Closed`.
        let _ = std::thread::Builder::new().name("hookline-examination".into()).spawn(work);
    }

    fn workers(&self, done: Completion<Vec<Worker>>) {
        self.lists.read(done, async |db: &Db| owners::workers(db).await);
    }

    fn back_up(&self, _: PathBuf, done: Completion<Backup>) {
        done.settle(Err(WorldError::invalid(format!(
            "{} is backed up by the tools of its server: pg_dump -Fc -n {} -f hookline.dump with the \
             connection's own options, or the backups of the service (docs/postgres.md)",
            self.connector.shown(),
            self.connector.schema(),
        ))));
    }

    fn releases(&self, done: Completion<Releases>) {
        let now_ms = self.queue_time.now_ms(&*self.clock);
        self.lists.read_at_once(done, async move |db: &Db| {
            Ok(Releases {
                known: releases::all(db).await?,
                open_runs: open_runs::groups(db).await?,
                queued: due::by_demand(db, now_ms).await?,
            })
        });
    }
}

/// The messages of a run and of its steps, the next first.
async fn of_run(db: &Db, run_id: &RunId) -> Result<Vec<QueuedMessage>, WorldError> {
    const OF_RUN: &str = "SELECT message_id, queue_name, step_id, idempotency_key, attempt, \
         created_at_ms, available_at_ms, lease_expires_at_ms, last_error, dead_at_ms, held_at_ms \
         FROM hookline.messages WHERE run_id = $1 ORDER BY available_at_ms, message_id";
    let rows = db.rows(OF_RUN, &values![run_id]).await?;
    let messages = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok(QueuedMessage {
            message_id: columns.message_id()?,
            queue_name: columns.take()?,
            step_id: step_id(&mut columns)?,
            idempotency_key: columns.take()?,
            attempt: columns.take()?,
            created_at_ms: columns.take()?,
            available_at_ms: columns.take()?,
            lease_expires_at_ms: columns.take()?,
            last_error: columns.take()?,
            dead_at_ms: columns.take()?,
            held_at_ms: columns.take()?,
        })
    });
    messages.collect()
}
