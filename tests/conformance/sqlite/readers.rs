//! A store that only reads, beside one that writes the same file.

use std::fs;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::sqlite::{Location, SqliteStore};
use hookline::store::{ClaimRequest, Outcome, Store};
use rusqlite::Connection;

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, news_of, offer, options, settled, step_message};

fn reader_at(path: &std::path::Path, clock: &Arc<ManualClock>) -> Result<SqliteStore, WorldError> {
    SqliteStore::open_to_read(options(Location::File(path.to_owned()), clock))
}

fn reader(world: &World) -> SqliteStore {
    reader_at(&world.path(), &world.clock).expect("the file opens for reading")
}

fn refused(path: &std::path::Path) -> WorldError {
    match reader_at(path, &Arc::new(ManualClock::at(NOW_MS))) {
        Ok(_) => panic!("the file opens for reading"),
        Err(error) => error,
    }
}

#[test]
fn a_reader_sees_what_is_written_and_is_told_of_it() {
    let world = World::on_file();
    world.start_runs(1);
    let reader = reader(&world);
    let news = news_of(&reader, |news| news.elsewhere);
    reader.watch_elsewhere(true);
    world.does(1, hook_created("h", "token"));
    loop {
        assert!(news.recv_timeout(PATIENCE).expect("a commit is noticed"));
        if let Ok(found) =
            settled(|done| reader.hook_by_token(&HookToken::new("token")).settle(done))
        {
            assert_eq!(found.hook.run_id, run_id(1));
            break;
        }
    }
    reader.watch_elsewhere(false);
    let run = settled(|done| reader.run(run_id(1), true, done)).expect("the run is read");
    assert!(run.input.is_some());
}

#[test]
fn a_reader_refuses_every_write_and_changes_nothing() {
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let message = world.enqueue(step_message("a"));
    let before =
        fs::read_dir(world.path().parent().expect("a folder")).expect("it is read").count();
    let reader = reader(&world);
    let event = request(1, hook_received("h", None));
    let claim = ClaimRequest {
        limit: 1,
        offer: offer(&["__"]),
        lease_owner: reader.lease_owner().to_owned(),
        lease_ms: 1000,
    };
    let (id, token) = (message, world.claim_one().lease_token);
    let outcomes = [
        settled(|done| reader.append_event(event, done)).map(drop),
        settled(|done| reader.append_event(request(9, EventBody::RunStarted(None)), done))
            .map(drop),
        settled(|done| reader.enqueue(step_message("b"), 0, done)).map(drop),
        settled(|done| reader.claim(claim, done)).map(drop),
        settled(|done| reader.admit(id, token.clone(), done)).map(drop),
        settled(|done| reader.settle_delivery(id, token, Outcome::Ack, done)).map(drop),
        settled(|done| reader.free_dead_leases(done)).map(drop),
        settled(|done| reader.redrive(message, done)).map(drop),
        settled(|done| reader.write_stream("s".into(), run_id(1), vec![vec![1]], done)),
        settled(|done| reader.close_stream("s".into(), run_id(1), done)),
    ];
    for (index, outcome) in outcomes.into_iter().enumerate() {
        let error = outcome.expect_err("a reader writes nothing");
        assert_eq!(error.kind, ErrorKind::ReadOnly, "write {index}: {error}");
        assert!(error.message.contains("WORKFLOW_HOOKLINE_ROLE"), "{}", error.message);
    }
    // A replay's own `run_started` changes nothing, so a reader answers it.
    let started = request(1, EventBody::RunStarted(None));
    assert!(settled(|done| reader.append_event(started, done)).is_ok());
    reader.close();
    let after = fs::read_dir(world.path().parent().expect("a folder")).expect("it is read").count();
    assert_eq!(after, before);
    assert_eq!(world.log_types(1), ["run_created", "run_started", "hook_created"]);
}

#[test]
fn a_reader_makes_no_database_and_migrates_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("missing.db");
    assert_eq!(refused(&missing).kind, ErrorKind::CannotOpen);
    assert!(!missing.exists());
    let empty = folder.path().join("empty.db");
    fs::write(&empty, []).expect("a file is made");
    let error = refused(&empty);
    assert_eq!(error.kind, ErrorKind::CannotOpen);
    assert!(error.message.contains("a World that writes"), "{}", error.message);
    assert_eq!(fs::metadata(&empty).expect("it is there").len(), 0);
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign)
        .and_then(|connection| connection.execute_batch("CREATE TABLE theirs (x)"))
        .expect("SQLite writes");
    assert_eq!(refused(&foreign).kind, ErrorKind::ForeignFile);
    fs::write(&foreign, b"no database at all, but long enough to look like one").expect("written");
    assert_eq!(refused(&foreign).kind, ErrorKind::ForeignFile);
}

#[test]
fn a_reader_opens_a_database_that_nobody_has_open() {
    let world = World::on_file();
    world.start_runs(1);
    world.store.close();
    let reader = reader(&world);
    settled(|done| reader.run(run_id(1), true, done)).expect("the run is read");
}
