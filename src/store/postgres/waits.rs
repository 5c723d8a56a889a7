//! Table `waits`.

use super::db::{Columns, Db, values};
use super::writes::{Does, Kind, Write};
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::wait::Wait;
use crate::error::WorldError;
use crate::store::columns::wait_from;

macro_rules! columns {
    () => {
        "w.run_id, w.correlation_id, w.resume_at_ms, w.completed_at_ms, w.created_at_ms, \
         w.updated_at_ms, w.spec_version"
    };
}

pub(super) fn insert(wait: &Wait) -> Write {
    macro_rules! insert {
        () => {
            "INSERT INTO hookline.waits (run_id, correlation_id, resume_at_ms, completed_at_ms, \
             created_at_ms, updated_at_ms, spec_version) "
        };
    }
    const INSERT: &str = concat!(insert!(), "VALUES ($1, $2, $3, $4, $5, $6, $7)");
    static INSERTS: Kind = Kind {
        table: "waits",
        many: concat!(insert!(), "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)"),
        key: 2,
        does: Does::Insert,
    };
    let columns = values![
        &wait.run_id,
        &wait.correlation_id,
        wait.resume_at_ms,
        wait.completed_at_ms,
        wait.created_at_ms,
        wait.updated_at_ms,
        wait.spec_version,
    ];
    Write::of(&INSERTS, INSERT, columns)
}

pub(super) fn update(wait: &Wait) -> Write {
    const UPDATE: &str = "UPDATE hookline.waits SET completed_at_ms = $3, updated_at_ms = $4 \
         WHERE run_id = $1 AND correlation_id = $2";
    let columns =
        values![&wait.run_id, &wait.correlation_id, wait.completed_at_ms, wait.updated_at_ms];
    Write::new(UPDATE, columns)
}

pub(super) fn delete_of_run(run_id: &RunId) -> Write {
    const DELETE: &str = "DELETE FROM hookline.waits WHERE run_id = $1";
    static DELETES: Kind = Kind {
        table: "waits",
        many: "DELETE FROM hookline.waits WHERE run_id = ANY ($1)",
        key: 1,
        does: Does::Delete,
    };
    Write::of(&DELETES, DELETE, values![run_id])
}

pub(super) async fn by_id(
    db: &Db,
    run_id: &RunId,
    wait_id: &CorrelationId,
) -> Result<Option<Wait>, WorldError> {
    const BY_ID: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM hookline.waits AS w WHERE w.run_id = $1 AND w.correlation_id = $2"
    );
    let row = db.first(BY_ID, &values![run_id, wait_id]).await?;
    row.map(|row| wait_from(&mut Columns::of(&row))).transpose()
}

/// The waits with these ids in these runs.
pub(super) async fn many(
    db: &Db,
    (run_ids, wait_ids): (Vec<String>, Vec<String>),
) -> Result<Vec<Wait>, WorldError> {
    const MANY: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM unnest($1, $2) AS k(run_id, wait_id) CROSS JOIN LATERAL (\
           SELECT l.* FROM hookline.waits AS l \
           WHERE l.run_id = k.run_id AND l.correlation_id = k.wait_id OFFSET 0) AS w"
    );
    let rows = db.rows(MANY, &values![run_ids, wait_ids]).await?;
    rows.iter().map(|row| wait_from(&mut Columns::of(row))).collect()
}

/// The waits of a run that are not completed, in the order of its log.
pub(super) async fn pending(db: &Db, run_id: &RunId) -> Result<Vec<Wait>, WorldError> {
    const PENDING: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM hookline.waits AS w WHERE w.run_id = $1 AND w.completed_at_ms IS NULL \
         ORDER BY (SELECT min(e.position) FROM hookline.events AS e WHERE e.run_id = w.run_id \
           AND e.correlation_id = w.correlation_id AND e.event_type = 'wait_created')"
    );
    listed(db, PENDING, run_id).await
}

/// The waits of a run that are not completed, the next first.
pub(super) async fn open(db: &Db, run_id: &RunId) -> Result<Vec<Wait>, WorldError> {
    const OPEN: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM hookline.waits AS w WHERE w.run_id = $1 AND w.completed_at_ms IS NULL \
         ORDER BY w.resume_at_ms, w.correlation_id"
    );
    listed(db, OPEN, run_id).await
}

async fn listed(db: &Db, sql: &'static str, run_id: &RunId) -> Result<Vec<Wait>, WorldError> {
    let rows = db.rows(sql, &values![run_id]).await?;
    rows.iter().map(|row| wait_from(&mut Columns::of(row))).collect()
}
