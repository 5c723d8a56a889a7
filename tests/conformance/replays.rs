//! A replay never waits for a list, however long the list takes.

use std::sync::{Arc, Mutex};

use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::page::PageRequest;
use hookline::store::{Completion, EventQuery, RunQuery};

use crate::kit::rows::*;
use crate::kit::{World, settled};

run_by_every_store!(a_replay_is_answered_while_lists_keep_every_thread_of_theirs,);

/// More lists than there are threads.
const LISTS: usize = 32;

fn a_replay_is_answered_while_lists_keep_every_thread_of_theirs(world: &World) {
    world.start_runs(1);
    world.does(1, step_created("s"));
    world.does(1, hook_created("h", "token"));
    world.write("stream", &["chunk"]);
    let event_id = world.log(1)[0].event_id();
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().expect("it is free");
    let store = &world.store;
    for _ in 0..LISTS {
        let query = RunQuery {
            workflow_name: None,
            statuses: None,
            page: PageRequest::first(10),
            resolve_data: true,
        };
        store.runs(query, kept_by(&gate));
        store.queue_depth(vec![], kept_by(&gate));
        store.steps(run_id(1), PageRequest::first(10), true, kept_by(&gate));
        store.hooks(None, PageRequest::first(10), true, kept_by(&gate));
        let of_step = EventQuery { correlation_id: Some(id("s")), ..log_of(1) };
        store.events(of_step, kept_by(&gate));
    }
    let started = request(1, EventBody::RunStarted(None));
    settled(|done| store.append_event(started, done)).expect("the replay begins");
    settled(|done| store.events(log_of(1), done)).expect("the log is read");
    settled(|done| store.event(run_id(1), event_id, true, done)).expect("the event is read");
    settled(|done| store.run(run_id(1), true, done)).expect("the run is read");
    settled(|done| store.step(Some(run_id(1)), id("s"), true, done)).expect("the step is read");
    settled(|done| store.hook(id("h"), true, done)).expect("the hook is read");
    settled(|done| store.stream_slice("stream".into(), 0, 10, done)).expect("chunks are read");
    settled(|done| store.run_ends(vec![run_id(1)], done)).expect("the run is looked at");
    let tokens = vec![HookToken::new("token")];
    settled(|done| store.live_hooks(tokens, done)).expect("the token is looked up");
    drop(closed);
}

/// Blocks the thread that settles it until the gate opens.
fn kept_by<T: Send + 'static>(gate: &Arc<Mutex<()>>) -> Completion<T> {
    let gate = Arc::clone(gate);
    Completion::new(move |_| drop(gate.lock()))
}

fn log_of(run: u64) -> EventQuery {
    let page = PageRequest::first(10);
    EventQuery { run_id: Some(run_id(run)), correlation_id: None, page, resolve_data: true }
}
