//! The state machine: the rows that an event needs, and its effects or its refusal.
//!
//! A store loads the rows that [`needs`] names, calls [`decide`] in the same transaction, and writes
//! the changes in their order. The rules are those of the SDK's contract (`@workflow/world`, and the
//! observed behaviour of its runtime). Where two lines of the SDK differ, [`super::spec`] knows it. Each
//! entity has its own file.

mod attributes;
pub mod batch;
mod hook;
pub mod replay;
mod run;
mod step;
#[cfg(test)]
pub(in crate::domain) mod test_kit;
#[cfg(test)]
mod tests;
mod wait;

pub use run::cancellation_of;
pub use wait::completions_of_waits;

use super::change::Change;
use super::event::{Event, EventBody, EventRequest, EventType, Report, ResumeMark};
use super::fence::Fence;
use super::hook::Hook;
use super::id::{CorrelationId, HookToken, Position, RunId};
use super::page::{EventPlace, Page};
use super::payload::{Payload, StructuredError};
use super::queue::hold::may_other_code_fit;
use super::refusal::Refusal;
use super::retention::Keeping;
use super::run::Run;
use super::spec::SPEC_VERSION_DEFAULT;
use super::step::Step;
use super::wait::Wait;

/// The rows that a decision reads, besides the run and the end of its log, which every decision reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// A step of the run.
    pub step: Option<CorrelationId>,
    /// A hook of the run, disposed or not.
    pub hook: Option<CorrelationId>,
    /// The live hook of any run that holds this token.
    pub token: Option<HookToken>,
    /// A wait of the run.
    pub wait: Option<CorrelationId>,
    /// A change of attributes that may have been made.
    pub attributes_set: Option<CorrelationId>,
    /// A resume that may have been done.
    pub resume: Option<ResumeMark>,
    /// A lease that may have been lost.
    pub lease: Option<Fence>,
    /// Whether other workers are alive, or have replayed the run.
    pub other_workers: bool,
    /// Whether the release of the run is gone.
    pub release: bool,
    /// The position behind which the answer carries the log, as far as that is known before.
    pub log: Option<Position>,
}

/// The requested rows, as the transaction sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The run.
    pub run: Option<Run>,
    /// The last event of its log.
    pub tail: Option<Tail>,
    /// See [`Needs`].
    pub step: Option<Step>,
    /// See [`Needs`].
    pub hook: Option<Hook>,
    /// See [`Needs`].
    pub token_holder: Option<Hook>,
    /// See [`Needs`].
    pub wait: Option<Wait>,
    /// Whether the requested change of attributes has been made.
    pub attributes_are_set: bool,
    /// The event of the requested resume, without its payload.
    pub earlier_resume: Option<Event>,
    /// Whether the requested lease still exists.
    pub lease_holds: bool,
    /// Whether other workers than the delivering one are alive, or have replayed the run.
    pub has_other_workers: bool,
    /// Whether the release of the run is gone.
    pub release_is_gone: bool,
}

impl Seen {
    /// The release that continues the run of an event, which may be about to be created.
    pub fn release_id<'a>(&'a self, request: &'a EventRequest) -> Option<&'a str> {
        match (&self.run, &request.body) {
            (Some(run), _) => Some(&run.release_id),
            (None, EventBody::RunCreated(creation)) => Some(&creation.deployment_id),
            (None, _) => None,
        }
    }
}

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The last event's position.
    pub position: Position,
    /// The last event's time.
    pub created_at_ms: i64,
}

/// The inputs of a decision that no row holds: the time and fresh names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The store's clock.
    pub now_ms: i64,
    /// The id for a run that was requested without one.
    pub fresh_run_id: RunId,
    /// The environment in which new hooks are made: [`Hook::environment`].
    pub environment: Option<String>,
}

/// The changes to write, and the parts that the reply names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The appended event for the reply; `None` if nothing was logged.
    pub event: Option<Event>,
    /// The entity for the reply.
    pub entity: Entity,
    /// The part of the log that the reply carries.
    pub log: Option<LogPart>,
    /// Whether the event has also created its step.
    pub step_created: bool,
}

/// A part of a run's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart {
    /// All of it; nothing if it is longer than a page.
    Whole,
    /// The first page after a position.
    After(Position),
    /// The first page between two positions.
    Between {
        /// The position before the first event.
        after: Position,
        /// The position after the last event.
        before: Position,
    },
}

