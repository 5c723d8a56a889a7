//! The runs that have not ended, by what they need of a process: index `runs_open`.

use super::db::{Columns, Db, values};
use super::stopped_messages::COUNTED_MAX;
use crate::domain::id::RunId;
use crate::domain::queue::offer::Demand;
use crate::error::WorldError;
use crate::store::columns::ReadColumns;
use crate::store::upkeep::OpenRuns;

/// The open runs by demand and workflow.
pub(super) async fn groups(db: &Db) -> Result<Vec<OpenRuns>, WorldError> {
    // Each step finds the first row behind the last group, with the group's first run.
    const GROUPS: &str = "WITH RECURSIVE g AS (\
           (SELECT release_id, spec_version, workflow_name, run_id FROM hookline.runs \
            WHERE completed_at_ms IS NULL \
            ORDER BY release_id, spec_version, workflow_name, run_id LIMIT 1) \
           UNION ALL \
           SELECT n.release_id, n.spec_version, n.workflow_name, n.run_id \
           FROM g CROSS JOIN LATERAL (SELECT r.* FROM hookline.runs AS r \
             WHERE r.completed_at_ms IS NULL AND (r.release_id, r.spec_version, r.workflow_name) \
               > (g.release_id, g.spec_version, g.workflow_name) \
             ORDER BY r.release_id, r.spec_version, r.workflow_name, r.run_id LIMIT 1) AS n) \
         SELECT release_id, spec_version, workflow_name, run_id, (SELECT count(*) FROM \
           (SELECT 1 FROM hookline.runs AS r WHERE r.completed_at_ms IS NULL \
            AND r.release_id = g.release_id AND r.spec_version = g.spec_version \
            AND r.workflow_name = g.workflow_name LIMIT $1) AS c) FROM g";
    let group_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let demand = Demand { deployment_id: columns.take()?, spec_version: columns.version()? };
        let (workflow_name, first) = (columns.take()?, columns.run_id()?);
        Ok(OpenRuns { demand, workflow_name, count: columns.take()?, first })
    };
    db.rows(GROUPS, &values![COUNTED_MAX]).await?.iter().map(group_of).collect()
}

/// At most `limit` open runs that a release continues, locked.
pub(super) async fn of(db: &Db, release_id: &str, limit: usize) -> Result<Vec<RunId>, WorldError> {
    // They are found in the order of the index, and locked in that of the ids, as everybody locks runs.
    const OF: &str = "SELECT r.run_id FROM hookline.runs AS r WHERE r.run_id = ANY (ARRAY(\
           SELECT x.run_id FROM hookline.runs AS x \
           WHERE x.completed_at_ms IS NULL AND x.release_id = $1 \
           ORDER BY x.release_id, x.spec_version, x.workflow_name, x.run_id LIMIT $2)) \
         AND num_nulls(r.completed_at_ms) = 1 AND r.release_id || '' = $1 \
         ORDER BY r.run_id FOR NO KEY UPDATE";
    let rows = db.rows(OF, &values![release_id, limit]).await?;
    rows.iter().map(|row| Columns::of(row).run_id()).collect()
}
