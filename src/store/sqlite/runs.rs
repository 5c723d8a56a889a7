//! Table `runs`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::{Check, Table, damage};
use super::events::payload_at;
use crate::domain::id::{MessageId, RunId};
use crate::domain::page::{Page, SortOrder};
use crate::domain::run::{Run, RunStatus};
use crate::error::WorldError;
use crate::store::columns::{self, attributes_text, error_text};
use crate::store::{RunQuery, RunView};

/// The columns of [`run_from`]. The argument is put before each name, `""` or `"r."`.
macro_rules! run_columns {
    ($of:literal) => {
        concat!(
            $of,
            "run_id, ",
            $of,
            "status, ",
            $of,
            "deployment_id, ",
            $of,
            "workflow_name, ",
            $of,
            "spec_version, ",
            $of,
            "execution_context, ",
            $of,
            "input_position, ",
            $of,
            "output_position, ",
            $of,
            "error, ",
            $of,
            "error_position, ",
            $of,
            "error_code, ",
            $of,
            "created_at_ms, ",
            $of,
            "updated_at_ms, ",
            $of,
            "started_at_ms, ",
            $of,
            "completed_at_ms, ",
            $of,
            "encryption_key_id, ",
            $of,
            "attributes, ",
            $of,
            "encryption_public_key, ",
            $of,
            "expired_at_ms, ",
            $of,
            "release_id, ",
            $of,
            "checksum"
        )
    };
}
pub(super) use run_columns;

const COLUMNS: &str = run_columns!("");
pub(super) static RUNS: Table = Table { name: "runs", columns: 20, key: &[0] };

fn run_of(row: &Row<'_>) -> Result<Run> {
    run_from(row, 0)
}

/// Checks and reads the columns of a run, which begin at `at`.
pub(super) fn run_from(row: &Row<'_>, at: usize) -> Result<Run> {
    let mut columns = RUNS.read(row, at);
    let run = columns::run_from(&mut columns)?;
    columns.end()?;
    Ok(run)
}

/// Runs a statement whose parameters are [`COLUMNS`].
fn write(connection: &Connection, sql: &str, run: &Run) -> Result<()> {
    let columns = params![
        run.run_id.as_str(),
        run.status.as_str(),
        run.deployment_id,
        run.workflow_name,
        run.spec_version,
        run.execution_context,
        run.input_position,
        run.output_position,
        error_text(run.error.as_ref()),
        run.error_position,
        run.error_code,
        run.created_at_ms,
        run.updated_at_ms,
        run.started_at_ms,
        run.completed_at_ms,
        run.encryption_key_id,
        attributes_text(&run.attributes),
        run.encryption_public_key,
        run.expired_at_ms,
        run.release_id,
    ];
    RUNS.write(&mut *connection.prepare_cached(sql)?, columns, &[])?;
    Ok(())
}

/// Whether a run was replayed by another worker than the one that has the lease of this message.
pub(super) fn is_replayed_by_others(
    connection: &Connection,
    run_id: &RunId,
    message_id: MessageId,
) -> Result<bool> {
    const REPLAYED: &str = "SELECT replayed_by IS NOT NULL AND replayed_by IS NOT \
         (SELECT lease_owner FROM messages WHERE message_id = ?2) FROM runs WHERE run_id = ?1";
    let replayed = connection
        .prepare_cached(REPLAYED)?
        .query_row(params![run_id.as_str(), message_id.number()], |row| row.get(0))
        .optional()?;
    Ok(replayed.unwrap_or(false))
}

pub(super) fn insert(connection: &Connection, run: &Run) -> Result<()> {
    const INSERT: &str = concat!(
        "INSERT INTO runs (",
        run_columns!(""),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    write(connection, INSERT, run)
}

pub(super) fn update(connection: &Connection, run: &Run) -> Result<()> {
    const UPDATE: &str = "UPDATE runs SET status = ?2, output_position = ?8, error = ?9, \
         error_position = ?10, error_code = ?11, updated_at_ms = ?13, started_at_ms = ?14, \
         completed_at_ms = ?15, attributes = ?17, expired_at_ms = ?19, checksum = ?21 \
         WHERE run_id = ?1";
    write(connection, UPDATE, run)
}

/// Writes the release.
pub(super) fn update_release(connection: &Connection, run: &Run) -> Result<()> {
    const MOVE: &str = "UPDATE runs SET release_id = ?20, checksum = ?21 WHERE run_id = ?1";
    write(connection, MOVE, run)
}

pub(super) fn by_id(connection: &Connection, run_id: &RunId) -> Result<Option<Run>> {
    const BY_ID: &str = concat!("SELECT ", run_columns!(""), " FROM runs WHERE run_id = ?");
    connection.prepare_cached(BY_ID)?.query_row([run_id.as_str()], run_of).optional()
}

/// The run, or `None` if it does not exist. Damage is an error.
pub(super) fn sought(connection: &Connection, run_id: &RunId) -> Result<Option<Run>> {
    let run = by_id(connection, run_id)?;
    if run.is_none() {
        CHECK.around(connection, &["run_id"], params![run_id.as_str()])?;
    }
    Ok(run)
}

/// Checks every run.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", run_columns!(""), " FROM runs"),
    verify: |row| RUNS.verify(row, 0),
};

/// Those of these runs that have ended, and those that do not exist. A run that has not ended costs
/// only a look at the end of its row, because many runs are awaited for long.
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
        let run = sought(connection, &run_id)?;
        let view = run.map(|run| view(connection, run, true)).transpose()?;
        ends.push((run_id, view));
    }
    Ok(ends)
}

