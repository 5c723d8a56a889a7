//! Idempotent resumes: for some time, a key from the sender identifies one resume of a token.

use super::event::{Event, EventBody, EventRequest};
use super::hook::{Hook, HookOptions};
use super::id::{CorrelationId, HookToken, RunId};
use super::refusal::Refusal;

/// The longest time for which a key may be remembered: one year.
pub const WINDOW_MS_MAX: i64 = 365 * 24 * 60 * 60 * 1000;

/// The most expired keys that one keyed resume removes. It is more than the one key that the resume
/// adds, so expired keys do not accumulate. It is small, so that no resume waits for the removal.
pub const SWEPT_MAX: usize = 64;

/// The key of a resume, as its sender gave it. The key outlives the hook: a sender that lost the answer
/// repeats the request, even if the first one has ended the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeKey {
    /// The token that the sender asked for.
    pub token: HookToken,
    /// The digests that are stored.
    pub digests: ResumeDigests,
    /// The digests of an earlier resume with the key from before there was a key ring.
    pub unsealed: Option<ResumeDigests>,
    /// The time for which the key is remembered after the first resume.
    pub window_ms: i64,
}

/// The stored digests of a key and its payload, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeDigests {
    /// The digest of token and key together, so that neither is stored.
    pub key: String,
    /// The digest of the serialised payload before encryption, because the ciphertext differs from call
    /// to call.
    pub payload: String,
}

/// A resume with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedResume {
    /// The run that was resumed.
    pub run_id: RunId,
    /// Its hook.
    pub hook_id: CorrelationId,
    /// See [`ResumeDigests::payload`].
    pub payload_digest: String,
    /// The time at which the key becomes free.
    pub expires_at_ms: i64,
}

impl KeyedResume {
    /// The resume of this request, to be remembered.
    ///
    /// # Errors
    /// `RunIdMissing`, `NotAResume`.
    pub fn of(request: &EventRequest, key: &ResumeKey, now_ms: i64) -> Result<Self, Refusal> {
        let EventBody::HookReceived { hook, .. } = &request.body else {
            return Err(Refusal::NotAResume);
        };
        Ok(Self {
            run_id: request.run_id.clone().ok_or(Refusal::RunIdMissing)?,
            hook_id: hook.clone(),
            payload_digest: key.digests.payload.clone(),
            expires_at_ms: now_ms.saturating_add(key.window_ms),
        })
    }
}

/// The hook that an earlier resume found, read from the event that created it. The hook's own row is
/// deleted when its run ends.
pub fn hook_as_made(
    made: &Event,
    hook_id: CorrelationId,
    token: &HookToken,
    environment: Option<&str>,
) -> Hook {
    #[derive(serde::Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Made {
        is_webhook: bool,
        is_system: bool,
        token_retention_until: Option<i64>,
    }
    let details: Made =
        made.data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
    Hook {
        run_id: made.run_id.clone(),
        hook_id,
        token: token.clone(),
        environment: environment.map(str::to_owned),
        metadata_position: made.payload.is_some().then_some(made.position),
        created_at_ms: made.created_at_ms,
        disposed_at_ms: None,
        spec_version: made.spec_version,
        options: HookOptions {
            is_webhook: details.is_webhook,
            is_system: details.is_system,
            retained_until_ms: details.token_retention_until,
        },
        outlives_run: false,
    }
}

impl ResumeKey {
    /// The digests by which an earlier resume with the key may be remembered, the likeliest first.
    pub fn forms(&self) -> impl Iterator<Item = &ResumeDigests> {
        std::iter::once(&self.digests).chain(&self.unsealed)
    }

    /// The earlier resume with this key, among those that are remembered by their digests.
    pub fn earlier(&self, mut remembered: Vec<(String, KeyedResume)>) -> Option<KeyedResume> {
        let by =
            |digests: &ResumeDigests| remembered.iter().position(|(key, _)| *key == digests.key);
        let at = self.forms().find_map(by)?;
        Some(remembered.swap_remove(at).1)
    }

    /// Whether `earlier` has already done this resume.
    ///
    /// # Errors
    /// `ResumeKeyReused` if the key was used with another payload.
    pub fn repeats(&self, earlier: Option<&KeyedResume>, now_ms: i64) -> Result<bool, Refusal> {
        match earlier {
            Some(earlier) if earlier.expires_at_ms > now_ms => {
                match self.forms().any(|digests| digests.payload == earlier.payload_digest) {
                    true => Ok(true),
                    false => Err(Refusal::ResumeKeyReused),
                }
            }
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(payload: &str) -> ResumeKey {
        ResumeKey {
            token: HookToken::new("token"),
            digests: ResumeDigests { key: "k".into(), payload: payload.into() },
            unsealed: None,
            window_ms: 10,
        }
    }

    fn resume(payload: &str) -> KeyedResume {
        KeyedResume {
            run_id: RunId::new("wrun_1"),
            hook_id: CorrelationId::new("hook_1"),
            payload_digest: payload.into(),
            expires_at_ms: 10,
        }
    }

    #[test]
    fn the_likelier_form_of_a_key_comes_first() {
        let unsealed = Some(ResumeDigests { key: "plain".into(), payload: "a".into() });
        let key = ResumeKey { unsealed, ..key("a") };
        let plain = || ("plain".to_owned(), resume("earlier"));
        let sealed = || ("k".to_owned(), resume("later"));
        assert_eq!(key.earlier(vec![plain(), sealed()]), Some(resume("later")));
        assert_eq!(
            key.earlier(vec![("other".into(), resume("b")), plain()]),
            Some(resume("earlier"))
        );
        assert_eq!(key.earlier(vec![]), None);
    }

    #[test]
    fn a_key_repeats_within_its_window_and_with_its_payload_only() {
        let earlier = resume("a");
        assert_eq!(key("a").repeats(None, 0), Ok(false));
        assert_eq!(key("a").repeats(Some(&earlier), 9), Ok(true));
        assert_eq!(key("b").repeats(Some(&earlier), 9), Err(Refusal::ResumeKeyReused));
        assert_eq!(key("a").repeats(Some(&earlier), 10), Ok(false));
        assert_eq!(key("b").repeats(Some(&earlier), 10), Ok(false));
    }
}
