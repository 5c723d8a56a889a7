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
use hookline::store::postgres::PostgresStore;
use hookline::store::upkeep::{Examination, ServerExamination, Upkeep};

use kit::pooler::Pooler;
use kit::postgres_server::{Server, shared};
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
    kit::open_postgres_to_read(&url).expect("it opens")
}

#[test]
fn a_sound_server_has_everything_that_an_app_needs() {
    let url = fresh_database("sound");
    let store = Arc::new(open(&url));
    let world = World::of(Arc::clone(&store) as _, Arc::new(ManualClock::at(NOW_MS)));
    world.claim(1);
    let found = examined(&store);
    assert!(found.version.split('.').next().is_some_and(|major| major.parse::<u32>().is_ok()));
    assert!(!found.is_standby && !found.only_reads && found.is_direct, "{found:?}");
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

#[test]
fn a_way_through_a_pooler_is_known_and_leaves_nothing_with_it() {
    let url = fresh_database("pooled");
    drop(open(&url));
    let pooler = Pooler::start("examined");
    let store = open(&pooler.url("pooled"));
    // A worker finds out by itself.
    let world = World::of(Arc::new(open(&pooler.url("pooled"))), Arc::new(ManualClock::at(NOW_MS)));
    world.claim(1);
    assert!(!examined(&store).is_direct);
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%LISTEN%' \
         AND datname = 'pooled' AND pid <> pg_backend_pid()";
    assert_eq!(shared().number("pooled", listening), 0, "strangers would hear of our commits");
}

#[test]
fn a_standby_says_that_it_only_reads() {
    let first = Server::start("");
    drop(open(&first.url("postgres")));
    let standby = first.standby("standby");
    let found = examined(&reader(&standby.url("postgres"), "postgres"));
    assert!(found.is_standby, "{found:?}");
}

/// A clock that is six minutes ahead when `later` is called.
struct AheadClock(tempfile::NamedTempFile);

impl AheadClock {
    fn later(&self) {
        std::fs::write(self.0.path(), "+6m").expect("it is written");
    }
}

/// A server with a clock of its own.
fn server_with_clock() -> (Server, AheadClock) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "+0").expect("it is written");
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(file.path(), readable).expect("our own file");
    let server = Server::start("-c max_prepared_transactions=2 -c wal_level=logical");
    server.stop();
    let path = file.path().display();
    server.start_with_environment(&[
        "LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        &format!("FAKETIME_TIMESTAMP_FILE={path}"),
    ]);
    (server, AheadClock(file))
}

#[test]
fn whoever_holds_an_old_snapshot_is_named_and_a_clock_that_is_ahead_is_known() {
    let (server, clock) = server_with_clock();
    let store = open(&server.url("postgres"));
    server.sql("postgres", "SELECT pg_create_logical_replication_slot('abandoned', 'pgoutput')");
    let prepared = "BEGIN; CREATE TABLE theirs (); PREPARE TRANSACTION 'forgotten'";
    server.asks("postgres", async |client| client.batch_execute(prepared).await).expect("it may");
    // A transaction of a report, which is open while others look.
    let report = "SET application_name = 'report'; \
         BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM hookline.runs";
    let looks = server.asks("postgres", async |client| {
        client.batch_execute(report).await?;
        let before = examined(&store).old_snapshots;
        clock.later();
        Ok((before, examined(&store)))
    });
    let (before, found) = looks.expect("it reads");
    assert_eq!(before, Vec::new(), "they have only begun");
    let holders: Vec<_> = found.old_snapshots.iter().map(|it| (&*it.what, it.age_ms)).collect();
    let named = |name: &str| holders.iter().find(|(what, _)| what.contains(name));
    for name in ["(report), idle in transaction", "prepared transaction forgotten"] {
        let (_, age_ms) = named(name).unwrap_or_else(|| panic!("{name}: {holders:?}"));
        assert!(age_ms.is_some_and(|age_ms| age_ms >= 6 * 60_000), "{holders:?}");
    }
    assert_eq!(holders.len(), 2, "the slot is young: {holders:?}");
    assert!(found.clock_ahead_ms > 5 * 60_000, "{found:?}");

    let many = "DO $$ BEGIN FOR n IN 0..100000 LOOP \
         PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$";
    server.sql("postgres", many);
    let found = examined(&store).old_snapshots;
    let slot = found.iter().find(|it| it.what.starts_with("replication slot abandoned"));
    assert!(slot.is_some_and(|slot| slot.age_ms.is_none()), "{found:?}");
}

#[test]
fn dead_rows_of_the_queue_are_counted() {
    let url = fresh_database("bloated");
    let store = open(&url);
    let dies = "INSERT INTO hookline.messages (message_id, queue_name, deployment_id, spec_version, \
         is_wake_up, body, created_at_ms, available_at_ms) \
         SELECT n, 'q', 'd', 1, false, '', 1, 1 FROM generate_series(1, 2000) AS n; \
         DELETE FROM hookline.messages WHERE message_id > 10";
    run_sql_in("bloated", dies);
    // The server counts a moment later.
    while examined(&store).queue.dead_rows < 1990 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let queue = examined(&store).queue;
    assert_eq!((queue.live_rows, queue.vacuumed_ms_ago), (10, None));
}
