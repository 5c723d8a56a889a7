//! Who may take a message: a process takes what it offers to run. The rest waits, and is unharmed.

use std::ops::RangeInclusive;

use hookline::domain::event::{EventBody, EventRequest, RunCreation};
use hookline::domain::message::{Delivery, NewMessage, Purpose};
use hookline::domain::queue::offer::{Demand, NO_RELEASE, Offer};
use hookline::store::{ClaimRequest, Claimed, Outcome};

use crate::kit::rows::*;
use crate::kit::{LEASE_MS, World, offer, replay, settled, step_message, wake_up};

run_by_every_store!(
    a_run_goes_to_processes_of_its_line,
    every_message_of_a_run_goes_where_the_run_goes,
    a_run_of_a_release_goes_to_that_release_only_and_waits_for_it,
    a_run_without_a_release_goes_to_processes_without_one,
    an_id_that_no_process_has_had_is_no_release,
    a_start_message_goes_where_its_run_will_go,
    a_health_check_goes_to_the_release_that_it_names_and_else_to_anybody,
    what_waits_for_others_does_not_count_as_the_next_message_that_is_due,
    of_several_lanes_the_longest_due_comes_first,
);

const LINE_4: RangeInclusive<u32> = 0..=5;
const LINE_5: RangeInclusive<u32> = 6..=8;

fn of(spec_versions: RangeInclusive<u32>, release: Option<&str>) -> Offer {
    let release = release.map(str::to_owned);
    Offer { spec_versions, release, ..offer(&["__wkf_"]) }
}

fn claimed(world: &World, offer: Offer) -> Claimed {
    let lease_owner = world.store.lease_owner().to_owned();
    let request = ClaimRequest { limit: 10, offer, lease_owner, lease_ms: LEASE_MS };
    settled(|done| world.store.claim(request, done)).expect("the claim succeeds")
}

/// The number of messages that such a process gets; it gives them back.
fn gets(world: &World, offer: Offer) -> usize {
    let deliveries: Vec<Delivery> = claimed(world, offer).deliveries;
    let back = Outcome::Release { delay_ms: 0, error: "no".into(), reached: false };
    for delivery in &deliveries {
        assert!(world.settle(delivery, back.clone()));
    }
    deliveries.len()
}

fn create(world: &World, run: u64, spec_version: u32, deployment_id: &str) {
    let creation = RunCreation { deployment_id: deployment_id.into(), ..creation() };
    let created = request(run, EventBody::RunCreated(creation));
    world.tries(EventRequest { spec_version, ..created }).expect("it is created");
}

fn a_run_goes_to_processes_of_its_line(world: &World) {
    create(world, 1, 3, NO_RELEASE);
    create(world, 2, 7, NO_RELEASE);
    for run in [1, 2] {
        world.enqueue(wake_up(run));
    }
    assert_eq!(claimed(world, of(LINE_4, None)).deliveries.len(), 1);
    assert_eq!(claimed(world, of(LINE_4, None)).deliveries, []);
    assert_eq!(claimed(world, of(LINE_5, None)).deliveries.len(), 1);
}

fn every_message_of_a_run_goes_where_the_run_goes(world: &World) {
    let happens = |body| {
        world
            .tries(EventRequest { spec_version: 7, ..request(1, body) })
            .expect("the rules allow it");
    };
    create(world, 1, 7, "a");
    happens(EventBody::RunStarted(None));
    assert_eq!(gets(world, of(LINE_4, Some("a"))), 0, "a process with this id exists");
    let others = [of(LINE_4, Some("a")), of(LINE_5, Some("b")), of(LINE_5, None)];
    let reaches_only_its_process = || {
        for other in &others {
            assert_eq!(gets(world, other.clone()), 0, "{other:?}");
        }
        let deliveries = claimed(world, of(LINE_5, Some("a"))).deliveries;
        assert_eq!(deliveries.len(), 1);
        assert!(world.settle(&deliveries[0], Outcome::Ack));
    };
    let step = Purpose::Step { run_id: run_id(1), step_id: id("s") };
    for message in [
        wake_up(1),
        replay(1, "content"),
        NewMessage { purpose: Purpose::Start(run_id(1)), ..wake_up(1) },
        NewMessage { purpose: step, ..step_message("s") },
    ] {
        // What a message says of itself counts only before its run is there.
        let demand = Demand { deployment_id: "b".into(), spec_version: 3 };
        world.enqueue(NewMessage { demand, ..message });
        reaches_only_its_process();
    }
    happens(hook_created("h", "token"));
    happens(hook_received("h", None));
    reaches_only_its_process();
}

