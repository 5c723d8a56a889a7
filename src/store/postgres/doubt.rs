//! A commit in doubt: the connection broke before the server's answer came.

use super::db::{Columns, Db, values};
use super::direct::Backend;
use super::fault;
use super::runs::join_run;
use crate::domain::event::{Event, EventType};
use crate::domain::id::{CorrelationId, LeaseToken, MessageId, Position, RunId};
use crate::domain::message::Delivery;
use crate::error::WorldError;
use crate::store::columns::ReadColumns;

/// A row that a transaction has written, and that no other one writes in the same way.
#[derive(Debug, Clone)]
pub(super) enum Witness {
    /// The first event of the transaction.
    Event { run_id: RunId, position: Position, event_type: EventType, created_at_ms: i64 },
    /// The first lease of a claim. Its token is random.
    Lease { message_id: MessageId, lease_token: LeaseToken },
}

impl Witness {
    pub(super) fn event(event: &Event) -> Self {
        let Event { position, event_type, created_at_ms, .. } = *event;
        Self::Event { run_id: event.run_id.clone(), position, event_type, created_at_ms }
    }

    pub(super) fn lease(delivery: &Delivery) -> Self {
        let lease_token = delivery.lease_token.clone();
        Self::Lease { message_id: delivery.message_id, lease_token }
    }

    /// Whether the row is there. Waits until no transaction works on it.
    async fn is_there(&self, db: &Db) -> Result<bool, WorldError> {
        const EVENT: &str = "SELECT 1 FROM hookline.events WHERE run_id = $1 AND position = $2 \
             AND event_type = $3 AND created_at_ms = $4";
        const LEASE: &str = "SELECT 1 FROM hookline.messages \
             WHERE message_id = $1 AND lease_token = $2 FOR UPDATE";
        let row = match self {
            Self::Event { run_id, position, event_type, created_at_ms } => {
                let values = values![run_id, *position, event_type.as_str(), *created_at_ms];
                db.first(EVENT, &values).await?
            }
            Self::Lease { message_id, lease_token } => {
                db.first(LEASE, &values![*message_id, lease_token.expose()]).await?
            }
        };
        Ok(row.is_some())
    }
}

/// What is known of a transaction whose `COMMIT` was sent.
#[derive(Debug, Clone)]
pub(super) struct Doubtful {
    /// Its id; `None` for one that carries no facts.
    pub(super) transaction: Option<i64>,
    pub(super) witness: Option<Witness>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate<T> {
    /// It happened, and this is known of it.
    Committed(T),
    /// Nothing of it has stayed.
    Gone,
    /// The server is still at it.
    UnderWay,
}

impl Doubtful {
    /// Asks the server.
    pub(super) async fn fate(&self, db: &Db) -> Result<Fate<()>, WorldError> {
        if let Some(transaction) = self.transaction {
            match status(db, transaction).await? {
                Status::Committed => {}
                Status::Aborted => return Ok(Fate::Gone),
                Status::UnderWay => return Ok(Fate::UnderWay),
            }
        }
        // After a crash or a fail-over, another transaction may have got the same id.
        let is_committed = match &self.witness {
            Some(witness) => witness.is_there(db).await?,
            // Without an id there are only acks and the like, which may be made again.
            None => self.transaction.is_some(),
        };
        Ok(if is_committed { Fate::Committed(()) } else { Fate::Gone })
    }
}

/// An event that was sent as a transaction of its own.
#[derive(Debug, Clone)]
pub(super) struct Unanswered {
    /// The process of the server that it was sent to.
    pub(super) backend: Backend,
    /// The number that the event carries.
    pub(super) write_id: i64,
}

/// The event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) run_id: RunId,
    pub(super) hook_id: CorrelationId,
    pub(super) position: Position,
    pub(super) created_at_ms: i64,
    pub(super) run_spec_version: u32,
}

impl Unanswered {
    /// Asks the server. The process that it was sent to could still begin with it, so that is ended first.
    pub(super) async fn fate(&self, db: &Db) -> Result<Fate<Written>, WorldError> {
        const WRITTEN: &str = concat!(
            "SELECT e.run_id, e.correlation_id, e.position, e.created_at_ms, r.spec_version \
             FROM hookline.events AS e",
            join_run!("e.run_id"),
            " WHERE e.write_id = $1"
        );
        if self.backend.is_ending(db).await? {
            return Ok(Fate::UnderWay);
        }
        let row = db.first(WRITTEN, &values![self.write_id]).await?;
        let written = row.map(|row| written_from(&row)).transpose()?;
        Ok(written.map_or(Fate::Gone, Fate::Committed))
    }
}

fn written_from(row: &tokio_postgres::Row) -> Result<Written, WorldError> {
    let mut columns = Columns::of(row);
    Ok(Written {
        run_id: columns.run_id()?,
        hook_id: columns.correlation_id()?,
        position: columns.take()?,
        created_at_ms: columns.take()?,
        run_spec_version: columns.version()?,
    })
}

enum Status {
    Committed,
    Aborted,
    UnderWay,
}

async fn status(db: &Db, transaction: i64) -> Result<Status, WorldError> {
    const STATUS: &str = "SELECT pg_xact_status($1::bigint::text::xid8)";
    let row = match db.first(STATUS, &values![transaction]).await {
        // The server has lost it and has not given its id to another one yet.
        Err(error) if fault::has_state(&error, "22023") => return Ok(Status::Aborted),
        row => row?,
    };
    let status: Option<String> = row.map(|row| Columns::of(&row).take()).transpose()?.flatten();
    Ok(match status.as_deref() {
        Some("aborted") => Status::Aborted,
        Some("in progress") => Status::UnderWay,
        // None: too old to be known, which is after its commit.
        _ => Status::Committed,
    })
}
