//! The move of a database between a file and a schema of Postgres.
#![cfg(target_os = "linux")]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "kit/mod.rs"]
mod kit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::config::{Config, RawConfig};
use hookline::domain::event::{EventBody, EventRequest, RunCreation};
use hookline::domain::id::HookToken;
use hookline::domain::message::{NewMessage, Purpose};
use hookline::domain::page::PageRequest;
use hookline::domain::payload::Payload;
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::error::{ErrorKind, WorldError};
use hookline::moving::{Move, Moved, Word};
use hookline::store::moving::{MovedRows, Progress};
use hookline::store::sealed::TokensAtRest;
use hookline::store::sqlite::{Location, SqliteOptions, SqliteStore};
use hookline::store::{Completion, Outcome};
use rusqlite::Connection;
use tempfile::TempDir;

use kit::postgres_server::fresh_schema;
use kit::rows::*;
use kit::{
    World, key_ring, open_file, open_postgres, open_sealed, options, settled, step_message, wake_up,
};

fn config(url: &str) -> Config {
    Config::parse(&RawConfig { url: Some(url.into()), ..RawConfig::default() }).expect("a good URL")
}

/// Moves, and returns the words before the last one.
fn moving(from: &str, to: &str) -> Result<(Vec<Progress>, Moved), WorldError> {
    let under_way = Move::start(config(from), config(to));
    let mut words = Vec::new();
    loop {
        match under_way.next()? {
            Word::Going(progress) => words.push(progress),
            Word::Done(moved) => return Ok((words, moved)),
        }
    }
}

fn moved(from: &str, to: &str) -> Vec<MovedRows> {
    moving(from, to).expect("it is moved").1.tables
}

fn refused(from: &str, to: &str) -> WorldError {
    moving(from, to).expect_err("it is refused")
}

fn rows_of(tables: &[MovedRows], name: &str) -> u64 {
    tables.iter().find(|table| table.table == name).expect("such a table").rows
}

struct Place(TempDir);

impl Place {
    fn fresh() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn url(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW_MS))
}

fn on_file(path: &Path) -> World {
    let clock = clock();
    World::of(Arc::new(open_file(path, &clock).expect("the file opens")), clock)
}

fn on_schema(url: &str) -> World {
    let clock = clock();
    World::of(Arc::new(open_postgres(url, &clock).expect("the schema opens")), clock)
}

/// A run that waits for a hook and has a due wake-up.
fn park(world: &World, run: u64) {
    world.does(run, EventBody::RunCreated(creation()));
    world.does(run, EventBody::RunStarted(None));
    world.does(run, hook_created("h", &format!("token {run}")));
    world.enqueue(wake_up(run));
}

