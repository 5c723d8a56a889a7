//! How the death of a worker is noticed: by its lock, which the server frees.

use std::sync::Arc;

use hookline::clock::ManualClock;

use crate::kit::postgres_server::{Server, shared};
use crate::kit::rows::*;
use crate::kit::{World, settled, step_message};
use crate::proxy::Proxy;
use crate::server::fresh_database;

/// The longest time for which a worker with a free lock is only a suspect, and the same after its server
/// has restarted.
const LOCK_FREE_MS: i64 = 3000;
const SERVER_CHANGED_MS: i64 = 15_000;

fn open(url: &str) -> World {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = crate::kit::open_postgres(url, &clock).expect("the database opens");
    World::of(Arc::new(store), clock)
}

/// A worker with a lease.
fn worker(url: &str) -> World {
    let world = open(url);
    world.enqueue(step_message("a"));
    assert_eq!(world.claim(10).len(), 1);
    world
}

/// Frees the leases of dead workers, this long after the first time.
fn frees(world: &World, since_ms: i64) -> usize {
    world.at(since_ms);
    settled(|done| world.store.free_dead_leases(done)).expect("it looks for the dead")
}

/// Waits until workers hold so many locks in a database.
fn wait_for_locks(server: &Server, database: &str, count: i64) {
    let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while server.number(database, sql) != count {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Not by a kill, which may lose a claim: claims are not synced.
fn restart(server: &Server) {
    server.stop();
    server.start_again("");
}

#[test]
fn workers_of_several_schemas_of_a_database_live_and_die_apart() {
    let database = "schemas";
    let url = fresh_database(database);
    let proxy = Proxy::start();
    let lives = worker(&format!("{url}&schema=one"));
    let dies = worker(&format!("{}&schema=two", proxy.url(database)));
    let others = [open(&format!("{url}&schema=one")), open(&format!("{url}&schema=two"))];
    // Both are the first of their schema, so they have the same number.
    wait_for_locks(shared(), database, 2);
    proxy.cut_off();
    wait_for_locks(shared(), database, 1);
    for (since_ms, freed) in [(0, 0), (LOCK_FREE_MS - 1, 0), (LOCK_FREE_MS, 1)] {
        assert_eq!(frees(&others[0], since_ms), 0, "it lives");
        assert_eq!(frees(&others[1], since_ms), freed, "after {since_ms} ms");
    }
    drop(lives);
    proxy.mend();
    drop(dies);
}

#[test]
fn a_worker_that_came_back_between_two_looks_is_absent_anew() {
    let database = "came_back";
    let url = fresh_database(database);
    let proxy = Proxy::start();
    let worker = worker(&proxy.url(database));
    let other = open(&url);
    let go = || {
        wait_for_locks(shared(), database, 1);
        proxy.cut_off();
        wait_for_locks(shared(), database, 0);
    };
    go();
    assert_eq!(frees(&other, 0), 0);
    proxy.mend();
    go();
    assert_eq!(frees(&other, LOCK_FREE_MS), 0, "it was back");
    assert_eq!(frees(&other, 2 * LOCK_FREE_MS), 1);
    proxy.mend();
    drop(worker);
}

#[test]
fn a_worker_whose_server_has_restarted_has_time_to_come_back() {
    let server = Server::start("");
    let url = server.url("postgres");
    let proxy = Proxy::before(&server);
    let worker = worker(&proxy.url("postgres"));
    let other = open(&url);
    let restart_without = || {
        proxy.cut_off();
        restart(&server);
        wait_for_locks(&server, "postgres", 0);
    };
    restart_without();
    assert_eq!((frees(&other, 0), frees(&other, SERVER_CHANGED_MS - 1)), (0, 0));
    proxy.mend();
    wait_for_locks(&server, "postgres", 1);
    assert_eq!(frees(&other, 2 * SERVER_CHANGED_MS), 0, "it is back");
    // Without a restart its death is noticed as soon as ever.
    proxy.cut_off();
    wait_for_locks(&server, "postgres", 0);
    let since_ms = 3 * SERVER_CHANGED_MS;
    assert_eq!((frees(&other, since_ms), frees(&other, since_ms + LOCK_FREE_MS - 1)), (0, 0));
    assert_eq!(frees(&other, since_ms + LOCK_FREE_MS), 1);
    proxy.mend();
    drop(worker);
}

#[test]
fn a_worker_that_does_not_come_back_to_its_restarted_server_is_dead_in_the_end() {
    let server = Server::start("");
    let proxy = Proxy::before(&server);
    let worker = worker(&proxy.url("postgres"));
    let other = open(&server.url("postgres"));
    proxy.cut_off();
    restart(&server);
    assert_eq!((frees(&other, 0), frees(&other, SERVER_CHANGED_MS - 1)), (0, 0));
    assert_eq!(frees(&other, SERVER_CHANGED_MS), 1);
    proxy.mend();
    drop(worker);
}
