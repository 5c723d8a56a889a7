//! [`Upkeep`] over a sealed store: seals imported values, and opens the errors of deliveries.

use std::path::PathBuf;

use super::SealedStore;
use crate::domain::id::RunId;
use crate::domain::transition::replay::{PastEvent, PastFact};
use crate::error::WorldError;
use crate::store::Completion;
use crate::store::upkeep::{Backup, Examination, Outlook, Releases, Upkeep, Worker};

impl Upkeep for SealedStore {
    fn outlook(&self, run_id: RunId, done: Completion<Outlook>) {
        let opened = self.opening(done, |at_rest, mut outlook: Outlook| {
            for message in &mut outlook.messages {
                message.last_error = at_rest.open_queue_text(message.last_error.take())?;
            }
            Ok(outlook)
        });
        self.upkeep.outlook(run_id, opened);
    }

    fn examine(&self, done: Completion<Examination>) {
        self.upkeep.examine(done);
    }

    fn workers(&self, done: Completion<Vec<Worker>>) {
        self.upkeep.workers(done);
    }

    /// The copy is sealed like the database.
    fn back_up(&self, to: PathBuf, done: Completion<Backup>) {
        self.upkeep.back_up(to, done);
    }

    fn releases(&self, done: Completion<Releases>) {
        self.upkeep.releases(done);
    }

    fn adopt(&self, from: String, to: String, done: Completion<usize>) {
        self.upkeep.adopt(from, to, done);
    }

    fn release_gone(&self, release_id: String, done: Completion<()>) {
        self.upkeep.release_gone(release_id, done);
    }

    fn cancel_release(&self, deployment_id: String, done: Completion<usize>) {
        self.upkeep.cancel_release(deployment_id, done);
    }

    fn import_run(&self, run_id: RunId, log: Vec<PastEvent>, done: Completion<()>) {
        let seal = |event: PastEvent| {
            let fact = match event.fact {
                PastFact::Asked(request) => {
                    PastFact::Asked(Box::new(self.at_rest.seal_event(&run_id, *request)?))
                }
                PastFact::ByWorld(event_type, entry) => {
                    let entry = self.at_rest.seal_entry(&run_id, event_type, entry)?;
                    PastFact::ByWorld(event_type, entry)
                }
            };
            Ok(PastEvent { fact, ..event })
        };
        let sealed: Result<Vec<PastEvent>, WorldError> = log.into_iter().map(seal).collect();
        match sealed {
            Ok(log) => self.upkeep.import_run(run_id, log, done),
            Err(error) => done.settle(Err(error)),
        }
    }
}
