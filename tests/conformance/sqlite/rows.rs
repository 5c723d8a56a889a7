//! What is in the tables, and what a damaged table does.

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::message::{NewMessage, Purpose};
use hookline::store::Outcome;
use rusqlite::Connection;

use crate::api::{WINDOW_MS, key, resume, with_a_hook};
use crate::forgotten::{replay_with, search};
use crate::kit::rows::*;
use crate::kit::{World, wake_up};

#[test]
fn keys_whose_window_is_over_leave_the_table_with_the_keyed_resumes_that_follow() {
    let world = World::on_file();
    with_a_hook(&world);
    let connection = Connection::open(world.path()).expect("SQLite opens");
    let kept = || -> i64 {
        let count = connection.query_row("SELECT count(*) FROM resume_keys", [], |row| row.get(0));
        count.expect("the keys are counted")
    };
    for number in 0..100 {
        assert_eq!(resume(&world, &key(&format!("old {number}"), "a")), Ok(false));
    }
    assert_eq!(kept(), 100);
    world.at(WINDOW_MS);
    for number in 0..10 {
        assert_eq!(resume(&world, &key(&format!("live {number}"), "a")), Ok(false));
    }
    assert_eq!(kept(), 10, "only those whose window goes on");
}

/// Loses every message, as a damaged table would.
fn lose_messages(world: &World) {
    let connection = Connection::open(world.path()).expect("SQLite opens");
    connection.execute_batch("DELETE FROM messages").expect("the table is emptied");
}

#[test]
fn an_event_whose_wake_up_was_lost_wakes_its_run() {
    let world = World::on_file();
    world.start_runs(4);
    for run in 1..=4 {
        world.does(run, hook_created("h", &format!("token {run}")));
        world.does(run, step_created("s"));
        world.does(run, step_started("s"));
        replay_with(&world, run, []);
    }
    world.does(1, hook_received("h", None));
    world.does(2, step_completed("s"));
    world.does(3, step_failed("s"));
    lose_messages(&world);
    assert_eq!(search(&world), 3);
    assert_eq!(world.claim(10).len(), 3);
}

#[test]
fn on_line_5_only_a_resume_is_seen_by_nobody_and_a_step_message_sees_no_log() {
    let world = World::on_file();
    let of_line_5 = |run: u64, body: EventBody| {
        let request = EventRequest { spec_version: 8, ..request(run, body) };
        world.tries(request).expect("the rules allow it");
    };
    for run in 1..=4 {
        of_line_5(run, EventBody::RunCreated(creation()));
        of_line_5(run, EventBody::RunStarted(None));
        of_line_5(run, hook_created("h", &format!("token {run}")));
        of_line_5(run, step_created("s"));
        of_line_5(run, step_started("s"));
        replay_with(&world, run, []);
    }
    of_line_5(1, hook_received("h", None));
    of_line_5(2, step_completed("s"));
    of_line_5(3, step_failed("s"));
    lose_messages(&world);
    let purpose = Purpose::Step { run_id: run_id(1), step_id: id("s") };
    let step = NewMessage { purpose, ..wake_up(1) };
    world.enqueue(step);
    assert_eq!(search(&world), 0, "the delivery of the step goes on with its run");
    assert!(world.settle(&world.claim_one(), Outcome::Ack));
    assert_eq!(search(&world), 1);
}
