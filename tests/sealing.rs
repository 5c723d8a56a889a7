//! Values at rest: what the file reveals, which keys open it, and how tokens are stored.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "kit/mod.rs"]
mod kit;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::crypto::KeyRing;
use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::id::HookToken;
use hookline::domain::page::PageRequest;
use hookline::domain::payload::{Payload, StructuredError};
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::error::{ErrorKind, WorldError};
use hookline::store::sealed::{SealedStore, TokensAtRest, refuse_if_sealed};
use hookline::store::{Completion, Outcome, Store};
use tempfile::TempDir;

use kit::rows::{NOW_MS, creation, hook_created, hook_disposed, id, request, run_id};
use kit::{STEP_PREFIX, key_ring, offer, open_file, open_sealed, settled, step_message};

/// One database on disk that is opened repeatedly.
struct Place {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, clock: Arc::new(ManualClock::at(NOW_MS)) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("world.db")
    }

    fn open(&self, ring: &KeyRing, tokens: TokensAtRest) -> Result<SealedStore, WorldError> {
        open_sealed(&self.path(), &self.clock, ring, tokens)
    }

    /// The bytes of the database and of all files that SQLite keeps beside it.
    fn bytes(&self) -> Vec<u8> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder is read");
        let files =
            entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
        files.flat_map(|path| fs::read(path).expect("a file of the database is read")).collect()
    }

    fn shows(&self, canary: &str) -> bool {
        self.bytes().windows(canary.len()).any(|window| window == canary.as_bytes())
    }
}

fn append(store: &dyn Store, request: EventRequest) -> Result<(), WorldError> {
    settled(|done| store.append_event(request, done)).map(drop)
}

fn does(store: &dyn Store, run: u64, body: EventBody) {
    append(store, request(run, body)).expect("the rules allow it");
}

fn received(token: &str) -> EventRequest {
    let token = Some(HookToken::new(token));
    request(1, EventBody::HookReceived { hook: id("h"), token })
}

/// A running run with a hook whose token is "canary-token".
fn with_hook(store: &dyn Store) {
    does(store, 1, EventBody::RunCreated(creation()));
    does(store, 1, EventBody::RunStarted(None));
    does(store, 1, hook_created("h", "canary-token"));
}

/// Writes every value that the SDK hands over in plain text, each as a canary.
fn write_everything(store: &dyn Store) {
    with_hook(store);
    let error = |text: &str| StructuredError {
        message: format!("canary-message-{text}"),
        stack: Some(format!("canary-stack-{text}")),
        code: None,
    };
    let step = || id("s");
    let with = |body, payload| EventRequest {
        data: Some(r#"{"stack":"canary-data"}"#.into()),
        payload: Some(payload),
        ..request(1, body)
    };
    let bytes = |text: &str| Payload::Bytes(text.as_bytes().to_vec());
    let json = |text: &str| Payload::Json(format!("\"{text}\""));
    let step_created = EventBody::StepCreated { step: step(), step_name: "step//a".into() };
    let retrying =
        EventBody::StepRetrying { step: step(), error: error("retry"), retry_after_ms: None };
    for request in [
        with(step_created, bytes("canary-input")),
        request(1, EventBody::StepStarted { step: step(), owner: None, creates: None }),
        with(retrying, json("canary-retry")),
        request(1, EventBody::StepStarted { step: step(), owner: None, creates: None }),
        with(EventBody::StepFailed { step: step(), error: error("step") }, json("canary-failure")),
        EventRequest { payload: Some(bytes("canary-payload")), ..received("canary-token") },
        with(EventBody::RunFailed(error("run")), json("canary-run")),
    ] {
        append(store, request).expect("the rules allow it");
    }
    let chunks = vec![b"canary-chunk".to_vec(), Vec::new()];
    settled(|done| store.write_stream("s".into(), run_id(1), chunks, done)).unwrap();
    settled(|done| store.enqueue(step_message("canary-body"), 0, done)).unwrap();
    let release = Outcome::Release { delay_ms: 0, error: "canary-error".into(), reached: true };
    let delivery = kit_claim(store).remove(0);
    settled(|done| {
        store.settle_delivery(delivery.message_id, delivery.lease_token.clone(), release, done)
    })
    .unwrap();
}

fn kit_claim(store: &dyn Store) -> Vec<hookline::domain::message::Delivery> {
    let claim = hookline::store::ClaimRequest {
        limit: 10,
        offer: offer(&[STEP_PREFIX]),
        lease_owner: store.lease_owner().into(),
        lease_ms: 1000,
    };
    settled(|done| store.claim(claim, done)).unwrap().deliveries
}

#[test]
fn the_file_shows_no_value_and_no_token() {
    let place = Place::fresh();
    let store = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).unwrap();
    write_everything(&store);
    assert!(!place.shows("canary"), "while it is open, log and all");
    store.close();
    assert!(!place.shows("canary"), "once it is closed");
    assert!(place.shows("hook_received") && place.shows("step//a"), "the test reads the file");
}

