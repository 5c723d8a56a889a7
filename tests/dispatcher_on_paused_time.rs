//! The dispatcher over a real store, on time that only the test moves: the effects of its timers and
//! wake-ups, and that no fault ends it.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use hookline::clock::{Clock, ManualClock};
use hookline::domain::event::EventBody;
use hookline::domain::message::Delivery;
use hookline::error::{ErrorKind, WorldError};
use hookline::queue::delivery::{Handled, Handler, Handlers};
use hookline::queue::dispatcher::{DRAIN, Delivering, Dispatcher};
use hookline::queue::http::AppAddress;
use hookline::queue::pulse::{Duty, Fault, Pulse};
use hookline::store::upkeep::Upkeep;
use hookline::store::{ClaimRequest, Completion, Store};
use rusqlite::Connection;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, LocalSet, spawn_blocking, spawn_local};
use tokio::time::advance;

use kit::rows::creation;
use kit::{LEASE_MS, PATIENCE, WORKFLOW_PREFIX, World, offer, open_file, settled, wake_up};

/// The interval at which the dispatcher extends leases. A lease lasts three times as long.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
/// The interval at which it looks at the queue without a wake-up.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The delays between its searches for forgotten runs: after the first, and after each later one.
const SEARCHES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(300)];

/// Runs a test on a runtime whose time the test moves by hand. Such a runtime moves its time to the
/// next timer whenever it is idle, and so whenever the dispatcher waits for the store, whose threads
/// work in real time. It does not do so while one of its own threads is busy.
fn on_paused_time(test: impl AsyncFnOnce()) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(async {
        let (_over, held) = mpsc::channel::<()>();
        spawn_blocking(move || held.recv());
        test().await;
    }));
}

/// Awaits the work of other threads in real time. [`PATIENCE`] ends only a failing test.
async fn patiently<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    let (_over, held) = mpsc::channel::<()>();
    let patience = spawn_blocking(move || held.recv_timeout(PATIENCE));
    tokio::select! {
        came = awaited => came,
        _ = patience => panic!("{what} does not come"),
    }
}

/// A delivery that was handed over, and the completion that ends it.
type HandedOver = (Delivery, Completion<Handled>);

/// A handler whose deliveries the test ends. The test may make it panic.
struct Given {
    handed_over: UnboundedSender<HandedOver>,
    panics: AtomicBool,
}

impl Handler for Given {
    fn hand_over(&self, delivery: Delivery, done: Completion<Handled>) {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the handler panics");
        // The test may have ended.
        let _ = self.handed_over.send((delivery, done));
    }
}

/// The dispatcher's own clock. The test may make its next read panic.
struct FragileClock {
    clock: Arc<ManualClock>,
    panics: AtomicBool,
}

impl Clock for FragileClock {
    fn now_ms(&self) -> i64 {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the clock panics");
        self.clock.now_ms()
    }

    fn elapsed_ms(&self) -> i64 {
        self.clock.elapsed_ms()
    }
}

/// A world whose replays are delivered, on the runtime of the test.
struct Delivered {
    world: World,
    handler: Arc<Given>,
    clock: Arc<FragileClock>,
    pulse: Arc<Pulse>,
    dispatcher: Dispatcher,
    running: JoinHandle<()>,
    replays: UnboundedReceiver<HandedOver>,
}

impl Delivered {
    fn start(world: World, concurrency: usize) -> Self {
        Self::start_with(world, concurrency, None)
    }

