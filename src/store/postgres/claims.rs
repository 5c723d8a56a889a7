//! Table `messages`: claims. Which of the due messages a worker gets is decided by
//! [`crate::domain::queue::claim`].

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use tokio_postgres::Row;

use super::db::{Columns, Db, Sending, pipelined, values};
use super::due::{self, Lane};
use super::leases::{self, HeldLease};
use super::messages::{names_of, step_id};
use super::releases;
use super::writes::Write;
use crate::domain::id::{LeaseToken, MessageId, RunId};
use crate::domain::message::Delivery;
use crate::domain::queue::claim::{Claimable, Claiming, UnderWay};
use crate::domain::queue::offer::Offer;
use crate::domain::spec::SpecVersion;
use crate::error::WorldError;
use crate::lock::lock;
use crate::store::columns::ReadColumns;
use crate::store::{ClaimRequest, Claimed};

/// Another delivery, which replays.
const REPLAYS: UnderWay = UnderWay { is_step: false, claimed_at: 0, executes: None };
/// The fewest due messages of a lane that are looked at together.
const LOOKED_AT_MIN: usize = 16;
/// Lanes that are remembered.
const LANES_MAX: usize = 32;

/// The lanes in which this process has found messages. Their due messages are looked at together with
/// the question for the lanes that there are.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Vec<Lane>>);

impl Lanes {
    fn known(&self) -> Vec<Lane> {
        lock(&self.0).clone()
    }

    fn are(&self, lanes: &[Lane]) {
        *lock(&self.0) = lanes.to_vec();
    }
}

/// What a claim reads.
pub(super) struct Look {
    /// Leases that have expired.
    pub(super) expired: Vec<HeldLease>,
    /// All releases, each with whether it is gone; of a worker with a release, only that one.
    releases: Vec<(String, bool)>,
    /// The lanes that the worker takes from, and whether exactly these were looked at.
    lanes: Vec<Lane>,
    is_complete: bool,
    /// Of each lane, the first due messages, locked.
    first: Vec<Candidate>,
    limit: usize,
    next_due_at_ms: Option<i64>,
}

impl Look {
    /// Whether nothing has become due since.
    pub(super) fn is_still_true(&self, now_ms: i64) -> bool {
        self.next_due_at_ms.is_none_or(|at_ms| at_ms > now_ms)
    }

    /// Whether the release of the worker is known to be there.
    pub(super) fn is_here(&self, release: &str) -> bool {
        self.releases.iter().any(|(id, is_gone)| id == release && !is_gone)
    }
}

/// Looks for due messages that the worker offers to take, and locks them.
pub(super) async fn look(
    db: &Db,
    request: &ClaimRequest,
    known: &Lanes,
    now_ms: i64,
) -> Result<Look, WorldError> {
    let found = look_at(db, request, known.known(), now_ms).await?;
    if found.is_complete {
        return Ok(found);
    }
    known.are(&found.lanes);
    look_at(db, request, found.lanes, now_ms).await
}

async fn look_at(
    db: &Db,
    request: &ClaimRequest,
    lanes: Vec<Lane>,
    now_ms: i64,
) -> Result<Look, WorldError> {
    let Offer { prefixes, release, .. } = &request.offer;
    let (mut expired, mut known_releases, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first, limit) = (Vec::new(), request.limit.max(LOOKED_AT_MIN));
    let places = vec![Some((i64::MIN, i64::MIN)); lanes.len()];
    let behind = Behind { lanes: &lanes, places: &places, limit };
    let mut sending: Vec<Sending<'_>> = vec![
        Box::pin(async {
            expired = leases::expired(db, now_ms).await?;
            Ok(())
        }),
        Box::pin(async {
            known_releases = releases::known_to(db, release.as_deref()).await?;
            Ok(())
        }),
        Box::pin(async {
            all = due::lanes(db, prefixes).await?;
            Ok(())
        }),
    ];
    if !lanes.is_empty() {
        sending.push(Box::pin(async {
            first = candidates(db, behind, now_ms, &request.lease_owner).await?;
            Ok(())
        }));
    }
    let next_due_at_ms = pipelined(sending, due::next_due_at_ms(db, &lanes, now_ms)).await?;
    let ids: HashSet<String> = known_releases.iter().map(|(id, _)| id.clone()).collect();
    let takes = |lane: &Lane| lane.is_of(prefixes) && request.offer.covers(&lane.demand, &ids);
    all.retain(takes);
    let new: Vec<Lane> = all.iter().filter(|lane| !lanes.contains(lane)).cloned().collect();
    let is_complete = new.is_empty() && lanes.iter().all(takes);
    let lanes = match lanes.len() + new.len() > LANES_MAX && !is_complete {
        true => all,
        false => lanes.into_iter().filter(takes).chain(new).collect(),
    };
    let releases = known_releases;
    Ok(Look { expired, releases, lanes, is_complete, first, limit, next_due_at_ms })
}

