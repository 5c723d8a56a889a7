//! Opens a database: the file, its journal mode, the pragmas of each connection.

use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::log;
use super::resolve::{self, beside};
use crate::error::{ErrorKind, WorldError};

/// The place of a database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// Memory of this process, with a name.
    Memory(String),
}

impl Location {
    /// The path of a file, or a name to display for memory.
    pub fn shown(&self) -> PathBuf {
        match self {
            Location::File(path) => path.clone(),
            Location::Memory(name) => PathBuf::from(format!(":memory:{name}")),
        }
    }

    /// Whether there is nothing to read yet: no file, or one without content. A file that cannot be
    /// examined may be there.
    pub fn is_absent(&self) -> bool {
        let Location::File(path) = self else { return false };
        let is_empty = |file: &Path| match fs::metadata(file) {
            Ok(there) => there.is_file() && there.len() == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        is_empty(path) && is_empty(&log::log_path(path))
    }

    /// The canonical name of this database. Makes the file if there is none. Links are followed first,
    /// so the file is made at their target.
    ///
    /// # Errors
    /// `ReadOnly`, `CannotOpen` or `StorageFull` if the file cannot be made.
    pub fn canonical(&self) -> Result<Self, WorldError> {
        let Location::File(path) = self else { return Ok(self.clone()) };
        let path = resolve::target(path).map_err(|error| refused(path, &error))?;
        prepare_file(&path)?;
        Ok(Location::File(fs::canonicalize(&path).unwrap_or(path)))
    }

    /// The canonical name of an existing database.
    ///
    /// # Errors
    /// `CannotOpen` if there is none; `BadConfig` for memory, which nobody else can have filled.
    pub fn existing(&self) -> Result<Self, WorldError> {
        let Location::File(path) = self else {
            let message = "a reader needs a database file, but WORKFLOW_HOOKLINE_URL names memory";
            return Err(WorldError::new(ErrorKind::BadConfig, message));
        };
        let found = fs::canonicalize(path).map_err(|error| {
            let shown = path.display();
            let message = format!(
                "the database {shown} cannot be read: {error}; a reader does not make one, so start \
                 a World that writes first"
            );
            WorldError::new(ErrorKind::CannotOpen, message).with("path", shown.to_string())
        })?;
        Ok(Location::File(found))
    }

    /// The name for SQLite. Connections of one process share memory through SQLite's memory file
    /// system, which locks as files do.
    pub(super) fn uri(&self) -> PathBuf {
        match self {
            Location::File(path) => path.clone(),
            Location::Memory(name) => PathBuf::from(format!("file:/hookline{name}?vfs=memdb")),
        }
    }
}

/// The patience of a connection that waits for another process.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// For writes: other processes commit one after the other.
    Long,
    /// For reads on the caller's thread: in WAL mode they wait only for a recovery.
    Short,
}

/// Makes the folder and the file, readable by their owner only, unless they exist.
fn prepare_file(path: &Path) -> Result<(), WorldError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| refused(path, &error))?;
    }
    // Opens only a new file: closing a file that SQLite has open would drop its POSIX locks.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(path, &error)),
    }
}

/// Makes a folder for its owner only, like its future contents. A folder that is made here is ignored by
/// Git, because it will hold tokens and payloads.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut making = fs::DirBuilder::new();
    making.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
    making.create(folder)?;
    // Only a convenience: without it, everything works.
    let _ = fs::write(folder.join(".gitignore"), "*\n");
    Ok(())
}

fn refused(path: &Path, error: &io::Error) -> WorldError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::ReadOnly,
        io::ErrorKind::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::CannotOpen,
    };
    let shown = path.display();
    WorldError::new(
        kind,
        format!(
            "the database {shown} cannot be created or written: {error}; choose a file in a folder that this \
             process may write (WORKFLOW_HOOKLINE_URL)"
        ),
    )
    .with("path", shown.to_string())
}

/// Finds the reason of an error. SQLite also says "cannot open" of a file whose folder is not writable,
/// because the log's files are beside it. This is found out by making another file there.
pub(super) fn explain(error: WorldError, location: &Location) -> WorldError {
    let Location::File(path) = location else { return error };
    if error.kind != ErrorKind::CannotOpen || !path.is_file() {
        return error;
    }
    let probe = beside(path, "-probe");
    match fs::File::create_new(&probe) {
        Ok(_) => {
            let _ = fs::remove_file(&probe);
            error
        }
        Err(reason) => refused(path, &reason),
    }
}

/// The way in which a process that never writes reads a file.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// Shared with writers, through the files of the write-ahead log.
    Shared,
    /// Alone: the folder is not writable, so those files cannot be made, and nobody writes.
    Alone,
}

/// Finds out how a file can be read.
///
/// # Errors
/// The errors of reading. A file whose log is neither checkpointed nor shareable cannot be read
/// completely.
/// whole.
pub(super) fn how_to_read(path: &Path) -> Result<Reading, WorldError> {
    let tried = connect_to_read(path, Reading::Shared, Patience::Short).and_then(|connection| {
        Ok(connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?)
    });
    let has_log = log::is_filled(path);
    match tried {
        Ok(()) => Ok(Reading::Shared),
        Err(error)
            if matches!(error.kind, ErrorKind::CannotOpen | ErrorKind::ReadOnly) && !has_log =>
        {
            Ok(Reading::Alone)
        }
        Err(error) => Err(error),
    }
}

