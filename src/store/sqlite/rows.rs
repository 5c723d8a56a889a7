//! What the row mappings of all tables share.

use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

use crate::domain::payload::{Payload, StructuredError};

/// Reads a column of a closed list of words.
pub(super) fn decode<T>(
    row: &Row<'_>,
    index: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T> {
    let text = row.get_ref(index)?.as_str()?;
    parse(text).ok_or_else(|| unreadable(index, format!("unknown word \"{text}\"")))
}

fn unreadable(index: usize, reason: String) -> Error {
    Error::FromSqlConversionFailure(index, Type::Text, reason.into())
}

pub(super) fn error_text(error: Option<&StructuredError>) -> Option<String> {
    // A struct of strings always serialises.
    error.and_then(|error| serde_json::to_string(error).ok())
}

pub(super) fn error_column(row: &Row<'_>, index: usize) -> Result<Option<StructuredError>> {
    let text: Option<String> = row.get(index)?;
    text.map(|text| serde_json::from_str(&text).map_err(|e| unreadable(index, e.to_string())))
        .transpose()
}

/// Column `payload_format` of each format.
pub(super) fn payload_columns(payload: Option<&Payload>) -> (Option<i64>, Option<&[u8]>) {
    match payload {
        None => (None, None),
        Some(payload @ Payload::Bytes(_)) => (Some(1), Some(payload.as_bytes())),
        Some(payload @ Payload::Json(_)) => (Some(2), Some(payload.as_bytes())),
    }
}

/// Reads columns `payload_format` and `payload`, the second right behind the first.
pub(super) fn payload_column(row: &Row<'_>, index: usize) -> Result<Option<Payload>> {
    let format: Option<i64> = row.get(index)?;
    Ok(match format {
        None => None,
        Some(1) => Some(Payload::Bytes(row.get(index + 1)?)),
        Some(_) => {
            let bytes: Vec<u8> = row.get(index + 1)?;
            let text = String::from_utf8(bytes).map_err(|e| unreadable(index, e.to_string()))?;
            Some(Payload::Json(text))
        }
    })
}
