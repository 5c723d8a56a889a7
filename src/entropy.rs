//! The only source of randomness: fresh ids, lease tokens and keys.

use std::fmt::Write;
use std::sync::Mutex;

use ulid::Ulid;

use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::lock::lock;

/// Makes ids. The ids of one process never repeat. Within a millisecond they only grow.
#[derive(Debug, Default)]
pub struct Entropy {
    last_message: Mutex<i64>,
    last_run: Mutex<Ulid>,
}

impl Entropy {
    /// The id of a new run. Ids of one millisecond grow, so that runs are listed in the order of
    /// creation.
    pub fn run_id(&self, now_ms: i64) -> RunId {
        let fresh = Ulid::from_parts(now_ms.max(0) as u64, u128::from_le_bytes(random_bytes()));
        let mut last = lock(&self.last_run);
        *last = match last.timestamp_ms() == fresh.timestamp_ms() {
            true => last.increment().unwrap_or(fresh),
            false => fresh,
        };
        RunId::from_ulid(*last)
    }

    /// The id of a new message: the milliseconds, then a count. It is not secret. The store prevents
    /// collisions between two processes on one database.
    pub fn message_id(&self, now_ms: i64) -> MessageId {
        let fresh = now_ms.max(0) << MessageId::SEQUENCE_BITS;
        let mut last = lock(&self.last_message);
        *last = fresh.max(*last + 1);
        MessageId::from_number(*last)
    }

    /// The token of a new claim: 128 bits in hexadecimal.
    pub fn lease_token(&self) -> LeaseToken {
        LeaseToken::new(hex(&random_bytes::<16>()))
    }

    /// The name of a new process among the owners of leases.
    pub fn owner_name(&self) -> String {
        format!("{}-{}", std::process::id(), hex(&random_bytes::<8>()))
    }
}

/// A number from 0 (inclusive) to 1 (exclusive), for jitter.
pub fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(random_bytes())) / (f64::from(u32::MAX) + 1.0)
}

/// Bytes that nobody can predict, for keys and nonces.
pub fn secret_bytes<const N: usize>() -> [u8; N] {
    random_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The operating system's generator fails only if the process could not have started.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_only_grow_even_when_the_clock_steps_back() {
        let entropy = Entropy::default();
        let ids: Vec<_> = [5, 5, 9, 3, 3, 10].map(|ms| entropy.message_id(ms)).to_vec();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn run_ids_of_one_millisecond_grow() {
        let entropy = Entropy::default();
        let ids: Vec<_> = (0..100).map(|_| entropy.run_id(7)).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert_ne!(Entropy::default().run_id(7), ids[0]);
    }

    #[test]
    fn lease_tokens_and_owner_names_do_not_repeat() {
        let entropy = Entropy::default();
        assert_ne!(entropy.lease_token(), entropy.lease_token());
        assert_ne!(entropy.owner_name(), entropy.owner_name());
    }
}
