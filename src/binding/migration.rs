//! The schema of a Postgres database, made by a person instead of an app.

use napi::{Env, Result};
use napi_derive::napi;
use serde::Deserialize;
use serde_json::json;

use super::promise::{self, JsValue};
use super::world::{NativeWorld, aside};
use super::{replies, requests};
use crate::error::{ErrorKind, WorldError};
use crate::store::location::Location;
use crate::store::postgres::{MigrateRequest, PostgresStore};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Migrate {
    only_shows: bool,
    grant_to: Option<String>,
}

#[napi]
impl NativeWorld {
    /// Makes the schema, or brings it up to date: `{ onlyShows, grantTo }`. Opens no World.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn migrate(&self, env: Env, request: String) -> Result<JsValue> {
        let config = self.checked_config();
        promise::promise(&env, |done| {
            aside(done, move || {
                let Migrate { only_shows, grant_to } = requests::parse(&request)?;
                let Location::Postgres(location) = config?.location else {
                    return Err(WorldError::new(
                        ErrorKind::BadConfig,
                        "only a Postgres database is migrated by hand; a file is migrated by whoever \
                         opens it",
                    ));
                };
                let request = MigrateRequest { only_shows, grant_to };
                let migrated = PostgresStore::migrate(&location, &request)?;
                replies::value(json!({
                    "script": migrated.script,
                    "before": migrated.before,
                    "after": migrated.after,
                    "schema": migrated.schema,
                }))
            });
        })
    }
}
