//! Examines a database and the way to it, over a connection of its own: what is measured is what a process
//! of the app has.

use tokio::time::Instant;
use tokio_postgres::Row;

use super::connect::{Connector, LONG_ANSWER_WITHIN};
use super::db::{Columns, Db, values};
use super::{fault, migrate, owners};
use crate::clock::{Clock, SystemClock};
use crate::error::WorldError;
use crate::store::upkeep::{OldSnapshot, QueueTable, ServerExamination};

/// The round trips of which the shortest counts.
const ROUND_TRIPS: usize = 5;
/// A snapshot of this age keeps the vacuum from cleaning the queue.
const OLD_SNAPSHOT_MS: i64 = 5 * 60_000;
/// The most old snapshots that are listed.
const OLD_SNAPSHOTS_MAX: i64 = 10;

/// Examines the database. Blocks.
pub(super) fn examine(connector: &Connector) -> Result<ServerExamination, WorldError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|_| WorldError::closed())?;
    let found = runtime.block_on(look(connector));
    found.map_err(|error| fault::at(error, connector.shown()))
}

async fn look(connector: &Connector) -> Result<ServerExamination, WorldError> {
    let db = connector.connect("examines", LONG_ANSWER_WITHIN).await?;
    migrate::check_server(&db).await?;
    let (round_trip_us, clock_ahead_ms) = distance(&db).await?;
    let (living_workers, known_workers) = workers(&db).await?;
    let found = server(&db).await?;
    Ok(ServerExamination {
        round_trip_us,
        clock_ahead_ms,
        living_workers,
        known_workers,
        is_direct: db.is_direct(),
        missing_rights: missing_rights(&db).await?,
        old_snapshots: old_snapshots(&db).await?,
        queue: queue(&db).await?,
        ..found
    })
}

/// The shortest round trip in microseconds, and by how many milliseconds the server's clock is ahead of
/// this host's.
async fn distance(db: &Db) -> Result<(i64, i64), WorldError> {
    const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let mut shortest = None;
    for _ in 0..ROUND_TRIPS {
        let (began, at) = (SystemClock.now_ms(), Instant::now());
        let row = db.first(TIME, &[]).await?.ok_or_else(|| fault::damage("no time"))?;
        let took = at.elapsed();
        let there: i64 = Columns::of(&row).take()?;
        let half_ms = i64::try_from(took.as_millis() / 2).unwrap_or(i64::MAX);
        if shortest.is_none_or(|(least, _)| took < least) {
            shortest = Some((took, there - began - half_ms));
        }
    }
    let (took, ahead_ms) = shortest.unwrap_or_default();
    Ok((i64::try_from(took.as_micros()).unwrap_or(i64::MAX), ahead_ms))
}

async fn server(db: &Db) -> Result<ServerExamination, WorldError> {
    const SERVER: &str = "SELECT current_setting('server_version'), \
         (SELECT max(version) FROM hookline.migrations), \
         (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint \
           FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
           WHERE n.nspname = $1 AND c.relkind = 'r'), \
         pg_catalog.pg_is_in_recovery(), \
         current_setting('default_transaction_read_only') = 'on', \
         (SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl), \
         current_user::text, current_setting('fsync') = 'on', current_setting('synchronous_commit'), \
         (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'), \
         current_setting('max_connections')::bigint";
    let row = db.first(SERVER, &values![db.schema()]).await?;
    let row = row.ok_or_else(|| fault::damage("no server"))?;
    let mut columns = Columns::of(&row);
    Ok(ServerExamination {
        schema: db.schema().to_owned(),
        version: columns.take()?,
        schema_version: columns.take()?,
        bytes: columns.take()?,
        is_standby: columns.take()?,
        only_reads: columns.take()?,
        tls: columns.take()?,
        role: columns.take()?,
        syncs_to_disk: columns.take()?,
        synchronous_commit: columns.take()?,
        connections: columns.take()?,
        connections_max: columns.take()?,
        ..ServerExamination::default()
    })
}

/// The rights on our tables that this role lacks, as `INSERT ON runs`.
async fn missing_rights(db: &Db) -> Result<Vec<String>, WorldError> {
    const MISSING: &str = "SELECT r.name || ' ON ' || c.relname \
         FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
         CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r(name) \
         WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname <> 'migrations' \
           AND NOT pg_catalog.has_table_privilege(c.oid, r.name) ORDER BY c.relname, r.name";
    texts(&db.rows(MISSING, &values![db.schema()]).await?)
}

fn texts(rows: &[Row]) -> Result<Vec<String>, WorldError> {
    rows.iter().map(|row| Columns::of(row).take()).collect()
}

/// The living workers, and all that have not said that they have ended.
async fn workers(db: &Db) -> Result<(i64, i64), WorldError> {
    const KNOWN: &str = "SELECT count(*) FROM hookline.owners WHERE ended_at_ms IS NULL";
    let living = owners::living(db).await?.len();
    let row = db.first(KNOWN, &[]).await?;
    let known = row.map(|row| Columns::of(&row).take()).transpose()?.unwrap_or(0);
    Ok((i64::try_from(living).unwrap_or(i64::MAX), known))
}

/// Whoever keeps the vacuum from removing dead rows.
async fn old_snapshots(db: &Db) -> Result<Vec<OldSnapshot>, WorldError> {
    const OLD: &str = "SELECT what, age_ms FROM ( \
         SELECT format('process %s of role %s (%s), %s', pid, usename, \
             coalesce(nullif(application_name, ''), 'unnamed'), state) AS what, \
           (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint AS age_ms \
         FROM pg_catalog.pg_stat_activity \
         WHERE backend_xmin IS NOT NULL AND datname = current_database() \
           AND pid <> pg_catalog.pg_backend_pid() \
       UNION ALL \
         SELECT format('prepared transaction %s of role %s', gid, owner), \
           (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint \
         FROM pg_catalog.pg_prepared_xacts WHERE database = current_database() \
       UNION ALL \
         SELECT format('replication slot %s, %s transactions behind', slot_name, \
           pg_catalog.age(coalesce(xmin, catalog_xmin))), NULL \
         FROM pg_catalog.pg_replication_slots \
         WHERE pg_catalog.age(coalesce(xmin, catalog_xmin)) > 100000 \
       ) AS holders WHERE age_ms IS NULL OR age_ms > $1 ORDER BY age_ms DESC NULLS FIRST LIMIT $2";
    let rows = db.rows(OLD, &values![OLD_SNAPSHOT_MS, OLD_SNAPSHOTS_MAX]).await?;
    let holder = |row: &Row| {
        let mut columns = Columns::of(row);
        Ok(OldSnapshot { what: columns.take()?, age_ms: columns.take()? })
    };
    rows.iter().map(holder).collect()
}

async fn queue(db: &Db) -> Result<QueueTable, WorldError> {
    const QUEUE: &str = "SELECT pg_catalog.pg_total_relation_size(relid), n_live_tup, n_dead_tup, \
         (extract(epoch FROM clock_timestamp() - greatest(last_vacuum, last_autovacuum)) \
           * 1000)::bigint \
         FROM pg_catalog.pg_stat_user_tables WHERE schemaname = $1 AND relname = 'messages'";
    let Some(row) = db.first(QUEUE, &values![db.schema()]).await? else {
        return Ok(QueueTable::default());
    };
    let mut columns = Columns::of(&row);
    Ok(QueueTable {
        bytes: columns.take()?,
        live_rows: columns.take()?,
        dead_rows: columns.take()?,
        vacuumed_ms_ago: columns.take()?,
    })
}
