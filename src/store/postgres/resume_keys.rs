//! Table `resume_keys`: resumes that had an idempotency key.

use super::db::{Columns, Db, values};
use super::writes::Write;
use crate::domain::resume_key::KeyedResume;
use crate::error::WorldError;
use crate::store::columns::ReadColumns;

pub(super) async fn by_digest(
    db: &Db,
    key_digest: &str,
) -> Result<Option<KeyedResume>, WorldError> {
    const BY_DIGEST: &str = "SELECT run_id, hook_id, payload_digest, expires_at_ms \
         FROM hookline.resume_keys WHERE key_digest = $1";
    let row = db.first(BY_DIGEST, &values![key_digest]).await?;
    row.map(|row| resume_from(&mut Columns::of(&row))).transpose()
}

fn resume_from(columns: &mut Columns<'_>) -> Result<KeyedResume, WorldError> {
    Ok(KeyedResume {
        run_id: columns.run_id()?,
        hook_id: columns.correlation_id()?,
        payload_digest: columns.take()?,
        expires_at_ms: columns.take()?,
    })
}

/// Those of these resumes that there were.
pub(super) async fn many(
    db: &Db,
    digests: Vec<String>,
) -> Result<Vec<(String, KeyedResume)>, WorldError> {
    const MANY: &str = "SELECT run_id, hook_id, payload_digest, expires_at_ms, key_digest \
         FROM hookline.resume_keys WHERE key_digest = ANY ($1)";
    let rows = db.rows(MANY, &values![digests]).await?;
    let resume_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let resume = resume_from(&mut columns)?;
        Ok((columns.take()?, resume))
    };
    rows.iter().map(resume_of).collect()
}

/// Inserts it, or replaces one that has expired. Anything else is of another process that had the same
/// key at the same time; then the transaction fails.
pub(super) fn put(key_digest: &str, resume: &KeyedResume, now_ms: i64) -> [Write; 2] {
    const DELETE: &str =
        "DELETE FROM hookline.resume_keys WHERE key_digest = $1 AND expires_at_ms + 0 <= $2";
    const INSERT: &str = "INSERT INTO hookline.resume_keys \
         (key_digest, run_id, hook_id, payload_digest, expires_at_ms) VALUES ($1, $2, $3, $4, $5)";
    let columns = values![
        key_digest,
        &resume.run_id,
        &resume.hook_id,
        &resume.payload_digest,
        resume.expires_at_ms,
    ];
    [Write::new(DELETE, values![key_digest, now_ms]), Write::new(INSERT, columns)]
}

/// Other processes may be deleting the same ones.
pub(super) fn delete_expired(now_ms: i64, limit: usize) -> Write {
    const DELETE_EXPIRED: &str = "DELETE FROM hookline.resume_keys WHERE key_digest = ANY (ARRAY(\
         SELECT key_digest FROM hookline.resume_keys WHERE expires_at_ms <= $1 \
         ORDER BY expires_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED))";
    Write::new(DELETE_EXPIRED, values![now_ms, limit])
}
