//! Connections and servers that break under resumes: every acknowledged resume is there once, and none is
//! there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hookline::domain::id::HookToken;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{PlainResume, ResumedPlainly, Store};

use crate::kit::postgres_server::Server;
use crate::kit::settled;
use crate::proxy::{Fault, Proxy, RESUME};
use crate::server::{end_connections, fresh_database, kill_a_connection, times, wait_for};
use crate::{open, payloads, resume, with_runs};

/// What its caller knows of a resume.
#[derive(Debug, Default)]
pub struct Told {
    /// The payloads of the acknowledged ones.
    pub acknowledged: Vec<String>,
    /// How many failed, or have an unknown outcome.
    failed: usize,
}

/// The runs that are resumed, each by a thread of its own.
pub const RUNS: u64 = 8;

/// Resumes from several threads while `disturb` is called so often.
pub fn resumes_while(store: &Arc<dyn Store>, times: usize, disturb: impl FnMut(usize)) -> Told {
    callers_resume_while(store, RUNS, How::Named, times, disturb)
}

/// How callers resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// They name the hook.
    Named,
    /// They have its token only.
    ByToken,
}

fn resume_by(how: How, store: &dyn Store, run: u64, text: &str) -> Result<(), WorldError> {
    if how == How::ByToken {
        let token = HookToken::new(format!("token {run}"));
        let plain = PlainResume { token, payload: text.as_bytes().to_vec() };
        let tried = settled(|done| store.resume_plainly(plain, done))?;
        if matches!(tried, ResumedPlainly::Done(..)) {
            return Ok(());
        }
    }
    settled(|done| store.append_event(resume(run, text), done)).map(drop)
}

/// The same from so many threads, each with a run of its own. The resumes of a single one are each alone
/// in their transactions.
fn callers_resume_while(
    store: &Arc<dyn Store>,
    callers: u64,
    how: How,
    times: usize,
    mut disturb: impl FnMut(usize),
) -> Told {
    let settled_ones = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let resumes = |run: u64| {
        let mut told = Told::default();
        for number in 0.. {
            if is_over.load(Ordering::Acquire) {
                break;
            }
            let text = format!("{RESUME} {run} {number}");
            match resume_by(how, &**store, run, &text) {
                Ok(()) => told.acknowledged.push(text),
                Err(error) => {
                    assert!(is_honest(&error), "{error:?}");
                    told.failed += 1;
                }
            }
            settled_ones.fetch_add(1, Ordering::Relaxed);
        }
        told
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=callers).map(|run| scope.spawn(move || resumes(run))).collect();
        let mut seen = 0;
        for time in 0..times {
            // Something must happen between two disturbances.
            while settled_ones.load(Ordering::Relaxed) <= seen + 3 {
                if threads.iter().any(|thread| thread.is_finished()) {
                    // It has failed.
                    is_over.store(true, Ordering::Release);
                    break;
                }
                std::thread::yield_now();
            }
            seen = settled_ones.load(Ordering::Relaxed);
            if !is_over.load(Ordering::Acquire) {
                disturb(time);
            }
        }
        is_over.store(true, Ordering::Release);
        let mut all = Told::default();
        for thread in threads {
            let told = thread.join().expect("it resumes");
            all.acknowledged.extend(told.acknowledged);
            all.failed += told.failed;
        }
        all
    })
}

/// Checks the logs with a store that nothing disturbs.
pub fn check(url: &str, told: &Told) {
    let world = crate::World::of(open(url), Arc::new(crate::ManualClock::at(crate::NOW_MS)));
    let payloads = payloads(&world, RUNS);
    assert!(payloads.values().all(|count| *count == 1), "a resume happened twice: {payloads:?}");
    for text in &told.acknowledged {
        assert!(payloads.contains_key(text), "a resume was lost: {text}");
    }
    assert!(told.acknowledged.len() > told.failed, "most resumes succeed: {}", told.failed);
}

/// An error that says that the resume may be repeated, or that its outcome is unknown.
fn is_honest(error: &WorldError) -> bool {
    error.may_pass() || error.kind == ErrorKind::OutcomeUnknown
}

#[test]
fn no_resume_is_lost_or_doubled_while_the_server_ends_connections() {
    let url = fresh_database("ended");
    drop(with_runs(&url, RUNS));
    let store = open(&url);
    let mut ended = 0;
    // Also in the middle of a transaction.
    let told = resumes_while(&store, times(200, 30), |_| ended += end_connections("ended"));
    println!("{ended} connections were ended");
    store.close();
    check(&url, &told);
}

#[test]
fn no_resume_is_lost_or_doubled_while_processes_of_the_server_are_killed() {
    let server = Server::start("");
    let url = server.url("postgres");
    drop(with_runs(&url, RUNS));
    let store = open(&url);
    let told = resumes_while(&store, times(50, 4), |time| {
        if time % 2 == 0 {
            kill_a_connection(&server);
        } else {
            server.kill();
            server.start_again("");
        }
        wait_for(&server);
    });
    store.close();
    check(&url, &told);
}

/// With many callers at once, and with a single one.
fn behind_a_proxy(name: &str, fault: Fault, times: usize) {
    callers_behind_a_proxy(name, (RUNS, How::Named), fault, times);
    callers_behind_a_proxy(&format!("{name}_alone"), (1, How::Named), fault, times);
    callers_behind_a_proxy(&format!("{name}_token"), (1, How::ByToken), fault, times);
}

fn callers_behind_a_proxy(name: &str, (callers, how): (u64, How), fault: Fault, times: usize) {
    let url = fresh_database(name);
    drop(with_runs(&url, RUNS));
    let proxy = Proxy::start();
    let store = open(&proxy.url(name));
    let told = callers_resume_while(&store, callers, how, times, |time| {
        proxy.break_next(fault);
        while proxy.broken() <= time {
            std::thread::yield_now();
        }
    });
    proxy.mend();
    store.close();
    check(&url, &told);
}

#[test]
fn no_resume_is_lost_or_doubled_while_connections_break_between_a_commit_and_its_answer() {
    behind_a_proxy("doubt", Fault::CutAfterCommit, times(100, 20));
}

#[test]
fn no_resume_is_lost_or_doubled_while_connections_break_before_a_commit_arrives() {
    behind_a_proxy("before", Fault::CutBeforeCommit, times(100, 20));
}

#[test]
fn no_resume_is_lost_or_doubled_while_connections_break_in_the_middle_of_what_is_sent() {
    behind_a_proxy("midst", Fault::CutAnywhere, times(100, 20));
}

#[test]
fn no_resume_is_lost_or_doubled_while_answers_are_late() {
    behind_a_proxy("late", Fault::Delay, times(100, 20));
}

/// A network that loses everything from now on, and ends no connection.
#[test]
fn no_resume_is_lost_or_doubled_while_connections_lead_nowhere() {
    let callers = times(RUNS as usize, 1) as u64;
    callers_behind_a_proxy("swallowed", (callers, How::Named), Fault::Swallow, times(10, 1));
}
