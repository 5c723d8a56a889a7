//! The end of a store: accepted operations are done, later ones are refused, and nobody waits for ever.

use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::page::PageRequest;
use hookline::error::ErrorKind;
use hookline::store::Completion;

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, settled, step_message};

run_by_every_store!(
    a_closed_store_answers_closed,
    closing_twice_is_closing_once,
    what_was_accepted_before_the_close_is_done,
    starts_that_were_accepted_before_the_close_are_done,
);

fn a_closed_store_answers_closed(world: &World) {
    world.start_runs(1);
    world.store.close();
    let kinds = [
        world.tries(request(1, EventBody::RunCompleted)).map(drop),
        settled(|done| world.store.hook_by_token(&HookToken::new("token")).settle(done)).map(drop),
        settled(|done| world.store.hook_and_run_by_token(&HookToken::new("token")).settle(done))
            .map(drop),
        settled(|done| world.store.run_by_id(&run_id(1)).settle(done)).map(drop),
        settled(|done| world.store.run(run_id(1), true, done)).map(drop),
        settled(|done| world.store.steps(run_id(1), PageRequest::first(1), true, done)).map(drop),
        settled(|done| world.store.enqueue(step_message("a"), 0, done)).map(drop),
        settled(|done| world.store.close_stream("s".into(), run_id(1), done)).map(drop),
        settled(|done| world.store.stream_slice("s".into(), 0, 1, done)).map(drop),
        settled(|done| world.store.free_dead_leases(done)).map(drop),
    ];
    for (operation, outcome) in kinds.into_iter().enumerate() {
        let error = outcome.expect_err("the store is closed");
        assert_eq!(error.kind, ErrorKind::Closed, "operation {operation}");
        // A temporary fault: another process, or a new World, can do it.
        assert_eq!(error.details["status"], 503);
    }
}

fn closing_twice_is_closing_once(world: &World) {
    world.store.close();
    world.store.close();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| world.store.close());
        }
    });
}

fn what_was_accepted_before_the_close_is_done(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let outcomes: Vec<_> = (0..200)
        .map(|_| {
            let (done, outcome) = Completion::channel();
            world.store.append_event(request(1, hook_received("h", None)), done);
            outcome
        })
        .collect();
    world.store.close();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let reply = outcome.recv_timeout(PATIENCE).expect("it settles").expect("it was accepted");
        assert_eq!(reply.event.expect("it was logged").position, number as i64 + 4);
    }
}

fn starts_that_were_accepted_before_the_close_are_done(world: &World) {
    const RUNS: u64 = 50;
    for run in 1..=RUNS {
        world.does(run, EventBody::RunCreated(creation()));
    }
    let outcomes: Vec<_> = (1..=RUNS)
        .map(|run| {
            let (done, outcome) = Completion::channel();
            world.store.append_event(request(run, EventBody::RunStarted(None)), done);
            outcome
        })
        .collect();
    world.store.close();
    for outcome in outcomes {
        let reply = outcome.recv_timeout(PATIENCE).expect("it settles").expect("it was accepted");
        assert_eq!(reply.event.expect("it was logged").position, 2);
    }
}
