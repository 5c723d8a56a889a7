//! One event inside the open transaction: load what the rules need, decide, write the changes.

use rusqlite::{Connection, Result};

use super::queue::Times;
use super::queue_time::QueueTime;
use super::{events, hooks, leases, queue, runs, steps, waits};
use crate::clock::Clock;
use crate::domain::change::Change;
use crate::domain::event::{EventBody, EventRequest};
use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::domain::message::{NewMessage, WakeUp};
use crate::domain::page::LIMIT_MAX;
use crate::domain::transition::{self, Decision, Entity, Needs, Seen, Stamp};
use crate::entropy::Entropy;
use crate::error::WorldError;
use crate::store::{CommitNews, EventReply};

/// What an operation works with while the writer's transaction is open.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) clock: &'a dyn Clock,
    pub(super) queue_time: &'a QueueTime,
    pub(super) entropy: &'a Entropy,
    pub(super) environment: Option<&'a str>,
    /// Begins the queue names of flow messages.
    pub(super) workflow_prefix: &'a str,
    /// What the commit will make visible.
    pub(super) news: &'a mut CommitNews,
}

impl Tx<'_> {
    /// The time by which messages are due.
    pub(super) fn times(&self) -> Times<'_> {
        Times { time: self.queue_time, clock: self.clock }
    }

    /// Puts a message into the queue; see [`queue::enqueue`].
    pub(super) fn enqueue(&mut self, message: &NewMessage, delay_ms: i64) -> Result<MessageId> {
        let fresh_id = || self.entropy.message_id(self.clock.now_ms());
        let message_id =
            queue::enqueue(self.connection, message, delay_ms, fresh_id, self.times())?;
        self.news.queue = true;
        Ok(message_id)
    }
}

/// A name is drawn only for an event that comes without one.
pub(super) fn stamp(
    request: &EventRequest,
    now_ms: i64,
    entropy: &Entropy,
    environment: Option<&str>,
) -> Stamp {
    let named = request.run_id.clone();
    let fresh_run_id = named.unwrap_or_else(|| entropy.run_id(now_ms));
    Stamp { now_ms, fresh_run_id, environment: environment.map(str::to_owned) }
}

pub(super) fn append_event(
    tx: &mut Tx<'_>,
    request: EventRequest,
) -> std::result::Result<EventReply, WorldError> {
    let now_ms = tx.clock.now_ms();
    let stamp = stamp(&request, now_ms, tx.entropy, tx.environment);
    let needs = transition::needs(&request);
    let seen = load(tx.connection, request.run_id.as_ref(), &needs)?;
    let decision = transition::decide(seen, request, &stamp)?;
    let mut wake_up = None;
    let Decision { changes, event, entity, preload_events } = decision;
    for change in changes {
        if let Some(message_id) = write(tx, change)? {
            wake_up = Some(message_id);
        }
    }
    let mut reply = answer(tx.connection, entity, preload_events)?;
    reply.event = event;
    reply.wake_up = wake_up;
    Ok(reply)
}

/// Completes pending waits of a run, all or those named, one event each, and wakes it once.
pub(super) fn complete_waits(
    tx: &mut Tx<'_>,
    run_id: &RunId,
    only: Option<&[CorrelationId]>,
) -> std::result::Result<usize, WorldError> {
    let run = runs::by_id(tx.connection, run_id)?
        .ok_or_else(|| WorldError::run_not_found(run_id.as_str()))?;
    let mut waits = waits::pending(tx.connection, run_id)?;
    waits.retain(|wait| only.is_none_or(|only| only.contains(&wait.correlation_id)));
    let count = waits.len();
    for wait in waits {
        let request = EventRequest {
            run_id: Some(run_id.clone()),
            data: Some(serde_json::json!({ "resumeAt": wait.resume_at_ms }).to_string()),
            body: EventBody::WaitCompleted { wait: wait.correlation_id },
            spec_version: run.spec_version,
            payload: None,
            fence: None,
        };
        append_event(tx, request)?;
    }
    if count > 0 {
        let wake_up = WakeUp::of(&run);
        write(tx, Change::Enqueue(wake_up))?;
    }
    Ok(count)
}

