//! The one writer: a thread that owns the write connection and commits in groups.
//!
//! It takes everything that has arrived, runs it in one transaction, commits once and settles. While
//! it commits, the next batch gathers; no timer, so one caller alone waits for nobody.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::linger::Linger;
use super::log::{Bound, Log};
use super::owners::Owners;
use super::particulars::SqliteParticulars;
use super::presence::Presence;
use super::transaction::Tx;
use super::write_connection::WriteConnection;
use super::{fault, migrate, queue_time};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::store::CommitNews;
use crate::store::backlog::{Backlog, Waiting};
use crate::store::fault_plan::FaultPlan;
use crate::store::listeners::Listeners;
use crate::store::operation::{Durability, Executed, Operation, Repeat};
use crate::store::queue_time::QueueTime;
use crate::store::transaction::Now;

/// Operations of one transaction; beyond some dozens a larger batch only delays its first caller.
const BATCH_OPERATIONS_MAX: usize = 256;
/// An operation with more bytes is committed alone: if the disk has no room for it, no other fails with
/// it, and nobody waits for its bytes to be written.
const LARGE_BYTES: usize = 1 << 20;
/// Operations that may wait; one more is refused with `Throttled`, so memory stays bounded.
const WAITING_OPERATIONS_MAX: usize = 65_536;

/// Everything the writer thread owns.
pub(super) struct WriterState {
    pub(super) connection: Arc<WriteConnection>,
    /// `None` for a database in memory.
    pub(super) log: Option<Log>,
    pub(super) path: PathBuf,
    pub(super) presence: Arc<Presence>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue_time: Arc<QueueTime>,
    pub(super) owners: Arc<Owners>,
    pub(super) entropy: Arc<Entropy>,
    pub(super) environment: Option<String>,
    pub(super) workflow_prefix: String,
    pub(super) release: Option<String>,
    /// Whether commits that carry events are synced to the disk.
    pub(super) full_durability: bool,
    /// How the connection commits now; `None` when that is not known.
    pub(super) synced: Option<bool>,
    pub(super) listeners: Arc<Listeners>,
    /// Commits that are made to fail; `None` outside of tests.
    pub(super) faults: Option<Arc<FaultPlan>>,
}

/// The sending side.
pub(super) struct Writer {
    sending: Mutex<Option<Sending>>,
    backlog: Backlog,
    /// `None` where there is no log.
    log_bound: Option<Arc<Bound>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Why nothing is written, if so.
    refusal: Option<WorldError>,
}

/// What is let go of when the writer closes.
struct Sending {
    sender: SyncSender<Box<Submitted>>,
    connection: Arc<WriteConnection>,
}

/// An operation in the writer's hands.
struct Submitted {
    operation: Operation,
    /// Its part of the backlog.
    waiting: Option<Waiting>,
}

impl Submitted {
    /// Whether it is committed alone.
    fn is_large(&self) -> bool {
        self.operation.bytes() > LARGE_BYTES
    }

    fn refuse(self, why: WorldError) {
        // First: whoever is told may come with the next value at once.
        drop(self.waiting);
        self.operation.refuse(why);
    }
}

