//! What is found of a Postgres server, of the rights on it, and of the way to it.
#![cfg(target_os = "linux")]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "kit/mod.rs"]
mod kit;
#[allow(dead_code)] // this program needs only a part
#[path = "postgres/server.rs"]
mod server;

use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::store::postgres::{PostgresLocation, PostgresOptions, PostgresStore};
use hookline::store::upkeep::{Examination, ServerExamination, Upkeep};

use kit::rows::NOW_MS;
use kit::{World, open_postgres, settled};
use server::{fresh_database, run_sql_in};

fn examined(store: &PostgresStore) -> ServerExamination {
    match settled(|done| store.examine(done)).expect("it is examined") {
        Examination::Postgres(found) => *found,
        Examination::Sqlite(_) => panic!("it is a server"),
    }
}

fn open(url: &str) -> PostgresStore {
    open_postgres(url, &Arc::new(ManualClock::at(NOW_MS))).expect("it opens")
}

/// Opens a database of another role, which only reads.
fn reader(url: &str, role: &str) -> PostgresStore {
    let url = url.replacen("postgres@", &format!("{role}@"), 1);
    let options = PostgresOptions {
        location: PostgresLocation::parse(&url).expect("a good URL"),
        migrates: false,
        full_durability: true,
        workflow_prefix: kit::WORKFLOW_PREFIX.into(),
        takes_queue_names: false,
        release: None,
        environment: None,
        clock: None,
    };
    PostgresStore::open_to_read(options).expect("it opens")
}

#[test]
fn a_sound_server_has_everything_that_an_app_needs() {
    let url = fresh_database("sound");
    let store = Arc::new(open(&url));
    let world = World::of(Arc::clone(&store) as _, Arc::new(ManualClock::at(NOW_MS)));
    world.claim(1);
    let found = examined(&store);
    assert!(found.version.split('.').next().is_some_and(|major| major.parse::<u32>().is_ok()));
    assert!(!found.is_standby && !found.only_reads && found.is_heard, "{found:?}");
    assert_eq!((found.tls.as_deref(), &*found.role), (None, "postgres"));
    assert_eq!(found.missing_rights, Vec::<String>::new());
    assert!(found.bytes > 0 && found.queue.bytes > 0 && found.connections > 0);
    assert!(found.connections < found.connections_max && found.round_trip_us > 0);
    assert_eq!((found.living_workers, found.known_workers), (1, 1));
    // The program and the server have one clock.
    assert!(found.clock_ahead_ms.abs() < 60_000, "{found:?}");
}

#[test]
fn a_role_that_lacks_rights_and_one_that_only_reads_are_told_so() {
    let url = fresh_database("rights");
    drop(open(&url));
    let grants = "CREATE ROLE looker LOGIN; GRANT USAGE ON SCHEMA hookline TO looker; \
         GRANT SELECT ON ALL TABLES IN SCHEMA hookline TO looker; \
         ALTER ROLE looker SET default_transaction_read_only = on";
    run_sql_in("rights", grants);
    let found = examined(&reader(&url, "looker"));
    assert!(found.only_reads, "{found:?}");
    let lacks = |right: &str| found.missing_rights.iter().any(|missing| missing == right);
    assert!(lacks("INSERT ON runs") && lacks("DELETE ON messages") && !lacks("SELECT ON runs"));
}

#[test]
fn a_worker_that_ended_without_a_word_is_known() {
    let url = fresh_database("ended");
    let store = open(&url);
    let left = "INSERT INTO hookline.owners (lease_owner, started_at_ms, seen_at_ms) \
         VALUES ('left', 1, 1)";
    run_sql_in("ended", left);
    let found = examined(&store);
    assert_eq!((found.living_workers, found.known_workers), (0, 1));
}
