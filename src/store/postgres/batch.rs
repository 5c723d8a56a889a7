//! The open transaction of a batch of operations.
//!
//! Writes wait until a row is loaded that is read from the server, or until the commit; then they are
//! sent with it, in one round trip. So whatever is loaded is what the writes before it left.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::hash::Hash;
use std::rc::Rc;

use tokio::runtime::Runtime;

use super::claims::Look;
use super::db::{Db, Sending, pipelined};
use super::doubt::Witness;
use super::loaded::{LeaseState, Loaded, key_of};
use super::numbers::Numbers;
use super::streams::{self, OpenStream};
use super::writes::{Write, merged};
use super::{fault, leases, messages, releases};
use crate::domain::fence::Fence;
use crate::domain::id::{MessageId, Position, RunId};
use crate::domain::payload::Payload;
use crate::error::WorldError;
use crate::store::Claimed;
use crate::store::operation::StreamName;
use crate::store::transaction::Transaction;

/// The transaction of a batch.
pub(super) type Tx<'a> = Transaction<'a, Batch>;

/// A row, or what went wrong.
pub(super) type Outcome<T> = Result<T, WorldError>;

/// The open transaction of a batch of operations.
pub(super) struct Batch {
    runtime: Rc<Runtime>,
    db: Rc<Db>,
    numbers: Rc<Numbers>,
    pub(super) loaded: Loaded,
    /// The database's time, read once.
    pub(super) now_ms: i64,
    waiting: RefCell<Vec<Write>>,
    sent: Cell<usize>,
    /// With the number of writes that were there before it.
    witness: RefCell<Option<(usize, Witness)>>,
}

impl Batch {
    pub(super) fn new(
        runtime: Rc<Runtime>,
        db: Rc<Db>,
        numbers: Rc<Numbers>,
        loaded: Loaded,
        now_ms: i64,
    ) -> Self {
        let (waiting, sent) = (RefCell::default(), Cell::new(0));
        Self { runtime, db, numbers, loaded, now_ms, waiting, sent, witness: RefCell::default() }
    }

    /// The connection, for statements that [`Batch::load`] sends.
    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    /// Adds a write.
    pub(super) fn write(&self, write: Write) -> Outcome<()> {
        self.waiting.borrow_mut().push(write);
        Ok(())
    }

    /// Adds the writes of a claim, which leases messages.
    pub(super) fn lease(&self, claimed: &Claimed, writes: Vec<Write>) {
        let are_claimed = |id| claimed.deliveries.iter().any(|it| it.message_id == id);
        self.loaded.lease_messages(are_claimed);
        self.waiting.borrow_mut().extend(writes);
    }

    /// Adds a write that changes one message.
    pub(super) fn change_message(&self, id: MessageId, write: Write) -> Outcome<()> {
        self.loaded.forget_message(id);
        self.write(write)
    }

    /// Adds a write that changes messages.
    pub(super) fn change_messages(&self, write: Write) -> Outcome<()> {
        self.loaded.forget_messages();
        self.write(write)
    }

    /// What a lease is worth.
    pub(super) fn lease_state(&self, lease: &Fence) -> Outcome<LeaseState> {
        let read = async {
            let found = leases::states(&self.db, &HashSet::from([key_of(lease)])).await?;
            Ok(found.first().map(|(_, state)| *state).unwrap_or_default())
        };
        self.known(&self.loaded.leases, key_of(lease), read)
    }

    /// What was loaded before, or is loaded now.
    pub(super) fn known<K: Hash + Eq, V: Clone>(
        &self,
        loaded: &RefCell<HashMap<K, V>>,
        key: K,
        read: impl Future<Output = Outcome<V>>,
    ) -> Outcome<V> {
        let known = loaded.borrow().get(&key).cloned();
        if let Some(value) = known {
            return Ok(value);
        }
        let value = self.load(read)?;
        loaded.borrow_mut().insert(key, value.clone());
        Ok(value)
    }

    /// Sends the writes that wait, and then a read. Blocks.
    pub(super) fn load<T>(&self, read: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let writes = self.waiting.take();
        self.sent.set(self.sent.get() + writes.len());
        let writes = merged(writes);
        let writing = writes.iter().map(|write| Box::pin(self.db.write(write)) as Sending<'_>);
        self.runtime.block_on(pipelined(writing.collect(), read))
    }

    /// How many writes there are.
    pub(super) fn mark(&self) -> usize {
        self.sent.get() + self.waiting.borrow().len()
    }

    /// Takes the writes after a mark back; `false` if some have been sent already.
    pub(super) fn undo(&self, mark: usize) -> bool {
        let sent = self.sent.get();
        if sent > mark {
            return false;
        }
        if self.mark() == mark {
            return true;
        }
        self.waiting.borrow_mut().truncate(mark - sent);
        self.witness.borrow_mut().take_if(|(at, _)| *at >= mark);
        self.loaded.forget();
        true
    }

    /// Remembers a row that shows whether the transaction was committed, unless there is one.
    pub(super) fn witness(&self, witness: Witness) {
        let at = self.mark();
        self.witness.borrow_mut().get_or_insert((at, witness));
    }

    /// Such a row.
    pub(super) fn take_witness(&self) -> Option<Witness> {
        self.witness.take().map(|(_, witness)| witness)
    }

    /// A number that no other message of this millisecond has.
    pub(super) fn message_number(&self) -> Outcome<i64> {
        if let Some(number) = self.numbers.take() {
            return Ok(number);
        }
        self.numbers.add_block(self.load(messages::block_of_numbers(&self.db))?);
        self.numbers.take().ok_or_else(|| fault::damage("no number"))
    }

    /// Notes that a worker of a release is there.
    pub(super) fn release_is_here(&self, release_id: &str, now_ms: i64) {
        self.loaded.gone.borrow_mut().remove(release_id);
        self.waiting.borrow_mut().extend(releases::is_here(release_id, now_ms));
    }

    /// What the claim of this batch, which does nothing else, has found already.
    pub(super) fn take_look(&self) -> Option<Look> {
        self.loaded.look.borrow_mut().take()
    }

    /// A stream, locked. Makes it if there is none.
    pub(super) fn stream(&self, stream: &StreamName, now_ms: i64) -> Outcome<OpenStream> {
        let known = self.loaded.streams.borrow().get(&stream.name).copied();
        match known {
            Some(Some(open)) => Ok(open),
            Some(None) => self.load(streams::make(&self.db, stream, now_ms)),
            None => self.load(streams::open(&self.db, stream, now_ms)),
        }
    }

    /// Notes how a stream is from now on.
    pub(super) fn note_stream(&self, stream: &StreamName, open: OpenStream) {
        self.loaded.streams.borrow_mut().insert(stream.name.clone(), Some(open));
    }

    /// The payloads that an entity names, if all are known.
    pub(super) fn payloads<const N: usize>(
        &self,
        run_id: &RunId,
        positions: [Option<Position>; N],
    ) -> Option<[Option<Payload>; N]> {
        let mut payloads = [const { None }; N];
        for (payload, position) in payloads.iter_mut().zip(positions) {
            *payload = self.loaded.payload(run_id, position)?;
        }
        Some(payloads)
    }
}
