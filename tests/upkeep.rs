//! The operations for the person who runs a World.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::message::{NewMessage, Purpose};
use hookline::domain::transition::replay::{PastEvent, PastFact};
use hookline::error::{ErrorKind, WorldError};
use hookline::store::sqlite::{Location, SqliteStore};
use hookline::store::upkeep::{Examination, Upkeep};
use hookline::store::{Completion, Store};
use tempfile::TempDir;

use kit::rows::*;
use kit::{PATIENCE, news_of, open_file, options, settled, step_message};

struct Place {
    folder: TempDir,
    store: SqliteStore,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = open_file(&folder.path().join("world.db"), &clock).expect("the file opens");
    Place { folder, store }
}

fn append(store: &SqliteStore, run: u64, body: EventBody) {
    settled(|done| store.append_event(request(run, body), done)).expect("the rules allow it");
}

/// A run of another World that waits for a hook.
fn import_waiting_run(store: &SqliteStore, run: u64, token: &str) -> Result<(), WorldError> {
    let bodies =
        [EventBody::RunCreated(creation()), EventBody::RunStarted(None), hook_created("h", token)];
    let past = |body| PastEvent {
        created_at_ms: NOW_MS - 1000,
        fact: PastFact::Asked(Box::new(request(run, body))),
    };
    settled(|done| store.import_run(run_id(run), bodies.map(past).to_vec(), done))
}

#[test]
fn an_imported_run_waits_for_its_hook_and_is_woken_once() {
    let Place { folder: _folder, store } = place();
    import_waiting_run(&store, 1, "token").expect("it is imported");
    let hook = settled(|done| store.hook_by_token(&HookToken::new("token")).settle(done))
        .expect("the hook lives");
    assert_eq!(hook.hook.created_at_ms, NOW_MS - 1000);
    let outlook = settled(|done| store.outlook(run_id(1), done)).expect("it is read");
    assert_eq!(outlook.messages.len(), 1);
    let again = import_waiting_run(&store, 1, "token");
    assert_eq!(again.expect_err("it is here").kind, ErrorKind::EntityConflict);
}

#[test]
fn who_awaits_a_hook_is_told_when_it_is_imported() {
    let Place { folder: _folder, store } = place();
    let imported = news_of(&store, |news| news.hooks.clone());
    import_waiting_run(&store, 1, "token").expect("it is imported");
    let hooks = imported.recv_timeout(PATIENCE).expect("a commit is told");
    assert_eq!(hooks, [HookToken::new("token")]);
}

#[test]
fn the_outlook_names_the_messages_of_steps_live_and_dead_and_reads_no_others() {
    let Place { folder, store } = place();
    append(&store, 1, EventBody::RunCreated(creation()));
    append(&store, 1, EventBody::RunStarted(None));
    for step in ["live", "dead"] {
        append(&store, 1, step_created(step));
    }
    for (run, step) in [(1, "live"), (1, "dead"), (2, "other")] {
        let purpose = Purpose::Step { run_id: run_id(run), step_id: id(step) };
        let message = NewMessage { purpose, ..step_message("of a step") };
        settled(|done| store.enqueue(message, 0, done)).expect("it is enqueued");
    }
    let connection = rusqlite::Connection::open(folder.path().join("world.db")).expect("it opens");
    let bury = "UPDATE messages SET dead_at_ms = 1 WHERE step_id LIKE '%dead%'";
    connection.execute(bury, []).expect("the table is changed");
    let outlook = settled(|done| store.outlook(run_id(1), done)).expect("it is read");
    let steps: Vec<_> = outlook.messages.into_iter().map(|message| message.step_id).collect();
    assert_eq!(steps, [Some(id("live")), Some(id("dead"))]);
}

#[test]
fn a_token_that_is_taken_here_refuses_the_whole_run() {
    let Place { folder: _folder, store } = place();
    import_waiting_run(&store, 1, "token").expect("it is imported");
    let refused = import_waiting_run(&store, 2, "token");
    let error = refused.expect_err("the token is taken");
    assert_eq!(error.kind, ErrorKind::EntityConflict);
    assert!(!error.message.contains("\"token\""), "{}", error.message);
    let run = settled(|done| store.run(run_id(2), false, done));
    assert_eq!(run.expect_err("nothing of it is here").kind, ErrorKind::RunNotFound);
}

#[test]
fn the_outlook_of_a_run_names_its_waits_and_nothing_of_other_runs() {
    let Place { folder: _folder, store } = place();
    for run in [1, 2] {
        append(&store, run, EventBody::RunCreated(creation()));
        append(&store, run, EventBody::RunStarted(None));
        let resume_at_ms = NOW_MS + 60_000;
        append(&store, run, EventBody::WaitCreated { wait: id("w"), resume_at_ms });
        append(&store, run, EventBody::WaitCreated { wait: id("over"), resume_at_ms: NOW_MS });
        append(&store, run, EventBody::WaitCompleted { wait: id("over") });
    }
    let outlook = settled(|done| store.outlook(run_id(1), done)).expect("it is read");
    let waits: Vec<_> = outlook.waits.iter().map(|wait| wait.correlation_id.as_str()).collect();
    assert_eq!(waits, ["w"]);
}

