//! [`Upkeep`] on SQLite.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Result, Row};

use super::apply::Tx;
use super::operation::Durability;
use super::{Location, SqliteStore, events, fault, hooks, owners, runs, steps, waits};
use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::domain::refusal::Refusal;
use crate::domain::transition::replay::{PastEvent, ReplayedRun, Unreplayable, replay};
use crate::domain::wait::Wait;
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;
use crate::store::upkeep::{Backup, Examination, Outlook, QueuedMessage, Upkeep, Worker};

/// How long a backup waits for whoever has the database to itself, which in WAL mode is nobody for
/// long.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Damages that are listed; more say no more.
const DAMAGES_MAX: i64 = 20;

impl Upkeep for SqliteStore {
    fn outlook(&self, run_id: RunId, done: Completion<Outlook>) {
        self.readers.read(done, move |connection| {
            let view = connection.unchecked_transaction()?;
            Ok(Outlook { waits: open_waits(&view, &run_id)?, messages: messages(&view, &run_id)? })
        });
    }

    fn examine(&self, done: Completion<Examination>) {
        self.readers.read(done, |connection| Ok(examine(connection)?));
    }

    fn workers(&self, done: Completion<Vec<Worker>>) {
        let Location::File(path) = &self.location else { return done.settle(Ok(Vec::new())) };
        let path = path.clone();
        self.readers.read(done, move |_| owners::living(&path).map_err(|error| unseen(&error)));
    }

    fn back_up(&self, to: PathBuf, done: Completion<Backup>) {
        let location = self.location.clone();
        // The store may be closed before the copy is made.
        let membership = self.held.join();
        let work = move || {
            let backup = back_up(&location, &to);
            drop(membership);
            done.settle(backup.map_err(|error| fault::at(error, &to)));
        };
        // Should no thread be had, dropping the closure settles with `Closed`.
        let _ = std::thread::Builder::new().name("hookline-backup".into()).spawn(work);
    }

    fn import_run(&self, run_id: RunId, log: Vec<PastEvent>, done: Completion<()>) {
        match replay(&run_id, log, self.environment.as_deref()) {
            Ok(run) => self.writer.submit(Durability::Durable, done, move |tx| import(tx, &run)),
            Err(unreplayable) => done.settle(Err(refused(&run_id, unreplayable))),
        }
    }
}

fn unseen(error: &io::Error) -> WorldError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::ReadOnly,
        _ => ErrorKind::Io,
    };
    WorldError::new(kind, format!("the lock files of the workers cannot be looked at: {error}"))
}

fn refused(run_id: &RunId, unreplayable: Unreplayable) -> WorldError {
    let Unreplayable { place, event_type, refusal } = unreplayable;
    let reason = refusal.map_or("it changes nothing".into(), |refusal| refusal.to_string());
    WorldError::invalid(format!(
        "event {place} of run \"{run_id}\", a {event_type}, cannot follow those before it: {reason}"
    ))
}

fn open_waits(connection: &Connection, run_id: &RunId) -> Result<Vec<Wait>> {
    const OPEN_WAITS: &str = "SELECT correlation_id, resume_at_ms, created_at_ms, updated_at_ms, \
         spec_version FROM waits WHERE run_id = ? AND completed_at_ms IS NULL ORDER BY resume_at_ms";
    let wait_of = |row: &Row<'_>| {
        Ok(Wait {
            run_id: run_id.clone(),
            correlation_id: CorrelationId::new(row.get::<_, String>(0)?),
            resume_at_ms: row.get(1)?,
            completed_at_ms: None,
            created_at_ms: row.get(2)?,
            updated_at_ms: row.get(3)?,
            spec_version: row.get(4)?,
        })
    };
    connection.prepare_cached(OPEN_WAITS)?.query_map([run_id.as_str()], wait_of)?.collect()
}

/// The message of a step is found by its key, which the SDK makes the step's id. Each part has an
/// index of its own; with OR between them SQLite would read the whole queue.
fn messages(connection: &Connection, run_id: &RunId) -> Result<Vec<QueuedMessage>> {
    const MESSAGES: &str = "SELECT message_id, queue_name, idempotency_key, attempt, \
         created_at_ms, available_at_ms, lease_expires_at_ms, last_error, dead_at_ms FROM messages \
         WHERE message_id IN (\
           SELECT message_id FROM messages WHERE run_id = ?1 \
           UNION ALL SELECT m.message_id FROM steps AS s JOIN messages AS m \
             ON m.idempotency_key = s.step_id AND m.dead_at_ms IS NULL \
             WHERE s.run_id = ?1 AND s.status IN ('pending', 'running') \
           UNION ALL SELECT message_id FROM messages WHERE dead_at_ms IS NOT NULL \
             AND idempotency_key IN (SELECT step_id FROM steps WHERE run_id = ?1 \
               AND status IN ('pending', 'running'))) \
         ORDER BY available_at_ms, message_id";
    let message_of = |row: &Row<'_>| {
        Ok(QueuedMessage {
            message_id: MessageId::from_number(row.get(0)?),
            queue_name: row.get(1)?,
            idempotency_key: row.get(2)?,
            attempt: row.get(3)?,
            created_at_ms: row.get(4)?,
            available_at_ms: row.get(5)?,
            lease_expires_at_ms: row.get(6)?,
            last_error: row.get(7)?,
            dead_at_ms: row.get(8)?,
        })
    };
    connection.prepare_cached(MESSAGES)?.query_map([run_id.as_str()], message_of)?.collect()
}

