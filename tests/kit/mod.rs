//! The kit of the integration tests: a store with a manual clock, and short forms of its operations.
//!
//! Every crate that includes it has `use hookline::domain;` at its root, because the rows in memory are
//! in the same file that the unit tests of the domain use.
#![allow(dead_code)] // each user needs only a part

#[path = "../../src/domain/transition/test_kit.rs"]
pub mod rows;

#[cfg(target_os = "linux")]
pub mod pooler;
#[cfg(target_os = "linux")]
pub mod postgres_server;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookline::clock::{Clock, ManualClock};
use hookline::crypto::KeyRing;
use hookline::domain::event::{Event, EventBody, EventRequest};
use hookline::domain::id::{LeaseToken, MessageId, RunId};
use hookline::domain::message::{Delivery, NewMessage, Purpose};
use hookline::domain::page::{LIMIT_MAX, Page, PageRequest};
use hookline::domain::queue::offer::Offer;
use hookline::error::WorldError;
use hookline::store::postgres::{PostgresLocation, PostgresOptions, PostgresStore};
use hookline::store::sealed::{SealedStore, TokensAtRest};
use hookline::store::sqlite::{Host, LOG_BYTES_MAX, Location, SqliteOptions, SqliteStore};
use hookline::store::upkeep::Upkeep;
use hookline::store::{
    Admission, ClaimRequest, Claimed, CommitListener, CommitNews, Completion, EventQuery,
    EventReply, HookView, Outcome, Store, StreamSlice,
};
use tempfile::TempDir;

use self::rows::{NOW_MS, request, run_id, test_environment};

/// Longer than any operation takes on a loaded machine. A store that never settles fails its test.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The prefix of the queue names of wake-ups.
pub const WORKFLOW_PREFIX: &str = "__wkf_workflow_";
/// The prefix of the queue names of steps.
pub const STEP_PREFIX: &str = "__wkf_step_";
/// The queue of the runs that [`rows::creation`] makes.
pub const WORKFLOW_QUEUE: &str = "__wkf_workflow_workflow//a";
/// The duration of a lease in these tests.
pub const LEASE_MS: i64 = 30_000;

/// A store, its clock, and its folder if it is on disk.
pub struct World {
    pub store: Arc<dyn Store>,
    /// The same database, for the person who runs it, if the store was made here.
    upkeep: Option<Arc<dyn Upkeep>>,
    pub clock: Arc<ManualClock>,
    folder: Option<TempDir>,
    reopen: Option<Reopen>,
}

/// Opens another store on the same database, as another process would.
type Reopen = Box<dyn Fn(&Arc<ManualClock>) -> Arc<dyn Store> + Send + Sync>;

/// Starts an operation and waits for its outcome.
pub fn settled<T: Send + 'static>(start: impl FnOnce(Completion<T>)) -> Result<T, WorldError> {
    let (done, outcome) = Completion::channel();
    start(done);
    outcome.recv_timeout(PATIENCE).expect("the store settles every operation")
}

