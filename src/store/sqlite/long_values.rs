//! Table `long_values`: payloads and chunks that are too long for their row.
//!
//! Events and chunks are clustered, each in the middle of its table, beside those of its run or
//! stream. A short value stays with them, so that a replay reads neighbouring pages. A long one would
//! fill their pages and make SQLite divide them again and again: it is appended here, behind the last
//! one, and the row names its number. Rows are never changed, and what is read is checked by the
//! checksum of whoever names it.

use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, MAIN_DB, Result};

/// Bytes of the longest value that stays in its row. SQLite keeps up to 1002 bytes of such a row in
/// one piece; what an event has besides its payload takes about 150 of them, and 230 with a sealed
/// token.
const SHORT_BYTES_MAX: usize = 768;
/// Bytes of the longest value that is handed to SQLite as a parameter. It copies a parameter twice
/// before it is in a page; a longer value is written into its pages at once.
const BOUND_BYTES_MAX: usize = 256 * 1024;

/// Where a value is stored: in the row that it belongs to, or here.
#[derive(Default)]
pub(super) struct Stored<'a> {
    /// For the row's column of the value; `None` for a long value.
    pub(super) in_row: Option<&'a [u8]>,
    /// For the row's column of the number; `None` for a short value.
    pub(super) number: Option<i64>,
}

/// Stores a long value, and leaves a short one to its row.
pub(super) fn store<'a>(connection: &Connection, bytes: &'a [u8]) -> Result<Stored<'a>> {
    const INSERT: &str = "INSERT INTO long_values (bytes) VALUES (?)";
    if bytes.len() <= SHORT_BYTES_MAX {
        return Ok(Stored { in_row: Some(bytes), number: None });
    }
    let mut insert = connection.prepare_cached(INSERT)?;
    let number = if bytes.len() <= BOUND_BYTES_MAX {
        insert.insert([bytes])?
    } else {
        let number = insert.insert([ZeroBlob(bytes.len() as u64)])?;
        let mut blob = connection.blob_open(MAIN_DB, "long_values", "bytes", number, false)?;
        blob.write_all_at(bytes, 0)?;
        number
    };
    Ok(Stored { in_row: None, number: Some(number) })
}
