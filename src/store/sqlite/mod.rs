//! The SQLite store: one file, one writer that commits in groups, a few readers.
//!
//! It loads and writes rows; what they mean is decided in [`crate::domain::transition`]. One file per
//! table; a statement stands above the function that runs it.

mod access;

mod backup;
mod checksum;
mod claims;
mod connect;
mod delivery_secret;
mod due;
mod entity_events;
mod erasures;
mod events;
mod examination;
mod fault;
mod file_id;
mod fnv;
mod forgotten;
mod guard;
mod hooks;
mod host;
mod host_claim;
mod keys;
mod leases;
mod linger;
mod log;
mod log_activity;
mod long_values;
mod marks;
mod messages;
pub mod migrate;
mod moving;
mod open_file_locks;
mod open_runs;
mod opening;
mod owners;
mod particulars;
pub mod place;
mod presence;
mod queue_time;
mod reader;
mod releases;
mod resolve;
mod resume_keys;
mod resumes;
mod runs;
mod same_access;
mod sqlite_upkeep;
#[cfg(debug_assertions)]
mod statements;
mod steps;
mod stopped_messages;
mod streams;
mod transaction;
mod turn;
mod waits;
mod watcher;
mod write_connection;
mod writer;

use std::sync::{Arc, Weak};

use rusqlite::Connection;

pub use connect::Location;
pub use file_id::FileId;
pub use guard::Guard;
pub use host::Host;
pub use log::LOG_BYTES_MAX;
pub use moving::SqliteSide;

use self::guard::HeldFiles;
use self::host_claim::HostClaim;
use self::owners::Owners;
use self::presence::Presence;
use self::reader::{PointReader, Readers};
use self::watcher::Watcher;
use self::writer::Writer;
use super::fault_plan::FaultPlan;
use super::listeners::Listeners;
use super::operation::{Forgotten, FreedLeases, Operation, StreamName, submitted_operations};
use super::queue_time::QueueTime;
use super::sealed::{KeptKey, KeptKeys};
use super::transaction as transaction_rules;
use super::{
    ActivePlace, Admission, Appended, ClaimRequest, Claimed, CommitListener, Completion, Enqueued,
    EventQuery, EventReply, Found, HookView, LogState, Outcome, QueueDepth, Read, RunQuery,
    RunView, StepView, Stopped, StoppedMessage, Store, StreamRead, StreamSlice, Woken,
};
use crate::clock::Clock;
use crate::crypto::DeliverySecret;
use crate::domain::event::{Event, EventBody, EventRequest};
use crate::domain::fence::Fence;
use crate::domain::id::{
    CorrelationId, HookToken, LeaseToken, MessageId, RunId, position_of_event_id,
};
use crate::domain::message::{Lease, NewMessage};
use crate::domain::page::{Page, PageRequest};
use crate::domain::queue::offer::Offer;
use crate::domain::resume_key::ResumeKey;
use crate::domain::run::Run;
use crate::entropy::Entropy;
use crate::error::{ErrorKind, WorldError};

/// Threads that serve replays; and as many that serve lists, for which no replay waits.
const READER_THREADS: usize = 2;

/// How to open a store.
pub struct SqliteOptions {
    /// Where.
    pub location: Location,
    /// Whether commits that carry events are synced to the disk.
    pub full_durability: bool,
    /// Begins the queue names of flow messages.
    pub workflow_prefix: String,
    /// Whether a database with other queue names is taken with these. Else it is refused.
    pub takes_queue_names: bool,
    /// The release of this process, if it has one.
    pub release: Option<String>,
    /// Where new hooks are made: `NODE_ENV`, with `None` for `production`.
    pub environment: Option<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Which host this is: one at a time has the database.
    pub host: Host,
    /// Commits that are made to fail; `None` outside of tests.
    pub faults: Option<Arc<FaultPlan>>,
    /// How long the write-ahead log may grow while it cannot be copied into the database file; then
    /// writes are refused with `Throttled`. [`LOG_BYTES_MAX`] outside of tests.
    pub log_bytes_max: i64,
}

