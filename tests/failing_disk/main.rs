//! A disk that fails to sync and loses writes: after a power cut, acknowledged writes are there and
//! rejected writes are not.
//!
//! The disk is a library in front of libc (`tests/disk/disk.c`). It is preloaded into a process of this
//! program that plays the app. That process ends without closing anything, and this one opens the
//! remaining contents of the disk.
#![cfg(target_os = "linux")]

use hookline::domain;

#[path = "../disk/mod.rs"]
mod disk;
#[path = "../kit/mod.rs"]
mod kit;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest, EventType};
use hookline::domain::payload::Payload;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{ClaimRequest, Completion, Outcome, Store};

use disk::Disk;
use kit::rows::*;
use kit::{STEP_PREFIX, WORKFLOW_PREFIX, offer, open_file, settled, step_message};

/// Names the folder of the database for the process that plays the app.
const APP: &str = "FAILING_DISK_APP";
/// The number of rounds for which the app works.
const ROUNDS: &str = "FAILING_DISK_ROUNDS";
/// Resumes that are in progress at a time.
const AT_ONCE: u32 = 6;

fn resume(number: u32) -> EventRequest {
    let mut payload = vec![7; (number as usize * 997) % 40_000];
    payload.splice(0..0, number.to_le_bytes());
    EventRequest { payload: Some(Payload::Bytes(payload)), ..request(1, hook_received("h", None)) }
}

/// Resumes a hook again and again, beside claims and acks that are not synced, and prints the outcome
/// of each resume.
#[test]
#[ignore = "it is the app of the other tests"]
fn app() {
    let folder = std::env::var(APP).expect("another test starts this");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&Path::new(&folder).join("world.db"), &clock).expect("it opens");
    for body in
        [EventBody::RunCreated(creation()), EventBody::RunStarted(None), hook_created("h", "token")]
    {
        settled(|done| store.append_event(request(1, body), done)).expect("the disk is whole yet");
    }
    let mut number = 0;
    let rounds: u32 = std::env::var(ROUNDS).ok().and_then(|n| n.parse().ok()).expect("a number");
    for round in 0..rounds {
        let under_way: Vec<_> = (0..1 + round % AT_ONCE)
            .map(|_| {
                number += 1;
                let (done, outcome) = Completion::channel();
                store.append_event(resume(number), done);
                (number, outcome)
            })
            .collect();
        for (number, outcome) in under_way {
            let said = match outcome.recv().expect("it settles") {
                Ok(_) => "acknowledged".to_owned(),
                Err(error) => error.kind.code().to_owned(),
            };
            println!("resume {number} {said}");
        }
        deliver(&store);
    }
    // Nothing is closed.
    std::process::abort();
}

/// Operations that may fail and be repeated later.
fn deliver(store: &dyn Store) {
    let _ = settled(|done| store.enqueue(step_message("s"), 0, done));
    let claimed = settled(|done| store.claim(any_message(store), done));
    for delivery in claimed.unwrap_or_default().deliveries {
        let (id, lease) = (delivery.message_id, delivery.lease_token);
        let _ = settled(|done| store.settle_delivery(id, lease, Outcome::Ack, done));
    }
}

