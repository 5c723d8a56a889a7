//! Operations that arrive together share their round trips: however many there are, a batch costs few.

use hookline::domain::event::{EventBody, EventRequest, Report};
use hookline::domain::fence::Fence;
use hookline::domain::id::HookToken;
use hookline::domain::message::{Delivery, NewMessage, Purpose};
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::error::ErrorKind;
use hookline::store::{Completion, Outcome};

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, hold_writer, step_message, wake_up};
use crate::open;
use crate::proxy::Proxy;
use crate::server::run_sql;

/// Operations of a batch.
const MANY: u64 = 40;
/// A batch loads, and then writes and commits: two. Statements that a connection uses first are prepared, and
/// the proxy may see in parts what was sent at once.
const TRIPS_MAX: usize = 20;

/// A database of its own behind a proxy.
struct Counted {
    world: World,
    proxy: Proxy,
}

/// What an operation waits for.
type Settled = Box<dyn FnOnce()>;

impl Counted {
    fn new(name: &str) -> Self {
        run_sql(&format!("CREATE DATABASE {name}"));
        let proxy = Proxy::start();
        let store = open(&proxy.url(name));
        Self { world: World::of(store, std::sync::Arc::default()), proxy }
    }

    /// Makes operations that share a transaction, and counts its round trips.
    #[track_caller]
    fn costs_few_trips(&self, what: &str, operations: impl FnOnce(&World) -> Vec<Settled>) {
        let held = hold_writer(&self.world);
        let before = self.proxy.trips();
        let settled = operations(&self.world);
        assert!(settled.len() as u64 >= MANY, "{what}");
        drop(held);
        settled.into_iter().for_each(|outcome| outcome());
        let trips = self.proxy.trips() - before;
        assert!(trips <= TRIPS_MAX, "{what}: {trips} round trips");
    }

    #[track_caller]
    fn appends(&self, spec_version: u32, body: impl Fn(u64) -> EventBody) {
        let what = format!("{} of spec {spec_version}", body(1).event_type().as_str());
        self.costs_few_trips(&what, |world| {
            (1..=MANY).map(|run| append(world, run, spec_version, body(run))).collect()
        });
    }
}

/// Starts an operation, which has to succeed.
fn settles<T: Send + 'static>(start: impl FnOnce(Completion<T>)) -> Settled {
    let (done, outcome) = Completion::channel();
    start(done);
    Box::new(move || {
        outcome.recv_timeout(PATIENCE).expect("it settles").expect("it succeeds");
    })
}

/// Appends an event as a replay does, which asks for what is new in the log.
fn append(world: &World, run: u64, spec_version: u32, body: EventBody) -> Settled {
    let since = (spec_version >= 6).then_some(2);
    let mut asked = EventRequest {
        spec_version,
        report: Report { since, ..Report::default() },
        ..request(run, body)
    };
    if let EventBody::HookReceived { .. } = asked.body {
        asked.resume = (spec_version >= 6).then(|| mark(&format!("resume of {run}"), None));
    }
    asked.run_id = Some(run_of(run, spec_version));
    settles(|done| world.store.append_event(asked, done))
}

/// Runs of both lines are in one database.
fn run_of(run: u64, spec_version: u32) -> hookline::domain::id::RunId {
    run_id(run + u64::from(spec_version) * 1000)
}

#[test]
fn events_of_many_runs_cost_few_round_trips() {
    let counted = Counted::new("trips_of_events");
    for spec_version in [3, 6, 7] {
        let token = |run: u64| format!("token {spec_version} {run}");
        let appends = |body: &dyn Fn(u64) -> EventBody| counted.appends(spec_version, body);
        appends(&|_| EventBody::RunCreated(creation()));
        // A reader looks at a start first, so starts reach the writer one after the other.
        for run in 1..=MANY {
            append(&counted.world, run, spec_version, EventBody::RunStarted(None))();
        }
        appends(&|run| hook_created("h", &token(run)));
        appends(&|run| hook_received("h", Some(&token(run))));
        appends(&|_| wait_created("w", NOW_MS));
        appends(&|_| wait_completed("w"));
        appends(&|_| step_created("s"));
        appends(&|_| step_started("s"));
        appends(&|_| step_completed("s"));
        if spec_version >= 6 {
            appends(&|run| step_created_and_started("lazy", run as i64));
            appends(&|_| step_completed("lazy"));
            appends(&|_| attr_set(Some("a"), &[("key", Some("value"))]));
            appends(&|_| attr_set(None, &[("key", Some("of a step"))]));
        }
        appends(&|_| hook_disposed("h"));
        appends(&|_| EventBody::RunCompleted);
    }
}

