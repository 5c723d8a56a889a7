//! A store in memory for tests: it loads rows, decides and writes. Its writes assert the constraints of
//! a database.
//!
//! The unit tests of each entity use it. `tests/model` compiles this same file, so all its paths begin
//! with `crate::domain`.
#![allow(dead_code)] // each of the two users needs only a part

use std::collections::BTreeMap;

use crate::domain::attributes::{AttributeChange, AttributeChanges, AttributeValue};
use crate::domain::change::Change;
use crate::domain::event::{
    Event, EventBody, EventRequest, EventType, Report, ResumeMark, RunCreation,
};
use crate::domain::fence::Fence;
use crate::domain::hook::{Hook, HookOptions};
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::payload::{Payload, StructuredError};
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;
use crate::domain::spec::SPEC_VERSION_DEFAULT;
use crate::domain::step::Step;
use crate::domain::step_resume::StepResume;
use crate::domain::transition::{Decision, Needs, Seen, Stamp, Tail, decide, needs};
use crate::domain::wait::Wait;

/// The time at which a test begins.
pub const NOW_MS: i64 = 1_795_000_000_000;

/// The key of a step, a hook or a wait.
pub type Key = (RunId, CorrelationId);

/// Every row of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The store's clock.
    pub now_ms: i64,
    /// The spec version of the requests that the short functions make.
    pub spec_version: u32,
    pub runs: BTreeMap<RunId, Run>,
    pub logs: BTreeMap<RunId, Vec<Event>>,
    pub steps: BTreeMap<Key, Step>,
    pub hooks: BTreeMap<Key, Hook>,
    pub waits: BTreeMap<Key, Wait>,
    /// The run of each wake-up, in the order in which they were written.
    pub wake_ups: Vec<RunId>,
    /// The leases that exist.
    pub leases: Vec<Fence>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            now_ms: NOW_MS,
            spec_version: SPEC_VERSION_DEFAULT,
            runs: BTreeMap::new(),
            logs: BTreeMap::new(),
            steps: BTreeMap::new(),
            hooks: BTreeMap::new(),
            waits: BTreeMap::new(),
            wake_ups: Vec::new(),
            leases: Vec::new(),
        }
    }
}

impl Rows {
    /// Rows with a run that was created and started: [`run_id`]`(1)`.
    pub fn with_running_run() -> Self {
        Self::with_running_run_of(SPEC_VERSION_DEFAULT)
    }

    /// [`Rows::with_running_run`] of another spec version.
    pub fn with_running_run_of(spec_version: u32) -> Self {
        let mut rows = Self { spec_version, ..Self::default() };
        rows.does(EventBody::RunCreated(creation()));
        rows.does(EventBody::RunStarted(None));
        rows
    }

    /// Loads, decides and writes, as a store does.
    pub fn append(&mut self, request: EventRequest) -> Result<Decision, Refusal> {
        let stamp = Stamp {
            now_ms: self.now_ms,
            fresh_run_id: fresh_run_id(),
            environment: test_environment(),
        };
        let seen = self.load(request.run_id.as_ref(), &needs(&request));
        let decision = decide(seen, request, &stamp)?;
        decision.changes.iter().cloned().for_each(|change| self.write(change));
        Ok(decision)
    }

    /// Appends an event of run 1.
    pub fn tries(&mut self, body: EventBody) -> Result<Decision, Refusal> {
        self.tries_in(1, body)
    }

    /// Appends an event of a run.
    pub fn tries_in(&mut self, run: u64, body: EventBody) -> Result<Decision, Refusal> {
        let spec_version = self.spec_version;
        self.append(EventRequest { spec_version, ..request(run, body) })
    }

    /// Appends an event of run 1 that the rules allow.
    #[track_caller]
    pub fn does(&mut self, body: EventBody) -> Decision {
        self.does_in(1, body)
    }

    /// Appends an event of a run that the rules allow.
    #[track_caller]
    pub fn does_in(&mut self, run: u64, body: EventBody) -> Decision {
        let event_type = body.event_type().as_str();
        self.tries_in(run, body)
            .unwrap_or_else(|refusal| panic!("{event_type} was refused: {refusal}"))
    }

    /// Appends an event of run 1 that the rules refuse.
    #[track_caller]
    pub fn refuses(&mut self, body: EventBody) -> Refusal {
        self.refuses_in(1, body)
    }

    /// Appends an event of a run that the rules refuse.
    #[track_caller]
    pub fn refuses_in(&mut self, run: u64, body: EventBody) -> Refusal {
        let event_type = body.event_type().as_str();
        match self.tries_in(run, body) {
            Ok(decision) => panic!("{event_type} was allowed: {decision:?}"),
            Err(refusal) => refusal,
        }
    }

    /// Run 1.
    #[track_caller]
    pub fn run(&self) -> &Run {
        self.runs.get(&run_id(1)).expect("run 1 exists")
    }

    /// A step of run 1.
    #[track_caller]
    pub fn step(&self, step: &str) -> &Step {
        self.steps.get(&(run_id(1), id(step))).expect("the step exists")
    }

