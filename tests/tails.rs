//! Live tails on a board whose looks the test answers: which look may answer which read, and how many
//! looks are made.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use hookline::board::{Awaited, Board, TailSlice, WaiterId};
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{CommitListener, CommitNews, Completion, Found, StreamRead, StreamSlice};

/// Longer than any answer takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A look that is not answered yet.
struct Look {
    reads: Vec<StreamRead>,
    done: Completion<Found<StreamRead, StreamSlice>>,
}

impl Look {
    /// Answers a look for one read.
    fn finds(self, slice: StreamSlice) {
        assert_eq!(self.reads.len(), 1, "one read is looked for");
        let found = self.reads.into_iter().map(|read| (read, Ok(slice.clone()))).collect();
        self.done.settle(Ok(found));
    }

    fn from(&self) -> i64 {
        assert_eq!(self.reads.len(), 1, "one read is looked for");
        self.reads[0].from
    }
}

/// The looks in progress, and the number of watches of other processes.
#[derive(Default)]
struct Looks {
    under_way: Mutex<Vec<Look>>,
    watchers: Mutex<i64>,
}

impl Looks {
    /// The only look in progress.
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

    fn take(&self) -> Vec<Look> {
        std::mem::take(&mut *self.under_way.lock().expect("nobody panics with it"))
    }

    fn watchers(&self) -> i64 {
        *self.watchers.lock().expect("nobody panics with it")
    }
}

/// The tails of the tests. The tests answer the looks.
struct Stream {
    looks: Arc<Looks>,
    tails: Arc<Board<StreamRead>>,
}

type Outcome = Receiver<Result<TailSlice, WorldError>>;

const READ: WaiterId = reader(1);

const fn reader(number: u32) -> WaiterId {
    WaiterId { world: 1, number }
}

impl Stream {
    fn fresh() -> Self {
        let looks = Arc::new(Looks::default());
        let (asked, watched) = (Arc::clone(&looks), Arc::clone(&looks));
        let tails = Board::new(
            move |reads, done| {
                asked.under_way.lock().expect("nobody panics with it").push(Look { reads, done });
            },
            move |watch| {
                *watched.watchers.lock().expect("nobody panics with it") +=
                    if watch { 1 } else { -1 };
            },
        );
        Self { looks, tails }
    }

    fn read(&self, from: i64) -> Outcome {
        self.read_as(READ, "s", from)
    }

    fn read_as(&self, id: WaiterId, name: &str, from: i64) -> Outcome {
        let (done, outcome) = Completion::channel();
        self.tails.enter(id, StreamRead { name: name.into(), from, limit: 64 }, done);
        outcome
    }

    /// Commits a change of the stream in this process.
    fn commits(&self) {
        self.commit_touches(&["s"]);
    }

    fn commit_touches(&self, names: &[&str]) {
        let streams = names.iter().map(|name| (*name).to_owned()).collect();
        Arc::clone(&self.tails).hear(&CommitNews { streams, ..CommitNews::default() });
    }

    /// Commits in another process.
    fn commits_elsewhere(&self) {
        Arc::clone(&self.tails).hear(&CommitNews { elsewhere: true, ..CommitNews::default() });
    }
}

/// A stream of these chunks, from an index.
fn slice(from: i64, chunks: &[&str]) -> StreamSlice {
    let all: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
    let count = all.len() as i64;
    StreamSlice { from, chunks: all[from as usize..].to_vec(), count, closed: false }
}

/// The outcome of a read as text, and the index of the next read.
#[track_caller]
fn texts(outcome: &Outcome) -> (Vec<String>, i64) {
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
    late.finds(slice(0, &["a", "b"]));
    assert!(second.try_recv().is_err(), "it is not answered by the look of another");
    assert_eq!(look.from(), 1);
    look.finds(slice(1, &["a", "b"]));
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
    late.finds(slice(0, &[]));
    stream.commits();
    stream.looks.has_none();
    look.finds(StreamSlice { from: 1, count: 1, ..StreamSlice::default() });
    // The commit came before that answer.
    let again = stream.looks.only();
    assert_eq!(again.from(), 1);
    again.finds(slice(1, &["a", "b"]));
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
    stream.looks.only().finds(slice(0, &["a"]));
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
    look.finds(slice(0, &[]));
    stream.looks.only().finds(slice(0, &["a"]));
    assert_eq!(texts(&read), (vec!["a".into()], 1));
    stream.looks.has_none();
}

#[test]
fn many_commits_during_a_wait_are_one_look() {
    let stream = Stream::fresh();
    let read = stream.read(0);
    stream.looks.only().finds(slice(0, &[]));
    stream.looks.has_none();
    stream.commits();
    stream.commits();
    stream.looks.only().finds(slice(0, &["a", "b"]));
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
            look.finds(slice(0, &[]));
        });
        // In either order, there is one look for the commit.
        stream.looks.only().finds(slice(0, &["a"]));
        assert_eq!(texts(&read), (vec!["a".into()], 1));
    }
}

