//! How the server executes the statements of the store: a queue is empty when a statement is planned, and
//! full later.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::id::HookToken;
use hookline::domain::message::{NewMessage, Purpose};
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::domain::step_resume::StepResume;
use hookline::store::{Completion, Outcome};

use crate::kit::pooler::Pooler;
use crate::kit::postgres_server::shared;
use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, replay, settled, step_message, wake_up};
use crate::server::{fresh_database, run_sql, run_sql_in, text_in, times};

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
/// Runs that wait for a hook, for a time and for a step.
fn parked() -> usize {
    times(100_000, 10_000)
}
/// The run that all of them are copies of.
const PARKED: u64 = 9;
/// More rows than an operation of this test has to read, and fewer than there are.
const ROWS_MAX: f64 = 1500.0;
/// The same for the pages that are read to find these rows and few more.
const PAGES_MAX: f64 = 250.0;
const PAGES_OF_A_ROW_MAX: f64 = 8.0;
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
    crate::resumed_plainly(&*world.store, &token);
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
    read_a_run(world, run, &token);
    resume_by_a_step(world, run, &token);
    world.does(run, attr_set(Some("a"), &[("a", Some("1"))]));
    world.does(run, hook_disposed("h"));
    world.does(run, EventBody::RunCompleted);
    world.log(run);
}

/// Looks a run up in every way that an app does again and again.
fn read_a_run(world: &World, run: u64, token: &str) {
    let (store, token) = (&world.store, HookToken::new(token));
    let digests = ResumeDigests { key: token.expose().into(), payload: "p".into() };
    let key = ResumeKey { token: token.clone(), digests, unsealed: None, window_ms: 1_000_000 };
    let resume = request(run, hook_received("h", Some(token.expose())));
    settled(|done| store.resume_once(resume, key.clone(), done)).expect("the hook lives");
    settled(|done| store.earlier_resume(&key).settle(done)).expect("it is known");
    settled(|done| store.hook_by_token(&token).settle(done)).expect("the hook lives");
    settled(|done| store.hook_and_run_by_token(&token).settle(done)).expect("the hook lives");
    settled(|done| store.live_hooks(vec![token], done)).expect("they are read");
    settled(|done| store.hook(id("h"), true, done)).expect("a hook has this id");
    world.hooks(Some(run));
    settled(|done| store.run_by_id(&run_id(run)).settle(done)).expect("the run is there");
    settled(|done| store.run_ends(vec![run_id(run)], done)).expect("it is read");
    settled(|done| store.step(Some(run_id(run)), id("s"), true, done)).expect("the step is there");
    settled(|done| store.streams_of_run(run_id(run), done)).expect("they are read");
}

/// Resumes by a step, whose name is looked for.
fn resume_by_a_step(world: &World, run: u64, token: &str) {
    let place = format!("place {run}");
    let step = StepResume { place: place.clone(), payload: "digest".into(), nth: 0 };
    let event = request(run, hook_received("h", Some(token)));
    world.tries(EventRequest { resume: Some(step.mark()), ..event }).expect("it is resumed");
    let token = HookToken::new(token);
    settled(|done| world.store.hook_of_step(&place, 0, &token).settle(done)).expect("it is known");
}

