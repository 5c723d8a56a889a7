//! The session: a connection that holds this worker's lock, tells other processes of commits, and hears
//! of theirs.
//!
//! What it tells and hears are hints. Behind a pooler that gives each transaction another connection
//! there is no session: then this process looks for itself, and others see its death when its leases
//! expire.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::connect::Connector;
use super::db::Db;
use super::hearing::{Hearing, notify};
use super::{fault, owners, start_defaults};
use crate::clock::Clock;
use crate::domain::queue::offer::Offer;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::CommitNews;
use crate::store::Completion;
use crate::store::listeners::Listeners;

/// Commits of this time are told together.
const TELL_EVERY: Duration = Duration::from_millis(5);
/// The interval at which a worker asks for its lock while an earlier session of it has that.
const LOCK_EVERY: Duration = Duration::from_secs(1);
/// How often a process looks that cannot hear: behind a pooler, for example.
const LOOK_EVERY_DEAF: Duration = Duration::from_millis(500);
/// How often a process looks that can.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The pauses between attempts to connect, the last one again and again.
const CONNECT_PAUSES_MS: [u64; 5] = [50, 100, 250, 500, 1000];

/// What is asked of the session.
enum Command {
    /// Makes this process a worker that offers this.
    Register(Offer, Completion<()>),
    /// Ends it as a worker.
    End(Completion<()>),
    Show(String),
    Tell,
    Watch,
}

/// The session of a store.
pub(super) struct Session {
    sender: Mutex<Option<UnboundedSender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_registered: AtomicBool,
    watchers: Arc<AtomicUsize>,
    is_missing: Arc<OnceLock<()>>,
    /// Whether the session knows already that it has something to tell.
    is_to_tell: Arc<AtomicBool>,
}

/// How the session's connection is made.
pub(super) enum Way {
    /// As all others. It is a session if it leads to the server itself.
    AsAll,
    /// As the user says, to a session of the same database.
    Apart(Box<Connector>),
    /// As all others, to no session: the user knows of none.
    Without,
}

/// What the session's task needs.
pub(super) struct SessionState {
    /// Leads to the database, perhaps through a pooler.
    pub(super) connector: Connector,
    pub(super) way: Way,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) me: String,
    pub(super) listeners: Arc<Listeners>,
}

impl Session {
    pub(super) fn start(state: SessionState) -> std::io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let watchers = Arc::<AtomicUsize>::default();
        let watching = Arc::clone(&watchers);
        let is_missing = Arc::<OnceLock<()>>::default();
        let missing = Arc::clone(&is_missing);
        let is_to_tell = Arc::<AtomicBool>::default();
        let to_tell = Arc::clone(&is_to_tell);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Without a runtime everything that is asked settles with `Closed`.
            if let Ok(runtime) = runtime {
                let task = SessionTask::new(state, watching, missing, to_tell).run(receiver);
                LocalSet::new().block_on(&runtime, task);
            }
        };
        let thread =
            std::thread::Builder::new().name("hookline-postgres-session".into()).spawn(run)?;
        let (sender, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        let is_registered = AtomicBool::new(false);
        Ok(Self { sender, thread, is_registered, watchers, is_missing, is_to_tell })
    }

    /// Calls `then` when this process is a worker.
    pub(super) fn register(
        &self,
        offer: &Offer,
        then: impl FnOnce(Result<(), WorldError>) + Send + 'static,
    ) {
        if self.is_registered.load(Ordering::Acquire) {
            return then(Ok(()));
        }
        self.send(Command::Register(offer.clone(), Completion::new(then)));
    }

    /// From now on [`Session::register`] has nothing to do.
    pub(super) fn has_registered(&self) {
        self.is_registered.store(true, Ordering::Release);
    }

    /// Whether a connection that should be a session was none.
    pub(super) fn is_missing(&self) -> bool {
        self.is_missing.get().is_some()
    }

    /// Tells other processes of a commit.
    pub(super) fn tell_others(&self, news: &CommitNews) {
        // One wake-up of the session's thread for all that it tells together.
        if *news != CommitNews::default() && !self.is_to_tell.swap(true, Ordering::AcqRel) {
            self.send(Command::Tell);
        }
    }

    /// Replaces the report of this worker.
    pub(super) fn show(&self, report: &str) -> bool {
        let is_worker = self.is_registered.load(Ordering::Acquire);
        if is_worker {
            self.send(Command::Show(report.to_owned()));
        }
        is_worker
    }

    /// Asks to be told of commits of other processes, or no longer.
    pub(super) fn watch(&self, watch: bool) {
        match watch {
            true => {
                self.watchers.fetch_add(1, Ordering::AcqRel);
                self.send(Command::Watch);
            }
            false => {
                let less = |watchers: usize| watchers.checked_sub(1);
                let _ = self.watchers.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
            }
        }
    }

    /// Ends the session. Blocks until other processes can see it.
    pub(super) fn close(&self) {
        let sender = lock(&self.sender).take();
        let (done, ended) = Completion::channel();
        if let Some(sender) = sender
            && sender.send(Command::End(done)).is_ok()
        {
            let _ = ended.recv();
        }
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }

    fn send(&self, command: Command) {
        let refused = match lock(&self.sender).as_ref() {
            Some(sender) => sender.send(command).err().map(|refused| refused.0),
            None => Some(command),
        };
        drop(refused);
    }
}

