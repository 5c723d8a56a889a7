//! How the server executes the statements of the store: a queue is empty when a statement is planned, and
//! full later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::message::{NewMessage, Purpose};
use hookline::store::{Completion, Outcome};

use crate::kit::postgres_server::shared;
use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, replay, settled, step_message, wake_up};
use crate::server::{fresh_database, run_sql, run_sql_in};

/// Tables with as many rows as there are runs, hooks or messages.
const LARGE: [&str; 10] = [
    "runs",
    "events",
    "steps",
    "hooks",
    "waits",
    "messages",
    "streams",
    "chunks",
    "resume_keys",
    "replays",
];
/// Rows of the full tables. The server believes that they are all there is.
const ROWS: u64 = 20_000;
/// Operations that are made at once, so that some share a transaction.
const TOGETHER: u64 = 40;

/// Every kind of statement that carries runs, on runs from this number on, alone and many at once.
fn work(world: &World, from: u64) {
    for round in 0..3 {
        let run = from + round;
        world.start_run_of(run, 6);
        work_on_a_run(world, run);
    }
    let runs = from + 10..from + 10 + TOGETHER;
    runs.clone().for_each(|run| world.start_run_of(run, 3));
    at_once(world, runs.clone(), |run| hook_created("h", &format!("many {run}")));
    for round in 0..3 {
        at_once(world, runs.clone(), |_| hook_received("h", None));
        at_once(world, runs.clone(), |run| step_created(&format!("{round} {run}")));
    }
    at_once(world, runs.clone(), |run| step_started(&format!("0 {run}")));
    at_once(world, runs.clone(), |run| step_completed(&format!("0 {run}")));
    let claimed = world.claim(2 * TOGETHER as usize);
    world.extend(&claimed.iter().collect::<Vec<_>>(), 60_000);
    let mut acks = Vec::new();
    for delivery in &claimed {
        let (done, outcome) = Completion::channel();
        let (id, token) = (delivery.message_id, delivery.lease_token.clone());
        world.store.settle_delivery(id, token, Outcome::Ack, done);
        acks.push(outcome);
    }
    for ack in acks {
        ack.recv_timeout(PATIENCE).expect("it settles").expect("it is acked");
    }
    at_once(world, runs, |_| EventBody::RunCompleted);
}

fn work_on_a_run(world: &World, run: u64) {
    let token = format!("token {run}");
    world.does(run, EventBody::RunStarted(None));
    world.does(run, hook_created("h", &token));
    world.does(run, hook_received("h", Some(&token)));
    world.does(run, wait_created("w", NOW_MS + 1_000_000));
    world.does(run, step_created("s"));
    world.does(run, step_started("s"));
    world.does(run, step_retrying("s", None));
    settled(|done| world.store.complete_waits(run_id(run), None, done)).expect("waits complete");
    let step = Purpose::Step { run_id: run_id(run), step_id: id("s") };
    let key = Some(format!("key {run}"));
    world.enqueue(NewMessage { purpose: step, idempotency_key: key, ..step_message("a") });
    world.enqueue_in(wake_up(run), 1_000_000);
    world.enqueue(replay(run, "a"));
    for delivery in world.claim(10) {
        assert!(world.holds(&delivery));
        world.admit(&delivery);
        let back = Outcome::Release { delay_ms: 0, error: "again".into(), reached: true };
        world.settle(&delivery, back);
    }
    settled(|done| world.store.wake_forgotten(None, 10, done)).expect("it searches");
    settled(|done| world.store.free_dead_leases(done)).expect("it frees");
    world.write(&format!("stream {run}"), &["a", "b"]);
    world.slice(&format!("stream {run}"), 0, 10);
    world.close_stream(&format!("stream {run}"));
    let found =
        settled(|done| world.store.hook_by_token(&HookToken::new(token.as_str())).settle(done));
    found.expect("the hook lives");
    world.does(run, hook_disposed("h"));
    world.does(run, EventBody::RunCompleted);
    world.log(run);
}

