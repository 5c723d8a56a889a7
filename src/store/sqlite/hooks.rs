//! Table `hooks`.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::checksum::{Check, Table, damage};
use super::events::{self, payload_at, payload_columns};
use super::runs::{run_columns, run_from};
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::resume_key::SWEPT_MAX;
use crate::domain::run::Run;
use crate::error::WorldError;
use crate::store::HookView;
use crate::store::columns::hook_from;

/// The columns of [`hook_of`]. The argument is put before each name.
macro_rules! hook_columns {
    ($of:literal) => {
        concat!(
            $of,
            "run_id, ",
            $of,
            "hook_id, ",
            $of,
            "token, ",
            $of,
            "environment, ",
            $of,
            "metadata_position, ",
            $of,
            "created_at_ms, ",
            $of,
            "disposed_at_ms, ",
            $of,
            "spec_version, ",
            $of,
            "is_webhook, ",
            $of,
            "is_system, ",
            $of,
            "retained_until_ms, ",
            $of,
            "outlives_run, ",
            $of,
            "hook_number, ",
            $of,
            "disposal, ",
            $of,
            "checksum"
        )
    };
}

/// The condition that a hook holds its token at the time of the next parameter: it is not over.
macro_rules! is_kept {
    ($of:literal) => {
        concat!(" AND (", $of, "outlives_run = 0 OR ", $of, "retained_until_ms > ?)")
    };
}

/// A time at which no hook outlives its run.
const NEVER_KEPT: i64 = i64::MAX;

const COLUMNS: &str = hook_columns!("");
pub(super) static HOOKS: Table = Table { name: "hooks", columns: 14, key: &[0, 1] };
/// The index of the hook's number in [`COLUMNS`].
const NUMBER_AT: usize = 12;
/// The index of the metadata's event after the columns of its hook.
const METADATA_AT: usize = 15;

/// Checks and reads [`COLUMNS`].
fn hook_of(row: &Row<'_>) -> Result<Hook> {
    let mut columns = HOOKS.read(row, 0);
    let hook = hook_from(&mut columns)?;
    columns.skip(2)?;
    columns.end()?;
    Ok(hook)
}

fn numbered_hook_of(row: &Row<'_>) -> Result<(Hook, i64)> {
    Ok((hook_of(row)?, row.get(NUMBER_AT)?))
}

/// Runs a statement whose parameters are [`COLUMNS`].
fn write(connection: &Connection, sql: &str, hook: &Hook, number: i64) -> Result<()> {
    let columns = params![
        hook.run_id.as_str(),
        hook.hook_id.as_str(),
        hook.token.expose(),
        hook.environment,
        hook.metadata_position,
        hook.created_at_ms,
        hook.disposed_at_ms,
        hook.spec_version,
        hook.options.is_webhook,
        hook.options.is_system,
        hook.options.retained_until_ms,
        hook.outlives_run,
        number,
        hook.disposed_at_ms.map_or(0, |_| number),
    ];
    HOOKS.write(&mut *connection.prepare_cached(sql)?, columns, &[])?;
    Ok(())
}

pub(super) fn insert(connection: &Connection, hook: &Hook) -> Result<()> {
    const NUMBER: &str =
        "UPDATE hook_numbers SET last_number = last_number + 1 RETURNING last_number";
    const INSERT: &str = concat!(
        "INSERT INTO hooks (",
        hook_columns!(""),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    );
    let number: i64 = connection.prepare_cached(NUMBER)?.query_row([], |row| row.get(0))?;
    write(connection, INSERT, hook, number)
}

pub(super) fn dispose(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
    at_ms: i64,
) -> Result<()> {
    const DISPOSE: &str = "UPDATE hooks SET disposed_at_ms = ?7, disposal = ?14, checksum = ?15 \
         WHERE run_id = ?1 AND hook_id = ?2";
    match numbered(connection, run_id, hook_id)? {
        Some((hook, number)) => {
            let disposed = Hook { disposed_at_ms: Some(at_ms), ..hook };
            write(connection, DISPOSE, &disposed, number)
        }
        None => Ok(()),
    }
}

/// Checks every hook.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", hook_columns!(""), " FROM hooks"),
    verify: |row| HOOKS.verify(row, 0),
};

/// See [`Rows::end_hooks`](crate::store::transaction::Rows::end_hooks).
pub(super) fn end_of_run(connection: &Connection, run_id: &RunId, now_ms: i64) -> Result<()> {
    const DELETE: &str = "DELETE FROM hooks WHERE run_id = ?1 AND \
         (retained_until_ms IS NULL OR retained_until_ms <= ?2 OR disposed_at_ms IS NOT NULL)";
    const KEEP: &str = "UPDATE hooks SET outlives_run = ?12, checksum = ?15 \
         WHERE run_id = ?1 AND hook_id = ?2";
    connection.prepare_cached(DELETE)?.execute(params![run_id.as_str(), now_ms])?;
    let rest = all_of_run(connection, run_id)?;
    if !rest.is_empty() {
        delete_over(connection, now_ms)?;
    }
    for (hook, number) in rest {
        write(connection, KEEP, &Hook { outlives_run: true, ..hook }, number)?;
    }
    Ok(())
}