    /// If the app has an address, deliveries use only HTTP.
    fn start_with(world: World, concurrency: usize, app: Option<AppAddress>) -> Self {
        let (sender, replays) = unbounded_channel();
        let handler = Arc::new(Given { handed_over: sender, panics: AtomicBool::new(false) });
        let handlers = Arc::new(Handlers::default());
        handlers.register(WORKFLOW_PREFIX.into(), 1, Arc::clone(&handler) as Arc<dyn Handler>);
        let clock = FragileClock { clock: world.clock.clone(), panics: AtomicBool::new(false) };
        let (clock, pulse) = (Arc::new(clock), Arc::<Pulse>::default());
        let (dispatcher, dispatching) = Dispatcher::driven(Delivering {
            store: world.store.clone(),
            handlers,
            direct: app.is_none(),
            http_prefixes: app.iter().map(|_| WORKFLOW_PREFIX.into()).collect(),
            spec_versions: 0..=u32::MAX,
            release: None,
            app,
            concurrency,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            pulse: Arc::clone(&pulse),
        });
        let running = spawn_local(dispatching.run());
        Self { world, handler, clock, pulse, dispatcher, running, replays }
    }

    /// The next replay that is handed over, without passing time.
    async fn replay(&mut self) -> HandedOver {
        let replay = patiently("a replay", self.replays.recv()).await;
        replay.expect("the handler is there")
    }

    /// The replay that is handed over after this time has passed.
    async fn replay_after(&mut self, time: Duration) -> HandedOver {
        self.passes(time).await;
        self.replay().await
    }

    /// Lets time pass.
    async fn passes(&self, time: Duration) {
        self.world.clock.set(self.world.clock.now_ms() + time.as_millis() as i64);
        advance(time).await;
    }

    /// Lets time pass until the condition holds.
    async fn passes_until(&self, what: &str, has_come: impl Fn() -> bool) {
        let passing = async {
            while !has_come() {
                self.passes(LOOK_EVERY).await;
                self.comes_to_rest().await;
            }
        };
        patiently(what, passing).await;
    }

    /// Lets the dispatcher do its current work: the store answers its requests before those that the
    /// test makes next.
    async fn comes_to_rest(&self) {
        for _ in 0..10 {
            let (done, answered) = tokio::sync::oneshot::channel();
            let done = Completion::new(move |lost| drop(done.send(lost)));
            self.world.store.extend(Vec::new(), LEASE_MS, done);
            answered.await.expect("it is answered").expect("the store works");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the dispatcher has nothing to do and sleeps.
    async fn sleeps(&self) {
        let (told, idle) = tokio::sync::oneshot::channel();
        self.dispatcher.when_idle(Completion::new(move |outcome| drop(told.send(outcome))));
        patiently("an idle dispatcher", idle).await.expect("it is told").expect("it is idle");
        self.comes_to_rest().await;
    }

    /// The faults of one duty.
    fn faults(&self, duty: Duty) -> Vec<Fault> {
        let faults = self.pulse.reading().faults;
        faults.into_iter().filter(|fault| fault.duty == duty).collect()
    }

    fn database(&self) -> Connection {
        Connection::open(self.world.path()).expect("SQLite opens")
    }

    /// Stops the dispatcher, and checks that nothing is in flight. Keep the returned World to read the
    /// database later.
    async fn ends(self) -> World {
        self.dispatcher.stop();
        patiently("the end", self.running).await.expect("it ends well");
        self.world
    }
}

/// Another store on the same file, as another process would open it.
fn neighbour(world: &World) -> impl Store + Upkeep + use<> {
    open_file(&world.path(), &world.clock).expect("the file opens again")
}

fn one_lease(database: &Connection) -> i64 {
    const EXPIRY: &str = "SELECT lease_expires_at_ms FROM messages WHERE lease_token IS NOT NULL";
    database.query_row(EXPIRY, [], |row| row.get(0)).expect("there is one lease")
}

#[test]
fn the_timer_alone_keeps_the_lease_of_a_live_delivery() {
    on_paused_time(async || {
        // It is full, so no claim extends leases.
        let mut delivered = Delivered::start(World::on_file(), 1);
        delivered.world.enqueue(wake_up(1));
        let (delivery, done) = delivered.replay().await;
        let database = delivered.database();
        for time in 1..=4 {
            let before = one_lease(&database);
            delivered.passes(EXTEND_EVERY).await;
            let extended = async {
                while one_lease(&database) == before {
                    delivered.comes_to_rest().await;
                }
            };
            patiently(&format!("extension {time}"), extended).await;
        }
        assert!(delivered.world.holds(&delivery), "for longer than a lease lasts");
        done.settle(Ok(Handled::Done));
        delivered.ends().await;
    });
}

#[test]
fn the_lease_of_a_process_that_has_ended_is_freed_at_the_next_look() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::on_file(), 10);
        delivered.sleeps().await;
        let other = neighbour(&delivered.world);
        let message_id = settled(|done| other.enqueue(wake_up(1), 0, done)).expect("it is put");
        // Whichever was first, the dispatcher gets news of the message.
        let request = ClaimRequest {
            limit: 1,
            offer: offer(&[WORKFLOW_PREFIX]),
            lease_owner: other.lease_owner().to_owned(),
            lease_ms: LEASE_MS,
        };
        let claimed = settled(|done| other.claim(request, done)).expect("the claim succeeds");
        assert_eq!(claimed.deliveries.len(), 1, "the runtime of the dispatcher stands still here");
        other.close();
        let (delivery, done) = delivered.replay_after(LOOK_EVERY).await;
        assert_eq!((delivery.message_id, delivery.attempt), (message_id, 2));
        done.settle(Ok(Handled::Done));
        delivered.ends().await;
    });
}

