//! The events of resumes that happen once.

use super::db::{Db, values};
use super::events::{event_of, one, select_events};
use super::runs::join_run;
use crate::domain::event::Event;
use crate::domain::step_resume::Names;
use crate::error::WorldError;

/// The events of resumes, each by its run and its name, without their payloads.
pub(super) async fn by_ids(
    db: &Db,
    (run_ids, names): (Vec<String>, Vec<String>),
) -> Result<Vec<Event>, WorldError> {
    const BY_IDS: &str = select_events!(concat!(
        "unnest($2, $3) AS k(run_id, resume_id)",
        join_run!("k.run_id"),
        " CROSS JOIN LATERAL (SELECT l.* FROM hookline.events AS l \
               WHERE l.run_id = k.run_id AND l.resume_id = k.resume_id OFFSET 0) AS e"
    ));
    let rows = db.rows(BY_IDS, &values![false, run_ids, names]).await?;
    rows.iter().map(event_of).collect()
}

/// The event of a resume with one of these names, of any run, without its payload; after so many
/// others, in the order of the names.
pub(super) async fn of_step(
    db: &Db,
    names: &Names,
    after: u32,
) -> Result<Option<Event>, WorldError> {
    const OF_STEP: &str = select_events!(concat!(
        "(SELECT l.* FROM hookline.events AS l WHERE l.resume_id >= $2 AND l.resume_id < $3 \
               ORDER BY l.resume_id LIMIT 1 OFFSET $4) AS e",
        join_run!("e.run_id")
    ));
    one(db, OF_STEP, &values![false, &*names.from, &*names.before, i64::from(after)]).await
}
