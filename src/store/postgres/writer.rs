//! The one writer: a thread that owns the writing connection and commits in groups.
//!
//! It takes everything that has arrived, runs it in one transaction, commits once and settles. A
//! transaction that fails because of another process, or whose connection breaks, is made again.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout};

use super::aside::{Aside, SetAside, TRY_AGAIN_EVERY, share};
use super::attempt::{Attempt, Failed};
use super::claims::Lanes;
use super::clock::DatabaseTime;
use super::connect::{ANSWER_WITHIN, Connector};
use super::db::Db;
use super::doubt::{Doubtful, Fate};
use super::fault;
use super::particulars::Suspects;
use super::session::Session;
use super::transaction::Numbers;
use crate::clock::Clock;
use crate::entropy::{Entropy, fraction};
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::store::CommitNews;
use crate::store::backlog::{Backlog, Waiting};
use crate::store::listeners::Listeners;
use crate::store::operation::{Executed, Operation};
use crate::store::queue_time::QueueTime;

/// Operations of one transaction: more hardly cost less each, and wait longer.
const BATCH_OPERATIONS_MAX: usize = 64;
/// Bytes of callers' values after which a batch takes no more operations.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Operations that may wait; one more is refused with `Throttled`, so memory stays bounded.
const WAITING_OPERATIONS_MAX: usize = 65_536;
/// How often a batch is made again because of other processes, before its operations go alone.
const TOGETHER_MAX: u32 = 2;
/// How often an operation alone is made again because of other processes.
const ALONE_MAX: u32 = 20;
/// The pauses between questions for the fate of a commit.
const FATE_PAUSE: Duration = Duration::from_millis(50);
/// For how long it is asked for. A fail-over takes less.
const FATE_WITHIN: Duration = Duration::from_secs(60);

/// What the writer thread owns.
pub(super) struct WriterState {
    pub(super) connector: Connector,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) time: Arc<dyn DatabaseTime>,
    pub(super) queue_time: Arc<QueueTime>,
    pub(super) suspects: Suspects,
    pub(super) lanes: Lanes,
    pub(super) session: Arc<Session>,
    pub(super) me: String,
    pub(super) entropy: Arc<Entropy>,
    pub(super) environment: Option<String>,
    pub(super) workflow_prefix: String,
    pub(super) release: Option<String>,
    /// Whether commits that carry events are synced to the disk.
    pub(super) full_durability: bool,
    pub(super) listeners: Arc<Listeners>,
}

/// The sending side.
pub(super) struct Writer {
    sender: Mutex<Option<Sender<Submitted>>>,
    backlog: Backlog,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Why nothing is written, if so.
    refusal: Option<WorldError>,
}

/// An operation in the writer's hands.
pub(super) struct Submitted {
    pub(super) operation: Operation,
    /// Its part of the backlog.
    pub(super) waiting: Option<Waiting>,
}

impl Submitted {
    fn refuse(self, why: WorldError) {
        // First: whoever is told may come with the next value at once.
        drop(self.waiting);
        self.operation.refuse(why);
    }
}

/// An operation that has run.
pub(super) struct Done {
    pub(super) executed: Executed,
    pub(super) waiting: Option<Waiting>,
}

impl Done {
    fn settle(self, fault: Option<WorldError>, shown: &str) {
        drop(self.waiting);
        let own = self.executed.failure().map(|failure| fault::at(failure.clone(), shown));
        self.executed.settle(fault.or(own));
    }

    fn again(self) -> Option<Submitted> {
        let waiting = self.waiting;
        self.executed.again().map(|operation| Submitted { operation, waiting })
    }
}

/// The operations of a transaction that has not been committed for sure.
struct Unfinished {
    done: Vec<Done>,
    why: Box<Failed>,
}

impl Writer {
    pub(super) fn start(state: WriterState) -> std::io::Result<Self> {
        let (sender, receiver) = channel(WAITING_OPERATIONS_MAX);
        let thread = std::thread::Builder::new().name("hookline-postgres-writer".into()).spawn(
            move || {
                // Without a runtime the operations settle with `Closed`.
                if let Ok(mut thread) = WriterThread::new(state) {
                    thread.run(receiver);
                }
            },
        )?;
        let thread = Mutex::new(Some(thread));
        Ok(Self {
            sender: Mutex::new(Some(sender)),
            backlog: Backlog::default(),
            thread,
            refusal: None,
        })
    }

    /// A writer that refuses everything, for a store that only reads.
    pub(super) fn refusing(refusal: WorldError) -> Self {
        Self {
            sender: Mutex::default(),
            backlog: Backlog::default(),
            thread: Mutex::default(),
            refusal: Some(refusal),
        }
    }

