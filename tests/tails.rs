//! Live tails over a store that the test answers for: which look at a stream may answer which read.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::thread;
use std::time::Duration;

use hookline::crypto::DeliverySecret;
use hookline::domain::event::{Event, EventRequest};
use hookline::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use hookline::domain::message::{Lease, NewMessage};
use hookline::domain::page::{Page, PageRequest};
use hookline::domain::resume_key::ResumeKey;
use hookline::domain::run::Run;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::listeners::Listeners;
use hookline::store::{
    ActivePlace, Admission, ClaimRequest, Claimed, CommitListener, CommitNews, Completion,
    DeadMessage, EventQuery, EventReply, Found, HookView, Outcome, QueueDepth, RunQuery, RunView,
    StepView, Store, StreamSlice, Woken,
};
use hookline::stream::{ReadId, TailSlice, Tails};

/// Longer than any answer takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A look at the stream that has not been answered yet.
struct Look {
    from: i64,
    done: Completion<StreamSlice>,
}

/// Collects looks; nothing but streams is asked of it.
#[derive(Default)]
struct Looks {
    under_way: Mutex<Vec<Look>>,
    listeners: Listeners,
    watchers: Mutex<i64>,
}

impl Looks {
    /// The only look that is under way.
    #[track_caller]
    fn only(&self) -> Look {
        let mut looks = self.under_way.lock().expect("nobody panics with it");
        assert_eq!(looks.len(), 1, "one look is under way");
        looks.remove(0)
    }

    #[track_caller]
    fn has_none(&self) {
        assert!(self.under_way.lock().expect("nobody panics with it").is_empty());
    }
}

/// The tails of the tests, and the stand-in for their store.
struct Stream {
    looks: Arc<Looks>,
    tails: Arc<Tails>,
}

const READ: ReadId = ReadId { world: 1, number: 1 };

impl Stream {
    fn fresh() -> Self {
        let looks = Arc::new(Looks::default());
        let tails = Tails::new(Arc::clone(&looks) as Arc<dyn Store>);
        Self { looks, tails }
    }

    fn read(&self, from: i64) -> Receiver<Result<TailSlice, WorldError>> {
        let (done, outcome) = Completion::channel();
        self.tails.read(READ, "s".into(), from, 64, done);
        outcome
    }

    /// A commit has touched the stream.
    fn commits(&self) {
        let streams = vec!["s".into()];
        self.looks.listeners.tell(&CommitNews { streams, ..CommitNews::default() });
    }
}

/// A stream of these chunks, from an index on.
fn slice(from: i64, chunks: &[&str]) -> StreamSlice {
    let all: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
    let count = all.len() as i64;
    StreamSlice { from, chunks: all[from as usize..].to_vec(), count, closed: false }
}

/// What a read settled with, as text, and where the next one begins.
#[track_caller]
fn texts(outcome: &Receiver<Result<TailSlice, WorldError>>) -> (Vec<String>, i64) {
    let slice = outcome.recv_timeout(PATIENCE).expect("it settles").expect("it succeeds");
    let text = |chunk: &Vec<u8>| String::from_utf8_lossy(chunk).into_owned();
    (slice.chunks.iter().map(text).collect(), slice.next)
}

#[test]
fn a_look_of_a_read_that_has_ended_does_not_answer_the_next_read_of_its_name() {
    let stream = Stream::fresh();
    let first = stream.read(0);
    let late = stream.looks.only();
    stream.tails.stop(READ);
    assert_eq!(texts(&first), (vec![], 0));
    let second = stream.read(1);
    let look = stream.looks.only();
    late.done.settle(Ok(slice(0, &["a", "b"])));
    assert!(second.try_recv().is_err(), "it is not answered by the look of another");
    assert_eq!(look.from, 1);
    look.done.settle(Ok(slice(1, &["a", "b"])));
    assert_eq!(texts(&second), (vec!["b".into()], 2));
}

