//! Every durable write, as data: what a store does in one transaction, and who is told of the outcome.

#[cfg(test)]
use std::any::Any;

pub use super::executed::{Executed, Repeat};
use super::sealed::KeptKey;
use super::transaction::{Rows, Transaction};
use super::{
    ActivePlace, Admission, Appended, ClaimRequest, Claimed, Completion, Enqueued, EventReply,
    PlainResume, ResumedPlainly, Woken,
};
use crate::domain::event::EventRequest;
use crate::domain::fence::Fence;
use crate::domain::id::{CorrelationId, LeaseToken, MessageId, RunId};
use crate::domain::message::NewMessage;
use crate::domain::queue::settle::Outcome;
use crate::domain::resume_key::ResumeKey;
use crate::domain::transition::replay::ReplayedRun;
use crate::error::WorldError;

/// Whether a power cut that undoes a commit would undo something acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The commit carries facts: sync.
    Durable,
    /// The commit carries leases and acks: without it a message is only delivered again.
    Volatile,
}

/// What one operation does; the last field is told the outcome. Each is described where
/// [`Store`](super::Store) and [`Upkeep`](super::upkeep::Upkeep) declare it.
#[allow(missing_docs)] // the trait says it
pub enum Operation {
    AppendEvent(EventRequest, Completion<EventReply>),
    AppendEvents(Vec<EventRequest>, Completion<Vec<Appended>>),
    ResumeOnce(EventRequest, ResumeKey, Completion<bool>),
    /// Only for a store that does it alone in a transaction. Beside others it does nothing.
    ResumePlainly(PlainResume, Completion<ResumedPlainly>),
    CompleteWaits(RunId, Option<Vec<CorrelationId>>, Completion<usize>),
    /// The number is the delay in milliseconds.
    Enqueue(NewMessage, i64, Completion<MessageId>),
    /// Each number is the delay of its message in milliseconds.
    EnqueueAll(Vec<(NewMessage, i64)>, Completion<Vec<Enqueued>>),
    Claim(ClaimRequest, Completion<Claimed>),
    /// The number is the length of the leases in milliseconds.
    Extend(Vec<(MessageId, LeaseToken)>, i64, Completion<Vec<MessageId>>),
    SettleDelivery(Fence, Outcome, Completion<bool>),
    Admit(Fence, Completion<Admission>),
    FreeDeadLeases(Completion<FreedLeases>),
    /// Wakes those of the runs that are still forgotten.
    WakeForgotten(Vec<RunId>, Completion<usize>),
    TakeUpRefused(Completion<usize>),
    Redrive(MessageId, Completion<MessageId>),
    WriteStream(StreamName, Vec<Vec<u8>>, Completion<()>),
    CloseStream(StreamName, Completion<()>),
    ImportRun(Box<ReplayedRun>, Completion<()>),
    /// Gives some runs of the first deployment id to the second.
    Adopt(String, String, Completion<usize>),
    /// Cancels some runs of a deployment id.
    CancelRelease(String, Completion<usize>),
    ReleaseGone(String, Completion<()>),
    /// The flag says that the key is only kept if it is the first one.
    KeepKey(KeptKey, bool, Completion<()>),
    /// Any work on the rows of the store under test.
    #[cfg(test)]
    Test(Durability, TestWork, Completion<()>),
}

#[cfg(test)]
type TestWork = Box<dyn FnOnce(&dyn Any) -> Result<(), WorldError> + Send>;

/// A stream, and the run that it is of if the stream has to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamName {
    /// The stream.
    pub name: String,
    /// The run.
    pub run_id: RunId,
}

/// The leases of dead owners that were freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreedLeases {
    /// How many.
    pub count: usize,
    /// Their owners.
    pub owners: Vec<String>,
}

/// What a part of the search for forgotten runs has found.
pub struct Forgotten {
    /// Runs that seem forgotten.
    pub runs: Vec<RunId>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<ActivePlace>,
}