impl LogPart {
    /// The position before its first event.
    pub fn after(self) -> Position {
        match self {
            Self::Whole => 0,
            Self::After(after) | Self::Between { after, .. } => after,
        }
    }

    /// How many of its events are answered at once, if a page has at most `limit`.
    pub fn page_limit(self, limit: usize) -> usize {
        match self {
            Self::Whole | Self::After(_) => limit,
            Self::Between { after, before } => wanted(after, before).clamp(1, limit),
        }
    }

    /// Makes the answer of its events: up to [`LogPart::page_limit`] of them, and one more if there are
    /// more. `None` for a whole log that is longer.
    pub fn page(self, events: Vec<Event>, limit: usize) -> Option<Page<Event>> {
        let page = Page::from_lookahead(events, self.page_limit(limit), EventPlace::key_of);
        match self {
            Self::Whole => Some(page).filter(|page| !page.has_more),
            Self::After(_) => Some(page),
            // It is no page of a list: nobody continues behind it.
            Self::Between { after, before } => {
                Some(Page { cursor: None, has_more: wanted(after, before) > limit, ..page })
            }
        }
    }
}

/// The number of events between two positions.
fn wanted(after: Position, before: Position) -> usize {
    usize::try_from(before - after - 1).unwrap_or(usize::MAX)
}

/// Where the part of the log begins that the answer to a request carries. That a caller which has counted
/// its events missed some is not known before.
fn log_needed(request: &EventRequest) -> Option<Position> {
    match (&request.body, request.report) {
        (EventBody::RunStarted(_), Report { skips_log: false, .. }) => Some(0),
        (_, Report { since, .. }) => since,
    }
}

/// The part of the log that the caller wants, once it is known where its event is.
fn reported(report: Report, at_start: Option<LogPart>, event: Option<&Event>) -> Option<LogPart> {
    match (report, event) {
        (Report { since: Some(after), .. }, Some(_)) => Some(LogPart::After(after)),
        (Report { skips_log: true, .. }, _) if at_start.is_some() => None,
        _ if at_start.is_some() => at_start,
        (Report { held: Some(after @ 1..), .. }, Some(event)) if after + 1 < event.position => {
            Some(LogPart::Between { after, before: event.position })
        }
        _ => None,
    }
}

/// Names the entity of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Entity {
    /// None.
    #[default]
    Nothing,
    /// The event's run.
    Run(RunId),
    /// A step of the run.
    Step(RunId, CorrelationId),
    /// A hook of the run.
    Hook(RunId, CorrelationId),
    /// A wait of the run.
    Wait(RunId, CorrelationId),
}

/// The rows that [`decide`] will read.
pub fn needs(request: &EventRequest) -> Needs {
    let mut needs = Needs {
        lease: request.needed_lease().cloned(),
        other_workers: request.code_mismatch.is_some(),
        release: matches!(request.body, EventBody::RunCreated(_) | EventBody::HookReceived { .. }),
        log: log_needed(request),
        ..Needs::default()
    };
    match &request.body {
        EventBody::RunCreated(_)
        | EventBody::RunStarted(_)
        | EventBody::RunCompleted
        | EventBody::RunFailed(_)
        | EventBody::RunCancelled => {}
        EventBody::StepCreated { step, .. }
        | EventBody::StepStarted { step, .. }
        | EventBody::StepCompleted { step }
        | EventBody::StepFailed { step, .. }
        | EventBody::StepRetrying { step, .. } => needs.step = Some(step.clone()),
        EventBody::HookCreated { hook, token, .. } => {
            needs.hook = Some(hook.clone());
            needs.token = Some(token.clone());
        }
        EventBody::HookReceived { hook, token } => {
            needs.hook = Some(hook.clone());
            needs.token.clone_from(token);
            needs.resume.clone_from(&request.resume);
        }
        EventBody::HookDisposed { hook } => needs.hook = Some(hook.clone()),
        EventBody::WaitCreated { wait, .. } | EventBody::WaitCompleted { wait } => {
            needs.wait = Some(wait.clone());
        }
        EventBody::AttrSet { id, .. } => needs.attributes_set.clone_from(id),
    }
    needs
}

/// Refuses an event that only the code of this process leads to, if other code may fit better.
fn refuse_code_mismatch(seen: &Seen, request: &EventRequest) -> Result<(), Refusal> {
    let (Some(mismatch), Some(run)) = (request.code_mismatch, &seen.run) else { return Ok(()) };
    let created_at_ms = seen.step.as_ref().map_or(run.created_at_ms, |step| step.created_at_ms);
    match may_other_code_fit(mismatch, created_at_ms, seen.has_other_workers) {
        true if !run.status.is_terminal() => Err(Refusal::CodeMismatch(run.run_id.clone())),
        _ => Ok(()),
    }
}