/// What users do in transactions of their own, on copies of the parked run. From the sixth time on the
/// plans of a connection are for any values.
fn work_in_sql(database: &str) {
    let calls = (1..=7).map(|copy| {
        format!(
            "SELECT {database}.resume_hook('parked{copy}', '{{}}'), \
             {database}.resume_hook('parked{copy}', '{{}}', 'key {copy}'), \
             {database}.start('workflow//./w//w', '[1]')"
        )
    });
    run_sql_in(database, &calls.collect::<Vec<_>>().join("; "));
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

/// What a node of a plan has read.
#[derive(Debug, Default, Clone, Copy)]
struct Read {
    /// Also those that a filter has removed.
    rows: f64,
    pages: f64,
}

/// A statement that was executed, and what its plan has read of large tables: by table or index, and how.
struct Executed {
    text: String,
    reads: Vec<(String, Read)>,
    plan: String,
}

/// What the server has executed in the schema since its log was so long; the new length.
fn executed(schema: &str, since: &mut usize) -> Vec<Executed> {
    let log = std::fs::read_to_string(shared().place().join("log")).expect("the server has a log");
    let mut all = Vec::new();
    for part in log[*since..].split("plan:\n").skip(1) {
        let mut values = serde_json::Deserializer::from_str(part).into_iter::<serde_json::Value>();
        let Some(Ok(plan)) = values.next() else { continue };
        let text = plan["Query Text"].as_str().unwrap_or_default().to_owned();
        // A worker begins and ends only once, on a connection that fixes no plans.
        if text.contains(&format!("{schema}.")) && !text.contains(".owners") {
            let mut reads = Vec::new();
            reads_of(&plan["Plan"], &mut reads);
            all.push(Executed { text, reads, plan: plan["Plan"].to_string() });
        }
    }
    *since = log.len();
    all
}

/// Collects what the nodes of a plan that read a large table, or an index of one, have read.
fn reads_of(node: &serde_json::Value, reads: &mut Vec<(String, Read)>) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let number = |name: &str| node[name].as_f64().unwrap_or_default();
    let below = || node["Plans"].as_array().into_iter().flatten();
    let (kind, table, index) = (text("Node Type"), text("Relation Name"), text("Index Name"));
    let is_of_large = LARGE.iter().any(|table| index.starts_with(table));
    // Nodes that write name the table too.
    if kind.contains("Scan") && (LARGE.contains(&table) || is_of_large) {
        let removed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
        let pages = |node: &serde_json::Value| {
            let number = |name: &str| node[name].as_f64().unwrap_or_default();
            number("Shared Hit Blocks") + number("Shared Read Blocks")
        };
        let read = Read {
            rows: (number("Actual Rows") + removed) * number("Actual Loops"),
            pages: pages(node) - below().map(pages).sum::<f64>(),
        };
        reads.push((format!("{kind} of {table} {index}"), read));
    }
    below().for_each(|below| reads_of(below, reads));
}

/// Checks that no statement has read a table as a whole.
fn check_reads(when: &str, executed: &[Executed]) {
    let reads_too_much = |(what, read): &(String, Read)| {
        let pages_max = PAGES_MAX + PAGES_OF_A_ROW_MAX * read.rows;
        what.starts_with("Seq Scan") || read.rows > ROWS_MAX || read.pages > pages_max
    };
    let mut bad = BTreeMap::new();
    for Executed { text, reads, plan } in executed {
        if let Some((what, read)) = reads.iter().find(|read| reads_too_much(read)) {
            bad.insert(text, format!("{read:?} by {what} by {text}: {plan}"));
        }
    }
    let bad: Vec<String> = bad.into_values().collect();
    assert!(bad.is_empty(), "{when}: {} statements read too much:\n{}", bad.len(), bad.join("\n"));
}

fn open(url: &str) -> World {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store = crate::kit::open_postgres(url, &clock).expect("the database opens");
    World::of(Arc::new(store), clock)
}

/// A run that waits for a hook, for a time and for a step, and has a stream and a resume key.
fn park(world: &World) {
    world.start_run_of(PARKED, 6);
    world.does(PARKED, hook_created("h", "parked"));
    world.does(PARKED, wait_created("w", NOW_MS + 1_000_000_000));
    world.does(PARKED, step_created("s"));
    let step = Purpose::Step { run_id: run_id(PARKED), step_id: id("s") };
    let key = Some("parked".to_owned());
    let message = NewMessage { purpose: step, idempotency_key: key, ..step_message("a") };
    world.enqueue_in(message, 1_000_000_000);
    world.enqueue_in(wake_up(PARKED), 1_000_000_000);
    settled(|done| {
        world.store.write_stream("parked".into(), run_id(PARKED), vec![b"a".to_vec()], done)
    })
    .expect("the chunk is written");
}

