//! Proofs of deliveries over HTTP: that a request, an answer or a server comes from a process with the
//! database.
//!
//! They are keyed hashes (HMAC-SHA-256) under a secret of the database that is never sent. Each proof
//! covers its purpose and its subject, so an eavesdropper cannot use it for anything else.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::id::{LeaseToken, MessageId};

/// Bytes of the secret.
pub const DELIVERY_SECRET_LENGTH: usize = 32;

/// The purpose of each proof.
const APP: &[u8] = b"hookline app 1";
const REQUEST: &[u8] = b"hookline delivery 1";
const ANSWER: &[u8] = b"hookline answer 1";

/// Binds the secret to the keys of a sealed database.
const SEALED: &[u8] = b"hookline delivery secret 1";

/// The secret that proves that a process has the database.
#[derive(Clone, PartialEq, Eq)]
pub struct DeliverySecret(Zeroizing<[u8; DELIVERY_SECRET_LENGTH]>);

impl fmt::Debug for DeliverySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliverySecret(..)")
    }
}

/// A delivery, as its request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenDelivery<'a> {
    /// The message.
    pub message_id: MessageId,
    /// Its queue.
    pub queue_name: &'a str,
    /// Counts from 1.
    pub attempt: i64,
    /// The lease token, which is not in the request.
    pub lease_token: &'a LeaseToken,
}

