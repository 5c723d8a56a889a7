//! Events: load what the rules need, decide, write the changes.

use super::{Rows, Transaction};
use crate::domain::change::Change;
use crate::domain::event::EventRequest;
use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::domain::message::WakeUp;
use crate::domain::refusal::Refusal;
use crate::domain::step_resume::StepResume;
use crate::domain::transition::batch::{self, LostSteps};
use crate::domain::transition::{
    self, Decision, Entity, LogPart, Needs, Seen, Stamp, completions_of_waits,
};
use crate::entropy::Entropy;
use crate::error::WorldError;
use crate::store::{Appended, EventReply};

/// What an event is stamped with; a name is drawn only for an event that comes without one.
pub fn stamp(
    request: &EventRequest,
    now_ms: i64,
    entropy: &Entropy,
    environment: Option<&str>,
) -> Stamp {
    let named = request.run_id.clone();
    let fresh_run_id = named.unwrap_or_else(|| entropy.run_id(now_ms));
    Stamp { now_ms, fresh_run_id, environment: environment.map(str::to_owned) }
}

/// Answers an event that changes nothing, from one consistent view; `None` leaves it to the writer,
/// refusals too, because what it waits for may be on its way there.
///
/// # Errors
/// Storage faults.
pub fn answer_unchanged(
    rows: &impl Rows,
    request: EventRequest,
    stamp: &Stamp,
) -> Result<Option<EventReply>, WorldError> {
    let needs = transition::needs(&request);
    let seen = load(rows, request.run_id.as_ref(), &needs)?;
    let run_id = request.run_id.clone();
    match unchanged(seen, request, stamp) {
        Some((entity, log)) => answer(rows, run_id.as_ref(), entity, log).map(Some),
        None => Ok(None),
    }
}

/// What the reply to an event names that changes nothing; `None` if it does, or is refused.
pub fn unchanged(
    seen: Seen,
    request: EventRequest,
    stamp: &Stamp,
) -> Option<(Entity, Option<LogPart>)> {
    match transition::decide(seen, request, stamp) {
        Ok(Decision { changes, entity, log, .. }) if changes.is_empty() => Some((entity, log)),
        _ => None,
    }
}

impl<R: Rows> Transaction<'_, R> {
    /// See [`Store::append_event`](crate::store::Store::append_event).
    pub fn append_event(&mut self, request: EventRequest) -> Result<EventReply, WorldError> {
        Ok(self.try_to_append(request)??)
    }

    /// See [`Store::append_events`](crate::store::Store::append_events).
    pub fn append_events(
        &mut self,
        requests: Vec<EventRequest>,
    ) -> Result<Vec<Appended>, WorldError> {
        batch::check(&requests)?;
        let mut lost = LostSteps::default();
        let mut appended = Vec::with_capacity(requests.len());
        for request in requests {
            let body = request.body.clone();
            let outcome = match lost.refusal_of(&body) {
                Some(refusal) => Err(refusal),
                None => self.try_to_append(request)?,
            };
            if let Err(refusal) = &outcome {
                if refusal.ends_delivery() {
                    return Err(refusal.clone().into());
                }
                lost.note(&body, refusal);
            }
            appended.push(outcome.map_err(WorldError::from));
        }
        Ok(appended)
    }

    /// Appends an event. A refused one has written nothing.
    fn try_to_append(
        &mut self,
        request: EventRequest,
    ) -> Result<Result<EventReply, Refusal>, WorldError> {
        let stamp = stamp(&request, self.now.ms, self.entropy, self.environment);
        let needs = transition::needs(&request);
        let mut seen = load(self.rows, request.run_id.as_ref(), &needs)?;
        if needs.other_workers {
            seen.has_other_workers = self.has_other_workers(&request)?;
        }
        if needs.release
            && let Some(release_id) = seen.release_id(&request)
        {
            seen.release_is_gone = self.is_gone(release_id)?;
        }
        let named = request.run_id.clone();
        let decision = match transition::decide(seen, request, &stamp) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut wake_up = None;
        let Decision { changes, event, entity, log, step_created } = decision;
        for change in changes {
            if let Some(message_id) = self.write(change)? {
                wake_up = Some(message_id);
            }
        }
        let run_id = event.as_ref().map(|event| &event.run_id).or(named.as_ref());
        let reply = answer(self.rows, run_id, entity, log)?;
        Ok(Ok(EventReply { event, step_created, wake_up, ..reply }))
    }

    /// Whether other workers than the delivering one are alive, or have replayed the run.
    fn has_other_workers(&self, request: &EventRequest) -> Result<bool, WorldError> {
        // The delivering worker is one of them.
        if (self.living_workers)()?.len() > 1 {
            return Ok(true);
        }
        match (&request.run_id, &request.fence) {
            (Some(run_id), Some(lease)) => self.rows.is_replayed_by_others(run_id, lease),
            _ => Ok(false),
        }
    }

    /// See [`Store::complete_waits`](crate::store::Store::complete_waits).
    pub fn complete_waits(
        &mut self,
        run_id: &RunId,
        only: Option<&[CorrelationId]>,
    ) -> Result<usize, WorldError> {
        let run = self.rows.run(run_id)?;
        let run = run.ok_or_else(|| WorldError::run_not_found(run_id.as_str()))?;
        let waits = self.rows.pending_waits(run_id)?;
        let completions = completions_of_waits(&run, waits, only);
        let count = completions.len();
        for completion in completions {
            self.append_event(completion)?;
        }
        if count > 0 {
            self.wake(WakeUp::of(&run))?;
        }
        Ok(count)
    }

    /// Writes one change; returns the message of a wake-up.
    fn write(&mut self, change: Change) -> Result<Option<MessageId>, WorldError> {
        let rows = self.rows;
        match change {
            Change::InsertRun(run) => {
                rows.insert_run(&run)?;
                self.run_made(&run)?;
            }
            Change::UpdateRun(run) => {
                rows.update_run(&run)?;
                if run.status.is_terminal() {
                    self.news.ended_runs.push(run.run_id);
                }
            }
            Change::AppendEvent(event, keeping) => rows.insert_event(&event, keeping)?,
            Change::InsertStep(step) => {
                rows.insert_step(&step)?;
                self.step_changed(&step)?;
            }
            Change::UpdateStep(step) => {
                rows.update_step(&step)?;
                self.step_changed(&step)?;
            }
            Change::InsertHook(hook) => {
                rows.insert_hook(&hook)?;
                self.news.hooks.push(hook.token);
            }
            Change::DisposeHook { run_id, hook_id, at_ms } => {
                rows.dispose_hook(&run_id, &hook_id, at_ms)?;
            }
            Change::InsertWait(wait) => rows.insert_wait(&wait)?,
            Change::UpdateWait(wait) => rows.update_wait(&wait)?,
            Change::FreeRun(run_id) => {
                rows.end_hooks(&run_id, self.now.ms)?;
                rows.delete_waits(&run_id)?;
                rows.delete_wake_ups(&run_id)?;
            }
            Change::DropValues(run_id) => {
                self.news.streams.extend(rows.drop_values(&run_id, self.now.ms)?);
                self.news.dropped = true;
            }
            Change::Enqueue(wake_up) => return self.wake(wake_up).map(Some),
        }
        Ok(None)
    }
}

