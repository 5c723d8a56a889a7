//! Several stores on one database: what a World of two processes relies on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use hookline::domain::event::EventBody;
use hookline::domain::id::HookToken;
use hookline::domain::message::Delivery;
use hookline::error::ErrorKind;
use hookline::store::{ClaimRequest, Outcome, Store};

use crate::kit::rows::*;
use crate::kit::{
    LEASE_MS, PATIENCE, STEP_PREFIX, WORKFLOW_PREFIX, World, bodies, news_of, offer, replay,
    settled, step_message, wake_up,
};

run_by_every_shared_store!(
    the_leases_of_a_living_neighbour_stay_and_those_of_a_closed_one_are_freed,
    a_resume_does_not_shorten_the_wait_of_a_run_that_kills_its_processes,
    a_message_whose_processes_die_comes_again_at_once_twice_and_then_waits,
    a_store_never_frees_its_own_leases,
    a_dead_processs_late_end_of_a_delivery_changes_nothing,
    two_processes_that_claim_at_once_never_replay_a_run_both,
    what_one_store_commits_the_other_sees,
    a_watching_store_hears_of_commits_elsewhere,
    a_store_that_always_has_something_to_write_hears_of_commits_elsewhere_too,
    a_reopened_database_is_as_it_was_left,
);

/// Another store on the same database, as another process would open it.
fn neighbour(world: &World) -> Arc<dyn Store> {
    world.opened_again(&world.clock)
}

pub fn claim_all(store: &dyn Store) -> Vec<Delivery> {
    let request = ClaimRequest {
        limit: 100,
        offer: offer(&[STEP_PREFIX]),
        lease_owner: store.lease_owner().to_owned(),
        lease_ms: LEASE_MS,
    };
    settled(|done| store.claim(request, done)).expect("the claim succeeds").deliveries
}

pub fn free_dead_leases(store: &dyn Store) -> usize {
    settled(|done| store.free_dead_leases(done)).expect("dead leases are looked for")
}

fn the_leases_of_a_living_neighbour_stay_and_those_of_a_closed_one_are_freed(world: &World) {
    let neighbour = neighbour(world);
    world.enqueue(step_message("a"));
    assert_eq!(claim_all(&*neighbour).len(), 1);
    assert_eq!(free_dead_leases(&*world.store), 0);
    world.claims_nothing();
    neighbour.close();
    assert_eq!(free_dead_leases(&*world.store), 1);
    assert_eq!(bodies(&world.claim(10)), ["a"]);
}

fn a_resume_does_not_shorten_the_wait_of_a_run_that_kills_its_processes(world: &World) {
    world.start_runs(1);
    world.enqueue(wake_up(1));
    let dies_with_all = || {
        let neighbour = neighbour(world);
        let request = ClaimRequest {
            limit: 100,
            offer: offer(&[WORKFLOW_PREFIX]),
            lease_owner: neighbour.lease_owner().to_owned(),
            lease_ms: LEASE_MS,
        };
        let claimed = settled(|done| neighbour.claim(request, done)).expect("the claim succeeds");
        neighbour.close();
        free_dead_leases(&*world.store);
        claimed.deliveries.len()
    };
    let mut now_ms = 0;
    for _ in 0..10 {
        world.at(now_ms);
        assert_eq!(dies_with_all(), 1);
        now_ms += 100_000;
    }
    // It sleeps for most of a minute now. A resume has it delivered once.
    world.at(now_ms - 100_000 + 1000);
    world.enqueue(wake_up(1));
    assert_eq!(dies_with_all(), 1);
    assert_eq!(dies_with_all(), 0, "its next delivery waits as long as the run has earned");
    world.at(now_ms - 100_000 + 10_000);
    assert_eq!(dies_with_all(), 0);
}