impl Writer {
    pub(super) fn start(state: WriterState) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_OPERATIONS_MAX);
        let connection = Arc::clone(&state.connection);
        let log_bound = state.log.as_ref().map(Log::bound);
        let thread = std::thread::Builder::new()
            .name("hookline-writer".into())
            .spawn(move || state.run(&receiver))?;
        let (sending, thread) = (Sending { sender, connection }, Mutex::new(Some(thread)));
        let sending = Mutex::new(Some(sending));
        Ok(Self { sending, backlog: Backlog::default(), log_bound, thread, refusal: None })
    }

    /// A writer that refuses everything, for a store that only reads.
    pub(super) fn refusing(refusal: WorldError) -> Self {
        Self {
            sending: Mutex::default(),
            backlog: Backlog::default(),
            log_bound: None,
            thread: Mutex::default(),
            refusal: Some(refusal),
        }
    }

    /// Hands an operation to the writer.
    pub(super) fn submit(&self, operation: Operation) {
        let waiting = self.backlog.add(operation.bytes());
        // What only ends or keeps deliveries goes on: it makes the log no longer for long.
        let adds = operation.durability() == Durability::Durable;
        let full = || self.refuse_if_full().err().filter(|_| adds);
        let refusal = match &waiting {
            None => Some(throttled()),
            Some(_) => self.refusal.clone().or_else(full),
        };
        if let Some(refusal) = refusal {
            // First: whoever is told may come with the next value at once.
            drop(waiting);
            return operation.refuse(refusal);
        }
        if let Err((submitted, fault)) = self.send(Box::new(Submitted { operation, waiting })) {
            submitted.refuse(fault);
        }
    }

    /// Whether nothing may be added to the log for now.
    ///
    /// # Errors
    /// `Throttled`.
    pub(super) fn refuse_if_full(&self) -> Result<(), WorldError> {
        self.log_bound.as_ref().map_or(Ok(()), |bound| bound.refuse_if_reached())
    }

    /// Gives an operation that is refused back: whoever is told of it may submit again, so the lock
    /// must be free by then.
    fn send(&self, operation: Box<Submitted>) -> Result<(), (Box<Submitted>, WorldError)> {
        let sending = lock(&self.sending);
        let Some(Sending { sender, connection }) = sending.as_ref() else {
            return Err((operation, WorldError::closed()));
        };
        connection.expect_operation();
        let refused = match sender.try_send(operation) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(operation)) => (operation, throttled()),
            Err(TrySendError::Disconnected(operation)) => (operation, WorldError::closed()),
        };
        connection.end_operations(1);
        Err(refused)
    }

    /// Finishes what was accepted, then ends the thread. Idempotent.
    pub(super) fn close(&self) {
        drop(lock(&self.sending).take());
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

/// What one transaction does.
struct Batch {
    pending: VecDeque<Box<Submitted>>,
    executed: Vec<(Executed, Option<Waiting>)>,
}

impl Batch {
    fn is_durable(&self) -> bool {
        self.pending.iter().any(|it| it.operation.durability() == Durability::Durable)
    }

    /// Tells the callers: each its outcome, or the fault for which nothing was written.
    fn settle(self, fault: Option<WorldError>, path: &Path) {
        let fault = fault.map(|fault| fault::at(fault, path));
        for (executed, waiting) in self.executed {
            // First: whoever is told may come with the next value at once.
            drop(waiting);
            let own = || executed.failure().map(|failure| fault::at(failure.clone(), path));
            let fault = fault.clone().or_else(own);
            executed.settle(fault);
        }
        for submitted in self.pending {
            submitted.refuse(fault.clone().unwrap_or_else(WorldError::closed));
        }
    }
}

impl WriterState {
    fn run(mut self, receiver: &Receiver<Box<Submitted>>) {
        let mut linger = Linger::default();
        // A planned fault is for the operation that it counts, and for no claim beside it.
        let operations_max = if self.faults.is_some() { 1 } else { BATCH_OPERATIONS_MAX };
        let mut large = None;
        while let Some(first) = large.take().or_else(|| linger.receive(receiver).ok()) {
            let mut batch = VecDeque::from([first]);
            while batch.len() < operations_max
                && !batch[0].is_large()
                && let Ok(next) = receiver.try_recv()
            {
                if next.is_large() {
                    large = Some(next);
                    break;
                }
                batch.push_back(next);
            }
            self.commit(batch);
            self.connection.answer_version();
        }
        if let Some(log) = &self.log {
            log.end_thread();
            let connection = self.connection.lock();
            // Where another process does not end its turn, SQLite's lock is left.
            let _my_turn = self.connection.wait_for_turn();
            log.close(&connection);
        }
    }

    /// Commits a batch, once: an operation that fails does so alone, and what fails the commit fails
    /// them all.
    fn commit(&mut self, operations: VecDeque<Box<Submitted>>) {
        let count = operations.len();
        let mut batch = Batch { pending: operations, executed: Vec::with_capacity(count) };
        let mut news = CommitNews::default();
        let fault = self.attempt(&mut batch, &mut news).err();
        // First: whoever is told may read at once.
        self.connection.end_operations(count);
        let is_committed = fault.is_none();
        batch.settle(fault, &self.path);
        if is_committed {
            self.listeners.tell(&news);
            self.do_chore();
        }
    }

    fn attempt(&mut self, batch: &mut Batch, news: &mut CommitNews) -> Result<(), WorldError> {
        let shared = Arc::clone(&self.connection);
        let connection = &*shared.lock();
        self.presence.refuse_to_write()?;
        let _my_turn = shared.wait_for_turn()?;
        // A rollback that failed must not fail every batch from then on.
        roll_back(connection);
        self.make_log_sound(connection)?;
        self.begin(connection, batch.is_durable())?;
        let executed = migrate::refuse_if_newer(connection);
        let executed = executed.and_then(|()| self.execute_all(connection, batch, news));
        if let Err(fault) = executed {
            // Nothing of the batch may stay.
            roll_back(connection);
            // What a file says that has gone is no answer.
            self.presence.check()?;
            return Err(fault);
        }
        if let Err(fault) = execute(connection, "COMMIT") {
            roll_back(connection);
            return Err(self.commit_failed(connection, fault));
        }
        // It is in the file, whoever has that now.
        self.presence.check_claim().map_err(|fault| outcome_unknown(&fault))?;
        // What was written to a file that has gone is lost.
        self.presence.check()?;
        if let Some(log) = &self.log {
            log.after_commit();
            if news.dropped {
                log.erase();
            }
        }
        Ok(())
    }

    fn begin(&mut self, connection: &Connection, durable: bool) -> Result<(), WorldError> {
        self.planned_fault(durable)?;
        self.set_synchronous(connection, durable && self.full_durability)?;
        execute(connection, "BEGIN IMMEDIATE")
    }

    /// What the log needs between two batches, once the callers of the last one have been told.
    fn do_chore(&self) {
        let Some(log) = self.log.as_ref().filter(|log| log.has_chore()) else { return };
        let connection = self.connection.lock();
        if let Ok(_my_turn) = self.connection.wait_for_turn() {
            log.do_chore(&connection);
        }
    }

    fn make_log_sound(&self, connection: &Connection) -> Result<(), WorldError> {
        self.log.as_ref().map_or(Ok(()), |log| log.make_sound(connection))
    }

    /// The frames of a commit that failed may be on the disk, where the next opening would find them.
    /// It has failed for sure only when they are gone.
    fn commit_failed(&self, connection: &Connection, fault: WorldError) -> WorldError {
        let Some(log) = &self.log else { return fault };
        log.doubt();
        match log.make_sound(connection) {
            Ok(()) => fault,
            Err(unsound) => outcome_unknown(&unsound),
        }
    }

    /// The fault that a test has planned for this commit.
    fn planned_fault(&self, durable: bool) -> Result<(), WorldError> {
        match &self.faults {
            Some(faults) if durable => faults.commit(),
            _ => Ok(()),
        }
    }

    /// Executes each operation once. One that fails is undone alone; without neighbours it is undone
    /// with the transaction.
    fn execute_all(
        &self,
        connection: &Connection,
        batch: &mut Batch,
        news: &mut CommitNews,
    ) -> Result<(), WorldError> {
        let now = Now {
            ms: self.clock.now_ms(),
            queue_ms: queue_time::shared_now_ms(&self.queue_time, connection, &*self.clock)?,
        };
        let has_neighbours = batch.pending.len() > 1;
        while !batch.pending.is_empty() {
            if has_neighbours {
                execute(connection, "SAVEPOINT operation")?;
            }
            let Some(submitted) = batch.pending.pop_front() else { break };
            let mut own_news = CommitNews::default();
            let mut tx = Tx {
                rows: connection,
                now,
                entropy: &self.entropy,
                environment: self.environment.as_deref(),
                workflow_prefix: &self.workflow_prefix,
                release: self.release.as_deref(),
                living_workers: &|| self.owners.living(),
                news: &mut own_news,
            };
            let Submitted { operation, waiting } = *submitted;
            let executed = operation.execute(&mut tx, &self.particulars(), Repeat::Never);
            let failure = executed.failure().cloned();
            batch.executed.push((executed, waiting));
            match failure {
                None => news.add(own_news),
                // For some faults, a full disk for one, SQLite has rolled all of it back.
                Some(failure) if !has_neighbours || connection.is_autocommit() => {
                    return Err(failure);
                }
                Some(_) => execute(connection, "ROLLBACK TO operation")?,
            }
            if has_neighbours {
                execute(connection, "RELEASE operation")?;
            }
        }
        Ok(())
    }

    fn particulars(&self) -> SqliteParticulars<'_> {
        SqliteParticulars {
            queue_time: &self.queue_time,
            clock: &*self.clock,
            owners: &self.owners,
        }
    }

    /// Set only when it changes, which is between a batch with facts and one without.
    fn set_synchronous(&mut self, connection: &Connection, synced: bool) -> Result<(), WorldError> {
        if self.synced != Some(synced) {
            self.synced = None;
            // In WAL mode NORMAL commits without a sync.
            let level = if synced { "FULL" } else { "NORMAL" };
            connection.pragma_update(None, "synchronous", level)?;
            self.synced = Some(synced);
        }
        Ok(())
    }
}

