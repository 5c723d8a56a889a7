//! Makes a run out of a whole log that comes from another World.
//!
//! The events have happened, so each is decided at its own time. Other Worlds let two writers race, so
//! a log may hold two ends of one thing. The second end stays in the log and changes nothing. A log
//! with any other event that the rules refuse cannot be replayed.

use std::collections::BTreeMap;

use super::{Decision, Log, Seen, Stamp, Tail, decide, needs};
use crate::domain::change::Change;
use crate::domain::event::{Event, EventRequest, EventType, ResumeMark};
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, RunId};
use crate::domain::message::WakeUp;
use crate::domain::payload::Payload;
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::wait::Wait;

/// One event of the other World.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEvent {
    /// When it happened.
    pub created_at_ms: i64,
    /// The event itself.
    pub fact: PastFact,
}

/// The content of a past event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastFact {
    /// An event that a caller requested.
    Asked(Box<EventRequest>),
    /// An event that a World writes by itself: another hook held the token, or the position was
    /// abandoned.
    ByWorld(EventType, Entry),
}

/// The content of an event in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The step, hook or wait that it is about.
    pub correlation_id: Option<CorrelationId>,
    /// The event contract.
    pub spec_version: u32,
    /// JSON object.
    pub data: Option<String>,
    /// The value that it carries.
    pub payload: Option<Payload>,
    /// The name of the resume that it is.
    pub resume: Option<ResumeMark>,
}

impl PastFact {
    fn event_type(&self) -> EventType {
        match self {
            PastFact::Asked(request) => request.body.event_type(),
            PastFact::ByWorld(event_type, _) => *event_type,
        }
    }

    fn entry(&self) -> Entry {
        match self {
            PastFact::Asked(request) => Entry {
                correlation_id: request.body.correlation_id().cloned(),
                spec_version: request.spec_version,
                data: request.data.clone(),
                payload: request.payload.clone(),
                resume: request.resume.clone(),
            },
            PastFact::ByWorld(_, entry) => entry.clone(),
        }
    }
}

/// Whether an event came too late to change anything, because another writer was first.
fn came_second(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::RunEnded { .. }
            | Refusal::RunExpired { .. }
            | Refusal::StepExists(_)
            | Refusal::StepEnded { .. }
            | Refusal::HookDisposed(_)
            | Refusal::WaitCompleted(_)
            | Refusal::AttributesSet(_)
            | Refusal::TooEarly { .. }
    )
}

/// The rows of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedRun {
    /// The run.
    pub run: Run,
    /// Its log.
    pub events: Vec<Event>,
    /// Its steps, in the order of their creation.
    pub steps: Vec<Step>,
    /// Its hooks; if it has ended, those that outlive it.
    pub hooks: Vec<Hook>,
    /// Its waits; none if it has ended.
    pub waits: Vec<Wait>,
    /// The wake-up that continues the run; `None` if it has ended.
    pub wake_up: Option<WakeUp>,
}

impl ReplayedRun {
    /// The hooks that hold their tokens.
    pub fn live_hooks(&self) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(|hook| hook.disposed_at_ms.is_none())
    }

    /// Leaves out the hooks that no longer keep their tokens.
    pub fn without_hooks_that_are_over(mut self, now_ms: i64) -> Self {
        self.hooks.retain(|hook| !hook.is_over(now_ms));
        self
    }
}

/// Why a replayed run cannot be added to a World, if it cannot: the run exists there already (`here`),
/// or a live hook there holds one of its tokens. `holders` are the live hooks there that have the
/// tokens of its live hooks.
pub fn conflict(imported: &ReplayedRun, here: Option<&Run>, holders: &[Hook]) -> Option<Refusal> {
    if let Some(run) = here {
        return Some(Refusal::RunExists(run.run_id.clone()));
    }
    imported.live_hooks().find_map(|hook| {
        let holder = holders.iter().find(|holder| holder.token == hook.token)?;
        let (hook_id, holder) = (hook.hook_id.clone(), holder.run_id.clone());
        Some(Refusal::TokenHeld { hook_id, holder })
    })
}

