//! Lets every lease of a database expire, as a process does to which the time has passed; for the
//! tests that pause a worker and do not wait for 45 seconds:
//!
//! ```text
//! cargo run --example expire_leases -- <file or postgres:// URL>
//! ```

// The rows in memory name `crate::domain`, here as in the library.
use hookline::domain;

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use hookline::clock::{Clock, ManualClock, SystemClock};
use hookline::domain::queue::offer::Offer;
use hookline::store::{ClaimRequest, Store};

/// Longer than a lease holds, and then longer than its owner may be silent.
const STEPS_MS: [i64; 2] = [40_000, 40_000];

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: expire_leases <file or URL>")?;
    let clock = Arc::new(ManualClock::at(SystemClock.now_ms()));
    let store: Arc<dyn Store> = match path.starts_with("postgres:") {
        true => Arc::new(kit::open_postgres(&path, &clock)?),
        false => Arc::new(kit::open_file(Path::new(&path), &clock)?),
    };
    for step_ms in STEPS_MS {
        clock.set(clock.now_ms() + step_ms);
        let request = ClaimRequest {
            limit: 1,
            offer: Offer { prefixes: vec!["no queue".into()], spec_versions: 0..=5, release: None },
            lease_owner: store.lease_owner().to_owned(),
            lease_ms: 1,
        };
        kit::settled(|done| store.claim(request, done))?;
    }
    store.close();
    Ok(())
}
