//! Checkpoints beside the traffic, and the trust in the log.
//!
//! A thread with its own connection copies the log into the database file while the writer continues.
//! When little is left, the writer copies the rest between two batches and restarts the log, because
//! only then is nothing added meanwhile.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ffi};

use super::super::migrate::APPLICATION_ID;
use super::super::presence::Presence;
use super::super::write_connection::WriteConnection;
use super::super::{connect, erasures};
use super::bound::Bound;
use super::mending::mark_doubtful;
use super::{Filled, free_pages, mend, shrinking, sync_log};
use crate::error::{ErrorKind, WorldError};
use crate::lock::{lock, try_lock};

/// The number of frames between checkpoints: 16 MiB of log, four times SQLite's default. A checkpoint
/// syncs the database file. The larger number spreads the cost of the sync and of pages that are
/// written often.
pub(super) const CHECKPOINT_FRAMES: i64 = 4000;
/// The most frames that the writer copies between two batches: this takes some milliseconds.
const FRAMES_LEFT_MAX: i64 = 1000;
/// The number of times that the thread copies frames that were added meanwhile. Then it leaves the
/// rest.
const ROUNDS_MAX: usize = 5;
/// A larger checkpoint is synced in pieces, because one sync of everything would delay the syncs of the
/// log.
const SYNCED_AT_ONCE_FRAMES: i64 = 8000;
/// The interval of these syncs.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// The interval at which a piece of an overlong log file, or some free pages, are given back.
const CUT_EVERY: Duration = Duration::from_millis(50);
/// The delay before the log is emptied of values that were dropped. One checkpoint erases all that were
/// dropped meanwhile.
const ERASE_AFTER: Duration = Duration::from_secs(1);
/// The delay before retrying a log that a reader holds, without traffic.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// The same delay while nothing is written because the log is full.
const AGAIN_AFTER_WHEN_FULL: Duration = Duration::from_millis(50);

/// The log of one database, as the writer uses it.
pub(in super::super) struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    database: PathBuf,
    presence: Arc<Presence>,
    writing: Arc<WriteConnection>,
    /// The thread's connection.
    connection: Mutex<Connection>,
    bound: Arc<Bound>,
    /// The number of frames at which the thread is asked next.
    checkpoint_at: AtomicI64,
    /// Whether there is a chore. Reading it costs nothing.
    has_chore: AtomicBool,
    /// Set when a sync has failed, until the log has been written anew.
    is_doubtful: AtomicBool,
    /// The reason why nothing can be written any more.
    stopped: OnceLock<WorldError>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Work that only the writer can do, because nothing may be added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Chore {
    /// Copy the rest of the log, and restart the log.
    Finish,
    /// Give back a piece of the log's file.
    Cut,
    /// Give back pages of the database.
    GiveBack,
}

/// The next work of the thread.
enum Next {
    Copy,
    HandOver(Chore),
    End,
}

#[derive(Default)]
struct State {
    is_asked: bool,
    /// The writer's work between two batches.
    chore: Option<Chore>,
    /// The file is longer than a log needs.
    is_long: bool,
    /// The database has more free pages than it keeps.
    is_roomy: bool,
    /// The log holds values that were dropped.
    erases: bool,
    /// A reader, or another process's checkpoint, was in the way last time.
    is_held: bool,
    is_closed: bool,
}

