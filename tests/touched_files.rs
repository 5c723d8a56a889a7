//! The files of an open database are read by others, removed, replaced or linked.
#![cfg(unix)]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use hookline::clock::ManualClock;
use hookline::domain::id::HookToken;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::sqlite::{Location, SqliteStore};
use hookline::store::{Completion, Store};

use kit::rows::{NOW_MS, hook_created, hook_received, request, run_id};
use kit::{PATIENCE, World, offer, open_file, options, settled, step_message};

/// Names the database, and what to do with it, in the environment of a child process.
const CHILD_DATABASE: &str = "HOOKLINE_TEST_CHILD_DATABASE";

/// SQLite's command line from Debian.
fn sqlite3() -> &'static Path {
    static COMMAND: OnceLock<PathBuf> = OnceLock::new();
    COMMAND.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-sqlite3.sh");
        let output = Command::new(script).output().expect("the script runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
    })
}

/// Opens the database in another process, runs the SQL, and closes the database.
fn ask_elsewhere(database: &Path, sql: &str) -> String {
    let output = Command::new(sqlite3()).arg(database).arg(sql).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("it is text").trim().to_owned()
}

fn received_elsewhere(database: &Path) -> usize {
    let sql = "SELECT count(*) FROM events WHERE event_type = 'hook_received'";
    ask_elsewhere(database, sql).parse().expect("a number")
}

