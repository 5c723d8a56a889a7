//! What becomes of the runs of a release that no process has any more, when a person says it.

use hookline::domain::event::{EventBody, EventRequest, RunCreation};
use hookline::domain::id::RunId;
use hookline::domain::message::{Delivery, NewMessage, Purpose};
use hookline::domain::queue::offer::{Demand, NO_RELEASE, Offer};
use hookline::domain::run::RunStatus;
use hookline::error::ErrorKind;
use hookline::store::upkeep::{OpenRuns, QueuedFor, Releases};
use hookline::store::{ClaimRequest, Outcome};

use crate::kit::rows::*;
use crate::kit::{LEASE_MS, World, offer, settled, step_message, wake_up};

run_by_every_store!(
    what_needs_a_release_is_counted_by_line_and_workflow,
    what_no_living_process_offers_to_take_is_parked_and_not_due,
    an_adopted_run_and_its_messages_go_to_the_other_release,
    every_run_of_a_release_is_adopted_however_many_there_are,
    the_start_of_a_run_that_was_never_created_is_adopted_too,
    a_held_message_of_an_adopted_run_waits_for_the_other_release,
    only_a_release_that_a_process_has_had_adopts,
    nothing_more_is_sent_to_a_release_that_is_gone,
    a_resume_that_was_done_before_its_release_was_gone_is_answered_again,
    a_release_that_claims_again_is_not_gone,
    cancelling_a_release_ends_its_runs_and_leaves_no_message_for_it,
);

fn of(release: Option<&str>) -> Offer {
    Offer { release: release.map(str::to_owned), ..offer(&["__wkf_"]) }
}

/// Claims as a process of a release, which is known from then on; gives the messages back.
fn claims(world: &World, release: Option<&str>) -> usize {
    let lease_owner = world.store.lease_owner().to_owned();
    let request = ClaimRequest { limit: 10, offer: of(release), lease_owner, lease_ms: LEASE_MS };
    let claimed = settled(|done| world.store.claim(request, done)).expect("the claim succeeds");
    let back = Outcome::Release { delay_ms: 0, error: "no".into(), reached: false };
    for delivery in &claimed.deliveries {
        assert!(world.settle(delivery, back.clone()));
    }
    claimed.deliveries.len()
}

/// Claims a message as a process of a release.
fn claim_one(world: &World, release: Option<&str>) -> Delivery {
    let lease_owner = world.store.lease_owner().to_owned();
    let request = ClaimRequest { limit: 1, offer: of(release), lease_owner, lease_ms: LEASE_MS };
    let claimed = settled(|done| world.store.claim(request, done)).expect("it is claimed");
    claimed.deliveries.into_iter().next().expect("one is due")
}

fn create(world: &World, run: u64, deployment_id: &str) {
    let creation = RunCreation { deployment_id: deployment_id.into(), ..creation() };
    world.does(run, EventBody::RunCreated(creation));
}

fn step_of(run: u64) -> NewMessage {
    let purpose = Purpose::Step { run_id: run_id(run), step_id: id("s") };
    NewMessage { purpose, ..step_message("s") }
}

fn releases(world: &World) -> Releases {
    settled(|done| world.upkeep().releases(done)).expect("they are read")
}

fn adopts(world: &World, from: &str, to: &str) -> Result<usize, ErrorKind> {
    let adopted = settled(|done| world.upkeep().adopt(from.into(), to.into(), done));
    adopted.map_err(|error| error.kind)
}

fn is_gone(world: &World, release: &str) -> Result<(), ErrorKind> {
    let gone = settled(|done| world.upkeep().release_gone(release.into(), done));
    gone.map_err(|error| error.kind)
}

fn status(world: &World, run: u64) -> RunStatus {
    settled(|done| world.store.run(run_id(run), false, done)).expect("it is there").run.status
}

