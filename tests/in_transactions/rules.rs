//! What the functions promise to whoever calls them.

use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::domain::id::RunId;
use hookline::store::Completion;

use crate::caller::Caller;
use crate::kit::postgres_server::fresh_schema;
use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, key_ring, open_postgres, settled, step_message};

/// A schema with a running run 1 that has the hook "h" with the token "token"; and its URL.
fn with_hook() -> (World, String) {
    let (url, clock) = (fresh_schema(), Arc::new(ManualClock::at(NOW_MS)));
    let store = Arc::new(open_postgres(&url, &clock).expect("the schema is made"));
    let world = World::with_upkeep(store, clock, None);
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    (world, url)
}

const RESUME: &str = "SELECT hookline.resume_hook('token', '1')";
const START_OF_ALL: &str =
    "SELECT hookline.start('workflow//a', release => 'v1', spec_version => 7)";
const START: &str = "SELECT hookline.start('workflow//a', '[]')";

#[test]
fn what_is_rolled_back_has_never_happened_and_what_is_committed_has() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    world.claimed(1);
    caller.run("BEGIN; CREATE TABLE hookline.orders (id integer)").expect("it begins");
    caller.text(RESUME, &[]).expect("it resumes");
    caller.text(START, &[]).expect("it starts");
    assert_eq!(world.log(1).len(), 3, "nobody sees it yet");
    caller.run("ROLLBACK").expect("it rolls back");
    assert_eq!(world.log(1).len(), 3);
    world.claims_nothing();
    caller.run("BEGIN").expect("it begins");
    caller.text(RESUME, &[]).expect("it resumes");
    let started = caller.text(START, &[]).expect("it starts");
    caller.run("COMMIT").expect("it commits");
    assert_eq!(world.log_types(1)[3..], ["hook_received"]);
    let woken: Vec<String> = world
        .claim(10)
        .into_iter()
        .map(|it| String::from_utf8_lossy(&it.body).into_owned())
        .collect();
    assert!(woken.iter().any(|body| body.contains(&started)), "{woken:?}");
    assert!(woken.iter().any(|body| body.contains(run_id(1).as_str())), "{woken:?}");
}

#[test]
fn a_commit_is_told_where_the_processes_listen() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    let channel = caller.text(
        r"SELECT substring(prosrc FROM $$pg_notify\('([^']+)'$$) FROM pg_proc
          WHERE oid = 'hookline.resume_hook'::regproc",
        &[],
    );
    caller.listen(&channel.expect("the function tells"));
    world.enqueue(step_message("a"));
    assert_ne!(caller.heard(), "sql", "a process tells on the same channel");
    caller.run("BEGIN").expect("it begins");
    caller.text(RESUME, &[]).expect("it resumes");
    caller.text(START_OF_ALL, &[]).expect("it starts");
    caller.run("COMMIT").expect("it commits");
    while caller.heard() != "sql" {}
}

#[test]
fn a_claim_takes_no_message_whose_run_is_being_resumed_and_takes_it_afterwards() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    caller.text(RESUME, &[]).expect("the run is woken");
    // The functions go by the clock of the server.
    world.at(365 * 24 * 3_600_000);
    caller.run("BEGIN").expect("it begins");
    caller.text(RESUME, &[]).expect("its event is absorbed by the message");
    world.claims_nothing();
    caller.run("COMMIT").expect("it commits");
    world.claim_one();
    assert_eq!(world.log_types(1)[3..], ["hook_received"; 2]);
}

#[test]
fn a_transaction_that_stays_open_holds_up_its_own_run_only() {
    let (world, url) = with_hook();
    world.does(2, EventBody::RunCreated(creation()));
    world.does(2, EventBody::RunStarted(None));
    world.does(2, hook_created("h", "other"));
    let caller = Caller::new(&url, "postgres");
    caller.run("BEGIN").expect("it begins");
    caller.text(RESUME, &[]).expect("it resumes");
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let (done, outcome) = Completion::channel();
            world.store.append_event(request(1, hook_received("h", None)), done);
            outcome
        })
        .collect();
    for _ in 0..200 {
        world.does(2, hook_received("h", None));
    }
    assert!(waiting.iter().all(|outcome| outcome.try_recv().is_err()), "run 1 is held");
    caller.run("COMMIT").expect("it commits");
    for outcome in waiting {
        outcome.recv_timeout(PATIENCE).expect("it settles").expect("it is received");
    }
    assert_eq!(world.log_types(1)[3..], ["hook_received"; 4]);
}

