//! Who awaits which run's end, or which hook.
//!
//! A waiter is entered first and looks second, so a commit is either seen by that look or heard of
//! after it; nobody polls. Commits of this process name what they concern. One of another process
//! says only that something changed: then one read looks for everything that is awaited.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::domain::id::{HookToken, RunId};
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::{CommitListener, CommitNews, Completion, Found, HookView, RunView, Store};

/// When everything that is awaited is looked for again after a look that failed and may go well
/// later.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Names one waiter, so that its caller can stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaiterId {
    /// The World that waits.
    pub world: u64,
    /// The waiter within it.
    pub number: u32,
}

/// Everything that is awaited on one store.
pub struct Awaiting {
    runs: Arc<Board<RunId, RunView>>,
    hooks: Arc<Board<HookToken, HookView>>,
}

impl Awaiting {
    /// Listens to the commits of a store.
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let runs = Board::new(Arc::clone(&store), |store, ids, done| store.run_ends(ids, done));
        let hooks =
            Board::new(Arc::clone(&store), |store, tokens, done| store.live_hooks(tokens, done));
        let awaiting = Arc::new(Self { runs, hooks });
        let listener: Weak<Self> = Arc::downgrade(&awaiting);
        store.on_commit(listener);
        awaiting
    }

    /// Settles with the run, payloads and all, once it has ended; with `None` when it is stopped.
    ///
    /// # Errors
    /// `RunNotFound` when there is no such run, `Closed`, storage faults that do not pass by themselves.
    pub fn run_end(&self, id: WaiterId, run_id: RunId, done: Completion<Option<RunView>>) {
        self.runs.enter(id, run_id, done);
    }

    /// Settles with the live hook that has this token, now or later; with `None` when it is stopped.
    ///
    /// # Errors
    /// `Closed`, storage faults that do not pass by themselves.
    pub fn hook(&self, id: WaiterId, token: HookToken, done: Completion<Option<HookView>>) {
        self.hooks.enter(id, token, done);
    }

    /// Ends a wait: it settles with `None`, unless it has settled already.
    pub fn stop(&self, id: WaiterId) {
        self.runs.stop(id);
        self.hooks.stop(id);
    }

    /// Ends all waits of a World with `Closed`.
    pub fn close_of(&self, world: u64) {
        self.runs.leave(|waiter| waiter.world == world, || Err(WorldError::closed()));
        self.hooks.leave(|waiter| waiter.world == world, || Err(WorldError::closed()));
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        lock(&self.runs.state).waiters.len() + lock(&self.hooks.state).waiters.len()
    }
}

impl CommitListener for Awaiting {
    fn hear(self: Arc<Self>, news: &CommitNews) {
        self.runs.hear(&news.ended_runs, news.elsewhere);
        self.hooks.hear(&news.hooks, news.elsewhere);
    }
}

/// A look finds, of the keys that were asked for, those that need to wait no longer.
type Look<K, V> = fn(&dyn Store, Vec<K>, Completion<Found<K, V>>);

/// Waiters for one kind of thing, by its key.
struct Board<K, V> {
    store: Arc<dyn Store>,
    look: Look<K, V>,
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    waiters: HashMap<WaiterId, (K, Completion<Option<V>>)>,
    by_key: HashMap<K, HashSet<WaiterId>>,
    /// Whether a look for everything is under way, and whether another must follow it.
    sweep: Sweep,
    /// Whether a sweep is to come because a look has failed.
    sweeps_later: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweep {
    Idle,
    Looking,
    LookingAndAgain,
}

impl<K, V> Board<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    fn new(store: Arc<dyn Store>, look: Look<K, V>) -> Arc<Self> {
        let state = State {
            waiters: HashMap::new(),
            by_key: HashMap::new(),
            sweep: Sweep::Idle,
            sweeps_later: false,
        };
        Arc::new(Self { store, look, state: Mutex::new(state) })
    }

    fn enter(self: &Arc<Self>, id: WaiterId, key: K, done: Completion<Option<V>>) {
        {
            let mut state = lock(&self.state);
            if state.waiters.contains_key(&id) {
                drop(state);
                return done.settle(Err(WorldError::invalid("this waiter is in use already")));
            }
            // While anybody waits, commits of other processes matter.
            self.store.watch_elsewhere(true);
            state.by_key.entry(key.clone()).or_default().insert(id);
            state.waiters.insert(id, (key.clone(), done));
        }
        self.look_for(vec![key]);
    }

    fn look_for(self: &Arc<Self>, keys: Vec<K>) {
        let board = Arc::clone(self);
        let asked = keys.clone();
        (self.look)(&*self.store, keys, Completion::new(move |found| board.found(asked, found)));
    }

    fn found(self: &Arc<Self>, asked: Vec<K>, found: Result<Found<K, V>, WorldError>) {
        match found {
            Ok(found) => found.into_iter().for_each(|(key, outcome)| self.settle(&key, &outcome)),
            // Who waits has waited longer than that.
            Err(error) if error.may_pass() && self.sweep_later() => {}
            Err(error) => asked.iter().for_each(|key| self.settle(key, &Err(error.clone()))),
        }
    }

