//! Two hosts on one file, played by two processes. The test starts one of them with the name of another
//! host.

#![cfg(unix)] // on other systems a claim stays until it is silent

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::Store;
use hookline::store::sqlite::{Host, Location, SqliteOptions, SqliteStore};
use kit::rows::{NOW_MS, creation, request, run_id};
use kit::{PATIENCE, options, settled};
use tempfile::TempDir;

/// Variables that tell the other process what to do. Only this file reads them.
const FILE: &str = "HOOKLINE_TEST_OF_HOSTS_FILE";
const HOST: &str = "HOOKLINE_TEST_OF_HOSTS_HOST";
/// Marks its answers in the output of the test harness.
const ANSWER: &str = "answer: ";
const HOUR_MS: i64 = 3_600_000;

fn host(name: &str) -> Host {
    Host { name: name.into(), machine: None, boot: format!("boot of {name}") }
}

fn options_on(path: &Path, name: &str, clock: &Arc<ManualClock>) -> SqliteOptions {
    SqliteOptions { host: host(name), ..options(Location::File(path.to_owned()), clock) }
}

fn open_on(path: &Path, name: &str) -> Result<SqliteStore, WorldError> {
    SqliteStore::open(options_on(path, name, &Arc::new(ManualClock::at(NOW_MS))))
}

fn start_run(store: &SqliteStore, number: u64) -> Result<(), WorldError> {
    let event = request(number, EventBody::RunCreated(creation()));
    settled(|done| store.append_event(event, done)).map(drop)
}

fn said(outcome: Result<(), WorldError>) -> String {
    match outcome {
        Ok(()) => "done".into(),
        Err(error) => format!("{} {}", error.kind.code(), error.message),
    }
}

/// The other process: opens the file, then obeys each line of its standard input.
#[test]
#[ignore = "it is the other process of the tests of this file"]
fn other_process() {
    let (Ok(path), Ok(name)) = (env::var(FILE), env::var(HOST)) else { return };
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = match SqliteStore::open(options_on(Path::new(&path), &name, &clock)) {
        Ok(store) => store,
        Err(error) => return println!("\n{ANSWER}{}", said(Err(error))),
    };
    println!("\n{ANSWER}done");
    let mut number = 1000;
    for line in std::io::stdin().lines() {
        match line.expect("the test writes lines").as_str() {
            "write" => {
                number += 1;
                println!("\n{ANSWER}{}", said(start_run(&store, number)));
            }
            "sleep" => clock.step(HOUR_MS),
            other => panic!("{other}"),
        }
    }
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(path: &Path, name: &str) -> Self {
        let mut child = Command::new(env::current_exe().expect("this test is a file"))
            .args(["--exact", "other_process", "--ignored", "--nocapture"])
            .env(FILE, path)
            .env(HOST, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test starts again");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("it writes lines");
            assert!(read > 0, "it ended without an answer");
            if let Some(answer) = line.trim_end().strip_prefix(ANSWER) {
                return answer.to_owned();
            }
        }
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.input, "{what}").expect("it reads");
    }

    fn kill(mut self) {
        self.child.kill().expect("it is killed");
        self.child.wait().expect("it ends");
    }

    fn close(self) {
        let Self { mut child, input, output: _output } = self;
        drop(input);
        assert!(child.wait().expect("it ends").success());
    }
}

fn database() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("world.db");
    (folder, path)
}

fn claim_of(path: &Path) -> PathBuf {
    path.with_file_name("world.db-owners").join("host")
}

fn renewed_at(path: &Path) -> SystemTime {
    fs::metadata(claim_of(path)).and_then(|claim| claim.modified()).expect("there is a claim")
}

/// Simulates that the host that has the file has been silent for two minutes.
fn silence(path: &Path) {
    let claim = fs::File::options().write(true).open(claim_of(path)).expect("there is a claim");
    claim.set_modified(renewed_at(path) - Duration::from_secs(120)).expect("it is set");
}

fn refusal(opened: Result<SqliteStore, WorldError>) -> WorldError {
    match opened {
        Ok(_) => panic!("the file opens"),
        Err(error) => error,
    }
}

#[test]
fn a_second_host_neither_writes_nor_reads_while_the_first_may_live_and_follows_when_it_is_silent() {
    let (_folder, path) = database();
    let mut first = Process::start(&path, "first");
    assert_eq!(first.says(), "done");
    for opened in [
        open_on(&path, "second"),
        SqliteStore::open_to_read(SqliteOptions {
            clock: Arc::new(hookline::clock::SystemClock),
            ..options_on(&path, "second", &Arc::new(ManualClock::at(NOW_MS)))
        }),
    ] {
        let error = refusal(opened);
        assert_eq!(error.kind, ErrorKind::Busy, "{error}");
        assert!(error.message.contains("\"first\""), "{}", error.message);
        assert!(error.message.contains("world.db"), "{}", error.message);
    }
    first.tell("write");
    assert_eq!(first.says(), "done");
    first.kill();
    assert_eq!(refusal(open_on(&path, "second")).kind, ErrorKind::Busy);
    // Containers of the same host need not wait, because they share their locks.
    open_on(&path, "first").expect("it opens").close();
    let second = open_on(&path, "second").expect("the last one has left");
    start_run(&second, 1).expect("it writes");
    assert!(
        settled(|done| second.run_by_id(&run_id(1001)).settle(done)).is_ok(),
        "what the first host wrote is there"
    );
}

#[test]
fn a_host_that_comes_back_after_another_has_followed_writes_nothing_more() {
    let (_folder, path) = database();
    let mut first = Process::start(&path, "first");
    assert_eq!(first.says(), "done");
    first.tell("write");
    assert_eq!(first.says(), "done");
    silence(&path);
    let second = open_on(&path, "second").expect("a silent host is followed");
    first.tell("sleep");
    for _ in 0..2 {
        first.tell("write");
        let answer = first.says();
        assert!(answer.starts_with("IO "), "{answer}");
        assert!(answer.contains("\"second\""), "{answer}");
    }
    start_run(&second, 1).expect("the second one writes");
    assert_eq!(
        settled(|done| second.run_by_id(&run_id(1002)).settle(done)).unwrap_err().kind,
        ErrorKind::RunNotFound
    );
    first.close();
    start_run(&second, 2).expect("the first one has taken nothing along");
}

#[test]
fn what_refuses_to_open_leaves_no_claim_behind() {
    let (folder, path) = database();
    fs::write(&path, b"no database at all, but long enough to look like one").expect("written");
    assert_eq!(refusal(open_on(&path, "first")).kind, ErrorKind::ForeignFile);
    assert_eq!(fs::read_dir(folder.path()).expect("it is read").count(), 1);
}

#[test]
fn a_process_that_writes_nothing_renews_the_claim_of_its_host() {
    let (_folder, path) = database();
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = SqliteStore::open(options_on(&path, "first", &clock)).expect("it opens");
    silence(&path);
    let silent = renewed_at(&path);
    clock.step(HOUR_MS);
    // Wakes the thread that renews the claim.
    store.watch_elsewhere(true);
    let deadline = std::time::Instant::now() + PATIENCE;
    while renewed_at(&path) == silent {
        assert!(std::time::Instant::now() < deadline, "the claim is renewed");
        std::thread::yield_now();
    }
    assert_eq!(refusal(open_on(&path, "second")).kind, ErrorKind::Busy);
    store.close();
    open_on(&path, "second").expect("it is free");
}
