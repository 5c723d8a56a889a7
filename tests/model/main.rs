//! Random event scripts, run in three ways: through the rules on rows in memory, through a store, and
//! through an oracle that knows only the contract. All must agree, and the logs must keep the
//! invariants. A failure prints the shrunk script and the seed to run it again.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "../kit/mod.rs"]
mod kit;
mod oracle;
mod script;

use std::collections::{BTreeMap, BTreeSet};

use hookline::domain::event::{Event, EventType};
use hookline::domain::hook::Hook;
use hookline::domain::id::{CorrelationId, HookToken, RunId, position_of_event_id};
use hookline::domain::page::PageRequest;
use hookline::domain::payload::Payload;
use hookline::domain::run::Run;
use hookline::domain::transition::{Decision, Entity};
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{EventReply, HookView, RunView, StepView};
use proptest::prelude::*;

use kit::rows::{NOW_MS, Rows, run_id};
use kit::{World, settled};
use oracle::{Expected, Oracle};
use script::{Move, RUNS, scripts};

/// Scripts on rows in memory; each takes far less than a millisecond.
const CASES_OF_RULES: u32 = 1500;
/// Scripts through a store; each event is a commit.
const CASES_OF_STORES: u32 = 40;
/// Moves of one script.
const MOVES_MAX: usize = 120;

/// The rows and the oracle.
#[derive(Default)]
struct Model {
    rows: Rows,
    oracle: Oracle,
}

impl Model {
    /// Makes a move. An event's outcome must agree with the oracle's.
    fn make(
        &mut self,
        index: usize,
        next: &Move,
    ) -> Result<Option<Result<Decision, WorldError>>, TestCaseError> {
        let act = match next {
            Move::Clock(by_ms) => {
                self.rows.now_ms += by_ms;
                return Ok(None);
            }
            Move::Append(act) => act,
        };
        let wakes_before = self.rows.wake_ups.len();
        let logged_before = self.log_lengths();
        let expected = self.oracle.predict(act, self.rows.now_ms);
        let request = act.request(self.rows.now_ms, index);
        let outcome = self.rows.append(request).map_err(WorldError::from);
        let seen = match &outcome {
            Ok(_) => Ok(Expected {
                logged: self.logged_since(&logged_before),
                wakes: self.rows.wake_ups.len() > wakes_before,
            }),
            Err(error) => Err(error.kind),
        };
        prop_assert_eq!(seen, expected, "{:?}", act);
        if outcome.is_err() {
            prop_assert_eq!(self.log_lengths(), logged_before, "a refusal wrote something");
        }
        Ok(Some(outcome))
    }

    fn log_lengths(&self) -> BTreeMap<RunId, usize> {
        self.rows.logs.iter().map(|(run_id, log)| (run_id.clone(), log.len())).collect()
    }

    fn logged_since(&self, before: &BTreeMap<RunId, usize>) -> Vec<&'static str> {
        let since = |(run_id, log): (&RunId, &Vec<Event>)| {
            let types: Vec<_> = log.iter().map(|event| event.event_type.as_str()).collect();
            types[before.get(run_id).copied().unwrap_or(0)..].to_vec()
        };
        self.rows.logs.iter().flat_map(since).collect()
    }
}

/// The invariants of every log.
fn keeps_the_invariants(run: &Run, log: &[Event]) -> Result<(), TestCaseError> {
    let positions: Vec<i64> = log.iter().map(|event| event.position).collect();
    prop_assert_eq!(positions, (1..=log.len() as i64).collect::<Vec<_>>(), "dense positions");
    prop_assert!(log.is_sorted_by_key(|event| event.created_at_ms), "times do not decrease");
    let ids: Vec<String> = log.iter().map(Event::event_id).collect();
    prop_assert!(ids.is_sorted_by(|a, b| a < b), "ids sort as positions do");
    for (id, position) in ids.iter().zip(1..) {
        prop_assert_eq!(position_of_event_id(run.spec_version, id), Some(position));
    }
    let mut disposed = BTreeSet::new();
    let mut ended = false;
    for event in log {
        let correlation_id = event.correlation_id.clone();
        if let EventType::HookReceived | EventType::HookDisposed = event.event_type {
            prop_assert!(!disposed.contains(&correlation_id), "nothing follows a disposal");
        }
        if event.event_type == EventType::HookDisposed {
            disposed.insert(correlation_id);
        }
        if ended {
            // A step that was running may still report, and a cancellation may be repeated.
            let allowed = matches!(
                event.event_type,
                EventType::RunCancelled
                    | EventType::StepCompleted
                    | EventType::StepFailed
                    | EventType::StepRetrying
            );
            prop_assert!(allowed, "{:?} follows the end of its run", event.event_type);
        }
        ended |= matches!(
            event.event_type,
            EventType::RunCompleted | EventType::RunFailed | EventType::RunCancelled
        );
    }
    // Only the cancellation of a legacy run is an end that is not logged.
    prop_assert!(run.is_legacy() || run.status.is_terminal() == ended);
    Ok(())
}

