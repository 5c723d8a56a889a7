//! The one writer: it takes operations, and its [thread](super::writer_thread) commits them in groups.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};

use super::claims::Lanes;
use super::cleaning::Cleaning;
use super::clock::DatabaseTime;
use super::connect::Connector;
use super::fault;
use super::particulars::Suspects;
use super::session::Session;
use super::writer_thread::WriterThread;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::backlog::{Backlog, Waiting};
use crate::store::listeners::Listeners;
use crate::store::operation::{Executed, Operation};
use crate::store::queue_time::QueueTime;

/// Operations that may wait; one more is refused with `Throttled`, so memory stays bounded.
const WAITING_OPERATIONS_MAX: usize = 65_536;

/// What the writer thread owns.
pub(super) struct WriterState {
    pub(super) connector: Connector,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) time: Arc<dyn DatabaseTime>,
    pub(super) queue_time: Arc<QueueTime>,
    pub(super) suspects: Suspects,
    pub(super) lanes: Lanes,
    pub(super) cleaning: Cleaning,
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
    pub(super) fn refuse(self, why: WorldError) {
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
    pub(super) fn settle(self, fault: Option<WorldError>, shown: &str) {
        drop(self.waiting);
        let own = self.executed.failure().map(|failure| fault::at(failure.clone(), shown));
        self.executed.settle(fault.or(own));
    }

    pub(super) fn again(self) -> Option<Submitted> {
        let waiting = self.waiting;
        self.executed.again().map(|operation| Submitted { operation, waiting })
    }
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

    /// Whether it has nothing to write, as far as is known.
    pub(super) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
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
