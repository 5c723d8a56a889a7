//! Table `encryption_keys`.

use super::db::{Columns, Db, values};
use super::writes::Write;
use crate::error::WorldError;
use crate::store::sealed::KeptKey;

/// The keys that this database has been used with, the last one first.
pub(super) async fn list(db: &Db) -> Result<Vec<KeptKey>, WorldError> {
    const LIST: &str = "SELECT key_id, sealed_token_key FROM hookline.encryption_keys \
         ORDER BY created_at_ms DESC, key_id";
    let key_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        Ok(KeptKey { key_id: columns.take()?, sealed_token_key: columns.take()? })
    };
    db.rows(LIST, &[]).await?.iter().map(key_of).collect()
}

/// Keeps others from adding a key until the end of the transaction: at most one is the first.
pub(super) fn lock() -> Write {
    Write::new("LOCK TABLE hookline.encryption_keys IN SHARE ROW EXCLUSIVE MODE", Vec::new())
}

/// Adds a key. An existing key stays unchanged; with `as_first`, the key is added only if there is
/// none.
pub(super) fn insert(key: &KeptKey, as_first: bool, now_ms: i64) -> Write {
    const INSERT: &str = "INSERT INTO hookline.encryption_keys \
         (key_id, sealed_token_key, created_at_ms) SELECT $1, $2, $3 \
         WHERE NOT EXISTS (SELECT 1 FROM hookline.encryption_keys WHERE key_id = $1 OR $4)";
    Write::new(INSERT, values![&key.key_id, &key.sealed_token_key, now_ms, as_first])
}
