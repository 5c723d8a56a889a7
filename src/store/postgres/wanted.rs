//! What the operations of a batch will ask for, and the statements that load it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::db::{Db, Sending, pipelined};
use super::loaded::{EntityKey, LeaseKey, LeaseState, Loaded, LogEnd, key_of};
use super::messages::WaitingOf;
use super::{
    events, hooks, leases, messages, releases, resume_keys, resumes, runs, steps, streams, waits,
};
use crate::domain::event::{EventBody, EventRequest};
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, Position, RunId};
use crate::domain::message::NewMessage;
use crate::domain::queue::Waiting;
use crate::domain::queue::enqueue::absorbing_run;
use crate::domain::queue::offer::may_be_gone;
use crate::domain::resume_key::ResumeKey;
use crate::domain::spec::SpecVersion;
use crate::domain::step::Step;
use crate::domain::step_resume::StepResume;
use crate::domain::transition;
use crate::domain::wait::Wait;
use crate::error::WorldError;
use crate::store::Outcome;
use crate::store::operation::Operation;

/// Events of the end of a log that is kept for the operations of a batch.
const LOG_END_MAX: usize = 100;

/// The keys of the rows that a batch will ask for.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) runs: HashSet<RunId>,
    /// Runs whose arguments are part of an answer.
    inputs: HashSet<RunId>,
    hooks: HashSet<EntityKey>,
    tokens: Vec<HookToken>,
    steps: HashSet<EntityKey>,
    waits: HashSet<EntityKey>,
    /// Of runs that will be woken.
    waiting: HashSet<RunId>,
    message_keys: HashSet<String>,
    leases: HashSet<LeaseKey>,
    /// Leases that end otherwise than with an acknowledgement.
    ended: HashSet<LeaseKey>,
    digests: HashSet<String>,
    releases: HashSet<String>,
    streams: HashSet<String>,
    /// Behind which positions.
    logs: HashMap<RunId, Position>,
    resumes: HashSet<(RunId, String)>,
    attributes: HashSet<EntityKey>,
    /// Runs whose waiting replays may become claimable.
    replays: HashSet<RunId>,
}

impl Wanted {
    /// What this operation will ask for, as far as that can be known before it runs. `release` is that of
    /// this process.
    pub(super) fn add(&mut self, operation: &Operation, release: Option<&str>) {
        match operation {
            Operation::AppendEvent(request, _) => self.add_event(request, release),
            Operation::AppendEvents(requests, _) => {
                requests.iter().for_each(|request| self.add_event(request, release));
            }
            Operation::ResumeOnce(request, key, _) => {
                self.add_event(request, release);
                self.add_key(key);
            }
            Operation::CompleteWaits(run_id, ..) => {
                self.runs.insert(run_id.clone());
            }
            Operation::Enqueue(message, ..) => self.add_message(message, release),
            Operation::EnqueueAll(messages, _) => {
                messages.iter().for_each(|(message, _)| self.add_message(message, release));
            }
            Operation::WriteStream(stream, ..) | Operation::CloseStream(stream, _) => {
                self.streams.insert(stream.name.clone());
            }
            Operation::SettleDelivery(delivery, Outcome::Ack, _) => {
                self.leases.insert(key_of(delivery));
            }
            Operation::SettleDelivery(delivery, ..) => {
                self.ended.insert(key_of(delivery));
            }
            _ => {}
        }
    }