fn examine(connection: &Connection) -> Result<Examination> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let page_bytes: i64 = number("page_size")?;
    let pages: i64 = number("page_count")?;
    let free_pages: i64 = number("freelist_count")?;
    Ok(Examination {
        sqlite_version: rusqlite::version().to_owned(),
        schema_version: number("user_version")?,
        journal_mode: connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?,
        bytes: page_bytes * pages,
        free_bytes: page_bytes * free_pages,
        damages: damages(connection)?,
    })
}

fn damages(connection: &Connection) -> Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({DAMAGES_MAX})"))?;
    let lines: Vec<String> = check.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Written under another name first, so that a backup that was cut short is never taken for one.
fn back_up(location: &Location, to: &Path) -> std::result::Result<Backup, WorldError> {
    if to.exists() {
        let message = format!("{} exists already; choose another name", to.display());
        return Err(WorldError::invalid(message));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let made = copy(location, &partial).and_then(|backup| {
        fs::rename(&partial, to)
            .and_then(|()| sync_folder(to))
            .map_err(|error| failed(to, &error))?;
        Ok(backup)
    });
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    made
}

fn copy(location: &Location, partial: &Path) -> std::result::Result<Backup, WorldError> {
    let text = partial.to_str().ok_or_else(|| WorldError::invalid("the path must be UTF-8"))?;
    let file = empty_file(partial).map_err(|error| failed(partial, &error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(location.uri(), flags)?;
    source.busy_timeout(BUSY_WAIT)?;
    source.execute("VACUUM INTO ?", [on_disk(location, text)])?;
    drop(source);
    file.sync_all().map_err(|error| failed(partial, &error))?;
    let copy = Connection::open_with_flags(partial, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if let Some(damage) = damages(&copy)?.first() {
        let message = format!("the copy is damaged, and so may be the database: {damage}");
        return Err(WorldError::new(ErrorKind::Corrupt, message));
    }
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get(0));
    let runs = count("SELECT count(*) FROM runs")?;
    let events = count("SELECT count(*) FROM events")?;
    let bytes = file.metadata().map_err(|error| failed(partial, &error))?.len();
    Ok(Backup { bytes: i64::try_from(bytes).unwrap_or(i64::MAX), runs, events })
}

/// SQLite makes the copy where the original is; from memory it must be told to go to the disk.
fn on_disk(location: &Location, path: &str) -> String {
    let Location::Memory(_) = location else { return path.to_owned() };
    let disk = if cfg!(windows) { "win32" } else { "unix" };
    let encoded = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{encoded}?vfs={disk}")
}

/// SQLite copies into an empty file as it does into a new one, and leaves its mode alone.
fn empty_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The name of a new file is on disk only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    #[cfg(unix)]
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> WorldError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        _ => ErrorKind::Io,
    };
    WorldError::new(kind, format!("{} cannot be written: {error}", path.display()))
}

fn import(tx: &mut Tx<'_>, imported: &ReplayedRun) -> std::result::Result<(), WorldError> {
    let connection = tx.connection;
    let ReplayedRun { run, .. } = imported;
    if runs::by_id(connection, &run.run_id)?.is_some() {
        return Err(Refusal::RunExists(run.run_id.clone()).into());
    }
    for hook in imported.hooks.iter().filter(|hook| hook.disposed_at_ms.is_none()) {
        if let Some(holder) = hooks::by_token(connection, &hook.token)? {
            let message = format!(
                "the token of hook {} is held by run {} here; end that run, or dispose its hook",
                hook.hook_id, holder.run_id
            );
            return Err(WorldError::new(ErrorKind::EntityConflict, message));
        }
    }
    runs::insert(connection, run)?;
    for event in &imported.events {
        events::insert(connection, event)?;
    }
    for step in &imported.steps {
        steps::insert(connection, step)?;
    }
    for hook in &imported.hooks {
        hooks::insert(connection, hook)?;
        if hook.disposed_at_ms.is_none() {
            tx.news.hooks.push(hook.token.clone());
        }
    }
    for wait in &imported.waits {
        waits::insert(connection, wait)?;
    }
    if let Some(wake_up) = imported.wake_up.clone() {
        tx.enqueue(&wake_up.into_message(tx.workflow_prefix), 0)?;
    }
    Ok(())
}