/// Everything that a row may hold.
fn fill(world: &World) {
    park(world, 1);
    world.does(1, step_created_and_started("s", 7));
    world.does(1, step_created("t"));
    world.does(1, step_failed("t"));
    world.does(1, wait_created("w", NOW_MS + 60_000));
    let long = Payload::Bytes(vec![7; 300_000]);
    let received = request(1, hook_received("h", Some("token 1")));
    let resume = Some(mark("r", Some("digest")));
    world.tries(EventRequest { payload: Some(long), resume, ..received }).expect("it is received");
    let key = ResumeKey {
        token: HookToken::new("token 1"),
        digests: ResumeDigests { key: "of the key".into(), payload: "of the payload".into() },
        unsealed: None,
        window_ms: 1000,
    };
    let keyed = request(1, hook_received("h", Some("token 1")));
    settled(|done| world.store.resume_once(keyed, key, done)).expect("it is resumed");

    // A token that holds a NUL, and hooks that are over.
    park(world, 2);
    world.does(2, hook_created("nul", "to\0ken"));
    world.does(2, hook_created("over", "taken twice"));
    world.does(2, hook_disposed("over"));
    world.does(1, hook_created("next", "taken twice"));
    park(world, 3);
    world.does(3, EventBody::RunCompleted);

    // A run whose values are dropped at its end, before and after it.
    for run in [4, 5] {
        let attributes = changes(&[("$retention", Some("0")), ("kept", Some("yes"))], true);
        let created = EventBody::RunCreated(RunCreation { attributes, ..creation() });
        let created = EventRequest { spec_version: 8, ..request(run, created) };
        world.tries(created).expect("the run is created");
        world.does(run, EventBody::RunStarted(None));
        let chunks = vec![b"short".to_vec(), vec![1; 5000]];
        settled(|done| world.store.write_stream(format!("of {run}"), run_id(run), chunks, done))
            .expect("it is written");
    }
    world.does(5, EventBody::RunCompleted);
    world.write("open", &["a", "", &"long".repeat(1000)]);
    world.write("closed", &["b"]);
    world.close_stream("closed");

    // Messages: of a step, sleeping, keyed, failed, dead, and one whose worker has died.
    let of_step = Purpose::Step { run_id: run_id(1), step_id: id("s") };
    world.enqueue(NewMessage { purpose: of_step, ..step_message("of a step") });
    world.enqueue_in(NewMessage { idempotency_key: Some("key".into()), ..step_message("key") }, 99);
    for delivery in world.claim(100) {
        if delivery.body == b"of a step" {
            let error = "it failed".into();
            assert!(
                world.settle(&delivery, Outcome::Release { delay_ms: 10, error, reached: true })
            );
        }
        // The other leases stay, as those of a worker that has died.
    }
}

#[test]
fn a_database_is_the_same_on_postgres_and_back_in_a_file() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    fill(&world);
    let before = (1..=5).map(|run| world.log(run)).collect::<Vec<_>>();
    world.store.close();
    // A process of a release notes it.
    let options = options(Location::File(place.file("a.db")), &clock());
    let options = SqliteOptions { release: Some("r1".into()), ..options };
    drop(SqliteStore::open(options).expect("it opens"));
    let there = moved(&place.url("a.db"), &schema);
    let back = moved(&schema, &place.url("b.db"));
    assert_eq!(there, back);
    assert!(
        there.iter().all(|table| table.rows > 0 || table.table == "encryption_keys"),
        "{there:?}"
    );

    let world = on_file(&place.file("b.db"));
    assert_eq!((1..=5).map(|run| world.log(run)).collect::<Vec<_>>(), before);
    let damages = settled(|done| {
        let store = open_file(&place.file("b.db"), &clock()).expect("it opens");
        hookline::store::upkeep::Upkeep::examine(&store, done);
    });
    assert_eq!(damages.expect("it is examined").damages(), Vec::<String>::new());
    assert_eq!(world.slice("open", 0, 10).chunks.len(), 3);
    assert_eq!(
        (world.slice("of 4", 0, 10).chunks.len(), world.slice("of 5", 0, 10).chunks.len()),
        (2, 0)
    );
    // What is written next has numbers that nothing had before.
    world.does(4, hook_created("later", "later"));
    world.write("later", &["c"]);
    world.at(1_000_000);
    assert!(world.claim(100).len() >= 4, "all leases were left behind");
}

#[test]
fn what_was_parked_goes_on_in_the_new_place() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    fill(&world);
    world.store.close();
    moved(&place.url("a.db"), &schema);
    let world = on_schema(&schema);
    let token = HookToken::new("to\0ken");
    let hook = settled(|done| world.store.hook_by_token(&token).settle(done)).expect("it lives");
    assert_eq!(hook.hook.run_id, run_id(2));
    world.does(2, hook_received("nul", Some("to\0ken")));
    world.does(2, hook_created("later", "later"));
    world.write("later", &["c"]);
    world.at(1_000_000);
    let replayed = world.claim(100);
    assert!(replayed.iter().any(|delivery| delivery.body == wake_up(2).body), "{replayed:?}");
    let reply = world.does(1, wait_completed("w"));
    assert!(reply.event.is_some());
}