fn a_message_whose_processes_die_comes_again_at_once_twice_and_then_waits(world: &World) {
    world.enqueue(step_message("kills its process"));
    world.enqueue_in(step_message("innocent"), 1);
    let mut now_ms = 1;
    for attempt in 1..8 {
        world.at(now_ms);
        let neighbour = neighbour(world);
        let request = ClaimRequest {
            limit: 1,
            offer: offer(&[STEP_PREFIX]),
            lease_owner: neighbour.lease_owner().to_owned(),
            lease_ms: LEASE_MS,
        };
        let claimed = settled(|done| neighbour.claim(request, done)).expect("the claim succeeds");
        assert_eq!(bodies(&claimed.deliveries), ["kills its process"]);
        assert_eq!(claimed.deliveries[0].attempt, attempt);
        neighbour.close();
        assert_eq!(free_dead_leases(&*world.store), 1);
        if attempt <= 2 {
            // The next claim gets it without a delay.
            continue;
        }
        let claimed = world.claimed(10);
        let others = if attempt == 3 { vec!["innocent"] } else { vec![] };
        assert_eq!(bodies(&claimed.deliveries), others);
        let due_at_ms = claimed.next_due_at_ms.expect("it waits") - NOW_MS;
        let waits_ms = due_at_ms - now_ms;
        let expected_ms = 500 << (attempt - 3);
        assert!((expected_ms * 4 / 5..=expected_ms * 6 / 5).contains(&waits_ms), "{waits_ms}");
        now_ms = due_at_ms;
    }
}

fn a_store_never_frees_its_own_leases(world: &World) {
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    assert_eq!(free_dead_leases(&*world.store), 0);
    assert!(world.holds(&delivery));
}

fn a_dead_processs_late_end_of_a_delivery_changes_nothing(world: &World) {
    let neighbour = neighbour(world);
    world.enqueue(step_message("a"));
    let late = claim_all(&*neighbour).remove(0);
    neighbour.close();
    free_dead_leases(&*world.store);
    let current = world.claim_one();
    assert!(!world.settle(&late, Outcome::Ack));
    assert!(world.holds(&current));
}

fn what_one_store_commits_the_other_sees(world: &World) {
    let neighbour = neighbour(world);
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let token = HookToken::new("token");
    assert_eq!(
        settled(|done| neighbour.hook_by_token(&token).settle(done)),
        settled(|done| world.store.hook_by_token(&token).settle(done))
    );
    let request = request(1, hook_received("h", Some("token")));
    let reply = settled(|done| neighbour.append_event(request, done)).expect("it is received");
    assert_eq!(reply.event.expect("it was logged").position, 4);
    assert_eq!(world.log_types(1)[3..], ["hook_received"]);
    assert_eq!(Some(world.claim_one().message_id), reply.wake_up);
}

#[test]
fn two_stores_share_the_work_without_sharing_a_message() {
    const EACH: usize = 600;
    let world = World::on_file();
    let neighbour = neighbour(&world);
    let stores: [&dyn Store; 2] = [&*world.store, &*neighbour];
    // Both stores name messages in the same millisecond, because the clock stands still.
    let mut ids: Vec<_> = std::thread::scope(|scope| {
        let enqueue = |store: &'static str, target: &'_ dyn Store| -> Vec<_> {
            let message = |number| step_message(&format!("{store} {number}"));
            let put = |number| settled(|done| target.enqueue(message(number), 0, done));
            (0..EACH).map(|number| put(number).expect("it is enqueued")).collect()
        };
        let [one, two] = stores;
        let threads =
            [scope.spawn(move || enqueue("one", one)), scope.spawn(move || enqueue("two", two))];
        threads.into_iter().flat_map(|thread| thread.join().expect("it enqueues")).collect()
    });
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2 * EACH);
    let mut claimed = Vec::new();
    while claimed.len() < 2 * EACH {
        for store in stores {
            claimed.extend(claim_all(store).into_iter().map(|delivery| delivery.message_id));
        }
    }
    claimed.sort_unstable();
    assert_eq!(claimed, ids);
}

#[test]
fn stores_that_write_at_once_wait_for_each_other_and_lose_nothing() {
    const EACH: usize = 40;
    let world = World::on_file();
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    let neighbours = [neighbour(&world), neighbour(&world)];
    std::thread::scope(|scope| {
        for store in neighbours.iter().chain([&world.store]) {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let request = request(1, hook_received("h", None));
                    settled(|done| store.append_event(request, done)).expect("it is received");
                }
            });
        }
    });
    assert_eq!(world.log(1).len(), 3 + 3 * EACH);
}

/// For each commit that a watching store reports: whether another process made it.
fn elsewhere_news(store: &dyn Store) -> Receiver<bool> {
    let receiver = news_of(store, |news| news.elsewhere);
    store.watch_elsewhere(true);
    // Commits from before the watch count as news.
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
    receiver
}

fn a_watching_store_hears_of_commits_elsewhere(world: &World) {
    let neighbour = neighbour(world);
    let news = elsewhere_news(&*neighbour);
    world.enqueue(step_message("a"));
    assert_eq!(news.recv_timeout(PATIENCE), Ok(true));
    neighbour.watch_elsewhere(false);
}

