//! The key ring and the keys that are derived from it.
//!
//! Every key in use is derived from a master key by HKDF-SHA-256, each with its own label: the run keys
//! with which the SDK encrypts, and the keys with which [`seal`] and [`token`] protect the values that
//! the SDK leaves plain. No code here prints a key, and no error contains one.

pub mod certificates;
mod delivery;
mod digest;
mod seal;
mod token;

use std::fmt;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use base64ct::{Base64Unpadded, Encoding};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::delivery::{DELIVERY_SECRET_LENGTH, DeliverySecret, ProvenDelivery};
pub use self::digest::Digest;
pub use self::seal::{SealedKind, Seals, is_sealed, sealed_key_id};
pub use self::token::{TOKEN_KEY_LENGTH, TokenSeal};
use crate::domain::id::RunId;
use crate::error::{ErrorKind, WorldError};

/// Bytes of a master key, and of a run key (AES-256).
pub const KEY_LENGTH: usize = 32;
/// Longest key id, in characters.
const KEY_ID_LENGTH_MAX: usize = 64;

/// The variable that holds the ring, for errors.
const VARIABLE: &str = "WORKFLOW_HOOKLINE_ENCRYPTION_KEYS";

/// The beginning of a payload that the SDK encrypted.
const SDK_PREFIX: &[u8] = b"encr";
/// Bytes of the nonce after it.
const SDK_NONCE_LENGTH: usize = 12;

/// The key of one run, as the SDK uses it.
pub type RunKey = Zeroizing<[u8; KEY_LENGTH]>;

/// The master keys, newest first; never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<MasterKey>,
}

/// One master key and its id.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    id: String,
    secret: Zeroizing<[u8; KEY_LENGTH]>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, ..)", self.id)
    }
}

impl KeyRing {
    /// Reads entries `id:base64`, newest first, separated by commas or white space.
    ///
    /// # Errors
    /// `BadConfig`, naming the entry by its place. It never contains the entry's text.
    pub fn parse(text: &str) -> Result<Self, WorldError> {
        let separator = |c: char| c == ',' || c.is_whitespace();
        let mut keys: Vec<MasterKey> = Vec::new();
        for entry in text.split(separator).filter(|entry| !entry.is_empty()) {
            let key = MasterKey::parse(entry).map_err(|reason| {
                let place = keys.len() + 1;
                bad_ring(&format!("entry {place} of the key ring {reason}"))
            })?;
            if keys.iter().any(|earlier| earlier.id == key.id) {
                return Err(bad_ring(&format!("the key id \"{}\" is there twice", key.id)));
            }
            keys.push(key);
        }
        match keys.is_empty() {
            true => Err(bad_ring("the key ring has no entry")),
            false => Ok(Self { keys }),
        }
    }

    /// The key for new values.
    pub fn newest(&self) -> &MasterKey {
        // The ring is not empty, because only `parse` makes one.
        &self.keys[0]
    }

    /// The key with this id.
    ///
    /// # Errors
    /// `EncryptionKeyMissing`, naming the id.
    pub fn key(&self, id: &str) -> Result<&MasterKey, WorldError> {
        self.keys.iter().find(|key| key.id == id).ok_or_else(|| key_missing(id))
    }

    /// The keys, newest first.
    pub fn keys(&self) -> &[MasterKey] {
        &self.keys
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(MasterKey::id)
    }

    /// The key with which the SDK encrypted a new run's arguments. The newest key is only the first
    /// guess: another process than the one that started the run, with another ring, may bring it to the
    /// database. For arguments that are not encrypted, any key may be chosen.
    ///
    /// # Errors
    /// `EncryptionKeyMissing` if it is none of ours.
    pub fn key_of_input(&self, run_id: &RunId, input: &[u8]) -> Result<&MasterKey, WorldError> {
        let Some(rest) = input.strip_prefix(SDK_PREFIX) else { return Ok(self.newest()) };
        let opens = |key: &&MasterKey| key.opens(run_id, rest);
        self.keys.iter().find(opens).ok_or_else(|| {
            let ids: Vec<&str> = self.ids().collect();
            WorldError::new(
                ErrorKind::EncryptionKeyMissing,
                format!(
                    "no key of this process ({}) opens the arguments of run \"{run_id}\": give every \
                     process the same {VARIABLE}",
                    ids.join(", ")
                ),
            )
        })
    }
}

