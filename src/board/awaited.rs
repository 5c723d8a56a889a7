//! The things that waiters wait for: the next chunks of a stream, the end of a run, a live hook with a
//! token.

use std::sync::{Arc, Weak};

use super::{Awaited, Board, Looked, WaiterId};
use crate::domain::id::{HookToken, RunId};
use crate::error::{ErrorKind, WorldError};
use crate::store::{
    CommitListener, CommitNews, Completion, HookView, RunView, Store, StreamRead, StreamSlice,
};

/// The boards of one store.
pub struct Boards {
    /// Reads of live streams.
    pub tails: Arc<Board<StreamRead>>,
    /// Waiters for the end of a run. They get the run with its payloads.
    pub run_ends: Arc<Board<RunId>>,
    /// Waiters for the live hook with a token, now or later.
    pub hooks: Arc<Board<HookToken>>,
}

impl Boards {
    /// The boards of a store, which listen to its commits.
    pub fn of(store: &Arc<dyn Store>) -> Self {
        Self {
            tails: board_of(store, |store, reads, done| store.stream_slices(reads, done)),
            run_ends: board_of(store, |store, run_ids, done| store.run_ends(run_ids, done)),
            hooks: board_of(store, |store, tokens, done| store.live_hooks(tokens, done)),
        }
    }

    /// Ends the wait for a run or for a hook.
    pub fn stop_awaiting(&self, id: WaiterId) {
        self.run_ends.stop(id);
        self.hooks.stop(id);
    }

    /// Ends all waits of a World with `Closed`.
    pub fn close_of(&self, world: u64) {
        self.tails.close_of(world);
        self.run_ends.close_of(world);
        self.hooks.close_of(world);
    }
}

fn board_of<A: Awaited>(
    store: &Arc<dyn Store>,
    look_for: fn(&dyn Store, Vec<A>, Completion<Looked<A>>),
) -> Arc<Board<A>> {
    let (looked_at, watched) = (Arc::clone(store), Arc::clone(store));
    let board = Board::new(
        move |asked, done| look_for(&*looked_at, asked, done),
        move |watch| watched.watch_elsewhere(watch),
    );
    let listener: Arc<dyn CommitListener> = Arc::clone(&board) as _;
    let listener: Weak<dyn CommitListener> = Arc::downgrade(&listener);
    store.on_commit(listener);
    board
}

/// The result of a read of a tail.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TailSlice {
    /// Chunks in order; empty only at the end.
    pub chunks: Vec<Vec<u8>>,
    /// The index of the next chunk.
    pub next: i64,
    /// Whether the stream has no more chunks.
    pub done: bool,
}

impl Awaited for StreamRead {
    type Topic = String;
    type Seen = StreamSlice;
    type Answer = TailSlice;
    /// A slice may be large, and the first reader should not wait for the last reader's slice.
    const IN_ONE_LOOK: usize = 16;

    fn topic(&self) -> &String {
        &self.name
    }

    fn topics(news: &CommitNews) -> &[String] {
        &news.streams
    }

    fn answer(&mut self, slice: StreamSlice) -> Option<TailSlice> {
        if slice.chunks.is_empty() && !slice.closed {
            // A negative index counts from the end of the stream at the first read.
            self.from = slice.from;
            return None;
        }
        let next = slice.from + slice.chunks.len() as i64;
        let done = slice.closed && next >= slice.count;
        Some(TailSlice { chunks: slice.chunks, next, done })
    }

    /// A reader of a stream must learn that the disk fails. It only waits while the store is busy.
    fn is_repeated(fault: &WorldError) -> bool {
        fault.may_pass() && matches!(fault.kind, ErrorKind::Busy | ErrorKind::Throttled)
    }

    /// The answer is the same as at the end of the stream.
    fn stopped(self) -> TailSlice {
        TailSlice { chunks: Vec::new(), next: self.from.max(0), done: true }
    }
}

impl Awaited for RunId {
    type Topic = Self;
    type Seen = RunView;
    type Answer = Option<RunView>;
    const IN_ONE_LOOK: usize = 1000;

    fn topic(&self) -> &Self {
        self
    }

    fn topics(news: &CommitNews) -> &[Self] {
        &news.ended_runs
    }

    fn answer(&mut self, ended: RunView) -> Option<Option<RunView>> {
        Some(Some(ended))
    }

    fn stopped(self) -> Option<RunView> {
        None
    }
}

impl Awaited for HookToken {
    type Topic = Self;
    type Seen = HookView;
    type Answer = Option<HookView>;
    const IN_ONE_LOOK: usize = 1000;

    fn topic(&self) -> &Self {
        self
    }

    fn topics(news: &CommitNews) -> &[Self] {
        &news.hooks
    }

    fn answer(&mut self, made: HookView) -> Option<Option<HookView>> {
        Some(Some(made))
    }

    fn stopped(self) -> Option<HookView> {
        None
    }
}