    fn add_event(&mut self, request: &EventRequest, release: Option<&str>) {
        let needs = transition::needs(request);
        self.leases.extend(needs.lease.as_ref().map(key_of));
        if let EventBody::RunCreated(creation) = &request.body {
            self.add_release(&creation.deployment_id, release);
        }
        let Some(run_id) = &request.run_id else { return };
        self.runs.insert(run_id.clone());
        let of_run = |id: CorrelationId| (run_id.clone(), id);
        self.steps.extend(needs.step.map(of_run));
        self.waits.extend(needs.wait.map(of_run));
        self.attributes.extend(needs.attributes_set.map(of_run));
        // The names of a step's resumes are found by their beginnings.
        let named = needs.resume.filter(|mark| StepResume::of(mark).is_none());
        self.resumes.extend(named.map(|mark| (run_id.clone(), mark.id)));
        if let Some(after) = needs.log {
            let first = self.logs.entry(run_id.clone()).or_insert(after);
            *first = after.min(*first);
        }
        match &request.body {
            // The token of a resume names its own hook, so that is not looked for by the token too.
            EventBody::RunCreated(_)
            | EventBody::HookReceived { .. }
            | EventBody::StepCompleted { .. }
            | EventBody::StepFailed { .. } => {
                self.waiting.insert(run_id.clone());
            }
            EventBody::RunStarted(_)
            | EventBody::RunCompleted
            | EventBody::RunFailed(_)
            | EventBody::RunCancelled
            | EventBody::AttrSet { .. } => {
                self.inputs.insert(run_id.clone());
            }
            EventBody::StepStarted { .. } => {
                if SpecVersion(request.spec_version).replays_overlap() {
                    self.replays.insert(run_id.clone());
                }
            }
            _ => self.tokens.extend(needs.token),
        }
        self.hooks.extend(needs.hook.map(of_run));
    }

    fn add_message(&mut self, message: &NewMessage, release: Option<&str>) {
        self.runs.extend(message.purpose.run().cloned());
        self.waiting.extend(absorbing_run(message).cloned());
        self.message_keys.extend(message.idempotency_key.clone());
        self.leases.extend(message.needed_lease().map(key_of));
        self.add_release(&message.demand.deployment_id, release);
    }

    fn add_release(&mut self, id: &str, own: Option<&str>) {
        if may_be_gone(id, own) {
            self.releases.insert(id.to_owned());
        }
    }

    fn add_key(&mut self, key: &ResumeKey) {
        self.digests.extend(key.forms().map(|digests| digests.key.clone()));
    }

    /// Whether messages are locked for it. Claims of other processes pass over them meanwhile.
    pub(super) fn locks_messages(&self) -> bool {
        !self.waiting.is_empty() || !self.ended.is_empty()
    }

    /// The loads, each one statement. The runs and the ends of their logs come with the locks.
    pub(super) fn loads<'a>(self, db: &'a Db, loaded: &'a Loaded) -> Vec<Sending<'a>> {
        let mut loads: Vec<Sending<'a>> = Vec::new();
        if !self.inputs.is_empty() {
            loads.push(Box::pin(async move {
                let found = events::inputs(db, texts(&self.inputs)).await?;
                loaded.payloads.borrow_mut().extend(found);
                Ok(())
            }));
        }
        if !self.tokens.is_empty() {
            loads.push(Box::pin(tokens_into(db, loaded, self.tokens)));
        }
        if !self.hooks.is_empty() {
            loads.push(Box::pin(hooks_into(db, loaded, self.hooks)));
        }
        if !self.steps.is_empty() {
            loads.push(Box::pin(steps_into(db, loaded, self.steps)));
        }
        if !self.waits.is_empty() {
            loads.push(Box::pin(waits_into(db, loaded, self.waits)));
        }
        if !self.waiting.is_empty() {
            loads.push(Box::pin(waiting_into(db, loaded, self.waiting)));
        }
        if !self.message_keys.is_empty() {
            loads.push(Box::pin(message_keys_into(db, loaded, self.message_keys)));
        }
        if !self.leases.is_empty() {
            loads.push(Box::pin(leases_into(db, loaded, self.leases)));
        }
        if !self.resumes.is_empty() {
            loads.push(Box::pin(resumes_into(db, loaded, self.resumes)));
        }
        if !self.attributes.is_empty() {
            loads.push(Box::pin(attributes_into(db, loaded, self.attributes)));
        }
        if !self.replays.is_empty() {
            loads.push(Box::pin(replays_into(db, loaded, self.replays)));
        }
        if !self.logs.is_empty() {
            loads.push(Box::pin(logs_into(db, loaded, self.logs)));
        }
        if !self.ended.is_empty() {
            loads.push(Box::pin(ended_into(db, loaded, self.ended)));
        }
        if !self.digests.is_empty() {
            loads.push(Box::pin(keyed_resumes_into(db, loaded, self.digests)));
        }
        if !self.streams.is_empty() {
            loads.push(Box::pin(async move {
                let found = streams::lock(db, self.streams.iter().cloned().collect()).await?;
                fill(&loaded.streams, self.streams, found);
                Ok(())
            }));
        }
        if !self.releases.is_empty() {
            loads.push(Box::pin(async move {
                let sought: Vec<String> = self.releases.iter().cloned().collect();
                let found = releases::gone_of(db, sought).await?;
                fill(&loaded.gone, self.releases, found);
                Ok(())
            }));
        }
        loads
    }
}

