//! The unclaimed messages, lane by lane, where all messages of a lane need the same. A claim does not
//! read the messages of lanes that it may not take.

use std::collections::{BTreeMap, HashSet};

use super::db::{Columns, Db, values};
use super::stopped_messages::COUNTED_MAX;
use crate::domain::queue::offer::Demand;
use crate::error::WorldError;
use crate::store::columns::ReadColumns;
use crate::store::upkeep::QueuedFor;

/// What the messages of a lane have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) queue_name: String,
    pub(super) demand: Demand,
}

impl Lane {
    /// Whether the name of its queue begins with one of these prefixes.
    pub(super) fn is_of(&self, prefixes: &[String]) -> bool {
        prefixes.iter().any(|prefix| self.queue_name.starts_with(prefix.as_str()))
    }
}

/// The lanes that have unclaimed messages, in queues whose names begin with one of these prefixes.
pub(super) async fn lanes(db: &Db, prefixes: &[String]) -> Result<Vec<Lane>, WorldError> {
    // Each step finds the first row behind the last lane, so that no lane's messages are read.
    const LANES: &str = "WITH RECURSIVE lane AS (\
           (SELECT queue_name, deployment_id, spec_version FROM hookline.messages \
            WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
            ORDER BY queue_name, deployment_id, spec_version LIMIT 1) \
           UNION ALL \
           SELECT n.queue_name, n.deployment_id, n.spec_version FROM lane CROSS JOIN LATERAL \
             (SELECT m.queue_name, m.deployment_id, m.spec_version FROM hookline.messages AS m \
              WHERE m.lease_token IS NULL AND m.dead_at_ms IS NULL AND m.held_at_ms IS NULL \
              AND (m.queue_name, m.deployment_id, m.spec_version) \
                > (lane.queue_name, lane.deployment_id, lane.spec_version) \
              ORDER BY m.queue_name, m.deployment_id, m.spec_version LIMIT 1) AS n) \
         SELECT queue_name, deployment_id, spec_version FROM lane";
    let mut lanes = Vec::new();
    for row in db.rows(LANES, &[]).await? {
        let mut columns = Columns::of(&row);
        let queue_name: String = columns.take()?;
        let demand = Demand { deployment_id: columns.take()?, spec_version: columns.version()? };
        let lane = Lane { queue_name, demand };
        if lane.is_of(prefixes) {
            lanes.push(lane);
        }
    }
    Ok(lanes)
}

/// The columns of lanes, as arrays of a statement's parameters.
pub(super) fn arrays(lanes: &[Lane]) -> (Vec<String>, Vec<String>, Vec<i64>) {
    let names = lanes.iter().map(|lane| lane.queue_name.clone()).collect();
    let ids = lanes.iter().map(|lane| lane.demand.deployment_id.clone()).collect();
    let versions = lanes.iter().map(|lane| i64::from(lane.demand.spec_version)).collect();
    (names, ids, versions)
}

/// The time at which the next message of these lanes becomes due that is not due now.
pub(super) async fn next_due_at_ms(
    db: &Db,
    lanes: &[Lane],
    now_ms: i64,
) -> Result<Option<i64>, WorldError> {
    const NEXT: &str = "SELECT min((SELECT available_at_ms FROM hookline.messages \
           WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
           AND queue_name = l.q AND deployment_id = l.d AND spec_version = l.s \
           AND available_at_ms > $4 ORDER BY available_at_ms, message_id LIMIT 1)) \
         FROM unnest($1, $2, $3) AS l(q, d, s)";
    let (names, ids, versions) = arrays(lanes);
    let row = db.first(NEXT, &values![names, ids, versions, now_ms]).await?;
    Ok(row.map(|row| Columns::of(&row).take()).transpose()?.flatten())
}

/// The messages of a lane, each number up to [`COUNTED_MAX`].
pub(super) struct Counted {
    pub(super) due: i64,
    pub(super) sleeping: i64,
    pub(super) first_at_ms: i64,
}