fn every_log_keeps_the_invariants(rows: &Rows) -> Result<(), TestCaseError> {
    for (run_id, log) in &rows.logs {
        keeps_the_invariants(&rows.runs[run_id], log)?;
    }
    let live: Vec<&str> = rows
        .hooks
        .values()
        .filter(|hook| hook.disposed_at_ms.is_none())
        .map(|hook| hook.token.expose())
        .collect();
    let distinct: BTreeSet<&str> = live.iter().copied().collect();
    prop_assert_eq!(live.len(), distinct.len(), "a token names at most one live hook");
    for hook in rows.hooks.values() {
        prop_assert!(!rows.runs[&hook.run_id].status.is_terminal(), "no hook outlives its run");
    }
    Ok(())
}

/// The payload of the event at a position, in the model.
fn payload_at(rows: &Rows, run_id: &RunId, position: Option<i64>) -> Option<Payload> {
    let log = rows.logs.get(run_id)?;
    log.iter().find(|event| Some(event.position) == position)?.payload.clone()
}

/// The position of the event that created a hook. Hooks are listed in that order.
fn created_position(rows: &Rows, hook: &Hook) -> Option<i64> {
    let created = |event: &&Event| {
        event.event_type == EventType::HookCreated
            && event.correlation_id.as_ref() == Some(&hook.hook_id)
    };
    rows.logs[&hook.run_id].iter().find(created).map(|event| event.position)
}

fn run_view(rows: &Rows, run_id: &RunId) -> RunView {
    let run = rows.runs[run_id].clone();
    let input = payload_at(rows, run_id, run.input_position);
    let output = payload_at(rows, run_id, run.output_position);
    let error = payload_at(rows, run_id, run.error_position);
    RunView { run, input, output, error }
}

fn step_view(rows: &Rows, key: &(RunId, CorrelationId)) -> StepView {
    let step = rows.steps[key].clone();
    let input = payload_at(rows, &key.0, Some(step.created_position));
    let output = payload_at(rows, &key.0, step.output_position);
    let error = payload_at(rows, &key.0, step.error_position);
    StepView { step, input, output, error }
}

fn hook_view(rows: &Rows, key: &(RunId, CorrelationId)) -> HookView {
    let hook = rows.hooks[key].clone();
    let metadata = payload_at(rows, &key.0, hook.metadata_position);
    HookView { hook, metadata }
}

/// The rows in memory have no keys.
fn without_key(view: RunView) -> RunView {
    RunView { run: Run { encryption_key_id: None, ..view.run }, ..view }
}

/// The reply that a store must give for a decision.
fn expected_reply(rows: &Rows, decision: Decision) -> EventReply {
    let mut reply = EventReply {
        event: decision.event,
        step_created: decision.step_created,
        ..EventReply::default()
    };
    match decision.entity {
        Entity::Nothing => {}
        Entity::Run(run_id) => reply.run = Some(run_view(rows, &run_id)),
        Entity::Step(run_id, id) => reply.step = Some(step_view(rows, &(run_id, id))),
        Entity::Hook(run_id, id) => reply.hook = Some(hook_view(rows, &(run_id, id))),
        Entity::Wait(run_id, id) => reply.wait = rows.waits.get(&(run_id, id)).cloned(),
    }
    reply
}

