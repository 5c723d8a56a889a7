//! Table `encryption_keys`.

use rusqlite::{Connection, Result, params};

use crate::store::sealed::KeptKey;

/// The keys that this database has been used with, the last one first.
pub(super) fn list(connection: &Connection) -> Result<Vec<KeptKey>> {
    const LIST: &str = "SELECT key_id, sealed_token_key FROM encryption_keys \
         ORDER BY created_at_ms DESC, key_id";
    connection
        .prepare_cached(LIST)?
        .query_map([], |row| Ok(KeptKey { key_id: row.get(0)?, sealed_token_key: row.get(1)? }))?
        .collect()
}

/// A key that is there already stays as it is; `as_first` adds one only where there is none.
pub(super) fn insert(
    connection: &Connection,
    key: &KeptKey,
    as_first: bool,
    now_ms: i64,
) -> Result<()> {
    const INSERT: &str = "INSERT INTO encryption_keys (key_id, sealed_token_key, created_at_ms) \
         SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM encryption_keys WHERE key_id = ?1 OR ?4)";
    connection.prepare_cached(INSERT)?.execute(params![
        key.key_id,
        key.sealed_token_key,
        now_ms,
        as_first,
    ])?;
    Ok(())
}
