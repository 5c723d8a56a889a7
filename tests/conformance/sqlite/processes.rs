//! Processes of their own on one file.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use hookline::clock::ManualClock;

use crate::kit::rows::*;
use crate::kit::{World, bodies, open_file, step_message};
use crate::owners::{claim_all, free_dead_leases};

/// Names the database in the environment of a child process.
const CHILD_DATABASE: &str = "HOOKLINE_TEST_CHILD_DATABASE";

/// Runs the test `a_child_claims_everything_and_waits` in a process of its own, until it has claimed.
fn claiming_child(database: &Path) -> Child {
    let executable = std::env::current_exe().expect("the test executable");
    let mut child = Command::new(executable)
        .args(["--exact", "sqlite::processes::a_child_claims_everything_and_waits", "--nocapture"])
        .env(CHILD_DATABASE, database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = child.stdout.take().expect("its output is piped");
    let claimed = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains("claimed everything"));
    assert!(claimed, "the child ended before it had claimed");
    child
}

/// Not a test by itself: the other process of the tests below.
#[test]
fn a_child_claims_everything_and_waits() {
    let Some(database) = std::env::var_os(CHILD_DATABASE).map(PathBuf::from) else { return };
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&database, &clock).expect("the file opens");
    let deliveries = claim_all(&store);
    assert!(!deliveries.is_empty());
    println!("\nclaimed everything");
    // Until it is killed, or its parent has gone.
    let _ = std::io::stdin().lines().count();
}

#[test]
fn the_leases_of_a_killed_process_are_freed_at_once() {
    let world = World::on_file();
    for content in ["a", "b"] {
        world.enqueue(step_message(content));
    }
    let mut child = claiming_child(&world.path());
    // While it lives, its leases are its own.
    world.claims_nothing();
    assert_eq!(free_dead_leases(&*world.store), 0);
    child.kill().expect("the child is killed");
    child.wait().expect("the child has ended");
    assert_eq!(free_dead_leases(&*world.store), 2);
    let deliveries = world.claim(10);
    assert_eq!(bodies(&deliveries), ["a", "b"]);
    assert!(deliveries.iter().all(|delivery| delivery.attempt == 2));
    assert_eq!(free_dead_leases(&*world.store), 0);
}

#[test]
fn a_closed_database_is_one_file() {
    let world = World::on_file();
    world.start_runs(1);
    world.store.close();
    let path = world.path();
    for side in ["-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(side);
        assert!(!Path::new(&name).exists(), "one file is left, without {side}");
    }
}
