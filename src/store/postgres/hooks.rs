//! Table `hooks`.

use std::collections::HashMap;

use super::db::{Columns, Db, values};
use super::rows::{payload_at, payload_from};
use super::runs::{join_run, run_columns};
use super::writes::{Does, Kind, Write};
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::resume_key::SWEPT_MAX;
use crate::domain::run::Run;
use crate::error::WorldError;
use crate::store::HookView;
use crate::store::columns::{hook_from, run_from};

/// The columns of [`hook_from`], of the table `h`.
macro_rules! columns {
    () => {
        "h.run_id, h.hook_id, h.token, h.environment, h.metadata_position, h.created_at_ms, \
         h.disposed_at_ms, h.spec_version, h.is_webhook, h.is_system, h.retained_until_ms, \
         h.outlives_run"
    };
}

/// The columns of [`view_from`]: the hook, then its metadata. `$1` says whether that is wanted.
macro_rules! select_views {
    ($more:expr, $joins:expr) => {
        select_views!($more, $joins, "hookline.hooks")
    };
    ($more:expr, $joins:expr, $hooks:expr) => {
        concat!(
            "SELECT ",
            columns!(),
            ", m.payload_format, m.payload",
            $more,
            " FROM ",
            $hooks,
            " AS h",
            payload_at!("m", "$1", "h.run_id", "h.metadata_position"),
            $joins
        )
    };
}

/// The condition that a hook was not disposed, where it is not looked for by its token. "IS NULL" would
/// allow the index of all live tokens, which seems as good as the right one while the table is empty.
macro_rules! is_live {
    () => {
        "num_nulls(h.disposed_at_ms) = 1"
    };
}

/// The condition that a hook holds its token at the time of the parameter: it is not over.
macro_rules! is_kept {
    ($now:literal) => {
        concat!(" (NOT h.outlives_run OR h.retained_until_ms > ", $now, ")")
    };
}

/// The hooks that were not disposed and have a token of the parameter. The text is compared too: the digest
/// alone would be believed.
macro_rules! with_token {
    ($texts:literal) => {
        concat!(
            "unnest(",
            $texts,
            ") AS t(token) CROSS JOIN LATERAL (SELECT l.* FROM hookline.hooks AS l \
             WHERE l.disposed_at_ms IS NULL AND l.token = t.token \
             AND l.token_digest = sha256(t.token) OFFSET 0)"
        )
    };
}

fn view_from(columns: &mut Columns<'_>) -> Result<HookView, WorldError> {
    Ok(HookView { hook: hook_from(columns)?, metadata: payload_from(columns)? })
}

pub(super) fn insert(hook: &Hook) -> Write {
    macro_rules! insert {
        () => {
            "INSERT INTO hookline.hooks (run_id, hook_id, token, token_digest, environment, \
             metadata_position, created_at_ms, disposed_at_ms, spec_version, is_webhook, \
             is_system, retained_until_ms, outlives_run) "
        };
    }
    const INSERT: &str = concat!(
        insert!(),
        "VALUES ($1, $2, $3, sha256($3), $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    static INSERTS: Kind = Kind {
        table: "hooks",
        many: concat!(
            insert!(),
            "SELECT run_id, hook_id, token, sha256(token), e, m, c, d, v, w, s, u, o \
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
             AS n(run_id, hook_id, token, e, m, c, d, v, w, s, u, o)"
        ),
        key: 2,
        does: Does::Insert,
    };
    let columns = values![
        &hook.run_id,
        &hook.hook_id,
        hook.token.expose().as_bytes(),
        &hook.environment,
        hook.metadata_position,
        hook.created_at_ms,
        hook.disposed_at_ms,
        hook.spec_version,
        hook.options.is_webhook,
        hook.options.is_system,
        hook.options.retained_until_ms,
        hook.outlives_run,
    ];
    Write::of(&INSERTS, INSERT, columns)
}

pub(super) fn dispose(run_id: &RunId, hook_id: &CorrelationId, at_ms: i64) -> Write {
    const DISPOSE: &str =
        "UPDATE hookline.hooks SET disposed_at_ms = $3 WHERE run_id = $1 AND hook_id = $2";
    Write::new(DISPOSE, values![run_id, hook_id, at_ms])
}

/// See [`Rows::end_hooks`](crate::store::transaction::Rows::end_hooks). Each run whose hooks outlive it
/// sweeps, so hooks that are over never pile up, and other runs pay nothing for it.
pub(super) fn end_of_run(run_id: &RunId, now_ms: i64) -> Write {
    const END: &str = concat!(
        "WITH kept AS (UPDATE hookline.hooks AS h SET outlives_run = true \
         WHERE h.run_id = $1 AND h.retained_until_ms > $2 AND ",
        is_live!(),
        " RETURNING 1), \
         swept AS (DELETE FROM hookline.hooks WHERE EXISTS (SELECT FROM kept) \
         AND hook_number = ANY (ARRAY(SELECT hook_number FROM hookline.hooks \
         WHERE outlives_run AND retained_until_ms <= $2 LIMIT $3 FOR UPDATE SKIP LOCKED))) \
         DELETE FROM hookline.hooks WHERE run_id = $1 AND (retained_until_ms IS NULL \
         OR retained_until_ms <= $2 OR disposed_at_ms IS NOT NULL)"
    );
    Write::new(END, values![run_id, now_ms, SWEPT_MAX])
}