type Done = Result<(), WorldError>;

/// Notes what was found of what was sought.
pub(super) fn fill<K: Hash + Eq, V>(
    rows: &RefCell<HashMap<K, Option<V>>>,
    sought: HashSet<K>,
    found: impl IntoIterator<Item = (K, V)>,
) {
    let mut rows = rows.borrow_mut();
    rows.extend(sought.into_iter().map(|key| (key, None)));
    rows.extend(found.into_iter().map(|(key, row)| (key, Some(row))));
}

fn texts(run_ids: &HashSet<RunId>) -> Vec<String> {
    run_ids.iter().map(|run_id| run_id.as_str().to_owned()).collect()
}

/// Locks these runs, and those of these messages; notes the runs.
pub(super) async fn lock_into(
    db: &Db,
    loaded: &Loaded,
    sought: HashSet<RunId>,
    (run_ids, messages): (Vec<String>, Vec<i64>),
) -> Done {
    let found = runs::lock(db, run_ids, messages).await?;
    let gone = found.iter().map(|(run, is_gone)| (run.release_id.clone(), *is_gone));
    loaded.gone.borrow_mut().extend(gone);
    fill(&loaded.runs, sought, found.into_iter().map(|(run, _)| (run.run_id.clone(), run)));
    Ok(())
}

async fn tokens_into(db: &Db, loaded: &Loaded, tokens: Vec<HookToken>) -> Done {
    let found = hooks::live_of(db, &tokens).await?;
    let of_text = found.into_iter().map(|(token, hook)| (token.expose().to_owned(), (token, hook)));
    loaded.live_hooks.borrow_mut().extend(of_text);
    Ok(())
}

async fn hooks_into(db: &Db, loaded: &Loaded, sought: HashSet<EntityKey>) -> Done {
    let found = hooks::many(db, arrays(&sought)).await?;
    let key = |hook: &Hook| (hook.run_id.clone(), hook.hook_id.clone());
    fill(&loaded.hooks, sought, found.into_iter().map(|hook| (key(&hook), hook)));
    Ok(())
}

async fn steps_into(db: &Db, loaded: &Loaded, sought: HashSet<EntityKey>) -> Done {
    let found = steps::many(db, arrays(&sought)).await?;
    let mut payloads = loaded.payloads.borrow_mut();
    for view in &found {
        let at = |position: Position| (view.step.run_id.clone(), position);
        payloads.insert(at(view.step.created_position), view.input.clone());
        payloads.extend(view.step.output_position.map(|output| (at(output), view.output.clone())));
        payloads.extend(view.step.error_position.map(|error| (at(error), view.error.clone())));
    }
    let key = |step: &Step| (step.run_id.clone(), step.step_id.clone());
    fill(&loaded.steps, sought, found.into_iter().map(|view| (key(&view.step), view.step)));
    Ok(())
}

async fn waits_into(db: &Db, loaded: &Loaded, sought: HashSet<EntityKey>) -> Done {
    let found = waits::many(db, arrays(&sought)).await?;
    let key = |wait: &Wait| (wait.run_id.clone(), wait.correlation_id.clone());
    fill(&loaded.waits, sought, found.into_iter().map(|wait| (key(&wait), wait)));
    Ok(())
}

/// The keys of entities, as arrays of a statement's parameters.
fn arrays(keys: &HashSet<EntityKey>) -> (Vec<String>, Vec<String>) {
    keys.iter().map(|(run, id)| (run.as_str().to_owned(), id.as_str().to_owned())).unzip()
}

async fn waiting_into(db: &Db, loaded: &Loaded, sought: HashSet<RunId>) -> Done {
    let found = messages::waiting_of(db, texts(&sought)).await?;
    note_waiting(loaded, sought, found);
    Ok(())
}

