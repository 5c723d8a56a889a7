//! Releases: which are gone, and what becomes of their runs.

use super::{Rows, Transaction};
use crate::domain::queue::offer::{NO_RELEASE, may_be_gone};
use crate::domain::refusal::Refusal;
use crate::domain::transition::cancellation_of;
use crate::error::WorldError;

/// The most runs that one transaction adopts or cancels, so that it holds up others for a moment only.
pub const RUNS_AT_ONCE: usize = 200;

impl<R: Rows> Transaction<'_, R> {
    /// Whether the release with this id is gone.
    pub(super) fn is_gone(&self, deployment_id: &str) -> Result<bool, WorldError> {
        if !may_be_gone(deployment_id, self.release) {
            return Ok(false);
        }
        Ok(self.rows.release_is_gone(deployment_id)? == Some(true))
    }

    /// See [`Upkeep::release_gone`](crate::store::upkeep::Upkeep::release_gone).
    pub fn release_gone(&mut self, release_id: &str) -> Result<(), WorldError> {
        self.known_release(release_id)?;
        self.rows.mark_gone(release_id, self.now.ms)
    }

    fn known_release(&self, release_id: &str) -> Result<(), WorldError> {
        match self.rows.release_is_gone(release_id)? {
            Some(_) => Ok(()),
            None => Err(WorldError::not_found(format!(
                "no process has had the release \"{release_id}\": hookline releases lists them"
            ))),
        }
    }

    /// Gives some runs of a deployment id to another release, and once none is left, some that are still
    /// to be created; returns how many. See
    /// [`Upkeep::adopt`](crate::store::upkeep::Upkeep::adopt).
    pub fn adopt(&mut self, from: &str, to: &str) -> Result<usize, WorldError> {
        if from == to {
            return Err(WorldError::invalid("a release cannot adopt its own runs"));
        }
        if to != NO_RELEASE {
            self.known_release(to)?;
        }
        if self.is_gone(to)? {
            return Err(Refusal::ReleaseGone(to.to_owned()).into());
        }
        let mut count = 0;
        for run_id in self.rows.open_runs_of(from, RUNS_AT_ONCE)? {
            let Some(mut run) = self.rows.run(&run_id)? else { continue };
            to.clone_into(&mut run.release_id);
            self.rows.update_release(&run)?;
            self.rows.move_messages(&run_id, to)?;
            count += 1;
        }
        if count == 0 {
            count = self.adopt_starts(from, to)?;
        }
        self.news.queue |= count > 0;
        Ok(count)
    }

    /// Gives the messages of some runs that are still to be created to another release; returns of how
    /// many runs.
    fn adopt_starts(&mut self, from: &str, to: &str) -> Result<usize, WorldError> {
        let mut runs = self.rows.runs_to_create(from, RUNS_AT_ONCE)?;
        runs.sort_unstable();
        runs.dedup();
        for run_id in &runs {
            self.rows.move_messages(run_id, to)?;
        }
        Ok(runs.len())
    }

    /// Cancels some runs of a deployment id; returns how many. Once none is left, deletes the messages
    /// for it: no run needs them, and perhaps nobody will ever take them. See
    /// [`Upkeep::cancel_release`](crate::store::upkeep::Upkeep::cancel_release).
    pub fn cancel_release(&mut self, deployment_id: &str) -> Result<usize, WorldError> {
        let mut count = 0;
        for run_id in self.rows.open_runs_of(deployment_id, RUNS_AT_ONCE)? {
            let Some(run) = self.rows.run(&run_id)? else { continue };
            self.append_event(cancellation_of(&run))?;
            count += 1;
        }
        if count == 0 {
            self.rows.delete_messages_for(deployment_id)?;
        }
        Ok(count)
    }
}