    /// Looks for everything a little later; `false` when nothing can be done later. One thread for all
    /// looks that fail in the meantime, and only then.
    fn sweep_later(self: &Arc<Self>) -> bool {
        if std::mem::replace(&mut lock(&self.state).sweeps_later, true) {
            return true;
        }
        let board = Arc::downgrade(self);
        let later = move || {
            std::thread::sleep(LOOK_AGAIN_AFTER);
            let Some(board) = board.upgrade() else { return };
            lock(&board.state).sweeps_later = false;
            board.sweep();
        };
        let thread = std::thread::Builder::new().name("hookline-awaiting".into()).spawn(later);
        if thread.is_err() {
            lock(&self.state).sweeps_later = false;
        }
        thread.is_ok()
    }

    fn settle(&self, key: &K, outcome: &Result<V, WorldError>) {
        let settled: Vec<Completion<Option<V>>> = {
            let mut state = lock(&self.state);
            let ids = state.by_key.remove(key).unwrap_or_default();
            ids.iter().filter_map(|id| state.waiters.remove(id)).map(|(_, done)| done).collect()
        };
        for done in settled {
            self.store.watch_elsewhere(false);
            done.settle(outcome.clone().map(Some));
        }
    }

    fn stop(&self, id: WaiterId) {
        let stopped = lock(&self.state).take(id);
        if let Some(done) = stopped {
            self.store.watch_elsewhere(false);
            done.settle(Ok(None));
        }
    }

    /// Takes waiters off the board; their outcome is made for each.
    fn leave(
        &self,
        leaves: impl Fn(WaiterId) -> bool,
        outcome: impl Fn() -> Result<Option<V>, WorldError>,
    ) {
        let left: Vec<Completion<Option<V>>> = {
            let mut state = lock(&self.state);
            let ids: Vec<WaiterId> =
                state.waiters.keys().copied().filter(|id| leaves(*id)).collect();
            ids.into_iter().filter_map(|id| state.take(id)).collect()
        };
        for done in left {
            self.store.watch_elsewhere(false);
            done.settle(outcome());
        }
    }

    fn hear(self: &Arc<Self>, keys: &[K], elsewhere: bool) {
        if elsewhere {
            return self.sweep();
        }
        let awaited: Vec<K> = {
            let state = lock(&self.state);
            keys.iter().filter(|key| state.by_key.contains_key(key)).cloned().collect()
        };
        if !awaited.is_empty() {
            self.look_for(awaited);
        }
    }

    /// Looks for everything that is awaited; one look at a time, and one more when it was asked for
    /// meanwhile, however often that was.
    fn sweep(self: &Arc<Self>) {
        let keys: Vec<K> = {
            let mut state = lock(&self.state);
            if state.by_key.is_empty() {
                return;
            }
            if state.sweep != Sweep::Idle {
                state.sweep = Sweep::LookingAndAgain;
                return;
            }
            state.sweep = Sweep::Looking;
            state.by_key.keys().cloned().collect()
        };
        let board = Arc::clone(self);
        let asked = keys.clone();
        let seen = Completion::new(move |found| {
            board.found(asked, found);
            let again = std::mem::replace(&mut lock(&board.state).sweep, Sweep::Idle);
            if again == Sweep::LookingAndAgain {
                board.sweep();
            }
        });
        (self.look)(&*self.store, keys, seen);
    }
}

impl<K: Eq + Hash, V> State<K, V> {
    fn take(&mut self, id: WaiterId) -> Option<Completion<Option<V>>> {
        let (key, done) = self.waiters.remove(&id)?;
        if let Some(ids) = self.by_key.get_mut(&key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_key.remove(&key);
            }
        }
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::sqlite::{Host, LOG_BYTES_MAX, Location, SqliteOptions, SqliteStore};

    static LOOKS: AtomicUsize = AtomicUsize::new(0);

    fn counted_look(
        store: &dyn Store,
        run_ids: Vec<RunId>,
        done: Completion<Found<RunId, RunView>>,
    ) {
        LOOKS.fetch_add(1, Ordering::SeqCst);
        // Those of the test go on for ever.
        let _ = (store, run_ids);
        done.settle(Ok(Vec::new()));
    }

    #[test]
    fn a_thousand_waiters_cost_one_look_each_and_then_one_for_all_when_another_process_commits() {
        let store = SqliteStore::open(SqliteOptions {
            location: Location::Memory("awaiting".into()),
            full_durability: true,
            workflow_prefix: "__wkf_workflow_".into(),
            environment: None,
            clock: Arc::new(SystemClock),
            host: Host::this(),
            faults: None,
            log_bytes_max: LOG_BYTES_MAX,
        });
        let store: Arc<dyn Store> = Arc::new(store.expect("memory opens"));
        let board = Board::new(store, counted_look);
        for number in 0..1000 {
            let run_id = RunId::new(format!("wrun_{number}"));
            board.enter(WaiterId { world: 1, number }, run_id, Completion::ignored());
        }
        assert_eq!(LOOKS.load(Ordering::SeqCst), 1000);
        board.hear(&[RunId::new("wrun_of_nobody")], false);
        assert_eq!(LOOKS.load(Ordering::SeqCst), 1000, "nobody waits for that");
        board.hear(&[], true);
        assert_eq!(LOOKS.load(Ordering::SeqCst), 1001);
        board.hear(&[RunId::new("wrun_7"), RunId::new("wrun_8")], false);
        assert_eq!(LOOKS.load(Ordering::SeqCst), 1002);
        board.leave(|_| true, || Ok(None));
        board.hear(&[], true);
        assert_eq!(LOOKS.load(Ordering::SeqCst), 1002, "nobody waits");
    }
}
