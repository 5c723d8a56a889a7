//! Waiting for the end of a run and for a hook, on real stores. Commits of this process and of another
//! one end the waits; a second store on the same file plays the other process.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::sync::mpsc::{Receiver, Sender, channel};

use hookline::board::{Boards, WaiterId};
use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::run::RunStatus;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{Completion, HookView, RunView};

use self::kit::rows::*;
use self::kit::{PATIENCE, World, open_file};

type Outcome<T> = Receiver<Result<Option<T>, WorldError>>;

const fn waiter(number: u32) -> WaiterId {
    WaiterId { world: 1, number }
}

/// Awaits the end of run 1.
fn run_end(boards: &Boards, number: u32) -> Outcome<RunView> {
    let (done, outcome) = Completion::channel();
    boards.run_ends.enter(waiter(number), run_id(1), done);
    outcome
}

fn hook(boards: &Boards, number: u32, token: &str) -> Outcome<HookView> {
    let (done, outcome) = Completion::channel();
    boards.hooks.enter(waiter(number), HookToken::new(token), done);
    outcome
}

fn waiting(boards: &Boards) -> usize {
    boards.run_ends.count() + boards.hooks.count()
}

#[track_caller]
fn settled<T>(outcome: &Outcome<T>) -> T {
    let outcome = outcome.recv_timeout(PATIENCE).expect("it settles");
    outcome.expect("it succeeds").expect("it was not stopped")
}

#[test]
fn every_waiter_gets_the_run_with_its_return_value_when_it_ends() {
    let world = World::on_file();
    world.start_runs(2);
    let boards = Boards::of(&world.store);
    let waits: Vec<_> = (0..3).map(|number| run_end(&boards, number)).collect();
    world.does(2, EventBody::RunCompleted);
    assert!(waits.iter().all(|wait| wait.try_recv().is_err()), "another run has ended");
    world.does(1, EventBody::RunCompleted);
    for wait in &waits {
        let view = settled(wait);
        assert_eq!(view.run.status, RunStatus::Completed);
        assert_eq!(view.output, payload("run_completed"));
    }
    assert_eq!(waiting(&boards), 0);
}

#[test]
fn a_run_that_has_ended_and_one_that_does_not_exist_are_told_at_once() {
    let world = World::on_file();
    let boards = Boards::of(&world.store);
    let error = run_end(&boards, 1).recv_timeout(PATIENCE).expect("it settles");
    assert_eq!(error.expect_err("there is no run").kind, ErrorKind::RunNotFound);
    world.start_runs(1);
    world.does(1, EventBody::RunCancelled);
    assert_eq!(settled(&run_end(&boards, 2)).run.status, RunStatus::Cancelled);
    assert_eq!(waiting(&boards), 0);
}

#[test]
fn a_hook_is_told_when_it_is_made_with_its_metadata() {
    let world = World::on_file();
    world.start_runs(1);
    let boards = Boards::of(&world.store);
    let (wanted, other) = (hook(&boards, 1, "wanted"), hook(&boards, 2, "other"));
    world.does(1, hook_created("h", "wanted"));
    let view = settled(&wanted);
    assert_eq!((view.hook.hook_id, view.metadata), (id("h"), payload("hook_created")));
    assert_eq!(settled(&hook(&boards, 3, "wanted")).hook.hook_id, id("h"));
    assert!(other.try_recv().is_err());
    assert_eq!(waiting(&boards), 1);
}

#[test]
fn commits_of_another_process_are_noticed() {
    let world = World::on_file();
    world.start_runs(1);
    let boards = Boards::of(&world.store);
    let (end, made) = (run_end(&boards, 1), hook(&boards, 2, "token"));
    let elsewhere = open_file(&world.path(), &world.clock).expect("the file opens");
    let append = |body| {
        kit::settled(|done| {
            hookline::store::Store::append_event(&elsewhere, request(1, body), done);
        })
    };
    append(hook_created("h", "token")).expect("the rules allow it");
    assert_eq!(settled(&made).hook.hook_id, id("h"));
    assert!(end.try_recv().is_err());
    append(EventBody::RunCompleted).expect("the rules allow it");
    assert_eq!(settled(&end).run.status, RunStatus::Completed);
}

