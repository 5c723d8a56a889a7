//! Table `runs`.

use super::db::{Columns, Db, Value, values};
use super::rows::payload_from;
use super::writes::{Does, Kind, Write};
use crate::domain::id::{MessageId, RunId};
use crate::domain::page::{Page, SortOrder};
use crate::domain::run::Run;
use crate::error::WorldError;
use crate::store::columns::ReadColumns;
use crate::store::columns::{attributes_text, error_text, run_from};
use crate::store::{RunQuery, RunView};

/// The columns of [`run_from`], of the table `r`.
macro_rules! run_columns {
    () => {
        "r.run_id, r.status, r.deployment_id, r.workflow_name, r.spec_version, r.execution_context, \
         r.input_position, r.output_position, r.error, r.error_position, r.error_code, \
         r.created_at_ms, r.updated_at_ms, r.started_at_ms, r.completed_at_ms, r.encryption_key_id, \
         r.attributes, r.encryption_public_key, r.expired_at_ms, r.release_id"
    };
}
pub(super) use run_columns;

/// Joins the run with this id, as table `r`.
macro_rules! join_run {
    ($run_id:literal) => {
        concat!(
            " CROSS JOIN LATERAL (SELECT x.* FROM hookline.runs AS x WHERE x.run_id = ",
            $run_id,
            " OFFSET 0) AS r"
        )
    };
}
pub(super) use join_run;

/// The columns of [`view_from`]: the run, then its input, its output and its error. `$1` says whether
/// the first two are wanted.
macro_rules! select_views {
    () => {
        $crate::store::postgres::runs::select_views!("", "")
    };
    ($more:expr, $joins:literal) => {
        concat!(
            "SELECT ",
            $crate::store::postgres::runs::run_columns!(),
            ", i.payload_format, i.payload, o.payload_format, o.payload, \
             e.payload_format, e.payload",
            $more,
            " FROM hookline.runs AS r",
            $crate::store::postgres::rows::payload_at!("i", "$1", "r.run_id", "r.input_position"),
            $crate::store::postgres::rows::payload_at!("o", "$1", "r.run_id", "r.output_position"),
            $crate::store::postgres::rows::payload_at!("e", "true", "r.run_id", "r.error_position"),
            $joins
        )
    };
}
pub(super) use select_views;

pub(super) fn view_from(columns: &mut Columns<'_>) -> Result<RunView, WorldError> {
    Ok(RunView {
        run: run_from(columns)?,
        input: payload_from(columns)?,
        output: payload_from(columns)?,
        error: payload_from(columns)?,
    })
}

fn columns_of(run: &Run) -> Vec<Value> {
    values![
        &run.run_id,
        run.status.as_str(),
        &run.deployment_id,
        &run.workflow_name,
        run.spec_version,
        &run.execution_context,
        run.input_position,
        run.output_position,
        error_text(run.error.as_ref()),
        run.error_position,
        &run.error_code,
        run.created_at_ms,
        run.updated_at_ms,
        run.started_at_ms,
        run.completed_at_ms,
        &run.encryption_key_id,
        attributes_text(&run.attributes),
        &run.encryption_public_key,
        run.expired_at_ms,
        &run.release_id,
    ]
    .into()
}

pub(super) fn insert(run: &Run) -> Write {
    macro_rules! insert {
        () => {
            "INSERT INTO hookline.runs (run_id, status, deployment_id, workflow_name, spec_version, \
             execution_context, input_position, output_position, error, error_position, error_code, \
             created_at_ms, updated_at_ms, started_at_ms, completed_at_ms, encryption_key_id, \
             attributes, encryption_public_key, expired_at_ms, release_id) "
        };
    }
    const INSERT: &str = concat!(
        insert!(),
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
         $19, $20)"
    );
    static INSERTS: Kind = Kind {
        table: "runs",
        many: concat!(
            insert!(),
            "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
             $15, $16, $17, $18, $19, $20)"
        ),
        key: 1,
        does: Does::Insert,
    };
    Write::of(&INSERTS, INSERT, columns_of(run))
}