    /// Hands an operation to the writer.
    pub(super) fn submit(&self, operation: Operation) {
        let waiting = self.backlog.add(operation.bytes());
        let refusal = match &waiting {
            None => Some(throttled()),
            Some(_) => self.refusal.clone(),
        };
        let submitted = Submitted { operation, waiting };
        if let Some(refusal) = refusal {
            return submitted.refuse(refusal);
        }
        if let Err((submitted, fault)) = self.send(submitted) {
            submitted.refuse(fault);
        }
    }

    /// Gives an operation that is refused back: whoever is told of it may submit again, so the lock
    /// must be free by then.
    #[expect(clippy::result_large_err, reason = "the operation goes back to its caller")]
    fn send(&self, submitted: Submitted) -> Result<(), (Submitted, WorldError)> {
        let sender = lock(&self.sender);
        let Some(sender) = sender.as_ref() else { return Err((submitted, WorldError::closed())) };
        sender.try_send(submitted).map_err(|refused| match refused {
            TrySendError::Full(submitted) => (submitted, throttled()),
            TrySendError::Closed(submitted) => (submitted, WorldError::closed()),
        })
    }

    /// Finishes what was accepted, then ends the thread. Idempotent.
    pub(super) fn close(&self) {
        drop(lock(&self.sender).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // A panic of the thread has already settled its operations with `Closed`.
            let _ = thread.join();
        }
    }
}

fn throttled() -> WorldError {
    WorldError::throttled("so many writes are waiting already that the memory for them is full")
}

/// The writer, on its thread.
struct WriterThread {
    state: WriterState,
    runtime: Rc<Runtime>,
    db: Option<Rc<Db>>,
    numbers: Rc<Numbers>,
    aside: Aside,
}

