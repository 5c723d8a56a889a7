//! Notices the commits of other processes, and renews this host's claim.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::host_claim::{HostClaim, RENEW_EVERY};
use super::log_activity::LogActivity;
use super::presence::Presence;
use super::write_connection::{WriteConnection, commits_elsewhere};
use crate::lock::lock;
use crate::store::CommitNews;
use crate::store::listeners::Listeners;

/// The interval of looks after a write to the log. Its commit becomes visible only after the sync.
const QUICK: Duration = Duration::from_millis(1);
/// The number of such looks after a write.
const QUICK_LOOKS: u32 = 5;
/// The delay before the next look after a commit of this process, or after reporting others' commits. A
/// process that commits all the time should not cause a look each time.
const BETWEEN_COMMITS: Duration = Duration::from_millis(3);
/// The interval of looks while there is activity, or if the host does not report writes.
const STEADY: Duration = Duration::from_millis(10);
/// The number of such looks after the last write. Together they last longer than a sync.
const STEADY_LOOKS: u32 = 100;
/// The interval of looks while the host reports no writes.
const CALM: Duration = Duration::from_secs(1);

const _: () = {
    assert!(QUICK.as_millis() < BETWEEN_COMMITS.as_millis(), "commits one by one cost fewer looks");
    assert!(BETWEEN_COMMITS.as_millis() < STEADY.as_millis(), "news are told soon");
    assert!(
        STEADY.as_millis() * STEADY_LOOKS as u128 >= CALM.as_millis(),
        "there is no gap between the steady looks and the first calm one"
    );
};

/// A thread that looks for other processes' commits while somebody wants to know of changes.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    activity: Option<LogActivity>,
    /// The claim, which this thread also renews.
    claim: Option<Arc<HostClaim>>,
}

/// The reason why a wait ended.
#[derive(PartialEq)]
enum Ended {
    /// The next look is due.
    Look,
    /// Nobody wants to know of changes.
    Nothing,
    /// The watcher closes.
    Closed,
}

#[derive(Default)]
struct State {
    watchers: usize,
    closed: bool,
}

/// The connection that notices others' commits.
pub(super) enum Look {
    /// The writer's connection. Its own commits are no news.
    AsWriter(Arc<WriteConnection>),
    /// The connection of a store that only reads.
    AsReader(Connection),
}

impl Watcher {
    pub(super) fn start(
        database: &Path,
        look: Look,
        listeners: &Arc<Listeners>,
        presence: &Arc<Presence>,
        claim: Option<Arc<HostClaim>>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            // Without reports of the host, the thread looks steadily.
            activity: LogActivity::of(database).ok(),
            claim,
        });
        let looking = Arc::clone(&shared);
        let (listeners, presence) = (Arc::clone(listeners), Arc::clone(presence));
        let thread = std::thread::Builder::new()
            .name("hookline-watcher".into())
            .spawn(move || looking.run(&look, &listeners, &presence))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Adds or removes one user of the watcher.
    pub(super) fn watch(&self, watch: bool) {
        let mut state = lock(&self.shared.state);
        state.watchers = if watch { state.watchers + 1 } else { state.watchers.saturating_sub(1) };
        self.shared.changed.notify_all();
    }

    /// Ends the thread. Idempotent.
    pub(super) fn close(&self) {
        lock(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
        if let Some(activity) = &self.shared.activity {
            activity.interrupt();
        }
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, look: &Look, listeners: &Listeners, presence: &Presence) {
        let mut seen = None;
        let mut has_gone = false;
        let mut pace = Pace { host_tells: self.activity.is_some(), ..Pace::default() };
        loop {
            let ended = self.wait(&mut pace, look.own_commits());
            if ended == Ended::Closed {
                break;
            }
            if let Some(claim) = &self.claim {
                claim.renew_if_due();
            }
            if ended == Ended::Nothing {
                continue;
            }
            // The users look again after this news, and get the error.
            if !has_gone && presence.check_now_and_then().is_err() {
                has_gone = true;
                listeners.tell(&CommitNews { elsewhere: true, ..CommitNews::default() });
            }
            // A version that cannot be read now is read next time. Other code reports the fault: it is
            // in the log's index, without which every claim and every look-up fails too.
            let Some(version) = look.version() else { continue };
            if seen.replace(version) != Some(version) {
                pace.told();
                listeners.tell(&CommitNews { elsewhere: true, ..CommitNews::default() });
            }
        }
    }

    /// Waits until the next look is due, but no longer than until the claim must be renewed.
    fn wait(&self, pace: &mut Pace, own_commits: usize) -> Ended {
        let idle = |state: &mut State| state.watchers == 0 && !state.closed;
        let state = self.changed.wait_timeout_while(lock(&self.state), RENEW_EVERY, idle);
        let (state, _) = state.unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Ended::Closed;
        }
        if state.watchers == 0 {
            return Ended::Nothing;
        }
        let closed = match (pace.next(own_commits), &self.activity) {
            (Wait::ForWrite(at_most), Some(activity)) => {
                drop(state);
                match activity.wait(at_most) {
                    Ok(true) => pace.written(),
                    Ok(false) => {}
                    Err(_) => pace.host_tells = false,
                }
                lock(&self.state).closed
            }
            (Wait::ForWrite(time) | Wait::Time(time), _) => {
                let waited = self.changed.wait_timeout(state, time);
                waited.unwrap_or_else(PoisonError::into_inner).0.closed
            }
        };
        if closed { Ended::Closed } else { Ended::Look }
    }
}

