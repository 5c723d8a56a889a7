//! A table of the syncs of each operation of a store, as the disk sees them. The disk is that of
//! `tests/disk`, below a process of this program.
#![cfg(target_os = "linux")]

use hookline::domain;

#[path = "../disk/mod.rs"]
mod disk;
#[path = "../kit/mod.rs"]
mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::page::PageRequest;
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::store::sealed::{KeptKey, KeptKeys};
use hookline::store::sqlite::{Location, SqliteOptions, SqliteStore};
use hookline::store::upkeep::Upkeep;
use hookline::store::{EventQuery, Outcome, RunQuery, Stopped, Store, StreamRead};

use disk::Disk;
use kit::rows::*;
use kit::{World, options, settled, step_message};

/// Names the folder of the database for the process on the disk.
const APP: &str = "SYNCS_APP";
/// Names the file that lists the syncs, for that process.
const LISTING: &str = "SYNCS_LISTING";
/// Whether commits are synced, for that process: `full` or `normal`.
const DURABILITY: &str = "SYNCS_DURABILITY";

/// Operations whose loss would lose something acknowledged.
const SYNCED: &[&str] = &[
    "append_event run_created",
    "append_event run_started",
    "append_event step_created",
    "append_event step_started",
    "append_event step_completed",
    "append_event hook_created",
    "append_event hook_received",
    "append_event hook_disposed",
    "append_event wait_created",
    "append_event wait_completed",
    "append_event run_completed",
    "append_events",
    "resume_once",
    "complete_waits",
    "enqueue",
    "enqueue_all",
    "redrive",
    "write_stream",
    "close_stream",
    "keep_key",
    "import_run",
];

/// Operations whose loss only causes another delivery or another look.
const NOT_SYNCED: &[&str] = &[
    "append_event run_started again",
    "claim",
    "extend",
    "settle_delivery ack",
    "settle_delivery reschedule",
    "settle_delivery release",
    "settle_delivery dead",
    "free_dead_leases",
    "wake_forgotten",
    "earlier_resume",
    "hook_of_step",
    "hook_by_token",
    "hook_and_run_by_token",
    "run_by_id",
    "run",
    "run_ends",
    "runs",
    "step",
    "steps",
    "event",
    "events",
    "hook",
    "hooks",
    "live_hooks",
    "queue_depth",
    "stopped_messages",
    "take_up_refused",
    "lease",
    "admit",
    "delivery_secret",
    "stream_slice",
    "stream_slices",
    "streams_of_run",
];

/// Methods of the store that neither read nor write its database.
const NO_OPERATIONS: &[&str] = &[
    "lease_owner",
    "show_worker",
    "lacks_session",
    "on_commit",
    "watch_elsewhere",
    "close",
    "looks_up_remotely",
    "resume_plainly",
];

/// Counts the syncs of the log.
struct Counter {
    listing: PathBuf,
}

impl Counter {
    fn syncs(&self) -> usize {
        let listing = fs::read_to_string(&self.listing).unwrap_or_default();
        listing.lines().filter(|line| line.ends_with("-wal")).count()
    }

    /// Runs an operation and prints how often it synced the log.
    fn of<T>(&self, operation: &str, work: impl FnOnce() -> T) -> T {
        let before = self.syncs();
        let done = work();
        println!("operation {}: {operation}", self.syncs() - before);
        done
    }
}

/// Runs every operation of a store, one after the other.
#[test]
#[ignore = "it is the app of the other tests"]
fn app() {
    let folder = std::env::var(APP).expect("another test starts this");
    let counter = Counter { listing: std::env::var(LISTING).expect("so it says").into() };
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let location = Location::File(Path::new(&folder).join("world.db"));
    let full_durability = std::env::var(DURABILITY).expect("so it says") == "full";
    let options = SqliteOptions { full_durability, ..options(location, &clock) };
    let store = Arc::new(SqliteStore::open(options).expect("it opens"));
    let world = World::of(Arc::clone(&store) as Arc<dyn Store>, clock);
    append_events(&world, &counter);
    wait_and_stream(&world, &counter);
    deliver(&world, &counter);
    read(&world, &counter);
    let key = KeptKey { key_id: "a".into(), sealed_token_key: vec![1] };
    counter.of("keep_key", || settled(|done| store.keep_key(key, true, done))).expect("it is kept");
    let import = || settled(|done| store.import_run(run_id(9), imported(), done));
    counter.of("import_run", import).expect("it is imported");
}