/// Runs the test `another_process_opens` in its own process, which opens the database and stays until
/// its input ends. Returns the first line of its output.
fn another_process(database: &Path) -> (Child, String) {
    let executable = std::env::current_exe().expect("the test executable");
    let mut child = Command::new(executable)
        .args(["--exact", "another_process_opens", "--nocapture"])
        .env(CHILD_DATABASE, database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    // The pipe stays open, because the child writes a last line when it ends.
    let output = child.stdout.as_mut().expect("its output is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let said = lines.find_map(|line| Some(line.strip_prefix("opened: ")?.to_owned()));
    (child, said.expect("the child says how it went"))
}

/// Not a test by itself: the other process of the tests below runs it.
#[test]
fn another_process_opens() {
    let Some(database) = std::env::var_os(CHILD_DATABASE).map(PathBuf::from) else { return };
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&database, &clock);
    match &store {
        Ok(_) => println!("\nopened: well"),
        Err(error) => println!("\nopened: {} {error}", error.kind.code()),
    }
    // Waits until the parent has the answer, or has ended.
    let _ = std::io::stdin().lines().count();
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn with_hook() -> World {
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    world
}

fn resume(world: &World) -> Result<(), WorldError> {
    world.tries(request(1, hook_received("h", None))).map(drop)
}

#[test]
fn what_is_acknowledged_stays_whichever_file_this_process_reads_and_whoever_closes_the_database() {
    for read in [&["", "-shm"][..], &["", "-wal", "-shm"]] {
        let world = with_hook();
        for _ in 0..5 {
            resume(&world).expect("it is received");
        }
        // Closing any of these files drops SQLite's locks on it in this process.
        for end in read {
            fs::read(beside(&world.path(), end)).expect("it is read");
        }
        assert_eq!(received_elsewhere(&world.path()), 5);
        for _ in 0..35 {
            resume(&world).expect("it is received");
        }
        assert_eq!(received_elsewhere(&world.path()), 40);
        world.store.close();
        assert_eq!(received_elsewhere(&world.path()), 40);
    }
}

#[test]
fn a_store_that_closes_leaves_the_locks_of_its_neighbour_in_place() {
    let world = with_hook();
    let closed = open_file(&world.path(), &world.clock).expect("it opens again");
    let reading = options(Location::File(world.path()), &world.clock);
    let reader = SqliteStore::open_to_read(reading).expect("it opens to read");
    closed.close();
    drop(closed);
    reader.close();
    drop(reader);
    fs::read(world.path()).expect("it is read");
    assert_eq!(received_elsewhere(&world.path()), 0);
    resume(&world).expect("it is received");
    assert_eq!(received_elsewhere(&world.path()), 1);
}

/// Every way to use the store, with its error.
fn faults_of(world: &World) -> Vec<(&'static str, WorldError)> {
    let store = &world.store;
    // Point reads check the files only after some time.
    world.clock.set(world.clock_ms() + 1000);
    let request = hookline::store::ClaimRequest {
        limit: 1,
        offer: offer(&[kit::STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: kit::LEASE_MS,
    };
    let faults = [
        ("a resume", resume(world).err()),
        ("an enqueue", settled(|done| store.enqueue(step_message("x"), 0, done)).err()),
        ("a claim", settled(|done| store.claim(request, done)).err()),
        (
            "a point read",
            settled(|done| store.hook_by_token(&HookToken::new("token")).settle(done)).err(),
        ),
        ("a list", settled(|done| store.streams_of_run(run_id(1), done)).err()),
    ];
    let told = |(what, fault): (&'static str, Option<WorldError>)| {
        (what, fault.unwrap_or_else(|| panic!("{what} was answered")))
    };
    faults.into_iter().map(told).collect()
}

#[track_caller]
fn has_stopped(world: &World) {
    for (what, fault) in faults_of(world) {
        assert_eq!(fault.kind, ErrorKind::Io, "{what}: {fault}");
        assert!(fault.is_final, "{what} may be repeated");
        assert!(fault.message.contains("removed or replaced while it was open"), "{fault}");
    }
}

#[test]
fn nothing_is_acknowledged_into_a_file_that_was_removed() {
    for end in ["", "-wal"] {
        let world = with_hook();
        fs::remove_file(beside(&world.path(), end)).expect("it is removed");
        has_stopped(&world);
        world.store.close();
        assert!(!beside(&world.path(), end).exists(), "it stays removed");
    }
}

#[test]
fn nothing_is_acknowledged_when_the_whole_folder_was_removed_and_closing_makes_none() {
    let world = with_hook();
    world.enqueue(step_message("a"));
    assert_eq!(world.claim(1).len(), 1);
    let folder = world.path().parent().expect("a folder").to_owned();
    fs::remove_dir_all(&folder).expect("it is removed");
    has_stopped(&world);
    world.store.close();
    assert!(!folder.exists());
}

#[test]
fn a_database_that_was_put_in_the_place_of_an_open_one_stays_as_it_is() {
    let world = with_hook();
    resume(&world).expect("it is received");
    let restored = with_hook();
    restored.store.close();
    fs::remove_file(beside(&world.path(), "-wal")).expect("it is removed");
    fs::remove_file(beside(&world.path(), "-shm")).expect("it is removed");
    fs::rename(restored.path(), world.path()).expect("it is put in its place");
    let before = fs::read(world.path()).expect("it is read");
    let other = open_file(&world.path(), &world.clock).expect("the new file opens beside it");
    has_stopped(&world);
    world.store.close();
    assert!(beside(&world.path(), "-wal").exists(), "the log of the new file stays");
    let received = request(1, hook_received("h", None));
    settled(|done| other.append_event(received, done)).expect("it is received");
    assert_eq!(received_elsewhere(&world.path()), 1);
    other.close();
    assert_ne!(fs::read(world.path()).expect("it is read"), before);
    assert_eq!(received_elsewhere(&world.path()), 1);
    assert_eq!(ask_elsewhere(&world.path(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_reading_store_refuses_when_its_database_was_replaced() {
    let world = with_hook();
    let reading = options(Location::File(world.path()), &world.clock);
    let reader = SqliteStore::open_to_read(reading).expect("it opens to read");
    assert!(settled(|done| reader.hook_by_token(&HookToken::new("token")).settle(done)).is_ok());
    fs::remove_file(world.path()).expect("it is removed");
    world.clock.set(world.clock_ms() + 1000);
    let fault = settled(|done| reader.hook_by_token(&HookToken::new("token")).settle(done))
        .expect_err("it has gone");
    assert_eq!((fault.kind, fault.is_final), (ErrorKind::Io, true), "{fault}");
    let fault = settled(|done| reader.streams_of_run(run_id(1), done)).expect_err("it has gone");
    assert_eq!((fault.kind, fault.is_final), (ErrorKind::Io, true), "{fault}");
}

#[test]
fn a_commit_that_was_under_way_when_the_file_went_is_not_acknowledged() {
    let world = with_hook();
    let release = kit::hold_writer(&world);
    let (done, outcome) = Completion::channel();
    world.store.append_event(request(1, hook_received("h", None)), done);
    fs::remove_file(world.path()).expect("it is removed");
    drop(release);
    let fault = outcome.recv_timeout(PATIENCE).expect("it settles").expect_err("it is lost");
    assert_eq!(fault.kind, ErrorKind::Io);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_link_to_a_file_that_is_not_there_yet_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let volume = folder.path().join("volume/deeper");
    symlink("volume/deeper/real.db", folder.path().join("first.db")).expect("it is linked");
    symlink(folder.path().join("first.db"), folder.path().join("second.db")).expect("a link to it");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&folder.path().join("second.db"), &clock).expect("it opens");
    let claim = hookline::store::ClaimRequest {
        limit: 1,
        offer: offer(&[kit::STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: kit::LEASE_MS,
    };
    settled(|done| store.claim(claim, done)).expect("it claims");
    for end in ["", "-wal", "-shm"] {
        assert_eq!(mode(&beside(&volume.join("real.db"), end)), 0o600, "{end}");
    }
    assert_eq!(mode(&volume), 0o700);
    let owners = beside(&volume.join("real.db"), "-owners");
    let locks = fs::read_dir(&owners).expect("the locks are there").count();
    assert_eq!(locks, 2, "that of the worker, and the name of the host");
    let names = |folder: &Path| fs::read_dir(folder).expect("it is read").count();
    assert_eq!(names(folder.path()), 3, "nothing else is made beside the links");
}

#[test]
fn a_link_that_leads_in_a_circle_is_refused() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let [one, two] = ["one.db", "two.db"].map(|name| folder.path().join(name));
    symlink(&one, &two).expect("it is linked");
    symlink(&two, &one).expect("it is linked");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let error = open_file(&one, &clock).map(drop).expect_err("it leads nowhere");
    assert_eq!(error.kind, ErrorKind::CannotOpen, "{error}");
}

#[test]
fn two_links_to_one_file_are_one_database_within_a_process() {
    let world = with_hook();
    let linked = world.path().with_file_name("linked.db");
    fs::hard_link(world.path(), &linked).expect("it is linked");
    let other = open_file(&linked, &world.clock).expect("it is the same database");
    let received = request(1, hook_received("h", None));
    settled(|done| other.append_event(received, done)).expect("it is received");
    assert_eq!(world.log_types(1).last(), Some(&"hook_received"));
    let reading = options(Location::File(linked.clone()), &world.clock);
    let reader = SqliteStore::open_to_read(reading).expect("it opens to read");
    assert!(settled(|done| reader.hook_by_token(&HookToken::new("token")).settle(done)).is_ok());
    for end in ["-wal", "-shm", "-owners"] {
        assert!(!beside(&linked, end).exists(), "{end}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_process_is_refused_under_another_name_and_let_in_when_the_first_has_closed() {
    let world = with_hook();
    let linked = world.path().with_file_name("linked.db");
    fs::hard_link(world.path(), &linked).expect("it is linked");
    let (mut child, said) = another_process(&linked);
    assert!(said.starts_with("CANNOT_OPEN"), "{said}");
    assert!(said.contains("another name"), "{said}");
    assert!(!beside(&linked, "-wal").exists(), "nothing was made");
    child.wait().expect("it ends");
    let (mut child, said) = another_process(&world.path());
    assert_eq!(said, "well");
    child.wait().expect("it ends");
    world.store.close();
    let (mut child, said) = another_process(&linked);
    assert_eq!(said, "well");
    child.wait().expect("it ends");
}

/// Resumes this many times, while this process reads the shared memory all the time.
fn resume_and_touch(store: &dyn Store, database: &Path, count: usize) -> usize {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::read(beside(database, "-shm")).expect("it is read");
            }
        });
        let resumes: Vec<_> = (0..count)
            .map(|_| {
                let received = request(1, hook_received("h", None));
                settled(|done| store.append_event(received, done))
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        let acknowledged = |outcome: &Result<_, WorldError>| match outcome {
            Ok(_) => true,
            Err(error) if error.kind == ErrorKind::Busy => false,
            Err(error) => panic!("{error}"),
        };
        resumes.iter().filter(|outcome| acknowledged(outcome)).count()
    })
}

/// Not a test by itself: the other process of the next test runs it.
#[test]
fn another_process_resumes() {
    let Some(database) = std::env::var_os(CHILD_DATABASE).map(PathBuf::from) else { return };
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&database, &clock).expect("it opens");
    println!("\nopened: well");
    println!("\nacknowledged: {}", resume_and_touch(&store, &database, RESUMES_OF_EACH));
}

const RESUMES_OF_EACH: usize = 400;

#[cfg(target_os = "linux")]
#[test]
fn two_processes_that_read_the_shared_memory_while_both_write_damage_nothing() {
    let world = with_hook();
    let executable = std::env::current_exe().expect("the test executable");
    let mut child = Command::new(executable)
        .args(["--exact", "another_process_resumes", "--nocapture"])
        .env(CHILD_DATABASE, world.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = child.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "opened: well"), "the child opens it");
    let mine = resume_and_touch(&*world.store, &world.path(), RESUMES_OF_EACH);
    let theirs = lines.find_map(|line| line.strip_prefix("acknowledged: ")?.parse::<usize>().ok());
    assert!(child.wait().expect("it ends").success());
    assert_eq!(received_elsewhere(&world.path()), mine + theirs.expect("the child says it"));
    assert_eq!(ask_elsewhere(&world.path(), "PRAGMA integrity_check"), "ok");
}

/// A second path to a file or folder. Dropping it unmounts it.
#[cfg(target_os = "linux")]
struct BindMount(PathBuf);

#[cfg(target_os = "linux")]
impl BindMount {
    fn of(from: &Path, to: &Path) -> Option<Self> {
        let mounted = Command::new("mount").arg("--bind").args([from, to]).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(to.to_owned()));
        }
        eprintln!("SKIPPED: bind mounts are not permitted here");
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_is_mounted_twice_is_one_and_a_file_that_is_mounted_alone_is_refused() {
    let world = with_hook();
    let elsewhere = tempfile::tempdir().expect("a folder is made");
    let folder = world.path().parent().expect("a folder").to_owned();
    let Some(_mount) = BindMount::of(&folder, elsewhere.path()) else { return };
    let (mut child, said) = another_process(&elsewhere.path().join("world.db"));
    assert_eq!(said, "well");
    child.wait().expect("it ends");
    let alone = tempfile::tempdir().expect("a folder is made");
    let file = alone.path().join("world.db");
    fs::write(&file, "").expect("a place for the mount");
    let Some(_mount) = BindMount::of(&world.path(), &file) else { return };
    let (mut child, said) = another_process(&file);
    assert!(said.starts_with("CANNOT_OPEN") && said.contains("another name"), "{said}");
    child.wait().expect("it ends");
    let (device, inode) = fs::metadata(&file).map(|file| (file.dev(), file.ino())).expect("a file");
    assert_eq!(fs::metadata(world.path()).map(|f| (f.dev(), f.ino())).ok(), Some((device, inode)));
    let other = open_file(&file, &world.clock).expect("this process knows it");
    assert!(settled(|done| other.hook_by_token(&HookToken::new("token")).settle(done)).is_ok());
    assert!(!beside(&file, "-wal").exists());
}