/// The options with which the tests open a database.
pub fn options(location: Location, clock: &Arc<ManualClock>) -> SqliteOptions {
    SqliteOptions {
        location,
        full_durability: true,
        workflow_prefix: WORKFLOW_PREFIX.into(),
        takes_queue_names: false,
        release: None,
        environment: test_environment(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        host: Host::this(),
        faults: None,
        log_bytes_max: LOG_BYTES_MAX,
    }
}

/// Opens the file.
pub fn open_file(path: &Path, clock: &Arc<ManualClock>) -> Result<SqliteStore, WorldError> {
    SqliteStore::open(options(Location::File(path.to_owned()), clock))
}

/// Opens the file with sealing.
pub fn open_sealed(
    path: &Path,
    clock: &Arc<ManualClock>,
    ring: &KeyRing,
    tokens: TokensAtRest,
) -> Result<SealedStore, WorldError> {
    let inner = Arc::new(open_file(path, clock)?);
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    SealedStore::open(inner, Arc::new(ring.clone()), tokens, clock)
}

/// Opens a schema of this program's Postgres server. The clock of the test is the database's.
pub fn open_postgres(url: &str, clock: &Arc<ManualClock>) -> Result<PostgresStore, WorldError> {
    open_postgres_at(PostgresLocation::parse(url)?, clock)
}

/// Opens a schema as [`open_postgres`] does.
pub fn open_postgres_at(
    location: PostgresLocation,
    clock: &Arc<ManualClock>,
) -> Result<PostgresStore, WorldError> {
    let clock = Some(Arc::clone(clock) as Arc<dyn Clock>);
    PostgresStore::open(PostgresOptions { clock, ..postgres_options(location) })
}

/// The options with which the tests open a schema, with the clock of its server.
pub fn postgres_options(location: PostgresLocation) -> PostgresOptions {
    PostgresOptions {
        location,
        migrates: true,
        full_durability: true,
        workflow_prefix: WORKFLOW_PREFIX.into(),
        takes_queue_names: false,
        release: None,
        environment: test_environment(),
        clock: None,
    }
}

/// Opens a schema to read it.
pub fn open_postgres_to_read(url: &str) -> Result<PostgresStore, WorldError> {
    PostgresStore::open_to_read(postgres_options(PostgresLocation::parse(url)?))
}

/// A key ring of these ids. A key consists of its byte, 32 times.
pub fn key_ring(keys: &[(&str, u8)]) -> KeyRing {
    let entry = |(id, byte): &(&str, u8)| {
        use base64ct::Encoding;
        format!("{id}:{}", base64ct::Base64::encode_string(&[*byte; 32]))
    };
    let entries: Vec<String> = keys.iter().map(entry).collect();
    KeyRing::parse(&entries.join(",")).expect("the ring is well-formed")
}

impl World {
    /// A fresh SQLite file.
    pub fn on_file() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let path = folder.path().join("world.db");
        let store = Arc::new(open_file(&path, &clock).expect("the file opens"));
        let reopen = move |clock: &Arc<ManualClock>| {
            Arc::new(open_file(&path, clock).expect("the file opens again")) as Arc<dyn Store>
        };
        let reopen = Some(Box::new(reopen) as Reopen);
        Self { reopen, ..Self::with_upkeep(store, clock, Some(folder)) }
    }

    /// A fresh SQLite database in memory.
    pub fn in_memory() -> Self {
        static NAMES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let store =
            SqliteStore::open(options(Location::Memory(name), &clock)).expect("memory opens");
        Self::with_upkeep(Arc::new(store), clock, None)
    }

    /// A fresh SQLite file whose values and tokens are sealed.
    pub fn sealed() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let path = folder.path().join("world.db");
        let store = open_sealed(&path, &clock, &key_ring(&[("a", 1)]), TokensAtRest::Sealed)
            .expect("the file opens");
        Self::with_upkeep(Arc::new(store), clock, Some(folder))
    }

    /// A fresh schema of a Postgres database.
    #[cfg(target_os = "linux")]
    pub fn on_postgres() -> Self {
        let (url, clock) = (postgres_server::fresh_schema(), Arc::new(ManualClock::at(NOW_MS)));
        let store = Arc::new(open_postgres(&url, &clock).expect("the schema is made"));
        let reopen = move |clock: &Arc<ManualClock>| {
            Arc::new(open_postgres(&url, clock).expect("the schema opens again")) as Arc<dyn Store>
        };
        let reopen = Some(Box::new(reopen) as Reopen);
        Self { reopen, ..Self::with_upkeep(store, clock, None) }
    }

    /// A World around an open store.
    pub fn of(store: Arc<dyn Store>, clock: Arc<ManualClock>) -> Self {
        Self { store, upkeep: None, clock, folder: None, reopen: None }
    }

    /// A World around an open store, with its operations for the person who runs it.
    pub fn with_upkeep<S: Store + Upkeep>(
        store: Arc<S>,
        clock: Arc<ManualClock>,
        folder: Option<TempDir>,
    ) -> Self {
        let upkeep = Some(Arc::clone(&store) as Arc<dyn Upkeep>);
        Self { store, upkeep, clock, folder, reopen: None }
    }

    /// The operations for the person who runs it.
    pub fn upkeep(&self) -> &dyn Upkeep {
        self.upkeep.as_deref().expect("the store was made here")
    }

    /// Another store on the same database, with this clock.
    pub fn opened_again(&self, clock: &Arc<ManualClock>) -> Arc<dyn Store> {
        self.reopen.as_ref().expect("this world is shared")(clock)
    }

    /// The path of the file.
    pub fn path(&self) -> PathBuf {
        self.folder.as_ref().expect("this world is on disk").path().join("world.db")
    }

    /// Moves the clock to this many milliseconds after [`NOW_MS`].
    pub fn at(&self, since_ms: i64) {
        self.clock.set(NOW_MS + since_ms);
    }

    /// The time of its clock.
    pub fn clock_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Appends an event.
    pub fn tries(&self, request: EventRequest) -> Result<EventReply, WorldError> {
        settled(|done| self.store.append_event(request, done))
    }

    /// Appends events that arrive while the writer is held, so that they are in one batch.
    pub fn append_together(
        &self,
        requests: Vec<EventRequest>,
    ) -> Vec<Result<EventReply, WorldError>> {
        let held = hold_writer(self);
        let append = |request| {
            let (done, outcome) = Completion::channel();
            self.store.append_event(request, done);
            outcome
        };
        let outcomes: Vec<_> = requests.into_iter().map(append).collect();
        drop(held);
        let settled = |outcome: Receiver<_>| {
            outcome.recv_timeout(PATIENCE).expect("the store settles every operation")
        };
        outcomes.into_iter().map(settled).collect()
    }

    /// Appends an event of a run that the rules allow; its payload is the name of its type.
    #[track_caller]
    pub fn does(&self, run: u64, body: EventBody) -> EventReply {
        let event_type = body.event_type().as_str();
        self.tries(request(run, body))
            .unwrap_or_else(|error| panic!("{event_type} was refused: {error}"))
    }

    /// Appends an event of a run that the rules refuse, and checks that the log does not change.
    #[track_caller]
    pub fn refuses(&self, run: u64, body: EventBody) -> WorldError {
        let event_type = body.event_type().as_str();
        let before = self.log(run);
        let outcome = self.tries(request(run, body));
        assert_eq!(self.log(run), before, "{event_type} wrote something");
        match outcome {
            Ok(reply) => panic!("{event_type} was allowed: {reply:?}"),
            Err(error) => error,
        }
    }

    /// Creates and starts runs 1 to `count`.
    pub fn start_runs(&self, count: u64) {
        for run in 1..=count {
            self.does(run, EventBody::RunCreated(rows::creation()));
            self.does(run, EventBody::RunStarted(None));
        }
    }

    /// Creates a run of a spec version, and starts it.
    pub fn start_run_of(&self, run: u64, spec_version: u32) {
        let created = request(run, EventBody::RunCreated(rows::creation()));
        self.tries(EventRequest { spec_version, ..created }).expect("the run is created");
        self.does(run, EventBody::RunStarted(None));
    }

    /// The whole log of a run.
    pub fn log(&self, run: u64) -> Vec<Event> {
        let mut query = EventQuery {
            run_id: Some(run_id(run)),
            correlation_id: None,
            page: PageRequest::first(LIMIT_MAX),
            resolve_data: true,
        };
        let mut events = Vec::new();
        loop {
            let page = self.events(&query).expect("the log is read");
            events.extend(page.items);
            if !page.has_more {
                return events;
            }
            query.page.after = page.cursor;
        }
    }

    /// The event types of a run's log.
    pub fn log_types(&self, run: u64) -> Vec<&'static str> {
        self.log(run).iter().map(|event| event.event_type.as_str()).collect()
    }

    /// A page of events.
    pub fn events(&self, query: &EventQuery) -> Result<Page<Event>, WorldError> {
        settled(|done| self.store.events(query.clone(), done))
    }

    /// The live hooks of a run, or of all runs.
    pub fn hooks(&self, run: Option<u64>) -> Vec<HookView> {
        let page = PageRequest::first(LIMIT_MAX);
        let page = settled(|done| self.store.hooks(run.map(run_id), page, true, done));
        page.expect("hooks are read").items
    }

    /// Enqueues a message that is due.
    pub fn enqueue(&self, message: NewMessage) -> MessageId {
        self.enqueue_in(message, 0)
    }

    /// Enqueues a message that becomes due after a delay.
    pub fn enqueue_in(&self, message: NewMessage, delay_ms: i64) -> MessageId {
        settled(|done| self.store.enqueue(message, delay_ms, done)).expect("it is enqueued")
    }

    /// Leases due messages of every queue.
    pub fn claim(&self, limit: usize) -> Vec<Delivery> {
        self.claimed(limit).deliveries
    }

    /// Leases due messages of every queue, and returns the whole result of the claim.
    pub fn claimed(&self, limit: usize) -> Claimed {
        self.claimed_of(limit, &[WORKFLOW_PREFIX, STEP_PREFIX])
    }

    /// A request for due messages of every queue.
    pub fn claim_request(&self, limit: usize) -> ClaimRequest {
        ClaimRequest {
            limit,
            offer: offer(&[WORKFLOW_PREFIX, STEP_PREFIX]),
            lease_owner: self.store.lease_owner().to_owned(),
            lease_ms: LEASE_MS,
        }
    }

    /// Leases due messages of the queues with these prefixes.
    pub fn claimed_of(&self, limit: usize, prefixes: &[&str]) -> Claimed {
        let request = ClaimRequest { offer: offer(prefixes), ..self.claim_request(limit) };
        settled(|done| self.store.claim(request, done)).expect("the claim succeeds")
    }

    /// Leases the one message that is due.
    #[track_caller]
    pub fn claim_one(&self) -> Delivery {
        let mut deliveries = self.claim(10);
        assert_eq!(deliveries.len(), 1, "one message is due: {deliveries:?}");
        deliveries.remove(0)
    }

    /// Checks that nothing can be claimed now.
    #[track_caller]
    pub fn claims_nothing(&self) {
        assert_eq!(self.claim(10), []);
    }

    /// Ends a delivery; returns whether it had its lease.
    pub fn settle(&self, delivery: &Delivery, outcome: Outcome) -> bool {
        let (id, token) = (delivery.message_id, delivery.lease_token.clone());
        settled(|done| self.store.settle_delivery(id, token, outcome, done)).expect("it settles")
    }

    /// Extends leases; returns the lost ones.
    pub fn extend(&self, leases: &[&Delivery], lease_ms: i64) -> Vec<MessageId> {
        let leases: Vec<(MessageId, LeaseToken)> = leases
            .iter()
            .map(|delivery| (delivery.message_id, delivery.lease_token.clone()))
            .collect();
        settled(|done| self.store.extend(leases, lease_ms, done)).expect("it extends")
    }

    /// Whether a delivery has its lease.
    pub fn holds(&self, delivery: &Delivery) -> bool {
        let lease = self.store.lease(delivery.message_id).expect("the lease is looked up");
        lease.is_some_and(|lease| lease.lease_token == delivery.lease_token)
    }

    /// Admits a delivery.
    pub fn admit(&self, delivery: &Delivery) -> Admission {
        let (id, token) = (delivery.message_id, delivery.lease_token.clone());
        settled(|done| self.store.admit(id, token, done)).expect("the store answers")
    }

    /// Appends chunks of text to a stream.
    pub fn write(&self, name: &str, chunks: &[&str]) {
        let chunks = chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
        settled(|done| self.store.write_stream(name.into(), run_id(1), chunks, done))
            .expect("the chunks are written");
    }

    /// Closes a stream.
    pub fn close_stream(&self, name: &str) {
        settled(|done| self.store.close_stream(name.into(), run_id(1), done))
            .expect("the stream is closed");
    }

    /// A slice of a stream.
    pub fn slice(&self, name: &str, from: i64, limit: usize) -> StreamSlice {
        settled(|done| self.store.stream_slice(name.into(), from, limit, done))
            .expect("the stream is read")
    }
}

