//! Table `steps`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::events::payload_at;
use super::rows::{decode, error_column, error_text};
use crate::domain::id::{CorrelationId, Position, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::step::{Step, StepStatus};
use crate::store::StepView;

const COLUMNS: &str = "run_id, step_id, step_name, status, created_position, output_position, \
     error, attempt, created_at_ms, updated_at_ms, started_at_ms, completed_at_ms, \
     retry_after_ms, spec_version";

fn step_of(row: &Row<'_>) -> Result<Step> {
    Ok(Step {
        run_id: RunId::new(row.get::<_, String>(0)?),
        step_id: CorrelationId::new(row.get::<_, String>(1)?),
        step_name: row.get(2)?,
        status: decode(row, 3, StepStatus::parse)?,
        created_position: row.get(4)?,
        output_position: row.get(5)?,
        error: error_column(row, 6)?,
        attempt: row.get(7)?,
        created_at_ms: row.get(8)?,
        updated_at_ms: row.get(9)?,
        started_at_ms: row.get(10)?,
        completed_at_ms: row.get(11)?,
        retry_after_ms: row.get(12)?,
        spec_version: row.get(13)?,
    })
}

pub(super) fn insert(connection: &Connection, step: &Step) -> Result<()> {
    const INSERT: &str = "INSERT INTO steps (run_id, step_id, step_name, status, created_position, \
         output_position, error, attempt, created_at_ms, updated_at_ms, started_at_ms, \
         completed_at_ms, retry_after_ms, spec_version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(INSERT)?.execute(params![
        step.run_id.as_str(),
        step.step_id.as_str(),
        step.step_name,
        step.status.as_str(),
        step.created_position,
        step.output_position,
        error_text(step.error.as_ref()),
        step.attempt,
        step.created_at_ms,
        step.updated_at_ms,
        step.started_at_ms,
        step.completed_at_ms,
        step.retry_after_ms,
        step.spec_version,
    ])?;
    Ok(())
}

pub(super) fn update(connection: &Connection, step: &Step) -> Result<()> {
    const UPDATE: &str = "UPDATE steps SET status = ?3, output_position = ?4, error = ?5, \
         attempt = ?6, updated_at_ms = ?7, started_at_ms = ?8, completed_at_ms = ?9, \
         retry_after_ms = ?10 WHERE run_id = ?1 AND step_id = ?2";
    connection.prepare_cached(UPDATE)?.execute(params![
        step.run_id.as_str(),
        step.step_id.as_str(),
        step.status.as_str(),
        step.output_position,
        error_text(step.error.as_ref()),
        step.attempt,
        step.updated_at_ms,
        step.started_at_ms,
        step.completed_at_ms,
        step.retry_after_ms,
    ])?;
    Ok(())
}

pub(super) fn by_id(
    connection: &Connection,
    run_id: &RunId,
    step_id: &CorrelationId,
) -> Result<Option<Step>> {
    let sql = format!("SELECT {COLUMNS} FROM steps WHERE run_id = ? AND step_id = ?");
    connection
        .prepare_cached(&sql)?
        .query_row([run_id.as_str(), step_id.as_str()], step_of)
        .optional()
}

/// The step with this id in any run.
pub(super) fn by_id_in_any_run(
    connection: &Connection,
    step_id: &CorrelationId,
) -> Result<Option<Step>> {
    let sql = format!("SELECT {COLUMNS} FROM steps WHERE step_id = ? LIMIT 1");
    connection.prepare_cached(&sql)?.query_row([step_id.as_str()], step_of).optional()
}

/// The step with its payloads, if they are wanted.
pub(super) fn view(connection: &Connection, step: Step, resolve_data: bool) -> Result<StepView> {
    let payload = |position: Option<Position>| match position.filter(|_| resolve_data) {
        Some(position) => payload_at(connection, &step.run_id, position),
        None => Ok(None),
    };
    let input = payload(Some(step.created_position))?;
    let output = payload(step.output_position)?;
    Ok(StepView { step, input, output })
}

pub(super) fn list(
    connection: &Connection,
    run_id: &RunId,
    page: &PageRequest,
    resolve_data: bool,
) -> Result<Page<StepView>> {
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", 0),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let after: Position = page.after.as_deref().and_then(|key| key.parse().ok()).unwrap_or(edge);
    let sql = format!(
        "SELECT {COLUMNS} FROM steps WHERE run_id = ? AND created_position {comparison} ? \
         ORDER BY created_position {direction} LIMIT ?"
    );
    let steps: Vec<Step> = connection
        .prepare_cached(&sql)?
        .query_map(params![run_id.as_str(), after, (page.limit + 1) as i64], step_of)?
        .collect::<Result<_>>()?;
    let page = Page::from_lookahead(steps, page.limit, |step| step.created_position.to_string());
    let views = page.items.into_iter().map(|step| view(connection, step, resolve_data));
    Ok(Page { items: views.collect::<Result<_>>()?, cursor: page.cursor, has_more: page.has_more })
}
