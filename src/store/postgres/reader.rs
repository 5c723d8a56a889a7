//! A reader: a thread with one connection. Reads are sent as they come, so they share round trips.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, LocalSet};

use super::connect::Connector;
use super::db::Db;
use super::fault;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::Completion;

/// Reads that may wait. Another read is refused with `Throttled`, so memory stays bounded.
pub(super) const WAITING_READS_MAX: usize = 65_536;
/// How often a read is made whose connection breaks again and again.
const ATTEMPTS_MAX: u32 = 5;

/// A task of the thread.
type Task = Pin<Box<dyn Future<Output = ()>>>;
/// Makes a task, on the thread.
type Job = Box<dyn FnOnce(Rc<Slot>) -> Task + Send>;

/// A thread that reads.
pub(super) struct Reader {
    sender: Mutex<Option<UnboundedSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    waiting: Arc<AtomicUsize>,
    shown: String,
}

/// What the statements of a read see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// Each what is there when it runs.
    Now,
    /// All of them the same.
    OneMoment,
}

/// The connection of the thread. It is made when it is needed.
struct Slot {
    connector: Connector,
    answer_within: Duration,
    db: RefCell<Option<Rc<Db>>>,
    connecting: tokio::sync::Mutex<()>,
    /// Held alone by a read with a transaction of its own.
    transaction: RwLock<()>,
}

impl Reader {
    /// `answer_within` bounds the time of one read.
    pub(super) fn start(
        connector: Connector,
        name: &str,
        answer_within: Duration,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = unbounded_channel();
        let shown = connector.shown().to_owned();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Without a runtime the reads settle with `Closed`.
            if let Ok(runtime) = runtime {
                LocalSet::new().block_on(&runtime, run(connector, answer_within, receiver));
            }
        })?;
        let (sender, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Self { sender, thread, waiting: Arc::default(), shown })
    }

    /// Reads. A read whose connection breaks is made again.
    pub(super) fn read<T: Send + 'static>(
        &self,
        done: Completion<T>,
        work: impl AsyncFn(&Db) -> Result<T, WorldError> + Send + 'static,
    ) {
        self.read_as(View::Now, done, work);
    }

    /// Reads with several statements what is there at one moment. Other reads wait meanwhile.
    pub(super) fn read_at_once<T: Send + 'static>(
        &self,
        done: Completion<T>,
        work: impl AsyncFn(&Db) -> Result<T, WorldError> + Send + 'static,
    ) {
        self.read_as(View::OneMoment, done, work);
    }

    fn read_as<T: Send + 'static>(
        &self,
        view: View,
        done: Completion<T>,
        work: impl AsyncFn(&Db) -> Result<T, WorldError> + Send + 'static,
    ) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_READS_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return done.settle(Err(throttled()));
        }
        let (waiting, shown) = (Arc::clone(&self.waiting), self.shown.clone());
        self.send(Box::new(move |slot| {
            Box::pin(async move {
                let outcome = slot.read(view, &work).await;
                waiting.fetch_sub(1, Ordering::Relaxed);
                done.settle(outcome.map_err(|error| fault::at(error, &shown)));
                let db = slot.db.borrow().clone();
                if let Some(db) = db.filter(|db| db.is_wanting_names()) {
                    db.name_statements().await;
                }
            })
        }));
    }

    /// Reads, and blocks until it is done.
    pub(super) fn read_now<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Db) -> Result<T, WorldError> + Send + 'static,
    ) -> Result<T, WorldError> {
        let (sender, outcome) = sync_channel(1);
        let done = Completion::new(move |outcome| drop(sender.send(outcome)));
        self.read(done, work);
        outcome.recv().unwrap_or_else(|_| Err(WorldError::closed()))
    }

    /// A job that cannot be sent is dropped, which settles it with `Closed`.
    fn send(&self, job: Job) {
        let refused = match lock(&self.sender).as_ref() {
            Some(sender) => sender.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        // Without the lock: whoever is told may read again at once.
        drop(refused);
    }

    /// Finishes the accepted reads, then ends the thread. Idempotent.
    pub(super) fn close(&self) {
        drop(lock(&self.sender).take());
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// Refuses a read because too many wait.
pub(super) fn throttled() -> WorldError {
    WorldError::throttled(format!("{WAITING_READS_MAX} reads are waiting already"))
}

async fn run(connector: Connector, answer_within: Duration, mut receiver: UnboundedReceiver<Job>) {
    let slot = Rc::new(Slot {
        connector,
        answer_within,
        db: RefCell::default(),
        connecting: tokio::sync::Mutex::default(),
        transaction: RwLock::default(),
    });
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            job = receiver.recv() => match job {
                Some(job) => drop(tasks.spawn_local(job(Rc::clone(&slot)))),
                None => break,
            },
            Some(_) = tasks.join_next() => {}
        }
    }
    while tasks.join_next().await.is_some() {}
}

impl Slot {
    async fn read<T>(
        &self,
        view: View,
        work: &impl AsyncFn(&Db) -> Result<T, WorldError>,
    ) -> Result<T, WorldError> {
        let mut attempts = 1;
        loop {
            let db = self.connected().await?;
            match self.view(&db, view, work).await {
                Err(error) if fault::is_lost(&error) && attempts < ATTEMPTS_MAX => {
                    self.db.borrow_mut().take_if(|open| Rc::ptr_eq(open, &db));
                    attempts += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn view<T>(
        &self,
        db: &Db,
        view: View,
        work: &impl AsyncFn(&Db) -> Result<T, WorldError>,
    ) -> Result<T, WorldError> {
        if view == View::Now {
            let _among_others = self.transaction.read().await;
            return work(db).await;
        }
        let _alone = self.transaction.write().await;
        db.simple("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let outcome = work(db).await;
        // It has written nothing.
        db.simple("ROLLBACK").await?;
        outcome
    }

    async fn connected(&self) -> Result<Rc<Db>, WorldError> {
        let _turn = self.connecting.lock().await;
        let open = self.db.borrow().as_ref().filter(|db| !db.is_closed()).cloned();
        if let Some(db) = open {
            return Ok(db);
        }
        let db = self.connector.connect_again("reader", self.answer_within).await?;
        let db = Rc::new(db);
        self.db.replace(Some(Rc::clone(&db)));
        Ok(db)
    }
}
