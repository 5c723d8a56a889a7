//! Storage faults: files that are not ours, folders that are not writable, a full disk, a damaged page,
//! more work than fits. Each fault has its kind and a message with the remedy, and never leaves
//! anything half-written.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::{Event, EventBody, EventRequest};
use hookline::domain::page::PageRequest;
use hookline::domain::payload::Payload;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::fault_plan::FaultPlan;
use hookline::store::sqlite::{Location, SqliteOptions, SqliteStore};
use hookline::store::{CommitNews, Completion, EventQuery, EventReply, Store};
use rusqlite::Connection;
use tempfile::TempDir;

use kit::rows::*;
use kit::{PATIENCE, World, hold_writer, news_of, open_file, options, settled, step_message};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(path: &Path) -> Result<SqliteStore, WorldError> {
    open_file(path, &Arc::new(ManualClock::at(NOW_MS)))
}

/// Opens a path that must be refused. The error names the path and has the right kind.
#[track_caller]
fn refused(path: &Path) -> WorldError {
    let error = open(path).err().expect("the path is refused");
    assert!(error.message.contains(&path.display().to_string()), "{error}");
    error
}

fn append(store: &dyn Store, request: EventRequest) -> Result<EventReply, WorldError> {
    settled(|done| store.append_event(request, done))
}

fn log_length(store: &dyn Store) -> Result<usize, WorldError> {
    let query = EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: None,
        page: PageRequest::first(1000),
        resolve_data: true,
    };
    settled(|done| store.events(query, done)).map(|page| page.items.len())
}

/// A store at this path with a running run and a hook: three events.
fn store_with_hook(path: &Path) -> SqliteStore {
    let store = open(path).expect("the file opens");
    let bodies = [
        EventBody::RunCreated(creation()),
        EventBody::RunStarted(None),
        hook_created("h", "token"),
    ];
    for body in bodies {
        append(&store, request(1, body)).expect("it is logged");
    }
    store
}

/// A payload for the hook of [`store_with_hook`].
fn received(bytes: usize) -> EventRequest {
    let payload = Some(Payload::Bytes(vec![7; bytes]));
    EventRequest { payload, ..request(1, hook_received("h", None)) }
}

/// The result of SQLite's own check of a file.
fn integrity(path: &Path) -> String {
    Connection::open(path)
        .and_then(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .expect("SQLite can say")
}

#[test]
fn a_missing_folder_is_made() {
    let folder = folder();
    let path = folder.path().join("a").join("b").join("world.db");
    open(&path).expect("the folders are made");
    assert!(path.is_file());
}

#[cfg(unix)]
#[test]
fn the_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = folder.path().join("world.db");
    let store = store_with_hook(&path);
    for side in ["", "-wal", "-shm"] {
        let mut name = path.clone().into_os_string();
        name.push(side);
        let mode = fs::metadata(&name).expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", PathBuf::from(name).display());
    }
    store.close();
}

#[test]
fn an_empty_file_becomes_a_database() {
    let folder = folder();
    let path = folder.path().join("world.db");
    fs::write(&path, "").expect("the file is made");
    assert_eq!(log_length(&store_with_hook(&path)), Ok(3));
}

#[test]
fn a_text_file_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    let text = "remember the milk\n".repeat(1000);
    fs::write(&path, &text).expect("the file is made");
    assert_eq!(refused(&path).kind, ErrorKind::ForeignFile);
    assert_eq!(fs::read_to_string(&path).expect("it is still there"), text);
}

#[test]
fn a_short_text_file_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "hi").expect("the file is made");
    assert_eq!(refused(&path).kind, ErrorKind::ForeignFile);
    assert_eq!(fs::read_to_string(&path).expect("it is still there"), "hi");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("theirs.db");
    let db = Connection::open(&path).expect("SQLite opens");
    db.execute_batch("CREATE TABLE runs (x); INSERT INTO runs VALUES (1)").expect("theirs");
    drop(db);
    let before = fs::read(&path).expect("it is there");
    let error = refused(&path);
    assert_eq!(error.kind, ErrorKind::ForeignFile);
    assert!(error.message.contains("another program"), "{error}");
    assert!(before == fs::read(&path).expect("it is still there"), "the file was changed");
    let left = fs::read_dir(folder.path()).expect("the folder is read").count();
    assert_eq!(left, 1, "only their file is there");
}

