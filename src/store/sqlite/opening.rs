//! Opens a store: for reading and writing, or only for reading.

use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::checksum::Table;
use super::connect::{self, Location, Patience};
use super::guard::Guard;
use super::host_claim::{self, HostClaim};
use super::log::{self, Log};
use super::owners::Owners;
use super::presence::Presence;
use super::reader::{PointReader, Readers, VersionWatch};
use super::turn;
use super::watcher::{Look, Watcher};
use super::write_connection::WriteConnection;
use super::writer::{Writer, WriterState};
use super::{
    HeldFiles, READER_THREADS, SqliteOptions, SqliteStore, delivery_secret, erasures, fault,
    migrate, queue_time, releases,
};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::{ErrorKind, WorldError};
use crate::store::listeners::Listeners;
use crate::store::queue_time::QueueTime;
use crate::store::{only_reads, other_queue_names};

fn no_thread(error: std::io::Error) -> WorldError {
    WorldError::new(ErrorKind::CannotOpen, format!("no thread could be started: {error}"))
}

/// Claims a file for this host, before SQLite opens it.
fn claim(guard: &Guard, options: &SqliteOptions) -> Result<Arc<HostClaim>, WorldError> {
    let (host, clock) = (options.host.clone(), Arc::clone(&options.clock));
    Ok(Arc::new(HostClaim::take(&guard.path(), host, clock)?))
}

/// Joins the other stores of this process on a file. A database in memory has none.
fn join(location: &Location) -> Result<Option<Guard>, WorldError> {
    match location {
        Location::File(path) => Guard::join(path).map(Some),
        Location::Memory(_) => Ok(None),
    }
}

fn presence(
    guard: Option<&Guard>,
    claim: Option<Arc<HostClaim>>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Presence>, WorldError> {
    let clock = Arc::clone(clock);
    Ok(Arc::new(match guard {
        Some(guard) => Presence::of(&guard.path(), guard.id(), claim, clock)?,
        None => Presence::of_memory(clock),
    }))
}

/// Opens the connection that writes. Afterwards the database exists and has the current version. Also
/// returns what begins its queue names.
fn connect_to_write(
    location: &Location,
    options: &SqliteOptions,
) -> Result<(Connection, String), WorldError> {
    let mut connection = connect::connect(location, Patience::Long)?;
    // Refuses a foreign file before anything in it is changed, even its journal mode.
    migrate::migrate(&mut connection, options.clock.now_ms())?;
    connect::enable_wal(&mut connection, location)?;
    let workflow_prefix = agree_on_queue_names(&connection, options)?;
    delivery_secret::keep(&connection)?;
    if let Some(release) = &options.release {
        releases::note(&connection, release, options.clock.now_ms())?;
    }
    connect::widen_cache(&connection)?;
    connect::undo_in_memory(&connection)?;
    connect::overwrite_what_is_deleted(&connection)?;
    Ok((connection, workflow_prefix))
}

/// The log of a database. It is first written again if that may be needed: an earlier process may have
/// been killed after a failed sync, and the kernel reports a past failure to nobody. A database in
/// memory has no log.
fn sound_log(
    guard: Option<&Guard>,
    mut connection: Connection,
    presence: &Arc<Presence>,
    bytes_max: i64,
) -> Result<(Arc<WriteConnection>, Option<Log>), WorldError> {
    let Some(guard) = guard else {
        return Ok((Arc::new(WriteConnection::new(connection, None)), None));
    };
    let (path, database) = (guard.path(), guard.file());
    let of_log = connect::connect(&Location::File(path.clone()), Patience::Long)?;
    of_log.pragma_update(None, "wal_autocheckpoint", 0)?;
    of_log.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let is_left = guard.was_alone() && log::is_filled(&path);
    if is_left || log::is_marked_doubtful(&path) {
        let _my_turn = turn::wait(database.as_deref())?;
        log::mend(&connection, &of_log, &path)?;
    }
    let frames = log::count_frames(&mut connection)?;
    let is_to_erase = erasures::pending(&connection)?.is_some();
    let connection = Arc::new(WriteConnection::new(connection, database));
    let (presence, shared) = (Arc::clone(presence), Arc::clone(&connection));
    let log = Log::start(path, presence, shared, of_log, frames, bytes_max).map_err(no_thread)?;
    if is_to_erase {
        log.erase();
    }
    Ok((connection, Some(log)))
}

/// A connection that only reads, for a process that writes on another connection.
fn connect_to_look(location: &Location, patience: Patience) -> Result<Connection, WorldError> {
    let connection = connect::connect(location, patience)?;
    connect::make_read_only(&connection)?;
    Ok(connection)
}

/// The queue's time. Messages that are enqueued before the first claim must use the same time as the
/// claims.
fn queue_time(connection: &Connection, clock: &dyn Clock) -> Result<QueueTime, WorldError> {
    let queue_time = QueueTime::new(clock);
    queue_time::shared_now_ms(&queue_time, connection, clock)?;
    Ok(queue_time)
}

pub(super) static QUEUE_NAMES: Table = Table { name: "queue_names", columns: 2, key: &[0] };

/// Stores, checks or takes the queue's namespace. No worker would deliver a wake-up of another one.
fn agree_on_queue_names(
    connection: &Connection,
    options: &SqliteOptions,
) -> Result<String, WorldError> {
    const KEEP: &str = "INSERT OR IGNORE INTO queue_names VALUES (?, ?, ?)";
    const KEPT: &str = "SELECT only_row, workflow_prefix, checksum FROM queue_names";
    let prefix_of = |row: &Row<'_>| {
        QUEUE_NAMES.verify(row, 0)?;
        row.get::<_, String>(1)
    };
    let kept = || connection.query_row(KEPT, [], prefix_of).optional();
    let workflow_prefix = &options.workflow_prefix;
    if kept()?.is_none() {
        QUEUE_NAMES.write(&mut connection.prepare(KEEP)?, params![1, workflow_prefix], &[])?;
    }
    match kept()? {
        Some(kept) if kept != *workflow_prefix && !options.takes_queue_names => {
            Err(other_queue_names(workflow_prefix, &kept))
        }
        kept => Ok(kept.unwrap_or_else(|| workflow_prefix.clone())),
    }
}

