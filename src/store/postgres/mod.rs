//! The Postgres store: one database for many hosts, one writer in each process that commits in groups.
//!
//! It loads and writes rows; what they mean is decided in [`crate::domain::transition`]. One file per
//! table; a statement stands above the function that runs it. Statements name the schema `hookline`,
//! which [`db::Db`] replaces.

mod alone;
mod aside;
mod attempt;
mod batch;
mod claims;
mod cleaning;
mod clock;
mod connect;
mod db;
mod direct;
mod doubt;
mod due;
mod entity_events;
mod events;
mod examination;
mod fault;
mod forgotten;
mod hearing;
mod hooks;
mod hosts_time;
mod keys;
mod leases;
mod loaded;
mod location;
mod look_ups;
mod messages;
mod migrate;
mod moving;
mod numbers;
mod open_runs;
mod opening;
mod owners;
mod particulars;
mod postgres_upkeep;
mod queue_time;
mod reader;
mod releases;
mod resume_keys;
mod resumes;
mod rows;
mod runs;
mod session;
mod start_defaults;
mod started;
mod statements;
mod steps;
mod stopped_messages;
mod streams;
mod tls;
mod transaction;
mod waits;
mod wanted;
mod writer;
mod writer_thread;
mod writes;

use std::sync::{Arc, Weak};

pub use location::{PostgresLocation, SslMode};
pub use migrate::{MigrateRequest, Migrated};
pub use moving::PostgresSide;

use self::connect::Connector;
use self::db::Db;
use self::hosts_time::HostsTime;
use self::look_ups::LookUps;
use self::reader::Reader;
use self::session::Session;
use self::writer::Writer;
use super::listeners::Listeners;
use super::operation::{Forgotten, FreedLeases, Operation, StreamName, submitted_operations};
use super::queue_time::QueueTime;
use super::sealed::{KeptKey, KeptKeys};
use super::{
    ActivePlace, Admission, Appended, ClaimRequest, Claimed, CommitListener, Completion, Enqueued,
    EventQuery, EventReply, Found, HookView, Outcome, PlainResume, QueueDepth, Read,
    ResumedPlainly, RunQuery, RunView, StepView, Stopped, StoppedMessage, Store, StreamRead,
    StreamSlice, Woken,
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
use crate::domain::step_resume::StepResume;
use crate::error::{ErrorKind, WorldError};

/// How to open a store.
pub struct PostgresOptions {
    /// Where.
    pub location: PostgresLocation,
    /// Whether the schema is made or changed where that is needed.
    pub migrates: bool,
    /// Whether commits that carry events are synced to the server's disk.
    pub full_durability: bool,
    /// Begins the queue names of flow messages.
    pub workflow_prefix: String,
    /// Whether a database with other queue names is taken with these. Else it is refused.
    pub takes_queue_names: bool,
    /// The release of this process, if it has one.
    pub release: Option<String>,
    /// Where new hooks are made; see [`Hook::environment`](crate::domain::hook::Hook::environment).
    pub environment: Option<String>,
    /// The clock of a test; `None` for the database's.
    pub clock: Option<Arc<dyn Clock>>,
}

/// A World's database on a Postgres server.
pub struct PostgresStore {
    writer: Arc<Writer>,
    connector: Connector,
    /// Look-ups by key, and pages of a log or a stream: nothing that takes long.
    keys: Arc<Reader>,
    look_ups: Arc<LookUps>,
    /// Everything else: no look-up waits for it.
    lists: Reader,
    session: Arc<Session>,
    listeners: Arc<Listeners>,
    clock: Arc<dyn Clock>,
    queue_time: Arc<QueueTime>,
    hosts_time: Arc<HostsTime>,
    environment: Option<String>,
    me: String,
    secret: DeliverySecret,
}

impl PostgresStore {
    /// Settles with a value in which the database's times are those of the host.
    fn by_host<T: Send + 'static>(
        &self,
        done: Completion<T>,
        of: impl FnOnce(&HostsTime, T) -> T + Send + 'static,
    ) -> Completion<T> {
        let hosts_time = Arc::clone(&self.hosts_time);
        Completion::new(move |outcome: Result<T, WorldError>| {
            done.settle(outcome.map(|value| of(&hosts_time, value)));
        })
    }

    /// A point read.
    fn later<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Db) -> Result<T, WorldError> + Send + 'static,
    ) -> Read<T> {
        let keys = Arc::clone(&self.keys);
        Read::Later(Box::new(move |done| keys.read(done, work)))
    }
}