/// Notes all messages that wait of these runs.
fn note_waiting(loaded: &Loaded, runs: HashSet<RunId>, found: Vec<WaitingOf>) {
    let mut of_run: HashMap<RunId, Vec<(String, Waiting)>> =
        runs.into_iter().map(|run_id| (run_id, Vec::new())).collect();
    for (run_id, message) in found {
        of_run.entry(run_id).or_default().push(message);
    }
    loaded.waiting.borrow_mut().extend(of_run);
}

async fn ended_into(db: &Db, loaded: &Loaded, sought: HashSet<LeaseKey>) -> Done {
    let keys = sought.iter().map(|(id, token)| (id.number(), token.clone()));
    let ids = keys.clone().map(|(id, _)| id).collect();
    let mut leased = Vec::new();
    let leases: Sending<'_> = Box::pin(async {
        leased = messages::leased(db, keys).await?;
        Ok(())
    });
    let beside = pipelined(vec![leases], messages::waiting_beside(db, ids)).await?;
    let runs = leased.iter().filter_map(|(_, row)| row.run_id.clone()).collect();
    note_waiting(loaded, runs, beside);
    fill(&loaded.leased, sought, leased);
    Ok(())
}

async fn message_keys_into(db: &Db, loaded: &Loaded, sought: HashSet<String>) -> Done {
    let found = messages::with_keys(db, sought.iter().cloned().collect()).await?;
    fill(&loaded.with_keys, sought, found);
    Ok(())
}

async fn leases_into(db: &Db, loaded: &Loaded, sought: HashSet<LeaseKey>) -> Done {
    let found = leases::states(db, &sought).await?;
    let mut states = loaded.leases.borrow_mut();
    states.extend(sought.into_iter().map(|lease| (lease, LeaseState::default())));
    states.extend(found);
    Ok(())
}

/// A longer log is read when it is asked for.
async fn logs_into(db: &Db, loaded: &Loaded, sought: HashMap<RunId, Position>) -> Done {
    let found = events::log_ends(db, &sought, LOG_END_MAX + 1).await?;
    let mut ends: HashMap<RunId, LogEnd> = sought
        .into_iter()
        .map(|(run_id, after)| (run_id, LogEnd { after, events: Vec::new() }))
        .collect();
    for event in found {
        if let Some(end) = ends.get_mut(&event.run_id) {
            end.events.push(event);
        }
    }
    let known = |(_, end): &(RunId, LogEnd)| {
        let first = end.events.iter().zip(end.after + 1..);
        end.events.len() <= LOG_END_MAX && first.into_iter().all(|(event, at)| event.position == at)
    };
    loaded.logs.borrow_mut().extend(ends.into_iter().filter(known));
    Ok(())
}

async fn keyed_resumes_into(db: &Db, loaded: &Loaded, sought: HashSet<String>) -> Done {
    let found = resume_keys::many(db, sought.iter().cloned().collect()).await?;
    fill(&loaded.keyed_resumes, sought, found);
    Ok(())
}

async fn resumes_into(db: &Db, loaded: &Loaded, sought: HashSet<(RunId, String)>) -> Done {
    let names = sought.iter().map(|(run, id)| (run.as_str().to_owned(), id.clone())).unzip();
    let found = resumes::by_ids(db, names).await?;
    let named = found.into_iter().filter_map(|event| {
        let id = event.resume.as_ref()?.id.clone();
        Some(((event.run_id.clone(), id), event))
    });
    fill(&loaded.resumes, sought, named);
    Ok(())
}

async fn attributes_into(db: &Db, loaded: &Loaded, sought: HashSet<EntityKey>) -> Done {
    let found = events::attributes_set(db, arrays(&sought)).await?;
    let set = sought.into_iter().map(|key| (key.clone(), found.contains(&key)));
    loaded.attributes_set.borrow_mut().extend(set);
    Ok(())
}

async fn replays_into(db: &Db, loaded: &Loaded, sought: HashSet<RunId>) -> Done {
    let found = messages::with_waiting_replays(db, texts(&sought)).await?;
    let waits = sought.into_iter().map(|run_id| (run_id.clone(), found.contains(&run_id)));
    loaded.waiting_replays.borrow_mut().extend(waits);
    Ok(())
}
