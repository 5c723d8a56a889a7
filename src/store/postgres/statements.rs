//! Statements that have a name: the server parses and plans them once for each connection, instead of at
//! each use. Only a connection to the server itself can have them; behind a pooler each transaction may
//! meet another session, where the name is unknown or is another statement's.
//!
//! A plan is kept, and a table that was almost empty when the plan was made may be full now. Of an almost
//! empty table the planner likes to read a whole index, for a join or for an order. So a statement looks
//! rows up key by key, `FROM unnest(...) CROSS JOIN LATERAL (SELECT ... OFFSET 0)`, where the planner sees
//! no join (`FOR UPDATE` hides it too), and `+ 0` hides an order or a condition that another index has.
//! `tests/postgres/plans.rs` counts what each statement reads.

use std::cell::RefCell;
use std::collections::HashMap;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use crate::error::WorldError;

/// What a session of the server is told once. A queue is empty when a statement is planned, and full
/// later: so plans follow the indexes, whatever the statistics say. Such plans seem expensive, and would
/// be compiled. All names of ours say their schema.
pub(super) const PLANS: &str = "SET search_path = pg_catalog, pg_temp; SET plan_cache_mode = force_generic_plan; SET jit = off; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";
/// What the session of a writer is told too.
pub(super) const LIMITS: &str =
    "SET lock_timeout = '250ms'; SET idle_in_transaction_session_timeout = '5s'";

/// The named statements of one connection, by their text.
#[derive(Default)]
pub(super) struct Named {
    ready: RefCell<HashMap<&'static str, Statement>>,
    /// Used without a name so far.
    wanted: RefCell<HashMap<&'static str, Vec<Type>>>,
}

impl Named {
    /// The statement, if it has its name already. Giving it one takes a round trip, which is made
    /// [later](Self::prepare).
    pub(super) fn get(
        &self,
        sql: &'static str,
        types: impl Iterator<Item = Type>,
    ) -> Option<Statement> {
        let ready = self.ready.borrow().get(sql).cloned();
        if ready.is_none() {
            self.wanted.borrow_mut().insert(sql, types.collect());
        }
        ready
    }

    /// Whether [`Self::prepare`] has something to do.
    pub(super) fn is_wanting(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    /// Gives the statements that were used their names. Not inside of a transaction: one that fails would
    /// fail with it.
    pub(super) async fn prepare(
        &self,
        client: &Client,
        in_schema: impl Fn(&str) -> String,
    ) -> Result<(), WorldError> {
        for (sql, types) in self.wanted.take() {
            let statement = client.prepare_typed(&in_schema(sql), &types).await?;
            self.ready.borrow_mut().insert(sql, statement);
        }
        Ok(())
    }
}
