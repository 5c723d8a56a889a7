//! The waiters of this process: for live tails, the ends of runs, and hooks ([`awaited`]).
//!
//! A waiter first enters its board, and then the board looks. So either the look sees a commit, or the
//! board is notified of the commit after it; nobody polls. A commit of this process names its topics,
//! and the board looks for their waiters. A commit of another process ("elsewhere") only says that
//! something has changed, and the board looks for every waiter.
//!
//! A look is one read of the store for any number of waiters. Each waiter is in one look at a time.
//! Commits during a look cause one more look after it. A look that fails temporarily is repeated.

pub mod awaited;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::iter::repeat_n;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use awaited::{Boards, TailSlice};

use crate::error::WorldError;
use crate::lock::lock;
use crate::store::{CommitListener, CommitNews, Completion, Found};

/// The delay before the board repeats a look that failed temporarily.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Names one waiter, so that its caller can stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WaiterId {
    /// The World that waits.
    pub world: u64,
    /// The number of the waiter within the World.
    pub number: u32,
}

/// A thing that waiters wait for.
pub trait Awaited: Clone + Eq + Hash + Send + 'static {
    /// The name by which commits refer to it.
    type Topic: Clone + Eq + Hash + Send + 'static;
    /// The result of a look.
    type Seen: Clone + Send + 'static;
    /// The answer for the waiter.
    type Answer: Send + 'static;
    /// The most that one read of the store looks for. All their answers come at its end.
    const IN_ONE_LOOK: usize;

    /// The topic. It must not change during the wait.
    fn topic(&self) -> &Self::Topic;
    /// The topics that a commit of this process names.
    fn topics(news: &CommitNews) -> &[Self::Topic];
    /// The answer for a waiter from the result of a look; `None` if it waits on. It may then wait for
    /// something narrower.
    fn answer(&mut self, seen: Self::Seen) -> Option<Self::Answer>;
    /// Whether to look again after a look failed so; otherwise the waiters get the fault.
    fn is_repeated(fault: &WorldError) -> bool {
        fault.may_pass()
    }
    /// The answer for a waiter that was stopped.
    fn stopped(self) -> Self::Answer;
}

/// The results of a look. Waiters without a result wait on.
pub type Looked<A> = Found<A, <A as Awaited>::Seen>;

type LookFor<A> = dyn Fn(Vec<A>, Completion<Looked<A>>) + Send + Sync;

/// The waiters for one kind of thing.
pub struct Board<A: Awaited> {
    look_for: Box<LookFor<A>>,
    watch_elsewhere: Box<dyn Fn(bool) + Send + Sync>,
    state: Mutex<State<A>>,
}

struct State<A: Awaited> {
    waiters: HashMap<WaiterId, Waiter<A>>,
    by_topic: HashMap<A::Topic, HashSet<WaiterId>>,
    /// Numbers the looks.
    last_look: u64,
    /// Whether a look for everything is planned because one has failed.
    looks_later: bool,
}

struct Waiter<A: Awaited> {
    awaited: A,
    stage: Stage,
    done: Completion<A::Answer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The next commit makes the board look.
    Waits,
    /// The board looks. Only the look with this number answers, because another waiter may use the same
    /// id later.
    LookedFor { look: u64, again: bool },
}

/// A look in progress: its targets and its waiters.
struct Look<A> {
    number: u64,
    asked: HashMap<A, Vec<WaiterId>>,
}

/// A waiter that has left the board, and its outcome.
type Left<A> = (Completion<<A as Awaited>::Answer>, Result<<A as Awaited>::Answer, WorldError>);

impl<A: Awaited> Board<A> {
    /// An empty board. It looks with `look_for`. While it has waiters, it requests news of other
    /// processes' commits with `watch_elsewhere`.
    pub fn new(
        look_for: impl Fn(Vec<A>, Completion<Looked<A>>) + Send + Sync + 'static,
        watch_elsewhere: impl Fn(bool) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = State {
            waiters: HashMap::new(),
            by_topic: HashMap::new(),
            last_look: 0,
            looks_later: false,
        };
        Arc::new(Self {
            look_for: Box::new(look_for),
            watch_elsewhere: Box::new(watch_elsewhere),
            state: Mutex::new(state),
        })
    }

