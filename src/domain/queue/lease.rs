//! How long a lease lasts, how often it is extended, and when its owner counts as dead.

/// The duration of a lease, unless it is extended.
pub const LEASE_MS: i64 = 30_000;
/// The interval at which a process extends the leases of its deliveries.
pub const EXTEND_EVERY_MS: i64 = 10_000;
/// If its last extension is older than this, a process extends its leases before it claims.
pub const EXTENDED_LATELY_MS: i64 = LEASE_MS / 2;
/// An expired lease is lost if its owner has been silent for this long. The expiry alone proves
/// nothing, because the clock may have been set forwards.
pub const SILENCE_MS: i64 = 15_000;

const _: () = {
    assert!(2 * EXTEND_EVERY_MS < LEASE_MS, "a lease outlives one extension that fails");
    assert!(EXTEND_EVERY_MS < EXTENDED_LATELY_MS, "a claim extends only what the timer has missed");
    assert!(EXTENDED_LATELY_MS < LEASE_MS, "a claim finds no lease of its own process expired");
    assert!(EXTEND_EVERY_MS < SILENCE_MS, "a process that extends its leases is not silent");
    assert!(SILENCE_MS < LEASE_MS, "an expired lease of a process that is gone is freed at once");
};
