//! Table `releases`.

use std::collections::HashSet;

use super::db::{Columns, Db, values};
use super::writes::Write;
use crate::error::WorldError;
use crate::store::upkeep::KnownRelease;

/// The ids of all releases.
pub(super) async fn ids(db: &Db) -> Result<HashSet<String>, WorldError> {
    let rows = db.rows("SELECT release_id FROM hookline.releases", &[]).await?;
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// Of a worker with a release only that one, of others all; each with whether it is gone.
pub(super) async fn known_to(
    db: &Db,
    own: Option<&str>,
) -> Result<Vec<(String, bool)>, WorldError> {
    const ALL: &str = "SELECT release_id, gone_at_ms IS NOT NULL FROM hookline.releases";
    let Some(own) = own else {
        let rows = db.rows(ALL, &[]).await?;
        return rows.iter().map(gone_from).collect();
    };
    gone_of(db, vec![own.to_owned()]).await
}

fn gone_from(row: &tokio_postgres::Row) -> Result<(String, bool), WorldError> {
    let mut columns = Columns::of(row);
    Ok((columns.take()?, columns.take()?))
}

/// Notes that an id is a release.
pub(super) fn note(release_id: &str, now_ms: i64) -> Write {
    const NOTE: &str = "INSERT INTO hookline.releases (release_id, first_seen_ms) VALUES ($1, $2) \
         ON CONFLICT (release_id) DO NOTHING";
    Write::new(NOTE, values![release_id, now_ms])
}

/// All releases, in the order in which they were first seen.
pub(super) async fn all(db: &Db) -> Result<Vec<KnownRelease>, WorldError> {
    const ALL: &str = "SELECT release_id, first_seen_ms, gone_at_ms FROM hookline.releases \
         ORDER BY first_seen_ms, release_id";
    let release_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        Ok(KnownRelease {
            release_id: columns.take()?,
            first_seen_ms: columns.take()?,
            gone_at_ms: columns.take()?,
        })
    };
    db.rows(ALL, &[]).await?.iter().map(release_of).collect()
}

/// Those of these ids that are releases, each with whether it is gone.
pub(super) async fn gone_of(db: &Db, ids: Vec<String>) -> Result<Vec<(String, bool)>, WorldError> {
    const GONE: &str = "SELECT release_id, gone_at_ms IS NOT NULL FROM hookline.releases \
         WHERE release_id = ANY ($1)";
    let rows = db.rows(GONE, &values![ids]).await?;
    rows.iter().map(gone_from).collect()
}

/// Whether a release is gone; `None` if there is no such release.
pub(super) async fn is_gone(db: &Db, release_id: &str) -> Result<Option<bool>, WorldError> {
    const IS_GONE: &str =
        "SELECT gone_at_ms IS NOT NULL FROM hookline.releases WHERE release_id = $1";
    let row = db.first(IS_GONE, &values![release_id]).await?;
    row.map(|row| Columns::of(&row).take()).transpose()
}

pub(super) fn mark_gone(release_id: &str, now_ms: i64) -> Write {
    const MARK: &str = "UPDATE hookline.releases SET gone_at_ms = $2 WHERE release_id = $1";
    Write::new(MARK, values![release_id, now_ms])
}

/// Notes that a release is there: a process of it claims.
pub(super) fn is_here(release_id: &str, now_ms: i64) -> [Write; 2] {
    const BACK: &str = "UPDATE hookline.releases SET gone_at_ms = NULL WHERE release_id = $1 \
         AND gone_at_ms IS NOT NULL";
    [note(release_id, now_ms), Write::new(BACK, values![release_id])]
}
