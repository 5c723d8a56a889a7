//! Notices the commits of other processes for a store that only reads, which has no writer to do so.

use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::writer::LOOK_ELSEWHERE_EVERY;
use crate::lock::{self, lock};
use crate::store::{CommitListener, CommitNews};

/// A thread that looks at the database while somebody wants to hear of changes.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    watchers: usize,
    closed: bool,
}

impl Watcher {
    pub(super) fn start(
        connection: Connection,
        listeners: Arc<RwLock<Vec<CommitListener>>>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let looking = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hookline-watcher".into())
            .spawn(move || looking.run(&connection, &listeners))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// One more watcher, or one less.
    pub(super) fn watch(&self, watch: bool) {
        let mut state = lock(&self.shared.state);
        state.watchers = if watch { state.watchers + 1 } else { state.watchers.saturating_sub(1) };
        self.shared.changed.notify_all();
    }

    /// Ends the thread. Idempotent.
    pub(super) fn close(&self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, connection: &Connection, listeners: &RwLock<Vec<CommitListener>>) {
        let mut seen = None;
        while self.awaits_look() {
            let read = connection
                .prepare_cached("PRAGMA data_version")
                .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
            // What cannot be read now is read the next time.
            let Ok(version) = read else { continue };
            if seen.replace(version) != Some(version) {
                let news = CommitNews { elsewhere: true, ..CommitNews::default() };
                lock::read(listeners).iter().for_each(|listener| listener(&news));
            }
        }
    }

    /// Waits until it is time to look; `false` when that time is over.
    fn awaits_look(&self) -> bool {
        let idle = |state: &mut State| state.watchers == 0 && !state.closed;
        let state = self.changed.wait_while(lock(&self.state), idle);
        let state = state.unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.closed {
            return false;
        }
        let waited = self.changed.wait_timeout(state, LOOK_ELSEWHERE_EVERY);
        !waited.unwrap_or_else(std::sync::PoisonError::into_inner).0.closed
    }
}