    /// Waits until `done` settles with the answer, now or later.
    ///
    /// # Errors
    /// Settles with `Invalid` if this waiter already waits, with `Closed`, and with permanent faults.
    pub fn enter(self: &Arc<Self>, id: WaiterId, awaited: A, done: Completion<A::Answer>) {
        let look = {
            let mut state = lock(&self.state);
            if state.waiters.contains_key(&id) {
                drop(state);
                return done.settle(Err(WorldError::invalid("this waiter is in use already")));
            }
            if state.waiters.is_empty() {
                (self.watch_elsewhere)(true);
            }
            state.by_topic.entry(awaited.topic().clone()).or_default().insert(id);
            state.waiters.insert(id, Waiter { awaited, stage: Stage::Waits, done });
            state.begin(&[id])
        };
        self.look(look);
    }

    /// Ends a wait, unless it has settled; see [`Awaited::stopped`].
    pub fn stop(&self, id: WaiterId) {
        self.leave(|state| {
            let stopped = |waiter: Waiter<A>| (waiter.done, Ok(waiter.awaited.stopped()));
            state.take(id).map(stopped).into_iter().collect()
        });
    }

    /// Ends all waits of a World with `Closed`.
    pub fn close_of(&self, world: u64) {
        self.leave(|state| {
            let ids = state.waiters.keys().copied().filter(|id| id.world == world);
            let ids: Vec<WaiterId> = ids.collect();
            let closed = |waiter: Waiter<A>| (waiter.done, Err(WorldError::closed()));
            ids.into_iter().filter_map(|id| state.take(id)).map(closed).collect()
        });
    }

    /// The number of waiters.
    pub fn count(&self) -> usize {
        lock(&self.state).waiters.len()
    }

    /// Removes waiters from the board, then settles them.
    fn leave(&self, take: impl FnOnce(&mut State<A>) -> Vec<Left<A>>) {
        let left = {
            let mut state = lock(&self.state);
            let left = take(&mut state);
            if !left.is_empty() && state.waiters.is_empty() {
                debug_assert!(state.by_topic.is_empty(), "a topic without a waiter");
                (self.watch_elsewhere)(false);
            }
            left
        };
        left.into_iter().for_each(|(done, outcome)| done.settle(outcome));
    }

    fn look(self: &Arc<Self>, looks: Vec<Look<A>>) {
        for look in looks {
            let board = Arc::clone(self);
            let asked = look.asked.keys().cloned().collect();
            (self.look_for)(asked, Completion::new(move |found| board.found(look, found)));
        }
    }

    fn found(self: &Arc<Self>, look: Look<A>, found: Result<Looked<A>, WorldError>) {
        let found = match found {
            Ok(found) => found,
            Err(error) if look.asked.len() > 1 && !A::is_repeated(&error) => {
                return self.look_alone(look);
            }
            Err(error) => look.asked.keys().map(|it| (it.clone(), Err(error.clone()))).collect(),
        };
        let fails = |seen: &Result<A::Seen, WorldError>| seen.as_ref().is_err_and(A::is_repeated);
        let repeats = found.iter().any(|(_, seen)| fails(seen)) && self.look_later();
        let mut next = Vec::new();
        self.leave(|state| {
            let mut left = Vec::new();
            for (awaited, seen) in found {
                let ids = look.asked.get(&awaited).map(Vec::as_slice).unwrap_or_default();
                let waits_on = repeats && fails(&seen);
                let seen = repeat_n(seen, if waits_on { 0 } else { ids.len() });
                left.extend(
                    ids.iter()
                        .zip(seen)
                        .filter_map(|(id, seen)| state.give(*id, look.number, seen)),
                );
            }
            next = state.wait_on(look);
            left
        });
        self.look(next);
    }

    /// Looks for each separately, so that an unreadable one does not fail the others.
    fn look_alone(self: &Arc<Self>, look: Look<A>) {
        let Look { number, asked } = look;
        let alone = |(awaited, ids)| Look { number, asked: HashMap::from([(awaited, ids)]) };
        self.look(asked.into_iter().map(alone).collect());
    }

