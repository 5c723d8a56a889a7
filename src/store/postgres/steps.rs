//! Table `steps`.

use super::db::{Columns, Db, Value, values};
use super::rows::{payload_at, payload_from};
use super::writes::{Does, Kind, Write};
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::page::{Page, PageRequest, SortOrder};
use crate::domain::step::Step;
use crate::error::WorldError;
use crate::store::StepView;
use crate::store::columns::{error_text, step_from};

macro_rules! columns {
    () => {
        "s.run_id, s.step_id, s.step_name, s.status, s.created_position, s.output_position, s.error, \
         s.error_position, s.owner_message_id, s.attempt, s.created_at_ms, s.updated_at_ms, \
         s.started_at_ms, s.completed_at_ms, s.retry_after_ms, s.spec_version"
    };
}

/// The columns of [`view_from`]: the step, then its input, its output and its error. `$1` says whether
/// the first two are wanted.
macro_rules! select_views {
    () => {
        select_views!("hookline.steps")
    };
    ($steps:expr) => {
        concat!(
            "SELECT ",
            columns!(),
            ", i.payload_format, i.payload, o.payload_format, o.payload, \
             e.payload_format, e.payload FROM ",
            $steps,
            " AS s",
            payload_at!("i", "$1", "s.run_id", "s.created_position"),
            payload_at!("o", "$1", "s.run_id", "s.output_position"),
            payload_at!("e", "true", "s.run_id", "s.error_position")
        )
    };
}

fn view_from(columns: &mut Columns<'_>) -> Result<StepView, WorldError> {
    Ok(StepView {
        step: step_from(columns)?,
        input: payload_from(columns)?,
        output: payload_from(columns)?,
        error: payload_from(columns)?,
    })
}

fn columns_of(step: &Step) -> Vec<Value> {
    values![
        &step.run_id,
        &step.step_id,
        &step.step_name,
        step.status.as_str(),
        step.created_position,
        step.output_position,
        error_text(step.error.as_ref()),
        step.error_position,
        step.owner,
        step.attempt,
        step.created_at_ms,
        step.updated_at_ms,
        step.started_at_ms,
        step.completed_at_ms,
        step.retry_after_ms,
        step.spec_version,
    ]
    .into()
}

pub(super) fn insert(step: &Step) -> Write {
    macro_rules! insert {
        () => {
            "INSERT INTO hookline.steps (run_id, step_id, step_name, status, created_position, \
             output_position, error, error_position, owner_message_id, attempt, created_at_ms, \
             updated_at_ms, started_at_ms, completed_at_ms, retry_after_ms, spec_version) "
        };
    }
    const INSERT: &str = concat!(
        insert!(),
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    );
    static INSERTS: Kind = Kind {
        table: "steps",
        many: concat!(
            insert!(),
            "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, \
             $15, $16)"
        ),
        key: 2,
        does: Does::Insert,
    };
    Write::of(&INSERTS, INSERT, columns_of(step))
}

pub(super) fn update(step: &Step) -> Write {
    const UPDATE: &str = "UPDATE hookline.steps SET status = $3, output_position = $4, error = $5, \
         error_position = $6, owner_message_id = $7, attempt = $8, updated_at_ms = $9, \
         started_at_ms = $10, completed_at_ms = $11, retry_after_ms = $12 \
         WHERE run_id = $1 AND created_position = $2";
    static UPDATES: Kind = Kind {
        table: "steps",
        many: "UPDATE hookline.steps AS s SET status = n.status, \
             output_position = n.output_position, error = n.error, \
             error_position = n.error_position, owner_message_id = n.owner_message_id, \
             attempt = n.attempt, updated_at_ms = n.updated_at_ms, \
             started_at_ms = n.started_at_ms, completed_at_ms = n.completed_at_ms, \
             retry_after_ms = n.retry_after_ms \
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS n(run_id, \
             created_position, status, output_position, error, error_position, owner_message_id, \
             attempt, updated_at_ms, started_at_ms, completed_at_ms, retry_after_ms) \
             WHERE s.run_id = n.run_id AND s.created_position = n.created_position",
        key: 2,
        does: Does::Update,
    };
    let columns = values![
        &step.run_id,
        step.created_position,
        step.status.as_str(),
        step.output_position,
        error_text(step.error.as_ref()),
        step.error_position,
        step.owner,
        step.attempt,
        step.updated_at_ms,
        step.started_at_ms,
        step.completed_at_ms,
        step.retry_after_ms,
    ];
    Write::of(&UPDATES, UPDATE, columns)
}

pub(super) async fn by_id(
    db: &Db,
    run_id: &RunId,
    step_id: &CorrelationId,
) -> Result<Option<Step>, WorldError> {
    const BY_ID: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM hookline.steps AS s WHERE s.step_id = $1 AND s.run_id = $2"
    );
    let row = db.first(BY_ID, &values![step_id, run_id]).await?;
    row.map(|row| step_from(&mut Columns::of(&row))).transpose()
}

/// The steps with these ids in these runs, with their payloads.
pub(super) async fn many(
    db: &Db,
    (run_ids, step_ids): (Vec<String>, Vec<String>),
) -> Result<Vec<StepView>, WorldError> {
    const MANY: &str = select_views!(
        "unnest($2, $3) AS k(run_id, step_id) CROSS JOIN LATERAL (SELECT l.* FROM hookline.steps AS l \
           WHERE l.step_id = k.step_id AND l.run_id = k.run_id OFFSET 0)"
    );
    let rows = db.rows(MANY, &values![true, run_ids, step_ids]).await?;
    rows.iter().map(|row| view_from(&mut Columns::of(row))).collect()
}

/// The step with its error, in the run if one is named, and with its other payloads if `resolve_data`
/// is set.
pub(super) async fn view(
    db: &Db,
    run_id: Option<&RunId>,
    step_id: &CorrelationId,
    resolve_data: bool,
) -> Result<Option<StepView>, WorldError> {
    const OF_RUN: &str = concat!(select_views!(), " WHERE s.step_id = $2 AND s.run_id = $3");
    const OF_ANY: &str =
        concat!(select_views!(), " WHERE s.step_id = $2 ORDER BY s.run_id LIMIT 1");
    let row = match run_id {
        Some(run_id) => db.first(OF_RUN, &values![resolve_data, step_id, run_id]).await?,
        None => db.first(OF_ANY, &values![resolve_data, step_id]).await?,
    };
    row.map(|row| view_from(&mut Columns::of(&row))).transpose()
}

pub(super) async fn list(
    db: &Db,
    run_id: &RunId,
    page: &PageRequest,
    resolve_data: bool,
) -> Result<Page<StepView>, WorldError> {
    let (comparison, direction, edge) = match page.order {
        SortOrder::Ascending => (">", "ASC", 0),
        SortOrder::Descending => ("<", "DESC", i64::MAX),
    };
    let after = page.after_number()?.unwrap_or(edge);
    let sql = format!(
        "{} WHERE s.run_id = $2 AND s.created_position {comparison} $3 \
         ORDER BY s.created_position {direction} LIMIT $4",
        select_views!()
    );
    let rows = db.rows_of(&sql, &values![resolve_data, run_id, after, page.limit + 1]).await?;
    let views = rows.iter().map(|row| view_from(&mut Columns::of(row)));
    let views = views.collect::<Result<Vec<_>, _>>()?;
    Ok(Page::from_lookahead(views, page.limit, |view| view.step.created_position.to_string()))
}
