//! Table `hooks`.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::events::payload_at;
use super::rows::payload_column;
use super::runs::run_from;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::run::Run;
use crate::store::HookView;

const COLUMNS: &str = "run_id, hook_id, token, environment, metadata_position, created_at_ms, \
     disposed_at_ms, spec_version, is_webhook, hook_number";

/// Reads the first columns of [`COLUMNS`].
fn hook_of(row: &Row<'_>) -> Result<Hook> {
    Ok(Hook {
        run_id: RunId::new(row.get::<_, String>(0)?),
        hook_id: CorrelationId::new(row.get::<_, String>(1)?),
        token: HookToken::new(row.get::<_, String>(2)?),
        environment: row.get(3)?,
        metadata_position: row.get(4)?,
        created_at_ms: row.get(5)?,
        disposed_at_ms: row.get(6)?,
        spec_version: row.get(7)?,
        is_webhook: row.get(8)?,
    })
}

pub(super) fn insert(connection: &Connection, hook: &Hook) -> Result<()> {
    const NUMBER: &str =
        "UPDATE hook_numbers SET last_number = last_number + 1 RETURNING last_number";
    const INSERT: &str = "INSERT INTO hooks (hook_number, run_id, hook_id, token, environment, \
         metadata_position, created_at_ms, disposed_at_ms, disposal, spec_version, is_webhook) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, iif(?8 IS NULL, 0, ?1), ?9, ?10)";
    let number: i64 = connection.prepare_cached(NUMBER)?.query_row([], |row| row.get(0))?;
    connection.prepare_cached(INSERT)?.execute(params![
        number,
        hook.run_id.as_str(),
        hook.hook_id.as_str(),
        hook.token.expose(),
        hook.environment,
        hook.metadata_position,
        hook.created_at_ms,
        hook.disposed_at_ms,
        hook.spec_version,
        hook.is_webhook,
    ])?;
    Ok(())
}

pub(super) fn dispose(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
    at_ms: i64,
) -> Result<()> {
    const DISPOSE: &str = "UPDATE hooks SET disposed_at_ms = ?, disposal = hook_number \
         WHERE run_id = ? AND hook_id = ?";
    connection.prepare_cached(DISPOSE)?.execute(params![
        at_ms,
        run_id.as_str(),
        hook_id.as_str()
    ])?;
    Ok(())
}

pub(super) fn delete_of_run(connection: &Connection, run_id: &RunId) -> Result<()> {
    const DELETE_OF_RUN: &str = "DELETE FROM hooks WHERE run_id = ?";
    connection.prepare_cached(DELETE_OF_RUN)?.execute([run_id.as_str()])?;
    Ok(())
}