#[test]
fn a_token_that_cannot_be_found_in_its_event_is_refused_and_not_stored_in_plain() {
    let place = Place::fresh();
    let store = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).expect("it opens");
    does(&store, 1, EventBody::RunCreated(creation()));
    does(&store, 1, EventBody::RunStarted(None));
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for data in [
        format!(r#"{{"token":"canary-token","deep":{deep}}}"#),
        r#"["canary-token"]"#.into(),
        r#"{"token":["canary-token"]}"#.into(),
        r#"{"token":"canary-token""#.into(),
    ] {
        let asked = request(1, hook_created("h", "canary-token"));
        let refused = append(&store, EventRequest { data: Some(data), ..asked });
        let error = refused.expect_err("the token is not sealed");
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(!error.message.contains("canary"), "{}", error.message);
    }
    assert!(!place.shows("canary-token"));
}

#[test]
fn without_sealing_the_file_shows_everything() {
    // Checks that the test above can fail.
    let place = Place::fresh();
    let store = open_file(&place.path(), &place.clock).unwrap();
    write_everything(&store);
    for canary in [
        "canary-token",
        "canary-data",
        "canary-input",
        "canary-retry",
        "canary-message-step",
        "canary-stack-run",
        "canary-payload",
        "canary-chunk",
        "canary-body",
        "canary-error",
    ] {
        assert!(place.shows(canary), "{canary}");
    }
}

#[test]
fn what_was_sealed_comes_back_as_it_was() {
    let place = Place::fresh();
    let ring = key_ring(&[("a", 1)]);
    write_everything(&place.open(&ring, TokensAtRest::Sealed).unwrap());
    let store = place.open(&ring, TokensAtRest::Sealed).unwrap();
    let run = settled(|done| store.run(run_id(1), true, done)).unwrap().run;
    let error = run.error.unwrap();
    assert_eq!(error.message, "canary-message-run");
    assert_eq!(error.stack.as_deref(), Some("canary-stack-run"));
    let step = settled(|done| store.step(None, id("s"), true, done)).unwrap();
    assert_eq!(step.input, Some(Payload::Bytes(b"canary-input".to_vec())));
    assert_eq!(step.step.error.unwrap().message, "canary-message-step");
    let slice = settled(|done| store.stream_slice("s".into(), 0, 9, done)).unwrap();
    assert_eq!(slice.chunks, [b"canary-chunk".to_vec(), Vec::new()]);
    assert_eq!(kit_claim(&store).remove(0).body, b"canary-body");
}