fn run_of(run: Option<Run>, run_id: &RunId) -> Result<Run, WorldError> {
    run.ok_or_else(|| WorldError::run_not_found(run_id.as_str()))
}

impl Store for PostgresStore {
    submitted_operations!();

    fn append_event(&self, request: EventRequest, done: Completion<EventReply>) {
        let request = self.hosts_time.to_database(request);
        let done = self.by_host(done, HostsTime::reply);
        if !matches!(request.body, EventBody::RunStarted(_)) {
            return self.writer.submit(Operation::AppendEvent(request, done));
        }
        let (writer, asked) = (Arc::clone(&self.writer), request.clone());
        let now_ms = self.clock.now_ms();
        let answered = Completion::new(move |answer: Result<Option<EventReply>, _>| match answer {
            Ok(Some(reply)) => done.settle(Ok(reply)),
            // The writer knows better what to do about a fault.
            _ => writer.submit(Operation::AppendEvent(request, done)),
        });
        self.keys
            .read(answered, async move |db: &Db| started::answer(db, asked.clone(), now_ms).await);
    }

    fn append_events(&self, requests: Vec<EventRequest>, done: Completion<Vec<Appended>>) {
        let requests = requests.into_iter().map(|it| self.hosts_time.to_database(it)).collect();
        let replies = |time: &HostsTime, appended: Vec<Appended>| {
            appended.into_iter().map(|it| it.map(|reply| time.reply(reply))).collect()
        };
        self.writer.submit(Operation::AppendEvents(requests, self.by_host(done, replies)));
    }

    fn earlier_resume(&self, key: &ResumeKey) -> Read<Option<HookView>> {
        let (key, now_ms) = (key.clone(), self.clock.now_ms());
        let environment = self.environment.clone();
        self.later(async move |db: &Db| {
            let digests = key.forms().map(|digests| digests.key.clone()).collect();
            let earlier = key.earlier(resume_keys::many(db, digests).await?);
            if !key.repeats(earlier.as_ref(), now_ms)? {
                return Ok(None);
            }
            let Some(resume) = earlier else { return Ok(None) };
            let event = events::hook_created(db, &resume.run_id, &resume.hook_id).await?;
            Ok(event.map(|event| {
                HookView::as_made(event, resume.hook_id, &key.token, environment.as_deref())
            }))
        })
    }

    fn hook_of_step(
        &self,
        place: &str,
        repeated: u32,
        token: &HookToken,
    ) -> Read<Option<HookView>> {
        let (names, token) = (StepResume::names_from(place), token.clone());
        let environment = self.environment.clone();
        self.later(async move |db: &Db| {
            let resumed = resumes::of_step(db, &names, repeated).await?;
            let Some(Event { run_id, correlation_id: Some(hook_id), .. }) = resumed else {
                return Ok(None);
            };
            let made = events::hook_created(db, &run_id, &hook_id).await?;
            Ok(made.map(|made| HookView::as_made(made, hook_id, &token, environment.as_deref())))
        })
    }

    fn looks_up_remotely(&self) -> bool {
        true
    }

    fn resume_plainly(&self, resume: PlainResume, done: Completion<ResumedPlainly>) {
        // Beside others it would be no quicker.
        match self.writer.is_idle() {
            true => self.writer.submit(Operation::ResumePlainly(resume, done)),
            false => done.settle(Ok(ResumedPlainly::Not(resume))),
        }
    }

