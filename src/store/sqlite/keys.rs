//! Table `encryption_keys`.

use rusqlite::{Connection, Result, params};

use super::checksum::{Check, Table};
use crate::store::sealed::KeptKey;

pub(super) static KEYS: Table = Table { name: "encryption_keys", columns: 3, key: &[0] };

/// The keys that this database has been used with, the last one first.
pub(super) fn list(connection: &Connection) -> Result<Vec<KeptKey>> {
    const LIST: &str = "SELECT key_id, sealed_token_key, created_at_ms, checksum \
         FROM encryption_keys ORDER BY created_at_ms DESC, key_id";
    connection
        .prepare_cached(LIST)?
        .query_map([], |row| {
            KEYS.verify(row, 0)?;
            Ok(KeptKey { key_id: row.get(0)?, sealed_token_key: row.get(1)? })
        })?
        .collect()
}

/// Adds a key. An existing key stays unchanged; with `as_first`, the key is added only if there is
/// none.
pub(super) fn insert(
    connection: &Connection,
    key: &KeptKey,
    as_first: bool,
    now_ms: i64,
) -> Result<()> {
    const INSERT: &str = "INSERT INTO encryption_keys \
         (key_id, sealed_token_key, created_at_ms, checksum) SELECT ?1, ?2, ?3, ?4 \
         WHERE NOT EXISTS (SELECT 1 FROM encryption_keys WHERE key_id = ?1 OR ?5)";
    let columns = params![key.key_id, key.sealed_token_key, now_ms];
    KEYS.write(&mut *connection.prepare_cached(INSERT)?, columns, params![as_first])?;
    Ok(())
}

/// Checks every key.
pub(super) const CHECK: Check = Check {
    rows: "SELECT key_id, sealed_token_key, created_at_ms, checksum FROM encryption_keys",
    verify: |row| KEYS.verify(row, 0),
};