#[test]
fn forgotten_runs_are_searched_for_at_the_start_soon_after_it_and_then_rarely() {
    on_paused_time(async || {
        let world = World::on_file();
        world.does(1, EventBody::RunCreated(creation()));
        let mut delivered = Delivered::start(world, 10);
        let (_, done) = delivered.replay().await;
        // Otherwise the search would find it again.
        delivered.world.does(1, EventBody::RunStarted(None));
        done.settle(Ok(Handled::Done));
        delivered.sleeps().await;
        for (run, pause) in (2..).zip(SEARCHES) {
            delivered.world.does(run, EventBody::RunCreated(creation()));
            let (delivery, done) = delivered.replay_after(pause).await;
            let run_id = kit::rows::run_id(run);
            assert!(String::from_utf8_lossy(&delivery.body).contains(run_id.as_str()));
            delivered.world.does(run, EventBody::RunStarted(None));
            done.settle(Ok(Handled::Done));
            delivered.sleeps().await;
        }
        delivered.ends().await;
    });
}

#[test]
fn a_stop_gives_back_what_has_not_ended_in_time() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::in_memory(), 10);
        delivered.world.enqueue(wake_up(1));
        let (delivery, _done) = delivered.replay().await;
        delivered.dispatcher.stop();
        delivered.comes_to_rest().await;
        assert!(delivered.world.holds(&delivery), "it may end yet");
        delivered.passes(DRAIN).await;
        patiently("the end", delivered.running).await.expect("it ends well");
        let again = delivered.world.claim_one();
        assert_eq!((again.message_id, again.attempt), (delivery.message_id, 2));
    });
}

#[test]
fn a_commit_of_this_process_wakes_the_dispatcher() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::in_memory(), 10);
        delivered.sleeps().await;
        delivered.world.enqueue(wake_up(1));
        let (_, done) = delivered.replay().await;
        done.settle(Ok(Handled::Done));
        delivered.ends().await;
    });
}

#[test]
fn a_commit_of_another_process_wakes_the_dispatcher() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::on_file(), 10);
        delivered.sleeps().await;
        let other = neighbour(&delivered.world);
        settled(|done| other.enqueue(wake_up(1), 0, done)).expect("it is put");
        let (_, done) = delivered.replay().await;
        done.settle(Ok(Handled::Done));
        delivered.ends().await;
    });
}

/// Makes the database refuse these writes of messages, as a damaged page would.
fn refuse(database: &Connection, what: &str) {
    let refusal = format!(
        "CREATE TRIGGER refuses BEFORE {what} ON messages BEGIN SELECT raise(ABORT, 'not today'); END"
    );
    database.execute_batch(&refusal).expect("the database takes it");
}

