//! Every durable write, as data: what a store does in one transaction, and who is told of the outcome.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::sealed::KeptKey;
use super::transaction::{Rows, Transaction};
use super::{Admission, Appended, ClaimRequest, Claimed, Completion, Enqueued, EventReply};
use crate::domain::event::EventRequest;
use crate::domain::fence::Fence;
use crate::domain::id::{CorrelationId, LeaseToken, MessageId, RunId};
use crate::domain::message::NewMessage;
use crate::domain::queue::settle::Outcome;
use crate::domain::resume_key::ResumeKey;
use crate::domain::transition::replay::ReplayedRun;
use crate::error::{ErrorKind, WorldError};

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
            Self::Enqueue(message, ..) => message.body.len(),
            Self::EnqueueAll(messages, _) => {
                messages.iter().map(|(message, _)| message.body.len()).sum()
            }
            Self::WriteStream(_, chunks, _) => chunks.iter().map(Vec::len).sum(),
            _ => 0,
        }
    }

    /// Runs it in a transaction, once.
    pub fn execute<R: Rows + 'static>(
        self,
        tx: &mut Transaction<'_, R>,
        own: &impl Particulars<R>,
    ) -> Executed {
        match self {
            Self::AppendEvent(request, done) => Executed::by(done, || tx.append_event(request)),
            Self::AppendEvents(requests, done) => Executed::by(done, || tx.append_events(requests)),
            Self::ResumeOnce(request, key, done) => {
                Executed::by(done, || tx.resume_once(request, &key))
            }
            Self::CompleteWaits(run_id, only, done) => {
                Executed::by(done, || tx.complete_waits(&run_id, only.as_deref()))
            }
            Self::Enqueue(message, delay_ms, done) => {
                Executed::by(done, || tx.enqueue(message, delay_ms))
            }
            Self::EnqueueAll(messages, done) => Executed::by(done, || tx.enqueue_all(messages)),
            Self::Claim(request, done) => Executed::by(done, || own.claim(tx, &request)),
            Self::Extend(leases, lease_ms, done) => {
                Executed::by(done, || own.extend(tx, &leases, lease_ms))
            }
            Self::SettleDelivery(delivery, outcome, done) => {
                Executed::by(done, || tx.settle_delivery(&delivery, outcome))
            }
            Self::Admit(lease, done) => Executed::by(done, || own.admit(tx.rows, &lease)),
            Self::FreeDeadLeases(done) => Executed::by(done, || {
                let freed = own.free_dead_leases(tx)?;
                tx.hold_abandoned()?;
                Ok(freed)
            }),
            Self::WakeForgotten(found, done) => Executed::by(done, || tx.wake_forgotten(&found)),
            Self::TakeUpRefused(done) => Executed::by(done, || tx.take_up_refused()),
            Self::Redrive(message_id, done) => Executed::by(done, || tx.redrive(message_id)),
            Self::WriteStream(stream, chunks, done) => Executed::by(done, || {
                own.append_chunks(tx.rows, &stream, &chunks, tx.now.ms)?;
                tx.news.streams.push(stream.name);
                Ok(())
            }),
            Self::CloseStream(stream, done) => Executed::by(done, || {
                own.close_stream(tx.rows, &stream, tx.now.ms)?;
                tx.news.streams.push(stream.name);
                Ok(())
            }),
            Self::ImportRun(run, done) => Executed::by(done, || tx.import_run(*run)),
            Self::Adopt(from, to, done) => Executed::by(done, || tx.adopt(&from, &to)),
            Self::CancelRelease(id, done) => Executed::by(done, || tx.cancel_release(&id)),
            Self::ReleaseGone(id, done) => Executed::by(done, || tx.release_gone(&id)),
            Self::KeepKey(key, as_first, done) => {
                Executed::by(done, || own.keep_key(tx.rows, &key, as_first, tx.now.ms))
            }
            #[cfg(test)]
            Self::Test(_, work, done) => Executed::by(done, || work(tx.rows)),
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

/// An operation that has run, and whose outcome nobody knows yet: its commit comes first.
pub struct Executed {
    failure: Option<WorldError>,
    tell: Box<dyn FnOnce(Option<WorldError>) + Send>,
}

impl Executed {
    /// Runs the work. A panic is an outcome of this operation alone.
    fn by<T: Send + 'static>(
        done: Completion<T>,
        work: impl FnOnce() -> Result<T, WorldError>,
    ) -> Self {
        let outcome = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(defect(panic.as_ref())));
        let failure = outcome.as_ref().err().cloned();
        let tell = move |fault: Option<WorldError>| {
            done.settle(fault.map_or(outcome, Err));
        };
        Self { failure, tell: Box::new(tell) }
    }

    /// Why it was refused or failed; then nothing that it has written may stay.
    pub fn failure(&self) -> Option<&WorldError> {
        self.failure.as_ref()
    }

    /// Tells the caller the outcome, or the fault that prevented it.
    pub fn settle(self, fault: Option<WorldError>) {
        (self.tell)(fault);
    }
}

fn defect(panic: &(dyn Any + Send)) -> WorldError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    WorldError::new(
        ErrorKind::Internal,
        format!(
            "a defect of hookline stopped this operation, and nothing was written; please report it: {text}"
        ),
    )
}