/// A World's database in one SQLite file.
pub struct SqliteStore {
    writer: Arc<Writer>,
    /// What replays and live streams read: entities by their ids, and pages of a log or a stream.
    replays: Readers,
    /// Everything that may take long: lists, counts, and what looks at the whole database.
    lists: Readers,
    point: PointReader,
    owners: Arc<Owners>,
    listeners: Arc<Listeners>,
    /// Looks for other processes' commits; `None` where there are none.
    watcher: Option<Watcher>,
    /// Keeps other hosts away; `None` where nothing is written to a file.
    claim: Option<Arc<HostClaim>>,
    clock: Arc<dyn Clock>,
    queue_time: Arc<QueueTime>,
    entropy: Arc<Entropy>,
    environment: Option<String>,
    location: Location,
    presence: Arc<Presence>,
    held: HeldFiles,
}

impl SqliteStore {
    fn log_state(&self) -> LogState {
        match &self.location {
            Location::File(path) => log::state(path),
            Location::Memory(_) => LogState::default(),
        }
    }
}

fn run_by_id(connection: &Connection, run_id: &RunId) -> Result<Run, WorldError> {
    runs::sought(connection, run_id)?.ok_or_else(|| WorldError::run_not_found(run_id.as_str()))
}

impl Store for SqliteStore {
    submitted_operations!();

    fn append_event(&self, request: EventRequest, done: Completion<EventReply>) {
        // Every replay begins with `run_started`, and all but the first change nothing: those are
        // answered by a reader, long log and all, and do not hold the writer up.
        if !matches!(request.body, EventBody::RunStarted(_)) {
            return self.writer.submit(Operation::AppendEvent(request, done));
        }
        let (writer, asked) = (Arc::clone(&self.writer), request.clone());
        let stamp = transaction_rules::stamp(
            &request,
            self.clock.now_ms(),
            &self.entropy,
            self.environment.as_deref(),
        );
        self.replays.read_or_else(
            done,
            move |connection| {
                let view = connection.unchecked_transaction()?;
                transaction_rules::answer_unchanged(&*view, asked, &stamp)
            },
            move |done| writer.submit(Operation::AppendEvent(request, done)),
        );
    }

    fn append_events(&self, requests: Vec<EventRequest>, done: Completion<Vec<Appended>>) {
        self.writer.submit(Operation::AppendEvents(requests, done));
    }

    fn earlier_resume(&self, key: &ResumeKey) -> Read<Option<HookView>> {
        let now_ms = self.clock.now_ms();
        Read::Now(self.point.read(|connection| {
            let view = connection.unchecked_transaction()?;
            transaction_rules::earlier_resume(&*view, key, self.environment.as_deref(), now_ms)
        }))
    }

    fn hook_of_step(
        &self,
        place: &str,
        repeated: u32,
        token: &HookToken,
    ) -> Read<Option<HookView>> {
        Read::Now(self.point.read(|connection| {
            let view = connection.unchecked_transaction()?;
            let environment = self.environment.as_deref();
            transaction_rules::hook_of_step(&*view, place, repeated, token, environment)
        }))
    }

    fn hook_by_token(&self, token: &HookToken) -> Read<HookView> {
        let now_ms = self.clock.now_ms();
        Read::Now(self.point.read(|connection| {
            let view = hooks::view_by_token(connection, token, now_ms)?;
            if view.is_none() {
                hooks::check_around(connection, token)?;
            }
            view.ok_or_else(|| WorldError::hook_not_found(token.expose()))
        }))
    }

    fn hook_and_run_by_token(&self, token: &HookToken) -> Read<(HookView, Run)> {
        let now_ms = self.clock.now_ms();
        Read::Now(self.point.read(|connection| {
            let Some((hook, run)) = hooks::with_run_by_token(connection, token, now_ms)? else {
                hooks::check_around(connection, token)?;
                return Err(WorldError::hook_not_found(token.expose()));
            };
            match run {
                Some(run) => Ok((hook, run)),
                // Its row may be damaged, and then this says so.
                None => run_by_id(connection, &hook.hook.run_id).map(|run| (hook, run)),
            }
        }))
    }

    fn run_by_id(&self, run_id: &RunId) -> Read<Run> {
        Read::Now(self.point.read(|connection| run_by_id(connection, run_id)))
    }

