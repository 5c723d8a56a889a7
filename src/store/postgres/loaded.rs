//! The rows that the operations of a batch will ask for, loaded together when its transaction begins.
//!
//! A row that is not here is loaded when it is asked for. So nothing is wrong when a row is missing
//! here, only when one is here that has changed: every write of the batch corrects or forgets rows.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::claims::Look;
use super::db::{Db, Sending};
use super::events::Head;
use super::streams::{self, OpenStream};
use super::{events, hooks, leases, messages, releases, resume_keys, runs, steps, waits};
use crate::domain::event::{EventBody, EventRequest};
use crate::domain::fence::Fence;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, MessageId, Position, RunId};
use crate::domain::message::{NewMessage, Purpose};
use crate::domain::payload::Payload;
use crate::domain::queue::Waiting;
use crate::domain::queue::enqueue::absorbing_run;
use crate::domain::queue::offer::may_be_gone;
use crate::domain::resume_key::{KeyedResume, ResumeKey};
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::transition::{self, Tail};
use crate::domain::wait::Wait;
use crate::error::WorldError;
use crate::store::Outcome;
use crate::store::operation::Operation;
use crate::store::transaction::Arrival;

/// Names an entity of a run.
pub(super) type EntityKey = (RunId, CorrelationId);

/// What a lease is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeaseState {
    /// Whether the message has it.
    pub(super) is_held: bool,
    /// Whether the writes of its delivery are valid.
    pub(super) is_valid: bool,
}

/// Rows by their keys; `None` for one that is known not to exist.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) runs: RefCell<HashMap<RunId, Option<Run>>>,
    pub(super) tails: RefCell<HashMap<RunId, Option<Tail>>>,
    pub(super) hooks: RefCell<HashMap<EntityKey, Option<Hook>>>,
    /// By the text that is likelier to be stored, with the token that was asked for.
    pub(super) live_hooks: RefCell<HashMap<String, (HookToken, Option<Hook>)>>,
    pub(super) steps: RefCell<HashMap<EntityKey, Option<Step>>>,
    pub(super) waits: RefCell<HashMap<EntityKey, Option<Wait>>>,
    /// By the events that carry them.
    pub(super) payloads: RefCell<HashMap<(RunId, Position), Option<Payload>>>,
    pub(super) waiting: RefCell<HashMap<RunId, Vec<(String, Waiting)>>>,
    pub(super) with_keys: RefCell<HashMap<String, Option<MessageId>>>,
    pub(super) leases: RefCell<HashMap<(MessageId, String), LeaseState>>,
    pub(super) keyed_resumes: RefCell<HashMap<String, Option<KeyedResume>>>,
    /// Whether each release is gone; `None` if there is no such release.
    pub(super) gone: RefCell<HashMap<String, Option<bool>>>,
    pub(super) streams: RefCell<HashMap<String, OpenStream>>,
    /// What the claim of a batch that does nothing else has found.
    pub(super) look: RefCell<Option<Look>>,
}

impl Loaded {
    /// Forgets everything that is known of messages.
    pub(super) fn forget_messages(&self) {
        self.waiting.borrow_mut().clear();
        self.with_keys.borrow_mut().clear();
        self.leases.borrow_mut().clear();
    }

    /// Notes that messages of a run that nobody has the lease of have changed or are gone.
    pub(super) fn forget_unclaimed(&self, run_id: &RunId) {
        self.waiting.borrow_mut().remove(run_id);
        self.with_keys.borrow_mut().retain(|_, id| id.is_none());
        self.leases.borrow_mut().retain(|_, state| state.is_held);
    }

    /// Notes a message that is put into the queue.
    pub(super) fn add_message(&self, message_id: MessageId, message: &NewMessage, at: Arrival) {
        if let Some(key) = &message.idempotency_key {
            self.with_keys.borrow_mut().insert(key.clone(), Some(message_id));
        }
        let replayed = message.purpose.run().filter(|_| message.purpose.step().is_none());
        let mut waiting = self.waiting.borrow_mut();
        let Some(of_run) = replayed.and_then(|run_id| waiting.get_mut(run_id)) else { return };
        let waits = Waiting {
            message_id,
            is_wake_up: matches!(message.purpose, Purpose::WakeUp(_)),
            available_at_ms: at.available_at_ms,
            attempt: 0,
            is_held: false,
        };
        of_run.push((message.queue_name.clone(), waits));
    }

    /// Notes that the replays of a run wake it now.
    pub(super) fn make_wake_ups(&self, run_id: &RunId) {
        let waiting = &mut *self.waiting.borrow_mut();
        let of_run = waiting.get_mut(run_id).into_iter().flatten();
        of_run.for_each(|(_, waiting)| waiting.is_wake_up = true);
    }

    /// Notes a run that is made. One that nobody has asked for has a fresh name: no message is of it.
    pub(super) fn add_run(&self, run: &Run) {
        let before = self.runs.borrow_mut().insert(run.run_id.clone(), Some(run.clone()));
        if before.is_none() {
            self.waiting.borrow_mut().insert(run.run_id.clone(), Vec::new());
        }
    }

    /// Notes when a message is due from now on.
    pub(super) fn move_message(&self, message_id: MessageId, to_ms: i64) {
        let waiting = &mut *self.waiting.borrow_mut();
        let all = waiting.values_mut().flatten().map(|(_, waiting)| waiting);
        all.filter(|it| it.message_id == message_id).for_each(|it| it.available_at_ms = to_ms);
    }

