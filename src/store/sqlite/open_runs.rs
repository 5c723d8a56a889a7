//! The runs that have not ended, by what they need of a process: index `runs_open`.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::stopped_messages::COUNTED_MAX;
use crate::domain::id::RunId;
use crate::domain::queue::offer::Demand;
use crate::store::upkeep::OpenRuns;

/// The open runs by demand and workflow.
pub(super) fn groups(connection: &Connection) -> Result<Vec<OpenRuns>> {
    // The first row behind a group gives both: the next group and its first run.
    const FIRST_BEHIND: &str = "SELECT release_id, spec_version, workflow_name, run_id \
         FROM runs INDEXED BY runs_open WHERE completed_at_ms IS NULL \
         AND (release_id, spec_version, workflow_name) > (?, ?, ?) \
         ORDER BY release_id, spec_version, workflow_name, run_id LIMIT 1";
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM runs INDEXED BY runs_open \
         WHERE completed_at_ms IS NULL \
         AND release_id = ? AND spec_version = ? AND workflow_name = ? LIMIT ?)";
    let first_of = |row: &Row<'_>| {
        let demand = Demand { deployment_id: row.get(0)?, spec_version: row.get(1)? };
        Ok(OpenRuns {
            demand,
            workflow_name: row.get(2)?,
            count: 0,
            first: RunId::new(row.get::<_, String>(3)?),
        })
    };
    let mut first_behind = connection.prepare_cached(FIRST_BEHIND)?;
    let mut count = connection.prepare_cached(COUNT)?;
    let mut groups: Vec<OpenRuns> = Vec::new();
    // Less than any group.
    let (mut id, mut spec_version, mut workflow) = (String::new(), -1, String::new());
    while let Some(mut group) =
        first_behind.query_row(params![id, spec_version, workflow], first_of).optional()?
    {
        id.clone_from(&group.demand.deployment_id);
        spec_version = i64::from(group.demand.spec_version);
        workflow.clone_from(&group.workflow_name);
        let key = params![id, spec_version, workflow, COUNTED_MAX];
        group.count = count.query_row(key, |row| row.get(0))?;
        groups.push(group);
    }
    Ok(groups)
}

/// At most `limit` open runs that a release continues.
pub(super) fn of(connection: &Connection, release_id: &str, limit: usize) -> Result<Vec<RunId>> {
    const OF: &str = "SELECT run_id FROM runs INDEXED BY runs_open \
         WHERE completed_at_ms IS NULL AND release_id = ? LIMIT ?";
    connection
        .prepare_cached(OF)?
        .query_map(params![release_id, limit as i64], |row| {
            Ok(RunId::new(row.get::<_, String>(0)?))
        })?
        .collect()
}