impl SqliteStore {
    /// Opens the database. Makes it, readable by its owner only, if there is none. Blocks.
    ///
    /// # Errors
    /// Each with the path and the remedy: `ReadOnly`, `CannotOpen`, `ForeignFile`, `NewerDatabase`,
    /// `Corrupt`, `OldSqlite`, `StorageFull`, `Io`; `Busy` also while another host has the database.
    pub fn open(options: SqliteOptions) -> Result<Self, WorldError> {
        let location = options.location.clone();
        Self::open_at(options)
            .map_err(|error| fault::at(connect::explain(error, &location), &location.shown()))
    }

    fn open_at(options: SqliteOptions) -> Result<Self, WorldError> {
        migrate::check_library(rusqlite::version_number())?;
        let location = options.location.canonical()?;
        let guard = join(&location)?;
        let location = &guard.as_ref().map_or(location, |guard| Location::File(guard.path()));
        let claim = guard.as_ref().map(|guard| claim(guard, &options)).transpose()?;
        let (connection, workflow_prefix) = connect_to_write(location, &options)?;
        let protection = guard.as_ref().map(Guard::protect).transpose()?;
        let presence = presence(guard.as_ref(), claim.clone(), &options.clock)?;
        let reading = |patience| connect_to_look(location, patience);
        let connections = || -> Result<Vec<Connection>, WorldError> {
            (0..READER_THREADS).map(|_| reading(Patience::Long)).collect()
        };
        let (for_replays, for_lists) = (connections()?, connections()?);
        let (path, own) = (location.shown(), reading(Patience::Short)?);
        let queue_time = Arc::new(queue_time(&connection, &*options.clock)?);
        let (connection, log) =
            sound_log(guard.as_ref(), connection, &presence, options.log_bytes_max)?;
        let of_writer = Some(Arc::clone(&connection));
        let version = Arc::new(VersionWatch::new(Arc::clone(&options.clock)));
        let point =
            PointReader::new(own, of_writer, path.clone(), presence.clone(), version.clone());
        let entropy = Arc::new(Entropy::default());
        let file = guard.as_ref().map(Guard::path);
        let owners = Arc::new(Owners::new(file.as_ref(), entropy.owner_name()));
        let listeners = Arc::<Listeners>::default();
        let look = Look::AsWriter(Arc::clone(&connection));
        let writer = Writer::start(WriterState {
            connection,
            log,
            path: path.clone(),
            presence: Arc::clone(&presence),
            clock: Arc::clone(&options.clock),
            queue_time: Arc::clone(&queue_time),
            owners: Arc::clone(&owners),
            entropy: Arc::clone(&entropy),
            environment: options.environment.clone(),
            workflow_prefix,
            release: options.release,
            full_durability: options.full_durability,
            synced: None,
            listeners: Arc::clone(&listeners),
            faults: options.faults,
        })
        .map_err(no_thread)?;
        let readers = |connections: Vec<Connection>| {
            Readers::start(connections, path.clone(), &presence, Arc::clone(&version))
                .map_err(no_thread)
        };
        // No other process has a database in memory.
        let watch = |path| Watcher::start(path, look, &listeners, &presence, claim.clone());
        let (replays, lists) = (readers(for_replays)?, readers(for_lists)?);
        // Last: if something failed after it, its thread would stay.
        let watcher = file.as_deref().map(watch).transpose().map_err(no_thread)?;
        Ok(Self {
            writer: Arc::new(writer),
            replays,
            lists,
            point,
            owners,
            listeners,
            watcher,
            claim,
            clock: options.clock,
            queue_time,
            entropy,
            environment: options.environment,
            location: location.clone(),
            presence,
            held: HeldFiles::new(protection, guard),
        })
    }