/// Ends a transaction that is still open; should that fail, the next BEGIN says so.
fn roll_back(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), WorldError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

fn outcome_unknown(why: &WorldError) -> WorldError {
    WorldError::new(
        ErrorKind::OutcomeUnknown,
        format!(
            "something failed during this commit, so the operation may be there when the database is opened \
             again, or it may not; look before you repeat it, or repeat it with an idempotency key: {}",
            why.message
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::Completion;

    fn writer(full_durability: bool) -> Writer {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection, 1).unwrap();
        Writer::start(WriterState {
            connection: Arc::new(WriteConnection::new(connection, None)),
            log: None,
            path: PathBuf::new(),
            presence: Arc::new(Presence::of_memory(Arc::new(SystemClock))),
            clock: Arc::new(SystemClock),
            queue_time: Arc::new(QueueTime::new(&SystemClock)),
            owners: Arc::new(Owners::new(None, String::new())),
            entropy: Arc::default(),
            environment: None,
            workflow_prefix: String::new(),
            release: None,
            full_durability,
            synced: None,
            listeners: Arc::default(),
            faults: None,
        })
        .unwrap()
    }

    /// An operation that works on the connection.
    fn work(
        durability: Durability,
        done: Completion<()>,
        work: impl FnOnce(&Connection) -> Result<(), WorldError> + Send + 'static,
    ) -> Operation {
        let work = |rows: &dyn Any| work(rows.downcast_ref().expect("it is a connection"));
        Operation::Test(durability, Box::new(work), done)
    }

    fn nothing(done: Completion<()>) -> Operation {
        work(Durability::Volatile, done, |_| Ok(()))
    }

    /// SQLite's `synchronous` level in a batch of one: 2 is FULL, 1 is NORMAL.
    fn level(writer: &Writer, durability: Durability) -> i64 {
        let (told, level) = std::sync::mpsc::channel();
        writer.submit(work(durability, Completion::ignored(), move |connection| {
            let level = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
            let _ = told.send(level);
            Ok(())
        }));
        level.recv().unwrap()
    }

    #[test]
    fn a_batch_with_facts_is_synced_also_after_one_without() {
        let writer = writer(true);
        for _ in 0..3 {
            assert_eq!(level(&writer, Durability::Volatile), 1);
            assert_eq!(level(&writer, Durability::Durable), 2);
        }
    }

    #[test]
    fn nothing_is_synced_when_durability_is_normal() {
        let writer = writer(false);
        assert_eq!(level(&writer, Durability::Durable), 1);
    }

    #[test]
    fn who_is_throttled_may_try_again_at_once() {
        let writer = Arc::new(writer(true));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (holds, holding) = std::sync::mpsc::channel();
        writer.submit(work(Durability::Volatile, Completion::ignored(), move |_| {
            let _ = holds.send(());
            let _ = held.recv();
            Ok(())
        }));
        holding.recv().unwrap();
        for _ in 0..WAITING_OPERATIONS_MAX {
            writer.submit(nothing(Completion::ignored()));
        }
        let (told, outcome) = Completion::<()>::channel();
        let again = Arc::clone(&writer);
        let throttled = Completion::new(move |_: Result<(), WorldError>| {
            again.submit(nothing(told));
        });
        let submitting = Arc::clone(&writer);
        std::thread::spawn(move || {
            submitting.submit(nothing(throttled));
        });
        let outcome =
            outcome.recv_timeout(Duration::from_secs(10)).expect("nobody waits for itself");
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::Throttled);
        drop(release);
    }

    #[test]
    fn a_panic_is_the_error_of_its_own_operation_only() {
        let writer = writer(true);
        let (done, outcome) = Completion::<()>::channel();
        writer.submit(work(Durability::Durable, done, |_| panic!("broken")));
        assert_eq!(outcome.recv().unwrap().unwrap_err().kind, ErrorKind::Internal);
        assert_eq!(level(&writer, Durability::Durable), 2);
    }
}
