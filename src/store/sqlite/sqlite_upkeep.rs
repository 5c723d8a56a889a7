//! [`Upkeep`] on SQLite.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::messages::{self, MESSAGE_COLUMNS, MESSAGES, message_columns};
use super::{
    Location, SqliteStore, backup, due, examination, fault, open_runs, owners, releases, runs,
    waits,
};
use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::domain::queue::offer::Demand;
use crate::domain::transition::replay::PastEvent;
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;
use crate::store::operation::Operation;
use crate::store::upkeep::{
    Backup, Examination, Outlook, QueuedMessage, Releases, Upkeep, Worker, submitted_upkeep,
};

impl Upkeep for SqliteStore {
    submitted_upkeep!();

    fn outlook(&self, run_id: RunId, done: Completion<Outlook>) {
        self.lists.read(done, move |connection| {
            let view = connection.unchecked_transaction()?;
            let run = runs::by_id(&view, &run_id)?;
            Ok(Outlook {
                demand: run.as_ref().map(Demand::of),
                waits: waits::open(&view, &run_id)?,
                messages: of_run(&view, &run_id)?,
            })
        });
    }

    fn examine(&self, done: Completion<Examination>) {
        self.lists.read(done, examination::examine);
    }

    fn workers(&self, done: Completion<Vec<Worker>>) {
        let Location::File(path) = &self.location else { return done.settle(Ok(Vec::new())) };
        let path = path.clone();
        self.lists.read(done, move |_| owners::living(&path).map_err(|error| unseen(&error)));
    }

    fn back_up(&self, to: PathBuf, done: Completion<Backup>) {
        let location = self.location.clone();
        // The store may be closed before the copy is made.
        let membership = self.held.join();
        let work = move || {
            let backup = backup::back_up(&location, &to);
            drop(membership);
            done.settle(backup.map_err(|error| fault::at(error, &to)));
        };
        // Should no thread be had, dropping the closure settles with `Closed`.
        let _ = std::thread::Builder::new().name("hookline-backup".into()).spawn(work);
    }

    fn releases(&self, done: Completion<Releases>) {
        let now_ms = self.queue_time.now_ms(&*self.clock);
        self.lists.read(done, move |connection| {
            let view = connection.unchecked_transaction()?;
            Ok(Releases {
                known: releases::all(&view)?,
                open_runs: open_runs::groups(&view)?,
                queued: due::by_demand(&view, now_ms)?,
            })
        });
    }
}

pub(super) fn unseen(error: &io::Error) -> WorldError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::ReadOnly,
        _ => ErrorKind::Io,
    };
    WorldError::new(kind, format!("the lock files of the workers cannot be read: {error}"))
}

/// The messages of a run and of its steps, the next first.
fn of_run(connection: &Connection, run_id: &RunId) -> rusqlite::Result<Vec<QueuedMessage>> {
    const OF_RUN: &str = concat!(
        "SELECT ",
        message_columns!(""),
        ", attempt, available_at_ms, lease_expires_at_ms, last_error, dead_at_ms, \
         held_at_ms FROM messages \
         WHERE run_id = ?1 ORDER BY available_at_ms, message_id"
    );
    let message_of = |row: &Row<'_>| {
        MESSAGES.verify(row, 0)?;
        let of_run: Option<String> = row.get(2)?;
        // A damaged index leads to another one.
        if of_run.as_deref() != Some(run_id.as_str()) {
            return Err(MESSAGES.damage(row, 0));
        }
        Ok(QueuedMessage {
            message_id: MessageId::from_number(row.get(0)?),
            queue_name: row.get(1)?,
            step_id: row.get::<_, Option<String>>(3)?.map(CorrelationId::new),
            idempotency_key: row.get(9)?,
            created_at_ms: row.get(10)?,
            attempt: row.get(MESSAGE_COLUMNS)?,
            available_at_ms: row.get(MESSAGE_COLUMNS + 1)?,
            lease_expires_at_ms: row.get(MESSAGE_COLUMNS + 2)?,
            last_error: row.get(MESSAGE_COLUMNS + 3)?,
            dead_at_ms: row.get(MESSAGE_COLUMNS + 4)?,
            held_at_ms: row.get(MESSAGE_COLUMNS + 5)?,
        })
    };
    let messages =
        connection.prepare_cached(OF_RUN)?.query_map([run_id.as_str()], message_of)?.collect();
    messages::CHECK.around(connection, &["run_id"], params![run_id.as_str()])?;
    messages
}