    fn hook_by_token(&self, token: &HookToken) -> Read<HookView> {
        let (token, now_ms) = (token.clone(), self.clock.now_ms());
        self.later(async move |db: &Db| {
            let view = hooks::view_by_token(db, &token, now_ms).await?;
            view.ok_or_else(|| WorldError::hook_not_found(token.expose()))
        })
    }

    fn hook_and_run_by_token(&self, token: &HookToken) -> Read<(HookView, Run)> {
        let (look_ups, token) = (Arc::clone(&self.look_ups), token.clone());
        Read::Later(Box::new(move |done| look_ups.look_up(token, done)))
    }

    fn run_by_id(&self, run_id: &RunId) -> Read<Run> {
        let run_id = run_id.clone();
        self.later(async move |db: &Db| run_of(runs::by_id(db, &run_id).await?, &run_id))
    }

    fn run(&self, run_id: RunId, resolve_data: bool, done: Completion<RunView>) {
        self.keys.read(done, async move |db: &Db| {
            let view = runs::view(db, &run_id, resolve_data).await?;
            view.ok_or_else(|| WorldError::run_not_found(run_id.as_str()))
        });
    }

    fn run_ends(&self, run_ids: Vec<RunId>, done: Completion<Found<RunId, RunView>>) {
        self.keys.read(done, async move |db: &Db| {
            let found = |(run_id, view): (RunId, Option<RunView>)| {
                let end = view.ok_or_else(|| WorldError::run_not_found(run_id.as_str()));
                (run_id, end)
            };
            Ok(runs::ends_among(db, run_ids.clone()).await?.into_iter().map(found).collect())
        });
    }

    fn runs(&self, query: RunQuery, done: Completion<Page<RunView>>) {
        self.lists.read(done, async move |db: &Db| runs::list(db, &query).await);
    }

    fn step(
        &self,
        run_id: Option<RunId>,
        step_id: CorrelationId,
        resolve_data: bool,
        done: Completion<StepView>,
    ) {
        let done = self.by_host(done, HostsTime::step);
        self.keys.read(done, async move |db: &Db| {
            let view = steps::view(db, run_id.as_ref(), &step_id, resolve_data).await?;
            view.ok_or_else(|| {
                WorldError::new(ErrorKind::NotFound, format!("step \"{step_id}\" does not exist"))
            })
        });
    }

    fn steps(
        &self,
        run_id: RunId,
        page: PageRequest,
        resolve_data: bool,
        done: Completion<Page<StepView>>,
    ) {
        let done = self.by_host(done, HostsTime::steps);
        self.lists
            .read(done, async move |db: &Db| steps::list(db, &run_id, &page, resolve_data).await);
    }

    fn event(&self, run_id: RunId, event_id: String, resolve_data: bool, done: Completion<Event>) {
        let done = self.by_host(done, HostsTime::event);
        self.keys.read(done, async move |db: &Db| {
            let missing = || {
                let message = format!("event \"{event_id}\" of run \"{run_id}\" does not exist");
                WorldError::new(ErrorKind::NotFound, message)
            };
            let run = runs::by_id(db, &run_id).await?.ok_or_else(missing)?;
            let position = position_of_event_id(run.spec_version, &event_id).ok_or_else(missing)?;
            let event = events::at(db, &run_id, position, resolve_data).await?;
            event.filter(|event| event.event_id() == event_id).ok_or_else(missing)
        });
    }

    fn events(&self, query: EventQuery, done: Completion<Page<Event>>) {
        let done = self.by_host(done, HostsTime::events);
        // A log is read by its replays; the events of an entity may have to be searched for.
        let reader = match query.correlation_id {
            None => &*self.keys,
            Some(_) => &self.lists,
        };
        reader.read(done, async move |db: &Db| events::list(db, &query).await);
    }