#[test]
fn a_token_that_was_taken_is_told_to_the_workflow_in_plain_text() {
    let place = Place::fresh();
    let store = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).unwrap();
    with_hook(&store);
    does(&store, 1, hook_created("h2", "canary-token"));
    let query = hookline::store::EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: Some(id("h2")),
        page: PageRequest::first(10),
        resolve_data: true,
    };
    let events = settled(|done| store.events(query, done)).unwrap().items;
    let data = events[0].data.as_deref().unwrap();
    assert!(data.contains(r#""token":"canary-token""#), "{data}");
    assert!(!place.shows("canary-token"));
}

#[test]
fn a_rotated_ring_opens_the_old_and_seals_with_the_new() {
    let place = Place::fresh();
    write_everything(&place.open(&key_ring(&[("old", 1)]), TokensAtRest::Sealed).unwrap());
    let store = place.open(&key_ring(&[("new", 2), ("old", 1)]), TokensAtRest::Sealed).unwrap();
    let run = settled(|done| store.run_by_id(&run_id(1)).settle(done)).unwrap();
    assert_eq!(run.encryption_key_id.as_deref(), Some("old"));
    assert_eq!(run.error.unwrap().message, "canary-message-run");
    does(&store, 2, EventBody::RunCreated(creation()));
    let run = settled(|done| store.run_by_id(&run_id(2)).settle(done)).unwrap();
    assert_eq!(run.encryption_key_id.as_deref(), Some("new"));
}

#[test]
fn a_sealed_token_is_found_after_its_master_key_was_rotated_away() {
    let place = Place::fresh();
    let store = place.open(&key_ring(&[("old", 1)]), TokensAtRest::Sealed).unwrap();
    does(&store, 1, EventBody::RunCreated(creation()));
    let without_metadata = request(1, hook_created("h", "canary-token"));
    append(&store, EventRequest { payload: None, ..without_metadata }).unwrap();
    drop(place.open(&key_ring(&[("new", 2), ("old", 1)]), TokensAtRest::Sealed).unwrap());
    let store = place.open(&key_ring(&[("new", 2)]), TokensAtRest::Sealed).unwrap();
    let found =
        settled(|done| store.hook_and_run_by_token(&HookToken::new("canary-token")).settle(done));
    assert_eq!(found.unwrap().0.hook.token.expose(), "canary-token");
    append(&store, received("canary-token")).unwrap();
}

#[test]
fn values_of_a_key_that_was_taken_out_of_the_ring_are_refused_by_its_name() {
    let place = Place::fresh();
    write_everything(&place.open(&key_ring(&[("old", 1)]), TokensAtRest::Plain).unwrap());
    drop(place.open(&key_ring(&[("new", 2), ("old", 1)]), TokensAtRest::Plain).unwrap());
    let store = place.open(&key_ring(&[("new", 2)]), TokensAtRest::Plain).unwrap();
    let error = settled(|done| store.run(run_id(1), true, done)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::EncryptionKeyMissing);
    assert_eq!(error.details["keyId"], "old");
    // Work without a key continues, and an unreadable message does not delay others.
    settled(|done| store.enqueue(step_message("new"), 0, done)).unwrap();
    assert_eq!(kit::bodies(&kit_claim(&store)), ["new"]);
}

#[test]
fn a_run_and_a_hook_that_cannot_be_opened_reject_their_own_waiters_and_no_other() {
    for tokens in [TokensAtRest::Plain, TokensAtRest::Sealed] {
        let place = Place::fresh();
        write_everything(&place.open(&key_ring(&[("old", 1)]), tokens).unwrap());
        {
            let store = place.open(&key_ring(&[("old", 1)]), tokens).unwrap();
            does(&store, 3, EventBody::RunCreated(creation()));
            does(&store, 3, hook_created("h3", "of-old"));
        }
        drop(place.open(&key_ring(&[("new", 2), ("old", 1)]), tokens).unwrap());
        let store = place.open(&key_ring(&[("new", 2)]), tokens).unwrap();
        does(&store, 2, EventBody::RunCreated(creation()));
        does(&store, 2, hook_created("h2", "of-new"));
        let asked = ["of-old", "of-new"].map(HookToken::new).to_vec();
        let hooks = settled(|done| store.live_hooks(asked.clone(), done)).unwrap();
        let tokens: Vec<_> = hooks.iter().map(|(token, _)| token.clone()).collect();
        assert_eq!(tokens, asked);
        let missing = hooks[0].1.as_ref().unwrap_err();
        assert_eq!(missing.kind, ErrorKind::EncryptionKeyMissing);
        assert_eq!(hooks[1].1.as_ref().unwrap().hook.hook_id, id("h2"));
        does(&store, 2, EventBody::RunCancelled);
        let asked = vec![run_id(1), run_id(2)];
        let ends = settled(|done| store.run_ends(asked, done)).unwrap();
        assert_eq!(ends[0].1.as_ref().unwrap_err().kind, ErrorKind::EncryptionKeyMissing);
        assert_eq!(ends[1].1.as_ref().unwrap().run.run_id, run_id(2));
    }
}

#[test]
fn a_ring_with_none_of_the_databases_keys_is_refused_at_opening() {
    let place = Place::fresh();
    with_hook(&place.open(&key_ring(&[("a", 1)]), TokensAtRest::Plain).unwrap());
    let refused = |ring: &KeyRing| place.open(ring, TokensAtRest::Plain).err().unwrap();
    let missing = refused(&key_ring(&[("b", 1)]));
    assert_eq!(missing.kind, ErrorKind::EncryptionKeyMissing);
    assert_eq!(missing.details["keyId"], "a");
    let wrong = refused(&key_ring(&[("a", 2)]));
    assert_eq!(wrong.kind, ErrorKind::EncryptionKeyWrong);
    assert_eq!(wrong.details["keyId"], "a");
    let wrong_behind = refused(&key_ring(&[("b", 3), ("a", 2)]));
    assert_eq!(wrong_behind.kind, ErrorKind::EncryptionKeyWrong);
}

#[test]
fn a_sealed_database_is_refused_without_a_ring() {
    let place = Place::fresh();
    let plain = open_file(&place.path(), &place.clock).unwrap();
    refuse_if_sealed(&plain).expect("nothing is sealed yet");
    drop(place.open(&key_ring(&[("a", 1)]), TokensAtRest::Plain).unwrap());
    let error = refuse_if_sealed(&plain).unwrap_err();
    assert_eq!(error.kind, ErrorKind::EncryptionKeyMissing);
}

#[test]
fn what_was_written_before_there_was_a_ring_stays_readable() {
    let place = Place::fresh();
    write_everything(&open_file(&place.path(), &place.clock).unwrap());
    let store = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).unwrap();
    let run = settled(|done| store.run_by_id(&run_id(1)).settle(done)).unwrap();
    assert_eq!(run.encryption_key_id, None);
    assert_eq!(run.error.unwrap().message, "canary-message-run");
    let slice = settled(|done| store.stream_slice("s".into(), 0, 9, done)).unwrap();
    assert_eq!(slice.chunks[0], b"canary-chunk");
}

