//! Leases: the owner of a lease may end its delivery once, unless another worker has claimed the
//! message since. Also: what each outcome leaves behind.

use hookline::domain::id::LeaseToken;
use hookline::domain::message::Delivery;
use hookline::store::{Admission, Outcome};

use crate::kit::rows::run_id;
use crate::kit::{LEASE_MS, World, bodies, replay, settled, step_message, wake_up};

run_by_every_store!(
    an_acknowledged_message_is_gone,
    an_expired_lease_gives_the_message_to_the_next_claim,
    an_expired_lease_lets_the_runs_next_replay_go_first_come_first_served,
    an_extended_lease_does_not_expire_at_its_old_time,
    a_late_end_of_a_delivery_changes_nothing,
    a_late_extension_changes_nothing_and_names_the_lost_lease,
    a_second_end_of_a_delivery_changes_nothing,
    a_guessed_lease_token_ends_nothing,
    a_lease_that_expired_unclaimed_still_counts_its_end,
    a_rescheduled_message_comes_again_as_the_same_one_with_its_first_attempt,
    a_message_rescheduled_for_now_is_claimed_again_at_once,
    a_released_message_comes_again_and_counts_its_attempt,
    a_delivery_that_reached_no_handler_does_not_count,
    a_dead_message_is_not_delivered_again,
    a_message_is_delivered_far_beyond_the_runtimes_own_limit,
    a_very_long_delay_does_not_overflow,
    a_released_replay_lets_another_of_its_run_go_meanwhile,
    a_lease_is_let_in_once_and_the_next_lease_again,
    a_lost_or_guessed_lease_is_not_let_in,
    a_lease_is_known_by_its_message,
    the_secret_of_deliveries_stays_what_it_is,
);

fn released(delay_ms: i64, reached: bool) -> Outcome {
    Outcome::Release { delay_ms, error: "no".into(), reached }
}

fn every_outcome() -> [Outcome; 5] {
    [
        Outcome::Ack,
        Outcome::Reschedule { delay_ms: 0 },
        released(0, true),
        released(0, false),
        Outcome::Dead { error: "no".into() },
    ]
}

fn an_acknowledged_message_is_gone(world: &World) {
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    assert!(world.holds(&delivery));
    assert!(world.settle(&delivery, Outcome::Ack));
    assert!(!world.holds(&delivery));
    world.at(10 * LEASE_MS);
    world.claims_nothing();
}

fn an_expired_lease_gives_the_message_to_the_next_claim(world: &World) {
    let id = world.enqueue(step_message("a"));
    let first = world.claim_one();
    world.at(LEASE_MS - 1);
    assert!(world.holds(&first));
    world.claims_nothing();
    world.at(LEASE_MS);
    assert!(!world.holds(&first));
    let second = world.claim_one();
    assert_eq!((second.message_id, second.attempt), (id, 2));
    assert_ne!(second.lease_token, first.lease_token);
    assert!(world.holds(&second) && !world.holds(&first));
}

fn an_expired_lease_lets_the_runs_next_replay_go_first_come_first_served(world: &World) {
    world.enqueue(replay(1, "first"));
    world.claim_one();
    world.enqueue(replay(1, "second"));
    world.at(LEASE_MS);
    let delivery = world.claim_one();
    assert_eq!(bodies(&[delivery]), ["first"]);
}

fn an_extended_lease_does_not_expire_at_its_old_time(world: &World) {
    world.enqueue(step_message("a"));
    world.enqueue(step_message("b"));
    let deliveries = world.claim(2);
    world.at(LEASE_MS - 1);
    assert_eq!(world.extend(&[&deliveries[0]], LEASE_MS), []);
    world.at(LEASE_MS);
    assert_eq!(bodies(&world.claim(10)), ["b"]);
    assert!(world.holds(&deliveries[0]));
    world.at(LEASE_MS - 1 + LEASE_MS);
    assert!(!world.holds(&deliveries[0]));
    assert_eq!(bodies(&world.claim(10)), ["a"]);
}