#[test]
fn an_empty_look_of_a_read_that_has_ended_does_not_move_the_next_read_of_its_name() {
    let stream = Stream::fresh();
    let first = stream.read(0);
    let late = stream.looks.only();
    stream.tails.stop(READ);
    drop(first);
    let second = stream.read(1);
    let look = stream.looks.only();
    late.done.settle(Ok(slice(0, &[])));
    stream.commits();
    stream.looks.has_none();
    look.done.settle(Ok(StreamSlice { from: 1, count: 1, ..StreamSlice::default() }));
    // The commit came before that answer.
    let again = stream.looks.only();
    assert_eq!(again.from, 1);
    again.done.settle(Ok(slice(1, &["a", "b"])));
    assert_eq!(texts(&second), (vec!["b".into()], 2));
}

#[test]
fn a_failed_look_of_a_read_that_has_ended_fails_no_other() {
    let stream = Stream::fresh();
    let first = stream.read(0);
    let late = stream.looks.only();
    stream.tails.stop(READ);
    drop(first);
    let second = stream.read(0);
    late.done.settle(Err(WorldError::new(ErrorKind::Io, "of the first")));
    stream.looks.only().done.settle(Ok(slice(0, &["a"])));
    assert_eq!(texts(&second), (vec!["a".into()], 1));
}

#[test]
fn a_commit_during_a_look_is_looked_for_after_it_and_not_beside_it() {
    let stream = Stream::fresh();
    let read = stream.read(0);
    let look = stream.looks.only();
    stream.commits();
    stream.commits();
    stream.looks.has_none();
    look.done.settle(Ok(slice(0, &[])));
    stream.looks.only().done.settle(Ok(slice(0, &["a"])));
    assert_eq!(texts(&read), (vec!["a".into()], 1));
    stream.looks.has_none();
}

#[test]
fn many_commits_during_a_wait_are_one_look() {
    let stream = Stream::fresh();
    let read = stream.read(0);
    stream.looks.only().done.settle(Ok(slice(0, &[])));
    stream.looks.has_none();
    stream.commits();
    stream.commits();
    stream.looks.only().done.settle(Ok(slice(0, &["a", "b"])));
    assert_eq!(texts(&read), (vec!["a".into(), "b".into()], 2));
}

#[test]
fn an_empty_answer_and_a_commit_that_meet_begin_one_look() {
    const MEETINGS: usize = 2000;
    let stream = Stream::fresh();
    for _ in 0..MEETINGS {
        let read = stream.read(0);
        let look = stream.looks.only();
        let gate = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.wait();
                stream.commits();
            });
            gate.wait();
            look.done.settle(Ok(slice(0, &[])));
        });
        // Whoever came first: the commit is looked for, once.
        stream.looks.only().done.settle(Ok(slice(0, &["a"])));
        assert_eq!(texts(&read), (vec!["a".into()], 1));
    }
}

#[test]
fn nobody_watches_other_processes_when_all_reads_have_ended() {
    let stream = Stream::fresh();
    let answered = stream.read(0);
    assert_eq!(*stream.looks.watchers.lock().expect("nobody panics with it"), 1);
    stream.looks.only().done.settle(Ok(slice(0, &["a"])));
    drop(answered);
    let stopped = stream.read(1);
    let late = stream.looks.only();
    stream.tails.stop(READ);
    stream.tails.stop(READ);
    late.done.settle(Ok(slice(1, &["a", "b"])));
    drop(stopped);
    let closed = stream.read(1);
    stream.tails.close_of(2);
    assert!(closed.try_recv().is_err(), "another World has closed");
    stream.tails.close_of(READ.world);
    let error = closed.recv_timeout(PATIENCE).expect("it settles").expect_err("it was closed");
    assert_eq!(error.kind, ErrorKind::Closed);
    assert_eq!(*stream.looks.watchers.lock().expect("nobody panics with it"), 0);
}

