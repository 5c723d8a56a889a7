//! PgBouncer in transaction mode before the server: no connection of ours stays the same.

use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::store::Store;
use hookline::store::postgres::{PostgresLocation, PostgresStore};
use hookline::store::upkeep::Upkeep;

use crate::disturbed::{RUNS, check, resumes_while};
use crate::kit::pooler::Pooler;
use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, news_of, open_postgres_at, settled, step_message};
use crate::server::{end_connections, fresh_database, times};
use crate::with_runs;

/// A store whose sessions are elsewhere, or nowhere.
fn open_with(url: &str, sessions_at: Option<&str>) -> Arc<PostgresStore> {
    let location = PostgresLocation::parse(url).expect("the URL is good");
    let location = match sessions_at {
        Some(text) => location.with_session_at(text).expect("the URL is good"),
        None => location,
    };
    let clock = Arc::new(ManualClock::at(NOW_MS));
    Arc::new(open_postgres_at(location, &clock).expect("the database opens"))
}

/// Makes the store a worker.
fn claims(store: &Arc<PostgresStore>) -> usize {
    let store = Arc::clone(store) as Arc<dyn Store>;
    World::of(store, Arc::new(ManualClock::at(NOW_MS))).claim(10).len()
}

#[test]
fn behind_a_pooler_a_worker_knows_that_it_has_no_session_unless_that_is_elsewhere() {
    let url = fresh_database("pooled");
    let pooler = Pooler::start("sessions");
    for (sessions_at, lacks) in [(None, true), (Some(url.as_str()), false), (Some("off"), false)] {
        let store = open_with(&pooler.url("pooled"), sessions_at);
        settled(|done| store.enqueue(step_message("a"), 0, done)).expect("it is enqueued");
        assert_eq!(claims(&store), 1);
        assert_eq!(store.lacks_session(), lacks, "{sessions_at:?}");
        store.close();
    }
    let direct = open_with(&url, None);
    claims(&direct);
    assert!(!direct.lacks_session());
}

#[test]
fn without_a_session_a_worker_lives_as_long_as_it_says_so_and_keeps_its_leases() {
    let url = fresh_database("sessionless");
    let pooler = Pooler::start("leases");
    let store = open_with(&pooler.url("sessionless"), Some("off"));
    settled(|done| store.enqueue(step_message("a"), 0, done)).expect("it is enqueued");
    assert_eq!(claims(&store), 1);
    let other = open_with(&url, None);
    let names = || -> Vec<String> {
        let workers = settled(|done| other.workers(done)).expect("they are read");
        workers.into_iter().map(|worker| worker.lease_owner).collect()
    };
    assert_eq!(names(), [store.lease_owner()]);
    for _ in 0..2 {
        assert_eq!(settled(|done| other.free_dead_leases(done)), Ok(0));
    }
    store.close();
    assert_eq!(settled(|done| other.free_dead_leases(done)), Ok(1), "it has said that it ends");
    assert!(names().is_empty());
}

#[test]
fn without_a_session_a_process_finds_what_others_commit_by_looking() {
    let url = fresh_database("looking");
    let pooler = Pooler::start("looking");
    let store = open_with(&pooler.url("looking"), Some("off"));
    let news = news_of(&*store, |news| news.elsewhere);
    store.watch_elsewhere(true);
    drop(with_runs(&url, 1));
    // It looks again and again, whatever has happened.
    for _ in 0..3 {
        while !news.recv_timeout(PATIENCE).expect("it looks") {}
    }
}

#[test]
fn behind_a_pooler_no_resume_is_lost_or_doubled_while_the_server_ends_connections() {
    let url = fresh_database("pooled_ended");
    drop(with_runs(&url, RUNS));
    let pooler = Pooler::start("ended");
    let store = open_with(&pooler.url("pooled_ended"), None) as Arc<dyn Store>;
    let told = resumes_while(&store, times(200, 20), |_| {
        end_connections("pooled_ended");
    });
    store.close();
    check(&url, &told);
}