fn allow(database: &Connection) {
    database.execute_batch("DROP TRIGGER refuses").expect("the database takes it");
}

#[test]
fn a_claim_that_fails_is_counted_and_shown_to_other_processes_until_it_goes_well() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::on_file(), 10);
        delivered.sleeps().await;
        let database = delivered.database();
        refuse(&database, "UPDATE");
        delivered.world.enqueue(wake_up(1));
        let is_old = |fault: &Fault| fault.times > 1 && fault.first_at_ms < fault.last_at_ms;
        let failed_again = || delivered.faults(Duty::Claim).first().is_some_and(is_old);
        delivered.passes_until("a fault at the next look too", failed_again).await;
        let [fault] = &delivered.faults(Duty::Claim)[..] else { panic!("it is of one kind") };
        assert!((fault.kind, fault.is_past) == (ErrorKind::Internal, false), "{fault:?}");
        let other = neighbour(&delivered.world);
        let reports = || -> String {
            let workers = settled(|done| other.workers(done)).expect("workers are looked for");
            workers.into_iter().filter_map(|worker| worker.report).collect()
        };
        let is_shown = || reports().contains("not today");
        delivered.passes_until("its report", is_shown).await;
        allow(&database);
        let (_, done) = delivered.replay_after(LOOK_EVERY).await;
        assert!(delivered.faults(Duty::Claim)[0].is_past);
        done.settle(Ok(Handled::Done));
        delivered.passes_until("a report without it", || !is_shown()).await;
        assert!(reports().contains("pid"), "it still lives");
        let world = delivered.ends().await;
        world.store.close();
        assert_eq!(reports(), "");
    });
}

#[test]
fn whatever_else_fails_is_counted_by_what_it_was() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::on_file(), 10);
        delivered.world.enqueue(wake_up(1));
        let (_, done) = delivered.replay().await;
        let database = delivered.database();
        refuse(&database, "UPDATE");
        delivered
            .passes_until("a lost extension", || !delivered.faults(Duty::Extend).is_empty())
            .await;
        allow(&database);
        refuse(&database, "DELETE");
        done.settle(Ok(Handled::Done));
        delivered.passes_until("a lost ack", || !delivered.faults(Duty::Settle).is_empty()).await;
        allow(&database);
        refuse(&database, "INSERT");
        delivered.world.does(2, EventBody::RunCreated(creation()));
        let search_fails = || !delivered.faults(Duty::Search).is_empty();
        delivered.passes_until("a search that fails", search_fails).await;
        allow(&database);
        let (_, done) = delivered.replay_after(SEARCHES[1]).await;
        done.settle(Ok(Handled::Done));
        delivered.sleeps().await;
        let faults = delivered.pulse.reading().faults;
        let unmended: Vec<_> = faults.into_iter().filter(|fault| !fault.is_past).collect();
        // Nothing has been in flight for long enough to be extended since.
        assert!(unmended.iter().all(|fault| fault.duty == Duty::Extend), "{unmended:?}");
        delivered.ends().await;
    });
}

#[test]
fn an_app_that_stays_silent_while_messages_are_due_is_counted() {
    on_paused_time(async || {
        // No program listens there, because only root could.
        let configured = Some("http://127.0.0.1:1".into());
        let app = Some(AppAddress { configured, ..AppAddress::default() });
        let delivered = Delivered::start_with(World::in_memory(), 10, app);
        let silent = || !delivered.faults(Duty::ReachApp).is_empty();
        for _ in 0..60 {
            delivered.passes(LOOK_EVERY).await;
            delivered.comes_to_rest().await;
        }
        assert!(!silent(), "nobody waits for it");
        delivered.world.enqueue(wake_up(1));
        delivered.passes_until("its silence", silent).await;
        assert!(
            delivered.world.clock.now_ms() >= kit::rows::NOW_MS + 130_000,
            "an app may take some seconds"
        );
        delivered.ends().await;
    });
}

