//! The run of another World, brought here by its whole log.

use super::{Rows, Transaction};
use crate::domain::retention::Keeping;
use crate::domain::transition::replay::{ReplayedRun, conflict};
use crate::error::WorldError;

impl<R: Rows> Transaction<'_, R> {
    /// See [`Upkeep::import_run`](crate::store::upkeep::Upkeep::import_run).
    pub fn import_run(&mut self, imported: ReplayedRun) -> Result<(), WorldError> {
        let rows = self.rows;
        let imported = imported.without_hooks_that_are_over(self.now.ms);
        let here = rows.run(&imported.run.run_id)?;
        let mut holders = Vec::new();
        for hook in imported.live_hooks() {
            match rows.live_hook(&hook.token)? {
                Some(over) if over.is_over(self.now.ms) => {
                    rows.dispose_hook(&over.run_id, &over.hook_id, self.now.ms)?;
                }
                holder => holders.extend(holder),
            }
        }
        if let Some(refusal) = conflict(&imported, here.as_ref(), &holders) {
            return Err(refusal.into());
        }
        rows.insert_run(&imported.run)?;
        for event in &imported.events {
            rows.insert_event(event, Keeping::of(&imported.run))?;
        }
        for step in &imported.steps {
            rows.insert_step(step)?;
        }
        for hook in &imported.hooks {
            rows.insert_hook(hook)?;
        }
        self.news.hooks.extend(imported.live_hooks().map(|hook| hook.token.clone()));
        for wait in &imported.waits {
            rows.insert_wait(wait)?;
        }
        if let Some(wake_up) = imported.wake_up {
            self.wake(wake_up)?;
        }
        Ok(())
    }
}