#[test]
fn a_database_of_a_newer_engine_is_refused_and_says_what_to_do() {
    let folder = folder();
    let path = folder.path().join("world.db");
    store_with_hook(&path).close();
    let db = Connection::open(&path).expect("SQLite opens");
    db.execute_batch(
        "INSERT INTO migrations SELECT max(number) + 1, 'later', 'x', 1 FROM migrations",
    )
    .expect("a later migration");
    drop(db);
    let error = refused(&path);
    assert_eq!(error.kind, ErrorKind::NewerDatabase);
    assert!(error.message.contains("upgrade hookline"), "{error}");
}

#[test]
fn a_process_of_an_older_version_stops_when_a_newer_one_migrates_the_open_file() {
    let folder = folder();
    let path = folder.path().join("world.db");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    store_with_hook(&path).close();
    let store = open_file(&path, &clock).expect("the file opens");
    let newer = Connection::open(&path).expect("SQLite opens");
    let later = "BEGIN; \
         INSERT INTO migrations SELECT max(number) + 1, 'later', 'x', 1 FROM migrations; \
         PRAGMA user_version = 99; COMMIT";
    newer.execute_batch(later).expect("a later migration");
    let refused = append(&store, received(1)).expect_err("nothing more is written");
    assert_eq!(refused.kind, ErrorKind::NewerDatabase);
    assert!(refused.message.contains("upgrade hookline"), "{refused}");
    let events: i64 =
        newer.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).expect("they count");
    assert_eq!(events, 3);
    // A reader checks once a second.
    clock.set(NOW_MS + 1000);
    assert_eq!(log_length(&store).expect_err("a list").kind, ErrorKind::NewerDatabase);
    assert_eq!(
        settled(|done| store.run_by_id(&run_id(1)).settle(done)).expect_err("a run").kind,
        ErrorKind::NewerDatabase
    );
}

#[test]
fn a_table_that_a_newer_version_has_changed_is_not_taken_for_damaged() {
    let folder = folder();
    let path = folder.path().join("world.db");
    let store = store_with_hook(&path);
    let newer = Connection::open(&path).expect("SQLite opens");
    let later = "BEGIN; \
         INSERT INTO migrations SELECT max(number) + 1, 'later', 'x', 1 FROM migrations; \
         ALTER TABLE events RENAME COLUMN data TO details; \
         PRAGMA user_version = 99; COMMIT";
    newer.execute_batch(later).expect("a later migration");
    assert_eq!(log_length(&store).expect_err("a list").kind, ErrorKind::NewerDatabase);
}

#[test]
fn a_folder_in_place_of_the_file_cannot_be_opened() {
    let folder = folder();
    assert_eq!(refused(folder.path()).kind, ErrorKind::CannotOpen);
}

#[test]
fn a_file_in_place_of_the_folder_cannot_be_opened() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "x").expect("the file is made");
    assert_eq!(refused(&file.join("world.db")).kind, ErrorKind::CannotOpen);
}

#[test]
fn a_damaged_page_is_corrupt_and_everything_else_goes_on() {
    let folder = folder();
    let path = folder.path().join("world.db");
    store_with_hook(&path).close();
    overwrite_root_page(&path, "events");
    let store = open(&path).expect("the first page is intact");
    let errors = [
        log_length(&store).expect_err("the log cannot be read"),
        append(&store, received(1)).expect_err("nothing can be appended"),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Corrupt);
        assert!(error.message.contains("damaged"), "{error}");
        assert_eq!(error.details["path"], path.display().to_string());
    }
    assert!(settled(|done| store.run_by_id(&run_id(1)).settle(done)).is_ok());
    assert!(settled(|done| store.enqueue(step_message("a"), 0, done)).is_ok());
}

