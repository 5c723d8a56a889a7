//! The class `NativeMove`: a move of a database to another place.

use std::sync::{Arc, Mutex};

use napi::{Env, Result};
use napi_derive::napi;
use serde_json::{Value, json};

use super::promise::{self, JsValue};
use super::replies::{self, Reply};
use super::requests;
use super::world::aside;
use crate::config::{Config, RawConfig};
use crate::error::WorldError;
use crate::lock::lock;
use crate::moving::{Move, Word};

/// The contract is `NativeMove` in `ts/native/binding.ts`.
#[napi]
pub struct NativeMove {
    from: String,
    to: String,
    under_way: Arc<Mutex<Option<Arc<Move>>>>,
}

#[napi]
impl NativeMove {
    /// Begins nothing; a malformed configuration is an error of `next`.
    #[napi(constructor, catch_unwind)]
    pub fn new(from: String, to: String) -> Self {
        Self { from, to, under_way: Arc::default() }
    }

    /// The next word about the move: `{ done, total }`, at the end `{ from, to, tables }`.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn next(&self, env: Env) -> Result<JsValue> {
        let under_way = match self.started() {
            Ok(under_way) => under_way,
            Err(error) => return promise::promise(&env, |done| done.settle(Err(error))),
        };
        promise::promise(&env, |done| aside(done, move || under_way.next().and_then(word)))
    }

    fn started(&self) -> std::result::Result<Arc<Move>, WorldError> {
        let mut under_way = lock(&self.under_way);
        if let Some(under_way) = &*under_way {
            return Ok(Arc::clone(under_way));
        }
        let config = |text: &str| {
            let raw: RawConfig = requests::parse(text)?;
            Config::parse(&raw)
        };
        let started = Arc::new(Move::start(config(&self.from)?, config(&self.to)?));
        Ok(Arc::clone(under_way.insert(started)))
    }
}

fn word(word: Word) -> std::result::Result<Reply, WorldError> {
    let moved = match word {
        Word::Going(progress) => {
            return replies::value(json!({ "done": progress.done, "total": progress.total }));
        }
        Word::Done(moved) => moved,
    };
    let table = |it: &crate::store::moving::MovedRows| json!({ "table": it.table, "rows": it.rows, "digest": it.digest });
    let tables: Vec<Value> = moved.tables.iter().map(table).collect();
    replies::value(json!({ "from": moved.from, "to": moved.to, "tables": tables }))
}