fn a_run_of_a_release_goes_to_that_release_only_and_waits_for_it(world: &World) {
    create(world, 1, 3, "old");
    world.enqueue(wake_up(1));
    for offer in [of(LINE_4, Some("old")), of(LINE_4, Some("new")), of(LINE_4, None)] {
        assert_eq!(
            gets(world, offer.clone()),
            usize::from(offer.release.as_deref() == Some("old"))
        );
    }
    world.at(365 * 24 * 60 * 60 * 1000);
    assert_eq!(gets(world, of(LINE_4, Some("new"))), 0);
    assert_eq!(gets(world, of(LINE_4, None)), 0);
    assert_eq!(gets(world, of(LINE_4, Some("old"))), 1);
}

fn a_run_without_a_release_goes_to_processes_without_one(world: &World) {
    create(world, 1, 3, NO_RELEASE);
    world.enqueue(wake_up(1));
    assert_eq!(gets(world, of(LINE_4, Some("new"))), 0);
    assert_eq!(gets(world, of(LINE_4, None)), 1);
}

fn an_id_that_no_process_has_had_is_no_release(world: &World) {
    create(world, 1, 3, "imported");
    world.enqueue(wake_up(1));
    assert_eq!(gets(world, of(LINE_4, Some("new"))), 0);
    assert_eq!(gets(world, of(LINE_4, None)), 1);
    assert_eq!(gets(world, of(LINE_4, Some("imported"))), 1, "now a process has it");
    assert_eq!(gets(world, of(LINE_4, None)), 0);
}

fn a_start_message_goes_where_its_run_will_go(world: &World) {
    assert_eq!(gets(world, of(LINE_5, Some("a"))), 0);
    let demand = Demand { deployment_id: "a".into(), spec_version: 7 };
    let purpose = Purpose::Start(run_id(1));
    world.enqueue(NewMessage { purpose, demand, ..wake_up(1) });
    for other in [of(LINE_4, Some("a")), of(LINE_5, Some("b")), of(LINE_5, None)] {
        assert_eq!(gets(world, other), 0);
    }
    assert_eq!(gets(world, of(LINE_5, Some("a"))), 1);
    // The run decides when it is there.
    create(world, 1, 7, "b");
    assert_eq!(gets(world, of(LINE_5, Some("a"))), 0);
    assert_eq!(gets(world, of(LINE_5, Some("b"))), 1);
}

fn a_health_check_goes_to_the_release_that_it_names_and_else_to_anybody(world: &World) {
    assert_eq!(gets(world, of(LINE_5, Some("a"))), 0);
    let check = NewMessage { purpose: Purpose::Other, ..wake_up(1) };
    let demand = Demand { deployment_id: "a".into(), spec_version: 0 };
    world.enqueue(NewMessage { demand, ..check.clone() });
    assert_eq!(gets(world, of(LINE_5, Some("b"))), 0);
    assert_eq!(gets(world, of(LINE_5, None)), 0);
    let delivery = claimed(world, of(LINE_5, Some("a"))).deliveries.remove(0);
    assert!(world.settle(&delivery, Outcome::Ack));
    world.enqueue(check);
    for anybody in [of(LINE_4, Some("a")), of(LINE_5, Some("b")), of(LINE_5, None)] {
        assert_eq!(gets(world, anybody), 1);
    }
}

fn what_waits_for_others_does_not_count_as_the_next_message_that_is_due(world: &World) {
    create(world, 1, 3, NO_RELEASE);
    create(world, 2, 7, NO_RELEASE);
    world.enqueue_in(wake_up(1), 9000);
    world.enqueue_in(wake_up(2), 5000);
    assert_eq!(claimed(world, of(LINE_4, None)).next_due_at_ms, Some(NOW_MS + 9000));
    assert_eq!(claimed(world, of(LINE_5, None)).next_due_at_ms, Some(NOW_MS + 5000));
}

fn of_several_lanes_the_longest_due_comes_first(world: &World) {
    for (run, spec_version) in [(1, 8), (2, 6), (3, 7)] {
        create(world, run, spec_version, NO_RELEASE);
    }
    let mut enqueued = Vec::new();
    for (since_ms, run) in (1..).zip([3, 1, 2]) {
        world.at(since_ms);
        enqueued.push(world.enqueue(wake_up(run)));
    }
    let claimed = claimed(world, of(LINE_5, None)).deliveries;
    let ids: Vec<_> = claimed.iter().map(|delivery| delivery.message_id).collect();
    assert_eq!(ids, enqueued);
}
