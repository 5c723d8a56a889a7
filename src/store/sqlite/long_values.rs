//! Table `long_values`: payloads and chunks that are too long for their row.
//!
//! Events and chunks are clustered, so each is inserted in the middle of its table, beside those of its
//! run or stream. A short value stays in its row, so that a replay reads neighbouring pages. A long
//! value would fill those pages and make SQLite split them again and again. So it is appended here,
//! after the last one, and its row holds the number. Rows never change. The checksum of the row that
//! holds the number covers the value.
//!
//! A value that will be dropped must leave nothing behind. SQLite overwrites what it deletes
//! (`secure_delete`). But before, when it balances a tree, it moves rows to other pages, and the old
//! copies stay in the free space of those pages, where nothing overwrites them. So such a value is
//! stored here, however short it is, behind a filler that is as long as the longest part of a row in a
//! page of the tree. All bytes of the value are then in overflow pages, which no balancing moves.

use rusqlite::blob::ZeroBlob;
use rusqlite::{Connection, MAIN_DB, Result, params};

use crate::domain::retention::Keeping;

/// Bytes of the longest value that stays in its row. SQLite keeps up to 1002 bytes of such a row in one
/// piece. The rest of an event takes about 150 of them, and 230 with a sealed token.
const SHORT_BYTES_MAX: usize = 768;
/// Bytes of the longest value that SQLite gets as a parameter. SQLite copies a parameter twice before
/// it is in a page; a longer value is written directly into its pages.
const BOUND_BYTES_MAX: usize = 256 * 1024;

/// SQLite keeps up to so many bytes of a row in the page of its tree; the rest is in overflow pages.
/// This is for pages of 4096 bytes without reserved space, as all our databases have them.
const IN_TREE_BYTES_MAX: usize = 4096 - 35;

/// The place of a value: its own row, or this table.
#[derive(Default)]
pub(super) struct Stored<'a> {
    /// The value for the row's column; `None` for a long value.
    pub(super) in_row: Option<&'a [u8]>,
    /// The number for the row's column; `None` for a short value.
    pub(super) number: Option<i64>,
}

/// What comes before a value that will be dropped, in its row.
pub(super) fn filler(keeping: Keeping) -> Option<ZeroBlob> {
    match keeping {
        Keeping::Kept => None,
        Keeping::Dropped => Some(ZeroBlob(IN_TREE_BYTES_MAX as u64)),
    }
}

/// Stores a long value here, and one that will be dropped. Leaves any other to its row.
pub(super) fn store<'a>(
    connection: &Connection,
    bytes: &'a [u8],
    keeping: Keeping,
) -> Result<Stored<'a>> {
    const INSERT: &str = "INSERT INTO long_values (filler, bytes) VALUES (?, ?)";
    if bytes.len() <= SHORT_BYTES_MAX && keeping == Keeping::Kept {
        return Ok(Stored { in_row: Some(bytes), number: None });
    }
    let filler = filler(keeping);
    let mut insert = connection.prepare_cached(INSERT)?;
    let number = if bytes.len() <= BOUND_BYTES_MAX {
        insert.insert(params![filler, bytes])?
    } else {
        let number = insert.insert(params![filler, ZeroBlob(bytes.len() as u64)])?;
        let mut blob = connection.blob_open(MAIN_DB, "long_values", "bytes", number, false)?;
        blob.write_all_at(bytes, 0)?;
        number
    };
    Ok(Stored { in_row: None, number: Some(number) })
}