    /// Notes that a leased message is deleted.
    pub(super) fn remove_message(&self, message_id: MessageId) {
        let states = &mut *self.leases.borrow_mut();
        let of_message = states.iter_mut().filter(|((id, _), _)| *id == message_id);
        of_message.for_each(|(_, state)| *state = LeaseState::default());
        self.with_keys.borrow_mut().retain(|_, id| *id != Some(message_id));
    }

    /// The live hook with a token, if that is known: it was looked for, or the hook of a run is known to
    /// have it. A token names one live hook only.
    pub(super) fn live_hook(&self, token: &HookToken) -> Option<Option<Hook>> {
        if let Some((_, hook)) = self.live_hooks.borrow().get(token.expose()) {
            return Some(hook.clone());
        }
        let has_token =
            |hook: &&Hook| hook.disposed_at_ms.is_none() && hook.token.expose() == token.expose();
        let hooks = self.hooks.borrow();
        hooks.values().flatten().find(has_token).cloned().map(Some)
    }

    /// Notes a hook that is made.
    pub(super) fn add_hook(&self, hook: &Hook) {
        let key = (hook.run_id.clone(), hook.hook_id.clone());
        self.hooks.borrow_mut().insert(key, Some(hook.clone()));
        let live = &mut *self.live_hooks.borrow_mut();
        let of_hook = live.values_mut().filter(|(token, _)| token.names(&hook.token));
        of_hook.for_each(|(_, holder)| *holder = Some(hook.clone()));
    }

    /// Notes that a hook has given its token up.
    pub(super) fn dispose_hook(&self, key: &EntityKey, at_ms: i64) {
        if let Some(Some(hook)) = self.hooks.borrow_mut().get_mut(key) {
            hook.disposed_at_ms = Some(at_ms);
        }
        self.forget_holders(|hook| hook.run_id == key.0 && hook.hook_id == key.1);
    }

    /// Notes that a run has ended: its hooks are gone or outlive it, and others that are over may be swept.
    pub(super) fn end_hooks(&self, run_id: &RunId) {
        let ends = |hook: &Hook| hook.run_id == *run_id || hook.outlives_run;
        self.hooks.borrow_mut().retain(|_, hook| !hook.as_ref().is_some_and(ends));
        self.forget_holders(ends);
    }

    /// These hooks hold no tokens any more. Who does is not known.
    fn forget_holders(&self, are: impl Fn(&Hook) -> bool) {
        self.live_hooks.borrow_mut().retain(|_, (_, holder)| !holder.as_ref().is_some_and(&are));
    }

    /// The payload of an event that an entity names, if that is known.
    pub(super) fn payload(
        &self,
        run_id: &RunId,
        position: Option<Position>,
    ) -> Option<Option<Payload>> {
        match position {
            None => Some(None),
            Some(position) => self.payloads.borrow().get(&(run_id.clone(), position)).cloned(),
        }
    }

    /// Notes what the beginning of the transaction has read.
    pub(super) fn add_tails(&self, head: &mut Head, sought: HashSet<RunId>) {
        fill(&self.tails, sought, std::mem::take(&mut head.tails));
    }

    /// Forgets everything: what an operation that failed has written is not there.
    pub(super) fn forget(&self) {
        self.runs.borrow_mut().clear();
        self.tails.borrow_mut().clear();
        self.hooks.borrow_mut().clear();
        self.live_hooks.borrow_mut().clear();
        self.steps.borrow_mut().clear();
        self.waits.borrow_mut().clear();
        self.payloads.borrow_mut().clear();
        self.keyed_resumes.borrow_mut().clear();
        self.gone.borrow_mut().clear();
        self.streams.borrow_mut().clear();
        self.look.borrow_mut().take();
        self.forget_messages();
    }
}

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
    leases: HashSet<(MessageId, String)>,
    digests: HashSet<String>,
    releases: HashSet<String>,
    streams: HashSet<String>,
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
        !self.waiting.is_empty()
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
        if !self.digests.is_empty() {
            loads.push(Box::pin(resumes_into(db, loaded, self.digests)));
        }
        if !self.streams.is_empty() {
            loads.push(Box::pin(async move {
                let found = streams::lock(db, self.streams.into_iter().collect()).await?;
                loaded.streams.borrow_mut().extend(found);
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

/// The key of a lease.
pub(super) fn key_of(lease: &Fence) -> (MessageId, String) {
    (lease.message_id, lease.lease_token.expose().to_owned())
}

/// Notes what was found of what was sought.
fn fill<K: Hash + Eq, V>(
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
    let mut waiting = loaded.waiting.borrow_mut();
    waiting.extend(sought.into_iter().map(|run_id| (run_id, Vec::new())));
    for (run_id, message) in found {
        waiting.entry(run_id).or_default().push(message);
    }
    Ok(())
}

async fn message_keys_into(db: &Db, loaded: &Loaded, sought: HashSet<String>) -> Done {
    let found = messages::with_keys(db, sought.iter().cloned().collect()).await?;
    fill(&loaded.with_keys, sought, found);
    Ok(())
}

async fn leases_into(db: &Db, loaded: &Loaded, sought: HashSet<(MessageId, String)>) -> Done {
    let found = leases::states(db, &sought).await?;
    let mut states = loaded.leases.borrow_mut();
    states.extend(sought.into_iter().map(|lease| (lease, LeaseState::default())));
    states.extend(found);
    Ok(())
}

async fn resumes_into(db: &Db, loaded: &Loaded, sought: HashSet<String>) -> Done {
    let found = resume_keys::many(db, sought.iter().cloned().collect()).await?;
    fill(&loaded.keyed_resumes, sought, found);
    Ok(())
}