/// The metadata of the hooks that outlive a run has been dropped with the run's other values.
pub(super) fn forget_metadata(connection: &Connection, run_id: &RunId) -> Result<()> {
    const FORGET: &str = "UPDATE hooks SET metadata_position = ?5, checksum = ?15 \
         WHERE run_id = ?1 AND hook_id = ?2";
    for (hook, number) in all_of_run(connection, run_id)? {
        write(connection, FORGET, &Hook { metadata_position: None, ..hook }, number)?;
    }
    Ok(())
}

fn all_of_run(connection: &Connection, run_id: &RunId) -> Result<Vec<(Hook, i64)>> {
    const ALL: &str = concat!("SELECT ", hook_columns!(""), " FROM hooks WHERE run_id = ?");
    connection.prepare_cached(ALL)?.query_map([run_id.as_str()], numbered_hook_of)?.collect()
}

/// Deletes some hooks that are over. Each run whose hooks outlive it calls this, so they never pile up.
fn delete_over(connection: &Connection, now_ms: i64) -> Result<()> {
    const DELETE_OVER: &str = "DELETE FROM hooks WHERE (token, disposal) IN \
         (SELECT token, disposal FROM hooks WHERE outlives_run = 1 AND retained_until_ms <= ? \
          ORDER BY retained_until_ms LIMIT ?)";
    connection.prepare_cached(DELETE_OVER)?.execute(params![now_ms, SWEPT_MAX as i64])?;
    Ok(())
}

