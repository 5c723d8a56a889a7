//! Maps Postgres's errors to ours.

use tokio_postgres::error::SqlState;

use crate::error::{ErrorKind, WorldError};

/// The state of a connection that has ended without a word of the server.
const LOST: &str = "08006";

/// The state of a connection that the same attempt would not make either.
const NO_STATE: &str = "";
/// The session does not know the name of a statement.
const UNKNOWN_NAME: &str = "26000";

/// The field of an error that holds its SQLSTATE.
const STATE: &str = "sqlState";

/// The state of a statement that has waited long enough for rows.
const LOCK_NOT_AVAILABLE: &str = "55P03";

const HELD: (ErrorKind, &str) = (
    ErrorKind::Busy,
    "another transaction holds the same rows; end it soon after it resumes a hook, and try again",
);

const ONLY_READS: (ErrorKind, &str) = (
    ErrorKind::ReadOnly,
    "the Postgres server only reads: it is a standby, or default_transaction_read_only is on; name the \
     primary, or switch that off for this role",
);

impl From<tokio_postgres::Error> for WorldError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else { return without_answer(&error) };
        let state = answer.code();
        let (kind, advice) = advice_for(state);
        // The message only: the detail quotes values of rows.
        WorldError::new(kind, format!("{advice} [{}: {}]", state.code(), answer.message()))
            .with(STATE, state.code())
    }
}

/// An error of the driver, before or instead of a word of the server.
fn without_answer(error: &tokio_postgres::Error) -> WorldError {
    use std::error::Error as _;
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let text = error.to_string();
    // A value that does not fit its parameter or column is ours.
    if text.starts_with("error serializing") || text.starts_with("error deserializing") {
        return WorldError::new(ErrorKind::Internal, format!("unexpected row: {text}: {cause}"));
    }
    let (kind, state, advice) = match (&*text, &*cause) {
        ("error performing TLS handshake", cause) if cause.contains("certificate") => (
            ErrorKind::CannotOpen,
            NO_STATE,
            "the certificate of the Postgres server is not trusted, or is for another name; name its \
             authority with sslrootcert, and the host as the certificate does",
        ),
        ("error performing TLS handshake", "server does not support TLS") => (
            ErrorKind::CannotOpen,
            NO_STATE,
            "the Postgres server has no TLS; switch it on there, or use another sslmode",
        ),
        ("invalid configuration", _) => (
            ErrorKind::CannotOpen,
            NO_STATE,
            "the Postgres server asks for a password; put it into the URL, PGPASSWORD or the password \
             file",
        ),
        ("authentication error", _) => (
            ErrorKind::CannotOpen,
            NO_STATE,
            "the Postgres server and this process do not agree on the proof of the password; let the \
             server use scram-sha-256",
        ),
        ("error connecting to server", "database does not allow writes") => {
            let (kind, advice) = ONLY_READS;
            (kind, SqlState::READ_ONLY_SQL_TRANSACTION.code(), advice)
        }
        _ => (
            ErrorKind::CannotOpen,
            LOST,
            "the Postgres server cannot be reached; check that it runs, its address and its TLS",
        ),
    };
    let separator = if cause.is_empty() { "" } else { ": " };
    WorldError::new(kind, format!("{advice} [{text}{separator}{cause}]")).with(STATE, state)
}

fn advice_for(state: &SqlState) -> (ErrorKind, &'static str) {
    match state.code() {
        "28P01" => (
            ErrorKind::CannotOpen,
            "the Postgres server refused the password; check the user, and the password in the URL, \
             PGPASSWORD or the password file",
        ),
        "28000" => (
            ErrorKind::CannotOpen,
            "the Postgres server refused the user, or this way to connect; check the user, \
             pg_hba.conf, and whether it wants TLS (sslmode) or a certificate (sslcert, sslkey)",
        ),
        "3D000" => (
            ErrorKind::CannotOpen,
            "the Postgres server has no such database; create it, or correct the URL",
        ),
        "42704" => {
            (ErrorKind::BadConfig, "the Postgres server knows no such role; create it first")
        }
        "42501" => (
            ErrorKind::ReadOnly,
            "the Postgres role lacks a right; let the owner of the schema run: npx hookline migrate \
             --url .. --grant ..",
        ),
        "25006" => ONLY_READS,
        LOCK_NOT_AVAILABLE => HELD,
        "40001" | "40P01" | "23505" | "25P03" => {
            (ErrorKind::Busy, "other processes write the same rows; try again")
        }
        "22021" | "22P05" => {
            (ErrorKind::Invalid, "a text holds a NUL character, which Postgres cannot store")
        }
        "54000" => (ErrorKind::Invalid, "a name or key is too long for an index of Postgres"),
        "42P01" | "3F000" | "42703" | "42883" => (
            ErrorKind::Corrupt,
            "the schema lacks a table of ours; it was moved or dropped: start the process again to learn which, or restore a backup",
        ),
        code => of_server(code)
            .unwrap_or((ErrorKind::Internal, "unexpected answer of the Postgres server")),
    }
}

