//! FNV-1a: hashes bytes to a number that is the same everywhere and for ever. It does not resist
//! somebody who searches for two texts with the same number.

/// The 64-bit variant.
pub(super) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
