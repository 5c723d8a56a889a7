//! The dispatcher over a real store: with a clock that jumps, because the host slept or its clock was
//! set, and with a database that fails.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use hookline::clock::{Clock, ManualClock};
use hookline::domain::id::MessageId;
use hookline::domain::message::Delivery;
use hookline::error::ErrorKind;
use hookline::queue::delivery::{Handled, Handler, Handlers};
use hookline::queue::dispatcher::{Delivering, Dispatcher};
use hookline::queue::pulse::Pulse;
use hookline::store::{Completion, Outcome};
use rusqlite::Connection;

use kit::rows::NOW_MS;
use kit::{
    LEASE_MS, PATIENCE, STEP_PREFIX, WORKFLOW_PREFIX, World, settled, step_message, wake_up,
};

/// Longer than a lease.
const JUMP_MS: i64 = LEASE_MS + 1000;

/// A delivery that was handed over, and the completion that ends it.
type HandedOver = (Delivery, Completion<Handled>);

/// A handler whose deliveries the test ends.
struct Given(Mutex<Sender<HandedOver>>);

impl Handler for Given {
    fn hand_over(&self, delivery: Delivery, done: Completion<Handled>) {
        // The test may have ended.
        let _ = self.0.lock().expect("nobody panics with it").send((delivery, done));
    }
}

/// A clock that jumps when it is read next, so that no claim is in progress meanwhile.
struct JumpingClock {
    clock: Arc<ManualClock>,
    next: Mutex<Option<i64>>,
}

impl Clock for JumpingClock {
    fn now_ms(&self) -> i64 {
        if let Some(at_ms) = self.next.lock().expect("nobody panics with it").take() {
            self.clock.set(at_ms);
        }
        self.clock.now_ms()
    }

    fn elapsed_ms(&self) -> i64 {
        self.clock.elapsed_ms()
    }
}

/// A world whose messages are delivered. Replays and steps have a handler each.
struct Delivered {
    world: World,
    clock: Arc<JumpingClock>,
    dispatcher: Dispatcher,
    pulse: Arc<Pulse>,
    replays: Receiver<HandedOver>,
    steps: Receiver<HandedOver>,
}

impl Delivered {
    fn start(concurrency: usize) -> Self {
        Self::start_on(World::in_memory(), concurrency)
    }

    fn start_on(world: World, concurrency: usize) -> Self {
        let clock = Arc::new(JumpingClock { clock: world.clock.clone(), next: Mutex::default() });
        let handlers = Arc::new(Handlers::default());
        let register = |prefix: &str| {
            let (sender, handed_over) = channel();
            handlers.register(prefix.into(), 1, Arc::new(Given(Mutex::new(sender))));
            handed_over
        };
        let (replays, steps) = (register(WORKFLOW_PREFIX), register(STEP_PREFIX));
        let pulse = Arc::<Pulse>::default();
        let dispatcher = Dispatcher::start(Delivering {
            store: world.store.clone(),
            handlers,
            app: None,
            direct: true,
            http_prefixes: Vec::new(),
            spec_versions: 0..=u32::MAX,
            release: None,
            concurrency,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            pulse: Arc::clone(&pulse),
        })
        .expect("delivery starts");
        Self { world, clock, dispatcher, pulse, replays, steps }
    }

    /// The next replay that is handed over.
    fn replay(&self) -> HandedOver {
        self.replays.recv_timeout(PATIENCE).expect("a replay is handed over")
    }

    /// Waits until the dispatcher has claimed: enqueues a step, which is handed over and done.
    fn sees_a_claim(&self) {
        self.world.enqueue(step_message("step"));
        let (_, done) = self.steps.recv_timeout(PATIENCE).expect("the step is handed over");
        done.settle(Ok(Handled::Done));
    }

    /// Moves the clock to this long after the beginning, and waits until the dispatcher has claimed
    /// after that. Its first claim may have read the clock before.
    fn jumps_to(&self, since_ms: i64) {
        *self.clock.next.lock().expect("nobody panics with it") = Some(NOW_MS + since_ms);
        self.sees_a_claim();
        self.sees_a_claim();
        assert_eq!(self.world.clock.now_ms(), NOW_MS + since_ms, "the clock has jumped");
    }

    /// Checks that no replay was handed over except for those that the test took.
    fn hands_over_no_other(&self) {
        let other = self.replays.try_recv().ok().map(|(delivery, _)| delivery);
        assert_eq!(other, None);
    }

    /// Waits until the dispatcher has nothing to do.
    fn becomes_idle(&self) {
        settled(|done| self.dispatcher.when_idle(done)).expect("it is told");
    }