#[test]
fn a_backup_holds_what_was_committed_and_replaces_no_file() {
    let Place { folder, store } = place();
    append(&store, 1, EventBody::RunCreated(creation()));
    let to = folder.path().join("backup.db");
    let made = settled(|done| store.back_up(to.clone(), done)).expect("it is made");
    assert_eq!((made.runs, made.events), (1, 1));
    let copy = open_file(&to, &Arc::new(ManualClock::at(NOW_MS))).expect("the copy opens");
    settled_run(&copy);
    let again = settled(|done| store.back_up(to.clone(), done));
    assert_eq!(again.expect_err("it is there").kind, ErrorKind::Invalid);
}

#[test]
fn of_two_backups_to_one_name_one_is_made_and_the_other_refused() {
    let Place { folder, store } = place();
    append(&store, 1, EventBody::RunCreated(creation()));
    let to = folder.path().join("backup.db");
    let backups: Vec<_> = (0..4)
        .map(|_| {
            let (done, made) = Completion::channel();
            store.back_up(to.clone(), done);
            made
        })
        .collect();
    let settled = backups.into_iter().map(|made| made.recv_timeout(PATIENCE).expect("it settles"));
    let (made, refused): (Vec<_>, Vec<_>) = settled.partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(refused.iter().all(|error| error.as_ref().unwrap_err().kind == ErrorKind::Invalid));
    let copy = open_file(&to, &Arc::new(ManualClock::at(NOW_MS))).expect("the copy opens");
    settled_run(&copy);
    assert_eq!(partials(&folder), Vec::<String>::new());
}

#[test]
fn a_backup_is_of_one_moment_while_others_write_and_needs_no_file_beside_it() {
    let Place { folder, store } = place();
    append(&store, 1, EventBody::RunCreated(creation()));
    let store = Arc::new(store);
    let (writing, stop) = (Arc::clone(&store), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let mut run = 2;
        while !stopped.load(Ordering::Relaxed) {
            // Three events in one commit: a run has all of them, or does not exist.
            import_waiting_run(&writing, run, &format!("token {run}")).expect("it is written");
            run += 1;
        }
    });
    for number in 0..5 {
        let to = folder.path().join(format!("backup-{number}.db"));
        let made = settled(|done| store.back_up(to.clone(), done)).expect("it is made");
        // The first run has one event, and each of the others has three.
        assert_eq!(made.events, 1 + 3 * (made.runs - 1));
        let header = std::fs::read(&to).expect("it is read");
        assert_eq!(header[18..20], [1, 1], "the log mode that needs no file beside it");
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("nobody panics");
}

#[test]
fn a_damaged_database_gives_no_backup() {
    let Place { folder, store } = place();
    append(&store, 1, EventBody::RunCreated(creation()));
    let connection = rusqlite::Connection::open(folder.path().join("world.db")).expect("it opens");
    connection.execute("UPDATE runs SET deployment_id = 'x'", []).expect("a value is changed");
    let to = folder.path().join("backup.db");
    let refused = settled(|done| store.back_up(to.clone(), done)).expect_err("it is damaged");
    assert_eq!(refused.kind, ErrorKind::Corrupt);
    assert!(!to.exists());
    assert_eq!(partials(&folder), Vec::<String>::new());
}

fn settled_run(store: &SqliteStore) {
    settled(|done| store.run(run_id(1), true, done)).expect("the run is in it");
}

/// Files that unfinished backups have left.
fn partials(folder: &TempDir) -> Vec<String> {
    let left = std::fs::read_dir(folder.path()).expect("the folder is read");
    let names = left.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into());
    names.filter(|name: &String| name.contains("partial")).collect()
}

#[test]
fn a_database_in_memory_is_backed_up_to_the_disk() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let memory = SqliteStore::open(options(Location::Memory("backed-up".into()), &clock));
    let store = memory.expect("memory opens");
    append(&store, 1, EventBody::RunCreated(creation()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = folder.path().join("100% of it?.db");
    let made = settled(|done| store.back_up(to.clone(), done)).expect("it is made");
    assert_eq!((made.runs, made.events), (1, 1));
}

#[test]
fn a_backup_that_cannot_be_written_leaves_nothing() {
    let Place { folder, store } = place();
    let to = folder.path().join("no-such-folder").join("backup.db");
    let error = settled(|done| store.back_up(to.clone(), done)).expect_err("no such folder");
    assert!(error.message.contains("no-such-folder"), "{}", error.message);
    assert_eq!(partials(&folder), Vec::<String>::new());
}

#[test]
fn a_sound_database_has_no_damages() {
    let Place { folder: _folder, store } = place();
    append(&store, 1, EventBody::RunCreated(creation()));
    let found = settled(|done| store.examine(done)).expect("it is examined");
    assert_eq!(found.damages(), Vec::<String>::new());
    let Examination::Sqlite(found) = found else { panic!("it is a file") };
    assert_eq!(found.journal_mode, "wal");
    assert!(found.bytes > 0);
}
