//! For tests: records the statements that run, if the environment asks for it.
//! `tests/conformance/plans.rs` checks their plans. A release build has none of this.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

use crate::lock::lock;

/// Names the file for the statements. Each is written once, as a line of JSON.
const FILE: &str = "HOOKLINE_TEST_STATEMENTS";

/// The statements that this process has recorded.
static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// Records the statements of a connection from now on, if requested.
pub(super) fn record(connection: &mut Connection) -> rusqlite::Result<()> {
    let Some(path) = std::env::var_os(FILE) else { return Ok(()) };
    let on_event = move |event: TraceEvent<'_>| {
        let TraceEvent::Stmt(_, sql) = event else { return };
        if !lock(&SEEN).get_or_insert_default().insert(sql.to_owned()) {
            return;
        }
        let line = format!("{}\n", serde_json::json!(sql));
        let file = OpenOptions::new().append(true).create(true).open(&path);
        // A missing statement fails the test that reads the file.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    };
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(on_event))
}