/// A message that only wakes a run.
pub fn wake_up(run: u64) -> NewMessage {
    let run_id: RunId = run_id(run);
    NewMessage {
        queue_name: WORKFLOW_QUEUE.into(),
        body: format!(r#"{{"runId":"{run_id}"}}"#).into_bytes(),
        purpose: Purpose::WakeUp(run_id),
        ..NewMessage::default()
    }
}

/// A message that replays a run and carries other content.
pub fn replay(run: u64, content: &str) -> NewMessage {
    NewMessage { purpose: Purpose::Replay(run_id(run)), body: content.into(), ..wake_up(run) }
}

/// The message of `start()`, which can create a run.
pub fn start_message(run: u64) -> NewMessage {
    let body = format!(r#"{{"runId":"{}","runInput":{{"input":"secret"}}}}"#, run_id(run));
    NewMessage { purpose: Purpose::Start(run_id(run)), body: body.into_bytes(), ..wake_up(run) }
}

/// A message that executes a step.
pub fn step_message(content: &str) -> NewMessage {
    NewMessage {
        queue_name: format!("{STEP_PREFIX}step//a"),
        body: content.into(),
        ..NewMessage::default()
    }
}

/// The offer of a process without a release, which has the SDK of every line, for these queues.
pub fn offer(prefixes: &[&str]) -> Offer {
    let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    Offer { prefixes, spec_versions: 0..=u32::MAX, release: None }
}

/// The bodies of deliveries, as text.
pub fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| String::from_utf8_lossy(&d.body).into_owned()).collect()
}

/// The news of each commit of a store, converted by `of`.
pub fn news_of<T: Send + 'static>(
    store: &dyn Store,
    of: impl Fn(&CommitNews) -> T + Send + Sync + 'static,
) -> Receiver<T> {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let listener: Arc<dyn CommitListener> = Arc::new(move |news: &CommitNews| {
        // The test may have ended.
        let _ = sender.lock().expect("nobody panics with it").send(of(news));
    });
    store.on_commit(Arc::downgrade(&listener));
    // It must live as long as the test.
    std::mem::forget(listener);
    receiver
}

/// Holds the writer, which settles operations one after the other, until the sender is dropped.
pub fn hold_writer(world: &World) -> Sender<()> {
    let (release, held) = channel();
    let (holds, holding) = channel();
    let first = Completion::new(move |_| {
        // The test keeps the receiver until its end.
        let _ = holds.send(());
        let _ = held.recv();
    });
    world.store.enqueue(step_message("holds the writer"), 0, first);
    holding.recv_timeout(PATIENCE).expect("the writer is held");
    release
}
