//! The place of the database, asked before anything is opened.

use napi::{Env, Result};
use napi_derive::napi;
use serde_json::json;

use super::promise::{self, JsValue};
use super::replies::{self, Reply};
use super::requests;
use super::world::NativeWorld;
use crate::config::{Config, RawConfig};
use crate::error::WorldError;

#[napi]
impl NativeWorld {
    /// Whether there is nothing to read, so that a read makes no database. `open` reports a bad
    /// configuration.
    #[napi(catch_unwind)]
    pub fn is_absent(&self) -> bool {
        self.checked_config().is_ok_and(|config| config.location.is_absent())
    }

    /// The present or future place of the file; void for memory.
    #[napi(catch_unwind, ts_return_type = "NativeReply")]
    pub fn place(&self, env: Env) -> Result<JsValue> {
        let place = self.checked_config().and_then(|config| place(&config));
        promise::answer(&env, place)
    }

    pub(super) fn checked_config(&self) -> std::result::Result<Config, WorldError> {
        let raw: RawConfig = requests::parse(&self.config)?;
        Config::parse(&raw)
    }
}

fn place(config: &Config) -> std::result::Result<Reply, WorldError> {
    let Some(place) = config.place() else { return Ok(Reply::void()) };
    let refusal = config.refuse_place().err().map(|error| error.message);
    let warning = place.warning();
    let warning = warning.map(|it| json!({ "of": it.of, "found": it.found, "advice": it.advice }));
    replies::value(json!({
        "path": place.path.display().to_string(),
        "refusal": refusal,
        "warning": warning,
    }))
}
