//! The rows that the operations of a batch will ask for, loaded together when its transaction begins.
//!
//! A row that is not here is loaded when it is asked for. So nothing is wrong when a row is missing
//! here, only when one is here that has changed: every write of the batch corrects or forgets rows.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::db::{Db, Sending};
use super::{events, hooks, leases, messages, resume_keys, runs, steps};
use crate::domain::event::{EventBody, EventRequest};
use crate::domain::fence::Fence;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, MessageId, RunId};
use crate::domain::message::{NewMessage, Purpose};
use crate::domain::queue::Waiting;
use crate::domain::queue::enqueue::absorbing_run;
use crate::domain::resume_key::{KeyedResume, ResumeKey};
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::transition::{self, Tail};
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
    /// By the text that is likelier to be stored.
    pub(super) live_hooks: RefCell<HashMap<String, Option<Hook>>>,
    pub(super) steps: RefCell<HashMap<EntityKey, Option<Step>>>,
    pub(super) waiting: RefCell<HashMap<RunId, Vec<(String, Waiting)>>>,
    pub(super) with_keys: RefCell<HashMap<String, Option<MessageId>>>,
    pub(super) leases: RefCell<HashMap<(MessageId, String), LeaseState>>,
    pub(super) keyed_resumes: RefCell<HashMap<String, Option<KeyedResume>>>,
}

impl Loaded {
    /// Forgets everything that is known of messages.
    pub(super) fn forget_messages(&self) {
        self.waiting.borrow_mut().clear();
        self.with_keys.borrow_mut().clear();
        self.leases.borrow_mut().clear();
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

    /// Notes that a leased message is deleted.
    pub(super) fn remove_message(&self, message_id: MessageId) {
        let states = &mut *self.leases.borrow_mut();
        let of_message = states.iter_mut().filter(|((id, _), _)| *id == message_id);
        of_message.for_each(|(_, state)| *state = LeaseState::default());
        self.with_keys.borrow_mut().retain(|_, id| *id != Some(message_id));
    }

    /// Forgets everything: what an operation that failed has written is not there.
    pub(super) fn forget(&self) {
        self.runs.borrow_mut().clear();
        self.tails.borrow_mut().clear();
        self.forget_hooks();
        self.steps.borrow_mut().clear();
        self.keyed_resumes.borrow_mut().clear();
        self.forget_messages();
    }

    /// Forgets everything that is known of hooks.
    pub(super) fn forget_hooks(&self) {
        self.hooks.borrow_mut().clear();
        self.live_hooks.borrow_mut().clear();
    }
}

/// The keys of the rows that a batch will ask for.
#[derive(Default)]
pub(super) struct Wanted {
    runs: HashSet<RunId>,
    hooks: HashSet<EntityKey>,
    tokens: Vec<HookToken>,
    steps: HashSet<EntityKey>,
    /// Of runs that will be woken.
    waiting: HashSet<RunId>,
    message_keys: HashSet<String>,
    leases: HashSet<(MessageId, String)>,
    digests: HashSet<String>,
}

impl Wanted {
    /// What this operation will ask for, as far as that can be known before it runs.
    pub(super) fn add(&mut self, operation: &Operation) {
        match operation {
            Operation::AppendEvent(request, _) => self.add_event(request),
            Operation::ResumeOnce(request, key, _) => {
                self.add_event(request);
                self.add_key(key);
            }
            Operation::Enqueue(message, ..) => {
                self.runs.extend(message.purpose.run().cloned());
                self.waiting.extend(absorbing_run(message).cloned());
                self.message_keys.extend(message.idempotency_key.clone());
                self.leases.extend(message.needed_lease().map(key_of));
            }
            Operation::SettleDelivery(delivery, Outcome::Ack, _) => {
                self.leases.insert(key_of(delivery));
            }
            _ => {}
        }
    }

    fn add_event(&mut self, request: &EventRequest) {
        let needs = transition::needs(request);
        self.leases.extend(needs.lease.as_ref().map(key_of));
        self.tokens.extend(needs.token);
        let Some(run_id) = &request.run_id else { return };
        self.runs.insert(run_id.clone());
        self.hooks.extend(needs.hook.map(|hook| (run_id.clone(), hook)));
        self.steps.extend(needs.step.map(|step| (run_id.clone(), step)));
        if matches!(request.body, EventBody::HookReceived { .. }) {
            self.waiting.insert(run_id.clone());
        }
    }

    fn add_key(&mut self, key: &ResumeKey) {
        self.digests.extend(key.forms().map(|digests| digests.key.clone()));
    }

    /// Whether messages are locked for it. Claims of other processes pass over them meanwhile.
    pub(super) fn locks_messages(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The loads, each one statement.
    pub(super) fn loads<'a>(self, db: &'a Db, loaded: &'a Loaded) -> Vec<Sending<'a>> {
        let mut loads: Vec<Sending<'a>> = Vec::new();
        if !self.runs.is_empty() {
            loads.push(Box::pin(runs_into(db, loaded, self.runs.clone())));
            loads.push(Box::pin(tails_into(db, loaded, self.runs)));
        }
        if !self.tokens.is_empty() {
            loads.push(Box::pin(async move {
                let found = hooks::live_of(db, &self.tokens).await?;
                loaded.live_hooks.borrow_mut().extend(found);
                Ok(())
            }));
        }
        if !self.hooks.is_empty() {
            loads.push(Box::pin(hooks_into(db, loaded, self.hooks)));
        }
        if !self.steps.is_empty() {
            loads.push(Box::pin(steps_into(db, loaded, self.steps)));
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

async fn runs_into(db: &Db, loaded: &Loaded, sought: HashSet<RunId>) -> Done {
    let found = runs::many(db, texts(&sought)).await?;
    fill(&loaded.runs, sought, found.into_iter().map(|run| (run.run_id.clone(), run)));
    Ok(())
}

async fn tails_into(db: &Db, loaded: &Loaded, sought: HashSet<RunId>) -> Done {
    let found = events::tails(db, texts(&sought)).await?;
    fill(&loaded.tails, sought, found);
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
    let key = |step: &Step| (step.run_id.clone(), step.step_id.clone());
    fill(&loaded.steps, sought, found.into_iter().map(|step| (key(&step), step)));
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
