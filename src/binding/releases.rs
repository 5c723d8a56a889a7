//! The part of `NativeWorld` about releases; `ts/world/releases.ts` uses it.

use std::collections::{BTreeMap, HashSet};

use napi::{Env, Result};
use napi_derive::napi;
use serde_json::{Value, json};

use super::promise::JsValue;
use super::replies::{self, Reply};
use super::world::{NativeWorld, then};
use crate::domain::queue::offer::{Demand, NO_RELEASE, Offer};
use crate::error::WorldError;
use crate::queue::living;
use crate::store::Completion;
use crate::store::upkeep::{KnownRelease, OpenRuns, QueuedFor, Releases};

#[napi]
impl NativeWorld {
    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn releases(&self, env: Env) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                let reply = |(releases, reports): (Releases, Vec<Value>)| {
                    replies::value(shown(&releases, &reports))
                };
                engine.releases(then(done, reply));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn adopt(&self, env: Env, from: String, to: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| engine.upkeep.adopt(from, to, then(done, runs)))
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn release_gone(&self, env: Env, release_id: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.upkeep.release_gone(release_id, then(done, |()| Ok(Reply::void())));
            })
        })
    }

    #[napi(catch_unwind, ts_return_type = "Promise<NativeReply>")]
    pub fn cancel_release(&self, env: Env, deployment_id: String) -> Result<JsValue> {
        self.promise(env, |engine| {
            Ok(move |done: Completion<Reply>| {
                engine.upkeep.cancel_release(deployment_id, then(done, runs));
            })
        })
    }
}

fn runs(count: usize) -> std::result::Result<Reply, WorldError> {
    replies::value(json!({ "runs": count }))
}

/// A living worker, by its report.
struct Living<'a> {
    host: &'a Value,
    pid: &'a Value,
    /// `None` if its report does not say it.
    offer: Option<Offer>,
}

impl Living<'_> {
    /// Whether it takes what demands this; it may if it does not say.
    fn may_take(&self, demand: &Demand, releases: &HashSet<String>) -> bool {
        self.offer.as_ref().is_none_or(|offer| offer.covers(demand, releases))
    }

    /// Whether it is of the release with this deployment id, whatever its line.
    fn is_of(&self, deployment_id: &str) -> bool {
        let release = self.offer.as_ref().map(|offer| offer.release.as_deref());
        release.is_some_and(|release| release.unwrap_or(NO_RELEASE) == deployment_id)
    }
}

/// A list of `NativeRelease` of `ts/world/releases.ts`: one for each release, and for each other
/// deployment id that is needed.
fn shown(releases: &Releases, reports: &[Value]) -> Value {
    let living: Vec<_> = reports
        .iter()
        .map(|report| Living {
            host: &report["host"],
            pid: &report["pid"],
            offer: living::offer_of(report),
        })
        .collect();
    let ids = releases.known.iter().map(|known| known.release_id.clone()).collect();
    // In the order in which they are shown.
    let mut all: Vec<&str> = releases.known.iter().map(|it| it.release_id.as_str()).collect();
    let needed = releases.open_runs.iter().map(|it| &it.demand.deployment_id);
    let queued = releases.queued.iter().map(|it| &it.demand.deployment_id);
    let none = living.iter().any(|it| it.is_of(NO_RELEASE)).then_some(NO_RELEASE);
    for id in needed.chain(queued).map(String::as_str).chain(none) {
        // A message that names no release is for any of them.
        if !id.is_empty() && !all.contains(&id) {
            all.insert(0, id);
        }
    }
    let known: BTreeMap<&str, &KnownRelease> =
        releases.known.iter().map(|it| (it.release_id.as_str(), it)).collect();
    let one = |id: &str| release(id, known.get(id).copied(), releases, &living, &ids);
    all.into_iter().map(one).collect()
}

fn release(
    id: &str,
    known: Option<&KnownRelease>,
    releases: &Releases,
    living: &[Living<'_>],
    ids: &HashSet<String>,
) -> Value {
    let queued = releases.queued.iter().filter(|it| it.demand.deployment_id == id);
    let sum = |of: fn(&QueuedFor) -> i64| queued.clone().map(of).sum::<i64>();
    let needs = releases.open_runs.iter().filter(|it| it.demand.deployment_id == id);
    let need = |open: &OpenRuns| {
        json!({
            "workflowName": open.workflow_name,
            "specVersion": open.demand.spec_version,
            "runs": open.count,
            "firstRunId": open.first.as_str(),
            "hasProcess": living.iter().any(|it| it.may_take(&open.demand, ids)),
        })
    };
    let process = |it: &Living<'_>| {
        let spec_versions = it.offer.as_ref().map(|offer| &offer.spec_versions);
        let spec_versions = spec_versions.map(|it| [it.start(), it.end()]);
        json!({ "host": it.host, "pid": it.pid, "specVersions": spec_versions })
    };
    json!({
        "deploymentId": id,
        "firstSeenMs": known.map(|it| it.first_seen_ms),
        "goneAtMs": known.and_then(|it| it.gone_at_ms),
        "processes": living.iter().filter(|it| it.is_of(id)).map(process).collect::<Vec<_>>(),
        "activeRuns": sum(|it| it.runs),
        "messages": {
            "due": sum(|it| it.due),
            "sleeping": sum(|it| it.sleeping),
            "leased": sum(|it| it.leased),
        },
        "needs": needs.map(need).collect::<Vec<_>>(),
    })
}
