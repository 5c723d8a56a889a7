//! The news of a commit: listeners get it after the commit, with only what has become visible.

use std::sync::mpsc::Receiver;

use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::store::{CommitNews, Outcome};

use crate::kit::rows::*;
use crate::kit::{PATIENCE, World, news_of, step_message, wake_up};

run_by_every_store!(
    an_event_that_wakes_a_run_tells_the_queue,
    an_ended_run_is_told_by_name,
    an_enqueued_message_and_an_ended_delivery_tell_the_queue,
    a_written_or_closed_stream_is_told_by_name,
    what_was_told_is_visible_already,
    a_refused_event_tells_nothing,
);

fn listen(world: &World) -> Receiver<CommitNews> {
    news_of(&*world.store, Clone::clone)
}

fn heard(receiver: &Receiver<CommitNews>) -> CommitNews {
    receiver.recv_timeout(PATIENCE).expect("the commit is told")
}

fn of_queue() -> CommitNews {
    CommitNews { queue: true, ..CommitNews::default() }
}

fn of_stream(name: &str) -> CommitNews {
    CommitNews { streams: vec![name.into()], ..CommitNews::default() }
}

fn an_event_that_wakes_a_run_tells_the_queue(world: &World) {
    world.start_runs(1);
    let news = listen(world);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", None));
    let hooks = vec![HookToken::new("token")];
    assert_eq!(heard(&news), CommitNews { hooks, ..CommitNews::default() });
    assert_eq!(heard(&news), of_queue());
}

fn an_ended_run_is_told_by_name(world: &World) {
    world.start_runs(3);
    let news = listen(world);
    let endings =
        [EventBody::RunCompleted, EventBody::RunFailed(error("why")), EventBody::RunCancelled];
    for (run, ending) in (1..).zip(endings) {
        world.does(run, ending);
        let ended_runs = vec![run_id(run)];
        assert_eq!(heard(&news), CommitNews { ended_runs, ..CommitNews::default() });
    }
}

fn an_enqueued_message_and_an_ended_delivery_tell_the_queue(world: &World) {
    let news = listen(world);
    world.enqueue(wake_up(1));
    assert_eq!(heard(&news), of_queue());
    let delivery = world.claim_one();
    // The run's next replay may be delivered now.
    world.settle(&delivery, Outcome::Ack);
    assert_eq!(heard(&news), of_queue());
}

fn a_written_or_closed_stream_is_told_by_name(world: &World) {
    let news = listen(world);
    world.write("s", &["a"]);
    assert_eq!(heard(&news), of_stream("s"));
    world.close_stream("t");
    assert_eq!(heard(&news), of_stream("t"));
}

fn what_was_told_is_visible_already(world: &World) {
    let news = listen(world);
    for number in 1..=20 {
        world.write("s", &["a"]);
        heard(&news);
        assert_eq!(world.slice("s", 0, 100).count, number);
    }
}

fn a_refused_event_tells_nothing(world: &World) {
    world.start_runs(1);
    let news = listen(world);
    world.refuses(1, hook_received("h", None));
    world.enqueue(step_message("a"));
    assert_eq!(heard(&news), of_queue());
    assert!(news.try_recv().is_err());
}