pub(super) fn update(run: &Run) -> Write {
    const UPDATE: &str = "UPDATE hookline.runs SET status = $2, output_position = $3, error = $4, \
         error_position = $5, error_code = $6, updated_at_ms = $7, started_at_ms = $8, \
         completed_at_ms = $9, attributes = $10, expired_at_ms = $11 WHERE run_id = $1";
    static UPDATES: Kind = Kind {
        table: "runs",
        many: "UPDATE hookline.runs AS r SET status = n.status, \
             output_position = n.output_position, error = n.error, \
             error_position = n.error_position, error_code = n.error_code, \
             updated_at_ms = n.updated_at_ms, started_at_ms = n.started_at_ms, \
             completed_at_ms = n.completed_at_ms, attributes = n.attributes, \
             expired_at_ms = n.expired_at_ms \
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS n(run_id, status, \
             output_position, error, error_position, error_code, updated_at_ms, started_at_ms, \
             completed_at_ms, attributes, expired_at_ms) WHERE r.run_id = n.run_id",
        key: 1,
        does: Does::Update,
    };
    let columns = values![
        &run.run_id,
        run.status.as_str(),
        run.output_position,
        error_text(run.error.as_ref()),
        run.error_position,
        &run.error_code,
        run.updated_at_ms,
        run.started_at_ms,
        run.completed_at_ms,
        attributes_text(&run.attributes),
        run.expired_at_ms,
    ];
    Write::of(&UPDATES, UPDATE, columns)
}

/// Writes the release.
pub(super) fn update_release(run: &Run) -> Write {
    const MOVE: &str = "UPDATE hookline.runs SET release_id = $2 WHERE run_id = $1";
    Write::new(MOVE, values![&run.run_id, &run.release_id])
}

/// Locks runs until the end of the transaction: those with these ids, and those of these messages.
/// All processes lock in the order of the ids, so none waits in a circle. What is read afterwards is
/// what the transactions left that were waited for.
///
/// Returns the runs, each with whether its release is gone (`None` if that is no release): a row is
/// returned as it is when it has been locked, in contrast to rows of other tables.
pub(super) async fn lock(
    db: &Db,
    run_ids: Vec<String>,
    messages: Vec<i64>,
) -> Result<Vec<(Run, Option<bool>)>, WorldError> {
    macro_rules! lock {
        ($which:literal) => {
            concat!(
                "SELECT ",
                run_columns!(),
                ", (SELECT gone_at_ms IS NOT NULL FROM hookline.releases AS g \
                 WHERE g.release_id = r.release_id) FROM hookline.runs AS r WHERE r.run_id = ",
                $which,
                " ORDER BY r.run_id FOR NO KEY UPDATE OF r"
            )
        };
    }
    const LOCK: &str = lock!("ANY ($1)");
    const LOCK_WITH_MESSAGES: &str = lock!(
        "ANY ($1 || ARRAY(SELECT m.run_id FROM hookline.messages AS m \
           WHERE m.message_id = ANY ($2)))"
    );
    let rows = match messages.is_empty() {
        true => db.rows(LOCK, &values![run_ids]).await?,
        false => db.rows(LOCK_WITH_MESSAGES, &values![run_ids, messages]).await?,
    };
    let both = rows.iter().map(|row| {
        let mut columns = Columns::of(row);
        Ok((run_from(&mut columns)?, columns.take()?))
    });
    both.collect()
}

pub(super) async fn by_id(db: &Db, run_id: &RunId) -> Result<Option<Run>, WorldError> {
    const BY_ID: &str =
        concat!("SELECT ", run_columns!(), " FROM hookline.runs AS r WHERE r.run_id = $1");
    let row = db.first(BY_ID, &values![run_id]).await?;
    row.map(|row| run_from(&mut Columns::of(&row))).transpose()
}

/// A run that is to be changed: it stays as it is read until the end of the transaction.
pub(super) async fn locked(db: &Db, run_id: &RunId) -> Result<Option<Run>, WorldError> {
    const LOCKED: &str = concat!(
        "SELECT ",
        run_columns!(),
        " FROM hookline.runs AS r WHERE r.run_id = $1 FOR NO KEY UPDATE"
    );
    let row = db.first(LOCKED, &values![run_id]).await?;
    row.map(|row| run_from(&mut Columns::of(&row))).transpose()
}