#[test]
fn a_moved_database_names_its_new_place_to_whoever_opens_it_or_has_it_open() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    park(&world, 1);
    let (_, there) = moving(&place.url("a.db"), &schema).expect("it is moved");
    let late = world.tries(request(1, hook_received("h", Some("token 1"))));
    let late = late.expect_err("the file is only a copy now");
    assert_eq!((late.kind, late.details["movedTo"].as_str()), (ErrorKind::Moved, Some(&*there.to)));
    let opened = open_file(&place.file("a.db"), &clock()).err().expect("it is refused");
    assert_eq!(opened.kind, ErrorKind::Moved);

    let open = on_schema(&schema);
    let (_, back) = moving(&schema, &place.url("b.db")).expect("it is moved back");
    let late = open.tries(request(1, hook_received("h", Some("token 1"))));
    assert!(late.is_err(), "the schema has another name now");
    let opened = open_postgres(&schema, &clock()).err().expect("it is refused");
    assert_eq!(
        (opened.kind, opened.details["movedTo"].as_str()),
        (ErrorKind::Moved, Some(&*back.to))
    );
    let here = on_file(&place.file("b.db"));
    here.does(1, hook_received("h", Some("token 1")));
    // The new place has gone on since.
    assert_eq!(refused(&schema, &place.url("b.db")).kind, ErrorKind::Moved);
    // Neither is moved twice, nor does anything go to a place that was left.
    assert_eq!(refused(&place.url("a.db"), &place.url("c.db")).kind, ErrorKind::Moved);
    assert_eq!(refused(&schema, &place.url("d.db")).kind, ErrorKind::Moved);
    here.store.close();
    assert_eq!(refused(&place.url("b.db"), &schema).kind, ErrorKind::Moved);
}

#[test]
fn nothing_is_moved_while_a_worker_lives() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    park(&world, 1);
    world.claim_one();
    let error = refused(&place.url("a.db"), &schema);
    assert!(error.kind == ErrorKind::Invalid && error.message.contains("workers"), "{error}");
    world.does(1, hook_received("h", Some("token 1")));
    world.store.close();
    moved(&place.url("a.db"), &schema);
    let world = on_schema(&schema);
    world.claim(1);
    let error = refused(&schema, &place.url("b.db"));
    assert!(error.kind == ErrorKind::Invalid && error.message.contains("workers"), "{error}");
    world.does(1, hook_received("h", Some("token 1")));
}

#[test]
fn a_move_that_was_killed_between_its_commits_is_finished_by_the_next_one() {
    // Only the source was marked.
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    fill(&world);
    world.store.close();
    let marked = Connection::open(place.file("a.db")).expect("it opens");
    let to = config(&schema);
    let hookline::store::location::Location::Postgres(to) = &to.location else {
        panic!("a schema")
    };
    let mark =
        format!("INSERT INTO moved VALUES (1, '{}', 0); PRAGMA user_version = -1", to.shown());
    marked.execute_batch(&mark).expect("it is marked");
    drop(marked);
    assert_eq!(
        open_file(&place.file("a.db"), &clock()).err().expect("refused").kind,
        ErrorKind::Moved
    );
    let first = moved(&place.url("a.db"), &schema);
    // Everything was done, and the word of it was lost.
    assert_eq!(moved(&place.url("a.db"), &schema), first);
    assert_eq!(moved(&schema, &place.url("b.db")), first);
    assert_eq!(moved(&schema, &place.url("b.db")), first);
}