fn load(rows: &impl Rows, run_id: Option<&RunId>, needs: &Needs) -> Result<Seen, WorldError> {
    let mut seen = Seen::default();
    if let Some(lease) = &needs.lease {
        seen.lease_holds = rows.lease_holds(lease)?;
    }
    if let Some(token) = &needs.token {
        seen.token_holder = rows.live_hook(token)?;
    }
    let Some(run_id) = run_id else { return Ok(seen) };
    seen.run = rows.run(run_id)?;
    seen.tail = rows.tail(run_id)?;
    if let Some(step_id) = &needs.step {
        seen.step = rows.step(run_id, step_id)?;
    }
    if let Some(hook_id) = &needs.hook {
        // Mostly the holder of the token, whose row the look-up before a resume has just read.
        let held = seen.token_holder.as_ref();
        let held = held.filter(|hook| hook.run_id == *run_id && hook.hook_id == *hook_id).cloned();
        seen.hook = match held {
            Some(hook) => Some(hook),
            None => rows.hook(run_id, hook_id)?,
        };
    }
    if let Some(wait) = &needs.wait {
        seen.wait = rows.wait(run_id, wait)?;
    }
    if let Some(resume) = &needs.resume {
        seen.earlier_resume = match StepResume::of(resume) {
            // Another run may have the token by now, and then the resume names that run.
            Some(step) => match rows.step_resume(&step.name(), 0)? {
                None if seen.run.as_ref().is_some_and(|run| run.expired_at_ms.is_some()) => rows
                    .step_resume(&step.names_without_payload(), 0)?
                    .filter(|event| event.run_id == *run_id),
                event => event,
            },
            None => rows.resume(run_id, &resume.id)?,
        };
    }
    if let Some(id) = &needs.attributes_set {
        seen.attributes_are_set = rows.has_set_attributes(run_id, id)?;
    }
    Ok(seen)
}

/// The entity as the transaction left it, with its payloads, and the part of the log.
fn answer(
    rows: &impl Rows,
    run_id: Option<&RunId>,
    entity: Entity,
    log: Option<LogPart>,
) -> Result<EventReply, WorldError> {
    let mut reply = EventReply::default();
    if let (Some(run_id), Some(part)) = (run_id, log) {
        reply.events = rows.log_part(run_id, part)?;
    }
    match entity {
        Entity::Nothing => {}
        Entity::Run(run_id) => {
            reply.run = rows.run(&run_id)?.map(|run| rows.run_view(run)).transpose()?;
        }
        Entity::Step(run_id, step_id) => {
            let step = rows.step(&run_id, &step_id)?;
            reply.step = step.map(|step| rows.step_view(step)).transpose()?;
        }
        Entity::Hook(run_id, hook_id) => {
            let hook = rows.hook(&run_id, &hook_id)?;
            reply.hook = hook.map(|hook| rows.hook_view(hook)).transpose()?;
        }
        Entity::Wait(run_id, wait) => reply.wait = rows.wait(&run_id, &wait)?,
    }
    Ok(reply)
}