    fn run(&self, run_id: RunId, resolve_data: bool, done: Completion<RunView>) {
        self.replays.read(done, move |connection| {
            let run = run_by_id(connection, &run_id)?;
            Ok(runs::view(connection, run, resolve_data)?)
        });
    }

    fn run_ends(&self, run_ids: Vec<RunId>, done: Completion<Found<RunId, RunView>>) {
        self.replays.read(done, move |connection| {
            let view = connection.unchecked_transaction()?;
            let found = |(run_id, view): (RunId, Option<RunView>)| {
                let end = view.ok_or_else(|| WorldError::run_not_found(run_id.as_str()));
                (run_id, end)
            };
            Ok(runs::ends_among(&view, run_ids)?.into_iter().map(found).collect())
        });
    }

    fn runs(&self, query: RunQuery, done: Completion<Page<RunView>>) {
        self.lists.read(done, move |connection| runs::list(connection, &query));
    }

    fn step(
        &self,
        run_id: Option<RunId>,
        step_id: CorrelationId,
        resolve_data: bool,
        done: Completion<StepView>,
    ) {
        self.replays.read(done, move |connection| {
            let step = steps::sought(connection, run_id.as_ref(), &step_id)?;
            let step = step.ok_or_else(|| {
                WorldError::new(ErrorKind::NotFound, format!("step \"{step_id}\" does not exist"))
            })?;
            Ok(steps::view(connection, step, resolve_data)?)
        });
    }

    fn steps(
        &self,
        run_id: RunId,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<StepView>>,
    ) {
        self.lists
            .read(done, move |connection| steps::list(connection, &run_id, &page, resolve_data));
    }

    fn event(&self, run_id: RunId, event_id: String, resolve_data: bool, done: Completion<Event>) {
        self.replays.read(done, move |connection| {
            let missing = || {
                let message = format!("event \"{event_id}\" of run \"{run_id}\" does not exist");
                WorldError::new(ErrorKind::NotFound, message)
            };
            let run = runs::sought(connection, &run_id)?.ok_or_else(missing)?;
            let position = position_of_event_id(run.spec_version, &event_id).ok_or_else(missing)?;
            events::at(connection, &run, position, resolve_data)?
                .filter(|event| event.event_id() == event_id)
                .ok_or_else(missing)
        });
    }

    fn events(&self, query: EventQuery, done: Completion<Page<Event>>) {
        // A log is read by its replays; the events of an entity may have to be searched for.
        let readers = match query.correlation_id {
            None => &self.replays,
            Some(_) => &self.lists,
        };
        readers.read(done, move |connection| events::list(connection, &query));
    }

    fn hook(&self, hook_id: CorrelationId, resolve_data: bool, done: Completion<HookView>) {
        let now_ms = self.clock.now_ms();
        self.replays.read(done, move |connection| {
            let hook = hooks::by_id(connection, &hook_id, now_ms)?
                .ok_or_else(|| WorldError::hook_not_found(hook_id.as_str()))?;
            Ok(hooks::view(connection, hook, resolve_data)?)
        });
    }

    fn hooks(
        &self,
        run_id: Option<RunId>,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<HookView>>,
    ) {
        let now_ms = self.clock.now_ms();
        self.lists.read(done, move |connection| {
            hooks::list(connection, run_id.as_ref(), &page, resolve_data, now_ms)
        });
    }

    fn live_hooks(&self, tokens: Vec<HookToken>, done: Completion<Found<HookToken, HookView>>) {
        self.replays.read(done, move |connection| {
            let view = connection.unchecked_transaction()?;
            let live = hooks::live_among(&view, tokens)?;
            Ok(live.into_iter().map(|(token, view)| (token, Ok(view))).collect())
        });
    }

