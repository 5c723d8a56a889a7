//! Opening a database: the file, its mode, the pragmas of each connection.

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

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// Memory of this process, by name.
    Memory(String),
}

impl Location {
    /// The path of a file; a name to show for memory.
    pub fn shown(&self) -> PathBuf {
        match self {
            Location::File(path) => path.clone(),
            Location::Memory(name) => PathBuf::from(format!(":memory:{name}")),
        }
    }

    /// Whether there is nothing to read yet: no file, or one that nobody has written to. What cannot be
    /// looked at may be there.
    pub fn is_absent(&self) -> bool {
        let Location::File(path) = self else { return false };
        let is_empty = |file: &Path| match fs::metadata(file) {
            Ok(there) => there.is_file() && there.len() == 0,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        is_empty(path) && is_empty(&log::log_path(path))
    }

    /// The one name of this database, after making the file if there is none.
    /// Links are followed first, so nothing is made beside them.
    ///
    /// # Errors
    /// `ReadOnly`, `CannotOpen` or `StorageFull` when the file cannot be made.
    pub fn canonical(&self) -> Result<Self, WorldError> {
        let Location::File(path) = self else { return Ok(self.clone()) };
        let path = resolve::target(path).map_err(|error| refused(path, &error))?;
        prepare_file(&path)?;
        Ok(Location::File(fs::canonicalize(&path).unwrap_or(path)))
    }

    /// The one name of a database that is there already.
    ///
    /// # Errors
    /// `CannotOpen` when there is none, `BadConfig` for memory, which nobody else can have filled.
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

    /// What SQLite is told. Memory is shared by the connections of one process through SQLite's own
    /// file system in memory, which locks like files do.
    pub(super) fn uri(&self) -> PathBuf {
        match self {
            Location::File(path) => path.clone(),
            Location::Memory(name) => PathBuf::from(format!("file:/hookline{name}?vfs=memdb")),
        }
    }
}

/// How long a connection waits for another process.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    /// A write: other processes commit one after the other.
    Long,
    /// A read on the caller's thread, which in WAL mode waits for nobody but a recovery.
    Short,
}

/// Makes the folder and the file, readable by their owner only, unless they are there.
fn prepare_file(path: &Path) -> Result<(), WorldError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|error| refused(path, &error))?;
    }
    // Only ever a new file: closing a file that SQLite has open would drop its POSIX locks.
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

/// For its owner only, like what will be in it.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut making = fs::DirBuilder::new();
    making.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut making, 0o700);
    making.create(folder)
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

/// SQLite says "cannot open" also of a file whose folder may not be written, because its log stands
/// in files beside it. Whether that is why is found out by making another file there.
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

/// How a file is read by a process that never writes to it.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    /// Together with whoever writes, through the files of the write-ahead log.
    Shared,
    /// Alone: the folder may not be written, so those files cannot be made, and nobody writes.
    Alone,
}

/// Finds out how a file can be read.
///
/// # Errors
/// As reading it: with a log that has not been written back and may not be shared, it cannot be read
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

/// One connection that can only read.
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

/// One connection with its pragmas.
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
    // One plan for each statement, whatever its parameters. Otherwise SQLite ties some plans to them
    // and compiles the statement again whenever the cache gives it out.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_handler(Some(match patience {
        Patience::Long => wait_long,
        Patience::Short => wait_short,
    }))?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Turns a connection into one that only reads.
pub(super) fn make_read_only(connection: &Connection) -> Result<(), WorldError> {
    connection.pragma_update(None, "query_only", true)?;
    // Only the writer knows whether the log is sound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Keeps what undoes an operation of a batch in memory; by default it goes to a temporary file when it
/// is long, and an operation would fail where none can be made.
pub(super) fn undo_in_memory(connection: &Connection) -> Result<(), WorldError> {
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

/// Gives the connection that writes, and makes most point reads, more than SQLite's 2 MiB of cache:
/// about 100,000 hooks without metadata fit, so that looking one of them up reads no page again.
pub(super) fn widen_cache(connection: &Connection) -> Result<(), WorldError> {
    connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
    Ok(())
}

const WRITE_CACHE_KIB: i64 = 14_336;

/// Turns write-ahead logging on; a database in memory has no use for it.
pub(super) fn enable_wal(
    connection: &mut Connection,
    location: &Location,
) -> Result<(), WorldError> {
    if let Location::File(_) = location {
        // The checkpoints are ours: `log/checkpoints.rs`.
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

/// Returns the journal mode that the database has then.
fn set_wal(connection: &mut Connection) -> rusqlite::Result<String> {
    // For one of its two locks SQLite asks the busy handler and for the other it does not; so it is the
    // loop that waits, for both.
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

/// Does something for which connections wait for others, but not for long.
pub(super) fn hurry<T>(work: impl FnOnce() -> T) -> T {
    IS_HURRIED.set(true);
    let done = work();
    IS_HURRIED.set(false);
    done
}

thread_local! {
    static IS_HURRIED: Cell<bool> = const { Cell::new(false) };
}

/// What this user may still write to the disk of a file; `None` where the system is not asked.
#[cfg(unix)]
pub(super) fn free_bytes(path: &Path) -> Option<i64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    i64::try_from(disk.f_bavail.saturating_mul(disk.f_frsize)).ok()
}

#[cfg(not(unix))]
pub(super) fn free_bytes(_path: &Path) -> Option<i64> {
    None
}

/// SQLite's own waiting doubles up to 100 ms, which lets a busy neighbour starve us; short naps get a
/// fair share.
const NAP: Duration = Duration::from_micros(500);
const LONG_WAIT: Duration = Duration::from_secs(5);
const SHORT_WAIT: Duration = Duration::from_millis(500);
const BRIEF_WAIT: Duration = Duration::from_millis(20);

/// Waits a moment for another process; `false` when that has been done for long enough.
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