impl Store for Looks {
    fn stream_slice(&self, _: String, from: i64, _: usize, done: Completion<StreamSlice>) {
        self.under_way.lock().expect("nobody panics with it").push(Look { from, done });
    }
    fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.listeners.add(listener);
    }
    fn watch_elsewhere(&self, watch: bool) {
        *self.watchers.lock().expect("nobody panics with it") += if watch { 1 } else { -1 };
    }
    fn close(&self) {}

    fn append_event(&self, _: EventRequest, _: Completion<EventReply>) {
        unreachable!()
    }
    fn resume_once(&self, _: EventRequest, _: ResumeKey, _: Completion<bool>) {
        unreachable!()
    }
    fn earlier_resume(&self, _: &ResumeKey, _: Completion<Option<HookView>>) {
        unreachable!()
    }
    fn run_ends(&self, _: Vec<RunId>, _: Completion<Found<RunId, RunView>>) {
        unreachable!()
    }
    fn live_hooks(&self, _: Vec<HookToken>, _: Completion<Found<HookToken, HookView>>) {
        unreachable!()
    }
    fn complete_waits(&self, _: RunId, _: Option<Vec<CorrelationId>>, _: Completion<usize>) {
        unreachable!()
    }
    fn hook_by_token(&self, _: &HookToken, _: Completion<HookView>) {
        unreachable!()
    }
    fn hook_and_run_by_token(&self, _: &HookToken, _: Completion<(HookView, Run)>) {
        unreachable!()
    }
    fn run_by_id(&self, _: &RunId, _: Completion<Run>) {
        unreachable!()
    }
    fn run(&self, _: RunId, _: bool, _: Completion<RunView>) {
        unreachable!()
    }
    fn runs(&self, _: RunQuery, _: Completion<Page<RunView>>) {
        unreachable!()
    }
    fn step(&self, _: Option<RunId>, _: CorrelationId, _: bool, _: Completion<StepView>) {
        unreachable!()
    }
    fn steps(&self, _: RunId, _: PageRequest, _: bool, _: Completion<Page<StepView>>) {
        unreachable!()
    }
    fn event(&self, _: RunId, _: String, _: bool, _: Completion<Event>) {
        unreachable!()
    }
    fn events(&self, _: EventQuery, _: Completion<Page<Event>>) {
        unreachable!()
    }
    fn hook(&self, _: CorrelationId, _: bool, _: Completion<HookView>) {
        unreachable!()
    }
    fn hooks(&self, _: Option<RunId>, _: PageRequest, _: bool, _: Completion<Page<HookView>>) {
        unreachable!()
    }
    fn enqueue(&self, _: NewMessage, _: i64, _: Completion<MessageId>) {
        unreachable!()
    }
    fn claim(&self, _: ClaimRequest, _: Completion<Claimed>) {
        unreachable!()
    }
    fn extend(&self, _: Vec<(MessageId, LeaseToken)>, _: i64, _: Completion<Vec<MessageId>>) {
        unreachable!()
    }
    fn settle_delivery(&self, _: MessageId, _: LeaseToken, _: Outcome, _: Completion<bool>) {
        unreachable!()
    }
    fn free_dead_leases(&self, _: Completion<usize>) {
        unreachable!()
    }
    fn queue_depth(&self, _: Completion<QueueDepth>) {
        unreachable!()
    }
    fn dead_messages(&self, _: PageRequest, _: Completion<Page<DeadMessage>>) {
        unreachable!()
    }
    fn redrive(&self, _: MessageId, _: Completion<MessageId>) {
        unreachable!()
    }
    fn wake_forgotten(&self, _: Option<ActivePlace>, _: usize, _: Completion<Woken>) {
        unreachable!()
    }
    fn lease(&self, _: MessageId) -> Result<Option<Lease>, WorldError> {
        unreachable!()
    }
    fn admit(&self, _: MessageId, _: LeaseToken, _: Completion<Admission>) {
        unreachable!()
    }
    fn delivery_secret(&self) -> Result<DeliverySecret, WorldError> {
        unreachable!()
    }
    fn write_stream(&self, _: String, _: RunId, _: Vec<Vec<u8>>, _: Completion<()>) {
        unreachable!()
    }
    fn close_stream(&self, _: String, _: RunId, _: Completion<()>) {
        unreachable!()
    }
    fn streams_of_run(&self, _: RunId, _: Completion<Vec<String>>) {
        unreachable!()
    }
    fn show_worker(&self, _: &str) -> bool {
        unreachable!()
    }
    fn lease_owner(&self) -> &str {
        unreachable!()
    }
}
