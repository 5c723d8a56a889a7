//! The thread of the writer: it owns the writing connection.
//!
//! It takes everything that has arrived, runs it in one transaction, commits once and settles. A
//! transaction that fails because of another process, or whose connection breaks, is made again.

use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout};

use super::alone::{self, Answer, Resume};
use super::aside::{Aside, SetAside, TRY_AGAIN_EVERY, share};
use super::attempt::{Attempt, Failed};
use super::connect::ANSWER_WITHIN;
use super::db::Db;
use super::doubt::{Fate, Unanswered};
use super::fault;
use super::numbers::Numbers;
use super::writer::{Done, Submitted, WriterState};
use crate::domain::run::Run;
use crate::entropy::{fraction, secret_bytes};
use crate::error::{ErrorKind, WorldError};
use crate::store::operation::Operation;
use crate::store::{CommitNews, HookView, PlainResume, ResumedPlainly};

/// Operations of one transaction: more hardly cost less each, and wait longer.
const BATCH_OPERATIONS_MAX: usize = 64;
/// Bytes of callers' values after which a batch takes no more operations.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Operations that two batches must have had together for the next one to wait for more: then so many
/// callers are at it that others go on meanwhile.
const BUSY_FROM: usize = 32;
/// How many operations the next one then waits for. Each batch is a sync of the server's log.
const GATHERED: usize = 24;
/// For how long it waits at most, and how long it pauses until more must have come.
const GATHER_WITHIN: Duration = Duration::from_millis(2);
const GATHER_PAUSE: Duration = Duration::from_micros(100);
/// How often a batch is made again because of other processes, before its operations go alone.
const TOGETHER_MAX: u32 = 2;
/// How often an operation alone is made again because of other processes.
const ALONE_MAX: u32 = 20;
/// The pauses between questions for the fate of a commit.
const FATE_PAUSE: Duration = Duration::from_millis(50);
/// For how long it is asked for. A fail-over takes less.
const FATE_WITHIN: Duration = Duration::from_secs(60);

/// The operations of a transaction that has not been committed for sure.
struct Unfinished {
    done: Vec<Done>,
    why: Box<Failed>,
}

/// The writer, on its thread.
pub(super) struct WriterThread {
    state: Rc<WriterState>,
    runtime: Rc<Runtime>,
    db: Option<Rc<Db>>,
    numbers: Rc<Numbers>,
    aside: Aside,
    /// The number of the last write that was alone.
    last_write: i64,
    /// How many operations the last two batches had.
    last_batches: [usize; 2],
}

