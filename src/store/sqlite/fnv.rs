//! FNV-1a: a number for some bytes, equal everywhere and for ever. No defence against anybody who looks
//! for two texts with one number.

/// With 64 bits.
pub(super) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
