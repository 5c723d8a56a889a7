//! Another program holds the write lock of the database for longer than we wait.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::sync::mpsc::channel;

use hookline::domain::id::MessageId;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::Completion;
use rusqlite::Connection;

use kit::rows::{hook_created, hook_received, request};
use kit::{PATIENCE, World, hold_writer, settled, step_message};

#[test]
fn a_foreign_write_lock_fails_all_that_waits_at_once_and_reads_go_on() {
    const WAITING: usize = 20;
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let before = world.log(1);
    let lock = Connection::open(world.path()).expect("SQLite opens");

    // Holds the writer, so that the next operations meet in one batch.
    let release = hold_writer(&world);

    lock.execute_batch("BEGIN IMMEDIATE").expect("the test locks");
    // The first outcome releases the lock. If the others were retried, they would succeed.
    let (sender, outcomes) = channel::<Result<(), WorldError>>();
    let told = sender.clone();
    let unlocking = Completion::new(move |outcome: Result<MessageId, WorldError>| {
        lock.execute_batch("ROLLBACK").expect("the test unlocks");
        // The test keeps the receiver until its end.
        let _ = told.send(outcome.map(drop));
    });
    world.store.enqueue(step_message("waits"), 0, unlocking);
    for _ in 1..WAITING {
        let sender = sender.clone();
        let done = Completion::new(move |outcome: Result<_, WorldError>| {
            // The test keeps the receiver until its end.
            let _ = sender.send(outcome.map(drop));
        });
        world.store.append_event(request(1, hook_received("h", None)), done);
    }
    drop((sender, release));

    assert_eq!(world.log(1), before, "reads need no lock");
    for number in 0..WAITING {
        let outcome = outcomes.recv_timeout(PATIENCE).expect("every operation settles");
        let error = outcome.expect_err("nothing could be written");
        assert_eq!(error.kind, ErrorKind::Busy, "operation {number}: {error}");
    }
    assert_eq!(world.log(1), before, "nothing was written");
    let later =
        settled(|done| world.store.append_event(request(1, hook_received("h", None)), done));
    assert!(later.is_ok(), "the lock has gone");
}