/// Opens a connection that can only read.
pub(super) fn connect_to_read(
    path: &Path,
    reading: Reading,
    patience: Patience,
) -> Result<Connection, WorldError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match reading {
        Reading::Shared => Connection::open_with_flags(path, flags)?,
        Reading::Alone => Connection::open_with_flags(immutable_uri(path), flags)?,
    };
    set_up(connection, patience)
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(byte as char);
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// Opens a connection and sets its pragmas.
pub(super) fn connect(location: &Location, patience: Patience) -> Result<Connection, WorldError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    set_up(Connection::open_with_flags(location.uri(), flags)?, patience)
}

fn set_up(mut connection: Connection, patience: Patience) -> Result<Connection, WorldError> {
    connection.set_prepared_statement_cache_capacity(128);
    #[cfg(debug_assertions)]
    super::statements::record(&mut connection)?;
    // One plan for each statement, independent of its parameters. Otherwise SQLite ties some plans to
    // parameters, and compiles the statement again at each use of the cache.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_handler(Some(match patience {
        Patience::Long => wait_long,
        Patience::Short => wait_short,
    }))?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Makes a connection read-only.
pub(super) fn make_read_only(connection: &Connection) -> Result<(), WorldError> {
    connection.pragma_update(None, "query_only", true)?;
    // Only the writer knows whether the log is sound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Keeps the undo log of a batch's operation in memory. By default a long one goes to a temporary file,
/// and the operation would fail if no such file can be made.
pub(super) fn undo_in_memory(connection: &Connection) -> Result<(), WorldError> {
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

/// Lets SQLite overwrite what it deletes. A value that was dropped is then not left in a free part of the
/// file.
pub(super) fn overwrite_what_is_deleted(connection: &Connection) -> Result<(), WorldError> {
    // It answers with the new setting.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    Ok(())
}

/// Enlarges the cache of the connection that writes and makes most point reads. SQLite's default is 2
/// MiB. About 100,000 hooks without metadata fit into this cache, so that looking one up reads no page
/// again.
pub(super) fn widen_cache(connection: &Connection) -> Result<(), WorldError> {
    connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
    Ok(())
}

const WRITE_CACHE_KIB: i64 = 14_336;

/// Turns write-ahead logging on. A database in memory does not need it.
pub(super) fn enable_wal(
    connection: &mut Connection,
    location: &Location,
) -> Result<(), WorldError> {
    if let Location::File(_) = location {
        // We make the checkpoints: `log/checkpoints.rs`.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        let mode = set_wal(connection)?;
        if mode != "wal" {
            return Err(WorldError::new(
                ErrorKind::CannotOpen,
                format!(
                    "the file system does not support write-ahead logging (journal mode is {mode}); \
                     choose a local disk"
                ),
            ));
        }
    }
    Ok(())
}

/// Returns the resulting journal mode.
fn set_wal(connection: &mut Connection) -> rusqlite::Result<String> {
    // SQLite asks the busy handler for only one of its two locks. So this loop waits for both.
    connection.busy_handler(None::<fn(i32) -> bool>)?;
    let mut naps = 0;
    let answer = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            // Another process may be opening the file too.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && wait_long(naps) =>
            {
                naps += 1;
            }
            answer => break answer,
        }
    };
    connection.busy_handler(Some(wait_long))?;
    answer
}

/// Runs work during which connections wait for others only briefly.
pub(super) fn hurry<T>(work: impl FnOnce() -> T) -> T {
    IS_HURRIED.set(true);
    let done = work();
    IS_HURRIED.set(false);
    done
}

thread_local! {
    static IS_HURRIED: Cell<bool> = const { Cell::new(false) };
}

/// The bytes that this user may still write to the disk of a file; `None` if the system cannot tell.
#[cfg(unix)]
pub(super) fn free_bytes(path: &Path) -> Option<i64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    i64::try_from(disk.f_bavail.saturating_mul(disk.f_frsize)).ok()
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_path: &Path) -> Option<i64> {
    None
}

/// SQLite's own pauses double up to 100 ms, so a busy neighbour could starve us. Short pauses give a
/// fair share.
const NAP: Duration = Duration::from_micros(500);
const LONG_WAIT: Duration = Duration::from_secs(5);
const SHORT_WAIT: Duration = Duration::from_millis(500);
const BRIEF_WAIT: Duration = Duration::from_millis(20);

/// Pauses while another process is busy; `false` after pausing for long enough.
pub(super) fn wait_long(naps: i32) -> bool {
    nap(naps, if IS_HURRIED.get() { BRIEF_WAIT } else { LONG_WAIT })
}

fn wait_short(naps: i32) -> bool {
    nap(naps, SHORT_WAIT)
}

fn nap(naps: i32, budget: Duration) -> bool {
    if NAP * naps.max(0) as u32 >= budget {
        return false;
    }
    sleep(NAP);
    true
}
