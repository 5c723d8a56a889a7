//! Table `resume_keys`: resumes that had an idempotency key.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::apply::{self, Tx};
use super::checksum::{Check, Table};
use super::events;
use crate::domain::event::EventRequest;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::resume_key::{KeyedResume, ResumeKey};
use crate::error::WorldError;
use crate::store::HookView;

/// Expired keys that one keyed resume removes at most: more than the one that it adds, so that the
/// table shrinks to the live ones, and few, so that no resume waits for it.
const SWEPT_MAX: i64 = 64;

macro_rules! columns {
    () => {
        "key_digest, run_id, hook_id, payload_digest, expires_at_ms, checksum"
    };
}
static RESUME_KEYS: Table = Table { name: "resume_keys", columns: 5, key: &[1, 2] };

/// Resumes, unless the key says that it has been done; whether it had been.
pub(super) fn resume_once(
    tx: &mut Tx<'_>,
    request: EventRequest,
    hook_id: &CorrelationId,
    key: &ResumeKey,
) -> std::result::Result<bool, WorldError> {
    let now_ms = tx.clock.now_ms();
    if key.repeats(by_key(tx.connection, key)?.as_ref(), now_ms)? {
        return Ok(true);
    }
    let run_id = request.run_id.clone();
    apply::append_event(tx, request)?;
    if let Some(run_id) = run_id {
        let resume = KeyedResume {
            run_id,
            hook_id: hook_id.clone(),
            payload_digest: key.digests.payload.clone(),
            expires_at_ms: now_ms.saturating_add(key.window_ms),
        };
        upsert(tx.connection, &key.digests.key, &resume)?;
    }
    delete_expired(tx.connection, now_ms)?;
    Ok(false)
}

/// The hook that an earlier resume with this key found, also when it has gone since; `None` when
/// there was no such resume, or when its run has been removed.
pub(super) fn earlier(
    connection: &Connection,
    key: &ResumeKey,
    environment: Option<&str>,
    now_ms: i64,
) -> std::result::Result<Option<HookView>, WorldError> {
    let resume = by_key(connection, key)?;
    if !key.repeats(resume.as_ref(), now_ms)? {
        return Ok(None);
    }
    match resume {
        Some(KeyedResume { run_id, hook_id, .. }) => {
            Ok(hook_as_made(connection, &run_id, &hook_id, key, environment)?)
        }
        None => Ok(None),
    }
}

/// The hook as its `hook_created` tells it: its row goes with the end of its run.
fn hook_as_made(
    connection: &Connection,
    run_id: &RunId,
    hook_id: &CorrelationId,
    key: &ResumeKey,
    environment: Option<&str>,
) -> Result<Option<HookView>> {
    #[derive(serde::Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Made {
        is_webhook: bool,
    }
    let Some(event) = events::hook_created(connection, run_id, hook_id)? else { return Ok(None) };
    let made: Made =
        event.data.and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
    let hook = Hook {
        run_id: run_id.clone(),
        hook_id: hook_id.clone(),
        token: key.token.clone(),
        environment: environment.map(str::to_owned),
        metadata_position: event.payload.is_some().then_some(event.position),
        created_at_ms: event.created_at_ms,
        disposed_at_ms: None,
        spec_version: event.spec_version,
        is_webhook: made.is_webhook,
    };
    Ok(Some(HookView { hook, metadata: event.payload }))
}

/// The earlier resume, by whichever form of the key it is remembered.
fn by_key(connection: &Connection, key: &ResumeKey) -> Result<Option<KeyedResume>> {
    for digests in key.forms() {
        if let Some(earlier) = by_digest(connection, &digests.key)? {
            return Ok(Some(earlier));
        }
    }
    Ok(None)
}

fn by_digest(connection: &Connection, key_digest: &str) -> Result<Option<KeyedResume>> {
    const BY_DIGEST: &str =
        concat!("SELECT ", columns!(), " FROM resume_keys WHERE key_digest = ?");
    connection
        .prepare_cached(BY_DIGEST)?
        .query_row([key_digest], |row| {
            RESUME_KEYS.verify(row, 0)?;
            Ok(KeyedResume {
                run_id: RunId::new(row.get::<_, String>(1)?),
                hook_id: CorrelationId::new(row.get::<_, String>(2)?),
                payload_digest: row.get(3)?,
                expires_at_ms: row.get(4)?,
            })
        })
        .optional()
}

/// A key that has expired is free for another resume.
fn upsert(connection: &Connection, key_digest: &str, resume: &KeyedResume) -> Result<()> {
    const UPSERT: &str = concat!(
        "INSERT INTO resume_keys (",
        columns!(),
        ") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key_digest) DO UPDATE SET \
         run_id = excluded.run_id, hook_id = excluded.hook_id, \
         payload_digest = excluded.payload_digest, expires_at_ms = excluded.expires_at_ms, \
         checksum = excluded.checksum"
    );
    let columns = params![
        key_digest,
        resume.run_id.as_str(),
        resume.hook_id.as_str(),
        resume.payload_digest,
        resume.expires_at_ms,
    ];
    RESUME_KEYS.write(&mut *connection.prepare_cached(UPSERT)?, columns, &[])?;
    Ok(())
}

/// Checks every key.
pub(super) const CHECK: Check = Check {
    rows: concat!("SELECT ", columns!(), " FROM resume_keys"),
    verify: |row| RESUME_KEYS.verify(row, 0),
};

fn delete_expired(connection: &Connection, now_ms: i64) -> Result<()> {
    const DELETE_EXPIRED: &str = "DELETE FROM resume_keys WHERE key_digest IN \
         (SELECT key_digest FROM resume_keys WHERE expires_at_ms <= ? \
          ORDER BY expires_at_ms LIMIT ?)";
    connection.prepare_cached(DELETE_EXPIRED)?.execute(params![now_ms, SWEPT_MAX])?;
    Ok(())
}
