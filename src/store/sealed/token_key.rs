//! The key of a database's tokens, kept in the database itself, sealed under every master key that
//! it has been used with: so tokens keep their stored text when the master key is rotated, and a
//! master key that is not what it was is noticed before anything is read or written with it.

use zeroize::Zeroizing;

use crate::crypto::{
    KeyRing, MasterKey, SealedKind, Seals, TOKEN_KEY_LENGTH, TokenSeal, key_missing, key_wrong,
};
use crate::entropy;
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;

/// What the envelope of a token key is bound to.
const CONTEXT: &str = "token key";

/// A master key that the database has been used with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptKey {
    /// Its id.
    pub key_id: String,
    /// The key of the tokens, sealed under it.
    pub sealed_token_key: Vec<u8>,
}

/// A store that remembers the keys it has been used with.
pub trait KeptKeys {
    /// The keys, the last one first.
    ///
    /// # Errors
    /// Storage faults.
    fn kept_keys(&self) -> Result<Vec<KeptKey>, WorldError>;
    /// Remembers a key, unless its id is there already; with `as_first`, only when none is.
    fn keep_key(&self, key: KeptKey, as_first: bool, done: Completion<()>);
}

/// Refuses a database that was sealed, for a process that has no ring: it would read what it cannot
/// understand, and write in plain text what others expect to be sealed.
///
/// # Errors
/// `EncryptionKeyMissing`, naming the newest key; storage faults.
pub fn refuse_if_sealed(store: &dyn KeptKeys) -> Result<(), WorldError> {
    match store.kept_keys()?.first() {
        Some(key) => Err(key_missing(&key.key_id)),
        None => Ok(()),
    }
}

/// The token seal of a database; makes one for a database that has none yet.
pub(super) fn token_seal(store: &dyn KeptKeys, ring: &KeyRing) -> Result<TokenSeal, WorldError> {
    if store.kept_keys()?.is_empty() {
        let fresh = Zeroizing::new(entropy::secret_bytes::<TOKEN_KEY_LENGTH>());
        match keep(store, ring.newest(), &fresh, true) {
            // A reader: nothing in the database is sealed, so any key will do to find that out.
            Err(error) if error.kind == ErrorKind::ReadOnly => return Ok(TokenSeal::new(fresh)),
            kept => kept?,
        }
        // Another process may have been quicker: what the database holds now counts.
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
        // The last key that the database was used with is the likeliest to be at hand.
        kept.first()
            .map_or_else(|| key_missing(ring.newest().id()), |kept| key_missing(&kept.key_id))
    })?;
    // Under the old ones too: while a key is rotated, a process that has only the old ring may start.
    let is_kept = |key: &&MasterKey| kept.iter().any(|kept| kept.key_id == key.id());
    for key in ring.keys().iter().filter(|key| !is_kept(key)) {
        match keep(store, key, &token_key, false) {
            // A reader: whoever writes next will keep it.
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