/// Answers an event that changes nothing, from one consistent view; `None` leaves it to the writer,
/// refusals too, because what it waits for may be on its way there.
pub(super) fn answer_unchanged(
    connection: &Connection,
    request: EventRequest,
    stamp: &Stamp,
) -> std::result::Result<Option<EventReply>, WorldError> {
    let view = connection.unchecked_transaction()?;
    let needs = transition::needs(&request);
    let seen = load(&view, request.run_id.as_ref(), &needs)?;
    match transition::decide(seen, request, stamp) {
        Ok(Decision { changes, entity, preload_events, .. }) if changes.is_empty() => {
            Ok(Some(answer(&view, entity, preload_events)?))
        }
        _ => Ok(None),
    }
}

fn load(connection: &Connection, run_id: Option<&RunId>, needs: &Needs) -> Result<Seen> {
    let mut seen = Seen::default();
    if let Some(lease) = &needs.lease {
        seen.lease_holds = leases::lease_holds(connection, lease)?;
    }
    if let Some(token) = &needs.token {
        seen.token_holder = hooks::by_token(connection, token)?;
    }
    let Some(run_id) = run_id else { return Ok(seen) };
    seen.run = runs::by_id(connection, run_id)?;
    seen.tail = events::tail(connection, run_id)?;
    if let Some(step_id) = &needs.step {
        seen.step = steps::by_id(connection, run_id, step_id)?;
    }
    if let Some(hook_id) = &needs.hook {
        // Mostly the holder of the token, whose row the look-up before a resume has just read.
        let held = seen.token_holder.as_ref();
        let held = held.filter(|hook| hook.run_id == *run_id && hook.hook_id == *hook_id).cloned();
        seen.hook = match held {
            Some(hook) => Some(hook),
            None => hooks::of_run(connection, run_id, hook_id)?,
        };
    }
    if let Some(wait) = &needs.wait {
        seen.wait = waits::by_id(connection, run_id, wait)?;
    }
    Ok(seen)
}

/// Writes one change; returns the message of a wake-up.
fn write(tx: &mut Tx<'_>, change: Change) -> Result<Option<MessageId>> {
    let connection = tx.connection;
    match change {
        Change::InsertRun(run) => {
            runs::insert(connection, &run)?;
            queue::run_made(connection, &run)?;
        }
        Change::UpdateRun(run) => {
            runs::update(connection, &run)?;
            if run.status.is_terminal() {
                tx.news.ended_runs.push(run.run_id);
            }
        }
        Change::AppendEvent(event) => events::insert(connection, &event)?,
        Change::InsertStep(step) => steps::insert(connection, &step)?,
        Change::UpdateStep(step) => steps::update(connection, &step)?,
        Change::InsertHook(hook) => {
            hooks::insert(connection, &hook)?;
            tx.news.hooks.push(hook.token);
        }
        Change::DisposeHook { run_id, hook_id, at_ms } => {
            hooks::dispose(connection, &run_id, &hook_id, at_ms)?;
        }
        Change::InsertWait(wait) => waits::insert(connection, &wait)?,
        Change::UpdateWait(wait) => waits::update(connection, &wait)?,
        Change::FreeRun(run_id) => {
            hooks::delete_of_run(connection, &run_id)?;
            waits::delete_of_run(connection, &run_id)?;
            queue::delete_wake_ups(connection, &run_id)?;
        }
        Change::Enqueue(wake_up) => {
            let message = wake_up.into_message(tx.workflow_prefix);
            return Ok(Some(tx.enqueue(&message, 0)?));
        }
    }
    Ok(None)
}

/// The entity as the transaction left it, with its payloads.
fn answer(connection: &Connection, entity: Entity, preload_events: bool) -> Result<EventReply> {
    let mut reply = EventReply::default();
    match entity {
        Entity::Nothing => {}
        Entity::Run(run_id) => {
            if let Some(run) = runs::by_id(connection, &run_id)? {
                reply.run = Some(runs::view(connection, run, true)?);
            }
            if preload_events {
                reply.events = events::whole_log(connection, &run_id, LIMIT_MAX)?;
            }
        }
        Entity::Step(run_id, step_id) => {
            if let Some(step) = steps::by_id(connection, &run_id, &step_id)? {
                reply.step = Some(steps::view(connection, step, true)?);
            }
        }
        Entity::Hook(run_id, hook_id) => {
            if let Some(hook) = hooks::of_run(connection, &run_id, &hook_id)? {
                reply.hook = Some(hooks::view(connection, hook, true)?);
            }
        }
        Entity::Wait(run_id, wait) => reply.wait = waits::by_id(connection, &run_id, &wait)?,
    }
    Ok(reply)
}
