//! The database of a configuration: which one it is, and its store.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Config, Role};
use crate::error::WorldError;
use crate::store::Store;
use crate::store::fault_plan::FaultPlan;
use crate::store::location::Location;
use crate::store::postgres::{PostgresLocation, PostgresOptions, PostgresStore};
use crate::store::sealed::{self, KeptKeys, SealedStore};
use crate::store::sqlite::{self, FileId, Guard, Host, LOG_BYTES_MAX, SqliteOptions, SqliteStore};
use crate::store::upkeep::Upkeep;

/// The identity of a database: for a file, independent of its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatabaseId {
    /// A file.
    File(FileId),
    /// Its name.
    Memory(String),
    /// Its URL without the password.
    Postgres(String),
}

/// Finds out which database this is, under its canonical location. Makes a file if there is none and it is
/// not only read; the guard keeps it.
///
/// # Errors
/// As opening it.
pub fn identify(
    location: &Location,
    reads_only: bool,
) -> Result<(DatabaseId, Location, Option<Guard>), WorldError> {
    let location = match location {
        Location::Sqlite(location) if reads_only => location.existing()?,
        Location::Sqlite(location) => location.canonical()?,
        Location::Postgres(location) => {
            let id = DatabaseId::Postgres(location.shown());
            return Ok((id, Location::Postgres(location.clone()), None));
        }
    };
    Ok(match location {
        sqlite::Location::File(path) => {
            let guard = match reads_only {
                true => Guard::join_to_read(&path)?,
                false => Guard::join(&path)?,
            };
            let location = Location::Sqlite(sqlite::Location::File(guard.path()));
            (DatabaseId::File(guard.id().clone()), location, Some(guard))
        }
        sqlite::Location::Memory(name) => {
            let location = Location::Sqlite(sqlite::Location::Memory(name.clone()));
            (DatabaseId::Memory(name), location, None)
        }
    })
}

/// One database behind its two interfaces.
pub struct Database {
    /// What a World needs.
    pub store: Arc<dyn Store>,
    /// What the person needs who runs it.
    pub upkeep: Arc<dyn Upkeep>,
}

impl Database {
    fn of<S: Store + Upkeep>(store: Arc<S>) -> Self {
        Self { upkeep: Arc::clone(&store) as Arc<dyn Upkeep>, store }
    }
}

/// Opens the database of the configuration, with sealing if there is a key ring. Blocks.
///
/// # Errors
/// Those of the store.
pub fn open(
    config: &Config,
    clock: &Arc<dyn Clock>,
    faults: Option<Arc<FaultPlan>>,
) -> Result<Database, WorldError> {
    match &config.location {
        Location::Sqlite(location) => {
            sealing(Arc::new(open_sqlite(config, location, clock, faults)?), config, clock)
        }
        Location::Postgres(location) => {
            sealing(Arc::new(open_postgres(config, location)?), config, clock)
        }
    }
}

fn open_sqlite(
    config: &Config,
    location: &sqlite::Location,
    clock: &Arc<dyn Clock>,
    faults: Option<Arc<FaultPlan>>,
) -> Result<SqliteStore, WorldError> {
    let open = match config.role {
        Role::Reader => SqliteStore::open_to_read,
        Role::Worker | Role::Producer => SqliteStore::open,
    };
    open(SqliteOptions {
        location: location.clone(),
        full_durability: config.full_durability,
        workflow_prefix: config.workflow_prefix.clone(),
        takes_queue_names: config.takes_queue_names,
        release: config.release.clone(),
        environment: config.environment.clone(),
        clock: Arc::clone(clock),
        host: Host::this(),
        faults,
        log_bytes_max: LOG_BYTES_MAX,
    })
}

fn open_postgres(
    config: &Config,
    location: &PostgresLocation,
) -> Result<PostgresStore, WorldError> {
    let open = match config.role {
        Role::Reader => PostgresStore::open_to_read,
        Role::Worker | Role::Producer => PostgresStore::open,
    };
    open(PostgresOptions {
        location: location.clone(),
        migrates: config.migrates,
        full_durability: config.full_durability,
        workflow_prefix: config.workflow_prefix.clone(),
        takes_queue_names: config.takes_queue_names,
        release: config.release.clone(),
        environment: config.environment.clone(),
        clock: None,
    })
}

/// The store, below a sealing one if there is a key ring.
fn sealing<S: Store + Upkeep + KeptKeys>(
    plain: Arc<S>,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Database, WorldError> {
    let below = Arc::clone(&plain);
    let opened = match &config.encryption_keys {
        Some(ring) => SealedStore::open(below, Arc::clone(ring), config.tokens, Arc::clone(clock))
            .map(|sealed| Database::of(Arc::new(sealed))),
        None => sealed::refuse_if_sealed(&*plain).map(|()| Database::of(below)),
    };
    if opened.is_err() {
        plain.close();
    }
    opened
}