/// The metadata of the hooks that outlive a run has been dropped with the run's other values.
pub(super) fn forget_metadata(run_id: &RunId) -> Write {
    const FORGET: &str = "UPDATE hookline.hooks SET metadata_position = NULL WHERE run_id = $1";
    Write::new(FORGET, values![run_id])
}

/// The hook of this run, disposed or not.
pub(super) async fn of_run(
    db: &Db,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<Hook>, WorldError> {
    const OF_RUN: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM hookline.hooks AS h WHERE h.hook_id = $1 AND h.run_id = $2"
    );
    let row = db.first(OF_RUN, &values![hook_id, run_id]).await?;
    row.map(|row| hook_from(&mut Columns::of(&row))).transpose()
}

/// The texts that may be stored for a token, the likelier first.
fn texts_of(token: &HookToken) -> Vec<Vec<u8>> {
    token.texts().map(|text| text.as_bytes().to_vec()).collect()
}

/// What was found for each of these tokens, by the likelier text.
fn of_tokens<T: Clone>(
    tokens: &[HookToken],
    found: &[T],
    hook_of: impl Fn(&T) -> &Hook,
) -> Vec<Option<T>> {
    let of_texts: HashMap<&str, &T> =
        found.iter().map(|it| (hook_of(it).token.expose(), it)).collect();
    let of_token = |token: &HookToken| token.texts().find_map(|text| of_texts.get(text).copied());
    tokens.iter().map(|token| of_token(token).cloned()).collect()
}

/// The same for one token.
fn of_token<T: Clone>(token: &HookToken, found: &[T], hook_of: impl Fn(&T) -> &Hook) -> Option<T> {
    of_tokens(std::slice::from_ref(token), found, hook_of).pop().flatten()
}

/// The hook that holds this token in either of its stored forms; it may be over.
pub(super) async fn by_token(db: &Db, token: &HookToken) -> Result<Option<Hook>, WorldError> {
    const BY_TOKEN: &str = concat!("SELECT ", columns!(), " FROM ", with_token!("$1"), " AS h");
    let rows = db.rows(BY_TOKEN, &values![texts_of(token)]).await?;
    let hooks: Vec<Hook> =
        rows.iter().map(|row| hook_from(&mut Columns::of(row))).collect::<Result<_, _>>()?;
    Ok(of_token(token, &hooks, |hook| hook))
}

/// The hooks with these ids in these runs, disposed or not.
pub(super) async fn many(
    db: &Db,
    (run_ids, hook_ids): (Vec<String>, Vec<String>),
) -> Result<Vec<Hook>, WorldError> {
    const MANY: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM unnest($1, $2) AS k(run_id, hook_id) CROSS JOIN LATERAL (\
           SELECT l.* FROM hookline.hooks AS l \
           WHERE l.hook_id = k.hook_id AND l.run_id = k.run_id OFFSET 0) AS h"
    );
    let rows = db.rows(MANY, &values![run_ids, hook_ids]).await?;
    rows.iter().map(|row| hook_from(&mut Columns::of(row))).collect()
}

/// The hook of each of these tokens; it may be over.
pub(super) async fn live_of(
    db: &Db,
    tokens: &[HookToken],
) -> Result<Vec<(HookToken, Option<Hook>)>, WorldError> {
    const LIVE: &str = concat!("SELECT ", columns!(), " FROM ", with_token!("$1"), " AS h");
    let texts: Vec<Vec<u8>> = tokens.iter().flat_map(texts_of).collect();
    let rows = db.rows(LIVE, &values![texts]).await?;
    let hooks: Vec<Hook> =
        rows.iter().map(|row| hook_from(&mut Columns::of(row))).collect::<Result<_, _>>()?;
    Ok(tokens.iter().cloned().zip(of_tokens(tokens, &hooks, |hook| hook)).collect())
}

/// The hook that holds this token now, with its metadata.
pub(super) async fn view_by_token(
    db: &Db,
    token: &HookToken,
    now_ms: i64,
) -> Result<Option<HookView>, WorldError> {
    const VIEW_BY_TOKEN: &str =
        concat!(select_views!("", "", with_token!("$2")), " WHERE", is_kept!("$3"));
    let rows = db.rows(VIEW_BY_TOKEN, &values![true, texts_of(token), now_ms]).await?;
    let views: Vec<HookView> =
        rows.iter().map(|row| view_from(&mut Columns::of(row))).collect::<Result<_, _>>()?;
    Ok(of_token(token, &views, |view| &view.hook))
}