/// What a server says of itself: its resources, its state, its files.
fn of_server(code: &str) -> Option<(ErrorKind, &'static str)> {
    Some(match code {
        "53100" => {
            (ErrorKind::StorageFull, "the disk of the Postgres server is full; nothing was written")
        }
        "53300" => (
            ErrorKind::Busy,
            "the Postgres server takes no more connections now; try again, or raise max_connections",
        ),
        "53200" | "53400" => (
            ErrorKind::Busy,
            "the Postgres server has no more memory or space that it allows; try again, or raise its \
             limit",
        ),
        "57P03" => (
            ErrorKind::Busy,
            "the Postgres server is starting, stopping or in recovery; try again, or name the primary",
        ),
        "57014" => (
            ErrorKind::Busy,
            "the Postgres server ended a statement that took too long; try again, or raise \
             statement_timeout of this role",
        ),
        "57P01" | "57P02" | "57P05" => {
            (ErrorKind::CannotOpen, "the Postgres server ended the connection; try again")
        }
        "XX001" | "XX002" => {
            (ErrorKind::Corrupt, "the database is damaged; restore it from a backup")
        }
        code if code.starts_with("08") => {
            (ErrorKind::CannotOpen, "the connection to the Postgres server broke; try again")
        }
        code if code.starts_with("58") => {
            (ErrorKind::Io, "the Postgres server failed to read or write; look at its log")
        }
        _ => return None,
    })
}

fn state(error: &WorldError) -> &str {
    error.details[STATE].as_str().unwrap_or_default()
}

/// Whether the server has said so, or could not.
pub(super) fn is_of_server(error: &WorldError) -> bool {
    !state(error).is_empty()
}

/// Whether the connection is gone, so that another one may do better.
pub(super) fn is_lost(error: &WorldError) -> bool {
    matches!(state(error), "57P01" | "57P02" | "57P05" | "57P03" | "25P03" | "25006" | UNKNOWN_NAME)
        || state(error).starts_with("08")
}

/// Whether the server may take a connection in a moment.
pub(super) fn may_connect_later(error: &WorldError) -> bool {
    is_lost(error) || has_state(error, "53300")
}

/// Whether the same transaction may go well at once: others wrote the same rows.
pub(super) fn is_clash(error: &WorldError) -> bool {
    matches!(state(error), "40001" | "40P01" | "23505")
}

/// Whether another transaction holds the rows for longer than was waited.
pub(super) fn is_held(error: &WorldError) -> bool {
    has_state(error, LOCK_NOT_AVAILABLE)
}

/// Another transaction holds the rows.
pub(super) fn held() -> WorldError {
    WorldError::new(HELD.0, HELD.1).with(STATE, LOCK_NOT_AVAILABLE)
}

/// Whether the server has answered with this SQLSTATE.
pub(super) fn has_state(error: &WorldError, code: &str) -> bool {
    state(error) == code
}

/// The connection broke before the commit.
pub(super) fn lost() -> WorldError {
    WorldError::new(ErrorKind::CannotOpen, "the connection to the Postgres server broke; try again")
        .with(STATE, LOST)
}

/// Two processes have written the same row; as the server says it.
pub(super) fn clash() -> WorldError {
    WorldError::new(ErrorKind::Busy, "other processes write the same rows; try again")
        .with(STATE, "40001")
}

/// A row that cannot be one of ours.
pub(super) fn damage(what: &str) -> WorldError {
    WorldError::new(
        ErrorKind::Corrupt,
        format!("the database is damaged; restore it from a backup [{what}]"),
    )
}

/// Adds the database to a storage fault.
pub(super) fn at(error: WorldError, shown: &str) -> WorldError {
    if !error.kind.is_storage_fault() || error.kind == ErrorKind::Closed {
        return error;
    }
    let message = format!("{shown}: {}", error.message);
    WorldError { message, ..error }.with("path", shown)
}
