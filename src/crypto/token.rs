//! Tokens at rest. Each token has one stored text. A token can be looked up by this text, but only the
//! holder of the key can recover the token from it.
//!
//! The cipher is AES-SIV (RFC 5297) without a nonce: its synthetic vector is a keyed hash of the token,
//! and the rest is the token encrypted under that hash. Equal tokens have equal texts, so the unique
//! index over live tokens works on the texts. The file alone reveals only the lengths of tokens.

use aes_siv::KeyInit;
use aes_siv::siv::{Aes256Siv, IV_SIZE};
use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

use super::delivery::DeliverySecret;
use crate::domain::id::HookToken;

/// Bytes of the key.
pub const TOKEN_KEY_LENGTH: usize = 64;

/// The beginning of every sealed token.
const PREFIX: &str = "hkltoken1.";

/// Authenticated with every token, so that the key cannot be used for anything else.
const LABEL: &[u8] = b"hookline token 1";

/// The same label for digests.
const DIGEST_LABEL: &[u8] = b"hookline digest 1";

/// Seals and opens tokens. Its key belongs to the database and outlives every master key.
pub struct TokenSeal(Zeroizing<[u8; TOKEN_KEY_LENGTH]>);

impl TokenSeal {
    /// The seal with this key.
    pub fn new(key: Zeroizing<[u8; TOKEN_KEY_LENGTH]>) -> Self {
        Self(key)
    }

    fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new((&*self.0).into())
    }

    /// The stored text of a token.
    pub fn seal(&self, token: &str) -> String {
        let sealed = self
            .cipher()
            .encrypt([LABEL], token.as_bytes())
            .expect("no token is as long as the cipher's limit");
        format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&sealed))
    }

    /// The token of a stored text. A text that was not sealed with this key is a token that was stored
    /// as plain text, whatever it looks like.
    pub fn open(&self, stored: &str) -> HookToken {
        HookToken::new(self.opened(stored).unwrap_or_else(|| stored.to_owned()))
    }

    /// Whether a text is the stored text of some token. A caller that presents such a text has read the
    /// file and does not know the token.
    pub fn is_sealed(&self, text: &str) -> bool {
        self.opened(text).is_some()
    }

    /// A digest of a text that nobody can find by guessing without the key.
    pub fn keyed_digest(&self, text: &str) -> String {
        let sealed = self
            .cipher()
            .encrypt([DIGEST_LABEL], text.as_bytes())
            .expect("no digest is as long as the cipher's limit");
        // Only the synthetic vector, because it is the keyed hash.
        Base64UrlUnpadded::encode_string(&sealed[..IV_SIZE])
    }

    /// The secret of deliveries, derived from the stored secret `beside` this key.
    pub fn delivery_secret(&self, beside: &DeliverySecret) -> DeliverySecret {
        beside.under(self.0.as_ref())
    }

    fn opened(&self, stored: &str) -> Option<String> {
        let encoded = stored.strip_prefix(PREFIX)?;
        let sealed = Base64UrlUnpadded::decode_vec(encoded).ok()?;
        let plain = self.cipher().decrypt([LABEL], &sealed).ok()?;
        String::from_utf8(plain).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::TOKEN_LENGTH_MAX;

    fn seal(byte: u8) -> TokenSeal {
        TokenSeal::new(Zeroizing::new([byte; TOKEN_KEY_LENGTH]))
    }

    #[test]
    fn a_token_has_one_text_and_comes_back_from_it() {
        for token in ["secret", "ü", &"𝒳".repeat(TOKEN_LENGTH_MAX / 2)] {
            let stored = seal(1).seal(token);
            assert_eq!(stored, seal(1).seal(token));
            assert!(!stored.contains(token));
            assert_eq!(seal(1).open(&stored).expose(), token);
            assert!(HookToken::new(token).sealed_as(stored).is_acceptable());
        }
    }

    #[test]
    fn a_keyed_digest_depends_on_its_text_and_on_the_key() {
        let digest = seal(1).keyed_digest("x");
        assert_eq!(digest, seal(1).keyed_digest("x"));
        assert_ne!(digest, seal(1).keyed_digest("y"));
        assert_ne!(digest, seal(2).keyed_digest("x"));
    }

    #[test]
    fn without_the_key_a_text_stands_for_nothing() {
        let stored = seal(1).seal("secret");
        assert_ne!(stored, seal(2).seal("secret"));
        assert_eq!(seal(2).open(&stored).expose(), stored);
    }

    #[test]
    fn a_token_that_was_stored_plain_stays_itself() {
        for plain in ["secret", PREFIX, "hkltoken1.c2VjcmV0c2VjcmV0c2VjcmV0"] {
            assert_eq!(seal(1).open(plain).expose(), plain);
            assert!(!seal(1).is_sealed(plain));
        }
    }
}
