//! Table `resume_keys`: resumes that had an idempotency key.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::checksum::{Check, Table};
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::resume_key::KeyedResume;

macro_rules! columns {
    () => {
        "key_digest, run_id, hook_id, payload_digest, expires_at_ms, checksum"
    };
}
pub(super) static RESUME_KEYS: Table = Table { name: "resume_keys", columns: 5, key: &[1, 2] };

pub(super) fn by_digest(connection: &Connection, key_digest: &str) -> Result<Option<KeyedResume>> {
    const BY_DIGEST: &str =
        concat!("SELECT ", columns!(), " FROM resume_keys WHERE key_digest = ?");
    connection
        .prepare_cached(BY_DIGEST)?
        .query_row([key_digest], |row| {
            RESUME_KEYS.verify(row, 0)?;
            Ok(KeyedResume {
                run_id: RunId::new(row.get::<_, String>(1)?),
                hook_id: CorrelationId::new(row.get::<_, String>(2)?),
                payload_digest: row.get(3)?,
                expires_at_ms: row.get(4)?,
            })
        })
        .optional()
}

pub(super) fn upsert(
    connection: &Connection,
    key_digest: &str,
    resume: &KeyedResume,
) -> Result<()> {
    const UPSERT: &str = concat!(
        "INSERT INTO resume_keys (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key_digest) DO UPDATE SET \
         run_id = excluded.run_id, hook_id = excluded.hook_id, \
         payload_digest = excluded.payload_digest, expires_at_ms = excluded.expires_at_ms, \
         checksum = excluded.checksum"
    );
    let columns = params![
        key_digest,
        resume.run_id.as_str(),
        resume.hook_id.as_str(),
        resume.payload_digest,
        resume.expires_at_ms,
    ];
    RESUME_KEYS.write(&mut *connection.prepare_cached(UPSERT)?, columns, &[])?;
    Ok(())
}

/// Checks every key.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", columns!(), " FROM resume_keys"),
    verify: |row| RESUME_KEYS.verify(row, 0),
};

pub(super) fn delete_expired(connection: &Connection, now_ms: i64, limit: usize) -> Result<()> {
    const DELETE_EXPIRED: &str = "DELETE FROM resume_keys WHERE key_digest IN \
         (SELECT key_digest FROM resume_keys WHERE expires_at_ms <= ? \
          ORDER BY expires_at_ms LIMIT ?)";
    connection.prepare_cached(DELETE_EXPIRED)?.execute(params![now_ms, limit as i64])?;
    Ok(())
}