#[test]
fn an_older_snapshot_is_told_to_begin_again_and_leaves_the_log_whole() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    for disturbance in [hook_received("h", None), hook_disposed("h")] {
        caller.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").expect("it begins");
        world.does(1, disturbance);
        assert_eq!(caller.text(RESUME, &[]), Err("40001".into()));
        caller.run("ROLLBACK").expect("it ends");
    }
    assert_eq!(world.log_types(1)[3..], ["hook_received", "hook_disposed"]);
}

#[test]
fn a_role_needs_the_right_to_call_and_gets_no_other_by_it() {
    let (_world, url) = with_hook();
    let owner = Caller::new(&url, "postgres");
    let schema = url.rsplit_once("schema=").expect("a schema").1;
    let role = format!("caller_of_{schema}");
    owner.run(&format!("CREATE ROLE {role} LOGIN")).expect("a role");
    owner.run(&format!("GRANT USAGE ON SCHEMA {schema} TO {role}")).expect("it is granted");
    let caller = Caller::new(&url, &role);
    assert_eq!(caller.text(RESUME, &[]), Err("42501".into()));
    assert_eq!(caller.text(START, &[]), Err("42501".into()));
    owner
        .run(&format!("GRANT EXECUTE ON FUNCTION hookline.resume_hook, hookline.start TO {role}"))
        .expect("it is granted");
    caller.text(RESUME, &[]).expect("it resumes");
    for denied in [
        "SELECT count(*)::text FROM hookline.runs",
        "SELECT hookline.workflow_prefix()::text",
        "SELECT hookline.wake('a', 'b', '{}', 'c', 3, 'd', 0, 0, 0)::text",
        "SELECT outcome FROM hookline.receive('a', 'b', NULL, 3, NULL, NULL, NULL, NULL, NULL, NULL, '', \
         0, true, NULL, NULL, NULL)",
        "SELECT hookline.refuse_if_encrypted()::text",
    ] {
        assert_eq!(caller.text(denied, &[]), Err("42501".into()), "{denied}");
    }
    // Names of the caller's own are not found by the functions.
    caller
        .run("CREATE DOMAIN pg_temp.text AS integer; CREATE TEMP TABLE runs ()")
        .expect("they are made");
    caller
        .text("SELECT hookline.resume_hook('token', '1', 'key')::pg_catalog.text", &[])
        .expect("it resumes");
}

#[test]
fn what_cannot_be_is_refused_with_a_state_that_says_why() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    let state = |sql: &str| caller.text(sql, &[]).expect_err("it is refused");
    assert_eq!(state("SELECT hookline.resume_hook('another', '1')"), "HL404");
    assert_eq!(state("SELECT hookline.resume_hook(NULL, '1')"), "HL404");
    assert_eq!(state(START), "HL503", "no worker has begun");
    caller
        .text("SELECT hookline.start('workflow//a', release => 'v1', spec_version => 7)", &[])
        .expect("it says all");
    world.claimed(1);
    for wrong in [
        r#"SELECT hookline.resume_hook('token', '{"__proto__":1}')"#,
        "SELECT hookline.resume_hook('token', (repeat('[', 1001) || repeat(']', 1001))::jsonb)",
        "SELECT hookline.resume_hook('token', '1', '')",
        "SELECT hookline.resume_hook('token', '1', 'k', '366 days')",
        "SELECT hookline.resume_hook('token', '1', 'k', NULL)",
        "SELECT hookline.start('', '[]')",
        "SELECT hookline.start(NULL, '[]')",
        "SELECT hookline.start('a b', '[]')",
        "SELECT hookline.start('workflow//a', '{}')",
        "SELECT hookline.start('workflow//a', NULL)",
        "SELECT hookline.start('workflow//a', '[]', 'latest')",
        "SELECT hookline.start('workflow//a', '[]', '')",
        "SELECT hookline.start('workflow//a', '[]', NULL, 4)",
    ] {
        assert_eq!(state(wrong), "HL422", "{wrong}");
    }
    let deep =
        "SELECT hookline.resume_hook('token', (repeat('[', 1000) || repeat(']', 1000))::jsonb)";
    caller.text(deep, &[]).expect("it is not too deep");
    caller.text("SELECT hookline.resume_hook('token', '1', 'k')", &[]).expect("it resumes");
    assert_eq!(state("SELECT hookline.resume_hook('token', '2', 'k')"), "HL409");
    world.does(1, endings()[0].clone());
    assert_eq!(state(RESUME), "HL404", "the run has ended");
    let again = caller.text("SELECT hookline.resume_hook('token', '1', 'k')", &[]);
    assert_eq!(again.as_deref(), Ok(run_id(1).as_str()), "a repetition is no new resume");
}