fn append_events(world: &World, counter: &Counter) {
    let append = |body: EventBody| {
        let name = format!("append_event {}", body.event_type().as_str());
        counter.of(&name, || world.does(1, body));
    };
    append(EventBody::RunCreated(creation()));
    append(EventBody::RunStarted(None));
    let again = || world.does(1, EventBody::RunStarted(None));
    counter.of("append_event run_started again", again);
    append(step_created("s"));
    append(step_started("s"));
    append(step_completed("s"));
    append(hook_created("h", "token"));
    append(hook_received("h", None));
    append(hook_disposed("h"));
    append(wait_created("w", NOW_MS));
    append(wait_completed("w"));
    append(EventBody::RunCompleted);
}

fn wait_and_stream(world: &World, counter: &Counter) {
    world.does(2, EventBody::RunCreated(creation()));
    world.does(2, EventBody::RunStarted(None));
    world.does(2, hook_created("h", "token"));
    world.does(2, wait_created("w", NOW_MS + 1000));
    let batch = ["one", "two"].map(|step| request(2, step_created(step))).to_vec();
    counter
        .of("append_events", || settled(|done| world.store.append_events(batch, done)))
        .expect("both are appended");
    let key = resume_key();
    let resume = request(2, hook_received("h", None));
    counter
        .of("resume_once", || settled(|done| world.store.resume_once(resume, key.clone(), done)))
        .expect("it is resumed");
    counter
        .of("earlier_resume", || settled(|done| world.store.earlier_resume(&key).settle(done)))
        .expect("it is found");
    let token = HookToken::new("token");
    let of_step = || settled(|done| world.store.hook_of_step("step:", 0, &token).settle(done));
    assert_eq!(counter.of("hook_of_step", of_step), Ok(None));
    let complete = || settled(|done| world.store.complete_waits(run_id(2), None, done));
    assert_eq!(counter.of("complete_waits", complete), Ok(1));
    counter.of("write_stream", || world.write("stream", &["chunk"]));
    counter.of("stream_slice", || world.slice("stream", 0, 1));
    let read = StreamRead { name: "stream".into(), from: 0, limit: 1 };
    counter
        .of("stream_slices", || settled(|done| world.store.stream_slices(vec![read], done)))
        .expect("they are read");
    counter.of("close_stream", || world.close_stream("stream"));
}

fn deliver(world: &World, counter: &Counter) {
    let outcomes = [
        ("ack", Outcome::Ack),
        ("reschedule", Outcome::Reschedule { delay_ms: 1_000_000 }),
        ("release", Outcome::Release { delay_ms: 0, error: "e".into(), reached: true }),
        ("dead", Outcome::Dead { error: "e".into() }),
    ];
    for delivery in world.claim(100) {
        world.settle(&delivery, Outcome::Ack);
    }
    let two = vec![(step_message("one"), 60_000), (step_message("two"), 60_000)];
    counter.of("enqueue_all", || settled(|done| world.store.enqueue_all(two, done))).expect("both");
    for (index, (name, outcome)) in outcomes.into_iter().enumerate() {
        let message = step_message(&index.to_string());
        counter.of("enqueue", || world.enqueue(message));
        let delivery = counter.of("claim", || world.claim_one());
        counter.of("extend", || world.extend(&[&delivery], 60_000));
        counter.of("lease", || world.holds(&delivery));
        counter.of("admit", || world.admit(&delivery));
        let settle = || world.settle(&delivery, outcome.clone());
        assert!(counter.of(&format!("settle_delivery {name}"), settle));
        // A released message is due again.
        for delivery in world.claim(100) {
            world.settle(&delivery, Outcome::Ack);
        }
    }
    let free = || settled(|done| world.store.free_dead_leases(done));
    counter.of("free_dead_leases", free).expect("it is looked");
    world.does(3, EventBody::RunCreated(creation()));
    let wake = || settled(|done| world.store.wake_forgotten(None, 100, done));
    assert_eq!(counter.of("wake_forgotten", wake).expect("it is looked").runs, 1);
    let list = || {
        settled(|done| world.store.stopped_messages(Stopped::Dead, PageRequest::first(10), done))
    };
    let dead = counter.of("stopped_messages", list).expect("they are listed").items;
    let redrive = || settled(|done| world.store.redrive(dead[0].message_id, done));
    counter.of("redrive", redrive).expect("it goes back");
    counter
        .of("take_up_refused", || settled(|done| world.store.take_up_refused(done)))
        .expect("none");
}