/// Makes copies of the run that [`park`] has made, behind the first ones.
fn fill(database: &str, behind: usize, up_to: usize) {
    let fill = |table: &str, of: &str, replaced: &[(&str, &str)]| {
        let columns = text_in(
            database,
            &format!(
                "SELECT string_agg(column_name, ',') FROM information_schema.columns \
                 WHERE table_name = '{table}' AND table_schema = '{database}' AND is_identity = 'NO'"
            ),
        );
        let value = |column: &str| {
            let replaced = replaced.iter().find(|(name, _)| *name == column);
            replaced.map_or(format!("t.{column}"), |(_, value)| (*value).to_owned())
        };
        let values: Vec<String> = columns.split(',').map(value).collect();
        run_sql_in(
            database,
            &format!(
                "INSERT INTO {database}.{table} ({columns}) SELECT {} FROM {database}.{table} AS t, \
                 generate_series({behind} + 1, {up_to}) AS n WHERE {of}",
                values.join(",")
            ),
        );
    };
    let run = format!("t.run_id = '{}'", run_id(PARKED));
    let run_of_copy = ("run_id", "t.run_id || n");
    fill("runs", &run, &[run_of_copy]);
    // No replay has seen the parked run itself.
    let copy = format!("'{}' || n", run_id(PARKED));
    let replay = format!("t.run_id = (SELECT min(run_id) FROM {database}.replays)");
    fill("replays", &replay, &[("run_id", &copy)]);
    fill("events", &run, &[run_of_copy, ("correlation_id", "t.correlation_id || n")]);
    fill("steps", &run, &[run_of_copy, ("step_id", "t.step_id || n")]);
    fill("waits", &run, &[run_of_copy, ("correlation_id", "t.correlation_id || n")]);
    let token = "t.token || convert_to(n::text, 'UTF8')";
    let digest = format!("sha256({token})");
    let hook = [run_of_copy, ("hook_id", "t.hook_id || n"), ("token", token)];
    fill("hooks", &run, &[&hook[..], &[("token_digest", &*digest)]].concat());
    let ids = ("message_id", "t.message_id - n * 1000");
    let key = ("idempotency_key", "t.idempotency_key || n");
    fill("messages", &run, &[run_of_copy, ids, key, ("step_id", "t.step_id || n")]);
    fill("streams", &run, &[run_of_copy, ("name", "t.name || n")]);
    let number = ("stream_number", "t.stream_number + 1000000 + n");
    let key = format!("t.key_digest = (SELECT min(key_digest) FROM {database}.resume_keys)");
    fill("resume_keys", &key, &[run_of_copy, ("key_digest", "t.key_digest || n")]);
    let stream = format!("SELECT stream_number FROM {database}.streams WHERE name = 'parked'");
    fill("chunks", &format!("t.stream_number = ({stream})"), &[number]);
}

/// A fresh database whose server logs how it executes each statement; the URL of a schema of the same
/// name.
fn observed_database(name: &str) -> String {
    let url = format!("{}&schema={name}", fresh_database(name));
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_format = 'json'",
        "auto_explain.log_analyze = on",
        "auto_explain.log_buffers = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_nested_statements = on",
        // Longer than a good plan takes, shorter than a bad one.
        "statement_timeout = '20s'",
    ] {
        run_sql(&format!("ALTER DATABASE {name} SET {setting}"));
    }
    url
}

/// Lets the server know of the tables only what this test tells it.
fn without_autovacuum(database: &str) {
    for table in LARGE {
        let off = format!("ALTER TABLE {database}.{table} SET (autovacuum_enabled = off)");
        run_sql_in(database, &off);
    }
}