    /// Stops the dispatcher, and checks that everything was acknowledged.
    fn ends(self) {
        self.dispatcher.stop();
        assert_eq!(self.world.claimed(10).deliveries, []);
        self.world.at(10 * JUMP_MS);
        assert_eq!(self.world.claimed(10).deliveries, []);
    }
}

#[test]
fn a_clock_that_jumps_ahead_expires_no_lease_of_a_live_delivery() {
    let delivered = Delivered::start(10);
    delivered.world.enqueue(wake_up(1));
    let (delivery, done) = delivered.replay();
    for jump in 1..=3 {
        delivered.jumps_to(jump * JUMP_MS);
        assert!(delivered.world.holds(&delivery), "after jump {jump}");
        delivered.hands_over_no_other();
    }
    done.settle(Ok(Handled::Done));
    delivered.ends();
}

#[test]
fn a_clock_that_jumps_back_expires_no_lease_of_a_live_delivery() {
    let delivered = Delivered::start(10);
    delivered.world.enqueue(wake_up(1));
    let (delivery, done) = delivered.replay();
    delivered.world.at(-JUMP_MS);
    delivered.sees_a_claim();
    assert!(delivered.world.holds(&delivery));
    delivered.jumps_to(JUMP_MS);
    assert!(delivered.world.holds(&delivery));
    delivered.hands_over_no_other();
    done.settle(Ok(Handled::Done));
    delivered.ends();
}

#[test]
fn a_process_that_is_full_when_the_clock_jumps_claims_none_of_its_own_again() {
    let delivered = Delivered::start(2);
    for run in 1..=2 {
        delivered.world.enqueue(wake_up(run));
    }
    let [(first, first_done), (second, second_done)] = [delivered.replay(), delivered.replay()];
    delivered.world.enqueue(wake_up(3));
    *delivered.clock.next.lock().expect("nobody panics with it") = Some(NOW_MS + JUMP_MS);
    // Makes room for one more delivery.
    first_done.settle(Ok(Handled::Done));
    let (third, third_done) = delivered.replay();
    assert_ne!([third.message_id; 2], [first.message_id, second.message_id]);
    assert!(delivered.world.holds(&second) && delivered.world.holds(&third));
    delivered.hands_over_no_other();
    second_done.settle(Ok(Handled::Done));
    third_done.settle(Ok(Handled::Done));
    delivered.ends();
}

#[test]
fn the_late_end_of_a_delivery_leaves_the_lease_of_the_next_one_in_care() {
    let delivered = Delivered::start(10);
    delivered.world.enqueue(wake_up(1));
    let (lost, lost_done) = delivered.replay();
    // Another process, whose clock is ahead, took the lease away.
    let taken = Outcome::Release { delay_ms: 0, error: "taken".into(), reached: true };
    assert!(delivered.world.settle(&lost, taken));
    let (held, held_done) = delivered.replay();
    assert_eq!((held.message_id, held.attempt), (lost.message_id, 2));
    lost_done.settle(Ok(Handled::Done));
    // The end of the delivery is settled when a step that was enqueued later is done.
    delivered.sees_a_claim();
    delivered.sees_a_claim();
    assert!(delivered.world.holds(&held), "a lost lease ends nothing");
    delivered.jumps_to(JUMP_MS);
    assert!(delivered.world.holds(&held), "its lease is still extended");
    delivered.hands_over_no_other();
    held_done.settle(Ok(Handled::Done));
    delivered.ends();
}

/// Makes the database refuse acks of replays, as a full disk would. Releases, and all writes for steps,
/// succeed.
fn refuse_acks(world: &World) -> Connection {
    let connection = Connection::open(world.path()).expect("SQLite opens");
    let refusal = "CREATE TRIGGER refuses_acks BEFORE DELETE ON messages \
         WHEN old.run_id IS NOT NULL BEGIN SELECT raise(ABORT, 'no ack today'); END";
    connection.execute_batch(refusal).expect("the database takes it");
    connection
}

fn allow_acks(connection: &Connection) {
    connection.execute_batch("DROP TRIGGER refuses_acks").expect("the database takes it");
}

/// The number of replays in the queue, leased or not.
fn queued(connection: &Connection) -> i64 {
    const COUNT: &str = "SELECT count(*) FROM messages WHERE run_id IS NOT NULL";
    let count = connection.query_row(COUNT, [], |row| row.get(0));
    count.expect("the queue is counted")
}

#[test]
fn an_ack_that_fails_is_tried_again_under_a_lease_that_is_still_extended() {
    let delivered = Delivered::start_on(World::on_file(), 10);
    let database = refuse_acks(&delivered.world);
    delivered.world.enqueue(wake_up(1));
    let (delivery, done) = delivered.replay();
    done.settle(Ok(Handled::Done));
    for jump in 1..=2 {
        delivered.jumps_to(jump * JUMP_MS);
        assert!(delivered.world.holds(&delivery), "after jump {jump}");
        delivered.hands_over_no_other();
    }
    assert_eq!(queued(&database), 1, "its ack cannot have gone well");
    allow_acks(&database);
    delivered.becomes_idle();
    assert_eq!(queued(&database), 0);
    delivered.hands_over_no_other();
    assert_eq!(delivered.pulse.reading().leases_lost, 0);
    delivered.ends();
}