/// Takes messages of those that were found, the longest due first. Returns them with the writes that lease
/// them.
pub(super) async fn claim(
    db: &Db,
    request: &ClaimRequest,
    lease_token: impl FnMut() -> LeaseToken,
    look: Look,
    now_ms: i64,
) -> Result<(Claimed, Vec<Write>), WorldError> {
    let next_due_at_ms = look.next_due_at_ms;
    let mut claim =
        Claim { request, lease_token, claiming: Claiming::default(), taken: Vec::new() };
    claim.take_from(db, look, now_ms).await?;
    let taken = claim.taken;
    let next_due_at_ms = next_due_at_ms.filter(|_| taken.len() < request.limit);
    let writes = leases(&taken, request, now_ms);
    let deliveries = taken.into_iter().map(|taken| taken.delivery).collect();
    Ok((Claimed { deliveries, next_due_at_ms, now_ms }, writes))
}

/// A message that the worker gets.
struct Taken {
    delivery: Delivery,
    /// The run that it replays, if any.
    replays: Option<RunId>,
}

/// A due message, locked.
struct Candidate {
    claimable: Claimable,
    delivery: Delivery,
    place: (i64, i64),
    lane: usize,
}

struct Claim<'a, F> {
    request: &'a ClaimRequest,
    lease_token: F,
    claiming: Claiming,
    taken: Vec<Taken>,
}

impl<F: FnMut() -> LeaseToken> Claim<'_, F> {
    /// Takes messages until there are enough, or no more are due. The worker may not get the first
    /// ones of a lane, so the next ones are looked at too.
    async fn take_from(&mut self, db: &Db, look: Look, now_ms: i64) -> Result<(), WorldError> {
        let limit = self.request.limit;
        let lanes = look.lanes;
        let (mut found, mut looked_at) = (look.first, look.limit);
        let mut places = vec![Some((i64::MIN, i64::MIN)); lanes.len()];
        loop {
            found.sort_by_key(|it| it.place);
            // Behind the end of a full page, its lane may have a message that comes before the others.
            let is_full =
                |lane: usize| found.iter().filter(|it| it.lane == lane).count() == looked_at;
            let full: Vec<usize> = (0..lanes.len()).filter(|lane| is_full(*lane)).collect();
            let end_of = |lane: &usize| found.iter().rev().find(|it| it.lane == *lane);
            let horizon = full.iter().filter_map(end_of).map(|it| it.place).min();
            let is_behind = |it: &Candidate| horizon.is_some_and(|horizon| it.place > horizon);
            let left = found.split_off(found.iter().position(is_behind).unwrap_or(found.len()));
            for (lane, place) in places.iter_mut().enumerate() {
                let is_over = !full.contains(&lane) && left.iter().all(|it| it.lane != lane);
                let last = found.iter().rev().find(|it| it.lane == lane).map(|it| it.place);
                *place = if is_over { None } else { last.or(*place) };
            }
            for candidate in found {
                if self.taken.len() < limit {
                    self.consider(candidate);
                }
            }
            if self.taken.len() >= limit || places.iter().all(Option::is_none) {
                return Ok(());
            }
            looked_at = (limit - self.taken.len()).max(LOOKED_AT_MIN);
            let behind = Behind { lanes: &lanes, places: &places, limit: looked_at };
            found = candidates(db, behind, now_ms, &self.request.lease_owner).await?;
        }
    }

    fn consider(&mut self, candidate: Candidate) {
        let Candidate { claimable, mut delivery, .. } = candidate;
        if self.claiming.takes(&claimable) {
            delivery.lease_token = (self.lease_token)();
            let replays = claimable.run_id.filter(|_| !claimable.is_step);
            self.taken.push(Taken { delivery, replays });
        }
    }
}

/// Where in each lane to look: behind this place, or nowhere.
struct Behind<'a> {
    lanes: &'a [Lane],
    places: &'a [Option<(i64, i64)>],
    limit: usize,
}