/// A message whose first lease was lost: the delivery that lost it, and the one that has the lease.
fn lost_lease(world: &World) -> (Delivery, Delivery) {
    world.at(0);
    world.enqueue(step_message("a"));
    let late = world.claim_one();
    world.at(LEASE_MS);
    let current = world.claim_one();
    assert_eq!(late.message_id, current.message_id);
    (late, current)
}

fn a_late_end_of_a_delivery_changes_nothing(world: &World) {
    for outcome in every_outcome() {
        let (late, current) = lost_lease(world);
        assert!(!world.settle(&late, outcome.clone()), "{outcome:?}");
        assert!(world.holds(&current), "{outcome:?}");
        world.claims_nothing();
        assert!(world.settle(&current, Outcome::Ack), "{outcome:?}");
        world.claims_nothing();
    }
}

fn a_late_extension_changes_nothing_and_names_the_lost_lease(world: &World) {
    let (late, current) = lost_lease(world);
    world.enqueue(step_message("b"));
    let other = world.claim_one();
    assert_eq!(world.extend(&[&late, &other], 100 * LEASE_MS), [late.message_id]);
    world.at(2 * LEASE_MS);
    assert!(!world.holds(&current) && world.holds(&other));
    assert_eq!(world.claim_one().attempt, 3);
}

fn a_second_end_of_a_delivery_changes_nothing(world: &World) {
    for first in every_outcome() {
        for second in every_outcome() {
            let id = world.enqueue(step_message("a"));
            let delivery = world.claim_one();
            assert!(world.settle(&delivery, first.clone()));
            assert!(!world.settle(&delivery, second.clone()), "{second:?} after {first:?}");
            assert_eq!(world.extend(&[&delivery], LEASE_MS), [id]);
            for delivery in world.claim(10) {
                assert!(world.settle(&delivery, Outcome::Ack));
            }
        }
    }
}

fn a_guessed_lease_token_ends_nothing(world: &World) {
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    for guess in ["", "0", "'' OR 1 = 1"] {
        let guessed = Delivery { lease_token: LeaseToken::new(guess), ..delivery.clone() };
        assert!(!world.holds(&guessed));
        assert!(!world.settle(&guessed, Outcome::Ack));
    }
    // An unclaimed message has no token at all.
    let id = world.enqueue(step_message("b"));
    let unclaimed = Delivery { message_id: id, ..delivery.clone() };
    assert!(!world.settle(&unclaimed, Outcome::Ack));
    assert!(world.settle(&delivery, Outcome::Ack));
}

fn a_lease_that_expired_unclaimed_still_counts_its_end(world: &World) {
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    world.at(2 * LEASE_MS);
    assert!(world.settle(&delivery, Outcome::Ack));
    world.claims_nothing();
}

fn a_rescheduled_message_comes_again_as_the_same_one_with_its_first_attempt(world: &World) {
    let id = world.enqueue(wake_up(1));
    assert!(world.settle(&world.claim_one(), released(0, true)));
    let delivery = world.claim_one();
    assert_eq!(delivery.attempt, 2);
    assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 5000 }));
    world.at(4999);
    world.claims_nothing();
    world.at(5000);
    let again = world.claim_one();
    assert_eq!((again.message_id, again.attempt), (id, 1));
    assert_eq!(again.body, delivery.body);
}

fn a_message_rescheduled_for_now_is_claimed_again_at_once(world: &World) {
    let id = world.enqueue(step_message("a"));
    for _ in 0..3 {
        let delivery = world.claim_one();
        assert_eq!((delivery.message_id, delivery.attempt), (id, 1));
        assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: 0 }));
    }
}

fn a_released_message_comes_again_and_counts_its_attempt(world: &World) {
    let id = world.enqueue(step_message("a"));
    for attempt in 1..=4 {
        world.at(attempt * 1000);
        let delivery = world.claim_one();
        assert_eq!((delivery.message_id, delivery.attempt), (id, attempt));
        assert!(world.settle(&delivery, released(1000, true)));
        world.claims_nothing();
    }
}