/// Runs a script through a store and the model, compares every reply, and finally all rows.
fn agrees(world: &World, script: &[Move]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for (index, next) in script.iter().enumerate() {
        let outcome = model.make(index, next)?;
        let (Move::Append(act), Some(outcome)) = (next, outcome) else {
            world.at(model.rows.now_ms - NOW_MS);
            continue;
        };
        let preloads = outcome.as_ref().is_ok_and(|decision| decision.log.is_some());
        let wakes = outcome.as_ref().is_ok_and(|decision| {
            let is_wake_up =
                |change: &_| matches!(change, hookline::domain::change::Change::Enqueue(_));
            decision.changes.iter().any(is_wake_up)
        });
        let answered = world.tries(act.request(model.rows.now_ms, index));
        let answered = answered.map(|mut reply| {
            let said = (reply.events.take(), reply.wake_up.take());
            reply.run = reply.run.map(without_key);
            (reply, said)
        });
        match (outcome, answered) {
            (Ok(decision), Ok((reply, (events, wake_up)))) => {
                prop_assert_eq!(reply, expected_reply(&model.rows, decision), "{:?}", act);
                prop_assert_eq!(wake_up.is_some(), wakes, "{:?}", act);
                let log = preloads.then(|| model.rows.logs[&run_id(act.run)].clone());
                prop_assert_eq!(events.map(|page| page.items), log, "{:?}", act);
            }
            (outcome, answered) => {
                let refused = outcome.map(|_| "allowed");
                prop_assert_eq!(answered.map(|_| "allowed"), refused, "{:?}", act);
            }
        }
    }
    every_log_keeps_the_invariants(&model.rows)?;
    reads_agree(world, &model.rows)
}

/// Checks that everything that can be read equals the model.
fn reads_agree(world: &World, rows: &Rows) -> Result<(), TestCaseError> {
    for number in 1..=RUNS {
        let id = run_id(number);
        prop_assert_eq!(world.log(number), rows.logs.get(&id).cloned().unwrap_or_default());
        let read = kit::settled(|done| world.store.run(id.clone(), true, done));
        match rows.runs.contains_key(&id) {
            true => prop_assert_eq!(read.map(without_key), Ok(run_view(rows, &id))),
            false => prop_assert_eq!(read.map_err(|e| e.kind), Err(ErrorKind::RunNotFound)),
        }
        let page = PageRequest::first(100);
        let steps = kit::settled(|done| world.store.steps(id.clone(), page, true, done));
        let mut expected: Vec<StepView> = rows
            .steps
            .keys()
            .filter(|(run, _)| *run == id)
            .map(|key| step_view(rows, key))
            .collect();
        expected.sort_by_key(|view| view.step.created_position);
        prop_assert_eq!(steps.map(|page| page.items), Ok(expected));
        let live = |key: &&(RunId, CorrelationId)| {
            key.0 == id && rows.hooks[*key].disposed_at_ms.is_none()
        };
        let mut expected: Vec<HookView> =
            rows.hooks.keys().filter(live).map(|key| hook_view(rows, key)).collect();
        expected.sort_by_key(|view| created_position(rows, &view.hook));
        prop_assert_eq!(world.hooks(Some(number)), expected);
    }
    for number in 0..3 {
        let token = HookToken::new(script::token(number));
        let holder = |key: &&(RunId, CorrelationId)| {
            let hook = &rows.hooks[*key];
            hook.disposed_at_ms.is_none() && hook.token == token
        };
        let expected = rows.hooks.keys().find(holder).map(|key| hook_view(rows, key));
        prop_assert_eq!(
            settled(|done| world.store.hook_by_token(&token).settle(done)).ok(),
            expected
        );
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    // The seed is printed, so files of old seeds beside the tests are not needed.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(CASES_OF_RULES))]

    #[test]
    fn the_rules_agree_with_the_contract_and_keep_the_invariants(script in scripts(MOVES_MAX)) {
        let mut model = Model::default();
        for (index, next) in script.iter().enumerate() {
            model.make(index, next)?;
        }
        every_log_keeps_the_invariants(&model.rows)?;
    }
}

proptest! {
    #![proptest_config(config(CASES_OF_STORES))]

    #[test]
    fn a_sqlite_file_agrees_with_the_rules(script in scripts(MOVES_MAX)) {
        agrees(&World::on_file(), &script)?;
    }

    #[test]
    fn sqlite_memory_agrees_with_the_rules(script in scripts(MOVES_MAX)) {
        agrees(&World::in_memory(), &script)?;
    }

    #[test]
    fn a_sealed_file_agrees_with_the_rules(script in scripts(MOVES_MAX)) {
        agrees(&World::sealed(), &script)?;
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn postgres_agrees_with_the_rules(script in scripts(MOVES_MAX)) {
        agrees(&World::on_postgres(), &script)?;
    }
}
