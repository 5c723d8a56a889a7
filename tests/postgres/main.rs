//! What only a store behind a network has to stand: connections that break, other processes that write
//! the same rows, servers that refuse.
#![cfg(target_os = "linux")]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod away;
mod cleaning;
mod disturbed;
mod failover;
#[path = "../kit/mod.rs"]
mod kit;
mod plans;
mod pooled;
mod proxy;
mod server;
mod trips;
mod workers;

use std::collections::HashMap;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest, EventType};
use hookline::domain::hook::takes_plain_payload;
use hookline::domain::id::HookToken;
use hookline::domain::payload::Payload;
use hookline::domain::run::Run;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{Completion, HookView, PlainResume, ResumedPlainly, Store};

use kit::rows::*;
use kit::{PATIENCE, World, open_postgres, settled, step_message};
use server::{fresh_database, number_in, run_sql};

/// A resume with a payload that no other one has.
fn resume(run: u64, payload: &str) -> EventRequest {
    let payload = Some(Payload::Bytes(payload.as_bytes().to_vec()));
    EventRequest { payload, ..request(run, hook_received("h", None)) }
}

fn open(url: &str) -> Arc<dyn Store> {
    Arc::new(open_postgres(url, &Arc::new(ManualClock::at(NOW_MS))).expect("the database opens"))
}

/// A database of its own, with runs that have a hook.
fn with_runs(url: &str, runs: u64) -> World {
    let world = World::of(open(url), Arc::new(ManualClock::at(NOW_MS)));
    world.start_runs(runs);
    for run in 1..=runs {
        let made = request(run, hook_created("h", &format!("token {run}")));
        world.tries(EventRequest { payload: None, ..made }).expect("the hook is made");
    }
    world
}

/// How often the payload of each resume is in the logs.
fn payloads(world: &World, runs: u64) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for run in 1..=runs {
        let log = world.log(run);
        assert!(log.iter().zip(1..).all(|(event, position)| event.position == position));
        for event in log.into_iter().skip(3) {
            let payload = event.payload.expect("a resume has a payload");
            let text = String::from_utf8_lossy(payload.as_bytes()).into_owned();
            *counts.entry(text).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn processes_that_write_the_same_runs_in_any_order_all_succeed() {
    const RUNS: u64 = 8;
    const EACH: u64 = 200;
    let url = fresh_database("directions");
    let world = with_runs(&url, RUNS);
    let stores = [open(&url), open(&url), Arc::clone(&world.store)];
    let mut outcomes = Vec::new();
    for number in 0..EACH {
        for (at, store) in (0..).zip(&stores) {
            // Each process goes through the runs in another direction.
            let run = if at % 2 == 0 { number % RUNS } else { RUNS - 1 - number % RUNS };
            let (done, outcome) = Completion::channel();
            store.append_event(resume(run + 1, &format!("{at} {number}")), done);
            outcomes.push(outcome);
        }
    }
    for outcome in outcomes {
        outcome.recv_timeout(PATIENCE).expect("it settles").expect("it is received");
    }
    let payloads = payloads(&world, RUNS);
    assert_eq!(payloads.len() as u64, 3 * EACH);
    assert!(payloads.values().all(|count| *count == 1));
}

/// The other way a resume is found again whose answer was lost.
#[test]
fn a_resume_that_is_alone_carries_a_number_by_which_it_is_found_again() {
    let url = fresh_database("alone");
    let world = with_runs(&url, 1);
    for number in 0..3 {
        world.tries(resume(1, &format!("{number}"))).expect("it resumes");
    }
    let numbers = "SELECT count(DISTINCT write_id) FROM hookline.events";
    assert_eq!(number_in("alone", numbers), 3);
}

/// The hook and the run that a store has found and resumed in one step; `None` if it did nothing.
fn resumed_plainly(store: &dyn Store, token: &str) -> Option<(HookView, Run)> {
    let resume = PlainResume { token: HookToken::new(token), payload: b"plain".to_vec() };
    let given = resume.clone();
    match settled(|done| store.resume_plainly(given, done)).expect("it is tried") {
        ResumedPlainly::Done(found) => Some(*found),
        ResumedPlainly::Not(left) => {
            assert_eq!(left, resume);
            None
        }
    }
}

#[test]
fn a_hook_is_found_and_resumed_in_one_step_if_it_takes_plain_data() {
    let url = fresh_database("plainly");
    let world = with_runs(&url, 1);
    let try_to_resume = |token: &str| resumed_plainly(&*world.store, token);
    world.tries(resume(1, "takes a block of numbers")).expect("it resumes");
    assert_eq!(try_to_resume("another"), None);
    let (view, run) = try_to_resume("token 1").expect("it is resumed");
    let token = HookToken::new("token 1");
    let found = settled(|done| world.store.hook_and_run_by_token(&token).settle(done));
    assert_eq!(Ok((view, run)), found);
    let log = world.log(1);
    let event = log.last().expect("it is logged");
    assert_eq!(event.payload, Some(Payload::Bytes(b"plain".to_vec())));
    assert_eq!(event.data.as_deref(), Some(r#"{"token":"token 1"}"#));
    assert_eq!(event.event_type, EventType::HookReceived);
    world.does(1, endings()[0].clone());
    assert_eq!(try_to_resume("token 1"), None);
}

/// The statement says in SQL what `takes_plain_payload` and `spec_version_of_new_runs` say.
#[test]
fn one_step_takes_the_hooks_that_the_rules_take_with_the_event_that_they_make() {
    let url = fresh_database("takes");
    let world = with_runs(&url, 1);
    world.tries(resume(1, "takes a block of numbers")).expect("it resumes");
    world.does(1, hook_created("m", "with metadata"));
    let set = |table: &str, column: &str, value: &str| {
        server::run_sql_in("takes", &format!("UPDATE hookline.{table} SET {column} = {value}"));
    };
    let mut taken = Vec::new();
    for spec_version in 1..=9 {
        set("hooks", "spec_version", &spec_version.to_string());
        for key in ["NULL", "'a'"] {
            set("runs", "encryption_key_id", key);
            for token in ["token 1", "with metadata"] {
                let named = HookToken::new(token);
                let found = settled(|done| world.store.hook_and_run_by_token(&named).settle(done));
                let (view, run) = found.expect("the hook is there");
                let takes = takes_plain_payload(&view.hook, &run);
                assert_eq!(resumed_plainly(&*world.store, token).is_some(), takes, "{view:?}");
                if takes {
                    let by_rule = EventRequest::resume(&view.hook, Payload::Bytes(Vec::new()));
                    let log = world.log(1);
                    let event = log.last().expect("it is logged");
                    assert_eq!(event.spec_version, by_rule.spec_version);
                    assert_eq!(event.data, by_rule.data);
                    taken.push((spec_version, key, token));
                }
            }
        }
    }
    let plain = |spec_version| (spec_version, "NULL", "token 1");
    assert_eq!(taken, (2..=9).map(plain).collect::<Vec<_>>());
}

#[test]
fn processes_that_make_the_schema_together_both_succeed() {
    let url = fresh_database("together");
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| drop(open(&url)));
        }
    });
    let world = with_runs(&url, 1);
    assert_eq!(world.log(1).len(), 3);
}