#[test]
fn deliveries_of_many_runs_cost_few_round_trips() {
    let counted = Counted::new("trips_of_deliveries");
    let world = &counted.world;
    world.start_runs(MANY);
    for run in 1..=MANY {
        world.enqueue(wake_up(run));
    }
    let claimed = world.claim(MANY as usize);
    assert_eq!(claimed.len() as u64, MANY);
    // A claim comes between what other deliveries write.
    counted.costs_few_trips("fenced steps, a claim, and acknowledgements", |world| {
        let mut all = Vec::new();
        let mut fenced = |run: u64, delivery: &Delivery, body: EventBody| {
            let Delivery { message_id, lease_token, .. } = delivery;
            let lease = Fence { message_id: *message_id, lease_token: lease_token.clone() };
            let event = EventRequest { fence: Some(lease), ..request(run, body) };
            all.push(settles(|done| world.store.append_event(event, done)));
        };
        let runs: Vec<(u64, &Delivery)> = claimed
            .iter()
            .filter_map(|it| {
                let text = String::from_utf8_lossy(&it.body).into_owned();
                let run = (1..=MANY).find(|run| text.contains(run_id(*run).as_str()))?;
                Some((run, it))
            })
            .collect();
        assert_eq!(runs.len() as u64, MANY);
        let (before, after) = runs.split_at(runs.len() / 2);
        for (run, delivery) in before {
            fenced(*run, delivery, step_created("s"));
        }
        let claiming = settles(|done| world.store.claim(world.claim_request(10), done));
        let mut more = Vec::new();
        for (run, delivery) in after {
            fenced(*run, delivery, step_created("s"));
            let Delivery { message_id, lease_token, .. } = (*delivery).clone();
            let ack = Outcome::Ack;
            more.push(settles(|done| {
                world.store.settle_delivery(message_id, lease_token, ack, done);
            }));
        }
        all.push(claiming);
        all.extend(more);
        all
    });
}

#[test]
fn messages_and_streams_of_many_runs_cost_few_round_trips() {
    let counted = Counted::new("trips_of_messages");
    let world = &counted.world;
    world.start_runs(MANY);
    for run in 1..=MANY {
        world.does(run, hook_created("h", &format!("token {run}")));
    }
    let many = |what: &str, operation: &dyn Fn(&World, u64) -> Settled| {
        counted
            .costs_few_trips(what, |world| (1..=MANY).map(|run| operation(world, run)).collect());
    };
    many("messages of steps", &|world, run| {
        let purpose = Purpose::Step { run_id: run_id(run), step_id: id("s") };
        let idempotency_key = Some(format!("key {run}"));
        let message = NewMessage { purpose, idempotency_key, ..step_message("a") };
        settles(|done| world.store.enqueue(message, 0, done))
    });
    many("wake-ups", &|world, run| settles(|done| world.store.enqueue(wake_up(run), 0, done)));
    let claimed = std::cell::RefCell::new(world.claim(2 * MANY as usize));
    assert_eq!(claimed.borrow().len() as u64, 2 * MANY);
    many("deliveries to make again", &|world, _| {
        let delivery = claimed.borrow_mut().pop().expect("there are enough");
        let again = Outcome::Release { delay_ms: 9, error: "again".into(), reached: true };
        let Delivery { message_id, lease_token, .. } = delivery;
        settles(|done| world.store.settle_delivery(message_id, lease_token, again, done))
    });
    many("resumes with keys", &|world, run| {
        let token = HookToken::new(format!("token {run}"));
        let digests = ResumeDigests { key: format!("key {run}"), payload: "p".into() };
        let resume = request(run, hook_received("h", Some(token.expose())));
        let key = ResumeKey { token, digests, unsealed: None, window_ms: 1000 };
        settles(|done| world.store.resume_once(resume, key, done))
    });
    for run in 1..=MANY {
        world.write(&format!("stream {run}"), &["the first one makes the stream"]);
    }
    many("chunks", &|world, run| {
        let stream = format!("stream {run}");
        settles(|done| world.store.write_stream(stream, run_id(run), vec![b"more".to_vec()], done))
    });
    many("ends of streams", &|world, run| {
        settles(|done| world.store.close_stream(format!("stream {run}"), run_id(run), done))
    });
}

#[test]
fn look_ups_that_come_together_find_their_own_hooks_in_few_round_trips() {
    let counted = Counted::new("trips_of_look_ups");
    let world = &counted.world;
    world.start_runs(MANY);
    for run in 1..=MANY {
        world.does(run, hook_created("h", &format!("token {run}")));
    }
    let look_up = |run: u64| {
        let (done, found) = Completion::channel();
        let token = HookToken::new(format!("token {run}"));
        world.store.hook_and_run_by_token(&token).settle(done);
        found
    };
    look_up(1).recv_timeout(PATIENCE).expect("it settles").expect("it is found");
    let before = counted.proxy.trips();
    // Some tokens come twice, and some are unknown.
    let asked: Vec<u64> = (1..=MANY + 10).chain(1..=MANY).collect();
    let found: Vec<_> = asked.iter().map(|run| look_up(*run)).collect();
    for (run, found) in asked.into_iter().zip(found) {
        match found.recv_timeout(PATIENCE).expect("it settles") {
            Ok((view, of_hook)) => {
                assert_eq!(view.hook.token.expose(), format!("token {run}"));
                assert_eq!((&view.hook.run_id, &of_hook.run_id), (&run_id(run), &run_id(run)));
            }
            Err(error) => {
                assert!(run > MANY, "{run}: {error}");
                assert_eq!(error.kind, ErrorKind::HookNotFound);
            }
        }
    }
    let trips = counted.proxy.trips() - before;
    assert!(trips <= TRIPS_MAX, "{trips} round trips");
}