/// The hooks that hold these tokens now, with their metadata and their runs, in the order of the tokens.
pub(super) async fn with_runs_by_tokens(
    db: &Db,
    tokens: &[HookToken],
    now_ms: i64,
) -> Result<Vec<Option<(HookView, Run)>>, WorldError> {
    const WITH_RUNS: &str = concat!(
        select_views!(concat!(", ", run_columns!()), join_run!("h.run_id"), with_token!("$2")),
        " WHERE",
        is_kept!("$3")
    );
    let texts: Vec<Vec<u8>> = tokens.iter().flat_map(texts_of).collect();
    let rows = db.rows(WITH_RUNS, &values![true, texts, now_ms]).await?;
    let found: Vec<(HookView, Run)> =
        rows.iter().map(|row| with_run_from(&mut Columns::of(row))).collect::<Result<_, _>>()?;
    Ok(of_tokens(tokens, &found, |(view, _)| &view.hook))
}

/// Calls the function `receive` for the hook that holds a token, unless it does not
/// [take](crate::domain::hook::takes_plain_payload) plain data. The row is that of [`with_runs_by_tokens`],
/// and what the function has answered.
pub(super) const RECEIVE_PLAINLY: &str = concat!(
    select_views!(
        concat!(", ", run_columns!(), ", x.outcome, x.now_ms, x.queue_ms, x.message_id"),
        concat!(
            join_run!("h.run_id"),
            " CROSS JOIN LATERAL hookline.receive(\
         CASE WHEN h.metadata_position IS NULL AND r.encryption_key_id IS NULL AND h.spec_version > 1 \
         THEN r.run_id END, h.hook_id, h.token, CASE WHEN h.spec_version >= 6 THEN 7 ELSE 3 END, $4, \
         1::smallint, $5, NULL, NULL, NULL, $6, $7, false, $8, $9, $10) AS x"
        ),
        with_token!("ARRAY[$2]")
    ),
    " WHERE",
    is_kept!("$3")
);

/// The hook and the run of such a row.
pub(super) fn with_run_from(columns: &mut Columns<'_>) -> Result<(HookView, Run), WorldError> {
    Ok((view_from(columns)?, run_from(columns)?))
}

/// Those of these tokens that the hook of a running run holds.
pub(super) async fn live_among(
    db: &Db,
    tokens: Vec<HookToken>,
) -> Result<Vec<(HookToken, HookView)>, WorldError> {
    const LIVE: &str =
        concat!(select_views!("", "", with_token!("$2")), " WHERE NOT h.outlives_run");
    let texts: Vec<Vec<u8>> = tokens.iter().flat_map(texts_of).collect();
    let rows = db.rows(LIVE, &values![true, texts]).await?;
    let views: Vec<HookView> =
        rows.iter().map(|row| view_from(&mut Columns::of(row))).collect::<Result<_, _>>()?;
    let live = of_tokens(&tokens, &views, |view| &view.hook);
    Ok(tokens.into_iter().zip(live).filter_map(|(token, view)| Some((token, view?))).collect())
}

/// The hook with this id, if it holds its token now.
pub(super) async fn by_id(
    db: &Db,
    hook_id: &CorrelationId,
    resolve_data: bool,
    now_ms: i64,
) -> Result<Option<HookView>, WorldError> {
    const BY_ID: &str = concat!(
        select_views!("", ""),
        " WHERE h.hook_id = $2 AND ",
        is_live!(),
        " AND",
        is_kept!("$3"),
        " ORDER BY h.run_id || '' LIMIT 1"
    );
    let row = db.first(BY_ID, &values![resolve_data, hook_id, now_ms]).await?;
    row.map(|row| view_from(&mut Columns::of(&row))).transpose()
}

/// A hook of a run with its metadata.
pub(super) async fn view_of_run(
    db: &Db,
    run_id: &RunId,
    hook_id: &CorrelationId,
) -> Result<Option<HookView>, WorldError> {
    const OF_RUN: &str = concat!(select_views!("", ""), " WHERE h.hook_id = $2 AND h.run_id = $3");
    let row = db.first(OF_RUN, &values![true, hook_id, run_id]).await?;
    row.map(|row| view_from(&mut Columns::of(&row))).transpose()
}

/// The hooks that hold their tokens now, in the order of their creation.
pub(super) async fn list(
    db: &Db,
    run_id: Option<&RunId>,
    page: &PageRequest,
    resolve_data: bool,
    now_ms: i64,
) -> Result<Page<HookView>, WorldError> {
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", 0),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let after = page.after_number()?.unwrap_or(edge);
    let of_run = if run_id.is_some() { "h.run_id = $2" } else { "$2::text IS NULL" };
    let sql = format!(
        "{} WHERE {of_run} AND {} AND h.hook_number {comparison} $3 AND{} \
         ORDER BY h.hook_number {direction} LIMIT $4",
        select_views!(", h.hook_number", ""),
        is_live!(),
        is_kept!("$5")
    );
    let values = values![resolve_data, run_id, after, page.limit + 1, now_ms];
    let rows = db.rows_of(&sql, &values).await?;
    let numbered = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok((view_from(&mut columns)?, columns.take::<i64>()?))
    });
    let numbered = numbered.collect::<Result<Vec<_>, WorldError>>()?;
    let page = Page::from_lookahead(numbered, page.limit, |(_, number)| number.to_string());
    let items = page.items.into_iter().map(|(view, _)| view).collect();
    Ok(Page { items, cursor: page.cursor, has_more: page.has_more })
}