    fn hook(&self, hook_id: CorrelationId, resolve_data: bool, done: Completion<HookView>) {
        let now_ms = self.clock.now_ms();
        self.keys.read(done, async move |db: &Db| {
            let view = hooks::by_id(db, &hook_id, resolve_data, now_ms).await?;
            view.ok_or_else(|| WorldError::hook_not_found(hook_id.as_str()))
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
        self.lists.read(done, async move |db: &Db| {
            hooks::list(db, run_id.as_ref(), &page, resolve_data, now_ms).await
        });
    }

    fn live_hooks(&self, tokens: Vec<HookToken>, done: Completion<Found<HookToken, HookView>>) {
        self.keys.read(done, async move |db: &Db| {
            let live = hooks::live_among(db, tokens.clone()).await?;
            Ok(live.into_iter().map(|(token, view)| (token, Ok(view))).collect())
        });
    }

    fn claim(&self, request: ClaimRequest, done: Completion<Claimed>) {
        let (writer, session) = (Arc::clone(&self.writer), Arc::clone(&self.session));
        self.session.register(&request.offer.clone(), move |registered| match registered {
            Ok(()) => {
                session.has_registered();
                writer.submit(Operation::Claim(request, done));
            }
            Err(error) => done.settle(Err(error)),
        });
    }

    fn free_dead_leases(&self, done: Completion<usize>) {
        let freed = Completion::new(move |freed: Result<FreedLeases, WorldError>| {
            done.settle(freed.map(|freed| freed.count));
        });
        self.writer.submit(Operation::FreeDeadLeases(freed));
    }

    fn wake_forgotten(&self, after: Option<ActivePlace>, limit: usize, done: Completion<Woken>) {
        let (writer, now_ms) = (Arc::clone(&self.writer), self.clock.now_ms());
        let found = Forgotten::to_wake(move |operation| writer.submit(operation), done);
        self.lists.read(found, async move |db: &Db| {
            forgotten::find(db, after.as_ref(), limit, now_ms).await
        });
    }

    fn queue_depth(&self, living: Vec<Offer>, done: Completion<QueueDepth>) {
        let now_ms = self.queue_time.now_ms(&*self.clock);
        self.lists.read_at_once(done, async move |db: &Db| {
            stopped_messages::queue_depth(db, &living, now_ms).await
        });
    }

    fn stopped_messages(
        &self,
        stopped: Stopped,
        page: PageRequest,
        done: Completion<Page<StoppedMessage>>,
    ) {
        self.lists
            .read(done, async move |db: &Db| stopped_messages::list(db, stopped, &page).await);
    }

    fn lease(&self, message_id: MessageId) -> Result<Option<Lease>, WorldError> {
        let now_ms = self.queue_time.now_ms(&*self.clock);
        self.keys.read_now(async move |db: &Db| leases::lease(db, message_id, now_ms).await)
    }

    fn delivery_secret(&self) -> Result<DeliverySecret, WorldError> {
        Ok(self.secret.clone())
    }

    fn stream_slices(
        &self,
        reads: Vec<StreamRead>,
        done: Completion<Found<StreamRead, StreamSlice>>,
    ) {
        self.keys.read(done, async move |db: &Db| streams::slices(db, reads.clone()).await);
    }

    fn streams_of_run(&self, run_id: RunId, done: Completion<Vec<String>>) {
        self.lists.read(done, async move |db: &Db| streams::of_run(db, &run_id).await);
    }

    fn lease_owner(&self) -> &str {
        &self.me
    }

    fn show_worker(&self, report: &str) -> bool {
        self.session.show(report)
    }

    fn lacks_session(&self) -> bool {
        self.session.is_missing()
    }

    fn on_commit(&self, listener: Weak<dyn CommitListener>) {
        self.listeners.add(listener);
    }

    fn watch_elsewhere(&self, watch: bool) {
        self.session.watch(watch);
    }

    fn close(&self) {
        // The readers first: what they leave to the writer was accepted before this.
        self.keys.close();
        self.lists.close();
        self.writer.close();
        self.session.close();
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl KeptKeys for PostgresStore {
    fn kept_keys(&self) -> Result<Vec<KeptKey>, WorldError> {
        self.keys.read_now(async |db: &Db| keys::list(db).await)
    }

    fn keep_key(&self, key: KeptKey, as_first: bool, done: Completion<()>) {
        self.writer.submit(Operation::KeepKey(key, as_first, done));
    }
}