#[test]
fn a_resume_with_a_key_happens_once_also_when_a_ring_came_in_between() {
    let place = Place::fresh();
    let resume = |store: &dyn Store, payload: &str| {
        let key = ResumeKey {
            token: HookToken::new("canary-token"),
            digests: ResumeDigests { key: "of the key".into(), payload: payload.into() },
            unsealed: None,
            window_ms: 1000,
        };
        settled(|done| store.resume_once(received("canary-token"), key, done))
    };
    let plain = open_file(&place.path(), &place.clock).unwrap();
    with_hook(&plain);
    assert_eq!(resume(&plain, "a"), Ok(false));
    drop(plain);
    let sealed = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).unwrap();
    assert_eq!(resume(&sealed, "a"), Ok(true));
    assert_eq!(resume(&sealed, "b").unwrap_err().kind, ErrorKind::IdempotencyConflict);
}

#[test]
fn while_a_key_is_rotated_a_process_with_the_old_ring_may_start() {
    let place = Place::fresh();
    let rotated = key_ring(&[("new", 2), ("old", 1)]);
    with_hook(&place.open(&rotated, TokensAtRest::Sealed).unwrap());
    let store = place.open(&key_ring(&[("old", 1)]), TokensAtRest::Sealed).unwrap();
    does(&store, 2, EventBody::RunCreated(creation()));
    let other = place.open(&rotated, TokensAtRest::Sealed).unwrap();
    let run = settled(|done| other.run_by_id(&run_id(2)).settle(done)).unwrap();
    assert_eq!(run.encryption_key_id.as_deref(), Some("old"));
}

/// Both ways in which the setting may change while a hook lives.
fn changes_of_the_setting() -> [(TokensAtRest, TokensAtRest); 2] {
    use TokensAtRest::{Plain, Sealed};
    [(Plain, Sealed), (Sealed, Plain)]
}

