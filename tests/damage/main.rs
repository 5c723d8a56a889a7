//! A file that the disk has damaged: each read returns what was written, or an error that reports the
//! damage.
//!
//! `HOOKLINE_DAMAGED_COPIES=2000 cargo test --test damage -- --nocapture` damages that many copies and
//! prints the verdicts.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "../kit/mod.rs"]
mod kit;
mod questions;
mod story;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hookline::error::ErrorKind;

use self::questions::{Answers, ask};

/// The number of damaged copies, unless the environment gives another.
const COPIES: usize = 200;
/// Threads that damage copies.
const WORKERS: usize = 2;
/// The most bytes that are damaged in one copy.
const BYTES_MAX: u64 = 4;

/// A sequence of numbers that is the same at every run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The verdict on one damage.
#[derive(Debug, Default)]
struct Verdict {
    /// Answers that were neither right nor an error about the file.
    wrong: Vec<String>,
    /// Answers with missing rows.
    short: Vec<String>,
    /// Whether any read was refused.
    refused: bool,
    /// Whether `doctor` says that the file is damaged.
    found: bool,
}

#[test]
fn a_damaged_file_gives_the_right_answer_or_says_that_it_is_damaged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole.db");
    story::write(&whole);
    let bytes = fs::read(&whole).expect("the file is read");
    let copy = folder.path().join("copy.db");
    fs::write(&copy, &bytes).expect("a copy is written");
    let right = ask(&copy);
    assert_all_answered(&right);

    let asked = std::env::var("HOOKLINE_DAMAGED_COPIES").ok();
    let copies = asked.and_then(|count| count.parse().ok()).unwrap_or(COPIES);
    let judged = &|worker: usize| {
        let mut chance = Chance(worker as u64);
        let copy = folder.path().join(format!("copy-{worker}.db"));
        let verdicts = (0..copies / WORKERS).map(|_| {
            let mut damaged = bytes.clone();
            for _ in 0..=chance.below(BYTES_MAX) {
                let at = chance.below(bytes.len() as u64) as usize;
                damaged[at] ^= 1 + chance.below(255) as u8;
            }
            remove(&copy);
            fs::write(&copy, &damaged).expect("a copy is written");
            judge(&right, &ask(&copy))
        });
        verdicts.collect::<Vec<_>>()
    };
    let verdicts: Vec<Verdict> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..WORKERS).map(|worker| scope.spawn(move || judged(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("it judges")).collect()
    });
    report(&verdicts);
    let wrong: Vec<_> = verdicts.iter().flat_map(|verdict| &verdict.wrong).collect();
    assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), &wrong[..wrong.len().min(9)]);
    let silent: Vec<_> = verdicts.iter().filter(|v| !v.short.is_empty() && !v.found).collect();
    assert!(silent.is_empty(), "doctor does not find: {silent:#?}");
}

/// Changes of a table that bypass its checksum, and the questions to ask then.
fn changes() -> Vec<(&'static str, &'static str, String)> {
    let of = |what: &str| format!("{what} of run 4, data true");
    vec![
        ("runs", "SET deployment_id = 'x' WHERE run_id LIKE '%4'", of("run")),
        ("runs", "SET error = '{}' WHERE run_id LIKE '%4'", of("run")),
        (
            "events",
            "SET payload = zeroblob(length(payload)) WHERE payload IS NOT NULL",
            of("events Ascending"),
        ),
        (
            "events",
            "SET payload = zeroblob(length(payload)) WHERE payload IS NOT NULL",
            of("steps"),
        ),
        ("events", "SET payload_format = 2 WHERE payload IS NOT NULL", of("events Descending")),
        ("events", "SET created_at_ms = 1", of("events by correlation id")),
        ("steps", "SET attempt = attempt + 1", of("step in any")),
        ("steps", "SET status = 'running'", of("steps")),
        ("hooks", "SET is_webhook = 1", "hook by token 4".into()),
        ("waits", "SET resume_at_ms = 1", of("messages and waits")),
        ("messages", "SET body = X'00'", of("messages and waits")),
        ("messages", "SET queue_name = 'a'", "dead messages".into()),
        ("streams", "SET chunk_count = 3", of("stream")),
        ("chunks", "SET bytes = X'00' WHERE bytes NOT NULL", of("stream")),
        ("resume_keys", "SET payload_digest = 'a'", "earlier resume".into()),
    ]
}

#[test]
fn a_value_that_was_changed_is_corrupt_and_names_its_table_and_doctor_finds_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole.db");
    story::write(&whole);
    for (table, change, question) in changes() {
        let copy = folder.path().join("copy.db");
        remove(&copy);
        fs::copy(&whole, &copy).expect("it is copied");
        let connection = rusqlite::Connection::open(&copy).expect("SQLite opens");
        connection.execute(&format!("UPDATE {table} {change}"), []).expect(change);
        drop(connection);
        let answers = ask(&copy);
        let error = answers[&question].as_ref().expect_err(change);
        assert_eq!(error.kind, ErrorKind::Corrupt, "{change}: {error}");
        assert_eq!(error.details["table"], table, "{change}: {error}");
        assert!(error.message.contains("restore it from a backup"), "{error}");
        let damages = answers["damages"].as_ref().expect("doctor looks");
        assert!(damages.iter().any(|damage| damage.contains(table)), "{change}: {damages:?}");
    }
}