#[test]
fn nobody_watches_other_processes_when_all_reads_have_ended() {
    let stream = Stream::fresh();
    let answered = stream.read(0);
    assert_eq!(stream.looks.watchers(), 1);
    stream.looks.only().finds(slice(0, &["a"]));
    drop(answered);
    let stopped = stream.read(1);
    let late = stream.looks.only();
    stream.tails.stop(READ);
    stream.tails.stop(READ);
    late.finds(slice(1, &["a", "b"]));
    drop(stopped);
    let closed = stream.read(1);
    stream.tails.close_of(2);
    assert!(closed.try_recv().is_err(), "another World has closed");
    stream.tails.close_of(READ.world);
    let error = closed.recv_timeout(PATIENCE).expect("it settles").expect_err("it was closed");
    assert_eq!(error.kind, ErrorKind::Closed);
    assert_eq!(stream.looks.watchers(), 0);
}

#[test]
fn a_commit_of_another_process_makes_few_looks_for_many_reads_and_no_more_until_they_end() {
    const READS: usize = 200;
    const LOOKS: usize = READS.div_ceil(StreamRead::IN_ONE_LOOK);
    let stream = Stream::fresh();
    let read = |number| stream.read_as(reader(number), &format!("s{number}"), 0);
    let reads: Vec<_> = (0..READS as u32).map(read).collect();
    let looks = stream.looks.take();
    assert_eq!(looks.len(), READS);
    looks.into_iter().for_each(|look| look.finds(slice(0, &[])));
    stream.commits_elsewhere();
    stream.commits_elsewhere();
    let looks = stream.looks.take();
    assert_eq!(looks.len(), LOOKS);
    assert_eq!(looks.iter().map(|look| look.reads.len()).sum::<usize>(), READS);
    looks.into_iter().for_each(|look| look.done.settle(Ok(Vec::new())));
    // One commit came during those looks.
    let looks = stream.looks.take();
    assert_eq!(looks.len(), LOOKS);
    for look in looks {
        let found = look.reads.iter().map(|read| (read.clone(), Ok(slice(0, &["a"])))).collect();
        look.done.settle(Ok(found));
    }
    assert!(reads.iter().all(|read| texts(read) == (vec!["a".into()], 1)));
    stream.commits_elsewhere();
    stream.looks.has_none();
}

#[test]
fn a_commit_that_touches_several_streams_is_one_look_for_those_that_somebody_reads() {
    let stream = Stream::fresh();
    let reads = [(1, "s"), (2, "s"), (3, "t"), (4, "u")].map(|(number, name)| {
        let read = stream.read_as(reader(number), name, 0);
        stream.looks.only().finds(slice(0, &[]));
        read
    });
    stream.commit_touches(&["nobody"]);
    stream.looks.has_none();
    stream.commit_touches(&["s", "t", "s", "nobody"]);
    let look = stream.looks.only();
    let mut names: Vec<_> = look.reads.iter().map(|read| read.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["s", "t"], "two that read the same are looked for once");
    let found = look.reads.iter().map(|read| (read.clone(), Ok(slice(0, &["a"])))).collect();
    look.done.settle(Ok(found));
    assert!(reads[..3].iter().all(|read| texts(read) == (vec!["a".into()], 1)));
    assert!(reads[3].try_recv().is_err());
    assert_eq!(stream.tails.count(), 1);
}

#[test]
fn a_stream_that_cannot_be_read_fails_its_own_readers_and_no_others() {
    let stream = Stream::fresh();
    let [broken, sound] = [(1, "broken"), (2, "sound")].map(|(number, name)| {
        let read = stream.read_as(reader(number), name, 0);
        stream.looks.only().finds(slice(0, &[]));
        read
    });
    stream.commits_elsewhere();
    let damaged = || WorldError::new(ErrorKind::Corrupt, "damaged");
    stream.looks.only().done.settle(Err(damaged()));
    let alone = stream.looks.take();
    assert_eq!(alone.len(), 2, "each is looked for alone");
    for look in alone {
        match look.reads[0].name.as_str() {
            "broken" => look.done.settle(Err(damaged())),
            _ => look.finds(slice(0, &["a"])),
        }
    }
    let error = broken.recv_timeout(PATIENCE).expect("it settles").expect_err("it is damaged");
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert_eq!(texts(&sound), (vec!["a".into()], 1));
}

#[test]
fn a_look_that_fails_for_the_moment_rejects_no_read_and_is_repeated() {
    let stream = Stream::fresh();
    let read = stream.read(0);
    let busy = WorldError::new(ErrorKind::Busy, "locked");
    stream.looks.only().done.settle(Err(busy));
    assert!(read.try_recv().is_err(), "it waits on");
    stream.commits();
    stream.looks.only().finds(slice(0, &["a"]));
    assert_eq!(texts(&read), (vec!["a".into()], 1));
}

#[test]
fn an_index_from_the_end_counts_from_what_was_there_when_the_read_began() {
    let stream = Stream::fresh();
    let read = stream.read(-2);
    stream.looks.only().finds(slice(0, &[]));
    stream.commits();
    let look = stream.looks.only();
    assert_eq!(look.from(), 0);
    look.finds(slice(0, &["a", "b", "c"]));
    assert_eq!(texts(&read), (vec!["a".into(), "b".into(), "c".into()], 3));
}
