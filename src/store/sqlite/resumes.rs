//! The events of resumes that happen once.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::events::{event_columns, event_of, of_their_runs};
use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::step_resume::Names;

/// The event of a resume, without its payload.
pub(super) fn by_id(
    connection: &Connection,
    run_id: &RunId,
    resume_id: &str,
) -> Result<Option<Event>> {
    const BY_ID: &str = concat!(
        "SELECT ",
        event_columns!(),
        " FROM events INDEXED BY events_by_resume WHERE run_id = ? AND resume_id = ?"
    );
    let mut event = connection
        .prepare_cached(BY_ID)?
        .query_row([run_id.as_str(), resume_id], |row| event_of(row, false))
        .optional()?;
    of_their_runs(connection, event.as_mut_slice())?;
    Ok(event)
}

/// The event of a resume with one of these names, of any run, without its payload; after so many
/// others, in the order of the names.
pub(super) fn of_step(connection: &Connection, names: &Names, after: u32) -> Result<Option<Event>> {
    const OF_STEP: &str = concat!(
        "SELECT ",
        event_columns!(),
        " FROM events INDEXED BY events_by_resume WHERE resume_id >= ? AND resume_id < ? \
         ORDER BY resume_id LIMIT 1 OFFSET ?"
    );
    let mut event = connection
        .prepare_cached(OF_STEP)?
        .query_row(params![names.from, names.before, after], |row| event_of(row, false))
        .optional()?;
    of_their_runs(connection, event.as_mut_slice())?;
    Ok(event)
}
