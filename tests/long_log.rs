//! The write-ahead log stays short. While a reader holds it, its length is bounded, and it restarts
//! after the reader has ended.

use hookline::domain;

mod kit;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::message::NewMessage;
use hookline::domain::payload::Payload;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::sqlite::{LOG_BYTES_MAX, Location, SqliteOptions, SqliteStore};
use hookline::store::upkeep::Upkeep;
use hookline::store::{ClaimRequest, Completion, LogState, Outcome, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use kit::rows::*;
use kit::{LEASE_MS, PATIENCE, STEP_PREFIX, offer, options, settled, step_message};

const MIB: i64 = 1024 * 1024;
/// The longest log after a restart: it keeps its length at the restart, or it has given its space back.
const SHORT_LOG_BYTES: i64 = 64 * MIB;

struct Place {
    store: SqliteStore,
    folder: TempDir,
}

impl Place {
    fn new(log_bytes_max: i64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let location = Location::File(folder.path().join("world.db"));
        let options = SqliteOptions { log_bytes_max, ..options(location, &clock) };
        let store = SqliteStore::open(options).expect("the file opens");
        for body in [
            EventBody::RunCreated(creation()),
            EventBody::RunStarted(None),
            hook_created("h", "token"),
        ] {
            settled(|done| store.append_event(request(1, body), done)).expect("it is logged");
        }
        Self { store, folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("world.db")
    }

    /// Resumes the hook this many times at once, each time with this many bytes.
    fn resume(&self, count: usize, bytes: usize) -> Result<(), WorldError> {
        let resume = || EventRequest {
            payload: Some(Payload::Bytes(vec![7; bytes])),
            ..request(1, hook_received("h", None))
        };
        let under_way: Vec<_> = (0..count)
            .map(|_| {
                let (done, outcome) = Completion::channel();
                self.store.append_event(resume(), done);
                outcome
            })
            .collect();
        let outcomes = under_way
            .into_iter()
            .map(|outcome| outcome.recv_timeout(PATIENCE).expect("it settles").map(drop));
        outcomes.fold(Ok(()), Result::and)
    }

    fn log(&self) -> LogState {
        settled(|done| self.store.queue_depth(vec![], done)).expect("it is read").log
    }

    /// Continues with light traffic until the condition holds.
    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "{what}: {:?}", self.log());
            // Both a success and a refusal are traffic.
            let _ = self.resume(1, 10);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A reader that has begun to read and does not end.
fn reader(path: &Path) -> Connection {
    let reader = Connection::open(path).expect("it opens");
    reader.execute_batch("BEGIN").expect("it begins");
    reader.query_row("SELECT count(*) FROM events", [], |_| Ok(())).expect("it reads");
    reader
}

#[test]
fn the_log_of_ten_thousand_events_is_short() {
    let place = Place::new(LOG_BYTES_MAX);
    for _ in 0..100 {
        place.resume(100, 10_000).expect("they are logged");
    }
    place.until("the log is short", |place| place.log().bytes <= SHORT_LOG_BYTES);
    place.until("the events are in the database file", |place| {
        std::fs::metadata(place.path()).is_ok_and(|file| file.len() as i64 > 90 * MIB)
    });
}

#[test]
fn a_log_that_a_reader_holds_is_bounded_and_then_begins_anew() {
    const BOUND_BYTES: i64 = 80 * MIB;
    let place = Place::new(BOUND_BYTES);
    let reader = reader(&place.path());
    let refused = (0..1000).find_map(|_| place.resume(10, 60_000).err());
    let refused = refused.expect("it is refused before the disk is full");
    assert_eq!(refused.kind, ErrorKind::Throttled, "{refused}");
    assert!(refused.details["retryAfter"].is_number(), "{refused}");
    let log = place.log();
    assert!(log.bytes >= BOUND_BYTES && log.bytes < BOUND_BYTES + 8 * MIB, "{log:?}");
    if cfg!(target_os = "linux") {
        // The kernel's list of locks may miss one while other locks come and go.
        let me = [i64::from(std::process::id())];
        place.until("the reader is named", |place| place.log().read_by == me);
    }
    drop(reader);
    place.until("what was refused is taken", |place| place.resume(10, 60_000).is_ok());
    place.until("the space is given back", |place| place.log().bytes <= SHORT_LOG_BYTES);
    assert_eq!(place.log().read_by, Vec::<i64>::new());
}

#[test]
fn a_log_that_is_held_no_longer_gives_its_space_back_without_traffic() {
    let place = Place::new(LOG_BYTES_MAX);
    let reader = reader(&place.path());
    place.resume(250, 60_000).expect("they are logged");
    place.resume(1250, 60_000).expect("they are logged");
    assert!(place.log().bytes > SHORT_LOG_BYTES);
    drop(reader);
    let started = Instant::now();
    while place.log().bytes > SHORT_LOG_BYTES {
        assert!(started.elapsed() < PATIENCE, "{:?}", place.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_database_whose_messages_are_done_gives_their_pages_back_without_traffic() {
    const MESSAGES: usize = 600;
    let place = Place::new(LOG_BYTES_MAX);
    let body = vec![7; 60_000];
    for number in 0..MESSAGES {
        let message = NewMessage { body: body.clone(), ..step_message(&number.to_string()) };
        settled(|done| place.store.enqueue(message, 0, done)).expect("it is enqueued");
    }
    let length = || std::fs::metadata(place.path()).map_or(0, |file| file.len() as i64);
    place.until("the messages are in the database file", |_| length() > 30 * MIB);
    let request = ClaimRequest {
        limit: MESSAGES,
        offer: offer(&[STEP_PREFIX]),
        lease_owner: place.store.lease_owner().to_owned(),
        lease_ms: LEASE_MS,
    };
    let claimed = settled(|done| place.store.claim(request, done)).expect("they are claimed");
    assert_eq!(claimed.deliveries.len(), MESSAGES);
    for delivery in claimed.deliveries {
        let (id, token) = (delivery.message_id, delivery.lease_token);
        let held = settled(|done| place.store.settle_delivery(id, token, Outcome::Ack, done));
        assert_eq!(held, Ok(true));
    }
    // A checkpoint notices this.
    place.resume(250, 60_000).expect("they are logged");
    let started = Instant::now();
    while length() > 30 * MIB {
        assert!(started.elapsed() < PATIENCE, "{} bytes", length());
        std::thread::sleep(Duration::from_millis(20));
    }
    let damages =
        settled(|done| place.store.examine(done)).expect("it is examined").damages().to_vec();
    assert_eq!(damages, Vec::<String>::new());
}