/// The error of a database that does not open.
fn refusal(url: &str) -> WorldError {
    let opened = open_postgres(url, &Arc::new(ManualClock::at(NOW_MS)));
    opened.map(drop).expect_err("it does not open")
}

#[test]
fn what_keeps_a_database_from_opening_is_said_with_advice() {
    let url = fresh_database("refuses");
    let missing = refusal(&url.replace("/refuses?", "/nowhere?"));
    assert_eq!(missing.kind, ErrorKind::CannotOpen, "{missing}");
    assert!(missing.message.contains("no such database"), "{missing}");
    let unreachable = refusal("postgres://me:secret@127.0.0.1:9/a");
    assert_eq!(unreachable.kind, ErrorKind::CannotOpen, "{unreachable}");
    assert!(unreachable.message.contains("cannot be reached"), "{unreachable}");
    assert!(!unreachable.message.contains("secret"), "{unreachable}");
    run_sql("CREATE ROLE poor LOGIN");
    let poor = refusal(&url.replace("postgres@", "poor@"));
    assert_eq!(poor.kind, ErrorKind::ReadOnly, "{poor}");
    assert!(poor.message.contains("GRANT CREATE ON DATABASE"), "{poor}");
    run_sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let latin = refusal(&url.replace("/refuses?", "/latin?"));
    assert!(latin.message.contains("ENCODING 'UTF8'"), "{latin}");
}

#[test]
fn a_newer_or_foreign_schema_is_refused() {
    let url = fresh_database("newer");
    open(&url).close();
    server::run_sql_in("newer", "INSERT INTO hookline.migrations VALUES (99, 'x', 0, true)");
    assert_eq!(refusal(&url).kind, ErrorKind::NewerDatabase);
    server::run_sql_in("newer", "DELETE FROM hookline.migrations WHERE version = 99");
    server::run_sql_in("newer", "UPDATE hookline.migrations SET checksum = 'x'");
    assert_eq!(refusal(&url).kind, ErrorKind::ForeignFile);
}

#[test]
fn a_store_that_only_reads_refuses_writes_and_needs_a_schema() {
    let url = fresh_database("reads");
    let reader = || kit::open_postgres_to_read(&url);
    assert_eq!(reader().map(drop).expect_err("there is no schema").kind, ErrorKind::CannotOpen);
    let world = with_runs(&url, 1);
    let reader = reader().expect("there is a schema now");
    let run = settled(|done| reader.run_by_id(&run_id(1)).settle(done)).expect("it is read");
    assert_eq!(run.run_id, run_id(1));
    let refused = settled(|done| reader.append_event(request(1, EventBody::RunCompleted), done));
    assert_eq!(refused.expect_err("it only reads").kind, ErrorKind::ReadOnly);
    drop(world);
}

#[test]
fn without_a_clock_of_a_test_the_database_says_what_time_it_is() {
    use hookline::store::postgres::{PostgresLocation, PostgresStore};
    let url = fresh_database("time");
    let location = PostgresLocation::parse(&url).expect("the URL is good");
    let store = PostgresStore::open(kit::postgres_options(location)).expect("the database opens");
    settled(|done| store.enqueue(step_message("a"), 0, done)).expect("it is enqueued");
    let skew = server::number_in(
        "time",
        "SELECT abs(created_at_ms - extract(epoch FROM clock_timestamp()) * 1000)::bigint \
         FROM hookline.messages",
    );
    assert!(skew < 60_000, "{skew}");
}