impl WriterThread {
    pub(super) fn new(state: WriterState) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            state: Rc::new(state),
            runtime: Rc::new(runtime),
            db: None,
            numbers: Rc::default(),
            aside: Aside::new(),
            last_write: i64::from_le_bytes(secret_bytes()),
            last_batches: [0, 0],
        })
    }

    pub(super) fn run(&mut self, mut receiver: Receiver<Submitted>) {
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
            let mut batch = self.gather(first, &mut receiver);
            self.aside.take_from(&mut batch);
            if let Some(batch) = self.resume_alone(batch) {
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

    /// Takes what has come. While many callers are at it, waits for a moment for more.
    fn gather(&mut self, first: Submitted, receiver: &mut Receiver<Submitted>) -> Vec<Submitted> {
        let mut bytes = first.operation.bytes();
        let mut batch = vec![first];
        let is_busy = self.last_batches.iter().sum::<usize>() > BUSY_FROM;
        let began = Instant::now();
        loop {
            let before = batch.len();
            while batch.len() < BATCH_OPERATIONS_MAX
                && bytes < BATCH_BYTES_MAX
                && let Ok(next) = receiver.try_recv()
            {
                bytes += next.operation.bytes();
                batch.push(next);
            }
            let is_over = batch.len() == before && before > 1 || bytes >= BATCH_BYTES_MAX;
            if !is_busy || is_over || batch.len() >= GATHERED || began.elapsed() >= GATHER_WITHIN {
                break;
            }
            // No answer is awaited meanwhile, so the thread may sleep.
            std::thread::sleep(GATHER_PAUSE);
        }
        self.last_batches = [self.last_batches[1], batch.len()];
        batch
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
                    match self.fate(async |db: &Db| doubtful.fate(db).await) {
                        Ok(Some(())) => return self.committed(done, news),
                        Ok(None) => fault::lost(),
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

    /// Does what is a resume and alone with one statement. Gives back what has to go the general way.
    fn resume_alone(&mut self, mut batch: Vec<Submitted>) -> Option<Vec<Submitted>> {
        let [Submitted { operation, .. }] = &batch[..] else {
            return Some(batch).filter(|batch| !batch.is_empty());
        };
        self.last_write = self.last_write.wrapping_add(1);
        if let Operation::ResumePlainly(resume, _) = operation {
            let outcome = self.try_plainly(resume);
            self.resumed_plainly(batch.pop()?, outcome);
            return None;
        }
        let outcome = match Resume::of(operation, self.last_write) {
            Some(resume) => self.try_to_resume(&resume),
            None => Ok(None),
        };
        if let Ok(None) = outcome {
            return Some(batch);
        }
        let Submitted { operation, waiting } = batch.pop()?;
        // First: whoever is told may come with the next value at once.
        drop(waiting);
        match outcome {
            Ok(Some(answer)) => {
                let news = answer.news();
                operation.resumed(answer.reply());
                self.tell(&news);
            }
            Err(unknown) => operation.refuse(fault::at(unknown, self.state.connector.shown())),
            Ok(None) => {}
        }
        None
    }

    /// Finds a hook and resumes it with one statement; `None` if nothing was done.
    fn try_plainly(&mut self, resume: &PlainResume) -> Result<Option<(HookView, Run)>, WorldError> {
        let Ok(db) = self.connected() else { return Ok(None) };
        let Some(backend) = db.backend().cloned() else { return Ok(None) };
        let write_id = self.last_write;
        let sent = alone::send_plainly(&db, &self.state, &self.numbers, resume, write_id);
        match self.runtime.block_on(sent) {
            Err(error) if fault::is_lost(&error) => {}
            answer => return Ok(answer.ok().flatten()),
        }
        self.db = None;
        let unanswered = Unanswered { backend, write_id };
        let (state, token) = (Rc::clone(&self.state), &resume.token);
        self.fate(async |db: &Db| match unanswered.fate(db).await? {
            Fate::Committed(written) => {
                Ok(Fate::Committed(alone::resumed(db, &state, token, written).await?))
            }
            Fate::Gone => Ok(Fate::Gone),
            Fate::UnderWay => Ok(Fate::UnderWay),
        })
    }

    fn resumed_plainly(
        &self,
        Submitted { operation, waiting }: Submitted,
        outcome: Result<Option<(HookView, Run)>, WorldError>,
    ) {
        let Operation::ResumePlainly(resume, done) = operation else { return };
        // First: whoever is told may come with the next value at once.
        drop(waiting);
        let is_resumed = matches!(outcome, Ok(Some(_)));
        done.settle(match outcome {
            Ok(Some(found)) => Ok(ResumedPlainly::Done(Box::new(found))),
            Ok(None) => Ok(ResumedPlainly::Not(resume)),
            Err(error) => Err(fault::at(error, self.state.connector.shown())),
        });
        if is_resumed {
            self.tell(&CommitNews { queue: true, ..CommitNews::default() });
        }
    }

    /// Resumes with one statement; `None` if the general way is needed, and nothing was done.
    fn try_to_resume(&mut self, resume: &Resume<'_>) -> Result<Option<Answer>, WorldError> {
        // The general way knows what to do about a fault.
        let Ok(db) = self.connected() else { return Ok(None) };
        let Some(backend) = db.backend().cloned() else { return Ok(None) };
        match self.runtime.block_on(resume.send(&db, &self.state, &self.numbers)) {
            Err(error) if fault::is_lost(&error) => {}
            answer => return Ok(answer.ok().flatten()),
        }
        self.db = None;
        let unanswered = Unanswered { backend, write_id: resume.write_id };
        let written = self.fate(async |db: &Db| unanswered.fate(db).await)?;
        Ok(written.map(|written| resume.written(written)))
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
        self.tell(&news);
    }

    /// Tells everybody what a commit has made visible.
    fn tell(&self, news: &CommitNews) {
        self.state.listeners.tell(news);
        self.state.session.tell_others(news);
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
        let is_synced = self.state.full_durability;
        let connecting = async move {
            let db = connector.connect_again("writer", ANSWER_WITHIN).await?;
            db.set_limits(is_synced).await.map_err(|error| fault::at(error, connector.shown()))?;
            Ok(Rc::new(db))
        };
        let connected: Result<Rc<Db>, WorldError> = self.runtime.block_on(connecting);
        self.db = connected.as_ref().ok().cloned();
        connected
    }

    /// Finds out what became of a commit: what is known of it, or that nothing of it has stayed.
    fn fate<T>(
        &mut self,
        ask: impl AsyncFn(&Db) -> Result<Fate<T>, WorldError>,
    ) -> Result<Option<T>, WorldError> {
        let mut why = WorldError::closed();
        let give_up_at = Instant::now() + FATE_WITHIN;
        while Instant::now() < give_up_at {
            let asked = self.connected().and_then(|db| self.runtime.block_on(ask(&db)));
            match asked {
                Ok(Fate::UnderWay) => {}
                Ok(Fate::Committed(known)) => return Ok(Some(known)),
                Ok(Fate::Gone) => return Ok(None),
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