/// The run with its error, and with its other payloads if `resolve_data` is set.
pub(super) fn view(connection: &Connection, run: Run, resolve_data: bool) -> Result<RunView> {
    let payload = |position: Option<i64>| match position {
        Some(position) => payload_at(connection, &run.run_id, position),
        None => Ok(None),
    };
    let input = payload(run.input_position.filter(|_| resolve_data))?;
    let output = payload(run.output_position.filter(|_| resolve_data))?;
    let error = payload(run.error_position)?;
    Ok(RunView { run, input, output, error })
}

pub(super) fn list(
    connection: &Connection,
    query: &RunQuery,
) -> std::result::Result<Page<RunView>, WorldError> {
    let edge = match query.page.order {
        SortOrder::Ascending => "",
        // Sorts after every id.
        SortOrder::Descending => "~",
    };
    let after = query.page.after_run()?;
    let after = after.as_ref().map_or(edge, RunId::as_str);
    let snapshot = connection.unchecked_transaction()?;
    let runs = match &query.statuses {
        None => in_order(&snapshot, None, after, query)?,
        Some(statuses) => with_statuses(&snapshot, statuses, after, query)?,
    };
    let page = Page::from_lookahead(runs, query.page.limit, |run| run.run_id.as_str().to_owned());
    let views = page.items.into_iter().map(|run| view(&snapshot, run, query.resolve_data));
    Ok(Page { items: views.collect::<Result<_>>()?, cursor: page.cursor, has_more: page.has_more })
}

/// Runs of one workflow or of all, in any status or in one, one more than a page.
fn in_order(
    connection: &Connection,
    status: Option<&str>,
    after: &str,
    query: &RunQuery,
) -> Result<Vec<Run>> {
    let (comparison, direction) = match query.page.order {
        SortOrder::Ascending => (">", "ASC"),
        SortOrder::Descending => ("<", "DESC"),
    };
    let limit = (query.page.limit + 1) as i64;
    let mut sql = format!("SELECT {COLUMNS} FROM runs WHERE run_id {comparison} ?");
    let mut values: Vec<&dyn rusqlite::ToSql> = vec![&after];
    if let Some(name) = &query.workflow_name {
        sql.push_str(" AND workflow_name = ?");
        values.push(name);
    }
    if let Some(status) = &status {
        sql.push_str(" AND status = ?");
        values.push(status);
    }
    sql.push_str(&format!(" ORDER BY run_id {direction} LIMIT ?"));
    values.push(&limit);
    connection.prepare_cached(&sql)?.query_map(&values[..], run_of)?.collect()
}

/// Runs in any of these statuses, one more than a page. Each status is read by itself, along its index.
fn with_statuses(
    connection: &Connection,
    statuses: &[RunStatus],
    after: &str,
    query: &RunQuery,
) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for status in RunStatus::ALL.into_iter().filter(|status| statuses.contains(status)) {
        runs.extend(match query.workflow_name {
            None => with_status(connection, status.as_str(), after, query)?,
            Some(_) => in_order(connection, Some(status.as_str()), after, query)?,
        });
    }
    runs.sort_unstable_by(|a: &Run, b: &Run| match query.page.order {
        SortOrder::Ascending => a.run_id.cmp(&b.run_id),
        SortOrder::Descending => b.run_id.cmp(&a.run_id),
    });
    Ok(runs)
}

/// Runs of all workflows with a status, one more than a page. Their index is ordered by workflow. No
/// more than a page of each workflow is read.
fn with_status(
    connection: &Connection,
    status: &str,
    after: &str,
    query: &RunQuery,
) -> Result<Vec<Run>> {
    const NEXT_WORKFLOW: &str = "SELECT workflow_name FROM runs INDEXED BY runs_by_status \
         WHERE status = ? AND workflow_name > ? ORDER BY workflow_name LIMIT 1";
    const FIRST_WORKFLOW: &str = "SELECT workflow_name FROM runs INDEXED BY runs_by_status \
         WHERE status = ? ORDER BY workflow_name LIMIT 1";
    let is_ascending = query.page.order == SortOrder::Ascending;
    let (comparison, direction) = if is_ascending { (">", "ASC") } else { ("<", "DESC") };
    let of_workflow = format!(
        "SELECT run_id FROM runs INDEXED BY runs_by_status WHERE status = ? AND workflow_name = ? \
         AND run_id {comparison} ? ORDER BY run_id {direction} LIMIT ?"
    );
    let mut next_workflow = connection.prepare_cached(NEXT_WORKFLOW)?;
    let mut of_workflow = connection.prepare_cached(&of_workflow)?;
    let limit = query.page.limit + 1;
    let mut run_ids: Vec<String> = Vec::new();
    let mut first_workflow = connection.prepare_cached(FIRST_WORKFLOW)?;
    let mut next: Option<String> =
        first_workflow.query_row([status], |row| row.get(0)).optional()?;
    while let Some(workflow) = next {
        let values = params![status, workflow, after, limit as i64];
        for run_id in of_workflow.query_map(values, |row| row.get(0))? {
            run_ids.push(run_id?);
        }
        run_ids.sort_unstable_by(|a, b| if is_ascending { a.cmp(b) } else { b.cmp(a) });
        run_ids.truncate(limit);
        next = next_workflow.query_row([status, &workflow], |row| row.get(0)).optional()?;
    }
    let run = |run_id: String| {
        let run_id = RunId::new(run_id);
        by_id(connection, &run_id)?.ok_or_else(|| damage(RUNS.name, run_id.as_str()))
    };
    run_ids.into_iter().map(run).collect()
}