#[test]
fn a_stopped_waiter_gets_nothing_and_those_of_a_closed_world_get_closed() {
    let world = World::on_file();
    world.start_runs(1);
    let boards = Boards::of(&world.store);
    let (stopped, kept) = (run_end(&boards, 1), run_end(&boards, 2));
    let token = hook(&boards, 3, "token");
    boards.stop_awaiting(waiter(1));
    boards.stop_awaiting(waiter(9));
    assert_eq!(stopped.recv_timeout(PATIENCE).expect("it settles"), Ok(None));
    assert!(kept.try_recv().is_err());
    boards.close_of(2);
    assert!(kept.try_recv().is_err(), "another World has closed");
    boards.close_of(1);
    let closed = kept.recv_timeout(PATIENCE).expect("it settles");
    assert_eq!(closed.expect_err("it was closed").kind, ErrorKind::Closed);
    let closed = token.recv_timeout(PATIENCE).expect("it settles");
    assert_eq!(closed.expect_err("it was closed").kind, ErrorKind::Closed);
    assert_eq!(waiting(&boards), 0);
}

#[test]
fn a_waiter_waits_for_one_thing_at_a_time() {
    let world = World::on_file();
    world.start_runs(1);
    let boards = Boards::of(&world.store);
    let first = run_end(&boards, 1);
    let second = run_end(&boards, 1).recv_timeout(PATIENCE).expect("it settles");
    assert_eq!(second.expect_err("it waits already").kind, ErrorKind::Invalid);
    world.does(1, EventBody::RunCompleted);
    assert_eq!(settled(&first).run.status, RunStatus::Completed);
}

#[test]
fn a_look_that_fails_for_the_moment_rejects_nobody_and_is_repeated() {
    const WAITING_READS_MAX: usize = 65_536;
    const READERS: usize = 2;
    let world = World::on_file();
    world.start_runs(2);
    let boards = Boards::of(&world.store);
    let waits: Vec<_> = (0..3).map(|number| run_end(&boards, number)).collect();
    // When both readers are held, the looks of the waiters are over.
    let held: Vec<_> = (0..READERS).map(|_| hold_reader(&world)).collect();
    for _ in 0..WAITING_READS_MAX {
        world.store.run(run_id(2), false, Completion::ignored());
    }
    let refused = kit::settled(|done| world.store.run(run_id(2), false, done));
    assert_eq!(refused.expect_err("no more may wait").kind, ErrorKind::Throttled);
    world.does(1, EventBody::RunCompleted);
    // A waiter for a run gets its end before the next commit.
    world.does(2, EventBody::RunCancelled);
    assert!(waits.iter().all(|wait| wait.try_recv().is_err()), "nobody is rejected");
    drop(held);
    for wait in &waits {
        assert_eq!(settled(wait).run.status, RunStatus::Completed);
    }
    assert_eq!(waiting(&boards), 0);
}

/// Holds a reader until the returned value is dropped.
fn hold_reader(world: &World) -> Sender<()> {
    let (release, released) = channel();
    let (holds, holding) = channel();
    let done = Completion::new(move |_| {
        // The test keeps the receiver until its end.
        let _ = holds.send(());
        let _ = released.recv();
    });
    world.store.run(run_id(2), false, done);
    holding.recv_timeout(PATIENCE).expect("a reader is held");
    release
}

#[test]
fn a_run_that_ends_while_it_is_looked_up_is_not_missed() {
    let world = World::on_file();
    let boards = Boards::of(&world.store);
    for run in 1..=50 {
        world.does(run, EventBody::RunCreated(creation()));
        let (done, outcome) = Completion::channel();
        let (ended, end) = Completion::channel();
        let request = request(run, EventBody::RunCancelled);
        // Both are in progress at the same time. Either may be first.
        world.store.append_event(request, ended);
        boards.run_ends.enter(waiter(1), run_id(run), done);
        end.recv_timeout(PATIENCE).expect("it settles").expect("the rules allow it");
        assert_eq!(settled(&outcome).run.status, RunStatus::Cancelled);
    }
}