    /// Looks for everything a little later; `false` if that is impossible. One thread serves all looks
    /// that fail meanwhile, and exists only then.
    fn look_later(self: &Arc<Self>) -> bool {
        if std::mem::replace(&mut lock(&self.state).looks_later, true) {
            return true;
        }
        let board = Arc::downgrade(self);
        let later = move || {
            std::thread::sleep(LOOK_AGAIN_AFTER);
            let Some(board) = board.upgrade() else { return };
            lock(&board.state).looks_later = false;
            board.look_for_all();
        };
        let thread = std::thread::Builder::new().name("hookline-board".into()).spawn(later);
        if thread.is_err() {
            lock(&self.state).looks_later = false;
        }
        thread.is_ok()
    }

    fn look_for_all(self: &Arc<Self>) {
        let look = {
            let mut state = lock(&self.state);
            let ids: Vec<WaiterId> = state.waiters.keys().copied().collect();
            state.begin(&ids)
        };
        self.look(look);
    }
}

impl<A: Awaited> CommitListener for Board<A> {
    fn hear(self: Arc<Self>, news: &CommitNews) {
        if news.elsewhere {
            return self.look_for_all();
        }
        let topics = A::topics(news);
        if topics.is_empty() {
            return;
        }
        let look = {
            let mut state = lock(&self.state);
            let concerned = topics.iter().filter_map(|topic| state.by_topic.get(topic));
            let ids: Vec<WaiterId> = concerned.flatten().copied().collect();
            state.begin(&ids)
        };
        self.look(look);
    }
}

impl<A: Awaited> State<A> {
    /// Starts looks for these waiters. If a look for one is in progress, the board looks for it again
    /// afterwards.
    fn begin(&mut self, ids: &[WaiterId]) -> Vec<Look<A>> {
        self.last_look += 1;
        let number = self.last_look;
        let mut looks: Vec<Look<A>> = Vec::new();
        for id in ids {
            let Some(waiter) = self.waiters.get_mut(id) else { continue };
            match waiter.stage {
                Stage::Waits => {
                    waiter.stage = Stage::LookedFor { look: number, again: false };
                    let awaited = waiter.awaited.clone();
                    match looks.last_mut().filter(|look| look.asked.len() < A::IN_ONE_LOOK) {
                        Some(look) => look.asked.entry(awaited).or_default().push(*id),
                        None => looks.push(Look { number, asked: [(awaited, vec![*id])].into() }),
                    }
                }
                // A commit may name a topic twice.
                Stage::LookedFor { look, .. } if look == number => {}
                Stage::LookedFor { look, .. } => {
                    waiter.stage = Stage::LookedFor { look, again: true };
                }
            }
        }
        looks
    }

    /// Gives the result of a look to one of its waiters; `None` if the waiter waits on.
    fn give(
        &mut self,
        id: WaiterId,
        number: u64,
        seen: Result<A::Seen, WorldError>,
    ) -> Option<Left<A>> {
        let waiter = self.waiters.get_mut(&id).filter(|waiter| waiter.is_in(number))?;
        let outcome = match seen {
            Ok(seen) => Ok(waiter.awaited.answer(seen)?),
            Err(error) => Err(error),
        };
        self.take(id).map(|waiter| (waiter.done, outcome))
    }

    /// Waiters without an answer wait on. Starts the next look for those that commits concerned during
    /// this one.
    fn wait_on(&mut self, look: Look<A>) -> Vec<Look<A>> {
        let mut again = Vec::new();
        for id in look.asked.into_values().flatten() {
            let waiter = self.waiters.get_mut(&id).filter(|waiter| waiter.is_in(look.number));
            let Some(waiter) = waiter else { continue };
            if matches!(waiter.stage, Stage::LookedFor { again: true, .. }) {
                again.push(id);
            }
            waiter.stage = Stage::Waits;
        }
        self.begin(&again)
    }

    fn take(&mut self, id: WaiterId) -> Option<Waiter<A>> {
        let waiter = self.waiters.remove(&id)?;
        let topic = waiter.awaited.topic();
        let ids = self.by_topic.get_mut(topic);
        debug_assert!(ids.is_some(), "a waiter whose topic has changed");
        if let Some(ids) = ids {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_topic.remove(topic);
            }
        }
        Some(waiter)
    }
}

impl<A: Awaited> Waiter<A> {
    fn is_in(&self, number: u64) -> bool {
        matches!(self.stage, Stage::LookedFor { look, .. } if look == number)
    }
}