#[test]
fn a_damaged_first_page_is_refused() {
    let folder = folder();
    let path = folder.path().join("world.db");
    store_with_hook(&path).close();
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[100..4096].fill(0xff);
    fs::write(&path, &bytes).expect("it is damaged");
    assert_eq!(refused(&path).kind, ErrorKind::Corrupt);
}

/// Overwrites the first page of a table, as a failing disk would.
fn overwrite_root_page(path: &Path, table: &str) {
    let db = Connection::open(path).expect("SQLite opens");
    const ROOT: &str = "SELECT rootpage FROM sqlite_schema WHERE name = ?";
    let page: u32 = db.query_row(ROOT, [table], |row| row.get(0)).expect("the table is there");
    let size: u32 =
        db.query_row("PRAGMA page_size", [], |row| row.get(0)).expect("pages have a size");
    drop(db);
    let mut bytes = fs::read(path).expect("it is there");
    let (page, size) = (page as usize, size as usize);
    bytes[(page - 1) * size..page * size].fill(0xff);
    fs::write(path, &bytes).expect("it is damaged");
}

/// Makes SQLite refuse a write under a condition.
fn make_bad(world: &World, write: &str, condition: &str) {
    let db = Connection::open(world.path()).expect("SQLite opens");
    let trigger = format!(
        "CREATE TRIGGER bad BEFORE {write} WHEN {condition}
         BEGIN SELECT raise(ABORT, 'refused by the test'); END"
    );
    db.execute_batch(&trigger).expect("the trigger is made");
}

/// Listens to all commits from now on. While the writer is held, the news of all earlier commits has
/// been delivered.
fn commits_of(world: &World) -> std::sync::mpsc::Receiver<CommitNews> {
    let release = hold_writer(world);
    let told = news_of(&*world.store, Clone::clone);
    drop(release);
    told
}

#[test]
fn bad_operations_of_a_batch_fail_alone_and_the_others_are_one_commit() {
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    make_bad(&world, "INSERT ON events", "new.data = 'bad'");
    let told = commits_of(&world);
    let requests = (0..200)
        .map(|number| {
            let data = (number % 10 == 5).then(|| "bad".to_owned());
            // A long payload is written before its event.
            EventRequest { data, ..received(40 * number) }
        })
        .collect();
    let outcomes = world.append_together(requests);
    let mut position = 3;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        if number % 10 == 5 {
            let error = outcome.expect_err("it is bad");
            assert_eq!(error.kind, ErrorKind::Internal, "{error}");
            assert!(error.message.contains("refused by the test"), "{error}");
            assert!(error.message.contains(&world.path().display().to_string()), "{error}");
        } else {
            position += 1;
            let event = outcome.expect("it is good").event.expect("it was logged");
            assert_eq!(event.position, position, "the neighbours keep their order");
        }
    }
    let log = world.log(1);
    assert_eq!(log.len(), 3 + 180);
    assert_eq!(log[6].payload, Some(Payload::Bytes(vec![7; 120])));
    assert_eq!(log[182].payload, Some(Payload::Bytes(vec![7; 40 * 199])));
    assert_eq!(integrity(&world.path()), "ok");
    world.store.close();
    // One for each message that held the writer, and one for all others.
    assert_eq!(told.try_iter().count(), 3);
}

#[test]
fn an_operation_that_fails_when_it_has_written_leaves_nothing_and_tells_nobody() {
    let world = World::on_file();
    for run in 1..=3 {
        world.does(run, EventBody::RunCreated(creation()));
    }
    let names = |event: &Event| event.event_type;
    make_bad(&world, "UPDATE ON runs", &format!("new.run_id = '{}'", run_id(2)));
    let before: Vec<_> = world.log(2).iter().map(names).collect();
    let told = commits_of(&world);
    let ends = (1..=3).map(|run| request(run, EventBody::RunCompleted)).collect();
    let ended: Vec<bool> = world.append_together(ends).iter().map(Result::is_ok).collect();
    assert_eq!(ended, [true, false, true]);
    assert_eq!(world.log(2).iter().map(names).collect::<Vec<_>>(), before);
    let view = settled(|done| world.store.run(run_id(2), true, done)).expect("it is there");
    assert_eq!(view.run.completed_at_ms, None);
    world.store.close();
    let told: Vec<_> = told.try_iter().flat_map(|news| news.ended_runs).collect();
    assert_eq!(told, [run_id(1), run_id(3)]);
}