#[test]
fn an_ack_that_meets_a_foreign_lock_is_done_when_the_lock_has_gone() {
    let delivered = Delivered::start_on(World::on_file(), 10);
    let database = Connection::open(delivered.world.path()).expect("SQLite opens");
    delivered.world.enqueue(wake_up(1));
    let (_, done) = delivered.replay();
    database.execute_batch("BEGIN IMMEDIATE").expect("the test locks");
    done.settle(Ok(Handled::Done));
    // The writer settles operations in order, so it has failed the ack by then.
    for _ in 0..2 {
        let store = &delivered.world.store;
        let refused: Result<MessageId, _> =
            settled(|done| store.enqueue(step_message("step"), 0, done));
        assert_eq!(refused.expect_err("the lock is held").kind, ErrorKind::Busy);
    }
    database.execute_batch("ROLLBACK").expect("the test unlocks");
    delivered.becomes_idle();
    assert_eq!(queued(&database), 0);
    delivered.hands_over_no_other();
    delivered.ends();
}

#[test]
fn an_ack_that_fails_is_given_up_once_its_lease_is_lost() {
    let delivered = Delivered::start_on(World::on_file(), 10);
    let database = refuse_acks(&delivered.world);
    delivered.world.enqueue(wake_up(1));
    let (lost, lost_done) = delivered.replay();
    lost_done.settle(Ok(Handled::Done));
    delivered.sees_a_claim();
    delivered.sees_a_claim();
    let taken = Outcome::Release { delay_ms: 0, error: "taken".into(), reached: true };
    assert!(delivered.world.settle(&lost, taken));
    let (held, held_done) = delivered.replay();
    assert_eq!((held.message_id, held.attempt), (lost.message_id, 2));
    allow_acks(&database);
    held_done.settle(Ok(Handled::Done));
    delivered.becomes_idle();
    assert_eq!(queued(&database), 0);
    delivered.ends();
}

#[test]
fn a_stop_waits_for_an_ack_that_is_being_tried_again() {
    let delivered = Delivered::start_on(World::on_file(), 10);
    let database = refuse_acks(&delivered.world);
    delivered.world.enqueue(wake_up(1));
    let (_, done) = delivered.replay();
    done.settle(Ok(Handled::Done));
    delivered.sees_a_claim();
    delivered.sees_a_claim();
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| delivered.dispatcher.stop());
        allow_acks(&database);
        stopping.join().expect("it stops");
    });
    assert_eq!(queued(&database), 0);
    delivered.ends();
}

#[test]
fn a_stop_gives_an_ack_up_that_goes_on_failing() {
    let delivered = Delivered::start_on(World::on_file(), 10);
    let database = refuse_acks(&delivered.world);
    delivered.world.enqueue(wake_up(1));
    let (delivery, done) = delivered.replay();
    done.settle(Ok(Handled::Done));
    delivered.dispatcher.stop();
    assert!(delivered.world.holds(&delivery), "nobody says that it is not done");
    assert_eq!(queued(&database), 1);
    assert_eq!(delivered.pulse.reading().leases_lost, 0);
}

#[test]
fn a_delivery_that_ends_while_the_dispatcher_claims_is_still_known_when_it_is_idle() {
    let delivered = Delivered::start(10);
    for round in 1..=3_000 {
        delivered.world.enqueue(step_message("step"));
        let (_, done) = delivered.steps.recv_timeout(PATIENCE).expect("the step is handed over");
        // The question makes the dispatcher claim, and the delivery ends meanwhile.
        let (told, idle) = Completion::channel();
        delivered.dispatcher.when_idle(told);
        done.settle(Ok(Handled::Failed { error: "the printer is on fire".into() }));
        let next_due_in_ms = idle.recv_timeout(PATIENCE).expect("it is told").expect("it claims");
        let next_due_in_ms = next_due_in_ms.expect("the step sleeps until its next attempt");

        delivered.world.at(delivered.world.clock_ms() - NOW_MS + next_due_in_ms);
        let (told, idle) = Completion::channel();
        delivered.dispatcher.when_idle(told);
        let (step, done) = delivered.steps.recv_timeout(PATIENCE).expect("it comes again");
        assert_eq!(step.attempt, 2, "in round {round}");
        done.settle(Ok(Handled::Done));
        assert_eq!(idle.recv_timeout(PATIENCE).expect("it is told"), Ok(None));
    }
    delivered.ends();
}