    fn claim(&self, request: ClaimRequest, done: Completion<Claimed>) {
        // Lock files are made beside the database that is open, and beside no other.
        if let Err(error) = self.presence.check() {
            return done.settle(Err(fault::at(error, &self.location.shown())));
        }
        // What cannot be read may be there.
        let has_leases =
            |owner: &str| self.point.read(|c| Ok(leases::has_leases(c, owner)?)).unwrap_or(true);
        if let Err(error) = self.owners.register(has_leases) {
            return done.settle(Err(error));
        }
        if let Err(full) = self.writer.refuse_if_full() {
            return done.settle(Err(full));
        }
        self.writer.submit(Operation::Claim(request, done));
    }

    fn free_dead_leases(&self, done: Completion<usize>) {
        let owners = Arc::clone(&self.owners);
        let freed = Completion::new(move |freed: Result<FreedLeases, WorldError>| {
            done.settle(freed.map(|freed| {
                // Only now: without its file an owner may be alive.
                freed.owners.iter().for_each(|owner| owners.forget(owner));
                freed.count
            }));
        });
        self.writer.submit(Operation::FreeDeadLeases(freed));
    }

    fn wake_forgotten(&self, after: Option<ActivePlace>, limit: usize, done: Completion<Woken>) {
        let (writer, now_ms) = (Arc::clone(&self.writer), self.clock.now_ms());
        let found = Forgotten::to_wake(move |operation| writer.submit(operation), done);
        self.lists.read(found, move |connection| {
            Ok(forgotten::find(connection, after.as_ref(), limit, now_ms)?)
        });
    }

    fn queue_depth(&self, living: Vec<Offer>, done: Completion<QueueDepth>) {
        let now_ms = self.queue_time.now_ms(&*self.clock);
        let log = self.log_state();
        self.lists.read(done, move |connection| {
            Ok(QueueDepth { log, ..stopped_messages::queue_depth(connection, &living, now_ms)? })
        });
    }

    fn stopped_messages(
        &self,
        stopped: Stopped,
        page: PageRequest,
        done: Completion<Page<StoppedMessage>>,
    ) {
        self.lists.read(done, move |connection| stopped_messages::list(connection, stopped, &page));
    }

    fn lease(&self, message_id: MessageId) -> Result<Option<Lease>, WorldError> {
        let now_ms = self.queue_time.now_ms(&*self.clock);
        self.point.read(|connection| Ok(leases::lease(connection, message_id, now_ms)?))
    }

    fn delivery_secret(&self) -> Result<DeliverySecret, WorldError> {
        self.point.read(|connection| Ok(delivery_secret::read(connection)?))
    }

    fn stream_slices(
        &self,
        reads: Vec<StreamRead>,
        done: Completion<Found<StreamRead, StreamSlice>>,
    ) {
        self.replays.read(done, move |connection| {
            let view = connection.unchecked_transaction()?;
            Ok(streams::slices(&view, reads)?)
        });
    }

    fn streams_of_run(&self, run_id: RunId, done: Completion<Vec<String>>) {
        self.lists.read(done, move |connection| Ok(streams::of_run(connection, &run_id)?));
    }

    fn lease_owner(&self) -> &str {
        self.owners.me()
    }

    fn show_worker(&self, report: &str) -> bool {
        self.owners.show(report).is_ok()
    }

    /// A file needs none.
    fn lacks_session(&self) -> bool {
        false
    }

    fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.listeners.add(listener);
    }

    fn watch_elsewhere(&self, watch: bool) {
        if let Some(watcher) = &self.watcher {
            watcher.watch(watch);
        }
    }

    fn close(&self) {
        // The readers first: what they leave to the writer was accepted before this.
        self.replays.close();
        self.lists.close();
        self.writer.close();
        if let Some(watcher) = &self.watcher {
            watcher.close();
        }
        let holds_leases = self.point.read(|c| Ok(leases::has_leases(c, self.owners.me())?));
        self.held.release(|| self.point.close());
        self.owners.deregister(holds_leases == Ok(false));
        if let Some(claim) = &self.claim {
            claim.release();
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl KeptKeys for SqliteStore {
    fn kept_keys(&self) -> Result<Vec<KeptKey>, WorldError> {
        self.point.read(|connection| Ok(keys::list(connection)?))
    }

    fn keep_key(&self, key: KeptKey, as_first: bool, done: Completion<()>) {
        self.writer.submit(Operation::KeepKey(key, as_first, done));
    }
}