impl DeliverySecret {
    /// The secret with these bytes.
    pub fn new(bytes: [u8; DELIVERY_SECRET_LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret of a database that is sealed with this key. The file alone does not reveal it.
    pub(crate) fn under(&self, key: &[u8]) -> Self {
        let mut derived = Zeroizing::new([0; DELIVERY_SECRET_LENGTH]);
        // HKDF can give this length.
        Hkdf::<Sha256>::new(Some(self.0.as_ref()), key)
            .expand(SEALED, derived.as_mut())
            .expect("32 bytes are within the limit of HKDF-SHA-256");
        Self(derived)
    }

    /// A server's proof that it has the database, for a challenge that was never used before.
    pub fn prove_app(&self, challenge: &str) -> String {
        text(self.mac(APP, &[challenge.as_bytes()]))
    }

    /// Whether this is the proof of [`DeliverySecret::prove_app`].
    pub fn is_app(&self, challenge: &str, proof: &str) -> bool {
        is(self.mac(APP, &[challenge.as_bytes()]), proof)
    }

    /// A request's proof that it comes from the holder of a lease.
    pub fn prove_request(&self, delivery: &ProvenDelivery<'_>) -> String {
        text(self.of_request(delivery))
    }

    /// Whether this is the proof of [`DeliverySecret::prove_request`].
    pub fn is_request(&self, delivery: &ProvenDelivery<'_>, proof: &str) -> bool {
        is(self.of_request(delivery), proof)
    }

    /// An answer's proof that it comes from the app and belongs to the request with that proof.
    pub fn prove_answer(&self, request: &str, status: u16, body: &[u8]) -> String {
        text(self.of_answer(request, status, body))
    }

    /// Whether this is the proof of [`DeliverySecret::prove_answer`].
    pub fn is_answer(&self, request: &str, status: u16, body: &[u8], proof: &str) -> bool {
        is(self.of_answer(request, status, body), proof)
    }

    fn of_request(&self, delivery: &ProvenDelivery<'_>) -> Hmac<Sha256> {
        let parts: [&[u8]; 4] = [
            &delivery.message_id.number().to_be_bytes(),
            delivery.queue_name.as_bytes(),
            &delivery.attempt.to_be_bytes(),
            delivery.lease_token.expose().as_bytes(),
        ];
        self.mac(REQUEST, &parts)
    }

    fn of_answer(&self, request: &str, status: u16, body: &[u8]) -> Hmac<Sha256> {
        self.mac(ANSWER, &[request.as_bytes(), &status.to_be_bytes(), body])
    }

    /// Puts its length before each part, so that different parts give different hashes.
    fn mac(&self, purpose: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref())
            .expect("a key of any length is one of HMAC");
        for part in [purpose].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn text(mac: Hmac<Sha256>) -> String {
    Base64UrlUnpadded::encode_string(&mac.finalize().into_bytes())
}

/// Compares in constant time.
fn is(mac: Hmac<Sha256>, proof: &str) -> bool {
    let claimed = Base64UrlUnpadded::decode_vec(proof).unwrap_or_default();
    mac.verify_slice(&claimed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> DeliverySecret {
        DeliverySecret::new([byte; DELIVERY_SECRET_LENGTH])
    }

    fn lease() -> LeaseToken {
        LeaseToken::new("lease")
    }

    fn delivery(lease_token: &LeaseToken) -> ProvenDelivery<'_> {
        let message_id = MessageId::from_number(7);
        ProvenDelivery { message_id, queue_name: "__wkf_step_s", attempt: 1, lease_token }
    }

    #[test]
    fn a_proof_is_right_for_what_it_names_and_for_nothing_else() {
        let (secret, lease) = (secret(1), lease());
        let request = delivery(&lease);
        let proof = secret.prove_request(&request);
        assert!(secret.is_request(&request, &proof));
        let other_lease = LeaseToken::new("other");
        for other in [
            ProvenDelivery { message_id: MessageId::from_number(8), ..request.clone() },
            ProvenDelivery { queue_name: "__wkf_step_t", ..request.clone() },
            ProvenDelivery { attempt: 2, ..request.clone() },
            ProvenDelivery { lease_token: &other_lease, ..request.clone() },
        ] {
            assert!(!secret.is_request(&other, &proof), "{other:?}");
        }
        let answer = secret.prove_answer(&proof, 200, b"{}");
        assert!(secret.is_answer(&proof, 200, b"{}", &answer));
        assert!(!secret.is_answer("another request", 200, b"{}", &answer));
        assert!(!secret.is_answer(&proof, 500, b"{}", &answer));
        assert!(!secret.is_answer(&proof, 200, b"{ }", &answer));
        let app = secret.prove_app("challenge");
        assert!(secret.is_app("challenge", &app));
        assert!(!secret.is_app("another", &app));
    }

    #[test]
    fn a_proof_for_one_purpose_proves_nothing_for_another() {
        let secret = secret(1);
        // The proof for a challenge does not pass as an answer's, nor an answer's as a challenge's.
        let challenge = secret.prove_app("challenge");
        assert!(!secret.is_answer("challenge", 200, b"", &challenge));
        let answer = secret.prove_answer("challenge", 200, b"");
        assert!(!secret.is_app("challenge", &answer));
    }

    #[test]
    fn who_has_another_secret_or_another_key_proves_nothing() {
        let proof = secret(1).prove_app("challenge");
        assert!(!secret(2).is_app("challenge", &proof));
        let sealed = secret(1).under(b"key");
        assert!(!sealed.is_app("challenge", &proof));
        assert_eq!(sealed, secret(1).under(b"key"));
        assert_ne!(sealed, secret(1).under(b"another"));
        assert_ne!(sealed, secret(2).under(b"key"));
    }

    #[test]
    fn what_is_no_proof_at_all_is_refused() {
        let secret = secret(1);
        let right = secret.prove_app("challenge");
        let longer = format!("{right}AA");
        for wrong in ["", "A", "\u{1f512}", &right[1..], longer.as_str()] {
            assert!(!secret.is_app("challenge", wrong), "{wrong}");
        }
    }

    #[test]
    fn nothing_prints_the_secret() {
        assert_eq!(format!("{:?}", secret(65)), "DeliverySecret(..)");
    }

    /// During a deploy, processes of two versions use one database.
    #[test]
    fn a_proof_is_what_it_was() {
        let proof = secret(1).prove_request(&delivery(&lease()));
        assert_eq!(proof, "fL7G2BGp8n-TKSfgaGtZbGvzVXwTfbIvm2keqUMLpeU");
    }
}