/// The next due messages of each lane, behind its place. Messages that other transactions work on are
/// passed over.
async fn candidates(
    db: &Db,
    Behind { lanes, places, limit }: Behind<'_>,
    now_ms: i64,
    worker: &str,
) -> Result<Vec<Candidate>, WorldError> {
    const CANDIDATES: &str = "SELECT l.lane, m.* FROM \
         unnest($1, $2, $3, $4, $5, $6) AS l(lane, q, d, s, after_ms, after_id) \
         CROSS JOIN LATERAL (\
           SELECT m.message_id, m.queue_name, m.run_id, m.step_id, m.spec_version, m.body, \
             m.headers, m.attempt, m.refused_by, m.available_at_ms, \
             m.step_id IS NULL AND EXISTS (SELECT 1 FROM hookline.messages AS leased \
               WHERE leased.run_id = m.run_id AND leased.step_id IS NULL \
               AND leased.lease_token IS NOT NULL) \
           FROM hookline.messages AS m \
           WHERE m.lease_token IS NULL AND m.dead_at_ms IS NULL AND m.held_at_ms IS NULL \
           AND m.queue_name = l.q AND m.deployment_id = l.d AND m.spec_version = l.s \
           AND m.available_at_ms <= $7 \
           AND (m.available_at_ms, m.message_id) > (l.after_ms, l.after_id) \
           ORDER BY m.available_at_ms, m.message_id LIMIT $8 FOR UPDATE OF m SKIP LOCKED) AS m";
    let open: Vec<usize> = (0..lanes.len()).filter(|lane| places[*lane].is_some()).collect();
    let looked_at: Vec<Lane> = open.iter().map(|lane| lanes[*lane].clone()).collect();
    let (names, ids, versions) = due::arrays(&looked_at);
    let numbers: Vec<i64> = open.iter().map(|lane| *lane as i64).collect();
    let (after_ms, after_id) = open.iter().filter_map(|lane| places[*lane]).unzip();
    let after: (Vec<i64>, Vec<i64>) = (after_ms, after_id);
    let values = values![numbers, names, ids, versions, after.0, after.1, now_ms, limit];
    let rows = db.rows(CANDIDATES, &values).await?;
    let found: Result<Vec<_>, _> = rows.iter().map(|row| candidate_of(row, worker)).collect();
    let mut found = found?;
    add_overlapping(db, &mut found).await?;
    Ok(found)
}

/// Reads a due message. The claim counts as an attempt.
fn candidate_of(row: &Row, worker: &str) -> Result<Candidate, WorldError> {
    let mut columns = Columns::of(row);
    let lane = usize::try_from(columns.take::<i64>()?).unwrap_or_default();
    let message_id = columns.message_id()?;
    let queue_name = columns.take()?;
    let run_id = columns.take::<Option<String>>()?.map(RunId::new);
    let is_step = step_id(&mut columns)?.is_some();
    let spec_version = columns.version()?;
    let (body, headers) = (columns.take()?, columns.take()?);
    let attempt = columns.take::<i64>()? + 1;
    let is_refused = names_of(columns.take()?).iter().any(|name| name == worker);
    let place = (columns.take()?, message_id.number());
    let is_replayed: bool = columns.take()?;
    let under_way = if is_replayed { vec![REPLAYS] } else { Vec::new() };
    let lease_token = LeaseToken::new("");
    Ok(Candidate {
        claimable: Claimable { run_id, is_step, spec_version, under_way, is_refused },
        delivery: Delivery { message_id, queue_name, body, headers, attempt, lease_token },
        place,
        lane,
    })
}