/// Why a log cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreplayable {
    /// The event's number in the log, from 1.
    pub place: usize,
    /// The event's type.
    pub event_type: &'static str,
    /// The refusal; `None` if the event changes nothing or follows the end of the log.
    pub refusal: Option<Refusal>,
}

/// Replays the log of a run.
///
/// # Errors
/// The first event that the rules do not allow.
pub fn replay(
    run_id: &RunId,
    log: Vec<PastEvent>,
    environment: Option<&str>,
) -> Result<ReplayedRun, Unreplayable> {
    let mut rows = Rows::default();
    for (index, PastEvent { created_at_ms, fact }) in log.into_iter().enumerate() {
        let event_type = fact.event_type();
        let failed =
            |refusal| Unreplayable { place: index + 1, event_type: event_type.as_str(), refusal };
        let stamp = Stamp {
            now_ms: created_at_ms,
            fresh_run_id: run_id.clone(),
            environment: environment.map(str::to_owned),
        };
        let entry = fact.entry();
        let decision = match rows.decide(run_id, fact, &stamp) {
            Err(refusal) if came_second(&refusal) || rows.has_ended() => {
                rows.keep(run_id, event_type, entry, created_at_ms)
            }
            decided => decided,
        };
        let decision = decision.map_err(|refusal| failed(Some(refusal)))?;
        let logs_nothing = decision.event.is_none();
        // Some Worlds also log a `run_started` of a run that is already running.
        if logs_nothing && event_type != EventType::RunStarted {
            return Err(failed(None));
        }
        decision.changes.into_iter().for_each(|change| rows.write(change));
    }
    rows.into_run().ok_or(Unreplayable { place: 1, event_type: "run_created", refusal: None })
}

/// The rows of the run so far.
#[derive(Default)]
struct Rows {
    run: Option<Run>,
    events: Vec<Event>,
    steps: BTreeMap<CorrelationId, Step>,
    hooks: BTreeMap<CorrelationId, Hook>,
    waits: BTreeMap<CorrelationId, Wait>,
}

impl Rows {
    fn decide(&self, run_id: &RunId, fact: PastFact, stamp: &Stamp) -> Result<Decision, Refusal> {
        match fact {
            PastFact::Asked(request) => {
                let request = EventRequest { run_id: Some(run_id.clone()), ..*request };
                decide(self.seen(&request), request, stamp)
            }
            PastFact::ByWorld(event_type, entry) => {
                self.keep(run_id, event_type, entry, stamp.now_ms)
            }
        }
    }

    /// Appends an event that is logged and changes nothing.
    fn keep(
        &self,
        run_id: &RunId,
        event_type: EventType,
        entry: Entry,
        now_ms: i64,
    ) -> Result<Decision, Refusal> {
        let run = self.run.clone().ok_or_else(|| Refusal::RunNotFound(run_id.clone()))?;
        let mut log = Log {
            run,
            step: None,
            hook: None,
            token_holder: None,
            wait: None,
            attributes_are_set: false,
            earlier_resume: None,
            next: self.next(now_ms),
            event_type,
            correlation_id: entry.correlation_id,
            spec_version: entry.spec_version,
            data: entry.data,
            payload: entry.payload,
            resume: entry.resume,
            decision: Decision::default(),
        };
        log.append();
        Ok(log.into_decision())
    }

