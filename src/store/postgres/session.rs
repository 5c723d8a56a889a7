//! The session: a connection that holds this worker's lock, tells other processes of commits, and hears
//! of theirs.
//!
//! What it tells and hears are hints. Without it, other processes look for themselves.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::AsyncMessage;

use super::connect::Connector;
use super::db::Db;
use super::owners;
use crate::clock::Clock;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::CommitNews;
use crate::store::Completion;
use crate::store::listeners::Listeners;

/// Commits of this time are told together.
const TELL_EVERY: Duration = Duration::from_millis(5);
/// A test whether what is told is heard must come back within this time.
const TEST_WITHIN: Duration = Duration::from_secs(2);
/// How often a process looks that cannot hear: behind a pooler, for example.
const LOOK_EVERY_DEAF: Duration = Duration::from_millis(500);
/// How often a process looks that can.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The pauses between attempts to connect, the last one again and again.
const CONNECT_PAUSES_MS: [u64; 6] = [50, 100, 250, 500, 1000, 2000];

/// What is asked of the session.
enum Command {
    /// Makes this process a worker.
    Register(Completion<()>),
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
}

/// What the session's task needs.
pub(super) struct SessionState {
    pub(super) connector: Connector,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) me: String,
    pub(super) listeners: Arc<Listeners>,
}