struct SessionTask {
    state: SessionState,
    watchers: Arc<AtomicUsize>,
    is_missing: Arc<OnceLock<()>>,
    is_to_tell: Arc<AtomicBool>,
    open: Option<Hearing>,
    is_worker: bool,
    report: Option<String>,
    /// When this worker signs in again: without a session, or without its lock.
    sign_in_at: Option<Instant>,
    has_something_to_tell: bool,
    tell_at: Instant,
    look_at: Instant,
    failures: usize,
}

impl SessionTask {
    fn new(
        state: SessionState,
        watchers: Arc<AtomicUsize>,
        is_missing: Arc<OnceLock<()>>,
        is_to_tell: Arc<AtomicBool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            state,
            watchers,
            is_missing,
            is_to_tell,
            open: None,
            is_worker: false,
            report: None,
            sign_in_at: None,
            has_something_to_tell: false,
            tell_at: now,
            look_at: now,
            failures: 0,
        }
    }

    async fn run(mut self, mut receiver: UnboundedReceiver<Command>) {
        loop {
            let is_needed = self.is_worker || self.is_watched() || self.has_something_to_tell;
            if is_needed && self.is_closed() {
                self.reconnect().await;
            }
            let wake_at = self.wake_at(is_needed);
            let heard = async {
                match &mut self.open {
                    Some(open) => open.heard.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                command = receiver.recv() => match command {
                    Some(Command::End(done)) => {
                        done.settle(self.end().await);
                        return;
                    }
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                heard = heard => self.hear(heard),
                () = sleep_until(wake_at) => self.wake().await,
            }
        }
    }

    fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    fn is_closed(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.db.is_closed())
    }

    fn wake_at(&self, is_needed: bool) -> Instant {
        let look_at = if is_needed { self.look_at } else { Instant::now() + LOOK_EVERY };
        let tell_at = self.has_something_to_tell.then_some(self.tell_at);
        [tell_at, self.sign_in_at].into_iter().flatten().fold(look_at, Instant::min)
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Register(offer, done) => done.settle(self.register(&offer).await),
            Command::Show(report) => {
                self.report = Some(report);
                // Without a connection the next one shows it.
                if self.is_worker && !self.is_closed() && self.sign_in().await.is_err() {
                    self.open = None;
                }
            }
            Command::Tell => {
                if !self.has_something_to_tell {
                    self.has_something_to_tell = true;
                    self.tell_at = self.tell_at.max(Instant::now());
                }
            }
            Command::Watch => self.watch().await,
            Command::End(_) => {}
        }
    }

    /// Makes this process a worker. Tries again for some seconds if the connection breaks.
    async fn register(&mut self, offer: &Offer) -> Result<(), WorldError> {
        for pause_ms in CONNECT_PAUSES_MS {
            match self.begin_work(offer).await {
                Err(error) if fault::may_connect_later(&error) => {
                    self.open = None;
                    sleep(Duration::from_millis(pause_ms)).await;
                }
                outcome => {
                    self.is_worker = outcome.is_ok();
                    return outcome;
                }
            }
        }
        self.begin_work(offer).await?;
        self.is_worker = true;
        Ok(())
    }

    /// Signs in, and says what runs are to be that are started in SQL.
    async fn begin_work(&mut self, offer: &Offer) -> Result<(), WorldError> {
        self.sign_in().await?;
        self.connected().await?.write(&start_defaults::keep(offer)).await
    }

    /// Puts this worker among the living: with a lock that the server frees when it dies, or else with a
    /// word that it repeats.
    async fn sign_in(&mut self) -> Result<(), WorldError> {
        let db = self.connected().await?;
        let has_session = self.is_session().await?;
        let worker = owners::SignedIn {
            owner: &self.state.me,
            now_ms: self.state.clock.now_ms(),
            has_session,
            report: self.report.as_deref(),
        };
        let number = owners::sign_in(&db, worker).await?;
        self.sign_in_at = match has_session {
            false => Some(Instant::now() + owners::SEEN_EVERY),
            true if owners::lock(&db, number).await? => None,
            true => Some(Instant::now() + LOCK_EVERY),
        };
        Ok(())
    }

    /// Listens, and tells that anything may have changed before.
    async fn watch(&mut self) {
        // Without a connection the next attempt to connect listens.
        if self.connected().await.is_ok() {
            let _ = self.is_session().await;
        }
        self.look();
    }

    /// Whether the connection is a session. Finds that out if it is not known.
    async fn is_session(&mut self) -> Result<bool, WorldError> {
        let SessionState { connector, way, me, .. } = &self.state;
        let Some(open) = &mut self.open else { return Err(fault::lost()) };
        let is_session = match (open.is_session, way) {
            (Some(is_session), _) => return Ok(is_session),
            (None, Way::Without) => return Ok(false),
            (None, Way::AsAll) => open.listens().await?,
            (None, Way::Apart(_)) => open.hears(connector, me).await?,
        };
        if !is_session {
            let _ = self.is_missing.set(());
        }
        Ok(is_session)
    }

    fn hear(&mut self, heard: Option<String>) {
        match heard {
            // The connection has ended.
            None => self.open = None,
            // What this process has told itself is known.
            Some(name) if name == self.state.me => {}
            Some(_) => self.look(),
        }
    }

    fn hears(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_session == Some(true))
    }

    /// Lets everybody here look for what other processes have committed.
    fn look(&mut self) {
        self.look_at = Instant::now() + if self.hears() { LOOK_EVERY } else { LOOK_EVERY_DEAF };
        if self.is_watched() {
            self.state.listeners.tell(&CommitNews { elsewhere: true, ..CommitNews::default() });
        }
    }

    async fn wake(&mut self) {
        let now = Instant::now();
        if self.has_something_to_tell && now >= self.tell_at {
            self.tell().await;
        }
        if self.sign_in_at.is_some_and(|at| now >= at) && self.sign_in().await.is_err() {
            self.open = None;
        }
        if now >= self.look_at {
            if self.hears()
                && let Some(open) = &self.open
                && !open.is_alive().await
            {
                self.open = None;
            }
            self.look();
        }
    }

    async fn tell(&mut self) {
        let Ok(db) = self.connected().await else { return };
        self.has_something_to_tell = false;
        // What is committed from now on needs another word.
        self.is_to_tell.store(false, Ordering::Release);
        self.tell_at = Instant::now() + TELL_EVERY;
        if notify(&db, &self.state.me).await.is_err() {
            self.has_something_to_tell = true;
            self.open = None;
        }
    }

    async fn connected(&mut self) -> Result<Rc<Db>, WorldError> {
        if let Some(open) = self.open.as_ref().filter(|open| !open.db.is_closed()) {
            return Ok(Rc::clone(&open.db));
        }
        let connector = match &self.state.way {
            Way::Apart(connector) => connector,
            Way::AsAll | Way::Without => &self.state.connector,
        };
        let open = Hearing::connect(connector).await?;
        let db = Rc::clone(&open.db);
        self.open = Some(open);
        Ok(db)
    }

    /// Connects again after the connection broke: takes the lock again, listens again, looks.
    async fn reconnect(&mut self) {
        if self.join().await.is_err() {
            self.open = None;
            let pause = CONNECT_PAUSES_MS[self.failures.min(CONNECT_PAUSES_MS.len() - 1)];
            self.failures += 1;
            return sleep(Duration::from_millis(pause)).await;
        }
        self.failures = 0;
        self.look();
    }

    async fn join(&mut self) -> Result<(), WorldError> {
        self.connected().await?;
        if self.is_worker {
            self.sign_in().await?;
        } else if self.is_watched() {
            self.is_session().await?;
        }
        Ok(())
    }

    /// Tells what is left to tell, and says that this worker has ended.
    async fn end(&mut self) -> Result<(), WorldError> {
        if self.has_something_to_tell {
            self.tell().await;
        }
        if self.is_worker {
            let db = self.connected().await?;
            owners::end(&db, &self.state.me, self.state.clock.now_ms()).await?;
        }
        Ok(())
    }
}