fn what_needs_a_release_is_counted_by_line_and_workflow(world: &World) {
    assert_eq!(claims(world, Some("a")), 0);
    world.at(1);
    assert_eq!(claims(world, Some("b")), 0);
    for (run, release) in [(1, "a"), (2, "a"), (3, "b"), (4, NO_RELEASE), (5, "a")] {
        create(world, run, release);
    }
    world.does(5, EventBody::RunCancelled);
    world.enqueue(wake_up(1));
    world.enqueue(step_of(1));
    world.enqueue_in(wake_up(2), 5000);
    is_gone(world, "b").expect("it is known");
    let Releases { known, open_runs, queued } = releases(world);
    let known: Vec<_> =
        known.iter().map(|it| (it.release_id.as_str(), it.first_seen_ms, it.gone_at_ms)).collect();
    assert_eq!(known, [("a", NOW_MS, None), ("b", NOW_MS + 1, Some(NOW_MS + 1))]);
    let needs = |deployment_id: &str| Demand {
        deployment_id: deployment_id.into(),
        spec_version: creation_spec_version(),
    };
    let workflow_name = creation().workflow_name;
    let group = |deployment_id, count, first: RunId| OpenRuns {
        demand: needs(deployment_id),
        workflow_name: workflow_name.clone(),
        count,
        first,
    };
    let groups =
        [group("a", 2, run_id(1)), group("b", 1, run_id(3)), group(NO_RELEASE, 1, run_id(4))];
    assert_eq!(open_runs, groups);
    let expected = QueuedFor { demand: needs("a"), due: 2, sleeping: 1, leased: 0, runs: 1 };
    assert_eq!(queued, [expected]);
}

fn what_no_living_process_offers_to_take_is_parked_and_not_due(world: &World) {
    assert_eq!(claims(world, Some("a")) + claims(world, Some("b")), 0);
    create(world, 1, "a");
    create(world, 2, "b");
    world.enqueue(wake_up(1));
    world.at(100);
    world.enqueue(wake_up(2));
    world.enqueue(step_of(1));
    let depth = |living: Vec<Offer>| {
        let depth = settled(|done| world.store.queue_depth(living, done)).expect("it is counted");
        let parked = depth
            .parked
            .into_iter()
            .map(|it| (it.demand.deployment_id, it.count, it.oldest_due_ms));
        (depth.due, depth.oldest_due_ms, parked.collect::<Vec<_>>())
    };
    let parked = |id: &str, count, oldest_ms| vec![(id.to_owned(), count, oldest_ms)];
    assert_eq!(depth(vec![of(Some("b"))]), (1, Some(0), parked("a", 2, 100)));
    assert_eq!(depth(vec![of(Some("a"))]), (2, Some(100), parked("b", 1, 0)));
    assert_eq!(depth(vec![of(Some("a")), of(Some("b"))]), (3, Some(100), vec![]));
    assert_eq!(depth(vec![]), (3, Some(100), vec![]), "nothing is known of the living");
    let line_5 = Offer { spec_versions: 6..=8, ..of(Some("a")) };
    let (due, _, parked) = depth(vec![line_5]);
    assert_eq!((due, parked.len()), (0, 2), "nobody has their line");
}

fn creation_spec_version() -> u32 {
    request(1, EventBody::RunCancelled).spec_version
}

fn an_adopted_run_and_its_messages_go_to_the_other_release(world: &World) {
    assert_eq!(claims(world, Some("a")) + claims(world, Some("b")), 0);
    create(world, 1, "a");
    create(world, 2, NO_RELEASE);
    world.enqueue(wake_up(1));
    world.enqueue(step_of(1));
    assert_eq!(adopts(world, "a", "b"), Ok(1));
    assert_eq!((claims(world, Some("a")), claims(world, Some("b"))), (0, 2));
    world.enqueue(step_of(1));
    assert_eq!((claims(world, Some("a")), claims(world, Some("b"))), (0, 3));
    let run = settled(|done| world.store.run(run_id(1), true, done)).expect("it is sound").run;
    assert_eq!((run.release_id.as_str(), run.deployment_id.as_str()), ("b", "a"));
    assert_eq!(adopts(world, "a", "b"), Ok(0));
    assert_eq!(adopts(world, "b", NO_RELEASE), Ok(1), "to processes without a release");
    assert_eq!((claims(world, Some("b")), claims(world, None)), (0, 3));
}

