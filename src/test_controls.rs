//! What the tests of users may do to their World in memory: skip time, make commits fail.

use std::sync::Arc;

use crate::clock::{Clock, ShiftedClock};
use crate::store::fault_plan::FaultPlan;

/// The controls of one engine.
#[derive(Clone)]
pub struct TestControls {
    /// The engine's time.
    pub clock: Arc<ShiftedClock>,
    /// What its commits come to.
    pub faults: Arc<FaultPlan>,
}

impl TestControls {
    /// Controls of an engine whose clock is ahead of the host's by so much.
    pub fn ahead_by(offset_ms: i64) -> Self {
        Self { clock: Arc::new(ShiftedClock::ahead_by(offset_ms)), faults: Arc::default() }
    }

    /// The clock as the engine takes it.
    pub fn engine_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}