impl Look {
    /// Changes when another connection has committed; `None` if it cannot be read now.
    fn version(&self) -> Option<i64> {
        match self {
            Self::AsWriter(connection) => connection.elsewhere_version(),
            Self::AsReader(connection) => commits_elsewhere(connection),
        }
    }

    /// Changes with each commit of this process.
    fn own_commits(&self) -> usize {
        match self {
            Self::AsWriter(connection) => connection.ended_batches(),
            Self::AsReader(_) => 0,
        }
    }
}

/// Decides when to look next.
#[derive(Default)]
struct Pace {
    /// Whether the host reports writes.
    host_tells: bool,
    quick_looks_left: u32,
    steady_looks: u32,
    has_told: bool,
    own_commits: usize,
}

#[derive(Debug, PartialEq)]
enum Wait {
    /// Ends only after this time.
    Time(Duration),
    /// Ends after this time, or at a write to the log.
    ForWrite(Duration),
}

impl Pace {
    /// Notes a write to the log.
    fn written(&mut self) {
        self.quick_looks_left = QUICK_LOOKS;
        self.steady_looks = 0;
    }

    /// Notes that a look has found commits.
    fn told(&mut self) {
        self.quick_looks_left = 0;
        self.has_told = true;
    }

    fn next(&mut self, own_commits: usize) -> Wait {
        let has_committed = std::mem::replace(&mut self.own_commits, own_commits) != own_commits;
        if self.quick_looks_left > 0 {
            self.quick_looks_left -= 1;
            return Wait::Time(QUICK);
        }
        if std::mem::take(&mut self.has_told) || has_committed {
            // Its own writes would wake it each time without need.
            return Wait::Time(BETWEEN_COMMITS);
        }
        if !self.host_tells {
            return Wait::Time(STEADY);
        }
        self.steady_looks = (self.steady_looks + 1).min(STEADY_LOOKS);
        Wait::ForWrite(if self.steady_looks < STEADY_LOOKS { STEADY } else { CALM })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_by_host() -> Pace {
        Pace { host_tells: true, ..Pace::default() }
    }

    fn calm() -> Pace {
        let mut pace = told_by_host();
        for _ in 0..STEADY_LOOKS {
            pace.next(0);
        }
        assert_eq!(pace.next(0), Wait::ForWrite(CALM));
        pace
    }

    #[test]
    fn a_write_is_looked_for_quickly_and_then_steadily_until_it_is_long_ago() {
        let mut pace = calm();
        pace.written();
        for _ in 0..QUICK_LOOKS {
            assert_eq!(pace.next(0), Wait::Time(QUICK));
        }
        for _ in 1..STEADY_LOOKS {
            assert_eq!(pace.next(0), Wait::ForWrite(STEADY));
        }
        assert_eq!(pace.next(0), Wait::ForWrite(CALM));
    }

    #[test]
    fn a_commit_of_its_own_is_no_reason_to_look_at_once() {
        let mut pace = calm();
        for commits in 1..10 {
            assert_eq!(pace.next(commits), Wait::Time(BETWEEN_COMMITS));
        }
        assert_eq!(pace.next(9), Wait::ForWrite(CALM));
    }

    #[test]
    fn other_processes_that_commit_all_the_time_are_told_of_at_a_steady_pace() {
        let mut pace = calm();
        for _ in 0..10 {
            pace.written();
            assert_eq!(pace.next(0), Wait::Time(QUICK));
            pace.told();
            assert_eq!(pace.next(0), Wait::Time(BETWEEN_COMMITS));
        }
    }

    #[test]
    fn without_the_hosts_word_every_look_comes_by_time() {
        let mut pace = Pace::default();
        for _ in 0..2 * STEADY_LOOKS {
            assert_eq!(pace.next(0), Wait::Time(STEADY));
        }
    }
}