#[test]
fn a_target_that_holds_other_runs_is_refused_and_both_sides_stay_as_they_are() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let (world, other) = (on_file(&place.file("a.db")), on_schema(&schema));
    park(&world, 1);
    park(&other, 2);
    let error = refused(&place.url("a.db"), &schema);
    assert!(error.kind == ErrorKind::Invalid && error.message.contains("other runs"), "{error}");
    world.does(1, hook_received("h", Some("token 1")));
    other.does(2, hook_received("h", Some("token 2")));
    let own = refused(&place.url("a.db"), &place.url("a.db"));
    assert_eq!(own.kind, ErrorKind::Invalid);
}

#[test]
fn a_text_that_postgres_cannot_hold_ends_the_move_without_a_trace() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    park(&world, 1);
    world.enqueue(NewMessage { headers: Some("\"a\0b\"".into()), ..step_message("x") });
    let error = refused(&place.url("a.db"), &schema);
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("headers"), "{error}");
    world.does(1, hook_received("h", Some("token 1")));
    let page = PageRequest::first(10);
    let hooks = settled(|done| on_schema(&schema).store.hooks(None, page, false, done));
    assert_eq!(hooks.expect("it is there").items, []);
}

#[test]
fn sealed_values_are_moved_without_their_keys_and_opened_with_them() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let ring = key_ring(&[("a", 1)]);
    let sealed = open_sealed(&place.file("a.db"), &clock(), &ring, TokensAtRest::Sealed);
    let world = World::of(Arc::new(sealed.expect("it opens")), clock());
    fill(&world);
    let before = world.log(1);
    world.store.close();
    let there = moved(&place.url("a.db"), &schema);
    assert_eq!(rows_of(&there, "encryption_keys"), 1);
    assert_eq!(moved(&schema, &place.url("b.db")), there);
    let sealed = open_sealed(&place.file("b.db"), &clock(), &ring, TokensAtRest::Sealed);
    let world = World::of(Arc::new(sealed.expect("it opens")), clock());
    assert_eq!(world.log(1), before);
    world.does(2, hook_received("nul", Some("to\0ken")));
}

#[test]
fn a_damaged_file_is_not_moved() {
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    park(&world, 1);
    world.store.close();
    let connection = Connection::open(place.file("a.db")).expect("it opens");
    connection.execute("UPDATE events SET created_at_ms = 1", []).expect("it is damaged");
    drop(connection);
    assert_eq!(refused(&place.url("a.db"), &schema).kind, ErrorKind::Corrupt);
}

#[test]
fn ten_thousand_runs_are_the_same_there_and_back_and_the_progress_is_told() {
    const RUNS: u64 = 10_000;
    let (place, schema) = (Place::fresh(), fresh_schema());
    let world = on_file(&place.file("a.db"));
    let (sender, settled) = std::sync::mpsc::channel();
    for run in 1..=RUNS {
        let token = format!("token {run}");
        let bodies = [
            EventBody::RunCreated(creation()),
            EventBody::RunStarted(None),
            hook_created("h", &token),
        ];
        for body in bodies {
            let sender = sender.clone();
            let done = Completion::new(move |outcome: Result<_, WorldError>| {
                let _ = sender.send(outcome.map(drop));
            });
            world.store.append_event(request(run, body), done);
        }
        // The queue of the writer has a limit.
        if run % 100 == 0 {
            for _ in 0..300 {
                settled.recv().expect("it settles").expect("the rules allow it");
            }
        }
    }
    world.store.close();
    let (words, there) = moving(&place.url("a.db"), &schema).expect("it is moved");
    assert_eq!(rows_of(&there.tables, "runs"), RUNS);
    assert_eq!(rows_of(&there.tables, "events"), 3 * RUNS);
    assert!(words.len() > 10 && words.windows(2).all(|two| two[0].done <= two[1].done));
    assert!(words.iter().all(|word| word.done <= word.total && word.total == words[0].total));
    assert_eq!(moved(&schema, &place.url("b.db")), there.tables);
    let world = on_file(&place.file("b.db"));
    for run in [1, RUNS / 2, RUNS] {
        world.does(run, hook_received("h", Some(&format!("token {run}"))));
    }
}
