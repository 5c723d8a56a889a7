//! Live tails: who waits for which chunk of a stream.
//!
//! A read that finds nothing waits here. A commit that touches its stream makes it look again, and so
//! does any commit of another process; nobody polls a stream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use crate::error::WorldError;
use crate::lock::lock;
use crate::store::{CommitListener, CommitNews, Completion, Store, StreamSlice};

/// Names one read, so that its caller can stop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadId {
    /// The World that reads.
    pub world: u64,
    /// The read within it.
    pub number: u32,
}

/// What a read of a tail gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TailSlice {
    /// Chunks in order; empty only at the end.
    pub chunks: Vec<Vec<u8>>,
    /// The index to ask for next.
    pub next: i64,
    /// Whether nothing follows.
    pub done: bool,
}

struct Read {
    name: String,
    from: i64,
    limit: usize,
    /// Whether it waits for a commit, as opposed to being looked up right now.
    waits: bool,
    /// Counts its looks; only the last one may answer. A name may come again for the next read, so
    /// the count goes on over all reads.
    look: u64,
    done: Completion<TailSlice>,
}

/// All live tails of one store.
pub struct Tails {
    store: Arc<dyn Store>,
    reads: Mutex<HashMap<ReadId, Read>>,
    last_look: AtomicU64,
    /// Counts commits, so that one which falls between a look and the wait for it is noticed.
    commits: AtomicU64,
}

impl CommitListener for Tails {
    fn hear(self: Arc<Self>, news: &CommitNews) {
        if news.streams.is_empty() && !news.elsewhere {
            return;
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        let concerned: Vec<ReadId> = self
            .lock()
            .iter()
            .filter(|(_, read)| read.waits && (news.elsewhere || news.streams.contains(&read.name)))
            .map(|(id, _)| *id)
            .collect();
        concerned.into_iter().for_each(|id| self.look(id));
    }
}

impl Tails {
    /// Listens to the commits of a store.
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let tails = Arc::new(Self {
            store: Arc::clone(&store),
            reads: Mutex::default(),
            last_look: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        });
        let listener: Weak<Self> = Arc::downgrade(&tails);
        store.on_commit(listener);
        tails
    }

    /// Reads from an index on (negative: from the end); waits until there is a chunk or the end.
    pub fn read(
        self: &Arc<Self>,
        id: ReadId,
        name: String,
        from: i64,
        limit: usize,
        done: Completion<TailSlice>,
    ) {
        // While anybody reads, commits of other processes matter.
        self.store.watch_elsewhere(true);
        let read = Read { name, from, limit, waits: true, look: 0, done };
        self.lock().insert(id, read);
        self.look(id);
    }

    /// Ends a read: it settles as if the stream had ended.
    pub fn stop(&self, id: ReadId) {
        if let Some(read) = self.take(id) {
            let next = read.from.max(0);
            read.done.settle(Ok(TailSlice { chunks: Vec::new(), next, done: true }));
        }
    }

    /// Ends all reads of a World with `Closed`.
    pub fn close_of(&self, world: u64) {
        let ids: Vec<ReadId> = self.lock().keys().filter(|id| id.world == world).copied().collect();
        for id in ids {
            if let Some(read) = self.take(id) {
                read.done.settle(Err(WorldError::closed()));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReadId, Read>> {
        lock(&self.reads)
    }

    fn take(&self, id: ReadId) -> Option<Read> {
        let read = self.lock().remove(&id)?;
        self.store.watch_elsewhere(false);
        Some(read)
    }

    fn look(self: &Arc<Self>, id: ReadId) {
        let commits_before = self.commits.load(Ordering::SeqCst);
        let look = self.last_look.fetch_add(1, Ordering::Relaxed) + 1;
        // Of two that want to look at the same moment, one does.
        let begun = self.lock().get_mut(&id).filter(|read| read.waits).map(|read| {
            (read.waits, read.look) = (false, look);
            (read.name.clone(), read.from, read.limit)
        });
        let Some((name, from, limit)) = begun else { return };
        let tails = Arc::clone(self);
        self.store.stream_slice(
            name,
            from,
            limit,
            Completion::new(move |slice| tails.seen(id, look, commits_before, slice)),
        );
    }

    fn seen(
        self: &Arc<Self>,
        id: ReadId,
        look: u64,
        commits_before: u64,
        slice: Result<StreamSlice, WorldError>,
    ) {
        let settled = match slice {
            Err(error) => Err(error),
            Ok(slice) if slice.chunks.is_empty() && !slice.closed => {
                return self.wait(id, look, commits_before, slice.from);
            }
            Ok(slice) => {
                let next = slice.from + slice.chunks.len() as i64;
                let done = slice.closed && next >= slice.count;
                Ok(TailSlice { chunks: slice.chunks, next, done })
            }
        };
        let mine = self.lock().get(&id).is_some_and(|read| read.look == look);
        if mine && let Some(read) = self.take(id) {
            read.done.settle(settled);
        }
    }

    fn wait(self: &Arc<Self>, id: ReadId, look: u64, commits_before: u64, from: i64) {
        match self.lock().get_mut(&id).filter(|read| read.look == look) {
            Some(read) => (read.from, read.waits) = (from, true),
            None => return,
        }
        if self.commits.load(Ordering::SeqCst) != commits_before {
            self.look(id);
        }
    }
}
