//! Sealing: plain values from the SDK become envelopes that name their key.
//!
//! The cipher is XChaCha20-Poly1305, because its nonces are long enough to be drawn at random for ever.
//! It also authenticates the context (the run, the stream), so an envelope that was moved elsewhere
//! does not open.

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::{KeyRing, MasterKey, key_missing, key_wrong};
use crate::entropy;
use crate::error::WorldError;

/// The beginning of every envelope. The last character is the version of the format.
const MAGIC: &[u8] = b"hklseal1";
/// The beginning of every envelope that is written as text.
const TEXT_MAGIC: &str = "hklseal1.";
/// Bytes of a nonce.
const NONCE_LENGTH: usize = 24;

/// The type of an envelope's content, which opening restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedKind {
    /// Bytes.
    Bytes,
    /// UTF-8 text.
    Text,
}

/// Seals under the newest key of a ring and opens under any of its keys.
pub struct Seals {
    newest: Seal,
    all: Vec<Seal>,
}

#[derive(Clone)]
struct Seal {
    key_id: String,
    cipher: XChaCha20Poly1305,
}

impl Seal {
    fn of(key: &MasterKey) -> Self {
        let derived = key.derive("hookline seal key 1");
        let cipher = XChaCha20Poly1305::new((&*derived).into());
        Self { key_id: key.id().to_owned(), cipher }
    }

    fn seal(&self, context: &str, kind: SealedKind, plain: &[u8]) -> Vec<u8> {
        let nonce = entropy::secret_bytes::<NONCE_LENGTH>();
        let mut content = Vec::with_capacity(plain.len() + 1);
        content.push(kind as u8);
        content.extend_from_slice(plain);
        let payload = Payload { msg: &content, aad: context.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("no value of ours is as long as the cipher's limit of 256 GiB");
        // A key id has at most 64 characters.
        [MAGIC, &[self.key_id.len() as u8], self.key_id.as_bytes(), &nonce, &sealed].concat()
    }
}

impl Seals {
    /// The seals of a ring.
    pub fn new(ring: &KeyRing) -> Self {
        let all: Vec<Seal> = ring.keys().iter().map(Seal::of).collect();
        Self { newest: Seal::of(ring.newest()), all }
    }

    /// The seals of one single key.
    pub fn of_key(key: &MasterKey) -> Self {
        Self { newest: Seal::of(key), all: vec![Seal::of(key)] }
    }

    /// An envelope around bytes or text.
    pub fn seal(&self, context: &str, kind: SealedKind, plain: &[u8]) -> Vec<u8> {
        self.newest.seal(context, kind, plain)
    }

    /// The content of an envelope; `None` if the bytes are no envelope.
    ///
    /// # Errors
    /// `EncryptionKeyMissing`, `EncryptionKeyWrong`, naming the key's id.
    pub fn open(
        &self,
        context: &str,
        bytes: &[u8],
    ) -> Result<Option<(SealedKind, Vec<u8>)>, WorldError> {
        let Some((key_id, nonce, sealed)) = parts(bytes) else { return Ok(None) };
        let seal = self.all.iter().find(|seal| seal.key_id == key_id);
        let seal = seal.ok_or_else(|| key_missing(key_id))?;
        let payload = Payload { msg: sealed, aad: context.as_bytes() };
        let mut content =
            seal.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| key_wrong(key_id))?;
        let kind = match content.first() {
            Some(0) => SealedKind::Bytes,
            Some(1) => SealedKind::Text,
            _ => return Err(key_wrong(key_id)),
        };
        content.remove(0);
        Ok(Some((kind, content)))
    }

    /// An envelope around text, written as text.
    pub fn seal_text(&self, context: &str, plain: &str) -> String {
        let envelope = self.seal(context, SealedKind::Text, plain.as_bytes());
        format!("{TEXT_MAGIC}{}", Base64UrlUnpadded::encode_string(&envelope))
    }

    /// The content of an envelope that is written as text; `None` if the text is no envelope.
    ///
    /// # Errors
    /// As [`Seals::open`].
    pub fn open_text(&self, context: &str, text: &str) -> Result<Option<String>, WorldError> {
        let Some(encoded) = text.strip_prefix(TEXT_MAGIC) else { return Ok(None) };
        let Ok(envelope) = Base64UrlUnpadded::decode_vec(encoded) else { return Ok(None) };
        let opened = self.open(context, &envelope)?;
        Ok(opened.and_then(|(_, content)| String::from_utf8(content).ok()))
    }
}