fn every_run_of_a_release_is_adopted_however_many_there_are(world: &World) {
    const MANY: u64 = 450;
    assert_eq!(claims(world, Some("b")), 0);
    for run in 1..=MANY {
        create(world, run, "a");
    }
    assert_eq!(adopts(world, "a", "b"), Ok(MANY as usize));
    let Releases { open_runs, .. } = releases(world);
    assert_eq!(open_runs.len(), 1);
    assert_eq!(
        (open_runs[0].demand.deployment_id.as_str(), open_runs[0].count),
        ("b", MANY as i64)
    );
}

/// A process may die between the two calls of the SDK's `start()`. Then only the message is there.
fn the_start_of_a_run_that_was_never_created_is_adopted_too(world: &World) {
    assert_eq!(claims(world, Some("a")) + claims(world, Some("b")), 0);
    let demand = Demand { deployment_id: "a".into(), spec_version: 3 };
    let of_a = |purpose| NewMessage { purpose, demand: demand.clone(), ..wake_up(1) };
    world.enqueue(of_a(Purpose::Start(run_id(1))));
    let delivery = claim_one(world, Some("a"));
    assert!(world.settle(&delivery, Outcome::Refuse { error: "no such code".into() }));
    world.enqueue(of_a(Purpose::Start(run_id(2))));
    world.enqueue(of_a(Purpose::Other));
    create(world, 3, "a");
    world.enqueue(wake_up(3));
    assert_eq!(adopts(world, "a", "b"), Ok(3));
    assert_eq!(
        (claims(world, Some("a")), claims(world, Some("b"))),
        (1, 3),
        "a health check stays"
    );
    let creation =
        RunCreation { deployment_id: "a".into(), release_id: Some("b".into()), ..creation() };
    world.does(2, EventBody::RunStarted(Some(creation)));
    let run = settled(|done| world.store.run(run_id(2), true, done)).expect("it is sound").run;
    assert_eq!((run.release_id.as_str(), run.deployment_id.as_str()), ("b", "a"));
    assert_eq!((claims(world, Some("a")), claims(world, Some("b"))), (1, 3));
    assert_eq!(adopts(world, "a", "b"), Ok(0));
}

fn a_held_message_of_an_adopted_run_waits_for_the_other_release(world: &World) {
    assert_eq!(claims(world, Some("b")), 0);
    create(world, 1, "a");
    world.enqueue(wake_up(1));
    let delivery = claim_one(world, Some("a"));
    assert!(world.settle(&delivery, Outcome::Refuse { error: "no such code".into() }));
    assert_eq!(adopts(world, "a", "b"), Ok(1));
    assert_eq!(claims(world, Some("b")), 1);
}

fn only_a_release_that_a_process_has_had_adopts(world: &World) {
    create(world, 1, "a");
    assert_eq!(adopts(world, "a", "typo"), Err(ErrorKind::NotFound));
    assert_eq!(adopts(world, "a", "a"), Err(ErrorKind::Invalid));
    assert_eq!(claims(world, Some("b")), 0);
    is_gone(world, "b").expect("it is known");
    assert_eq!(adopts(world, "a", "b"), Err(ErrorKind::ReleaseGone));
}