fn a_store_that_always_has_something_to_write_hears_of_commits_elsewhere_too(world: &World) {
    let neighbour = neighbour(world);
    let news = elsewhere_news(&*neighbour);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let written = settled(|done| {
                        neighbour.write_stream("s".into(), run_id(1), vec![b"a".to_vec()], done);
                    });
                    written.expect("it is written");
                }
            });
        }
        world.enqueue(step_message("a"));
        let heard =
            std::iter::repeat_with(|| news.recv_timeout(PATIENCE)).find(|news| *news != Ok(false));
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(heard, Some(Ok(true)));
    });
}

fn a_reopened_database_is_as_it_was_left(world: &World) {
    world.start_runs(1);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", None));
    world.write("s", &["a", "b"]);
    let log = world.log(1);
    world.store.close();
    let again = neighbour(world);
    assert_eq!(
        settled(|done| again.hook_by_token(&HookToken::new("token")).settle(done))
            .expect("it lives")
            .hook
            .run_id,
        run_id(1)
    );
    let run = settled(|done| again.run_by_id(&run_id(1)).settle(done)).expect("it exists");
    assert_eq!(run.status, hookline::domain::run::RunStatus::Running);
    let slice = settled(|done| again.stream_slice("s".into(), 0, 10, done)).expect("it is read");
    assert_eq!(slice.chunks, [b"a", b"b"]);
    let mut query = hookline::store::EventQuery {
        run_id: Some(run_id(1)),
        correlation_id: None,
        page: hookline::domain::page::PageRequest::first(100),
        resolve_data: true,
    };
    let page = settled(|done| again.events(query.clone(), done)).expect("the log is read");
    assert_eq!(page.items, log);
    query.run_id = Some(run_id(2));
    assert_eq!(settled(|done| again.events(query, done)).expect("it is read").items, []);
    let deliveries = settled(|done| {
        let request = ClaimRequest {
            limit: 10,
            offer: offer(&["__wkf_"]),
            lease_owner: again.lease_owner().to_owned(),
            lease_ms: LEASE_MS,
        };
        again.claim(request, done)
    });
    assert_eq!(deliveries.expect("the claim succeeds").deliveries.len(), 1);
    let late = settled(|done| world.store.append_event(request(1, EventBody::RunCompleted), done));
    assert_eq!(late.expect_err("it was closed").kind, ErrorKind::Closed);
}

/// Where deliveries of a run may overlap. Each claim looks at the first messages of some runs and at the second ones of others.
fn two_processes_that_claim_at_once_never_replay_a_run_both(world: &World) {
    const LINE_5: u32 = 8;
    const RUNS: u64 = 32;
    let neighbour = world.opened_again(&world.clock);
    for run in 1..=RUNS {
        world.start_run_of(run, LINE_5);
    }
    let claim = |store: &dyn Store| {
        let request = ClaimRequest {
            limit: RUNS as usize,
            offer: offer(&[WORKFLOW_PREFIX]),
            lease_owner: store.lease_owner().to_owned(),
            lease_ms: LEASE_MS,
        };
        settled(|done| store.claim(request, done)).expect("the claim succeeds").deliveries
    };
    for _ in 0..20 {
        for run in (1..=RUNS).chain(1..=RUNS) {
            world.enqueue(replay(run, &format!("{run}")));
        }
        let mut left = 2 * RUNS as usize;
        while left > 0 {
            let claimed: Vec<(usize, Delivery)> = std::thread::scope(|scope| {
                let stores = [&*world.store, &*neighbour];
                let threads = stores.map(|store| scope.spawn(move || claim(store)));
                let claimed = threads.map(|thread| thread.join().expect("it claims"));
                let of =
                    |(at, all): (usize, Vec<Delivery>)| all.into_iter().map(move |it| (at, it));
                claimed.into_iter().enumerate().flat_map(of).collect()
            });
            let mut runs = bodies(&claimed.iter().map(|(_, it)| it.clone()).collect::<Vec<_>>());
            runs.sort();
            let count = runs.len();
            runs.dedup();
            assert_eq!(runs.len(), count, "a run is replayed twice at once");
            for (at, delivery) in &claimed {
                let store = [&*world.store, &*neighbour][*at];
                let (id, token) = (delivery.message_id, delivery.lease_token.clone());
                settled(|done| store.settle_delivery(id, token, Outcome::Ack, done))
                    .expect("it settles");
            }
            left -= count;
        }
    }
}