/// Whether these bytes are an envelope.
pub fn is_sealed(bytes: &[u8]) -> bool {
    parts(bytes).is_some()
}

/// The id of an envelope's key; `None` if the bytes are no envelope.
pub fn sealed_key_id(bytes: &[u8]) -> Option<&str> {
    parts(bytes).map(|(key_id, ..)| key_id)
}

fn parts(bytes: &[u8]) -> Option<(&str, [u8; NONCE_LENGTH], &[u8])> {
    let (length, rest) = bytes.strip_prefix(MAGIC)?.split_first()?;
    let (key_id, rest) = rest.split_at_checked(usize::from(*length))?;
    let (nonce, sealed) = rest.split_first_chunk()?;
    Some((std::str::from_utf8(key_id).ok()?, *nonce, sealed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use base64ct::Base64;

    fn ring(entries: &[(&str, u8)]) -> KeyRing {
        let text: Vec<String> = entries
            .iter()
            .map(|(id, byte)| format!("{id}:{}", Base64::encode_string(&[*byte; 32])))
            .collect();
        KeyRing::parse(&text.join(" ")).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_as_it_was_and_shows_nothing() {
        let seals = Seals::new(&ring(&[("a", 1)]));
        for (kind, plain) in [(SealedKind::Bytes, &b"\0canary"[..]), (SealedKind::Text, b"canary")]
        {
            let envelope = seals.seal("here", kind, plain);
            assert!(!envelope.windows(6).any(|window| window == b"canary"));
            assert_eq!(seals.open("here", &envelope).unwrap(), Some((kind, plain.to_vec())));
            assert_eq!(sealed_key_id(&envelope), Some("a"));
        }
        let text = seals.seal_text("here", "a canary");
        assert_eq!(seals.open_text("here", &text).unwrap().as_deref(), Some("a canary"));
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_bytes() {
        let seals = Seals::new(&ring(&[("a", 1)]));
        assert_ne!(seals.seal_text("here", "x"), seals.seal_text("here", "x"));
    }

    #[test]
    fn an_old_key_still_opens_and_the_newest_seals() {
        let old = Seals::new(&ring(&[("old", 1)])).seal_text("here", "x");
        let rotated = Seals::new(&ring(&[("new", 2), ("old", 1)]));
        assert_eq!(rotated.open_text("here", &old).unwrap().as_deref(), Some("x"));
        let newer = rotated.seal("here", SealedKind::Bytes, b"x");
        assert_eq!(sealed_key_id(&newer), Some("new"));
    }

    #[test]
    fn a_missing_and_a_wrong_key_are_told_apart_and_named() {
        let envelope = Seals::new(&ring(&[("a", 1)])).seal("here", SealedKind::Bytes, b"x");
        let kind_of = |ring| Seals::new(&ring).open("here", &envelope).unwrap_err();
        let missing = kind_of(ring(&[("b", 1)]));
        let wrong = kind_of(ring(&[("a", 2)]));
        assert_eq!(missing.kind, ErrorKind::EncryptionKeyMissing);
        assert_eq!(wrong.kind, ErrorKind::EncryptionKeyWrong);
        assert!(missing.message.contains("\"a\"") && wrong.message.contains("\"a\""));
    }

    #[test]
    fn an_envelope_that_was_changed_or_moved_does_not_open() {
        let seals = Seals::new(&ring(&[("a", 1)]));
        let envelope = seals.seal("here", SealedKind::Bytes, b"x");
        assert!(seals.open("there", &envelope).is_err());
        for at in [envelope.len() - 1, MAGIC.len() + 2] {
            let mut changed = envelope.clone();
            changed[at] ^= 1;
            assert!(seals.open("here", &changed).is_err());
        }
    }

    #[test]
    fn what_is_no_envelope_is_left_alone() {
        let seals = Seals::new(&ring(&[("a", 1)]));
        for plain in [&b""[..], b"devl[]", MAGIC, b"hklseal1\xffshort"] {
            assert_eq!(seals.open("here", plain).unwrap(), None);
            assert!(!is_sealed(plain));
        }
        for plain in ["", "hklseal1.", "hklseal1.!", "hklseal2.x"] {
            assert_eq!(seals.open_text("here", plain).unwrap(), None);
        }
    }
}
