//! Serialised values: opaque to the engine, stored once with the event that carries them.

/// A serialised value as the SDK hands it over (`SerializedData` in `@workflow/world`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The SDK's own binary format, from spec version 2 on.
    Bytes(Vec<u8>),
    /// JSON text: errors, and the plain values of spec version 1.
    Json(String),
}

impl Payload {
    /// The stored bytes, whatever the format.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Payload::Bytes(bytes) => bytes,
            Payload::Json(text) => text.as_bytes(),
        }
    }
}

/// The error of a failed run or step (`StructuredError` in `@workflow/world`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StructuredError {
    /// What went wrong.
    pub message: String,
    /// The JavaScript stack, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The SDK's error code (`RUN_ERROR_CODES`), for runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}
