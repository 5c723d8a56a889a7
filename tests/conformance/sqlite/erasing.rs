//! Values that were dropped are in no file of the database, neither in a free part of it nor in its log.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use hookline::domain::event::{EventBody, EventRequest, RunCreation};
use hookline::domain::hook::HookOptions;
use hookline::domain::id::HookToken;
use hookline::domain::message::NewMessage;
use hookline::domain::payload::Payload;
use hookline::domain::retention::Keeping;
use hookline::domain::spec::SpecVersion;
use hookline::store::upkeep::Upkeep;
use hookline::store::{Outcome, Store};

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, open_file, replay, settled, start_message};
use crate::retention::{start_private, write_of};

/// Begins each piece of a value that is dropped.
const PRIVATE: &str = "PRIVATE-VALUE";

/// A text of this length in which the word occurs again and again.
fn text(word: &str, length: usize) -> String {
    word.chars().cycle().take(length).collect()
}

/// The bytes of all files beside the database, each with its name.
fn files(database: &Path) -> Vec<(String, Vec<u8>)> {
    let folder = database.parent().expect("it is in a folder");
    let files = fs::read_dir(folder).expect("the folder is read");
    let read = files.map(|file| {
        let path = file.expect("the folder is read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A file may go at any moment.
        (name, fs::read(path).unwrap_or_default())
    });
    read.collect()
}

/// How often any of these pieces is in each file that has one.
fn found(database: &Path, pieces: &[Vec<u8>]) -> Vec<(String, usize)> {
    let count = |bytes: &[u8]| {
        let occurs = |piece: &&Vec<u8>| {
            let mut rest = bytes;
            while let Some(at) = rest.iter().position(|byte| *byte == piece[0]) {
                if rest[at..].starts_with(piece) {
                    return true;
                }
                rest = &rest[at + 1..];
            }
            false
        };
        pieces.iter().filter(occurs).count()
    };
    let counts = files(database).into_iter().map(|(name, bytes)| (name, count(&bytes)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Waits until none of these pieces is in a file any more.
#[track_caller]
fn awaits_erasure(database: &Path, pieces: &[Vec<u8>]) {
    let begun = Instant::now();
    loop {
        let left = found(database, pieces);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "left: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Appends an event with a value.
fn does_with(world: &World, run: u64, body: EventBody, value: &str) {
    let payload = Some(Payload::Bytes(value.as_bytes().to_vec()));
    world.tries(EventRequest { payload, ..request(run, body) }).expect("the rules allow it");
}

/// A run of which every value holds the word.
fn begin(world: &World, run: u64, word: &str, attributes: &[(&str, Option<&str>)]) {
    let attributes = changes(attributes, true);
    let keeping = Keeping::by(SpecVersion(8), &attributes.merged_into(&[].into()).expect("sound"));
    let body = text(word, 3000).into_bytes();
    world.enqueue(NewMessage { keeping, body, ..start_message(run) });
    let created = EventBody::RunCreated(RunCreation { attributes, ..creation() });
    let payload = Some(Payload::Bytes(text(word, 100).into_bytes()));
    world
        .tries(EventRequest { spec_version: 8, payload, ..request(run, created) })
        .expect("the run is created");
    world.does(run, EventBody::RunStarted(None));
    let hook = EventBody::HookCreated {
        hook: id("h"),
        token: HookToken::new(format!("token {run}")),
        options: HookOptions::default(),
    };
    does_with(world, run, hook, &text(word, 300));
}

#[test]
fn nothing_of_a_private_run_is_in_any_file_after_its_end() {
    const RUNS: u64 = 40;
    const ROUNDS: u64 = 8;
    let world = World::on_file();
    let is_private = |run: u64| !run.is_multiple_of(3);
    let word = |run: u64| if is_private(run) { PRIVATE } else { "an ordinary value" };
    // Their ids are mixed in the tree of events, so that its pages split and merge again and again.
    for run in (1..=RUNS).map(|number| number * 37 % (RUNS + 1)) {
        let attributes = [("$retention", Some("0"))];
        begin(&world, run, word(run), if is_private(run) { &attributes } else { &[] });
    }
    for round in 0..ROUNDS {
        for delivery in world.claim(7) {
            world.settle(&delivery, Outcome::Ack);
        }
        for run in (1..=RUNS).map(|number| number * 23 % (RUNS + 1)) {
            // Every private run ends some time, in each of the ways.
            let ends_in = run % ROUNDS;
            if is_private(run) && round == ends_in {
                let ending = endings()[(run % 4) as usize % 3].clone();
                does_with(&world, run, ending, &text(word(run), 900));
            }
            if is_private(run) && round >= ends_in {
                continue;
            }
            let lengths = [100, 700, 900, 4200, 5000, 40];
            let length = lengths[((run + round) % 6) as usize];
            does_with(&world, run, hook_received("h", None), &text(word(run), length));
            let step = format!("s{round}");
            does_with(&world, run, step_created_and_started(&step, 7), &text(word(run), length));
            does_with(&world, run, step_completed(&step), &text(word(run), 300));
            let chunk = text(word(run), length);
            world.enqueue(replay(run, &text(word(run), length)));
            write_of(&world, run, &format!("stream {run}"), &[&chunk, "x"]).expect("it is written");
        }
    }
    while let Some(delivery) = world.claim(1).pop() {
        world.settle(&delivery, Outcome::Ack);
    }
    let large = text(PRIVATE, 1 << 20);
    start_private(&world, 100);
    does_with(&world, 100, step_created("large"), &large);
    write_of(&world, 100, "large", &[&large]).expect("it is written");
    assert!(!found(&world.path(), &[PRIVATE.into()]).is_empty(), "it is there before");
    world.does(100, EventBody::RunCompleted);
    awaits_erasure(&world.path(), &[PRIVATE.into()]);
    let kept = world.log(3).iter().filter(|event| event.payload.is_some()).count();
    assert_eq!(kept as u64, 2 + 3 * ROUNDS);
    world.store.close();
    let store = open_file(&world.path(), &world.clock).expect("it opens again");
    let damages = settled(|done| store.examine(done)).expect("it is examined").damages().to_vec();
    assert_eq!(damages, Vec::<String>::new());
}

/// Pieces of every payload and chunk in the file, as they are stored.
fn stored_pieces(database: &Path) -> Vec<Vec<u8>> {
    const VALUES: &str = "SELECT payload FROM events WHERE payload IS NOT NULL \
         UNION ALL SELECT bytes FROM chunks WHERE bytes IS NOT NULL \
         UNION ALL SELECT bytes FROM long_values";
    let connection = Connection::open(database).expect("SQLite opens");
    let mut values = connection.prepare(VALUES).expect("the tables are there");
    let values = values.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("they are read");
    let piece = |value: Vec<u8>| {
        let middle = value.len() / 2;
        value[middle.saturating_sub(12)..(middle + 12).min(value.len())].to_vec()
    };
    values.map(|value| piece(value.expect("it is read"))).collect()
}

#[test]
fn sealed_values_are_erased_too() {
    let world = World::sealed();
    begin(&world, 1, PRIVATE, &[("$retention", Some("0"))]);
    does_with(&world, 1, step_created_and_started("s", 7), &text(PRIVATE, 5000));
    write_of(&world, 1, "stream", &[&text(PRIVATE, 100), &text(PRIVATE, 5000)]).expect("written");
    let pieces = stored_pieces(&world.path());
    assert_eq!(pieces.len(), 5);
    assert!(!found(&world.path(), &pieces).is_empty(), "they are there before");
    does_with(&world, 1, EventBody::RunCompleted, &text(PRIVATE, 500));
    awaits_erasure(&world.path(), &pieces);
    assert_eq!(stored_pieces(&world.path()).len(), 0);
}

#[test]
fn a_process_that_opens_the_database_erases_what_another_has_dropped() {
    let world = World::on_file();
    begin(&world, 1, PRIVATE, &[("$retention", Some("0"))]);
    // A reader keeps the first process from erasing, until it is killed: its files stay as they are.
    let reader = Connection::open(world.path()).expect("SQLite opens");
    reader.execute_batch("BEGIN; SELECT * FROM runs").expect("it reads");
    world.does(1, EventBody::RunCompleted);
    let left = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files(&world.path()) {
        if name == "world.db" || name == "world.db-wal" {
            fs::write(left.path().join(name), bytes).expect("the file is copied");
        }
    }
    let database = left.path().join("world.db");
    assert!(!found(&database, &[PRIVATE.into()]).is_empty(), "it was killed before");
    let store: Arc<dyn Store> =
        Arc::new(open_file(&database, &world.clock).expect("the file opens"));
    awaits_erasure(&database, &[PRIVATE.into()]);
    drop(store);
    drop(reader);
    awaits_erasure(&world.path(), &[PRIVATE.into()]);
}