/// The run, with its error, and with its other payloads if `resolve_data` is set.
pub(super) async fn view(
    db: &Db,
    run_id: &RunId,
    resolve_data: bool,
) -> Result<Option<RunView>, WorldError> {
    const VIEW: &str = concat!(select_views!(), " WHERE r.run_id = $2");
    let row = db.first(VIEW, &values![resolve_data, run_id]).await?;
    row.map(|row| view_from(&mut Columns::of(&row))).transpose()
}

/// Those of these runs that have ended, and those that do not exist.
pub(super) async fn ends_among(
    db: &Db,
    run_ids: Vec<RunId>,
) -> Result<Vec<(RunId, Option<RunView>)>, WorldError> {
    const ENDED: &str =
        concat!(select_views!(), " WHERE r.run_id = ANY ($2) AND r.completed_at_ms IS NOT NULL");
    const THERE: &str =
        concat!("SELECT r.run_id FROM unnest($1) AS k(run_id)", join_run!("k.run_id"));
    let texts: Vec<String> = run_ids.iter().map(|run_id| run_id.as_str().to_owned()).collect();
    // First, which are there: a run is made before it ends.
    let there = db.rows(THERE, &values![texts.clone()]).await?;
    let there: Vec<RunId> =
        there.iter().map(|row| Columns::of(row).run_id()).collect::<Result<_, _>>()?;
    let mut ended = Vec::new();
    for row in db.rows(ENDED, &values![true, texts]).await? {
        ended.push(view_from(&mut Columns::of(&row))?);
    }
    Ok(run_ids
        .into_iter()
        .filter_map(|run_id| {
            let end = ended.iter().position(|view| view.run.run_id == run_id);
            match end {
                Some(at) => Some((run_id, Some(ended.swap_remove(at)))),
                None => (!there.contains(&run_id)).then_some((run_id, None)),
            }
        })
        .collect())
}

/// Whether a run was replayed by another worker than the one that has the lease of this message.
pub(super) async fn is_replayed_by_others(
    db: &Db,
    run_id: &RunId,
    message_id: MessageId,
) -> Result<bool, WorldError> {
    const REPLAYED: &str = "SELECT 1 FROM hookline.replays WHERE run_id = $1 \
         AND replayed_by IS DISTINCT FROM \
           (SELECT lease_owner FROM hookline.messages WHERE message_id = $2)";
    Ok(db.first(REPLAYED, &values![run_id, message_id]).await?.is_some())
}

pub(super) async fn list(db: &Db, query: &RunQuery) -> Result<Page<RunView>, WorldError> {
    let (comparison, direction, edge) = match query.page.order {
        SortOrder::Ascending => (">", "ASC", ""),
        // Sorts after every id.
        SortOrder::Descending => ("<", "DESC", "~"),
    };
    let after = query.page.after_run()?;
    let after = after.as_ref().map_or(edge, RunId::as_str);
    let mut parameters = Vec::from(values![query.resolve_data, after, query.page.limit + 1]);
    let mut sql = format!("{} WHERE r.run_id {comparison} $2", select_views!());
    if let Some(name) = &query.workflow_name {
        parameters.push(name.into());
        sql.push_str(&format!(" AND r.workflow_name = ${}", parameters.len()));
    }
    if let Some(statuses) = &query.statuses {
        let words: Vec<String> = statuses.iter().map(|status| status.as_str().to_owned()).collect();
        parameters.push(words.into());
        sql.push_str(&format!(" AND r.status = ANY (${})", parameters.len()));
    }
    sql.push_str(&format!(" ORDER BY r.run_id {direction} LIMIT $3"));
    let rows = db.rows_of(&sql, &parameters).await?;
    let views = rows.iter().map(|row| view_from(&mut Columns::of(row)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_lookahead(views, query.page.limit, |view| view.run.run_id.as_str().to_owned()))
}
