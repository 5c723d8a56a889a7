//! Table `steps`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::{Check, Table, damage};
use super::events::payload_at;
use crate::domain::id::{CorrelationId, MessageId, Position, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::step::Step;
use crate::error::WorldError;
use crate::store::StepView;
use crate::store::columns::{error_text, step_from};

macro_rules! columns {
    () => {
        "run_id, step_id, step_name, status, created_position, output_position, error, \
         error_position, owner_message_id, attempt, created_at_ms, updated_at_ms, started_at_ms, completed_at_ms, retry_after_ms, \
         spec_version, checksum"
    };
}
const COLUMNS: &str = columns!();
pub(super) static STEPS: Table = Table { name: "steps", columns: 16, key: &[0, 1] };

/// [`step_of`], for a step of this run. A damaged tree may lead to another run's step.
fn step_in(row: &Row<'_>, run_id: &RunId) -> Result<Step> {
    let step = step_of(row)?;
    match step.run_id == *run_id {
        true => Ok(step),
        false => Err(STEPS.damage(row, 0)),
    }
}

/// Checks and reads [`COLUMNS`].
fn step_of(row: &Row<'_>) -> Result<Step> {
    let mut columns = STEPS.read(row, 0);
    let step = step_from(&mut columns)?;
    columns.end()?;
    Ok(step)
}

/// Runs a statement whose parameters are [`COLUMNS`].
fn write(connection: &Connection, sql: &str, step: &Step) -> Result<()> {
    let columns = params![
        step.run_id.as_str(),
        step.step_id.as_str(),
        step.step_name,
        step.status.as_str(),
        step.created_position,
        step.output_position,
        error_text(step.error.as_ref()),
        step.error_position,
        step.owner.map(MessageId::number),
        step.attempt,
        step.created_at_ms,
        step.updated_at_ms,
        step.started_at_ms,
        step.completed_at_ms,
        step.retry_after_ms,
        step.spec_version,
    ];
    STEPS.write(&mut *connection.prepare_cached(sql)?, columns, &[])?;
    Ok(())
}

pub(super) fn insert(connection: &Connection, step: &Step) -> Result<()> {
    const INSERT: &str = concat!(
        "INSERT INTO steps (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    write(connection, INSERT, step)
}

pub(super) fn update(connection: &Connection, step: &Step) -> Result<()> {
    const UPDATE: &str = "UPDATE steps SET status = ?4, output_position = ?6, error = ?7, \
         error_position = ?8, owner_message_id = ?9, attempt = ?10, updated_at_ms = ?12, \
         started_at_ms = ?13, completed_at_ms = ?14, retry_after_ms = ?15, checksum = ?17 WHERE run_id = ?1 AND created_position = ?5";
    write(connection, UPDATE, step)
}

/// Checks every step.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", columns!(), " FROM steps"),
    verify: |row| STEPS.verify(row, 0),
};

pub(super) fn by_id(
    connection: &Connection,
    run_id: &RunId,
    step_id: &CorrelationId,
) -> Result<Option<Step>> {
    const OF_RUN: &str =
        concat!("SELECT ", columns!(), " FROM steps WHERE step_id = ? AND run_id = ?");
    let step_of = |row: &Row<'_>| {
        let step = step_in(row, run_id)?;
        // A damaged index may lead to another step.
        match step.step_id == *step_id {
            true => Ok(step),
            false => Err(STEPS.damage(row, 0)),
        }
    };
    connection
        .prepare_cached(OF_RUN)?
        .query_row([step_id.as_str(), run_id.as_str()], step_of)
        .optional()
}

/// The step with this id, of the run if one is named, or `None` if it does not exist. Damage is an
/// error.
pub(super) fn sought(
    connection: &Connection,
    run_id: Option<&RunId>,
    step_id: &CorrelationId,
) -> Result<Option<Step>> {
    let step = match run_id {
        Some(run_id) => by_id(connection, run_id, step_id)?,
        None => by_id_in_any_run(connection, step_id)?,
    };
    match (&step, run_id) {
        (Some(_), _) => {}
        (None, Some(run_id)) => {
            let key = params![step_id.as_str(), run_id.as_str()];
            CHECK.around(connection, &["step_id", "run_id"], key)?;
        }
        (None, None) => CHECK.around(connection, &["step_id"], params![step_id.as_str()])?,
    }
    Ok(step)
}

fn by_id_in_any_run(connection: &Connection, step_id: &CorrelationId) -> Result<Option<Step>> {
    const BY_ID: &str = concat!("SELECT ", columns!(), " FROM steps WHERE step_id = ? LIMIT 1");
    let step =
        connection.prepare_cached(BY_ID)?.query_row([step_id.as_str()], step_of).optional()?;
    // A damaged index may lead to another step.
    match step {
        Some(step) if step.step_id != *step_id => Err(damage(STEPS.name, step_id.as_str())),
        step => Ok(step),
    }
}

/// Where a step of a run was created, if it is running.
pub(super) fn running(
    connection: &Connection,
    run_id: &RunId,
    step_id: &CorrelationId,
) -> Result<Option<Position>> {
    const RUNNING: &str = "SELECT created_position FROM steps \
         WHERE step_id = ? AND run_id = ? AND status = 'running'";
    let key = [step_id.as_str(), run_id.as_str()];
    connection.prepare_cached(RUNNING)?.query_row(key, |row| row.get(0)).optional()
}

/// Where the latest running step of a run was created that the delivery of this message executes.
pub(super) fn latest_running_of(
    connection: &Connection,
    run_id: &RunId,
    owner: MessageId,
) -> Result<Option<Position>> {
    const LATEST: &str = "SELECT max(created_position) FROM steps INDEXED BY steps_owned \
         WHERE run_id = ? AND owner_message_id = ? AND status = 'running'";
    let key = params![run_id.as_str(), owner.number()];
    connection.prepare_cached(LATEST)?.query_row(key, |row| row.get(0))
}

/// The step with its error, and with its other payloads if `resolve_data` is set.
pub(super) fn view(connection: &Connection, step: Step, resolve_data: bool) -> Result<StepView> {
    let payload = |position: Option<Position>| match position {
        Some(position) => payload_at(connection, &step.run_id, position),
        None => Ok(None),
    };
    let input = payload(Some(step.created_position).filter(|_| resolve_data))?;
    let output = payload(step.output_position.filter(|_| resolve_data))?;
    let error = payload(step.error_position)?;
    Ok(StepView { step, input, output, error })
}

pub(super) fn list(
    connection: &Connection,
    run_id: &RunId,
    page: &PageRequest,
    resolve_data: bool,
) -> std::result::Result<Page<StepView>, WorldError> {
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", 0),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let after: Position = page.after_number()?.unwrap_or(edge);
    let sql = format!(
        "SELECT {COLUMNS} FROM steps WHERE run_id = ? AND created_position {comparison} ? \
         ORDER BY created_position {direction} LIMIT ?"
    );
    let steps: Vec<Step> = connection
        .prepare_cached(&sql)?
        .query_map(params![run_id.as_str(), after, (page.limit + 1) as i64], |row| {
            step_in(row, run_id)
        })?
        .collect::<Result<_>>()?;
    let page = Page::from_lookahead(steps, page.limit, |step| step.created_position.to_string());
    if !page.has_more {
        CHECK.around(connection, &["run_id"], params![run_id.as_str()])?;
    }
    let views = page.items.into_iter().map(|step| view(connection, step, resolve_data));
    Ok(Page { items: views.collect::<Result<_>>()?, cursor: page.cursor, has_more: page.has_more })
}
