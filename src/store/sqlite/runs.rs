//! Table `runs`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::events::payload_at;
use super::rows::{decode, error_column, error_text};
use crate::domain::id::RunId;
use crate::domain::page::{Page, SortOrder};
use crate::domain::run::{Run, RunStatus};
use crate::store::{RunQuery, RunView};

const COLUMNS: &str = "run_id, status, deployment_id, workflow_name, spec_version, \
     execution_context, input_position, output_position, error, created_at_ms, updated_at_ms, \
     started_at_ms, completed_at_ms, encryption_key_id";

fn run_of(row: &Row<'_>) -> Result<Run> {
    run_from(row, 0)
}

/// Reads [`COLUMNS`], the first of which is at `at`.
pub(super) fn run_from(row: &Row<'_>, at: usize) -> Result<Run> {
    Ok(Run {
        run_id: RunId::new(row.get::<_, String>(at)?),
        status: decode(row, at + 1, RunStatus::parse)?,
        deployment_id: row.get(at + 2)?,
        workflow_name: row.get(at + 3)?,
        spec_version: row.get(at + 4)?,
        execution_context: row.get(at + 5)?,
        input_position: row.get(at + 6)?,
        output_position: row.get(at + 7)?,
        error: error_column(row, at + 8)?,
        created_at_ms: row.get(at + 9)?,
        updated_at_ms: row.get(at + 10)?,
        started_at_ms: row.get(at + 11)?,
        completed_at_ms: row.get(at + 12)?,
        encryption_key_id: row.get(at + 13)?,
    })
}

pub(super) fn insert(connection: &Connection, run: &Run) -> Result<()> {
    const INSERT: &str = "INSERT INTO runs (run_id, status, deployment_id, workflow_name, \
         spec_version, execution_context, input_position, output_position, error, created_at_ms, \
         updated_at_ms, started_at_ms, completed_at_ms, encryption_key_id) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(INSERT)?.execute(params![
        run.run_id.as_str(),
        run.status.as_str(),
        run.deployment_id,
        run.workflow_name,
        run.spec_version,
        run.execution_context,
        run.input_position,
        run.output_position,
        error_text(run.error.as_ref()),
        run.created_at_ms,
        run.updated_at_ms,
        run.started_at_ms,
        run.completed_at_ms,
        run.encryption_key_id,
    ])?;
    Ok(())
}

pub(super) fn update(connection: &Connection, run: &Run) -> Result<()> {
    const UPDATE: &str = "UPDATE runs SET status = ?2, output_position = ?3, error = ?4, \
         updated_at_ms = ?5, started_at_ms = ?6, completed_at_ms = ?7 WHERE run_id = ?1";
    connection.prepare_cached(UPDATE)?.execute(params![
        run.run_id.as_str(),
        run.status.as_str(),
        run.output_position,
        error_text(run.error.as_ref()),
        run.updated_at_ms,
        run.started_at_ms,
        run.completed_at_ms,
    ])?;
    Ok(())
}

pub(super) fn by_id(connection: &Connection, run_id: &RunId) -> Result<Option<Run>> {
    const BY_ID: &str = "SELECT run_id, status, deployment_id, workflow_name, spec_version, \
         execution_context, input_position, output_position, error, created_at_ms, updated_at_ms, \
         started_at_ms, completed_at_ms, encryption_key_id FROM runs WHERE run_id = ?";
    connection.prepare_cached(BY_ID)?.query_row([run_id.as_str()], run_of).optional()
}

/// Of these runs, those that have ended and those that do not exist. A run that goes on costs one
/// look at its row's end: many are awaited for long.
pub(super) fn ends_among(
    connection: &Connection,
    run_ids: Vec<RunId>,
) -> Result<Vec<(RunId, Option<RunView>)>> {
    const GOES_ON: &str =
        "SELECT EXISTS (SELECT 1 FROM runs WHERE run_id = ? AND completed_at_ms IS NULL)";
    let mut ends = Vec::new();
    for run_id in run_ids {
        let mut goes_on = connection.prepare_cached(GOES_ON)?;
        if goes_on.query_row([run_id.as_str()], |row| row.get::<_, bool>(0))? {
            continue;
        }
        let run = by_id(connection, &run_id)?;
        let view = run.map(|run| view(connection, run, true)).transpose()?;
        ends.push((run_id, view));
    }
    Ok(ends)
}

/// The run with its payloads, if they are wanted.
pub(super) fn view(connection: &Connection, run: Run, resolve_data: bool) -> Result<RunView> {
    let payload = |position: Option<i64>| match position.filter(|_| resolve_data) {
        Some(position) => payload_at(connection, &run.run_id, position),
        None => Ok(None),
    };
    let (input, output) = (payload(run.input_position)?, payload(run.output_position)?);
    Ok(RunView { run, input, output })
}

pub(super) fn list(connection: &Connection, query: &RunQuery) -> Result<Page<RunView>> {
    let (comparison, direction) = match query.page.order {
        SortOrder::Ascending => (">", "ASC"),
        SortOrder::Descending => ("<", "DESC"),
    };
    let mut sql = format!("SELECT {COLUMNS} FROM runs WHERE 1");
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    let status = query.status.map(RunStatus::as_str);
    if let Some(name) = &query.workflow_name {
        sql.push_str(" AND workflow_name = ?");
        values.push(name);
    }
    if let Some(status) = &status {
        sql.push_str(" AND status = ?");
        values.push(status);
    }
    if let Some(after) = &query.page.after {
        sql.push_str(&format!(" AND run_id {comparison} ?"));
        values.push(after);
    }
    let limit = (query.page.limit + 1) as i64;
    sql.push_str(&format!(" ORDER BY run_id {direction} LIMIT ?"));
    values.push(&limit);
    let runs: Vec<Run> = connection
        .prepare_cached(&sql)?
        .query_map(values.as_slice(), run_of)?
        .collect::<Result<_>>()?;
    let page = Page::from_lookahead(runs, query.page.limit, |run| run.run_id.as_str().to_owned());
    let views = page.items.into_iter().map(|run| view(connection, run, query.resolve_data));
    Ok(Page { items: views.collect::<Result<_>>()?, cursor: page.cursor, has_more: page.has_more })
}
