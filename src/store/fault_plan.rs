//! Commits that fail on purpose, so that a user's test can see how its code behaves.

use std::sync::Mutex;

use crate::error::WorldError;
use crate::lock::lock;

/// Selects the next commits that fail, and their errors. Only commits with facts count, because the
/// number of lease writes depends on timing.
#[derive(Debug, Default)]
pub struct FaultPlan(Mutex<Vec<Planned>>);

#[derive(Debug)]
struct Planned {
    /// Commits that succeed before this fault.
    before: u32,
    error: WorldError,
}

impl FaultPlan {
    /// Makes the `nth` commit from now fail with this error; 1 is the next one.
    pub fn fail_commit(&self, nth: u32, error: WorldError) {
        lock(&self.0).push(Planned { before: nth.saturating_sub(1), error });
    }

    /// Counts a commit.
    ///
    /// # Errors
    /// The planned error.
    pub fn commit(&self) -> Result<(), WorldError> {
        let mut plan = lock(&self.0);
        let now = plan.iter().position(|planned| planned.before == 0);
        let failing = now.map(|index| plan.remove(index));
        plan.iter_mut().for_each(|planned| planned.before = planned.before.saturating_sub(1));
        failing.map_or(Ok(()), |planned| Err(planned.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_nth_commit_fails_and_no_other() {
        let plan = FaultPlan::default();
        plan.fail_commit(3, WorldError::new(ErrorKind::Io, "planned"));
        plan.fail_commit(2, WorldError::new(ErrorKind::StorageFull, "planned"));
        let kinds = [1, 2, 3, 4].map(|_| plan.commit().err().map(|error| error.kind));
        assert_eq!(kinds, [None, Some(ErrorKind::StorageFull), Some(ErrorKind::Io), None]);
    }
}
