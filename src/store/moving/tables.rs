//! What is moved: the tables that every store has, and their columns. This is the one list of them; each
//! store derives its statements from it, and says beside them what it stores otherwise.
//!
//! Left behind are leases and all that belongs to them, because no worker lives during a move; the
//! workers, and what SQL functions write as the last of them; and what a store computes from the rest: checksums, digests of tokens, numbers of chunks,
//! places of long values, erasures of dropped ones.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Text that may hold a NUL. Postgres has it as bytes.
    AnyText,
    /// A whole number.
    Number,
    /// A small one.
    Small,
    /// 0 or 1. Postgres has a type of its own for it.
    Truth,
    /// Bytes.
    Bytes,
}

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableName {
    /// `runs`.
    Runs,
    /// What the replays of a run have seen. SQLite has it in `runs`.
    Replays,
    /// `events`.
    Events,
    /// `steps`.
    Steps,
    /// `hooks`.
    Hooks,
    /// `resume_keys`.
    ResumeKeys,
    /// `waits`.
    Waits,
    /// `messages`.
    Messages,
    /// `streams`.
    Streams,
    /// `chunks`.
    Chunks,
    /// `releases`.
    Releases,
    /// `encryption_keys`.
    EncryptionKeys,
}

/// A table. Its rows are moved and compared in the order of its key, which bytes decide in every store.
#[derive(Debug)]
pub struct MovedTable {
    /// Which one.
    pub name: TableName,
    /// Its name in statements.
    pub sql_name: &'static str,
    /// Those that SQLite's checksum covers come first, in its order.
    pub columns: &'static [(&'static str, Kind)],
    /// The columns that identify a row.
    pub key: &'static str,
}

impl MovedTable {
    /// The names of its columns.
    pub fn column_names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

use self::Kind::{AnyText, Bytes, Number, Small, Text, Truth};

/// All tables, in the order in which they are moved: runs come before what depends on how they keep their
/// values, and streams before their chunks.
pub static TABLES: [MovedTable; 12] = [
    MovedTable {
        name: TableName::Runs,
        sql_name: "runs",
        columns: &[
            ("run_id", Text),
            ("status", Text),
            ("deployment_id", Text),
            ("workflow_name", Text),
            ("spec_version", Number),
            ("execution_context", Text),
            ("input_position", Number),
            ("output_position", Number),
            ("error", Text),
            ("error_position", Number),
            ("error_code", Text),
            ("created_at_ms", Number),
            ("updated_at_ms", Number),
            ("started_at_ms", Number),
            ("completed_at_ms", Number),
            ("encryption_key_id", Text),
            ("attributes", Text),
            ("encryption_public_key", Text),
            ("expired_at_ms", Number),
            ("release_id", Text),
        ],
        key: "run_id",
    },
    MovedTable {
        name: TableName::Replays,
        sql_name: "replays",
        columns: &[("run_id", Text), ("replayed_position", Number), ("replayed_by", Text)],
        key: "run_id",
    },
    MovedTable {
        name: TableName::Events,
        sql_name: "events",
        columns: &[
            ("run_id", Text),
            ("position", Number),
            ("event_type", Text),
            ("correlation_id", Text),
            ("created_at_ms", Number),
            ("spec_version", Number),
            ("data", Text),
            ("resume_id", Text),
            ("resume_digest", Text),
            ("payload_format", Small),
            ("payload", Bytes),
        ],
        key: "run_id, position",
    },
    MovedTable {
        name: TableName::Steps,
        sql_name: "steps",
        columns: &[
            ("run_id", Text),
            ("step_id", Text),
            ("step_name", Text),
            ("status", Text),
            ("created_position", Number),
            ("output_position", Number),
            ("error", Text),
            ("error_position", Number),
            ("owner_message_id", Number),
            ("attempt", Number),
            ("created_at_ms", Number),
            ("updated_at_ms", Number),
            ("started_at_ms", Number),
            ("completed_at_ms", Number),
            ("retry_after_ms", Number),
            ("spec_version", Number),
        ],
        key: "run_id, created_position",
    },
    MovedTable {
        name: TableName::Hooks,
        sql_name: "hooks",
        columns: &[
            ("run_id", Text),
            ("hook_id", Text),
            ("token", AnyText),
            ("environment", Text),
            ("metadata_position", Number),
            ("created_at_ms", Number),
            ("disposed_at_ms", Number),
            ("spec_version", Number),
            ("is_webhook", Truth),
            ("is_system", Truth),
            ("retained_until_ms", Number),
            ("outlives_run", Truth),
            ("hook_number", Number),
        ],
        key: "hook_number",
    },
    MovedTable {
        name: TableName::ResumeKeys,
        sql_name: "resume_keys",
        columns: &[
            ("key_digest", Text),
            ("run_id", Text),
            ("hook_id", Text),
            ("payload_digest", Text),
            ("expires_at_ms", Number),
        ],
        key: "key_digest",
    },
    MovedTable {
        name: TableName::Waits,
        sql_name: "waits",
        columns: &[
            ("run_id", Text),
            ("correlation_id", Text),
            ("resume_at_ms", Number),
            ("completed_at_ms", Number),
            ("created_at_ms", Number),
            ("updated_at_ms", Number),
            ("spec_version", Number),
        ],
        key: "run_id, correlation_id",
    },
    MovedTable {
        name: TableName::Messages,
        sql_name: "messages",
        columns: &[
            ("message_id", Number),
            ("queue_name", Text),
            ("run_id", Text),
            ("step_id", Text),
            ("deployment_id", Text),
            ("spec_version", Number),
            ("is_wake_up", Truth),
            ("body", Bytes),
            ("headers", Text),
            ("idempotency_key", Text),
            ("created_at_ms", Number),
            ("available_at_ms", Number),
            ("attempt", Number),
            ("claimed_position", Number),
            ("last_error", Text),
            ("dead_at_ms", Number),
            ("refused_by", Text),
            ("held_at_ms", Number),
        ],
        key: "message_id",
    },
    MovedTable {
        name: TableName::Streams,
        sql_name: "streams",
        columns: &[
            ("stream_number", Number),
            ("name", Text),
            ("run_id", Text),
            ("created_at_ms", Number),
            ("closed_at_ms", Number),
        ],
        key: "stream_number",
    },
    MovedTable {
        name: TableName::Chunks,
        sql_name: "chunks",
        columns: &[("stream_number", Number), ("chunk_index", Number), ("bytes", Bytes)],
        key: "stream_number, chunk_index",
    },
    MovedTable {
        name: TableName::Releases,
        sql_name: "releases",
        columns: &[("release_id", Text), ("first_seen_ms", Number), ("gone_at_ms", Number)],
        key: "release_id",
    },
    MovedTable {
        name: TableName::EncryptionKeys,
        sql_name: "encryption_keys",
        columns: &[("key_id", Text), ("sealed_token_key", Bytes), ("created_at_ms", Number)],
        key: "key_id",
    },
];