    /// A hook of run 1.
    #[track_caller]
    pub fn hook(&self, hook: &str) -> &Hook {
        self.hooks.get(&(run_id(1), id(hook))).expect("the hook exists")
    }

    /// A wait of run 1.
    #[track_caller]
    pub fn wait(&self, wait: &str) -> &Wait {
        self.waits.get(&(run_id(1), id(wait))).expect("the wait exists")
    }

    /// The event types of run 1's log.
    pub fn log(&self) -> Vec<&'static str> {
        let log = self.logs.get(&run_id(1));
        log.into_iter().flatten().map(|event| event.event_type.as_str()).collect()
    }

    /// The rows that a transaction would see.
    pub fn load(&self, run_id: Option<&RunId>, needs: &Needs) -> Seen {
        let live_holder = |token: &HookToken| {
            self.hooks.values().find(|hook| hook.disposed_at_ms.is_none() && hook.token == *token)
        };
        let mut seen = Seen {
            token_holder: needs.token.as_ref().and_then(live_holder).cloned(),
            lease_holds: needs.lease.as_ref().is_some_and(|lease| self.leases.contains(lease)),
            ..Seen::default()
        };
        let Some(run_id) = run_id else { return seen };
        let key = |id: &Option<CorrelationId>| Some((run_id.clone(), id.clone()?));
        seen.run = self.runs.get(run_id).cloned();
        seen.tail = self
            .logs
            .get(run_id)
            .and_then(|log| log.last())
            .map(|event| Tail { position: event.position, created_at_ms: event.created_at_ms });
        seen.step = key(&needs.step).and_then(|key| self.steps.get(&key)).cloned();
        seen.hook = key(&needs.hook).and_then(|key| self.hooks.get(&key)).cloned();
        seen.wait = key(&needs.wait).and_then(|key| self.waits.get(&key)).cloned();
        let sets = |event: &Event| {
            event.event_type == EventType::AttrSet && event.correlation_id == needs.attributes_set
        };
        let is_resume = |event: &&Event| match (&event.resume, &needs.resume) {
            (Some(of_event), Some(needed)) => {
                of_event.id == needed.id
                    && (event.run_id == *run_id || StepResume::of(needed).is_some())
            }
            _ => false,
        };
        seen.earlier_resume = self
            .logs
            .values()
            .flatten()
            .find(is_resume)
            .map(|event| Event { payload: None, ..event.clone() });
        seen.attributes_are_set = needs.attributes_set.is_some()
            && self.logs.get(run_id).is_some_and(|log| log.iter().any(sets));
        seen
    }

    fn write(&mut self, change: Change) {
        match change {
            Change::InsertRun(run) => {
                assert!(self.runs.insert(run.run_id.clone(), run).is_none(), "a run is new");
            }
            Change::UpdateRun(run) => {
                assert!(self.runs.insert(run.run_id.clone(), run).is_some(), "the run exists");
            }
            Change::AppendEvent(event, _) => {
                let log = self.logs.entry(event.run_id.clone()).or_default();
                assert_eq!(event.position, log.len() as i64 + 1, "positions are dense");
                log.push(event);
            }
            Change::InsertStep(step) => {
                let key = (step.run_id.clone(), step.step_id.clone());
                assert!(self.steps.insert(key, step).is_none(), "a step is new");
            }
            Change::UpdateStep(step) => {
                let key = (step.run_id.clone(), step.step_id.clone());
                assert!(self.steps.insert(key, step).is_some(), "the step exists");
            }
            Change::InsertHook(hook) => {
                let live = |other: &Hook| other.disposed_at_ms.is_none();
                let holder = self.hooks.values().find(|o| live(o) && o.token == hook.token);
                assert_eq!(holder, None, "a token names at most one live hook");
                let key = (hook.run_id.clone(), hook.hook_id.clone());
                assert!(self.hooks.insert(key, hook).is_none(), "a hook is new");
            }
            Change::DisposeHook { run_id, hook_id, at_ms } => {
                let hook = self.hooks.get_mut(&(run_id, hook_id)).expect("the hook exists");
                assert_eq!(hook.disposed_at_ms.replace(at_ms), None, "a hook is disposed once");
            }
            Change::InsertWait(wait) => {
                let key = (wait.run_id.clone(), wait.correlation_id.clone());
                assert!(self.waits.insert(key, wait).is_none(), "a wait is new");
            }
            Change::UpdateWait(wait) => {
                let key = (wait.run_id.clone(), wait.correlation_id.clone());
                assert!(self.waits.insert(key, wait).is_some(), "the wait exists");
            }
            Change::FreeRun(run_id) => {
                self.hooks.retain(|(run, _), hook| *run != run_id || hook.outlive(self.now_ms));
                self.waits.retain(|(run, _), _| *run != run_id);
            }
            Change::DropValues(run_id) => {
                let log = self.logs.get_mut(&run_id).expect("the run has a log");
                log.iter_mut().for_each(Event::drop_values);
                let of_run = self.hooks.iter_mut().filter(|((run, _), _)| *run == run_id);
                of_run.for_each(|(_, hook)| hook.metadata_position = None);
            }
            Change::Enqueue(wake_up) => self.wake_ups.push(wake_up.run_id),
        }
    }
}