fn a_delivery_that_reached_no_handler_does_not_count(world: &World) {
    let id = world.enqueue(step_message("a"));
    for _ in 0..3 {
        let delivery = world.claim_one();
        assert_eq!((delivery.message_id, delivery.attempt), (id, 1));
        assert!(world.settle(&delivery, released(0, false)));
    }
    assert!(world.settle(&world.claim_one(), released(0, true)));
    assert!(world.settle(&world.claim_one(), released(0, false)));
    assert_eq!(world.claim_one().attempt, 2);
}

fn a_dead_message_is_not_delivered_again(world: &World) {
    world.enqueue(step_message("a"));
    let delivery = world.claim_one();
    assert!(world.settle(&delivery, Outcome::Dead { error: "given up".into() }));
    assert!(!world.holds(&delivery));
    world.at(100 * LEASE_MS);
    let claimed = world.claimed(10);
    assert_eq!((claimed.deliveries, claimed.next_due_at_ms), (Vec::new(), None));
}

fn a_message_is_delivered_far_beyond_the_runtimes_own_limit(world: &World) {
    world.enqueue(step_message("a"));
    for attempt in 1..=60 {
        let delivery = world.claim_one();
        assert_eq!(delivery.attempt, attempt);
        assert!(world.settle(&delivery, released(0, true)));
    }
}

fn a_very_long_delay_does_not_overflow(world: &World) {
    world.enqueue_in(step_message("a"), i64::MAX);
    world.enqueue(step_message("b"));
    let delivery = world.claim_one();
    assert!(world.settle(&delivery, Outcome::Reschedule { delay_ms: i64::MAX }));
    world.claims_nothing();
    let message = step_message("c");
    let id = settled(|done| world.store.enqueue(message, i64::MAX, done));
    assert!(id.is_ok());
}

fn a_released_replay_lets_another_of_its_run_go_meanwhile(world: &World) {
    world.enqueue(replay(1, "first"));
    let first = world.claim_one();
    world.enqueue(replay(1, "second"));
    assert!(world.settle(&first, released(5000, true)));
    assert_eq!(bodies(&[world.claim_one()]), ["second"]);
}

fn a_lease_is_let_in_once_and_the_next_lease_again(world: &World) {
    world.enqueue(step_message("a"));
    for _ in 0..2 {
        let delivery = world.claim_one();
        assert_eq!(world.admit(&delivery), Admission::Admitted(delivery.clone()));
        assert_eq!(world.admit(&delivery), Admission::Repeated);
        assert_eq!(world.extend(&[&delivery], LEASE_MS), []);
        assert_eq!(world.admit(&delivery), Admission::Repeated);
        assert!(world.settle(&delivery, released(0, true)));
        assert_eq!(world.admit(&delivery), Admission::LeaseLost);
    }
}

fn a_lost_or_guessed_lease_is_not_let_in(world: &World) {
    let (late, current) = lost_lease(world);
    assert_eq!(world.admit(&late), Admission::LeaseLost);
    let guessed = Delivery { lease_token: LeaseToken::new(""), ..current.clone() };
    assert_eq!(world.admit(&guessed), Admission::LeaseLost);
    assert!(matches!(world.admit(&current), Admission::Admitted(_)));
}

fn a_lease_is_known_by_its_message(world: &World) {
    let id = world.enqueue(replay(1, "replay"));
    assert_eq!(world.store.lease(id), Ok(None));
    let delivery = world.claim_one();
    let lease = world.store.lease(id).expect("it is looked up").expect("it is leased");
    assert_eq!((lease.message_id, lease.attempt, lease.run_id), (id, 1, Some(run_id(1))));
    assert_eq!(lease.queue_name, delivery.queue_name);
    assert_eq!(lease.lease_token, delivery.lease_token);
    world.at(LEASE_MS);
    assert_eq!(world.store.lease(id), Ok(None), "it has expired");
}

fn the_secret_of_deliveries_stays_what_it_is(world: &World) {
    let secret = || world.store.delivery_secret().expect("it is read");
    let proof = secret().prove_app("challenge");
    assert!(secret().is_app("challenge", &proof));
    assert!(!World::in_memory().store.delivery_secret().unwrap().is_app("challenge", &proof));
}