#[test]
fn a_batch_of_refusals_and_events_is_one_commit() {
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let told = commits_of(&world);
    let unknown = || request(1, step_started("unknown"));
    let requests = vec![received(1), unknown(), received(1), unknown(), received(1)];
    let outcomes = world.append_together(requests);
    let allowed: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(allowed, [true, false, true, false, true]);
    world.store.close();
    // One for each message that held the writer, and one for all others.
    assert_eq!(told.try_iter().count(), 3);
}

#[test]
fn more_than_the_writer_can_hold_is_refused_at_once() {
    const WAITING_OPERATIONS_MAX: usize = 65_536;
    let world = World::in_memory();
    let release = hold_writer(&world);
    for _ in 0..WAITING_OPERATIONS_MAX {
        world.store.extend(Vec::new(), 1, Completion::ignored());
    }
    let error = settled(|done| world.store.extend(Vec::new(), 1, done)).expect_err("it is full");
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert_eq!(error.details["retryAfter"], 1);
    drop(release);
    // Once there is space again, the store continues.
    let mut outcome = Err(error);
    while outcome.as_ref().is_err_and(|error: &WorldError| error.kind == ErrorKind::Throttled) {
        outcome = settled(|done| world.store.extend(Vec::new(), 1, done));
    }
    assert_eq!(outcome, Ok(Vec::new()));
}

#[test]
fn larger_values_than_memory_should_hold_are_refused_at_once_though_they_are_few() {
    let world = World::in_memory();
    let release = hold_writer(&world);
    let write = |done| {
        let chunks = vec![vec![7; 50 << 20]];
        world.store.write_stream("s".into(), run_id(1), chunks, done);
    };
    let (first, second) = (Completion::channel(), Completion::channel());
    write(first.0);
    write(second.0);
    let refused = settled(write).expect_err("it is full");
    assert_eq!(
        (refused.kind, refused.details["retryAfter"].as_i64()),
        (ErrorKind::Throttled, Some(1))
    );
    drop(release);
    for written in [first.1, second.1] {
        written.recv().expect("it is settled").expect("what was accepted is written");
    }
    settled(write).expect("there is room again");
}

/// Tells a child process that it may mount file systems.
const INSIDE: &str = "HOOKLINE_TEST_INSIDE_A_MOUNT_NAMESPACE";

/// Runs the calling test again in its own user and mount namespace, in which it may mount as root.
/// Returns whether this is that run. On a host that does not allow namespaces, the test prints that it
/// is skipped.
fn inside_a_mount_namespace(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let possible = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .output();
    match possible {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            println!("{test} is skipped: this host lets nobody mount: {why}");
            return false;
        }
        Err(error) => {
            println!("{test} is skipped: no unshare on this host: {error}");
            return false;
        }
    }
    let executable = std::env::current_exe().expect("the test executable");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(executable)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("the child starts");
    assert!(status.success(), "{test} failed inside its mount namespace, see above");
    false
}

/// Mounts a small disk of this many kilobytes on a folder.
fn mount_disk(folder: &Path, kilobytes: usize) {
    mount(&["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"], folder);
}

fn mount(options: &[&str], folder: &Path) {
    let status = Command::new("mount").args(options).arg(folder).status();
    assert!(status.expect("mount is there").success(), "mount {options:?}");
}