/// The hook of this run, disposed or not.
pub(super) fn of_run(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<Hook>> {
    Ok(numbered(connection, run_id, hook_id)?.map(|(hook, _)| hook))
}

fn numbered(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<(Hook, i64)>> {
    const OF_RUN: &str =
        concat!("SELECT ", hook_columns!(""), " FROM hooks WHERE run_id = ? AND hook_id = ?");
    connection
        .prepare_cached(OF_RUN)?
        .query_row([run_id.as_str(), hook_id.as_str()], |row| {
            let (hook, number) = numbered_hook_of(row)?;
            // A damaged index may lead to another hook.
            match hook.run_id == *run_id && hook.hook_id == *hook_id {
                true => Ok((hook, number)),
                false => Err(damage(HOOKS.name, format!("{run_id} {hook_id}"))),
            }
        })
        .optional()
}

/// The hook that holds this token in either of its stored forms; it may be over.
pub(super) fn by_token(connection: &Connection, token: &HookToken) -> Result<Option<Hook>> {
    const BY_TOKEN: &str =
        concat!("SELECT ", hook_columns!(""), " FROM hooks WHERE token = ? AND disposal = 0");
    let mut statement = connection.prepare_cached(BY_TOKEN)?;
    in_either_form(token, |text| statement.query_row([text], hook_of).optional())
}

/// Looks a token up by each text that may be stored for it.
fn in_either_form<T>(
    token: &HookToken,
    look_up: impl FnMut(&str) -> Result<Option<T>>,
) -> Result<Option<T>> {
    token.texts().map(look_up).find_map(Result::transpose).transpose()
}

/// Those of these tokens that the hook of a running run holds.
pub(super) fn live_among(
    connection: &Connection,
    tokens: Vec<HookToken>,
) -> Result<Vec<(HookToken, HookView)>> {
    let mut live = Vec::new();
    for token in tokens {
        let view = view_by_token(connection, &token, NEVER_KEPT)?;
        live.extend(view.map(|view| (token, view)));
    }
    Ok(live)
}

/// The hook that holds this token now, with its metadata. One statement reads one state of the
/// database and takes its locks once.
pub(super) fn view_by_token(
    connection: &Connection,
    token: &HookToken,
    now_ms: i64,
) -> Result<Option<HookView>> {
    const VIEW_BY_TOKEN: &str = concat!(
        "SELECT ",
        hook_columns!("h."),
        ", ",
        payload_columns!("m."),
        " FROM hooks AS h \
         LEFT JOIN events AS m ON m.run_id = h.run_id AND m.position = h.metadata_position \
         WHERE h.token = ? AND h.disposal = 0",
        is_kept!("h.")
    );
    let mut statement = connection.prepare_cached(VIEW_BY_TOKEN)?;
    in_either_form(token, |text| statement.query_row(params![text, now_ms], view_of).optional())
}

/// Checks the neighbours of a token that was not found, because the token of a damaged hook is not
/// found.
pub(super) fn check_around(connection: &Connection, token: &HookToken) -> Result<()> {
    let check = |text: &str| {
        CHECK.around(connection, &["token"], params![text])?;
        Ok(None::<()>)
    };
    in_either_form(token, check).map(|_| ())
}

/// As [`view_by_token`], and also the hook's run.
pub(super) fn with_run_by_token(
    connection: &Connection,
    token: &HookToken,
    now_ms: i64,
) -> Result<Option<(HookView, Option<Run>)>> {
    const WITH_RUN_BY_TOKEN: &str = concat!(
        "SELECT ",
        hook_columns!("h."),
        ", ",
        payload_columns!("m."),
        ", ",
        run_columns!("r."),
        " FROM hooks AS h LEFT JOIN runs AS r ON r.run_id = h.run_id \
         LEFT JOIN events AS m ON m.run_id = h.run_id AND m.position = h.metadata_position \
         WHERE h.token = ? AND h.disposal = 0",
        is_kept!("h.")
    );
    const RUN_AT: usize = METADATA_AT + events::PAYLOAD_COLUMNS;
    let mut statement = connection.prepare_cached(WITH_RUN_BY_TOKEN)?;
    in_either_form(token, |text| {
        statement
            .query_row(params![text, now_ms], |row| {
                let run_is_there = row.get_ref(RUN_AT)? != ValueRef::Null;
                Ok((view_of(row)?, run_is_there.then(|| run_from(row, RUN_AT)).transpose()?))
            })
            .optional()
    })
}

/// The columns of [`hook_of`], then the payload that holds the metadata.
fn view_of(row: &Row<'_>) -> Result<HookView> {
    let hook = hook_of(row)?;
    let metadata = match hook.metadata_position {
        Some(position) => events::payload_from(row, METADATA_AT, &hook.run_id, position)?,
        None => None,
    };
    Ok(HookView { hook, metadata })
}

/// The hook with this id, if it holds its token now.
pub(super) fn by_id(
    connection: &Connection,
    hook_id: &CorrelationId,
    now_ms: i64,
) -> Result<Option<Hook>> {
    const BY_ID: &str = concat!(
        "SELECT ",
        hook_columns!(""),
        " FROM hooks WHERE hook_id = ? AND disposed_at_ms IS NULL",
        is_kept!(""),
        " LIMIT 1"
    );
    let parameters = params![hook_id.as_str(), now_ms];
    let hook = connection.prepare_cached(BY_ID)?.query_row(parameters, hook_of).optional()?;
    // A damaged index may lead to another hook or to none.
    match hook {
        None => CHECK.around(connection, &["hook_id"], params![hook_id.as_str()]).map(|()| None),
        Some(hook) if hook.hook_id != *hook_id => Err(damage(HOOKS.name, hook_id.as_str())),
        hook => Ok(hook),
    }
}

/// The hook, with its metadata if `resolve_data` is set.
pub(super) fn view(connection: &Connection, hook: Hook, resolve_data: bool) -> Result<HookView> {
    let metadata = match hook.metadata_position.filter(|_| resolve_data) {
        Some(position) => payload_at(connection, &hook.run_id, position)?,
        None => None,
    };
    Ok(HookView { hook, metadata })
}

/// The hooks that hold their tokens now, in the order of their creation.
pub(super) fn list(
    connection: &Connection,
    run_id: Option<&RunId>,
    page: &PageRequest,
    resolve_data: bool,
    now_ms: i64,
) -> std::result::Result<Page<HookView>, WorldError> {
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", 0),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let after = page.after_number()?.unwrap_or(edge);
    let of_run = if run_id.is_some() { "run_id = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM hooks WHERE {of_run} AND disposal = 0 \
         AND hook_number {comparison} ?2 AND (outlives_run = 0 OR retained_until_ms > ?4) \
         ORDER BY hook_number {direction} LIMIT ?3"
    );
    let listed_of = |row: &Row<'_>| {
        let (hook, number) = numbered_hook_of(row)?;
        // A damaged tree may lead to the hooks of another run.
        match run_id.is_none_or(|run_id| hook.run_id == *run_id) {
            true => Ok((hook, number)),
            false => Err(HOOKS.damage(row, 0)),
        }
    };
    let hooks: Vec<(Hook, i64)> = connection
        .prepare_cached(&sql)?
        .query_map(
            params![run_id.map(RunId::as_str), after, (page.limit + 1) as i64, now_ms],
            listed_of,
        )?
        .collect::<Result<_>>()?;
    let page = Page::from_lookahead(hooks, page.limit, |(_, number)| number.to_string());
    if let Some(run_id) = run_id.filter(|_| !page.has_more) {
        CHECK.around(connection, &["run_id"], params![run_id.as_str()])?;
    }
    let views = page.items.into_iter().map(|(hook, _)| view(connection, hook, resolve_data));
    Ok(Page { items: views.collect::<Result<_>>()?, cursor: page.cursor, has_more: page.has_more })
}