#[test]
fn no_statement_reads_a_whole_table_whatever_the_server_knows_of_it() {
    const DATABASE: &str = "plans";
    let url = observed_database(DATABASE);
    let pooler = Pooler::start(DATABASE);
    let pooled_url = format!("{}&schema={DATABASE}", pooler.url(DATABASE));
    let mut since = 0;
    let mut from = 0;
    let mut works = |worlds: &[&World]| {
        for world in worlds {
            from += 1000;
            work(world, from);
        }
    };

    let (direct, pooled) = (open(&url), open(&pooled_url));
    without_autovacuum(DATABASE);
    works(&[&direct, &pooled]);
    park(&direct);
    let on_empty = executed(DATABASE, &mut since);
    let texts: BTreeMap<_, _> = on_empty.iter().map(|it| (&it.text, ())).collect();
    assert!(texts.len() > 40, "the log has the plans of {} statements", texts.len());

    fill(DATABASE, 0, parked());
    executed(DATABASE, &mut since);
    works(&[&direct, &pooled]);
    check_reads("planned when the tables were empty", &executed(DATABASE, &mut since));
    let (direct, pooled) = (open(&url), open(&pooled_url));
    let mut works_and_checks = |when: &str| {
        works(&[&direct, &pooled]);
        work_in_sql(DATABASE);
        check_reads(when, &executed(DATABASE, &mut since));
    };
    let is_thorough = times(1, 0) > 0;
    if is_thorough {
        works_and_checks("full tables without statistics");
    }
    // Autovacuum never analyses the queue; a person may.
    let analyse = |table: &&str| run_sql_in(DATABASE, &format!("ANALYZE {DATABASE}.{table}"));
    LARGE.iter().filter(|table| **table != "messages").for_each(analyse);
    works_and_checks("statistics of autovacuum");
    if is_thorough {
        analyse(&"messages");
        works_and_checks("statistics of everything");
    }
}

/// Deletes what [`fill`] has made.
fn delete_copies(database: &str, tables: &[&str]) {
    for table in tables {
        let copies = match *table {
            "chunks" => "stream_number > 1000000".to_owned(),
            _ => format!("length(run_id) > {}", run_id(PARKED).as_str().len()),
        };
        run_sql_in(database, &format!("DELETE FROM {database}.{table} WHERE {copies}"));
    }
}

/// Plans are made when the tables have few rows, had more before, and were vacuumed; then they are
/// filled. Autovacuum comes with the fiftieth change, so there are about a dozen runs at least.
fn check_plans_of_small_tables(database: &str, before: usize, small: usize, are_over: bool) {
    let url = observed_database(database);
    let world = open(&url);
    without_autovacuum(database);
    park(&world);
    fill(database, small, before);
    delete_copies(database, &LARGE);
    fill(database, 0, small);
    if are_over {
        // What is left of runs that have ended.
        delete_copies(database, &["hooks", "waits", "messages", "resume_keys", "replays"]);
    }
    for table in LARGE {
        let how = if table == "messages" { "VACUUM" } else { "VACUUM ANALYZE" };
        run_sql_in(database, &format!("{how} {database}.{table}"));
    }
    // The plans are made anew, and kept.
    work(&world, 2000);
    fill(database, small, parked());
    let mut since = 0;
    executed(database, &mut since);
    work(&world, 3000);
    check_reads(&format!("planned with {small} rows"), &executed(database, &mut since));
}

#[test]
fn no_statement_reads_a_whole_table_that_was_almost_empty_when_it_was_vacuumed() {
    check_plans_of_small_tables("vacuumed_empty", 0, 12, true);
}

#[test]
fn no_statement_reads_a_whole_table_that_was_tiny_when_it_was_vacuumed() {
    check_plans_of_small_tables("vacuumed_tiny", 0, 12, false);
}

#[test]
fn no_statement_reads_a_whole_table_that_was_small_when_it_was_vacuumed() {
    check_plans_of_small_tables("vacuumed_small", 0, 200, false);
}

#[test]
fn no_statement_reads_a_whole_table_that_had_become_small_when_it_was_vacuumed() {
    check_plans_of_small_tables("vacuumed_again", 3000, 12, true);
}
