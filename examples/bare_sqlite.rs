//! The limit that `bench/` measures Hookline against: a resume as bare SQLite, and nothing else.
//!
//! One indexed look-up, one event row, one update, one queue row; WAL, `synchronous=FULL`; the same
//! SQLite, the same kind of rows and as many of them. It works in short rounds, so that they can be
//! interleaved with others: it reads commands from standard input, a line each, and answers each with
//! one line of JSON.
//!
//! - `seed N` fills the file with N runs, each with one hook.
//! - `single N` resumes N hooks, one per commit.
//! - `batch SIZE N` resumes hooks in N commits of SIZE.
//! - `hold FILE` begins to read a file, and does not end until `let-go`.
//! - `drain FILE` empties the queue of a file, this one's or Hookline's, and checkpoints its log.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SCHEMA: &str = "
    CREATE TABLE runs (run_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL,
      workflow_name TEXT NOT NULL, execution_context TEXT, created_at_ms INTEGER NOT NULL,
      updated_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE events (run_id TEXT NOT NULL, position INTEGER NOT NULL, event_type TEXT NOT NULL,
      correlation_id TEXT, created_at_ms INTEGER NOT NULL, data TEXT, payload BLOB,
      PRIMARY KEY (run_id, position)) STRICT, WITHOUT ROWID;
    CREATE TABLE hooks (hook_number INTEGER PRIMARY KEY, run_id TEXT NOT NULL,
      hook_id TEXT NOT NULL, token TEXT NOT NULL UNIQUE, created_at_ms INTEGER NOT NULL) STRICT;
    CREATE TABLE messages (message_id INTEGER PRIMARY KEY, queue_name TEXT NOT NULL,
      run_id TEXT NOT NULL, body BLOB NOT NULL, available_at_ms INTEGER NOT NULL) STRICT;
    CREATE INDEX messages_due ON messages (available_at_ms, message_id);";

const WORKFLOW: &str = "workflow//./workflows/approval//approval";
const CONTEXT: &str = r#"{"workflowCoreVersion":"4.8.9"}"#;
const PAYLOAD: &[u8] = br#"devl[{"approved":1,"by":2},true,"someone@example.com"]"#;
/// Coprime to the sizes that are used: neighbours in time are no neighbours in the file.
const STRIDE: i64 = 7919;
/// As Hookline sets them.
const CHECKPOINT_PAGES: i64 = 4000;
const CACHE_KIB: i64 = 14_336;
const FIRST_MS: i64 = 1_700_000_000_000;

struct Bare {
    connection: Connection,
    holding: Option<Connection>,
    hooks: i64,
    resumed: i64,
}

fn main() -> Outcome<()> {
    let path = std::env::args().nth(1).ok_or("usage: bare_sqlite FILE")?;
    let mut bare = Bare { connection: open(&path)?, holding: None, hooks: 0, resumed: 0 };
    for line in std::io::stdin().lock().lines() {
        let answer = bare.obey(&line?)?;
        writeln!(std::io::stdout().lock(), "{answer}")?;
    }
    Ok(())
}

fn open(path: &str) -> Outcome<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

impl Bare {
    fn obey(&mut self, line: &str) -> Outcome<serde_json::Value> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["seed", hooks] => self.seed(hooks.parse()?),
            ["single", count] => self.commits(1, count.parse()?),
            ["batch", size, count] => self.commits(size.parse()?, count.parse()?),
            ["hold", path] => {
                let reader = open(path)?;
                reader.execute_batch("BEGIN")?;
                let events: i64 =
                    reader.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
                self.holding = Some(reader);
                Ok(serde_json::json!({ "events": events }))
            }
            ["let-go"] => Ok(serde_json::json!({ "held": self.holding.take().is_some() })),
            ["drain", path] => drain(path),
            _ => Err(format!("unknown command: {line}").into()),
        }
    }

    fn seed(&mut self, hooks: i64) -> Outcome<serde_json::Value> {
        let tx = self.connection.transaction()?;
        tx.execute_batch(SCHEMA)?;
        for number in 0..hooks {
            let (run_id, at_ms) = (run_id(number), FIRST_MS + number);
            tx.prepare_cached("INSERT INTO runs VALUES (?, 'running', ?, ?, ?, ?)")?
                .execute(params![run_id, WORKFLOW, CONTEXT, at_ms, at_ms])?;
            for (position, event_type) in (1..).zip(["run_created", "run_started", "hook_created"])
            {
                tx.prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)")?
                    .execute(params![run_id, position, event_type, "", at_ms, CONTEXT, PAYLOAD])?;
            }
            tx.prepare_cached("INSERT INTO hooks VALUES (?, ?, ?, ?, ?)")?.execute(params![
                number,
                run_id,
                format!("hook_{number:026}"),
                token(number),
                at_ms,
            ])?;
        }
        tx.commit()?;
        self.hooks = hooks;
        Ok(serde_json::json!({ "hooks": hooks }))
    }

    fn commits(&mut self, size: usize, count: usize) -> Outcome<serde_json::Value> {
        if self.hooks == 0 {
            return Err("seed first".into());
        }
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            self.commit(size)?;
            took.push(began.elapsed());
        }
        let total: Duration = took.iter().sum();
        took.sort_unstable();
        Ok(serde_json::json!({
            "p50Ms": quantile(&took, 50),
            "p99Ms": quantile(&took, 99),
            "perSecond": (size * count) as f64 / total.as_secs_f64(),
        }))
    }

    fn commit(&mut self, size: usize) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for _ in 0..size {
            resume(&self.connection, self.resumed, self.hooks)?;
            self.resumed += 1;
        }
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

fn resume(connection: &Connection, resumed: i64, hooks: i64) -> rusqlite::Result<()> {
    let at_ms = FIRST_MS + hooks + resumed;
    let token = token(resumed.wrapping_mul(STRIDE) % hooks);
    let (run_id, hook_id): (String, String) = connection
        .prepare_cached("SELECT run_id, hook_id FROM hooks WHERE token = ?")?
        .query_row([&token], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // Any number that grows does for a position: that saves a read.
    connection
        .prepare_cached("INSERT INTO events VALUES (?, ?, 'hook_received', ?, ?, ?, ?)")?
        .execute(params![run_id, 4 + resumed, hook_id, at_ms, token, PAYLOAD])?;
    connection
        .prepare_cached("UPDATE runs SET updated_at_ms = ? WHERE run_id = ?")?
        .execute(params![at_ms, run_id])?;
    let body = format!(r#"{{"runId":"{run_id}"}}"#);
    connection.prepare_cached("INSERT INTO messages VALUES (?, ?, ?, ?, ?)")?.execute(params![
        resumed,
        WORKFLOW,
        run_id,
        body.as_bytes(),
        at_ms
    ])?;
    Ok(())
}

fn drain(path: &str) -> Outcome<serde_json::Value> {
    let connection = open(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    let drained = connection.execute("DELETE FROM messages", [])?;
    // Not TRUNCATE: writing over an old log is what a process that has run for a while does.
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
    Ok(serde_json::json!({ "drained": drained }))
}

fn run_id(number: i64) -> String {
    format!("wrun_{number:026}")
}

fn token(number: i64) -> String {
    format!("approval:{number:06}")
}

/// In milliseconds; `took` is sorted.
fn quantile(took: &[Duration], percent: usize) -> Option<f64> {
    took.get(took.len() * percent / 100).map(|took| took.as_secs_f64() * 1e3)
}
