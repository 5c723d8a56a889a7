//! SHA-256 over a sequence of parts.

use sha2::{Digest as _, Sha256};

/// A digest that grows part by part.
#[derive(Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Adds a part. Where it begins and ends is not seen, so a sequence needs lengths between its parts.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    /// The digest of what was added.
    pub fn bytes(self) -> Vec<u8> {
        self.0.finalize().to_vec()
    }

    /// The digest in hexadecimal.
    pub fn hex(self) -> String {
        self.bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_their_whole() {
        let mut parts = Digest::default();
        parts.add(b"a");
        parts.add(b"bc");
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(parts.hex(), of_abc);
    }
}
