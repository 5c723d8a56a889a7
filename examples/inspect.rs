//! Looks into a database file without the engine, for the tests that kill processes:
//!
//! ```text
//! cargo run --example inspect -- <file> [<sql>]
//! ```
//!
//! It prints one JSON object: what SQLite's own check says, the payloads that each run received in
//! the order of its log, what its deliveries over HTTP prove themselves with, how many messages wait for each run and how often each was attempted, and the
//! logs that have gaps. With SQL it executes that first, to make a file that no hookline of this
//! version would make. Opening a file in WAL mode may recover and truncate the WAL: give it a copy
//! when that is somebody else's work to be tested.

use std::collections::BTreeMap;
use std::error::Error;

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: inspect <file> [<sql>]")?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    if let Some(sql) = std::env::args().nth(2) {
        connection.execute_batch(&sql)?;
    }
    let found = json!({
        "integrity": texts(&connection, "PRAGMA integrity_check")?,
        "received": received(&connection)?,
        "queued": queued(&connection)?,
        "messages": count(&connection, "SELECT count(*) FROM messages")?,
        "attempts": attempts(&connection)?,
        "failed": count(&connection, "SELECT count(*) FROM messages WHERE last_error IS NOT NULL")?,
        "events": count(&connection, "SELECT count(*) FROM events")?,
        "deliverySecret": texts(&connection, "SELECT hex(secret) FROM delivery_secret")?,
        "gaps": texts(&connection, "SELECT run_id FROM events GROUP BY run_id \
             HAVING min(position) <> 1 OR max(position) <> count(*)")?,
    });
    println!("{found}");
    Ok(())
}

fn texts(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

fn count(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(0))
}

/// The attempts of each message, from the oldest on.
fn attempts(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT attempt FROM messages ORDER BY message_id";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// The payloads of `hook_received`, by run, in the order of the log.
fn received(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Vec<String>>> {
    let mut statement = connection.prepare(
        "SELECT run_id, coalesce(payload, \
           (SELECT bytes FROM long_values WHERE number = payload_number)) \
         FROM events WHERE event_type = 'hook_received' ORDER BY run_id, position",
    )?;
    let mut rows = statement.query([])?;
    let mut by_run: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let payload: Option<Vec<u8>> = row.get(1)?;
        let text = String::from_utf8_lossy(&payload.unwrap_or_default()).into_owned();
        by_run.entry(row.get(0)?).or_default().push(text);
    }
    Ok(by_run)
}

/// How many messages will still replay each run, claimed or not.
fn queued(connection: &Connection) -> rusqlite::Result<BTreeMap<String, i64>> {
    connection
        .prepare(
            "SELECT run_id, count(*) FROM messages \
             WHERE run_id IS NOT NULL AND dead_at_ms IS NULL GROUP BY run_id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
