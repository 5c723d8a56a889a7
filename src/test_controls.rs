//! What the tests of users may do to their World in memory: skip time, make commits fail.

use std::sync::Arc;

use crate::clock::{Clock, ShiftedClock};
use crate::store::fault_plan::FaultPlan;

/// The controls of one engine.
#[derive(Clone, Default)]
pub struct TestControls {
    /// The engine's time.
    pub clock: Arc<ShiftedClock>,
    /// What its commits come to.
    pub faults: Arc<FaultPlan>,
}

impl TestControls {
    /// The clock as the engine takes it.
    pub fn engine_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }
}
