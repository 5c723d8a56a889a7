//! One attempt to commit a batch: one transaction.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::runtime::Runtime;

use super::batch::{Batch, Tx};
use super::db::{Db, Sending, pipelined};
use super::doubt::Doubtful;
use super::loaded::Loaded;
use super::numbers::Numbers;
use super::particulars::PostgresParticulars;
use super::wanted::{Wanted, lock_into};
use super::writer::{Done, Submitted, WriterState};
use super::{claims, events, fault, messages, owners};
use crate::error::WorldError;
use crate::store::CommitNews;
use crate::store::operation::{Durability, Operation, Repeat};
use crate::store::transaction::Now;

/// Why a transaction has not been committed for sure.
pub(super) enum Failed {
    /// Its only operation was refused, which is the outcome.
    Refused,
    /// It was not committed.
    Before(WorldError),
    /// The connection broke while it was being committed. The news are those of the commit.
    Doubtful(Doubtful, CommitNews),
}

/// What an attempt needs.
pub(super) struct Attempt<'a> {
    pub(super) state: &'a WriterState,
    pub(super) runtime: &'a Rc<Runtime>,
    pub(super) numbers: &'a Rc<Numbers>,
    pub(super) db: &'a Rc<Db>,
    /// Whether it waits for a moment for rows that another transaction holds.
    pub(super) waits: bool,
}

/// The beginning of a transaction.
struct Begun {
    loaded: Loaded,
    /// Whether claims of other processes pass over messages meanwhile.
    locks_messages: bool,
    now: Now,
    transaction: Option<i64>,
}

impl Attempt<'_> {
    /// Runs the operations in one transaction and commits it. Returns all of them, and the news.
    pub(super) fn make(&self, batch: Vec<Submitted>) -> (Vec<Done>, Result<CommitNews, Failed>) {
        let is_durable = batch.iter().any(|it| it.operation.durability() == Durability::Durable);
        let begun = match self.begin(&batch, is_durable) {
            Ok(begun) => begun,
            Err(fault) => {
                self.roll_back();
                return (
                    batch.into_iter().map(|it| not_run(it, &fault)).collect(),
                    Err(Failed::Before(fault)),
                );
            }
        };
        let locks_messages = begun.locks_messages;
        let (done, outcome) = self.finish(batch, begun);
        // Claims of other processes may have passed over messages that were locked here.
        if locks_messages && !outcome.as_ref().is_ok_and(|news| news.queue) {
            let news = CommitNews { queue: true, ..CommitNews::default() };
            self.state.session.tell_others(&news);
        }
        (done, outcome)
    }

    /// Runs the operations in the transaction that has begun, and commits it.
    fn finish(
        &self,
        batch: Vec<Submitted>,
        begun: Begun,
    ) -> (Vec<Done>, Result<CommitNews, Failed>) {
        let rows = Batch::new(
            Rc::clone(self.runtime),
            Rc::clone(self.db),
            Rc::clone(self.numbers),
            begun.loaded,
            begun.now.ms,
        );
        let mut news = CommitNews::default();
        let (done, executed) = self.execute_all(&rows, batch, begun.now, &mut news);
        if let Err(failed) = executed {
            self.roll_back();
            return (done, Err(failed));
        }
        let doubtful = Doubtful { transaction: begun.transaction, witness: rows.take_witness() };
        let committed = rows.load(self.db.simple("COMMIT"));
        let outcome = match committed {
            Ok(()) => Ok(news),
            Err(fault) if fault::is_lost(&fault) => Err(Failed::Doubtful(doubtful, news)),
            Err(fault) => {
                self.roll_back();
                Err(Failed::Before(fault))
            }
        };
        (done, outcome)
    }

    /// Begins the transaction and locks the runs of the operations: all processes in the same order, so
    /// that none waits in a circle.
    fn begin(&self, batch: &[Submitted], is_durable: bool) -> Result<Begun, WorldError> {
        let is_synced = is_durable && self.state.full_durability;
        let (mut run_ids, mut messages) = (Vec::new(), Vec::new());
        for submitted in batch {
            locks_of(&submitted.operation, &mut run_ids, &mut messages);
        }
        let mut wanted = Wanted::default();
        let release = self.state.release.as_deref();
        batch.iter().for_each(|submitted| wanted.add(&submitted.operation, release));
        let (locks_messages, loaded) = (wanted.locks_messages(), Loaded::default());
        let head = RefCell::new(None);
        let sought = wanted.runs.clone();
        let logs: Vec<String> = sought.iter().map(|run_id| run_id.as_str().to_owned()).collect();
        let db = &**self.db;
        let clock = &*self.state.clock;
        let known_ms = self.state.queue_time.now_ms(clock);
        let mut first: Vec<Sending<'_>> = vec![Box::pin(db.simple(begin(is_synced, db)))];
        if !self.waits {
            first.push(Box::pin(db.simple("SET LOCAL lock_timeout = '1ms'")));
        }
        if !run_ids.is_empty() || !messages.is_empty() {
            let locks = (run_ids, messages);
            first.push(Box::pin(lock_into(db, &loaded, sought.clone(), locks)));
        }
        first.push(Box::pin(async {
            *head.borrow_mut() = Some(events::head(db, logs, is_durable, known_ms).await?);
            Ok(())
        }));
        first.extend(wanted.loads(db, &loaded));
        if let Some(block) = self.numbers.may_end_within(2 * batch.len()).then_some(&self.numbers) {
            first.push(Box::pin(async move {
                block.add_block(messages::block_of_numbers(db).await?);
                Ok(())
            }));
        }
        let look = match batch {
            [Submitted { operation: Operation::Claim(request, _), .. }] => {
                Some(claims::look(db, request, &self.state.lanes, known_ms))
            }
            _ => None,
        };
        let look = async {
            match look {
                Some(look) => look.await.map(Some),
                None => Ok(None),
            }
        };
        let found = self.runtime.block_on(pipelined(first, look))?;
        *loaded.look.borrow_mut() = found;
        let mut head = head.take().ok_or_else(|| fault::damage("no time"))?;
        loaded.add_tails(&mut head, sought);
        self.state.time.is(head.now_ms);
        let queue_ms = self.state.queue_time.now_at_least_ms(clock, head.reached_ms);
        let now = Now { ms: clock.now_ms(), queue_ms };
        Ok(Begun { loaded, locks_messages, now, transaction: head.transaction })
    }

    /// Executes the operations in order. One that fails leaves nothing; if that cannot be undone alone,
    /// the transaction fails, and each is made alone.
    fn execute_all(
        &self,
        rows: &Batch,
        batch: Vec<Submitted>,
        now: Now,
        news: &mut CommitNews,
    ) -> (Vec<Done>, Result<(), Failed>) {
        let is_alone = batch.len() == 1;
        let mut done = Vec::with_capacity(batch.len());
        let mut left = batch.into_iter();
        for Submitted { operation, waiting } in left.by_ref() {
            let mark = rows.mark();
            let mut own_news = CommitNews::default();
            let mut tx = Tx {
                rows,
                now,
                entropy: &self.state.entropy,
                environment: self.state.environment.as_deref(),
                workflow_prefix: &self.state.workflow_prefix,
                release: self.state.release.as_deref(),
                living_workers: &|| rows.load(owners::living(rows.db())),
                news: &mut own_news,
            };
            let executed = operation.execute(&mut tx, &self.particulars(), Repeat::May);
            let failure = executed.failure().cloned();
            done.push(Done { executed, waiting });
            let failed = match failure {
                None => {
                    news.add(own_news);
                    continue;
                }
                // The server has answered with an error, so the transaction has failed.
                Some(failure) if fault::is_of_server(&failure) => Failed::Before(failure),
                Some(_) if is_alone => Failed::Refused,
                Some(_) if rows.undo(mark) => continue,
                Some(failure) => Failed::Before(failure),
            };
            done.extend(left.map(|it| not_run(it, &WorldError::closed())));
            return (done, Err(failed));
        }
        (done, Ok(()))
    }

    fn particulars(&self) -> PostgresParticulars<'_> {
        PostgresParticulars {
            queue_time: &self.state.queue_time,
            clock: &*self.state.clock,
            suspects: &self.state.suspects,
            lanes: &self.state.lanes,
            cleaning: &self.state.cleaning,
            me: &self.state.me,
        }
    }

    /// Should that fail, the connection has gone.
    fn roll_back(&self) {
        let _ = self.runtime.block_on(self.db.simple("ROLLBACK"));
    }
}