impl Forgotten {
    /// Takes what a search finds, and wakes it. See [`Store::wake_forgotten`](super::Store::wake_forgotten).
    pub fn to_wake(
        submit: impl FnOnce(Operation) + Send + 'static,
        done: Completion<Woken>,
    ) -> Completion<Self> {
        Completion::new(move |found: Result<Self, WorldError>| match found {
            Ok(Self { runs, next }) if runs.is_empty() => done.settle(Ok(Woken { runs: 0, next })),
            Ok(Self { runs, next }) => {
                let woken = Completion::new(move |woken: Result<usize, WorldError>| {
                    done.settle(woken.map(|runs| Woken { runs, next }));
                });
                submit(Operation::WakeForgotten(runs, woken));
            }
            Err(error) => done.settle(Err(error)),
        })
    }
}

/// What each store does in its own way within a transaction: it knows who is alive, and how it keeps
/// streams.
#[allow(missing_docs)] // `Store` says what they do
pub trait Particulars<R: Rows> {
    fn claim(
        &self,
        tx: &mut Transaction<'_, R>,
        request: &ClaimRequest,
    ) -> Result<Claimed, WorldError>;
    fn extend(
        &self,
        tx: &mut Transaction<'_, R>,
        leases: &[(MessageId, LeaseToken)],
        lease_ms: i64,
    ) -> Result<Vec<MessageId>, WorldError>;
    fn admit(&self, rows: &R, lease: &Fence) -> Result<Admission, WorldError>;
    fn free_dead_leases(&self, tx: &mut Transaction<'_, R>) -> Result<FreedLeases, WorldError>;
    fn append_chunks(
        &self,
        rows: &R,
        stream: &StreamName,
        chunks: &[Vec<u8>],
        now_ms: i64,
    ) -> Result<(), WorldError>;
    fn close_stream(&self, rows: &R, stream: &StreamName, now_ms: i64) -> Result<(), WorldError>;
    fn keep_key(
        &self,
        rows: &R,
        key: &KeptKey,
        as_first: bool,
        now_ms: i64,
    ) -> Result<(), WorldError>;
}

impl Operation {
    /// What losing it would lose.
    pub fn durability(&self) -> Durability {
        match self {
            Self::AppendEvent(..)
            | Self::AppendEvents(..)
            | Self::ResumeOnce(..)
            | Self::CompleteWaits(..)
            | Self::Enqueue(..)
            | Self::EnqueueAll(..)
            | Self::Redrive(..)
            | Self::WriteStream(..)
            | Self::CloseStream(..)
            | Self::ImportRun(..)
            | Self::Adopt(..)
            | Self::CancelRelease(..)
            | Self::ReleaseGone(..)
            | Self::KeepKey(..) => Durability::Durable,
            Self::Claim(..)
            | Self::Extend(..)
            | Self::SettleDelivery(..)
            | Self::Admit(..)
            | Self::FreeDeadLeases(..)
            | Self::TakeUpRefused(..)
            | Self::ResumePlainly(..)
            | Self::WakeForgotten(..) => Durability::Volatile,
            #[cfg(test)]
            Self::Test(durability, ..) => *durability,
        }
    }

    /// The bytes of a caller's value that it holds until it is done.
    pub fn bytes(&self) -> usize {
        match self {
            Self::AppendEvent(request, _) | Self::ResumeOnce(request, ..) => request.bytes(),
            Self::AppendEvents(requests, _) => requests.iter().map(EventRequest::bytes).sum(),
            Self::ResumePlainly(resume, _) => resume.payload.len(),
            Self::Enqueue(message, ..) => message.body.len(),
            Self::EnqueueAll(messages, _) => {
                messages.iter().map(|(message, _)| message.body.len()).sum()
            }
            Self::WriteStream(_, chunks, _) => chunks.iter().map(Vec::len).sum(),
            _ => 0,
        }
    }