/// Appends an event to each of these runs, without awaiting the one before.
fn at_once(world: &World, runs: std::ops::Range<u64>, body: impl Fn(u64) -> EventBody) {
    let mut outcomes = Vec::new();
    for run in runs {
        let (done, outcome) = Completion::channel();
        world.store.append_event(request(run, body(run)), done);
        outcomes.push(outcome);
    }
    for outcome in outcomes {
        outcome.recv_timeout(PATIENCE).expect("it settles").expect("it is appended");
    }
}

/// The statements in the server's log that name the schema, each with the plans by which it was executed:
/// what these scan.
fn plans(schema: &str) -> BTreeMap<String, BTreeSet<BTreeSet<String>>> {
    let log = std::fs::read_to_string(shared().place().join("log")).expect("the server has a log");
    let mut plans: BTreeMap<String, BTreeSet<BTreeSet<String>>> = BTreeMap::new();
    for part in log.split("plan:\n").skip(1) {
        let mut values = serde_json::Deserializer::from_str(part).into_iter::<serde_json::Value>();
        let Some(Ok(plan)) = values.next() else { continue };
        let text = plan["Query Text"].as_str().unwrap_or_default();
        // What fills the tables is none of the store's, and a worker begins and ends only once, on a
        // connection that fixes no plans.
        let is_exempt = text.contains("generate_series") || text.contains(".owners");
        if text.contains(&format!("{schema}.")) && !is_exempt {
            let mut scans = BTreeSet::new();
            scans_of(&plan["Plan"], &mut scans);
            plans.entry(text.to_owned()).or_default().insert(scans);
        }
    }
    plans
}

/// The indexes that a plan uses, in whichever way, and the tables that it reads without one.
fn scans_of(plan: &serde_json::Value, scans: &mut BTreeSet<String>) {
    let text = |name: &str| plan[name].as_str().unwrap_or_default();
    match (text("Node Type"), text("Index Name")) {
        ("Seq Scan", _) => drop(scans.insert(format!("Seq Scan {}", text("Relation Name")))),
        (_, "") => {}
        (_, index) => drop(scans.insert(index.to_owned())),
    }
    for below in plan["Plans"].as_array().into_iter().flatten() {
        scans_of(below, scans);
    }
}

fn open(url: &str) -> World {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = crate::kit::open_postgres(url, &clock).expect("the database opens");
    World::of(Arc::new(store), clock)
}

fn scans_a_large_table(plan: &BTreeSet<String>) -> bool {
    LARGE.iter().any(|table| plan.contains(&format!("Seq Scan {table}")))
}

/// Fills the large tables with copies of what is there.
fn fill(database: &str, schema: &str) {
    let copies = format!("generate_series(1, {ROWS}) AS n");
    let fill = |table: &str, columns: &str| {
        let sql = format!(
            "INSERT INTO {schema}.{table} SELECT x.* FROM \
             (SELECT t AS one FROM {schema}.{table} AS t LIMIT 1) AS t, {copies}, \
             LATERAL jsonb_populate_record(t.one, jsonb_build_object({columns})) AS x"
        );
        run_sql_in(database, &sql);
    };
    fill("runs", "'run_id', 'full_' || n");
    fill("events", "'run_id', 'full_' || n");
    fill("steps", "'run_id', 'full_' || n, 'step_id', 'full_' || n");
    fill("messages", "'message_id', n, 'run_id', 'full_' || n, 'idempotency_key', null");
    LARGE.iter().for_each(|table| run_sql_in(database, &format!("ANALYZE {schema}.{table}")));
}

#[test]
fn no_statement_reads_a_whole_table_however_full_it_was_when_the_statement_was_planned() {
    const DATABASE: &str = "plans";
    let url = format!("{}&schema={DATABASE}", fresh_database(DATABASE));
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_format = 'json'",
    ] {
        run_sql(&format!("ALTER DATABASE {DATABASE} SET {setting}"));
    }
    let world = open(&url);
    work(&world, 1000);
    world.enqueue_in(step_message("stays"), 1_000_000);
    let on_empty = plans(DATABASE).len();
    assert!(on_empty > 40, "the log has the plans of {on_empty} statements");
    world.store.close();

    fill(DATABASE, DATABASE);
    let world = open(&url);
    work(&world, 2000);
    for (statement, plans) in plans(DATABASE) {
        assert!(!plans.iter().any(scans_a_large_table), "{statement}: {plans:?}");
    }
}