#[test]
fn a_long_value_that_was_changed_or_lost_is_corrupt_and_names_the_row_that_has_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = folder.path().join("whole.db");
    story::write(&whole);
    let changes = [
        ("UPDATE long_values SET bytes = zeroblob(length(bytes))", ""),
        ("UPDATE long_values SET bytes = X'00'", ""),
        ("UPDATE long_values SET number = -number", ""),
        ("DELETE FROM long_values", ""),
        ("UPDATE events SET payload_number = 1 WHERE payload_number > 0", "events"),
        (
            "UPDATE events SET payload_number = NULL, payload = X'00' WHERE payload_number > 0",
            "events",
        ),
        ("UPDATE chunks SET bytes_number = bytes_number - 1", "chunks"),
    ];
    let questions = [
        ("events", "events Ascending of run 12, data true"),
        ("events", "run of run 12, data true"),
        ("events", "steps of run 12, data true"),
        ("chunks", "stream of run 12, data true"),
    ];
    for (change, only) in changes {
        let copy = folder.path().join("copy.db");
        remove(&copy);
        fs::copy(&whole, &copy).expect("it is copied");
        let connection = rusqlite::Connection::open(&copy).expect("SQLite opens");
        connection.execute(change, []).expect(change);
        drop(connection);
        let answers = ask(&copy);
        for (table, question) in questions.iter().filter(|(table, _)| table.contains(only)) {
            let error = answers[*question].as_ref().expect_err(change);
            assert_eq!(error.kind, ErrorKind::Corrupt, "{change}: {error}");
            assert_eq!(error.details["table"], *table, "{change}: {error}");
            let damages = answers["damages"].as_ref().expect("doctor looks");
            assert!(damages.iter().any(|damage| damage.contains(table)), "{change}: {damages:?}");
        }
        let shown = answers["events Ascending of run 12, data false"].as_ref();
        assert!(shown.is_ok(), "{change}: the rest of a row is read without its payload");
    }
}

#[test]
fn a_damaged_message_does_not_hold_the_others_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("world.db");
    story::write(&path);
    let connection = rusqlite::Connection::open(&path).expect("SQLite opens");
    let count = |condition: &str| -> i64 {
        let sql = format!("SELECT count(*) FROM messages WHERE {condition}");
        connection.query_row(&sql, [], |row| row.get(0)).expect("they count")
    };
    let last = "message_id = (SELECT max(message_id) FROM messages)";
    connection
        .execute(&format!("UPDATE messages SET body = X'00' WHERE {last}"), [])
        .expect("a body is changed");
    let due = count("dead_at_ms IS NULL");
    let claimed = ask(&path).remove("claim").expect("it was asked").expect("the others come");
    assert_eq!(claimed.len() as i64, due - 1);
    assert_eq!(
        count(&format!("{last} AND lease_token IS NULL AND last_error LIKE '%damaged%'")),
        1
    );
}

/// Checks that every question has rows in the undamaged file. A question without rows would compare
/// nothing.
fn assert_all_answered(right: &Answers) {
    for (question, answer) in right {
        let rows = answer.as_ref().unwrap_or_else(|error| panic!("{question}: {error}"));
        assert!(question == "damages" || !rows.is_empty(), "{question} has no answer");
    }
}

fn judge(right: &Answers, given: &Answers) -> Verdict {
    let mut verdict = Verdict::default();
    for (question, right) in right {
        let Ok(rows) = right else { continue };
        match (question.as_str(), &given[question]) {
            ("damages", answer) => verdict.found = answer.as_ref() != Ok(rows),
            (_, Err(error)) if tells_damage(error.kind) => verdict.refused = true,
            (_, Err(error)) if is_not_found(error.kind) => verdict.short.push(question.clone()),
            (_, Err(error)) => verdict.wrong.push(format!("{question}: {error:?}")),
            (_, Ok(given)) => match first_strange(given, rows) {
                Some(strange) => verdict.wrong.push(format!("{question}: {strange:.300}")),
                None if given.len() < rows.len() => verdict.short.push(question.clone()),
                None => {}
            },
        }
    }
    verdict
}

/// A row that never existed, is given twice, or is out of order.
fn first_strange<'a>(given: &'a [String], right: &[String]) -> Option<&'a String> {
    let mut rest = right.iter();
    given.iter().find(|row| !rest.any(|right| right == *row))
}

fn tells_damage(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Corrupt
            | ErrorKind::ForeignFile
            | ErrorKind::CannotOpen
            | ErrorKind::NewerDatabase
            | ErrorKind::ReadOnly
            | ErrorKind::Io
    )
}

fn is_not_found(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::RunNotFound | ErrorKind::HookNotFound)
}

fn report(verdicts: &[Verdict]) {
    let count = |is: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|v| is(v)).count();
    println!(
        "{} copies: {} with another answer, {} with a missing one, {} refused, {} as if whole; \
         doctor finds {}",
        verdicts.len(),
        count(&|v| !v.wrong.is_empty()),
        count(&|v| v.wrong.is_empty() && !v.short.is_empty()),
        count(&|v| v.wrong.is_empty() && v.short.is_empty() && v.refused),
        count(&|v| v.wrong.is_empty() && v.short.is_empty() && !v.refused),
        count(&|v| v.found),
    );
    let mut by_question = BTreeMap::<&str, usize>::new();
    for wrong in verdicts.iter().flat_map(|verdict| verdict.wrong.iter().chain(&verdict.short)) {
        let question = wrong.split([':', ',']).next().unwrap_or_default();
        let kind = question.trim_end_matches(|c: char| c.is_ascii_digit());
        *by_question.entry(kind).or_default() += 1;
    }
    println!("{by_question:#?}");
}

fn remove(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        // Some files do not exist.
        let _ = fs::remove_file(name);
    }
}