    /// Runs it in a transaction. With [`Repeat::May`] it can be made [again](Executed::again), should the
    /// transaction fail for a reason that another one may not have.
    pub fn execute<R: Rows + 'static>(
        self,
        tx: &mut Transaction<'_, R>,
        own: &impl Particulars<R>,
        repeat: Repeat,
    ) -> Executed {
        // The work takes the fields of the operation, of which it can be made again.
        macro_rules! run {
            ($variant:ident($($field:ident),*), $done:ident => $work:expr) => {
                repeat.run(
                    ($($field,)*),
                    $done,
                    |($($field,)*), done| Self::$variant($($field,)* done),
                    |($($field,)*)| $work,
                )
            };
        }
        match self {
            Self::AppendEvent(request, done) => {
                run!(AppendEvent(request), done => tx.append_event(request))
            }
            Self::AppendEvents(requests, done) => {
                run!(AppendEvents(requests), done => tx.append_events(requests))
            }
            Self::ResumeOnce(request, key, done) => {
                run!(ResumeOnce(request, key), done => tx.resume_once(request, &key))
            }
            Self::ResumePlainly(resume, done) => run!(ResumePlainly(resume), done => left(resume)),
            Self::CompleteWaits(run_id, only, done) => {
                run!(CompleteWaits(run_id, only), done => tx.complete_waits(&run_id, only.as_deref()))
            }
            Self::Enqueue(message, delay_ms, done) => {
                run!(Enqueue(message, delay_ms), done => tx.enqueue(message, delay_ms))
            }
            Self::EnqueueAll(messages, done) => {
                run!(EnqueueAll(messages), done => tx.enqueue_all(messages))
            }
            Self::Claim(request, done) => run!(Claim(request), done => own.claim(tx, &request)),
            Self::Extend(leases, lease_ms, done) => {
                run!(Extend(leases, lease_ms), done => own.extend(tx, &leases, lease_ms))
            }
            Self::SettleDelivery(delivery, outcome, done) => {
                run!(SettleDelivery(delivery, outcome), done => tx.settle_delivery(&delivery, outcome))
            }
            Self::Admit(lease, done) => run!(Admit(lease), done => own.admit(tx.rows, &lease)),
            Self::FreeDeadLeases(done) => run!(FreeDeadLeases(), done => {
                own.free_dead_leases(tx).and_then(|freed| tx.hold_abandoned().map(|()| freed))
            }),
            Self::WakeForgotten(found, done) => {
                run!(WakeForgotten(found), done => tx.wake_forgotten(&found))
            }
            Self::TakeUpRefused(done) => run!(TakeUpRefused(), done => tx.take_up_refused()),
            Self::Redrive(message_id, done) => {
                run!(Redrive(message_id), done => tx.redrive(message_id))
            }
            Self::WriteStream(stream, chunks, done) => run!(WriteStream(stream, chunks), done => {
                own.append_chunks(tx.rows, &stream, &chunks, tx.now.ms)?;
                tx.news.streams.push(stream.name);
                Ok(())
            }),
            Self::CloseStream(stream, done) => run!(CloseStream(stream), done => {
                own.close_stream(tx.rows, &stream, tx.now.ms)?;
                tx.news.streams.push(stream.name);
                Ok(())
            }),
            Self::ImportRun(run, done) => run!(ImportRun(run), done => tx.import_run(*run)),
            Self::Adopt(from, to, done) => run!(Adopt(from, to), done => tx.adopt(&from, &to)),
            Self::CancelRelease(id, done) => {
                run!(CancelRelease(id), done => tx.cancel_release(&id))
            }
            Self::ReleaseGone(id, done) => run!(ReleaseGone(id), done => tx.release_gone(&id)),
            Self::KeepKey(key, as_first, done) => run!(KeepKey(key, as_first), done => {
                own.keep_key(tx.rows, &key, as_first, tx.now.ms)
            }),
            #[cfg(test)]
            Self::Test(_, work, done) => Repeat::Never.run_once(done, || work(tx.rows)),
        }
    }

    /// Tells the caller of a resume that it is done; without a reply, an earlier one has done it already.
    pub fn resumed(self, reply: Option<EventReply>) {
        match (self, reply) {
            (Self::AppendEvent(_, done), Some(reply)) => done.settle(Ok(reply)),
            (Self::ResumeOnce(_, _, done), reply) => done.settle(Ok(reply.is_none())),
            (other, _) => other.refuse(WorldError::closed()),
        }
    }

