//! The key of a database's tokens. The database stores it, sealed under every master key that the
//! database has been used with. So tokens keep their stored text when the master key is rotated, and a
//! wrong master key is noticed before anything is read or written with it.

use zeroize::Zeroizing;

use crate::crypto::{
    KeyRing, MasterKey, SealedKind, Seals, TOKEN_KEY_LENGTH, TokenSeal, key_missing, key_wrong,
};
use crate::entropy;
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;

/// The context to which the envelope of a token key is bound.
const CONTEXT: &str = "token key";

/// A master key that the database has been used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Its id.
    pub key_id: String,
    /// The key of the tokens, sealed under this master key.
    pub sealed_token_key: Vec<u8>,
}

/// A store that remembers the master keys it has been used with.
pub trait KeptKeys {
    /// The keys, the last one first.
    ///
    /// # Errors
    /// Storage faults.
    fn kept_keys(&self) -> Result<Vec<KeptKey>, WorldError>;
    /// Remembers a key, unless its id is known. With `as_first` it does so only if no key is known.
    fn keep_key(&self, key: KeptKey, as_first: bool, done: Completion<()>);
}

/// Refuses a sealed database to a process without a ring. The process would read sealed values, and
/// write plain text where others expect sealed text.
///
/// # Errors
/// `EncryptionKeyMissing`, naming the newest key; storage faults.
pub fn refuse_if_sealed(store: &dyn KeptKeys) -> Result<(), WorldError> {
    match store.kept_keys()?.first() {
        Some(key) => Err(key_missing(&key.key_id)),
        None => Ok(()),
    }
}

/// The token seal of a database. Makes one for a database without one.
pub(super) fn token_seal(store: &dyn KeptKeys, ring: &KeyRing) -> Result<TokenSeal, WorldError> {
    if store.kept_keys()?.is_empty() {
        let fresh = Zeroizing::new(entropy::secret_bytes::<TOKEN_KEY_LENGTH>());
        match keep(store, ring.newest(), &fresh, true) {
            // This is a reader, and nothing in the database is sealed. Any key can find that out.
            Err(error) if error.kind == ErrorKind::ReadOnly => return Ok(TokenSeal::new(fresh)),
            kept => kept?,
        }
        // Another process may have been faster. The key that the database now holds counts.
    }
    let kept = store.kept_keys()?;
    let mut found = None;
    for key in ring.keys() {
        if let Some(kept) = kept.iter().find(|kept| kept.key_id == key.id()) {
            let token_key = opened(key, kept)?;
            found.get_or_insert(token_key);
        }
    }
    let token_key = found.ok_or_else(|| {
        // The ring most likely has the last key that the database was used with.
        kept.first()
            .map_or_else(|| key_missing(ring.newest().id()), |kept| key_missing(&kept.key_id))
    })?;
    // The token key is also sealed under the old master keys: during a rotation, a process with only
    // the old ring may start.
    let is_kept = |key: &&MasterKey| kept.iter().any(|kept| kept.key_id == key.id());
    for key in ring.keys().iter().filter(|key| !is_kept(key)) {
        match keep(store, key, &token_key, false) {
            // This is a reader. The next writer will keep the key.
            Err(error) if error.kind == ErrorKind::ReadOnly => {}
            kept => kept?,
        }
    }
    Ok(TokenSeal::new(token_key))
}

type TokenKey = Zeroizing<[u8; TOKEN_KEY_LENGTH]>;

fn opened(key: &MasterKey, kept: &KeptKey) -> Result<TokenKey, WorldError> {
    let content = Seals::of_key(key).open(CONTEXT, &kept.sealed_token_key)?;
    let bytes = content.map(|(_, bytes)| Zeroizing::new(bytes));
    let token_key = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
    token_key.map(Zeroizing::new).ok_or_else(|| key_wrong(key.id()))
}

fn keep(
    store: &dyn KeptKeys,
    key: &MasterKey,
    token_key: &TokenKey,
    as_first: bool,
) -> Result<(), WorldError> {
    let sealed_token_key = Seals::of_key(key).seal(CONTEXT, SealedKind::Bytes, token_key.as_ref());
    let (done, outcome) = Completion::channel();
    store.keep_key(KeptKey { key_id: key.id().to_owned(), sealed_token_key }, as_first, done);
    outcome.recv().unwrap_or_else(|_| Err(WorldError::closed()))
}