impl WriterThread {
    fn new(state: WriterState) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            state,
            runtime: Rc::new(runtime),
            db: None,
            numbers: Rc::default(),
            aside: Aside::new(),
        })
    }

    fn run(&mut self, mut receiver: Receiver<Submitted>) {
        let runtime = Rc::clone(&self.runtime);
        loop {
            let received = match self.aside.is_empty() {
                true => runtime.block_on(receiver.recv()),
                false => match self.received_soon(&mut receiver) {
                    Ok(received) => received,
                    Err(_) => {
                        self.try_again();
                        continue;
                    }
                },
            };
            let Some(first) = received else { break };
            let mut bytes = first.operation.bytes();
            let mut batch = vec![first];
            while batch.len() < BATCH_OPERATIONS_MAX
                && bytes < BATCH_BYTES_MAX
                && let Ok(next) = receiver.try_recv()
            {
                bytes += next.operation.bytes();
                batch.push(next);
            }
            self.aside.take_from(&mut batch);
            if !batch.is_empty() {
                self.commit(batch, true);
            }
            self.try_again();
            if let Some(db) = self.db.as_ref().filter(|db| db.is_wanting_names()) {
                runtime.block_on(db.name_statements());
            }
        }
        while !self.aside.is_empty() {
            self.sleep(TRY_AGAIN_EVERY);
            self.try_again();
        }
    }

    /// What comes before something is to be tried again.
    fn received_soon(
        &self,
        receiver: &mut Receiver<Submitted>,
    ) -> Result<Option<Submitted>, tokio::time::error::Elapsed> {
        self.runtime.block_on(async { timeout(TRY_AGAIN_EVERY, receiver.recv()).await })
    }

    /// Tries everything again whose rows were held, in order, if it is time. What is held still stays for
    /// the next time.
    fn try_again(&mut self) {
        let mut held: Vec<String> = Vec::new();
        for waiting in self.aside.take_due() {
            if Instant::now() >= waiting.give_up_at {
                let shown = self.state.connector.shown();
                waiting.submitted.refuse(fault::at(fault::held(), shown));
                continue;
            }
            if share(&held, &waiting.runs) {
                self.aside.put_back(waiting);
                continue;
            }
            let SetAside { submitted, runs, give_up_at } = waiting;
            let before = self.aside.count();
            self.commit(vec![submitted], false);
            if self.aside.count() > before {
                self.aside.give_last_up_at(give_up_at);
                held.extend(runs);
            }
        }
    }

    /// Commits a batch: together, and if that does not go, each operation alone. Rows that another
    /// transaction holds are waited for if `waits` is set; those of an operation alone then not again.
    fn commit(&mut self, mut batch: Vec<Submitted>, waits: bool) {
        let is_alone = batch.len() == 1;
        let clashes_max = if is_alone { ALONE_MAX } else { TOGETHER_MAX };
        let mut clashes = 0;
        loop {
            let Err(Unfinished { done, why }) = self.attempt(batch, waits) else { return };
            let fault = match *why {
                Failed::Refused => return self.settle(done, None),
                Failed::Before(fault) if fault::is_lost(&fault) => {
                    self.db = None;
                    fault
                }
                Failed::Before(fault) => fault,
                Failed::Doubtful(doubtful, news) => {
                    self.db = None;
                    match self.fate(&doubtful) {
                        Ok(Fate::Committed) => return self.committed(done, news),
                        Ok(_) => fault::lost(),
                        Err(unknown) => return self.settle(done, Some(unknown)),
                    }
                }
            };
            if fault::is_held(&fault) {
                for submitted in done.into_iter().filter_map(Done::again) {
                    match is_alone {
                        true => self.aside.put(submitted),
                        false => self.commit(vec![submitted], false),
                    }
                }
                return;
            }
            let is_transient = fault::is_lost(&fault) || fault::is_clash(&fault);
            if is_transient && clashes < clashes_max {
                if fault::is_clash(&fault) {
                    self.pause_after_clash(clashes);
                }
                clashes += 1;
                batch = done.into_iter().filter_map(Done::again).collect();
                continue;
            }
            if is_alone {
                return self.settle(done, Some(fault));
            }
            for submitted in done.into_iter().filter_map(Done::again) {
                self.commit(vec![submitted], true);
            }
            return;
        }
    }

    /// Makes one attempt.
    fn attempt(&mut self, batch: Vec<Submitted>, waits: bool) -> Result<(), Unfinished> {
        let db = match self.connected() {
            Ok(db) => db,
            Err(fault) => {
                for submitted in batch {
                    submitted.refuse(fault.clone());
                }
                return Ok(());
            }
        };
        let attempt = Attempt {
            state: &self.state,
            runtime: &self.runtime,
            numbers: &self.numbers,
            db: &db,
            waits,
        };
        let (done, outcome) = attempt.make(batch);
        match outcome {
            Ok(news) => {
                self.committed(done, news);
                Ok(())
            }
            Err(why) => Err(Unfinished { done, why: Box::new(why) }),
        }
    }

    fn committed(&self, done: Vec<Done>, news: CommitNews) {
        self.settle(done, None);
        self.state.listeners.tell(&news);
        self.state.session.tell_others(&news);
    }

    fn settle(&self, done: Vec<Done>, fault: Option<WorldError>) {
        let shown = self.state.connector.shown();
        let fault = fault.map(|fault| fault::at(fault, shown));
        for done in done {
            done.settle(fault.clone(), shown);
        }
    }

    /// The connection, made again if it has gone.
    fn connected(&mut self) -> Result<Rc<Db>, WorldError> {
        if let Some(db) = self.db.as_ref().filter(|db| !db.is_closed()) {
            return Ok(Rc::clone(db));
        }
        self.numbers = Rc::default();
        let connector = self.state.connector.clone();
        let connecting = async move {
            let db = connector.connect_again("writer", ANSWER_WITHIN).await?;
            db.set_limits().await.map_err(|error| fault::at(error, connector.shown()))?;
            Ok(Rc::new(db))
        };
        let connected: Result<Rc<Db>, WorldError> = self.runtime.block_on(connecting);
        self.db = connected.as_ref().ok().cloned();
        connected
    }

    /// Finds out what became of a commit.
    fn fate(&mut self, doubtful: &Doubtful) -> Result<Fate, WorldError> {
        let mut why = WorldError::closed();
        let give_up_at = Instant::now() + FATE_WITHIN;
        while Instant::now() < give_up_at {
            let asked = self.connected().and_then(|db| self.runtime.block_on(doubtful.fate(&db)));
            match asked {
                Ok(Fate::UnderWay) => {}
                Ok(fate) => return Ok(fate),
                Err(error) if fault::is_lost(&error) => {
                    (self.db, why) = (None, error);
                }
                Err(error) => return Err(outcome_unknown(&error)),
            }
            self.sleep(FATE_PAUSE);
        }
        Err(outcome_unknown(&why))
    }

    /// Lets the other process finish. Not always for the same time, so that two do not meet again.
    fn pause_after_clash(&self, clashes: u32) {
        let longest_ms = f64::from(2_u32.pow(clashes.min(6)));
        let pause = Duration::from_micros((longest_ms * 1000.0 * fraction()) as u64);
        self.sleep(pause);
    }

    fn sleep(&self, pause: Duration) {
        // Made inside of the runtime, which has the timer.
        self.runtime.block_on(async { tokio::time::sleep(pause).await });
    }
}

fn outcome_unknown(why: &WorldError) -> WorldError {
    WorldError::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "the connection to the Postgres server broke during this commit, so the operation may have \
             happened or not; look before you repeat it, or repeat it with an idempotency key: {}",
            why.message
        ),
    )
}