impl MasterKey {
    fn parse(entry: &str) -> Result<Self, &'static str> {
        let (id, secret) = entry.split_once(':').ok_or("is not of the form id:base64")?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if id.is_empty() || id.len() > KEY_ID_LENGTH_MAX || !id.bytes().all(allowed) {
            return Err("has an id that is not 1 to 64 letters, digits, '-', '_' and '.'");
        }
        // Accepts both alphabets of base64, with or without padding.
        let plain: Zeroizing<String> =
            Zeroizing::new(secret.trim_end_matches('=').replace('-', "+").replace('_', "/"));
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        match Base64Unpadded::decode(plain.as_str(), bytes.as_mut()) {
            Ok(decoded) if decoded.len() == KEY_LENGTH => {}
            _ => return Err("has a key that is not the base64 of 32 bytes"),
        }
        Ok(Self { id: id.to_owned(), secret: bytes })
    }

    /// Its id, which is not secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key with which the SDK encrypts this run's values.
    pub fn run_key(&self, run_id: &RunId) -> RunKey {
        self.derive(&format!("hookline run key 1:{run_id}"))
    }

    /// The key for the use that the label names.
    fn derive(&self, label: &str) -> Zeroizing<[u8; KEY_LENGTH]> {
        let mut derived = Zeroizing::new([0; KEY_LENGTH]);
        // HKDF can give this length.
        Hkdf::<Sha256>::new(None, self.secret.as_ref())
            .expand(label.as_bytes(), derived.as_mut())
            .expect("32 bytes are within the limit of HKDF-SHA-256");
        derived
    }

    fn opens(&self, run_id: &RunId, encrypted: &[u8]) -> bool {
        let Some((nonce, sealed)) = encrypted.split_at_checked(SDK_NONCE_LENGTH) else {
            return false;
        };
        let Ok(nonce) = Nonce::try_from(nonce) else { return false };
        let key = self.run_key(run_id);
        Aes256Gcm::new((&*key).into()).decrypt(&nonce, sealed).map(Zeroizing::new).is_ok()
    }
}

/// Whether the SDK has encrypted this payload itself.
pub fn is_encrypted_by_sdk(payload: &[u8]) -> bool {
    payload.starts_with(SDK_PREFIX)
}

/// The error of a value that is sealed under a key that is not in the ring.
pub fn key_missing(id: &str) -> WorldError {
    let message = format!(
        "the encryption key \"{id}\" is not in the key ring: add it to {VARIABLE}, after the newest key"
    );
    WorldError::new(ErrorKind::EncryptionKeyMissing, message).with("keyId", id)
}

/// The error of a key in the ring that differs from the key that was used under its id.
pub fn key_wrong(id: &str) -> WorldError {
    let message = format!(
        "the encryption key \"{id}\" of {VARIABLE} is not the key of that id that sealed this \
         database, or the sealed data is damaged: give each key an id of its own"
    );
    WorldError::new(ErrorKind::EncryptionKeyWrong, message).with("keyId", id)
}