/// Counts the unclaimed messages of lanes.
pub(super) async fn counts(
    db: &Db,
    lanes: &[Lane],
    now_ms: i64,
) -> Result<Vec<Counted>, WorldError> {
    const COUNTS: &str = "SELECT \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.messages WHERE lease_token IS NULL \
           AND dead_at_ms IS NULL AND held_at_ms IS NULL AND queue_name = l.q \
           AND deployment_id = l.d AND spec_version = l.s AND available_at_ms <= $4 LIMIT $5) AS c), \
         (SELECT count(*) FROM (SELECT 1 FROM hookline.messages WHERE lease_token IS NULL \
           AND dead_at_ms IS NULL AND held_at_ms IS NULL AND queue_name = l.q \
           AND deployment_id = l.d AND spec_version = l.s AND available_at_ms > $4 LIMIT $5) AS c), \
         coalesce((SELECT min(available_at_ms) FROM hookline.messages WHERE lease_token IS NULL \
           AND dead_at_ms IS NULL AND held_at_ms IS NULL AND queue_name = l.q \
           AND deployment_id = l.d AND spec_version = l.s), $4) \
         FROM unnest($1, $2, $3) WITH ORDINALITY AS l(q, d, s, place) ORDER BY l.place";
    let (names, ids, versions) = arrays(lanes);
    let rows = db.rows(COUNTS, &values![names, ids, versions, now_ms, COUNTED_MAX]).await?;
    let counted_of = |row: &tokio_postgres::Row| {
        let mut columns = Columns::of(row);
        let (due, sleeping) = (columns.take()?, columns.take()?);
        Ok(Counted { due, sleeping, first_at_ms: columns.take()? })
    };
    rows.iter().map(counted_of).collect()
}

/// The messages by what they need.
pub(super) async fn by_demand(db: &Db, now_ms: i64) -> Result<Vec<QueuedFor>, WorldError> {
    const DUE_RUNS: &str = "SELECT DISTINCT deployment_id, spec_version, run_id \
         FROM hookline.messages WHERE lease_token IS NULL AND dead_at_ms IS NULL \
         AND held_at_ms IS NULL AND available_at_ms <= $1 AND run_id IS NOT NULL LIMIT $2";
    const LEASED: &str = "SELECT deployment_id, spec_version, run_id FROM hookline.messages \
         WHERE lease_token IS NOT NULL";
    let demand_of = |columns: &mut Columns<'_>| -> Result<Demand, WorldError> {
        Ok(Demand { deployment_id: columns.take()?, spec_version: columns.version()? })
    };
    let mut all: BTreeMap<Demand, (QueuedFor, HashSet<String>)> = BTreeMap::new();
    let lanes = lanes(db, &[String::new()]).await?;
    for (lane, counted) in lanes.iter().zip(counts(db, &lanes, now_ms).await?) {
        let (queued, _) = all.entry(lane.demand.clone()).or_default();
        queued.due += counted.due;
        queued.sleeping += counted.sleeping;
    }
    for row in db.rows(DUE_RUNS, &values![now_ms, COUNTED_MAX]).await? {
        let mut columns = Columns::of(&row);
        let (_, runs) = all.entry(demand_of(&mut columns)?).or_default();
        runs.insert(columns.take()?);
    }
    for row in db.rows(LEASED, &[]).await? {
        let mut columns = Columns::of(&row);
        let (queued, runs) = all.entry(demand_of(&mut columns)?).or_default();
        queued.leased += 1;
        runs.extend(columns.take::<Option<String>>()?);
    }
    let of_demand = |(demand, (queued, runs)): (Demand, (QueuedFor, HashSet<String>))| QueuedFor {
        demand,
        runs: runs.len() as i64,
        ..queued
    };
    Ok(all.into_iter().map(of_demand).collect())
}