#[test]
fn a_folder_that_may_not_be_written_is_read_only() {
    if !inside_a_mount_namespace("a_folder_that_may_not_be_written_is_read_only") {
        return;
    }
    let folder = folder();
    mount_disk(folder.path(), 4096);
    let existing = folder.path().join("world.db");
    store_with_hook(&existing).close();
    mount(&["-o", "remount,ro"], folder.path());
    let before = fs::read(&existing).expect("it is readable");
    for name in ["world.db", "new.db", "new/a.db"] {
        let error = refused(&folder.path().join(name));
        assert_eq!(error.kind, ErrorKind::ReadOnly, "{error}");
        assert_eq!(error.details["status"], 500);
    }
    assert!(before == fs::read(&existing).expect("it is readable"), "the file was changed");
}

#[test]
fn a_full_disk_refuses_whole_events_and_recovers_when_there_is_space() {
    if !inside_a_mount_namespace(
        "a_full_disk_refuses_whole_events_and_recovers_when_there_is_space",
    ) {
        return;
    }
    let folder = folder();
    mount_disk(folder.path(), 4096);
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect("there is space yet");
    let path = folder.path().join("world.db");
    let store = store_with_hook(&path);
    let mut logged = 3;
    let error = loop {
        match append(&store, received(50_000)) {
            Ok(_) => logged += 1,
            Err(error) => break error,
        }
        assert!(logged < 1000, "the disk never fills");
    };
    assert!(matches!(error.kind, ErrorKind::StorageFull | ErrorKind::Io), "{error}");
    assert!(error.message.contains("space"), "{error}");
    assert!(error.details["status"].as_u64().is_some_and(|status| status >= 500));
    // On every attempt: nothing of it is there, and all acknowledged writes are.
    for _ in 0..5 {
        append(&store, received(200_000)).expect_err("the disk is still full");
        assert_eq!(log_length(&store), Ok(logged));
    }
    fs::remove_file(&ballast).expect("space is freed");
    for _ in 0..5 {
        let reply = append(&store, received(50_000)).expect("the same store works again");
        logged += 1;
        assert_eq!(reply.event.expect("it was logged").position, logged as i64);
    }
    store.close();
    assert_eq!(integrity(&path), "ok");
    assert_eq!(log_length(&open(&path).expect("it opens again")), Ok(logged));
}

#[test]
fn a_full_disk_cannot_be_opened_on_and_leaves_nothing_that_cannot_be_opened_later() {
    let name = "a_full_disk_cannot_be_opened_on_and_leaves_nothing_that_cannot_be_opened_later";
    if !inside_a_mount_namespace(name) {
        return;
    }
    let folder = folder();
    mount_disk(folder.path(), 1024);
    let ballast = folder.path().join("ballast");
    fs::write(&ballast, vec![0; 1012 * 1024]).expect("there is space yet");
    let path = folder.path().join("world.db");
    let error = refused(&path);
    assert!(matches!(error.kind, ErrorKind::StorageFull | ErrorKind::Io), "{error}");
    fs::remove_file(&ballast).expect("space is freed");
    assert_eq!(log_length(&store_with_hook(&path)), Ok(3));
    assert_eq!(integrity(&path), "ok");
}

#[test]
fn a_planned_fault_is_that_of_the_operation_that_it_counts_and_of_no_claim_beside_it() {
    let (clock, plan) = (Arc::new(ManualClock::at(NOW_MS)), Arc::<FaultPlan>::default());
    let in_memory = options(Location::Memory("planned".into()), &clock);
    let store = SqliteStore::open(SqliteOptions { faults: Some(Arc::clone(&plan)), ..in_memory });
    let world = World::of(Arc::new(store.expect("memory opens")), clock);
    let release = hold_writer(&world);
    plan.fail_commit(1, WorldError::new(ErrorKind::Io, "planned"));
    // Both wait until the writer takes all operations that have arrived.
    let (done, enqueued) = Completion::channel();
    world.store.enqueue(step_message("a"), 0, done);
    let (done, freed) = Completion::channel();
    world.store.free_dead_leases(done);
    drop(release);
    let enqueued = enqueued.recv_timeout(PATIENCE).expect("it settles");
    assert_eq!(enqueued.expect_err("the fault is its own").kind, ErrorKind::Io);
    assert_eq!(freed.recv_timeout(PATIENCE).expect("it settles"), Ok(0));
}
