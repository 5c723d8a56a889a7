//! Moves a database to another place, on a thread of its own.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::location::Location;
use crate::store::moving::{MovedRows, Progress, Side, move_rows};
use crate::store::postgres::PostgresSide;
use crate::store::sqlite::{self, Host, LOG_BYTES_MAX, SqliteOptions, SqliteSide};

/// A word about a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It goes on.
    Going(Progress),
    /// It is done.
    Done(Moved),
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The old place, for people.
    pub from: String,
    /// The new place, for people.
    pub to: String,
    /// The tables, each with its digest.
    pub tables: Vec<MovedRows>,
}

type Said = Result<Word, WorldError>;

/// A move under way. It waits while nobody listens.
pub struct Move(Mutex<Receiver<Said>>);

impl Move {
    /// Begins to move the database of one configuration to that of another one.
    pub fn start(from: Config, to: Config) -> Self {
        let (sender, receiver) = sync_channel(0);
        let work = move || {
            let moved = work(&from, &to, &sender).map(Word::Done);
            // Nobody may listen any more.
            let _ = sender.send(moved);
        };
        // Should no thread be had, the receiver says that all is closed.
        let _ = thread::Builder::new().name("hookline-move".into()).spawn(work);
        Self(Mutex::new(receiver))
    }

    /// The next word. Blocks. `Done` and an error are the last.
    ///
    /// # Errors
    /// Those of [`move_rows`] and of opening the two databases.
    pub fn next(&self) -> Said {
        lock(&self.0).recv().unwrap_or_else(|_| Err(WorldError::closed()))
    }
}

fn work(from: &Config, to: &Config, sender: &SyncSender<Said>) -> Result<Moved, WorldError> {
    to.refuse_place()?;
    if from.location == to.location {
        return Err(WorldError::invalid(
            "a database cannot be moved to its own place: name another one",
        ));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now_ms = clock.now_ms();
    let mut source: Box<dyn Side> = match &from.location {
        Location::Sqlite(file) => Box::new(SqliteSide::source(options(file, from, &clock))?),
        Location::Postgres(location) => Box::new(PostgresSide::source(location)?),
    };
    let mut target: Box<dyn Side> = match &to.location {
        Location::Sqlite(file) => Box::new(SqliteSide::target(options(file, to, &clock))?),
        Location::Postgres(location) => Box::new(PostgresSide::target(location, to.migrates)?),
    };
    let mut tell = |progress| drop(sender.send(Ok(Word::Going(progress))));
    let tables = move_rows(&mut *source, &mut *target, now_ms, &mut tell)?;
    Ok(Moved { from: source.shown(), to: target.shown(), tables })
}

fn options(location: &sqlite::Location, config: &Config, clock: &Arc<dyn Clock>) -> SqliteOptions {
    SqliteOptions {
        location: location.clone(),
        full_durability: true,
        workflow_prefix: config.workflow_prefix.clone(),
        takes_queue_names: true,
        release: None,
        environment: None,
        clock: Arc::clone(clock),
        host: Host::this(),
        faults: None,
        log_bytes_max: LOG_BYTES_MAX,
    }
}