/// A run id with the time [`NOW_MS`] and this number.
pub fn run_id(number: u64) -> RunId {
    run_id_made_at(NOW_MS, number)
}

/// A run's id with another time.
pub fn run_id_made_at(at_ms: i64, number: u64) -> RunId {
    RunId::from_ulid(ulid::Ulid::from_parts(at_ms as u64, u128::from(number)))
}

/// The id of a run that was created without one.
pub fn fresh_run_id() -> RunId {
    run_id(99)
}

/// A correlation id.
pub fn id(text: &str) -> CorrelationId {
    CorrelationId::new(text)
}

/// The environment of the hooks.
pub fn test_environment() -> Option<String> {
    Some("test".into())
}

/// The data that creates a run.
pub fn creation() -> RunCreation {
    RunCreation {
        deployment_id: "dpl".into(),
        release_id: None,
        workflow_name: "workflow//a".into(),
        execution_context: None,
        wakes: false,
        encryption_key_id: None,
        attributes: AttributeChanges::default(),
        encryption_public_key: None,
    }
}

/// A payload whose bytes are the text.
pub fn payload(text: &str) -> Option<Payload> {
    Some(Payload::Bytes(text.as_bytes().to_vec()))
}

/// An error with this message.
pub fn error(message: &str) -> StructuredError {
    StructuredError { message: message.into(), stack: None, code: None }
}

/// A delivery of message 1 with this lease.
pub fn fence(lease: &str) -> Fence {
    Fence { message_id: MessageId::from_number(1), lease_token: LeaseToken::new(lease) }
}

/// A request with the World's own spec version and with the event's type as its payload.
pub fn request(run: u64, body: EventBody) -> EventRequest {
    let payload = payload(body.event_type().as_str());
    let run_id = Some(run_id(run));
    EventRequest {
        run_id,
        body,
        spec_version: SPEC_VERSION_DEFAULT,
        data: None,
        payload,
        fence: None,
        code_mismatch: None,
        report: Report::default(),
        resume: None,
    }
}

pub fn step_created(step: &str) -> EventBody {
    EventBody::StepCreated { step: id(step), step_name: format!("step//{step}") }
}

pub fn step_started(step: &str) -> EventBody {
    EventBody::StepStarted { step: id(step), owner: None, creates: None }
}

/// The start that also creates its step, executed by the delivery of a message.
pub fn step_created_and_started(step: &str, owner: i64) -> EventBody {
    EventBody::StepStarted {
        step: id(step),
        owner: Some(MessageId::from_number(owner)),
        creates: Some(format!("step//{step}")),
    }
}

pub fn step_completed(step: &str) -> EventBody {
    EventBody::StepCompleted { step: id(step) }
}

pub fn step_failed(step: &str) -> EventBody {
    EventBody::StepFailed { step: id(step), error: error("fatal") }
}

pub fn step_retrying(step: &str, retry_after_ms: Option<i64>) -> EventBody {
    EventBody::StepRetrying { step: id(step), error: error("again"), retry_after_ms }
}

pub fn hook_created(hook: &str, token: &str) -> EventBody {
    let (hook, token) = (id(hook), HookToken::new(token));
    EventBody::HookCreated { hook, token, options: HookOptions::default() }
}

pub fn hook_received(hook: &str, token: Option<&str>) -> EventBody {
    EventBody::HookReceived { hook: id(hook), token: token.map(HookToken::new) }
}

pub fn hook_disposed(hook: &str) -> EventBody {
    EventBody::HookDisposed { hook: id(hook) }
}

pub fn wait_created(wait: &str, resume_at_ms: i64) -> EventBody {
    EventBody::WaitCreated { wait: id(wait), resume_at_ms }
}

pub fn wait_completed(wait: &str) -> EventBody {
    EventBody::WaitCompleted { wait: id(wait) }
}

/// The name of a resume.
pub fn mark(id: &str, payload_digest: Option<&str>) -> ResumeMark {
    ResumeMark { id: id.into(), payload_digest: payload_digest.map(str::to_owned) }
}

/// Changes of attributes, without a value to remove one.
pub fn changes(pairs: &[(&str, Option<&str>)], allow_reserved: bool) -> AttributeChanges {
    let change = |(key, value): &(&str, Option<&str>)| AttributeChange {
        key: (*key).to_owned(),
        value: value.map(AttributeValue::plain),
    };
    AttributeChanges { changes: pairs.iter().map(change).collect(), allow_reserved }
}

pub fn attr_set(name: Option<&str>, pairs: &[(&str, Option<&str>)]) -> EventBody {
    EventBody::AttrSet { id: name.map(id), changes: changes(pairs, false) }
}

/// The three events that end a run.
pub fn endings() -> [EventBody; 3] {
    [EventBody::RunCompleted, EventBody::RunFailed(error("why")), EventBody::RunCancelled]
}