impl Log {
    /// Takes over the checkpoints from SQLite. `connection` may write; [`count_frames`] reports
    /// `frames`.
    pub(in super::super) fn start(
        database: PathBuf,
        presence: Arc<Presence>,
        writing: Arc<WriteConnection>,
        connection: Connection,
        frames: Arc<AtomicI64>,
        bytes_max: i64,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            database,
            presence,
            writing,
            connection: Mutex::new(connection),
            bound: Arc::new(Bound::new(frames, bytes_max)),
            checkpoint_at: AtomicI64::new(CHECKPOINT_FRAMES),
            has_chore: AtomicBool::new(false),
            is_doubtful: AtomicBool::new(false),
            stopped: OnceLock::new(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let working = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hookline-checkpoints".into())
            .spawn(move || working.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// The limit of the log, for operations that add to it.
    pub(in super::super) fn bound(&self) -> Arc<Bound> {
        Arc::clone(&self.shared.bound)
    }

    /// The writer calls this after each commit.
    pub(in super::super) fn after_commit(&self) {
        self.shared.after_commit();
    }

    /// Erases what was dropped: soon, the log is copied and its file is emptied.
    pub(in super::super) fn erase(&self) {
        let mut state = lock(&self.shared.state);
        // Another drop in the meantime does not put it off.
        if !std::mem::replace(&mut state.erases, true) {
            self.shared.changed.notify_all();
        }
    }

    /// Whether the writer has a chore between two batches.
    pub(in super::super) fn has_chore(&self) -> bool {
        self.shared.has_chore.load(Ordering::Relaxed)
    }

    /// Does the chore.
    pub(in super::super) fn do_chore(&self, writing: &Connection) {
        if let Some(chore) = self.shared.take_chore() {
            self.shared.do_chore(chore, writing);
        }
    }

    /// Marks the log as doubtful after a failed commit: its frames may be on the disk, and earlier
    /// frames may not be.
    pub(in super::super) fn doubt(&self) {
        self.shared.doubt();
    }

    /// Makes a doubtful log sound again, before anything is acknowledged.
    ///
    /// # Errors
    /// The reason why that failed. The next call tries again, unless the failure is final.
    pub(in super::super) fn make_sound(&self, writing: &Connection) -> Result<(), WorldError> {
        let shared = &*self.shared;
        if let Some(stopped) = shared.stopped.get() {
            return Err(stopped.clone());
        }
        if !shared.is_doubtful.load(Ordering::Acquire) {
            return Ok(());
        }
        shared.presence.check_to_write()?;
        let looking = lock(&shared.connection);
        match mend(writing, &looking, &shared.database) {
            Ok(()) => {
                shared.is_doubtful.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::Corrupt => {
                Err(shared.stopped.get_or_init(|| error).clone())
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the thread. Idempotent.
    pub(in super::super) fn end_thread(&self) {
        lock(&self.shared.state).is_closed = true;
        self.shared.changed.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// The writer calls this at its end. If nobody else has the database open, one file remains instead
    /// of two. A doubtful log is left for the next opening to recover. Files that replaced the
    /// database's files are left alone, because they belong to somebody else.
    pub(in super::super) fn close(&self, writing: &Connection) {
        if self.shared.presence.check_to_write().is_err() || self.make_sound(writing).is_err() {
            let _ = writing.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            return;
        }
        // A connection that only read leaves the files unchanged: they belong to somebody else.
        let written = writing.query_row("SELECT total_changes()", [], |row| row.get(0));
        if written.unwrap_or(0) > 0 {
            // Another process may be reading. Then the log stays unchanged.
            let _ = connect::hurry(|| Filled::after(writing, "TRUNCATE"));
        }
    }
}

/// Reports the length of the log after each commit of a connection, in place of SQLite's own
/// checkpoint.
pub(in super::super) fn count_frames(
    connection: &mut Connection,
) -> rusqlite::Result<Arc<AtomicI64>> {
    let frames = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&frames);
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: i32| {
        told.store(i64::from(count), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(frames)
}

impl Shared {
    fn after_commit(&self) {
        let frames = self.bound.frames();
        if frames < CHECKPOINT_FRAMES {
            // The log has restarted.
            self.checkpoint_at.store(CHECKPOINT_FRAMES, Ordering::Relaxed);
        } else if frames >= self.checkpoint_at.load(Ordering::Relaxed) {
            self.checkpoint_at.store(frames + CHECKPOINT_FRAMES, Ordering::Relaxed);
            self.ask();
        }
    }

    /// Asks the thread for a checkpoint.
    fn ask(&self) {
        lock(&self.state).is_asked = true;
        self.changed.notify_all();
    }

    fn doubt(&self) {
        self.is_doubtful.store(true, Ordering::Release);
        mark_doubtful(&self.database);
    }

    fn run(&self) {
        loop {
            match self.next() {
                Next::Copy => self.copy(),
                Next::HandOver(chore) => self.hand_over(chore),
                Next::End => break,
            }
        }
    }

    /// Waits for the next work.
    fn next(&self) -> Next {
        let mut state = lock(&self.state);
        loop {
            if state.is_closed {
                return Next::End;
            }
            if std::mem::take(&mut state.is_asked) {
                return Next::Copy;
            }
            let (pause, next) = match (state.is_held, state.is_long || state.is_roomy) {
                // The writer may have no next batch, because the log is full.
                _ if state.chore.is_some() => {
                    (AGAIN_AFTER_WHEN_FULL, Next::HandOver(Chore::Finish))
                }
                (true, _) if self.bound.is_reached() => (AGAIN_AFTER_WHEN_FULL, Next::Copy),
                (true, _) => (AGAIN_AFTER, Next::Copy),
                (false, _) if state.erases => (ERASE_AFTER, Next::Copy),
                (false, true) if state.is_long => (CUT_EVERY, Next::HandOver(Chore::Cut)),
                (false, true) => (CUT_EVERY, Next::HandOver(Chore::GiveBack)),
                (false, false) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            };
            let waited = self.changed.wait_timeout(state, pause);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() && !state.is_closed {
                let left = state.chore.take();
                return left.map_or(next, Next::HandOver);
            }
        }
    }

    /// Does a chore if nobody has anything to write, else leaves it to the writer. Does none if another
    /// file has replaced the log.
    fn hand_over(&self, chore: Chore) {
        if !self.is_sound() {
            return self.is_held();
        }
        if let Some(writing) = self.writing.lock_if_idle()
            && let Some(_my_turn) = self.writing.take_turn()
        {
            return self.do_chore(chore, &writing);
        }
        lock(&self.state).chore = Some(chore);
        self.has_chore.store(true, Ordering::Relaxed);
    }

    fn take_chore(&self) -> Option<Chore> {
        self.has_chore.store(false, Ordering::Relaxed);
        lock(&self.state).chore.take()
    }

    /// Whether the log may be copied: it exists, it is whole, and this host has the database.
    fn is_sound(&self) -> bool {
        let is_trusted = self.stopped.get().is_none() && !self.is_doubtful.load(Ordering::Acquire);
        is_trusted && self.presence.check_to_write().is_ok()
    }

    fn do_chore(&self, chore: Chore, writing: &Connection) {
        if !self.is_sound() {
            return self.is_held();
        }
        match chore {
            Chore::Finish => self.finish(writing),
            Chore::Cut => self.cut(writing),
            Chore::GiveBack => self.give_back(writing),
        }
    }

    /// Copies the log while the writer adds to it, until little is left or somebody is in the way.
    fn copy(&self) {
        for _ in 0..ROUNDS_MAX {
            let Some(filled) = self.copy_once() else { return self.is_held() };
            let added = self.bound.frames() - filled.backfilled;
            if added <= FRAMES_LEFT_MAX {
                break;
            }
        }
        lock(&self.state).is_held = false;
        self.hand_over(Chore::Finish);
    }

    /// `None` if not everything could be copied.
    fn copy_once(&self) -> Option<Filled> {
        if !self.is_sound() {
            return None;
        }
        let connection = lock(&self.connection);
        let before = Filled::of(&connection).ok()?;
        let copied = self.synced_piecewise(before.frames - before.backfilled, || {
            Filled::after(&connection, "PASSIVE")
        });
        match copied {
            Ok((filled, Ok(()))) => {
                self.bound.copied();
                filled.is_backfilled().then_some(filled)
            }
            // After a failed sync, SQLite treats pages as copied that the disk may not have, and never
            // copies them again.
            Ok((_, Err(fault))) => {
                self.stop(&fault);
                None
            }
            Err(fault) => {
                self.checkpoint_failed(&fault);
                None
            }
        }
    }

    /// Runs a checkpoint of this many frames and waits until the disk has it. While somebody adds to
    /// the log, SQLite leaves the sync to the end, where the writer would wait for it.
    fn synced_piecewise<T>(
        &self,
        frames: i64,
        checkpoint: impl FnOnce() -> Result<T, WorldError>,
    ) -> Result<(T, Result<(), WorldError>), WorldError> {
        std::thread::scope(|scope| {
            let (ends, ended) = std::sync::mpsc::channel::<()>();
            let syncing = move || {
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(SYNC_EVERY) {
                    self.writing.sync_database()?;
                }
                Ok(())
            };
            let is_much = frames > SYNCED_AT_ONCE_FRAMES;
            // Without a thread there is one sync, which takes longer.
            let thread = is_much
                .then(|| std::thread::Builder::new().spawn_scoped(scope, syncing).ok())
                .flatten();
            let done = checkpoint();
            drop(ends);
            let pieces = thread.map_or(Ok(Ok(())), |thread| thread.join());
            let pieces = pieces.unwrap_or_else(|_| Err(WorldError::closed()));
            let last = self.writing.sync_database();
            Ok((done?, pieces.and(last)))
        })
    }

    /// Copies the rest and restarts the log. Waits for readers, but only briefly. Empties the file if the
    /// log holds values that were dropped: a log that restarts keeps its old frames until new ones
    /// replace them.
    fn finish(&self, writing: &Connection) {
        // If this fails, the next checkpoint erases.
        let dropped = erasures::pending(writing).unwrap_or(None);
        let mode = if dropped.is_some() { "TRUNCATE" } else { "RESTART" };
        let finished = connect::hurry(|| {
            Filled::after(writing, mode).inspect_err(|fault| self.checkpoint_failed(fault))
        });
        match finished {
            Ok(filled) if !filled.is_busy => {
                let is_erased = dropped.is_none_or(|dropped| self.note_erased(writing, dropped));
                // If the count fails, the next checkpoint counts.
                let is_roomy = free_pages::are_many(writing).unwrap_or(false);
                self.bound.begun_anew();
                self.checkpoint_at.store(CHECKPOINT_FRAMES, Ordering::Relaxed);
                let mut state = lock(&self.state);
                state.is_held = false;
                state.erases = !is_erased;
                state.is_long = shrinking::is_long(&self.database);
                state.is_roomy = is_roomy;
                self.changed.notify_all();
            }
            _ => self.is_held(),
        }
    }

    /// Notes that the log is empty of the first so many drops, once that is on the disk. Returns whether
    /// that succeeded; otherwise the next checkpoint erases again.
    fn note_erased(&self, writing: &Connection, dropped: i64) -> bool {
        if sync_log(&self.database).is_err() {
            return false;
        }
        match connect::hurry(|| erasures::note_done(writing, dropped)) {
            Ok(()) => true,
            Err(fault) => {
                if WorldError::from(fault).kind != ErrorKind::Busy {
                    self.doubt();
                }
                false
            }
        }
    }

    /// Gives back a piece of an overlong log file. The log restarts only with the next commit, so this
    /// makes one if there is no traffic.
    fn cut(&self, writing: &Connection) {
        let Some(looking) = try_lock(&self.connection) else { return };
        let touched = match Filled::of(&looking) {
            Ok(filled) if filled.is_backfilled() && filled.frames > 0 => connect::hurry(|| {
                // The value does not change, but SQLite writes the page.
                let touched = writing.pragma_update(None, "application_id", APPLICATION_ID);
                touched.map_err(WorldError::from)
            }),
            filled => filled.map(drop),
        };
        if let Err(fault) = &touched
            && fault.kind != ErrorKind::Busy
        {
            self.doubt();
        }
        let cut = touched.and_then(|()| {
            connect::hurry(|| shrinking::cut_piece(writing, &looking, &self.database))
        });
        match cut {
            Ok(is_long) => lock(&self.state).is_long = is_long,
            // The next piece tries again.
            Err(fault) if fault.kind == ErrorKind::Busy => {}
            Err(_) => lock(&self.state).is_long = false,
        }
    }

    /// Gives back some pages of the database. When no more can be given back, a checkpoint shortens its
    /// file.
    fn give_back(&self, writing: &Connection) {
        match connect::hurry(|| free_pages::give_back_some(writing)) {
            Ok(is_roomy) => {
                lock(&self.state).is_roomy = is_roomy;
                self.after_commit();
                if !is_roomy {
                    self.ask();
                }
            }
            // It is tried again later.
            Err(fault) if fault.kind == ErrorKind::Busy => {}
            Err(_) => {
                self.doubt();
                lock(&self.state).is_roomy = false;
            }
        }
    }

    /// Notes that somebody is in the way.
    fn is_held(&self) {
        self.bound.held(connect::free_bytes(&self.database));
        lock(&self.state).is_held = true;
    }

    /// A failed sync leaves the log in doubt. If the database file's sync failed, the next checkpoint
    /// copies the same pages again. So this syncs the file now: the kernel reports the failure here,
    /// and not again later.
    fn checkpoint_failed(&self, fault: &WorldError) {
        self.bound.failed(fault);
        if fault.details["sqliteCode"] == ffi::SQLITE_IOERR_FSYNC {
            self.doubt();
            let _ = self.writing.sync_database();
        }
    }

    fn stop(&self, fault: &WorldError) {
        let message = format!(
            "the disk failed to write the database file, and hookline writes nothing more; end every process \
             that has it open, check the disk, and start again: everything that was acknowledged is in the \
             log [{}]",
            fault.message
        );
        let _ = self.stopped.set(WorldError::new(ErrorKind::Io, message).for_good());
        self.doubt();
    }
}
