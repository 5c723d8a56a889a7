//! Row mappings that several tables share.

use super::db::Columns;
use super::fault;
use crate::domain::payload::{Payload, StructuredError};
use crate::error::WorldError;

pub(super) fn error_text(error: Option<&StructuredError>) -> Option<String> {
    // Serialising a struct of strings cannot fail.
    error.and_then(|error| serde_json::to_string(error).ok())
}

/// The columns `payload_format` and `payload`.
pub(super) fn format_and_bytes(payload: Option<&Payload>) -> (Option<i16>, Option<&[u8]>) {
    match payload {
        None => (None, None),
        Some(payload @ Payload::Bytes(_)) => (Some(1), Some(payload.as_bytes())),
        Some(payload @ Payload::Json(_)) => (Some(2), Some(payload.as_bytes())),
    }
}

/// Reads the columns `payload_format` and `payload`.
pub(super) fn payload_from(columns: &mut Columns<'_>) -> Result<Option<Payload>, WorldError> {
    let format: Option<i16> = columns.take()?;
    let bytes: Option<Vec<u8>> = columns.take()?;
    match (format, bytes) {
        (None, None) => Ok(None),
        (Some(1), Some(bytes)) => Ok(Some(Payload::Bytes(bytes))),
        (Some(2), Some(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(Payload::Json(text))),
            Err(_) => Err(fault::damage("a payload that is not JSON")),
        },
        _ => Err(fault::damage("a payload without its format")),
    }
}

/// Text for people. Postgres stores no NUL.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
