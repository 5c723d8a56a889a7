//! No statement reads or sorts an amount that grows with the database, except for those named here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use hookline::domain::event::EventBody;
use hookline::domain::message::{NewMessage, Purpose};
use hookline::domain::transition::replay::{PastEvent, PastFact};
use hookline::store::Store;
use hookline::store::upkeep::Upkeep;

use crate::kit::rows::*;
use crate::kit::{World, open_file, settled, step_message};

/// Names the file to which a debug build writes its statements.
const STATEMENTS: &str = "HOOKLINE_TEST_STATEMENTS";

/// An allowed plan that reads all of a table or index, with the reason.
struct Exception {
    /// A part of the statement. A `$` means its end.
    statement: &'static str,
    /// A part of the line of its plan.
    plan: &'static str,
    why: &'static str,
}

const fn except(statement: &'static str, plan: &'static str, why: &'static str) -> Exception {
    Exception { statement, plan, why }
}

const ALL: &str = "examine() and a backup check every row";
const ONE_ROW: &str = "the table has one row";
const FEW_RELEASES: &str = "a release is a build of the app, and people make few of them";
const FEW_KEYS: &str = "a key ring has few keys";
const SCHEMA: &str = "the schema does not grow with the data";
const IN_FLIGHT: &str = "there are as many leases as deliveries in flight";
const NEWEST: &str = "the newest row is read, and no other";
const TAKEN_UP: &str = "all of them are taken up, once for each new code";
const ADOPTED: &str = "held messages are few, and an adoption looks at them once";
const COUNTED: &str = "a count ends at a limit";

const EXCEPTIONS: &[Exception] = &[
    except("FROM runs$", "SCAN runs", ALL),
    except("FROM events$", "SCAN events", ALL),
    except("FROM steps$", "SCAN steps", ALL),
    except("FROM hooks$", "SCAN hooks", ALL),
    except("FROM waits$", "SCAN waits", ALL),
    except("FROM messages$", "SCAN messages", ALL),
    except("FROM resume_keys$", "SCAN resume_keys", ALL),
    except("FROM streams$", "SCAN streams", ALL),
    except("FROM chunks$", "SCAN chunks", ALL),
    except("FROM encryption_keys$", "SCAN encryption_keys", ALL),
    except("FROM delivery_secret$", "SCAN delivery_secret", ONE_ROW),
    except("FROM queue_names$", "SCAN queue_names", ONE_ROW),
    except("FROM queue_time$", "SCAN queue_time", ONE_ROW),
    except("SELECT release_id FROM releases", "SCAN releases", FEW_RELEASES),
    except(
        "SELECT release_id, first_seen_ms, gone_at_ms FROM releases",
        "SCAN releases",
        FEW_RELEASES,
    ),
    except("UPDATE queue_time SET", "SCAN queue_time", ONE_ROW),
    except("UPDATE hook_numbers SET", "SCAN hook_numbers", ONE_ROW),
    except("UPDATE erasures SET", "SCAN erasures", ONE_ROW),
    except("FROM erasures WHERE asked > done", "SCAN erasures", ONE_ROW),
    except("INTO encryption_keys", "SCAN encryption_keys", FEW_KEYS),
    except("FROM encryption_keys ORDER BY", "SCAN encryption_keys", FEW_KEYS),
    except("FROM encryption_keys ORDER BY", "TEMP B-TREE", FEW_KEYS),
    except("FROM sqlite_schema", "SCAN sqlite_", SCHEMA),
    except("FROM sqlite_schema", "TEMP B-TREE", SCHEMA),
    except("FROM migrations ORDER BY number$", "SCAN migrations", SCHEMA),
    except("WHERE lease_token IS NOT NULL", "messages_leased", IN_FLIGHT),
    except("SELECT DISTINCT lease_owner", "TEMP B-TREE FOR DISTINCT", IN_FLIGHT),
    except("FROM messages ORDER BY message_id DESC LIMIT 1", "SCAN messages", NEWEST),
    except("FROM messages WHERE dead_at_ms IS NOT NULL LIMIT ?)$", "messages_dead", COUNTED),
    except("FROM messages WHERE held_at_ms IS NOT NULL LIMIT ?)$", "messages_held", COUNTED),
    except("FROM messages AS m INDEXED BY messages_held", "messages_held", ADOPTED),
    except("UPDATE messages INDEXED BY messages_held", "messages_held", TAKEN_UP),
    except("UPDATE messages INDEXED BY messages_passed_on", "messages_passed_on", TAKEN_UP),
    except("INDEXED BY messages_passed_on", "messages_passed_on", COUNTED),
    except(
        "FROM waits AS w WHERE run_id = ? AND completed_at_ms IS NULL ORDER BY (SELECT min(position)",
        "TEMP B-TREE FOR ORDER BY",
        "all open waits of the run are wanted, in the order of its log",
    ),
    except(
        "held_at_ms FROM messages WHERE run_id = ?1 ORDER BY available_at_ms, message_id",
        "TEMP B-TREE FOR ORDER BY",
        "all messages of the run are wanted",
    ),
];

/// Runs every conformance rule on sealed files in its own process; returns the statements.
fn statements() -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("statements");
    let status = Command::new(std::env::current_exe().expect("the test executable"))
        .args(["--skip", "no_statement_reads", "--skip", "in_sqlite_memory"])
        .args(["--skip", "on_a_sqlite_file"])
        .env(STATEMENTS, &file)
        .stdout(Stdio::null())
        .status()
        .expect("the child runs");
    assert!(status.success(), "the rules hold");
    let lines = fs::read_to_string(&file).expect("statements are written down");
    lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"));
    let mut statement = explained.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut lines = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().expect("it is explained") {
        lines.push(row.get(3).expect("a line of the plan"));
    }
    lines
}

