//! Serialised values. The engine does not read them, and stores each once, with the event that carries
//! it.

/// Largest payload, stream chunk or message in bytes: half of the largest row of the database, and the
/// longest string of JavaScript.
pub const PAYLOAD_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Why a value of this many bytes cannot be stored, or `None` if it can.
pub fn unstorable_because(bytes: usize) -> Option<String> {
    (bytes > PAYLOAD_BYTES_MAX).then(|| {
        format!("a value of {bytes} bytes is too large to be stored (at most {PAYLOAD_BYTES_MAX}): keep it elsewhere, and store its address")
    })
}

/// A serialised value as the SDK hands it over (`SerializedData` in `@workflow/world`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The SDK's own binary format, from spec version 2 on.
    Bytes(Vec<u8>),
    /// JSON text: errors, and the plain values of spec version 1.
    Json(String),
}

impl Payload {
    /// The stored bytes in either format.
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
    /// The error message.
    pub message: String,
    /// The JavaScript stack, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The SDK's error code (`RUN_ERROR_CODES`), for runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_at_most_half_a_gibibyte() {
        assert_eq!(unstorable_because(PAYLOAD_BYTES_MAX), None);
        let reason = unstorable_because(PAYLOAD_BYTES_MAX + 1).unwrap();
        assert!(reason.contains("536870913") && reason.contains("536870912"), "{reason}");
    }
}