/// What begins a transaction. A session of a pooler is another one for each, so it is told everything.
fn begin(is_synced: bool, db: &Db) -> &'static str {
    macro_rules! begin {
        ($more:literal) => {
            concat!(
                "BEGIN; SET LOCAL lock_timeout = '250ms'; \
                 SET LOCAL idle_in_transaction_session_timeout = '5s'; \
                 SET LOCAL jit = off; SET LOCAL enable_seqscan = off",
                $more
            )
        };
    }
    match (db.is_direct(), is_synced) {
        (true, true) => "BEGIN",
        (true, false) => "BEGIN; SET LOCAL synchronous_commit = off",
        (false, true) => begin!(""),
        (false, false) => begin!("; SET LOCAL synchronous_commit = off"),
    }
}

/// An operation that has not been run, as one that failed.
fn not_run(submitted: Submitted, fault: &WorldError) -> Done {
    let Submitted { operation, waiting } = submitted;
    Done { executed: operation.not_executed(fault.clone()), waiting }
}

/// The runs that an operation changes, by their ids or by messages of theirs.
pub(super) fn locks_of(operation: &Operation, run_ids: &mut Vec<String>, messages: &mut Vec<i64>) {
    let runs = match operation {
        Operation::AppendEvent(request, _) | Operation::ResumeOnce(request, ..) => {
            request.run_id.as_slice()
        }
        Operation::AppendEvents(requests, _) => {
            let runs = requests.iter().filter_map(|request| request.run_id.as_ref());
            run_ids.extend(runs.map(|run_id| run_id.as_str().to_owned()));
            return;
        }
        Operation::EnqueueAll(messages, _) => {
            let runs = messages.iter().filter_map(|(message, _)| message.purpose.run());
            run_ids.extend(runs.map(|run_id| run_id.as_str().to_owned()));
            return;
        }
        Operation::CompleteWaits(run_id, ..) => std::slice::from_ref(run_id),
        Operation::Enqueue(message, ..) => {
            run_ids.extend(message.purpose.run().map(|run_id| run_id.as_str().to_owned()));
            return;
        }
        Operation::WakeForgotten(found, _) => found,
        Operation::SettleDelivery(delivery, outcome, _) => {
            if *outcome != crate::store::Outcome::Ack {
                messages.push(delivery.message_id.number());
            }
            return;
        }
        _ => return,
    };
    run_ids.extend(runs.iter().map(|run_id| run_id.as_str().to_owned()));
}