/// Whether a line of a plan reads all of a table or an index, sorts, or uses an index that was not made
/// for the statement.
fn grows(sql: &str, line: &str) -> bool {
    // Subqueries have their own lines.
    let is_bounded = ["SCAN CONSTANT ROW", "SCAN (subquery"].iter().any(|it| line.starts_with(it));
    let scans = line.starts_with("SCAN ") && !is_bounded;
    let by_queue = line.contains("messages_due") && !sql.contains("INDEXED BY messages_due");
    scans || line.contains("TEMP B-TREE") || line.contains("AUTOMATIC") || by_queue
}

#[test]
fn no_statement_reads_or_sorts_what_grows() {
    let statements = statements();
    let world = World::on_file();
    let connection = Connection::open(world.path()).expect("SQLite opens");
    let stable = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable.expect("plans do not depend on parameters");
    let (mut growing, mut used) = (Vec::new(), BTreeSet::new());
    for sql in statements.iter().filter(|sql| has_plan(sql)) {
        let whole = format!("{sql}$");
        for line in plan(&connection, sql).iter().filter(|line| grows(sql, line)) {
            let excepts = |it: &Exception| whole.contains(it.statement) && line.contains(it.plan);
            match EXCEPTIONS.iter().position(excepts) {
                Some(exception) => drop(used.insert(exception)),
                None => growing.push(format!("{line}\n    {sql}")),
            }
        }
    }
    assert!(growing.is_empty(), "these grow:\n{}", growing.join("\n"));
    let unused = (0..EXCEPTIONS.len()).filter(|index| !used.contains(index));
    let unused: Vec<_> = unused.map(|index| EXCEPTIONS[index].why).collect();
    assert!(unused.is_empty(), "no statement needs these exceptions: {unused:?}");
    let unseen = unseen(&statements);
    assert!(unseen.is_empty(), "no rule runs these statements:\n{}", unseen.join("\n"));
}

fn has_plan(sql: &str) -> bool {
    ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| sql.starts_with(verb))
}

/// Statements that no rule runs, each given by a part of it.
const UNSEEN: &[(&str, &str)] = &[
    ("SELECT count(*) FROM runs", "a backup counts in its copy, which it has just read"),
    ("SELECT count(*) FROM events", "a backup counts in its copy, which it has just read"),
    ("UPDATE messages SET available_at_ms = ?2, last_error", "a damaged message, by its number"),
    ("SELECT place FROM moved", ONE_ROW),
    ("INSERT INTO moved", ONE_ROW),
    ("DELETE FROM moved", ONE_ROW),
    (
        "SELECT count(*) FROM chunks WHERE stream_number = ?",
        "a move counts those that it has copied",
    ),
];

/// A move reads and writes every row once, so it has no plan to keep; `tests/moving.rs` runs it.
const MOVING: &str = "moving.rs";

/// Parts of statements in the source that no rule has run, and whose plans are therefore not checked.
fn unseen(statements: &BTreeSet<String>) -> Vec<String> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite")];
    let mut unseen = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the source is there") {
            let path = entry.expect("the source is listed").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with(MOVING) {
                continue;
            }
            let source = fs::read_to_string(&path).expect("the source is read");
            let parts = parts_of_statements(&source).into_iter();
            let parts = parts.filter(|part| !UNSEEN.iter().any(|(of, _)| part.starts_with(of)));
            let parts = parts.filter(|part| !statements.iter().any(|sql| sql.contains(part)));
            unseen.extend(parts.map(|part| format!("{}: {part}", path.display())));
        }
    }
    unseen
}

/// The string literals that are SQL, cut where a value or a name is inserted.
fn parts_of_statements(source: &str) -> Vec<String> {
    const WORDS: [&str; 6] =
        ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", " FROM ", " WHERE "];
    let source = source.split("#[cfg(test)]").next().unwrap_or(source);
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.map(str::trim).collect::<Vec<_>>().join("\n").replace("\\\n", "");
    let code = code.replace("'\"'", "").replace("\\\"", "'");
    let literals = code.split('"').skip(1).step_by(2);
    let sql = literals.filter(|text| WORDS.iter().any(|word| text.contains(word)));
    let parts = sql.flat_map(|text| text.split(['{', '}']).step_by(2));
    parts.map(str::to_owned).filter(|part| WORDS.iter().any(|word| part.contains(word))).collect()
}

/// Not a rule of all stores. It is here so that its statements are checked.
#[test]
fn the_person_who_runs_a_world_asks_everything() {
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, wait_created("w", NOW_MS + 1000));
    let purpose = Purpose::Step { run_id: run_id(1), step_id: id("s") };
    world.enqueue(NewMessage { purpose, ..step_message("of a step") });
    let store = open_file(&world.path(), &world.clock).expect("the file opens again");
    let outlook = settled(|done| store.outlook(run_id(1), done)).expect("it is read");
    assert_eq!((outlook.messages.len(), outlook.waits.len()), (1, 1));
    let examination = settled(|done| store.examine(done)).expect("it is examined");
    assert!(examination.damages().is_empty());
    let bodies = [
        EventBody::RunCreated(creation()),
        EventBody::RunStarted(None),
        step_created("s"),
        hook_created("h", "token"),
        wait_created("w", NOW_MS + 1000),
    ];
    let past = |body| PastEvent {
        created_at_ms: NOW_MS,
        fact: PastFact::Asked(Box::new(request(2, body))),
    };
    let log = bodies.map(past).to_vec();
    settled(|done| store.import_run(run_id(2), log, done)).expect("it is imported");
    let copy = world.path().with_extension("copy");
    settled(|done| store.back_up(copy.clone(), done)).expect("it is backed up");
    open_file(&copy, &world.clock).expect("the copy opens").close();
    store.close();
}