    /// Tells the caller that nothing was done, and why.
    pub fn refuse(self, why: WorldError) {
        match self {
            Self::AppendEvent(_, done) => done.settle(Err(why)),
            Self::AppendEvents(_, done) => done.settle(Err(why)),
            Self::Admit(_, done) => done.settle(Err(why)),
            Self::ResumeOnce(_, _, done) | Self::SettleDelivery(_, _, done) => {
                done.settle(Err(why));
            }
            Self::ResumePlainly(_, done) => done.settle(Err(why)),
            Self::CompleteWaits(_, _, done)
            | Self::WakeForgotten(_, done)
            | Self::TakeUpRefused(done)
            | Self::Adopt(_, _, done)
            | Self::CancelRelease(_, done) => done.settle(Err(why)),
            Self::Enqueue(_, _, done) | Self::Redrive(_, done) => done.settle(Err(why)),
            Self::EnqueueAll(_, done) => done.settle(Err(why)),
            Self::Claim(_, done) => done.settle(Err(why)),
            Self::Extend(_, _, done) => done.settle(Err(why)),
            Self::FreeDeadLeases(done) => done.settle(Err(why)),
            Self::WriteStream(_, _, done)
            | Self::CloseStream(_, done)
            | Self::ImportRun(_, done)
            | Self::ReleaseGone(_, done)
            | Self::KeepKey(_, _, done) => done.settle(Err(why)),
            #[cfg(test)]
            Self::Test(_, _, done) => done.settle(Err(why)),
        }
    }
}

/// The outcome of a resume that is left to others.
#[allow(clippy::unnecessary_wraps)] // as any work
fn left(resume: PlainResume) -> Result<ResumedPlainly, WorldError> {
    Ok(ResumedPlainly::Not(resume))
}

/// The methods of [`crate::store::Store`] that only hand an operation to the store's `writer`, and are
/// so the same in every store. A store that does more for one of them writes it itself, and it leaves here.
macro_rules! submitted_operations {
    () => {
        fn resume_once(&self, request: EventRequest, key: ResumeKey, done: Completion<bool>) {
            self.writer.submit(Operation::ResumeOnce(request, key, done));
        }

        fn complete_waits(
            &self,
            run_id: RunId,
            only: Option<Vec<CorrelationId>>,
            done: Completion<usize>,
        ) {
            self.writer.submit(Operation::CompleteWaits(run_id, only, done));
        }

        fn enqueue(&self, message: NewMessage, delay_ms: i64, done: Completion<MessageId>) {
            self.writer.submit(Operation::Enqueue(message, delay_ms, done));
        }

        fn enqueue_all(&self, messages: Vec<(NewMessage, i64)>, done: Completion<Vec<Enqueued>>) {
            self.writer.submit(Operation::EnqueueAll(messages, done));
        }

        fn extend(
            &self,
            leases: Vec<(MessageId, LeaseToken)>,
            lease_ms: i64,
            done: Completion<Vec<MessageId>>,
        ) {
            self.writer.submit(Operation::Extend(leases, lease_ms, done));
        }

        fn settle_delivery(
            &self,
            message_id: MessageId,
            lease_token: LeaseToken,
            outcome: Outcome,
            done: Completion<bool>,
        ) {
            let delivery = Fence { message_id, lease_token };
            self.writer.submit(Operation::SettleDelivery(delivery, outcome, done));
        }

        fn take_up_refused(&self, done: Completion<usize>) {
            self.writer.submit(Operation::TakeUpRefused(done));
        }

        fn redrive(&self, message_id: MessageId, done: Completion<MessageId>) {
            self.writer.submit(Operation::Redrive(message_id, done));
        }

        fn admit(
            &self,
            message_id: MessageId,
            lease_token: LeaseToken,
            done: Completion<Admission>,
        ) {
            self.writer.submit(Operation::Admit(Fence { message_id, lease_token }, done));
        }

        fn write_stream(
            &self,
            name: String,
            run_id: RunId,
            chunks: Vec<Vec<u8>>,
            done: Completion<()>,
        ) {
            self.writer.submit(Operation::WriteStream(StreamName { name, run_id }, chunks, done));
        }

        fn close_stream(&self, name: String, run_id: RunId, done: Completion<()>) {
            self.writer.submit(Operation::CloseStream(StreamName { name, run_id }, done));
        }
    };
}
pub(crate) use submitted_operations;