#[test]
fn a_delivery_that_panics_is_counted_and_comes_again_as_its_next_attempt() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::in_memory(), 10);
        delivered.handler.panics.store(true, Ordering::SeqCst);
        delivered.world.enqueue(wake_up(1));
        let failed = || !delivered.faults(Duty::Deliver).is_empty();
        delivered.passes_until("the panic", failed).await;
        delivered.passes_until("its message", || !delivered.replays.is_empty()).await;
        let (delivery, done) = delivered.replay().await;
        assert_eq!(delivery.attempt, 2);
        done.settle(Ok(Handled::Done));
        delivered.sleeps().await;
        let [fault] = &delivered.faults(Duty::Deliver)[..] else { panic!("it is of one kind") };
        assert!((fault.kind, fault.times, fault.is_past) == (ErrorKind::Internal, 1, true));
        assert!(!fault.message.contains("the handler panics"), "a panic may tell a payload");
        delivered.ends().await;
    });
}

#[test]
fn a_dispatcher_that_panics_is_counted_and_goes_on() {
    on_paused_time(async || {
        let mut delivered = Delivered::start(World::in_memory(), 10);
        delivered.world.enqueue(wake_up(1));
        let (held, held_done) = delivered.replay().await;
        delivered.comes_to_rest().await;
        delivered.clock.panics.store(true, Ordering::SeqCst);
        delivered.world.enqueue(wake_up(2));
        let panicked = || !delivered.faults(Duty::Dispatch).is_empty();
        delivered.passes_until("the panic", panicked).await;
        let (_, done) = delivered.replay_after(LOOK_EVERY).await;
        assert!(delivered.world.holds(&held), "what was in flight is still in care");
        done.settle(Ok(Handled::Done));
        held_done.settle(Ok(Handled::Done));
        delivered.sleeps().await;
        let [fault] = &delivered.faults(Duty::Dispatch)[..] else { panic!("it is of one kind") };
        assert!((fault.kind, fault.times, fault.is_past) == (ErrorKind::Internal, 1, true));
        delivered.ends().await;
    });
}

/// The outcome of the first claim of a dispatcher on its own thread.
fn first_claim_of(world: &World) -> (Dispatcher, Result<(), WorldError>) {
    let handlers = Arc::new(Handlers::default());
    // Nobody receives the deliveries, so each ends at once.
    let (handed_over, _) = unbounded_channel();
    let handler = Given { handed_over, panics: AtomicBool::new(false) };
    handlers.register(WORKFLOW_PREFIX.into(), 1, Arc::new(handler));
    let dispatcher = Dispatcher::start(Delivering {
        store: world.store.clone(),
        handlers,
        app: None,
        direct: true,
        http_prefixes: Vec::new(),
        spec_versions: 0..=u32::MAX,
        release: None,
        concurrency: 10,
        clock: world.clock.clone(),
        pulse: Arc::default(),
    })
    .expect("a thread is had");
    let first = dispatcher.first_claim();
    (dispatcher, first)
}

#[test]
fn a_first_claim_that_can_never_work_is_told() {
    let world = World::on_file();
    world.enqueue(wake_up(1));
    let database = Connection::open(world.path()).expect("SQLite opens");
    refuse(&database, "UPDATE");
    let (dispatcher, first) = first_claim_of(&world);
    assert_eq!(first.expect_err("it cannot claim").kind, ErrorKind::Internal);
    dispatcher.stop();
    allow(&database);
    let (dispatcher, first) = first_claim_of(&world);
    assert_eq!(first, Ok(()));
    dispatcher.stop();
}

#[test]
fn a_first_claim_that_meets_a_foreign_lock_is_no_reason_to_give_up() {
    let world = World::on_file();
    world.enqueue(wake_up(1));
    let database = Connection::open(world.path()).expect("SQLite opens");
    database.execute_batch("BEGIN IMMEDIATE").expect("the test locks");
    let (dispatcher, first) = first_claim_of(&world);
    assert_eq!(first, Ok(()));
    database.execute_batch("ROLLBACK").expect("the test unlocks");
    dispatcher.stop();
}
