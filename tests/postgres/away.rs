//! A server that is away for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hookline::clock::ManualClock;
use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::page::PageRequest;

use hookline::error::ErrorKind;
use hookline::store::{Completion, PlainResume, ResumedPlainly, RunQuery};

use crate::kit::postgres_server::Server;
use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, settled};
use crate::proxy::{Fault, Proxy, RESUME};
use crate::server::{fresh_database, number_in, times, wait_for};
use crate::{open, payloads, resume, with_runs};

/// Makes a resume whose commit loses its answer. Nobody can connect then, until `when_away` returns.
fn resumes_in_doubt(name: &str, when_away: impl FnOnce(&Proxy)) -> (Result<(), ErrorKind>, World) {
    let url = fresh_database(name);
    drop(with_runs(&url, 1));
    let proxy = Proxy::start();
    let store = open(&proxy.url(name));
    // Its connection is there.
    settled(|done| store.append_event(resume(1, "before"), done)).expect("it resumes");
    proxy.break_next_and_cut_off(Fault::CutAfterCommit);
    let (done, outcome) = Completion::channel();
    store.append_event(resume(1, RESUME), done);
    when_away(&proxy);
    // The fate of a commit is asked for as long as other operations may take.
    let outcome = outcome.recv_timeout(2 * PATIENCE).expect("it settles");
    proxy.mend();
    settled(|done| store.append_event(resume(1, "after"), done)).expect("it goes on");
    store.close();
    let world = World::of(open(&url), Arc::new(ManualClock::at(NOW_MS)));
    (outcome.map(drop).map_err(|error| error.kind), world)
}

#[test]
fn a_commit_whose_server_is_away_for_long_is_known_when_it_is_back() {
    // An operation tries 9 times to connect.
    let refused = times(60, 12);
    let (outcome, world) = resumes_in_doubt("away", |proxy| {
        while proxy.refused() < refused {
            std::thread::yield_now();
        }
        proxy.mend();
    });
    assert_eq!(outcome, Ok(()));
    let payloads = payloads(&world, 1);
    assert_eq!(payloads.len(), 3);
    assert!(payloads.values().all(|count| *count == 1), "{payloads:?}");
}

#[test]
fn a_commit_whose_server_does_not_come_back_is_said_to_be_unknown() {
    if times(1, 0) == 0 {
        println!("skipped: it takes a minute, so it runs with HOOKLINE_TEST_LONG");
        return;
    }
    let (outcome, world) = resumes_in_doubt("gone", |_| {});
    assert_eq!(outcome, Err(ErrorKind::OutcomeUnknown));
    // The network has lost only the answer.
    assert_eq!(payloads(&world, 1).len(), 3);
}

#[test]
fn a_resume_by_token_is_known_when_its_hook_went_before_its_answer_came() {
    const DATABASE: &str = "went";
    const FOUND: &str = "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes \
         WHERE indexrelname = 'events_by_write'";
    let world = with_runs(&fresh_database(DATABASE), 1);
    let proxy = Proxy::start();
    let store = open(&proxy.url(DATABASE));
    settled(|done| store.append_event(resume(1, "before"), done)).expect("it resumes");
    proxy.break_next_and_cut_off(Fault::CutAfterCommit);
    let (done, outcome) = Completion::channel();
    let (token, payload) = (HookToken::new("token 1"), RESUME.as_bytes().to_vec());
    store.resume_plainly(PlainResume { token, payload }, done);
    let resumes = || {
        let payloads = world.log(1).into_iter().filter_map(|event| event.payload);
        payloads.filter(|payload| payload.as_bytes() == RESUME.as_bytes()).count()
    };
    while proxy.refused() == 0 || resumes() == 0 {
        std::thread::yield_now();
    }
    world.does(1, EventBody::RunCompleted);
    proxy.mend();
    let outcome = outcome.recv_timeout(2 * PATIENCE).expect("it settles");
    let outcome = outcome.expect("it is known");
    let ResumedPlainly::Done(found) = outcome else { panic!("it is resumed: {outcome:?}") };
    assert_eq!(found.1.run_id, run_id(1));
    store.close();
    assert_eq!(resumes(), 1);
    // However many events there are. The server counts after the connection has ended.
    while number_in(DATABASE, FOUND) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn reads_wait_for_a_server_that_restarts() {
    let server = Server::start("");
    let store = with_runs(&server.url("postgres"), 1).store;
    let (is_over, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    let read = || {
        while !is_over.load(Ordering::Acquire) {
            let token = HookToken::new("token 1");
            settled(|done| store.hook_by_token(&token).settle(done)).expect("the hook is found");
            let query = RunQuery {
                workflow_name: None,
                statuses: None,
                page: PageRequest::first(10),
                resolve_data: false,
            };
            let page = settled(|done| store.runs(query, done)).expect("the runs are listed");
            assert_eq!(page.items.len(), 1);
            reads.fetch_add(1, Ordering::AcqRel);
        }
    };
    std::thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        for _ in 0..times(20, 3) {
            let before = reads.load(Ordering::Acquire);
            while reads.load(Ordering::Acquire) <= before + 2 {
                if readers.iter().any(|reader| reader.is_finished()) {
                    // It has failed.
                    is_over.store(true, Ordering::Release);
                    return;
                }
                std::thread::yield_now();
            }
            server.kill();
            server.start_again("");
            wait_for(&server);
        }
        is_over.store(true, Ordering::Release);
    });
}