fn read(world: &World, counter: &Counter) {
    let (store, token) = (&world.store, HookToken::new("token"));
    let page = PageRequest::first(10);
    counter
        .of("hook_by_token", || settled(|done| store.hook_by_token(&token).settle(done)))
        .expect("it lives");
    counter
        .of("hook_and_run_by_token", || {
            settled(|done| store.hook_and_run_by_token(&token).settle(done))
        })
        .expect("it lives");
    counter
        .of("run_by_id", || settled(|done| store.run_by_id(&run_id(1)).settle(done)))
        .expect("it is there");
    counter.of("run", || settled(|done| store.run(run_id(1), true, done))).expect("it is there");
    let ends = || settled(|done| store.run_ends(vec![run_id(1)], done));
    assert_eq!(counter.of("run_ends", ends).expect("they are read").len(), 1);
    let query =
        RunQuery { workflow_name: None, statuses: None, page: page.clone(), resolve_data: true };
    counter.of("runs", || settled(|done| store.runs(query, done))).expect("they are read");
    let step = || settled(|done| store.step(Some(run_id(1)), id("s"), true, done));
    counter.of("step", step).expect("it is there");
    let steps = || settled(|done| store.steps(run_id(1), page.clone(), true, done));
    counter.of("steps", steps).expect("they are read");
    let query = EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: None,
        page: page.clone(),
        resolve_data: true,
    };
    let events = counter.of("events", || settled(|done| store.events(query, done)));
    let first = events.expect("they are read").items[0].event_id();
    let event = || settled(|done| store.event(run_id(1), first, true, done));
    counter.of("event", event).expect("it is there");
    let hook = || settled(|done| store.hook(id("h"), true, done));
    counter.of("hook", hook).expect("it is there");
    let hooks = || settled(|done| store.hooks(None, page, true, done));
    counter.of("hooks", hooks).expect("they are read");
    let live = || settled(|done| store.live_hooks(vec![token.clone()], done));
    assert_eq!(counter.of("live_hooks", live).expect("they are read").len(), 1);
    counter.of("delivery_secret", || store.delivery_secret()).expect("it is read");
    counter
        .of("queue_depth", || settled(|done| store.queue_depth(vec![], done)))
        .expect("it is read");
    let streams = || settled(|done| store.streams_of_run(run_id(1), done));
    counter.of("streams_of_run", streams).expect("they are read");
}

fn resume_key() -> ResumeKey {
    ResumeKey {
        token: HookToken::new("token"),
        digests: ResumeDigests { key: "k".into(), payload: "p".into() },
        unsealed: None,
        window_ms: 1000,
    }
}

fn imported() -> Vec<hookline::domain::transition::replay::PastEvent> {
    use hookline::domain::transition::replay::{PastEvent, PastFact};
    let bodies = [EventBody::RunCreated(creation()), EventBody::RunStarted(None)];
    let past = |body| PastEvent {
        created_at_ms: NOW_MS,
        fact: PastFact::Asked(Box::new(request(9, body))),
    };
    bodies.map(past).to_vec()
}

/// Each operation with the number of its syncs of the log.
fn syncs_by_operation(durability: &str) -> Vec<(String, usize)> {
    let disk = Disk::failing(0, 0);
    let listing = disk.listing().display().to_string();
    let output = disk.run("app", APP, &[(LISTING, listing), (DURABILITY, durability.into())]);
    let operation = |line: &str| {
        let (_, line) = line.split_once("operation ")?;
        let (count, name) = line.split_once(": ")?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    let found: Vec<_> = output.lines().filter_map(operation).collect();
    assert!(output.contains("test result: ok"), "the app did all: {output}");
    found
}

#[test]
fn what_carries_facts_is_synced_and_nothing_else() {
    let found = syncs_by_operation("full");
    for (name, syncs) in &found {
        let expected = usize::from(SYNCED.contains(&name.as_str()));
        assert_eq!(*syncs, expected, "syncs of {name}");
    }
    for name in SYNCED.iter().chain(NOT_SYNCED) {
        assert!(found.iter().any(|(found, _)| found == name), "{name} was not done");
    }
}

#[test]
fn no_commit_is_synced_when_durability_is_normal() {
    for (name, syncs) in syncs_by_operation("normal") {
        assert_eq!(syncs, 0, "syncs of {name}");
    }
}

#[test]
fn the_table_names_every_operation() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/mod.rs");
    let source = fs::read_to_string(source).expect("the source is there");
    let (_, body) = source.split_once("pub trait Store").expect("the trait is there");
    let (body, _) = body.split_once("\n}").expect("the trait ends");
    let methods = body.lines().filter_map(|line| line.trim().strip_prefix("fn "));
    for method in methods.filter_map(|line| line.split('(').next()) {
        let names = |row: &&&str| row.split(' ').next() == Some(method);
        let is_named = SYNCED.iter().chain(NOT_SYNCED).chain(NO_OPERATIONS).any(|row| names(&row));
        assert!(is_named, "{method} is in none of the tables: does it sync?");
    }
}