fn any_message(store: &dyn Store) -> ClaimRequest {
    ClaimRequest {
        limit: 10,
        offer: offer(&[WORKFLOW_PREFIX, STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: 30_000,
    }
}

/// The printed outcome of each resume.
fn outcomes(disk: &Disk, rounds: u32) -> BTreeMap<u32, String> {
    let output = disk.run("app", APP, &[(ROUNDS, rounds.to_string())]);
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    output
        .lines()
        .filter_map(|line| line.find("resume ").map(|at| words(&line[at..])))
        .map(|words| (words[1].parse().expect("a number"), words[2].clone()))
        .collect()
}

/// The resumes that the next opening finds.
fn recovered(image: &Path) -> Vec<u32> {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&image.join("world.db"), &clock).expect("the image opens");
    let world = kit::World::of(Arc::new(store), clock);
    let received = world
        .log(1)
        .into_iter()
        .filter(|event| event.event_type == EventType::HookReceived)
        .filter_map(|event| event.payload);
    received
        .map(|payload| match payload {
            Payload::Bytes(bytes) => u32::from_le_bytes(*bytes.first_chunk().expect("a number")),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn nothing_is_lost_and_nothing_rejected_is_there(seed: u64, fails: u32, rounds: u32) {
    let disk = Disk::failing(seed, fails);
    let outcomes = outcomes(&disk, rounds);
    assert!(outcomes.len() > 2 * rounds as usize, "the app worked to its end: {outcomes:?}");
    let found = recovered(&disk.image());
    assert!(found.is_sorted_by(|a, b| a < b), "each is there once, in their order");
    for (number, said) in &outcomes {
        let is_there = found.binary_search(number).is_ok();
        match said.as_str() {
            "acknowledged" => assert!(is_there, "seed {seed}: resume {number} is lost"),
            code if code == ErrorKind::OutcomeUnknown.code() => {}
            code => assert!(!is_there, "seed {seed}: resume {number} was rejected: {code}"),
        }
    }
    let count = |code: &str| outcomes.values().filter(|said| *said == code).count();
    println!(
        "seed {seed}: {} acknowledged, {} unknown, of {}",
        count("acknowledged"),
        count(ErrorKind::OutcomeUnknown.code()),
        outcomes.len()
    );
}

#[test]
fn a_whole_disk_has_all_that_was_acknowledged() {
    nothing_is_lost_and_nothing_rejected_is_there(1, 0, 500);
}

#[test]
fn what_a_failing_disk_acknowledges_is_there_and_what_it_rejects_is_not() {
    for seed in 1..=4 {
        nothing_is_lost_and_nothing_rejected_is_there(seed, 20, 300);
    }
}

#[test]
fn a_disk_that_fails_most_of_the_time_keeps_what_it_acknowledged() {
    for seed in 1..=2 {
        nothing_is_lost_and_nothing_rejected_is_there(seed, 500, 50);
    }
}

/// Names the file that makes the disk read-only.
const READ_ONLY: &str = "DISK_READ_ONLY";

/// Works on a disk that is read-only for a while, and prints the outcome of each operation.
#[test]
#[ignore = "it is the app of the next test"]
fn app_on_a_read_only_disk() {
    let folder = std::env::var(APP).expect("another test starts this");
    let flag = std::env::var(READ_ONLY).expect("another test names it");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&Path::new(&folder).join("world.db"), &clock).expect("it opens");
    let world = kit::World::of(Arc::new(store), clock);
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let work = |phase: &str, number: u32| {
        let code = |result: Result<(), WorldError>| {
            result.map_or_else(|error| error.kind.code().to_owned(), |()| "done".to_owned())
        };
        let resumed = world.tries(resume(number)).map(drop);
        let claimed = settled(|done| world.store.claim(any_message(&*world.store), done));
        let (resumed, claimed) = (code(resumed), code(claimed.map(drop)));
        let read = world.log(1).len();
        println!("{phase}: resume {resumed}, claim {claimed}, {read} events");
    };
    work("before", 1);
    std::fs::write(&flag, "").expect("it is on another disk");
    work("meanwhile", 2);
    work("meanwhile", 3);
    std::fs::remove_file(&flag).expect("it is there");
    work("afterwards", 4);
    std::process::abort();
}

#[test]
fn a_disk_that_is_read_only_for_a_while_is_told_of_and_loses_nothing() {
    let disk = Disk::failing(1, 0);
    let flag = disk.beside("read-only").display().to_string();
    let output = disk.run("app_on_a_read_only_disk", APP, &[(READ_ONLY, flag)]);
    let said = |phase: &str| -> Vec<&str> {
        let lines = output.lines().filter_map(|line| line.find(phase).map(|at| &line[at..]));
        lines.collect()
    };
    assert_eq!(said("before"), ["before: resume done, claim done, 4 events"]);
    // A part of the commit that met the change may be on the disk until the log can be written again.
    assert_eq!(
        said("meanwhile"),
        [
            "meanwhile: resume OUTCOME_UNKNOWN, claim READ_ONLY, 4 events",
            "meanwhile: resume READ_ONLY, claim READ_ONLY, 4 events",
        ]
    );
    assert_eq!(said("afterwards"), ["afterwards: resume done, claim done, 5 events"]);
    assert_eq!(recovered(&disk.image()), [1, 4]);
}