    /// Opens an existing database only for reading. Every write is refused. No file is made or changed
    /// except for those by which SQLite shares the log with writers. Blocks.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; `BadConfig` for memory.
    pub fn open_to_read(options: SqliteOptions) -> Result<Self, WorldError> {
        let location = options.location.clone();
        Self::open_to_read_at(options).map_err(|error| fault::at(error, &location.shown()))
    }

    fn open_to_read_at(options: SqliteOptions) -> Result<Self, WorldError> {
        migrate::check_library(rusqlite::version_number())?;
        let Location::File(path) = options.location.existing()? else {
            return Err(WorldError::new(ErrorKind::BadConfig, "a reader needs a database file"));
        };
        host_claim::refuse_to_read_elsewhere(&path, &options.host, &*options.clock)?;
        let guard = Guard::join_to_read(&path)?;
        let path = guard.path();
        let how = connect::how_to_read(&path)?;
        let reading = |patience| connect::connect_to_read(&path, how, patience);
        let point = reading(Patience::Short)?;
        migrate::check(&point)?;
        let (entropy, listeners) = (Arc::new(Entropy::default()), Arc::<Listeners>::default());
        let watch = Arc::new(VersionWatch::new(Arc::clone(&options.clock)));
        let look = Look::AsReader(reading(Patience::Short)?);
        let protection = guard.protect()?;
        let presence = presence(Some(&guard), None, &options.clock)?;
        let readers = || {
            let connections = (0..READER_THREADS).map(|_| reading(Patience::Long));
            let connections = connections.collect::<Result<_, WorldError>>()?;
            Readers::start(connections, path.clone(), &presence, Arc::clone(&watch))
                .map_err(no_thread)
        };
        let (replays, lists) = (readers()?, readers()?);
        // Last: if something failed after it, its thread would stay.
        let watcher =
            Watcher::start(&path, look, &listeners, &presence, None).map_err(no_thread)?;
        Ok(Self {
            // A status below 500, because a retry would not help.
            writer: Arc::new(Writer::refusing(only_reads().with("status", 400))),
            replays,
            lists,
            point: PointReader::new(point, None, path.clone(), Arc::clone(&presence), watch),
            owners: Arc::new(Owners::new(None, entropy.owner_name())),
            listeners,
            watcher: Some(watcher),
            claim: None,
            queue_time: Arc::new(QueueTime::new(&*options.clock)),
            clock: options.clock,
            entropy,
            environment: options.environment,
            location: Location::File(path),
            presence,
            held: HeldFiles::new(Some(protection), Some(guard)),
        })
    }
}
