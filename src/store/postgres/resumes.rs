//! The events of resumes that happen once.

use super::db::{Db, values};
use super::events::{one, select_events};
use crate::domain::event::Event;
use crate::domain::id::RunId;
use crate::domain::step_resume::Names;
use crate::error::WorldError;

/// The event of a resume, without its payload.
pub(super) async fn by_id(
    db: &Db,
    run_id: &RunId,
    resume_id: &str,
) -> Result<Option<Event>, WorldError> {
    const BY_ID: &str = concat!(select_events!(), " WHERE e.run_id = $2 AND e.resume_id = $3");
    one(db, BY_ID, &values![false, run_id, resume_id]).await
}

/// The event of a resume with one of these names, of any run, without its payload; after so many
/// others, in the order of the names.
pub(super) async fn of_step(
    db: &Db,
    names: &Names,
    after: u32,
) -> Result<Option<Event>, WorldError> {
    const OF_STEP: &str = concat!(
        select_events!(),
        " WHERE e.resume_id >= $2 AND e.resume_id < $3 ORDER BY e.resume_id LIMIT 1 OFFSET $4"
    );
    one(db, OF_STEP, &values![false, &*names.from, &*names.before, i64::from(after)]).await
}
