//! Controls of users' tests over their World in memory: they skip time and make commits fail.

use std::sync::Arc;

use crate::clock::{Clock, ShiftedClock};
use crate::store::fault_plan::FaultPlan;

/// The controls of one engine.
#[derive(Clone)]
pub struct TestControls {
    /// The engine's time.
    pub clock: Arc<ShiftedClock>,
    /// The faults of its commits.
    pub faults: Arc<FaultPlan>,
}

impl TestControls {
    /// The controls of an engine whose clock is ahead of the host's by this offset.
    pub fn ahead_by(offset_ms: i64) -> Self {
        Self { clock: Arc::new(ShiftedClock::ahead_by(offset_ms)), faults: Arc::default() }
    }

    /// The clock, in the type that the engine takes.
    pub fn engine_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}