#[test]
fn a_hook_is_found_and_resumed_when_the_setting_of_tokens_has_changed() {
    for (before, after) in changes_of_the_setting() {
        let place = Place::fresh();
        let ring = key_ring(&[("a", 1)]);
        with_hook(&place.open(&ring, before).unwrap());
        let store = place.open(&ring, after).unwrap();
        let found =
            settled(|done| store.hook_by_token(&HookToken::new("canary-token")).settle(done))
                .unwrap();
        assert_eq!(found.hook.token.expose(), "canary-token");
        let (found, run) = settled(|done| {
            store.hook_and_run_by_token(&HookToken::new("canary-token")).settle(done)
        })
        .unwrap();
        assert_eq!((found.hook.token.expose(), &run.run_id), ("canary-token", &run_id(1)));
        let live = settled(|done| store.live_hooks(vec![HookToken::new("canary-token")], done));
        assert_eq!(live.unwrap()[0].0, HookToken::new("canary-token"));
        append(&store, received("canary-token")).unwrap();
        let refused = append(&store, received("guess")).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::HookNotFound);
    }
}

#[test]
fn a_token_names_one_live_hook_also_when_the_setting_of_tokens_has_changed() {
    for (before, after) in changes_of_the_setting() {
        let place = Place::fresh();
        let ring = key_ring(&[("a", 1)]);
        with_hook(&place.open(&ring, before).unwrap());
        let store = place.open(&ring, after).unwrap();
        does(&store, 1, hook_created("h2", "canary-token"));
        let hooks = |store: &dyn Store| {
            let page = PageRequest::first(10);
            settled(|done| store.hooks(None, page, true, done)).unwrap().items.len()
        };
        assert_eq!(hooks(&store), 1, "the second creation is a conflict");
        does(&store, 1, hook_disposed("h"));
        does(&store, 1, hook_created("h2", "canary-token"));
        assert_eq!(hooks(&store), 1);
    }
}

#[test]
fn an_unknown_token_is_told_back_as_the_caller_wrote_it() {
    let place = Place::fresh();
    let store = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).unwrap();
    let error =
        settled(|done| store.hook_by_token(&HookToken::new("guess")).settle(done)).unwrap_err();
    assert_eq!(error.details["token"], "guess");
}

#[test]
fn a_sealed_token_that_was_read_from_the_file_does_not_resume() {
    let place = Place::fresh();
    let ring = key_ring(&[("a", 1)]);
    with_hook(&place.open(&ring, TokensAtRest::Sealed).unwrap());
    let bytes = place.bytes();
    let at = bytes.windows(10).position(|window| window == b"hkltoken1.").expect("it is stored");
    let stored: String = bytes[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte))
        .map(|byte| *byte as char)
        .collect();
    // The bytes after the text in the file may look like a part of it.
    let length = "hkltoken1.".len() + ((16 + "canary-token".len()) * 4).div_ceil(3);
    let stolen = &stored[..length];
    for tokens in [TokensAtRest::Sealed, TokensAtRest::Plain] {
        let store = place.open(&ring, tokens).unwrap();
        let error =
            settled(|done| store.hook_by_token(&HookToken::new(stolen)).settle(done)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::HookNotFound);
        let error = append(&store, received(stolen)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::HookNotFound);
    }
}

#[test]
fn two_processes_that_open_a_fresh_database_at_once_agree_on_its_token_key() {
    let place = Place::fresh();
    drop(open_file(&place.path(), &place.clock).unwrap());
    let open = || place.open(&key_ring(&[("a", 1)]), TokensAtRest::Sealed).unwrap();
    let stores: Vec<SealedStore> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it opens")).collect()
    });
    with_hook(&stores[0]);
    for store in &stores {
        settled(|done| store.hook_by_token(&HookToken::new("canary-token")).settle(done)).unwrap();
    }
}

#[test]
fn a_failed_seal_settles_the_operation() {
    let place = Place::fresh();
    let store = place.open(&key_ring(&[("a", 1)]), TokensAtRest::Plain).unwrap();
    let foreign = Payload::Bytes(b"encr under the key of somebody else".to_vec());
    let request =
        EventRequest { payload: Some(foreign), ..request(1, EventBody::RunCreated(creation())) };
    let (done, outcome) = Completion::channel();
    store.append_event(request, done);
    let error = outcome.recv().unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::EncryptionKeyMissing);
}