#[test]
fn a_database_with_encryption_keys_is_refused() {
    use hookline::clock::Clock;
    use hookline::store::sealed::{SealedStore, TokensAtRest};
    let (url, clock) = (fresh_schema(), Arc::new(ManualClock::at(NOW_MS)));
    let inner = Arc::new(open_postgres(&url, &clock).expect("the schema is made"));
    let ring = Arc::new(key_ring(&[("a", 1)]));
    let sealed =
        SealedStore::open(inner, ring, TokensAtRest::Sealed, Arc::clone(&clock) as Arc<dyn Clock>);
    let world = World::of(Arc::new(sealed.expect("it opens")), clock);
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let caller = Caller::new(&url, "postgres");
    assert_eq!(caller.text(RESUME, &[]), Err("HL501".into()));
    assert_eq!(caller.text(START, &[]), Err("HL501".into()));
    assert_eq!(world.log(1).len(), 3);
}

#[test]
fn a_start_is_of_the_worker_that_began_last() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    world.claimed(1);
    let of_first = caller.text(START, &[]).expect("it starts");
    let started =
        settled(|done| world.store.run(RunId::new(of_first), true, done)).expect("it is there");
    let (run, input) = (started.run, started.input.expect("arguments"));
    assert_eq!((&*run.deployment_id, run.spec_version), ("dpl_hookline", 7));
    assert_eq!(input.as_bytes(), b"devl[[]]");
    caller
        .run("UPDATE hookline.start_defaults SET deployment_id = 'v2', spec_version = 3")
        .expect("another began");
    let of_second = caller.text(START, &[]).expect("it starts");
    let second =
        settled(|done| world.store.run(RunId::new(of_second), false, done)).expect("it is there");
    assert_eq!((&*second.run.deployment_id, second.run.spec_version), ("v2", 3));
}

#[test]
fn ids_of_runs_are_of_their_time_and_never_the_same() {
    let (_world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    let ids = caller.text(
        &format!(
            "SELECT string_agg(hookline.fresh_run_id({NOW_MS}), ' ') FROM generate_series(1, 5000)"
        ),
        &[],
    );
    let ids = ids.expect("they are drawn");
    let ids: std::collections::BTreeSet<&str> = ids.split(' ').collect();
    assert_eq!(ids.len(), 5000);
    for id in ids {
        assert_eq!(RunId::new(id).unacceptable_because(NOW_MS), None);
        assert_eq!(id[5..15], run_id_made_at(NOW_MS, 1).as_str()[5..15]);
    }
}

#[test]
fn no_message_comes_before_the_newest_one_after_the_clock_was_set_back() {
    let (world, url) = with_hook();
    let caller = Caller::new(&url, "postgres");
    caller.has_clock();
    caller.at(NOW_MS + 9_000);
    caller.text(RESUME, &[]).expect("it resumes");
    world.at(9_000);
    world.claim_one();
    caller.at(NOW_MS);
    caller.text(RESUME, &[]).expect("it resumes");
    let times = caller.text(
        "SELECT string_agg(created_at_ms::text, ' ' ORDER BY message_id) FROM hookline.messages",
        &[],
    );
    assert_eq!(times.expect("they are read"), format!("{0} {0}", NOW_MS + 9_000));
    let log = world.log(1);
    assert_eq!(log[3].created_at_ms, log[4].created_at_ms, "the log does not go back either");
}