fn nothing_more_is_sent_to_a_release_that_is_gone(world: &World) {
    assert_eq!(is_gone(world, "a"), Err(ErrorKind::NotFound));
    assert_eq!(claims(world, Some("a")), 0);
    create(world, 1, "a");
    world.does(1, EventBody::RunStarted(None));
    world.does(1, hook_created("h", "token"));
    is_gone(world, "a").expect("it is known");
    let refused = |error: hookline::error::WorldError| {
        assert_eq!(error.kind, ErrorKind::ReleaseGone);
        assert!(error.message.contains("release \"a\" is gone"), "{error}");
    };
    refused(world.refuses(1, hook_received("h", None)));
    let creation = RunCreation { deployment_id: "a".into(), ..creation() };
    refused(world.refuses(2, EventBody::RunCreated(creation)));
    let demand = Demand { deployment_id: "a".into(), spec_version: 0 };
    let check = NewMessage { purpose: Purpose::Other, demand, ..wake_up(9) };
    for message in [wake_up(1), step_of(1), check] {
        refused(settled(|done| world.store.enqueue(message, 0, done)).expect_err("it is refused"));
    }
    let both = vec![(wake_up(1), 0), (step_message("of no run"), 0)];
    let outcomes = settled(|done| world.store.enqueue_all(both, done)).expect("one is enqueued");
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "each has its own outcome");
    assert_eq!(status(world, 1), RunStatus::Running, "its runs stay");
    world.does(1, EventBody::RunCancelled);
}

fn a_resume_that_was_done_before_its_release_was_gone_is_answered_again(world: &World) {
    assert_eq!(claims(world, Some("a")), 0);
    let created = EventBody::RunCreated(RunCreation { deployment_id: "a".into(), ..creation() });
    let of_line_5 = |body| EventRequest { spec_version: 7, ..request(1, body) };
    for body in [created, EventBody::RunStarted(None), hook_created("h", "token")] {
        world.tries(of_line_5(body)).expect("the rules allow it");
    }
    let resume =
        || EventRequest { resume: Some(resume_mark()), ..of_line_5(hook_received("h", None)) };
    let first = world.tries(resume()).expect("it is resumed");
    is_gone(world, "a").expect("it is known");
    let again = world.tries(resume()).expect("it was done");
    let id_of = |reply: hookline::store::EventReply| reply.event.map(|event| event.event_id());
    assert_eq!(id_of(again), id_of(first));
}

fn resume_mark() -> hookline::domain::event::ResumeMark {
    hookline::domain::event::ResumeMark { id: "resume".into(), payload_digest: None }
}

fn a_release_that_claims_again_is_not_gone(world: &World) {
    assert_eq!(claims(world, Some("a")), 0);
    create(world, 1, "a");
    is_gone(world, "a").expect("it is known");
    assert_eq!(claims(world, Some("a")), 0);
    world.enqueue(wake_up(1));
    assert_eq!(releases(world).known[0].gone_at_ms, None);
    assert_eq!(claims(world, Some("a")), 1);
}

fn cancelling_a_release_ends_its_runs_and_leaves_no_message_for_it(world: &World) {
    const MANY: u64 = 250;
    assert_eq!(claims(world, Some("a")), 0);
    for run in 1..=MANY {
        create(world, run, "a");
    }
    create(world, MANY + 1, "b");
    for message in [wake_up(1), step_of(2), wake_up(MANY + 1)] {
        world.enqueue(message);
    }
    // A run whose creation was lost, and a health check.
    let demand = Demand { deployment_id: "a".into(), spec_version: 3 };
    let purpose = Purpose::Start(run_id(MANY + 2));
    world.enqueue(NewMessage { purpose, demand: demand.clone(), ..wake_up(MANY + 2) });
    world.enqueue(NewMessage { purpose: Purpose::Other, demand, ..wake_up(1) });
    let cancelled = settled(|done| world.upkeep().cancel_release("a".into(), done));
    assert_eq!(cancelled, Ok(MANY as usize));
    assert_eq!(
        (status(world, 1), status(world, MANY)),
        (RunStatus::Cancelled, RunStatus::Cancelled)
    );
    assert_eq!(status(world, MANY + 1), RunStatus::Pending);
    let Releases { open_runs, queued, .. } = releases(world);
    assert_eq!(open_runs.len(), 1);
    let left: Vec<_> = queued.iter().map(|it| (it.demand.deployment_id.as_str(), it.due)).collect();
    assert_eq!(left, [("b", 1)]);
}