fn bad_ring(reason: &str) -> WorldError {
    let message = format!(
        "{VARIABLE} is malformed: {reason}; it is a list of id:base64, newest first, each key 32 bytes"
    );
    WorldError::new(ErrorKind::BadConfig, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring of these ids. Each byte of a key is its place in the ring.
    fn ring(ids: &[&str]) -> KeyRing {
        let entry = |(place, id): (usize, &&str)| {
            format!("{id}:{}", Base64Unpadded::encode_string(&[place as u8; KEY_LENGTH]))
        };
        let entries: Vec<String> = ids.iter().enumerate().map(entry).collect();
        KeyRing::parse(&entries.join(",")).expect("the ring is well-formed")
    }

    fn encrypted(key: &MasterKey, run_id: &RunId, plain: &[u8]) -> Vec<u8> {
        let nonce = [7; SDK_NONCE_LENGTH];
        let cipher = Aes256Gcm::new((&*key.run_key(run_id)).into());
        let sealed = cipher.encrypt(&nonce.into(), plain).unwrap();
        [SDK_PREFIX, &nonce, &sealed].concat()
    }

    #[test]
    fn a_ring_is_read_in_either_alphabet_with_commas_or_white_space() {
        let bytes = [0xfb; KEY_LENGTH];
        let standard = base64ct::Base64::encode_string(&bytes);
        let url = base64ct::Base64UrlUnpadded::encode_string(&bytes);
        assert_ne!(standard, url);
        let ring = KeyRing::parse(&format!(" b:{url},\n a.2_-:{standard} ")).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["b", "a.2_-"]);
        assert_eq!(ring.newest().id(), "b");
        assert_eq!(ring.keys[0].secret, ring.keys[1].secret);
    }

    #[test]
    fn a_malformed_ring_is_refused_without_printing_what_it_holds() {
        let secret = Base64Unpadded::encode_string(&[9; KEY_LENGTH]);
        let short = Base64Unpadded::encode_string(&[9; 31]);
        let long = Base64Unpadded::encode_string(&[9; 33]);
        for wrong in [
            String::new(),
            " , ".into(),
            secret.clone(),
            format!(":{secret}"),
            format!("a b:{secret}"),
            format!("ä:{secret}"),
            format!("{}:{secret}", "x".repeat(65)),
            format!("a:{short}"),
            format!("a:{long}"),
            format!("a:{secret}!"),
            format!("a:{secret},a:{secret}"),
            "a:".into(),
        ] {
            let error = KeyRing::parse(&wrong).expect_err(&wrong);
            assert_eq!(error.kind, ErrorKind::BadConfig, "{wrong}");
            assert!(error.message.contains(VARIABLE), "{}", error.message);
            for leak in [&secret[..8], &short[..8], &long[..8]] {
                assert!(!error.message.contains(leak), "{}", error.message);
            }
        }
    }

    #[test]
    fn nothing_prints_a_key() {
        let ring = ring(&["a", "b"]);
        assert_eq!(format!("{ring:?}"), r#"["a", "b"]"#);
        assert_eq!(format!("{:?}", ring.newest()), "MasterKey(a, ..)");
    }

    #[test]
    fn a_missing_key_is_named_by_its_id() {
        let error = ring(&["a"]).key("gone").unwrap_err();
        assert_eq!(error.kind, ErrorKind::EncryptionKeyMissing);
        assert!(error.message.contains("\"gone\""), "{}", error.message);
        assert_eq!(error.details["keyId"], "gone");
    }

    #[test]
    fn a_run_key_depends_on_the_run_and_on_the_master_key_and_on_nothing_else() {
        let (one, two) = (RunId::new("wrun_1"), RunId::new("wrun_2"));
        let ring = ring(&["a", "b"]);
        let [a, b] = ring.keys() else { panic!("two keys") };
        assert_eq!(a.run_key(&one), a.run_key(&one));
        assert_ne!(a.run_key(&one), a.run_key(&two));
        assert_ne!(a.run_key(&one), b.run_key(&one));
        assert_ne!(*a.run_key(&one), *a.secret);
    }

    /// The derivation is part of the storage format: a change would lose every encrypted run.
    #[test]
    fn a_run_key_is_what_it_was() {
        let key = ring(&["a"]).newest().run_key(&RunId::new("wrun_00000000000000000000000000"));
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "832d16e9be64a8a43ad814191e2b3a7012e0456a92c1f9c42c42a378f2207799");
    }

    #[test]
    fn the_key_of_a_new_run_is_the_one_that_its_arguments_were_encrypted_under() {
        let run_id = RunId::new("wrun_1");
        let (old, both) = (ring(&["old"]), ring(&["old", "new"]));
        let rotated = KeyRing { keys: both.keys.iter().rev().cloned().collect() };
        assert_eq!(rotated.newest().id(), "new");
        let input = encrypted(old.newest(), &run_id, b"arguments");
        assert_eq!(rotated.key_of_input(&run_id, &input).unwrap().id(), "old");
        assert_eq!(rotated.key_of_input(&run_id, b"devl[]").unwrap().id(), "new");
    }

    #[test]
    fn arguments_under_an_unknown_key_or_of_another_run_are_refused() {
        let run_id = RunId::new("wrun_1");
        let ring = ring(&["a"]);
        let of_another_run = encrypted(ring.newest(), &RunId::new("wrun_2"), b"arguments");
        for input in [of_another_run.as_slice(), b"encr", b"encrypted? no"] {
            let error = ring.key_of_input(&run_id, input).unwrap_err();
            assert_eq!(error.kind, ErrorKind::EncryptionKeyMissing);
        }
    }
}