/// Refuses what only a process of a release that is gone could continue. A resume that was done before
/// is no new one.
fn refuse_gone_release(seen: &Seen, request: &EventRequest) -> Result<(), Refusal> {
    match seen.release_id(request) {
        Some(id) if seen.release_is_gone && seen.earlier_resume.is_none() => {
            Err(Refusal::ReleaseGone(id.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Decides one event over the loaded rows.
///
/// # Errors
/// A [`Refusal`] if the event may not happen. The store must then write nothing.
pub fn decide(seen: Seen, request: EventRequest, stamp: &Stamp) -> Result<Decision, Refusal> {
    // This check is first: after the loss of the lease, other deliveries may have caused any other
    // refusal.
    if request.needed_lease().is_some() && !seen.lease_holds {
        return Err(Refusal::LeaseLost);
    }
    refuse_code_mismatch(&seen, &request)?;
    refuse_gone_release(&seen, &request)?;
    let report = request.report;
    let decision = decide_event(seen, request, stamp)?;
    Ok(Decision { log: reported(report, decision.log, decision.event.as_ref()), ..decision })
}

fn decide_event(seen: Seen, request: EventRequest, stamp: &Stamp) -> Result<Decision, Refusal> {
    match request.body.clone() {
        EventBody::RunCreated(creation) => run::create(seen, request, creation, stamp),
        EventBody::RunStarted(creation) => run::start(seen, request, creation, stamp),
        body => {
            let mut log = Log::of_existing_run(seen, request, stamp)?;
            if log.run.is_legacy() {
                return decide_legacy(log, &body);
            }
            match body {
                EventBody::RunCompleted => run::complete(&mut log, stamp.now_ms)?,
                EventBody::RunFailed(error) => run::fail(&mut log, error, stamp.now_ms)?,
                EventBody::RunCancelled => run::cancel(&mut log, stamp.now_ms)?,
                EventBody::StepCreated { step, step_name } => {
                    step::create(&mut log, step, step_name)?
                }
                EventBody::StepStarted { step, owner, creates: None } => {
                    step::start(&mut log, step, owner, stamp.now_ms)?;
                }
                EventBody::StepStarted { step, owner, creates: Some(step_name) } => {
                    step::create_and_start(&mut log, step, owner, step_name)?;
                }
                EventBody::StepCompleted { step } => step::complete(&mut log, step)?,
                EventBody::StepFailed { step, error } => step::fail(&mut log, step, error)?,
                EventBody::StepRetrying { step, error, retry_after_ms } => {
                    step::retry(&mut log, step, error, retry_after_ms)?;
                }
                EventBody::HookCreated { hook, token, options } => {
                    hook::create(&mut log, hook, token, options, stamp)?;
                }
                EventBody::HookReceived { hook, token } => hook::receive(&mut log, hook, token)?,
                EventBody::HookDisposed { hook } => hook::dispose(&mut log, hook, stamp.now_ms)?,
                EventBody::WaitCreated { wait, resume_at_ms } => {
                    wait::create(&mut log, wait, resume_at_ms)?;
                }
                EventBody::WaitCompleted { wait } => wait::complete(&mut log, wait, stamp.now_ms)?,
                EventBody::AttrSet { changes, .. } => attributes::set(&mut log, &changes)?,
                EventBody::RunCreated(_) | EventBody::RunStarted(_) => {
                    unreachable!("handled above")
                }
            }
            Ok(log.into_decision())
        }
    }
}

/// Runs of spec version 1 know three events. A cancellation changes the run and is not logged. A
/// completed wait and a received payload are logged and change nothing.
fn decide_legacy(mut log: Log, body: &EventBody) -> Result<Decision, Refusal> {
    match body {
        EventBody::RunCancelled => run::cancel_legacy(&mut log)?,
        EventBody::WaitCompleted { .. } | EventBody::HookReceived { .. } => {
            log.spec_version = SPEC_VERSION_DEFAULT;
            log.append();
            if matches!(body, EventBody::HookReceived { .. }) {
                log.wake();
            }
        }
        other => {
            return Err(Refusal::RunTooOld {
                run_id: log.run.run_id,
                event_type: other.event_type().as_str(),
            });
        }
    }
    Ok(log.into_decision())
}

/// A run's log while one event is decided: the loaded rows and the decision so far.
struct Log {
    run: Run,
    step: Option<Step>,
    hook: Option<Hook>,
    token_holder: Option<Hook>,
    wait: Option<Wait>,
    attributes_are_set: bool,
    earlier_resume: Option<Event>,
    /// The position and time of the next event.
    next: Tail,
    event_type: EventType,
    correlation_id: Option<CorrelationId>,
    spec_version: u32,
    data: Option<String>,
    payload: Option<Payload>,
    resume: Option<ResumeMark>,
    decision: Decision,
}

/// An error as a run or a step keeps it: itself, or the event that carries it.
struct KeptError {
    structured: Option<StructuredError>,
    position: Option<Position>,
}

impl Log {
    fn of_existing_run(seen: Seen, request: EventRequest, stamp: &Stamp) -> Result<Self, Refusal> {
        let run_id = request.run_id.clone().ok_or(Refusal::RunIdMissing)?;
        let run = seen.run.clone().ok_or(Refusal::RunNotFound(run_id))?;
        Self::new(run, seen, request, stamp)
    }

    fn new(run: Run, seen: Seen, request: EventRequest, stamp: &Stamp) -> Result<Self, Refusal> {
        if !run.spec().is_supported() {
            return Err(Refusal::RunUnsupported(run.spec_version));
        }
        let next = match seen.tail {
            None => Tail { position: 1, created_at_ms: stamp.now_ms },
            Some(tail) => Tail {
                position: tail.position + 1,
                created_at_ms: stamp.now_ms.max(tail.created_at_ms),
            },
        };
        Ok(Self {
            run,
            step: seen.step,
            hook: seen.hook,
            token_holder: seen.token_holder,
            wait: seen.wait,
            attributes_are_set: seen.attributes_are_set,
            earlier_resume: seen.earlier_resume,
            next,
            event_type: request.body.event_type(),
            correlation_id: request.body.correlation_id().cloned(),
            spec_version: request.spec_version,
            data: request.data,
            payload: request.payload,
            resume: request.resume,
            decision: Decision::default(),
        })
    }

    /// The time of the event.
    fn now_ms(&self) -> i64 {
        self.next.created_at_ms
    }

    /// Refuses to create anything in a run that has ended.
    fn refuse_if_ended(&self) -> Result<(), Refusal> {
        if self.run.status.is_terminal() {
            return Err(Refusal::RunEnded {
                run_id: self.run.run_id.clone(),
                status: self.run.status,
            });
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        self.decision.changes.push(change);
    }

    /// Appends the requested event and moves its payload into it. Returns its position.
    fn append(&mut self) -> Position {
        let data = self.data.take();
        let payload = self.payload.take();
        self.append_as(self.event_type, data, payload)
    }

    /// Appends the requested event of a failure. Returns the error as its entity keeps it.
    fn append_error(&mut self, error: StructuredError) -> KeptError {
        let position = self.append();
        match self.run.spec().errors_are_bytes() {
            true => KeptError { structured: None, position: Some(position) },
            false => KeptError { structured: Some(error), position: None },
        }
    }

    fn append_as(
        &mut self,
        event_type: EventType,
        data: Option<String>,
        payload: Option<Payload>,
    ) -> Position {
        let position = self.next.position;
        let event = Event {
            run_id: self.run.run_id.clone(),
            position,
            event_type,
            correlation_id: self.correlation_id.clone(),
            created_at_ms: self.next.created_at_ms,
            spec_version: self.spec_version,
            run_spec_version: self.run.spec_version,
            data,
            payload: None,
            resume: self.resume.take(),
        };
        self.next.position += 1;
        self.decision.event = Some(event.clone());
        // A late event of a run whose values are dropped brings none back.
        let payload = payload.filter(|_| self.run.expired_at_ms.is_none());
        let keeping = Keeping::of(&self.run);
        self.change(Change::AppendEvent(Event { payload, ..event }, keeping));
        position
    }

    /// Wakes the run in this transaction, so the event and its wake-up are durable together.
    fn wake(&mut self) {
        if !self.run.status.is_terminal() {
            self.change(Change::Enqueue(super::message::WakeUp::of(&self.run)));
        }
    }

    fn answer(&mut self, entity: impl FnOnce(RunId) -> Entity) {
        self.decision.entity = entity(self.run.run_id.clone());
    }

    fn into_decision(self) -> Decision {
        self.decision
    }
}