/// Adds to replays what each delivery of their run is doing, if that matters: only where deliveries of
/// a run may overlap. There no index keeps two processes from claiming two replays of a run at once, so
/// the first one locks the run for claims, and for the other one it is being replayed.
async fn add_overlapping(db: &Db, candidates: &mut [Candidate]) -> Result<(), WorldError> {
    const LOCK: &str = "SELECT r.run_id FROM unnest($1) AS r(run_id) \
         WHERE pg_try_advisory_xact_lock(hashtextextended($2 || r.run_id, 0))";
    // After its step, the delivery of a step may replay and execute steps of its own.
    const UNDER_WAY: &str = "SELECT m.run_id, m.step_id IS NOT NULL, m.claimed_position, greatest(\
           (SELECT s.created_position FROM hookline.steps AS s WHERE s.step_id = m.step_id \
             AND s.run_id = m.run_id AND s.status = 'running'), \
           (SELECT max(s.created_position) FROM hookline.steps AS s WHERE s.run_id = m.run_id \
             AND s.owner_message_id = m.message_id AND s.status = 'running')) \
         FROM hookline.messages AS m \
         WHERE m.run_id = ANY ($1) AND m.lease_token IS NOT NULL AND m.spec_version >= 6";
    let overlaps = |it: &Candidate| {
        SpecVersion(it.claimable.spec_version).replays_overlap() && !it.claimable.is_step
    };
    let runs: HashSet<String> = candidates
        .iter()
        .filter(|it| overlaps(it))
        .filter_map(|it| it.claimable.run_id.as_ref().map(|run_id| run_id.as_str().to_owned()))
        .collect();
    if runs.is_empty() {
        return Ok(());
    }
    let runs: Vec<String> = runs.into_iter().collect();
    let mut locked: HashSet<RunId> = HashSet::new();
    let keys = values![runs.clone(), format!("hookline claims {} ", db.schema())];
    let locking: Sending<'_> = Box::pin(async {
        for row in db.rows(LOCK, &keys).await? {
            locked.insert(Columns::of(&row).run_id()?);
        }
        Ok(())
    });
    // A statement of its own, which sees what the last claim of these runs has left.
    let rows = pipelined(vec![locking], db.rows(UNDER_WAY, &values![runs])).await?;
    let mut under_way: HashMap<RunId, Vec<UnderWay>> = HashMap::new();
    for row in rows {
        let mut columns = Columns::of(&row);
        let run_id = columns.run_id()?;
        let (is_step, claimed_at) = (columns.take()?, columns.take()?);
        let delivery = UnderWay { is_step, claimed_at, executes: columns.take()? };
        under_way.entry(run_id).or_default().push(delivery);
    }
    for candidate in candidates.iter_mut().filter(|it| overlaps(it)) {
        let claimable = &mut candidate.claimable;
        let Some(run_id) = &claimable.run_id else { continue };
        claimable.under_way = match locked.contains(run_id) {
            true => under_way.get(run_id).cloned().unwrap_or_default(),
            false => vec![REPLAYS],
        };
    }
    Ok(())
}

/// The writes that lease messages. The replay reads the log after the claim, so it sees at least what
/// is there now.
fn leases(taken: &[Taken], request: &ClaimRequest, now_ms: i64) -> Vec<Write> {
    const LEASE: &str = "UPDATE hookline.messages AS m SET lease_owner = $3, \
         lease_token = ($2::text[])[array_position($1, m.message_id)], \
         lease_expires_at_ms = $4, freed_lease_token = NULL, admitted = false, \
         attempt = attempt + 1, \
         claimed_position = coalesce((SELECT max(e.position) FROM hookline.events AS e \
           WHERE e.run_id = m.run_id), 0) WHERE m.message_id = ANY ($1)";
    const SEES_LOG: &str = "INSERT INTO hookline.replays AS r \
           (run_id, replayed_position, replayed_by) \
         SELECT t.run_id, coalesce((SELECT max(position) FROM hookline.events AS e \
           WHERE e.run_id = t.run_id), 0), $2 FROM unnest($1) AS t(run_id) \
         ON CONFLICT (run_id) DO UPDATE SET replayed_position = excluded.replayed_position, \
           replayed_by = CASE r.replayed_by WHEN excluded.replayed_by THEN r.replayed_by ELSE '' END";
    if taken.is_empty() {
        return Vec::new();
    }
    let ids: Vec<i64> = taken.iter().map(|it| it.delivery.message_id.number()).collect();
    let token_of = |it: &Taken| it.delivery.lease_token.expose().to_owned();
    let tokens: Vec<String> = taken.iter().map(token_of).collect();
    let owner = &request.lease_owner;
    let mut writes =
        vec![Write::new(LEASE, values![ids, tokens, owner, now_ms + request.lease_ms])];
    let run_of = |it: &Taken| it.replays.as_ref().map(|run_id| run_id.as_str().to_owned());
    let mut runs: Vec<String> = taken.iter().filter_map(run_of).collect();
    runs.sort_unstable();
    runs.dedup();
    if !runs.is_empty() {
        writes.push(Write::new(SEES_LOG, values![runs, owner]));
    }
    writes
}

/// The message and the end of each lease that these deliveries have.
pub(super) fn ends(claimed: &Claimed, lease_ms: i64) -> impl Iterator<Item = (MessageId, i64)> {
    let expires_at_ms = claimed.now_ms + lease_ms;
    claimed.deliveries.iter().map(move |delivery| (delivery.message_id, expires_at_ms))
}