    /// Whether the run has ended. Later events do not change it.
    fn has_ended(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.status.is_terminal())
    }

    /// Shows no other holder of a token: the event itself proves that the token was free at its time.
    fn seen(&self, request: &EventRequest) -> Seen {
        let needs = needs(request);
        Seen {
            // An event from another World belongs to no delivery here.
            lease_holds: false,
            has_other_workers: false,
            release_is_gone: false,
            run: self.run.clone(),
            tail: self.tail(),
            step: needs.step.and_then(|id| self.steps.get(&id).cloned()),
            hook: needs.hook.and_then(|id| self.hooks.get(&id).cloned()),
            token_holder: None,
            wait: needs.wait.and_then(|id| self.waits.get(&id).cloned()),
            // A repetition is not in the log.
            earlier_resume: None,
            attributes_are_set: needs.attributes_set.is_some_and(|id| self.has_set(&id)),
        }
    }

    fn has_set(&self, id: &CorrelationId) -> bool {
        let is_of = |event: &Event| {
            event.event_type == EventType::AttrSet && event.correlation_id.as_ref() == Some(id)
        };
        self.events.iter().any(is_of)
    }

    fn tail(&self) -> Option<Tail> {
        let last = self.events.last()?;
        Some(Tail { position: last.position, created_at_ms: last.created_at_ms })
    }

    fn next(&self, now_ms: i64) -> Tail {
        match self.tail() {
            None => Tail { position: 1, created_at_ms: now_ms },
            Some(Tail { position, created_at_ms }) => {
                Tail { position: position + 1, created_at_ms: now_ms.max(created_at_ms) }
            }
        }
    }

    fn write(&mut self, change: Change) {
        match change {
            Change::InsertRun(run) | Change::UpdateRun(run) => self.run = Some(run),
            Change::AppendEvent(event, _) => self.events.push(event),
            Change::InsertStep(step) | Change::UpdateStep(step) => {
                self.steps.insert(step.step_id.clone(), step);
            }
            Change::InsertHook(hook) => {
                self.hooks.insert(hook.hook_id.clone(), hook);
            }
            Change::DisposeHook { hook_id, at_ms, .. } => {
                if let Some(hook) = self.hooks.get_mut(&hook_id) {
                    hook.disposed_at_ms = Some(at_ms);
                }
            }
            Change::InsertWait(wait) | Change::UpdateWait(wait) => {
                self.waits.insert(wait.correlation_id.clone(), wait);
            }
            Change::FreeRun(_) => {
                let ended_at_ms = self.tail().map_or(0, |tail| tail.created_at_ms);
                self.hooks.retain(|_, hook| hook.outlive(ended_at_ms));
                self.waits.clear();
            }
            Change::DropValues(_) => {
                self.events.iter_mut().for_each(Event::drop_values);
                self.hooks.values_mut().for_each(|hook| hook.metadata_position = None);
            }
            // The end of the log decides whether the run must be woken.
            Change::Enqueue(_) => {}
        }
    }

    fn into_run(self) -> Option<ReplayedRun> {
        let run = self.run?;
        let wake_up = (!run.status.is_terminal()).then(|| WakeUp::of(&run));
        let mut steps: Vec<Step> = self.steps.into_values().collect();
        steps.sort_by_key(|step| step.created_position);
        let mut hooks: Vec<Hook> = self.hooks.into_values().collect();
        hooks.sort_by_key(|hook| hook.created_at_ms);
        let waits = self.waits.into_values().collect();
        Some(ReplayedRun { run, events: self.events, steps, hooks, waits, wake_up })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use super::*;
    use crate::domain::event::EventBody;
    use crate::domain::run::RunStatus;

    fn past(since_ms: i64, body: EventBody) -> PastEvent {
        PastEvent {
            created_at_ms: NOW_MS + since_ms,
            fact: PastFact::Asked(Box::new(request(1, body))),
        }
    }

    fn begun() -> Vec<PastEvent> {
        vec![past(0, EventBody::RunCreated(creation())), past(1, EventBody::RunStarted(None))]
    }

    #[test]
    fn a_waiting_run_has_its_hook_its_times_and_a_wake_up() {
        let mut log = begun();
        log.push(past(2, hook_created("h", "token")));
        let replayed =
            replay(&run_id(1), log, test_environment().as_deref()).expect("it is replayed");
        assert_eq!(replayed.run.status, RunStatus::Running);
        assert_eq!(replayed.run.started_at_ms, Some(NOW_MS + 1));
        assert_eq!(replayed.events.iter().map(|e| e.position).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(replayed.hooks.len(), 1);
        assert_eq!(replayed.hooks[0].created_at_ms, NOW_MS + 2);
        assert!(replayed.wake_up.is_some());
    }

    #[test]
    fn an_ended_run_holds_no_token_and_is_not_woken() {
        let mut log = begun();
        log.push(past(2, hook_created("h", "token")));
        log.push(past(3, EventBody::RunCompleted));
        let replayed =
            replay(&run_id(1), log, test_environment().as_deref()).expect("it is replayed");
        assert_eq!(replayed.run.status, RunStatus::Completed);
        assert_eq!((replayed.hooks.len(), replayed.wake_up), (0, None));
    }

    #[test]
    fn a_conflict_of_then_is_kept_and_a_running_run_that_started_again_is_not() {
        let mut log = begun();
        log.push(past(2, EventBody::RunStarted(None)));
        log.push(PastEvent {
            created_at_ms: NOW_MS + 3,
            fact: PastFact::ByWorld(
                EventType::HookConflict,
                Entry {
                    correlation_id: Some(id("h")),
                    spec_version: 3,
                    data: Some("{}".into()),
                    payload: None,
                    resume: None,
                },
            ),
        });
        let replayed =
            replay(&run_id(1), log, test_environment().as_deref()).expect("it is replayed");
        let types: Vec<_> = replayed.events.iter().map(|event| event.event_type).collect();
        assert_eq!(types[2..], [EventType::HookConflict]);
        assert!(replayed.hooks.is_empty());
    }

    #[test]
    fn a_filled_position_is_kept_and_changes_nothing() {
        let mut log = begun();
        let filler = Entry {
            correlation_id: None,
            spec_version: 7,
            data: None,
            payload: None,
            resume: None,
        };
        log.push(PastEvent {
            created_at_ms: NOW_MS + 2,
            fact: PastFact::ByWorld(EventType::Noop, filler),
        });
        log.push(past(3, attr_set(Some("a"), &[("key", Some("value"))])));
        let replayed = replay(&run_id(1), log, None).expect("it is replayed");
        let types: Vec<_> = replayed.events.iter().map(|event| event.event_type).collect();
        assert_eq!(types[2..], [EventType::Noop, EventType::AttrSet]);
        assert_eq!(replayed.run.attributes.len(), 1);
    }

    #[test]
    fn what_came_second_stays_in_the_log_and_changes_nothing() {
        let mut log = begun();
        log.push(past(2, EventBody::RunCompleted));
        log.push(past(3, EventBody::RunCompleted));
        log.push(past(4, hook_received("h", None)));
        let replayed =
            replay(&run_id(1), log, test_environment().as_deref()).expect("it is replayed");
        assert_eq!(replayed.events.len(), 5);
        assert_eq!(replayed.run.completed_at_ms, Some(NOW_MS + 2));
        assert_eq!(replayed.run.output_position, Some(3));
    }

    #[test]
    fn a_run_that_is_there_or_whose_token_is_held_there_conflicts() {
        let mut log = begun();
        log.push(past(2, hook_created("h", "token")));
        let replayed = replay(&run_id(1), log, None).expect("it is replayed");
        assert_eq!(conflict(&replayed, None, &[]), None);
        let exists = Refusal::RunExists(run_id(1));
        assert_eq!(conflict(&replayed, Some(&replayed.run), &[]), Some(exists));
        let holder = Hook { run_id: run_id(2), hook_id: id("other"), ..replayed.hooks[0].clone() };
        let held = Refusal::TokenHeld { hook_id: id("h"), holder: run_id(2) };
        assert_eq!(conflict(&replayed, None, &[holder]), Some(held));
    }

    #[test]
    fn an_event_that_could_not_have_happened_is_named_by_its_place() {
        let mut log = begun();
        log.push(past(2, hook_received("h", None)));
        let failed =
            replay(&run_id(1), log, test_environment().as_deref()).expect_err("it is refused");
        assert_eq!((failed.place, failed.event_type), (3, "hook_received"));
        assert!(matches!(failed.refusal, Some(Refusal::HookNotFound(_))));
        let nothing =
            replay(&run_id(1), Vec::new(), test_environment().as_deref()).expect_err("no run");
        assert_eq!(nothing.place, 1);
    }
}
