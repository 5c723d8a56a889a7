//! Row mappings that several tables share.

use super::db::Columns;
use super::fault;
use crate::domain::payload::Payload;
use crate::error::WorldError;
use crate::store::columns::payload_of;

/// Reads the columns `payload_format` and `payload`.
pub(super) fn payload_from(columns: &mut Columns<'_>) -> Result<Option<Payload>, WorldError> {
    let format: Option<i16> = columns.take()?;
    let bytes: Option<Vec<u8>> = columns.take()?;
    let (format, bytes) = match (format, bytes) {
        (None, None) => return Ok(None),
        (Some(format), Some(bytes)) => (i64::from(format), bytes),
        _ => return Err(fault::damage("a payload without its format")),
    };
    let payload = payload_of(format, bytes);
    payload.map(Some).ok_or_else(|| fault::damage("a payload of another format"))
}

/// Text for people. Postgres stores no NUL.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The payload of the event at a position of a run's log, as a table with this name. `wanted` says whether
/// it is.
macro_rules! payload_at {
    ($name:literal, $wanted:literal, $run_id:literal, $position:literal) => {
        concat!(
            " LEFT JOIN LATERAL (SELECT x.payload_format, x.payload FROM hookline.events AS x WHERE ",
            $wanted,
            " AND x.run_id = ",
            $run_id,
            " AND x.position = ",
            $position,
            " OFFSET 0) AS ",
            $name,
            " ON true"
        )
    };
}
pub(super) use payload_at;