/// The hook of this run, disposed or not.
pub(super) fn of_run(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<Hook>> {
    let sql = format!("SELECT {COLUMNS} FROM hooks WHERE run_id = ? AND hook_id = ?");
    connection
        .prepare_cached(&sql)?
        .query_row([run_id.as_str(), hook_id.as_str()], hook_of)
        .optional()
}

/// The live hook that holds this token, in whichever of its forms it is stored.
pub(super) fn by_token(connection: &Connection, token: &HookToken) -> Result<Option<Hook>> {
    const BY_TOKEN: &str = "SELECT run_id, hook_id, token, environment, metadata_position, \
         created_at_ms, disposed_at_ms, spec_version, is_webhook \
         FROM hooks WHERE token = ? AND disposal = 0";
    let mut statement = connection.prepare_cached(BY_TOKEN)?;
    in_either_form(token, |text| statement.query_row([text], hook_of).optional())
}

/// What a look-up finds by the text that is stored for a token now, or else by the other one that may
/// be stored for a hook of another time.
fn in_either_form<T>(
    token: &HookToken,
    mut look_up: impl FnMut(&str) -> Result<Option<T>>,
) -> Result<Option<T>> {
    match (look_up(token.expose())?, token.other_text()) {
        (None, Some(other)) => look_up(other),
        (found, _) => Ok(found),
    }
}

/// Of these tokens, those that a live hook has.
pub(super) fn live_among(
    connection: &Connection,
    tokens: Vec<HookToken>,
) -> Result<Vec<(HookToken, HookView)>> {
    let mut live = Vec::new();
    for token in tokens {
        if let Some(view) = view_by_token(connection, &token)? {
            live.push((token, view));
        }
    }
    Ok(live)
}

/// The live hook that holds this token, with its metadata, in one statement: it reads one state of
/// the database and takes its locks once.
pub(super) fn view_by_token(
    connection: &Connection,
    token: &HookToken,
) -> Result<Option<HookView>> {
    const VIEW_BY_TOKEN: &str = "SELECT h.run_id, h.hook_id, h.token, h.environment, \
         h.metadata_position, h.created_at_ms, h.disposed_at_ms, h.spec_version, \
         h.is_webhook, m.payload_format, m.payload FROM hooks AS h \
         LEFT JOIN events AS m ON m.run_id = h.run_id AND m.position = h.metadata_position \
         WHERE h.token = ? AND h.disposal = 0";
    let mut statement = connection.prepare_cached(VIEW_BY_TOKEN)?;
    in_either_form(token, |text| statement.query_row([text], view_of).optional())
}

/// [`view_by_token`], with the hook's run.
pub(super) fn with_run_by_token(
    connection: &Connection,
    token: &HookToken,
) -> Result<Option<(HookView, Option<Run>)>> {
    const WITH_RUN_BY_TOKEN: &str = "SELECT h.run_id, h.hook_id, h.token, h.environment, \
         h.metadata_position, h.created_at_ms, h.disposed_at_ms, \
         h.spec_version, h.is_webhook, m.payload_format, m.payload, r.run_id, r.status, \
         r.deployment_id, r.workflow_name, r.spec_version, r.execution_context, r.input_position, \
         r.output_position, r.error, r.created_at_ms, r.updated_at_ms, r.started_at_ms, \
         r.completed_at_ms, r.encryption_key_id FROM hooks AS h LEFT JOIN runs AS r ON r.run_id = h.run_id \
         LEFT JOIN events AS m ON m.run_id = h.run_id AND m.position = h.metadata_position \
         WHERE h.token = ? AND h.disposal = 0";
    let mut statement = connection.prepare_cached(WITH_RUN_BY_TOKEN)?;
    in_either_form(token, |text| {
        statement
            .query_row([text], |row| {
                let run_is_there = row.get_ref(11)? != ValueRef::Null;
                Ok((view_of(row)?, run_is_there.then(|| run_from(row, 11)).transpose()?))
            })
            .optional()
    })
}

/// The columns of [`hook_of`], and behind them the metadata.
fn view_of(row: &Row<'_>) -> Result<HookView> {
    Ok(HookView { hook: hook_of(row)?, metadata: payload_column(row, 9)? })
}

/// The live hook with this id.
pub(super) fn by_id(connection: &Connection, hook_id: &CorrelationId) -> Result<Option<Hook>> {
    let sql =
        format!("SELECT {COLUMNS} FROM hooks WHERE hook_id = ? AND disposed_at_ms IS NULL LIMIT 1");
    connection.prepare_cached(&sql)?.query_row([hook_id.as_str()], hook_of).optional()
}

/// The hook with its metadata, if it is wanted.
pub(super) fn view(connection: &Connection, hook: Hook, resolve_data: bool) -> Result<HookView> {
    let metadata = match hook.metadata_position.filter(|_| resolve_data) {
        Some(position) => payload_at(connection, &hook.run_id, position)?,
        None => None,
    };
    Ok(HookView { hook, metadata })
}

/// Live hooks in the order of their creation.
pub(super) fn list(
    connection: &Connection,
    run_id: Option<&RunId>,
    page: &PageRequest,
    resolve_data: bool,
) -> Result<Page<HookView>> {
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", 0),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let after: i64 = page.after.as_deref().and_then(|key| key.parse().ok()).unwrap_or(edge);
    let of_run = if run_id.is_some() { "run_id = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM hooks WHERE {of_run} AND disposed_at_ms IS NULL \
         AND hook_number {comparison} ?2 ORDER BY hook_number {direction} LIMIT ?3"
    );
    let hooks: Vec<(Hook, i64)> = connection
        .prepare_cached(&sql)?
        .query_map(params![run_id.map(RunId::as_str), after, (page.limit + 1) as i64], |row| {
            Ok((hook_of(row)?, row.get(9)?))
        })?
        .collect::<Result<_>>()?;
    let page = Page::from_lookahead(hooks, page.limit, |(_, number)| number.to_string());
    let views = page.items.into_iter().map(|(hook, _)| view(connection, hook, resolve_data));
    Ok(Page { items: views.collect::<Result<_>>()?, cursor: page.cursor, has_more: page.has_more })
}
