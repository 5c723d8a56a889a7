//! Table `delivery_secret`: the secret that proves over HTTP that a process has this database.

use rusqlite::{Connection, Result, params};

use crate::crypto::{DELIVERY_SECRET_LENGTH, DeliverySecret};
use crate::entropy;

/// Draws the secret of a database that has none.
pub(super) fn keep(connection: &Connection) -> Result<()> {
    const IS_KEPT: &str = "SELECT 1 FROM delivery_secret";
    const KEEP: &str = "INSERT OR IGNORE INTO delivery_secret VALUES (1, ?)";
    if !connection.prepare(IS_KEPT)?.exists([])? {
        let fresh = entropy::secret_bytes::<DELIVERY_SECRET_LENGTH>();
        connection.execute(KEEP, params![fresh])?;
    }
    Ok(())
}

/// The secret.
pub(super) fn read(connection: &Connection) -> Result<DeliverySecret> {
    const KEPT: &str = "SELECT secret FROM delivery_secret";
    let kept: [u8; DELIVERY_SECRET_LENGTH] =
        connection.prepare_cached(KEPT)?.query_row([], |row| row.get(0))?;
    Ok(DeliverySecret::new(kept))
}