impl Session {
    pub(super) fn start(state: SessionState) -> std::io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let watchers = Arc::<AtomicUsize>::default();
        let watching = Arc::clone(&watchers);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Without a runtime everything that is asked settles with `Closed`.
            if let Ok(runtime) = runtime {
                let task = async { SessionTask::new(state, watching).run(receiver).await };
                LocalSet::new().block_on(&runtime, task);
            }
        };
        let thread =
            std::thread::Builder::new().name("hookline-postgres-session".into()).spawn(run)?;
        let (sender, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Self { sender, thread, is_registered: AtomicBool::new(false), watchers })
    }

    /// Calls `then` when this process is a worker.
    pub(super) fn register(&self, then: impl FnOnce(Result<(), WorldError>) + Send + 'static) {
        if self.is_registered.load(Ordering::Acquire) {
            return then(Ok(()));
        }
        self.send(Command::Register(Completion::new(then)));
    }

    /// From now on [`Session::register`] has nothing to do.
    pub(super) fn has_registered(&self) {
        self.is_registered.store(true, Ordering::Release);
    }

    /// Tells other processes of a commit.
    pub(super) fn tell_others(&self, news: &CommitNews) {
        if *news != CommitNews::default() {
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

/// A connection, and what it hears: the names of the processes that have committed.
struct Open {
    db: Rc<Db>,
    heard: UnboundedReceiver<String>,
    /// Whether it listens, and when a test of that must have come back.
    listens: Listens,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listens {
    No,
    Tested { until: Instant },
    Yes,
    Deaf,
}

struct SessionTask {
    state: SessionState,
    watchers: Arc<AtomicUsize>,
    open: Option<Open>,
    /// The number of this worker.
    number: Option<i32>,
    has_something_to_tell: bool,
    tell_at: Instant,
    look_at: Instant,
    failures: usize,
}

impl SessionTask {
    fn new(state: SessionState, watchers: Arc<AtomicUsize>) -> Self {
        let now = Instant::now();
        Self {
            state,
            watchers,
            open: None,
            number: None,
            has_something_to_tell: false,
            tell_at: now,
            look_at: now,
            failures: 0,
        }
    }

    async fn run(mut self, mut receiver: UnboundedReceiver<Command>) {
        loop {
            let is_needed =
                self.number.is_some() || self.is_watched() || self.has_something_to_tell;
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
        let mut at = self.look_at;
        if self.has_something_to_tell {
            at = at.min(self.tell_at);
        }
        match self.open.as_ref().map(|open| open.listens) {
            Some(Listens::Tested { until }) => at.min(until),
            _ if is_needed => at,
            _ => at.max(Instant::now() + LOOK_EVERY),
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Register(done) => done.settle(self.register().await),
            Command::Show(report) => {
                if let Some(open) = &self.open {
                    let _ = owners::show(&open.db, &self.state.me, &report).await;
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

    /// Makes this process a worker, with a lock that the server frees when it dies.
    async fn register(&mut self) -> Result<(), WorldError> {
        if self.number.is_some() {
            return Ok(());
        }
        let db = self.connected().await?;
        let number = owners::insert(&db, &self.state.me, self.state.clock.now_ms()).await?;
        owners::lock(&db, number).await?;
        self.number = Some(number);
        Ok(())
    }

    /// Listens, and tells that anything may have changed before.
    async fn watch(&mut self) {
        let is_new = self.open.as_ref().is_none_or(|open| open.listens == Listens::No);
        if is_new && let Ok(db) = self.connected().await {
            self.listen(&db).await;
        }
        self.look();
    }

    async fn listen(&mut self, db: &Db) {
        let channel = channel(db.schema());
        let asked = db.simple(&format!("LISTEN {channel}")).await;
        let tested = asked.is_ok() && notify(db, &format!("{} test", self.state.me)).await.is_ok();
        if let Some(open) = self.open.as_mut().filter(|_| tested) {
            open.listens = Listens::Tested { until: Instant::now() + TEST_WITHIN };
        }
    }

    fn hear(&mut self, heard: Option<String>) {
        let Some(name) = heard else {
            // The connection has ended.
            self.open = None;
            return;
        };
        if let Some(open) = &mut self.open {
            open.listens = Listens::Yes;
        }
        // What this process has told itself is known.
        let is_own =
            name.strip_prefix(&self.state.me).is_some_and(|rest| ["", " test"].contains(&rest));
        if !is_own {
            self.look();
        }
    }

    /// Lets everybody here look for what other processes have committed.
    fn look(&mut self) {
        let is_deaf = self.open.as_ref().is_none_or(|open| open.listens == Listens::Deaf);
        self.look_at = Instant::now() + if is_deaf { LOOK_EVERY_DEAF } else { LOOK_EVERY };
        if self.is_watched() {
            self.state.listeners.tell(&CommitNews { elsewhere: true, ..CommitNews::default() });
        }
    }

    async fn wake(&mut self) {
        let now = Instant::now();
        if self.has_something_to_tell && now >= self.tell_at {
            self.tell().await;
        }
        if let Some(open) = &mut self.open
            && let Listens::Tested { until } = open.listens
            && now >= until
        {
            open.listens = Listens::Deaf;
        }
        if now >= self.look_at {
            self.look();
        }
    }

    async fn tell(&mut self) {
        let Ok(db) = self.connected().await else { return };
        self.has_something_to_tell = false;
        self.tell_at = Instant::now() + TELL_EVERY;
        if notify(&db, &self.state.me).await.is_err() {
            self.open = None;
        }
    }

    async fn connected(&mut self) -> Result<Rc<Db>, WorldError> {
        if let Some(open) = self.open.as_ref().filter(|open| !open.db.is_closed()) {
            return Ok(Rc::clone(&open.db));
        }
        let (client, mut connection) = self.state.connector.connect_by_hand("session").await?;
        let (sender, heard) = unbounded_channel();
        // It ends with the connection, and then nothing more is heard.
        tokio::task::spawn_local(async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        let db = Rc::new(Db::new(client, self.state.connector.schema()));
        self.open = Some(Open { db: Rc::clone(&db), heard, listens: Listens::No });
        Ok(db)
    }

    /// Connects again after the connection broke: takes the lock again, listens again, looks.
    async fn reconnect(&mut self) {
        let Ok(db) = self.connected().await else {
            let pause = CONNECT_PAUSES_MS[self.failures.min(CONNECT_PAUSES_MS.len() - 1)];
            self.failures += 1;
            return sleep(Duration::from_millis(pause)).await;
        };
        self.failures = 0;
        if let Some(number) = self.number {
            let again = owners::insert(&db, &self.state.me, self.state.clock.now_ms()).await;
            self.number = Some(again.unwrap_or(number));
            if owners::lock(&db, self.number.unwrap_or(number)).await.is_err() {
                self.open = None;
                return;
            }
        }
        if self.is_watched() {
            self.listen(&db).await;
        }
        self.look();
    }

    /// Tells what is left to tell, and says that this worker has ended.
    async fn end(&mut self) -> Result<(), WorldError> {
        if self.has_something_to_tell {
            self.tell().await;
        }
        if self.number.is_some() {
            let db = self.connected().await?;
            owners::end(&db, &self.state.me, self.state.clock.now_ms()).await?;
        }
        Ok(())
    }
}

/// The channel of a schema. Its name has a length limit, as the schema's has.
fn channel(schema: &str) -> String {
    format!("hookline_{:08x}", crc32fast::hash(schema.as_bytes()))
}

/// Tells everybody who listens. The server need not keep it over a crash.
async fn notify(db: &Db, text: &str) -> Result<(), WorldError> {
    // A name consists of digits, letters and a hyphen.
    let name: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || " -".contains(*c)).collect();
    let channel = channel(db.schema());
    db.simple(&format!(
        "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_notify('{channel}', '{name}'); COMMIT"
    ))
    .await
}
