//! Row mappings that all tables share.

use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

use crate::domain::payload::{Payload, StructuredError};

/// Reads a column with a word from a closed list.
pub(super) fn decode<T>(
    row: &Row<'_>,
    index: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T> {
    let text = row.get_ref(index)?.as_str()?;
    parse(text).ok_or_else(|| unreadable(index, "it holds an unknown word"))
}

/// The reason quotes no value, because a damaged column may hold anything.
fn unreadable(index: usize, reason: &str) -> Error {
    Error::FromSqlConversionFailure(index, Type::Text, reason.into())
}

pub(super) fn error_text(error: Option<&StructuredError>) -> Option<String> {
    // Serialising a struct of strings cannot fail.
    error.and_then(|error| serde_json::to_string(error).ok())
}

/// The columns `payload_format` and `payload`.
pub(super) fn format_and_bytes(payload: Option<&Payload>) -> (Option<i64>, Option<&[u8]>) {
    match payload {
        None => (None, None),
        Some(payload @ Payload::Bytes(_)) => (Some(1), Some(payload.as_bytes())),
        Some(payload @ Payload::Json(_)) => (Some(2), Some(payload.as_bytes())),
    }
}

/// The payload in the columns `payload_format` and `payload`; `None` if they hold none.
pub(super) fn payload_of(format: i64, bytes: &[u8]) -> Option<Payload> {
    match format {
        1 => Some(Payload::Bytes(bytes.to_vec())),
        2 => Some(Payload::Json(std::str::from_utf8(bytes).ok()?.to_owned())),
        _ => None,
    }
}
