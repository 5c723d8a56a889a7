//! The rows that the operations of a batch will ask for, loaded together when its transaction begins.
//!
//! A row that is not here is loaded when it is asked for. So nothing is wrong when a row is missing
//! here, only when one is here that has changed: every write of the batch corrects or forgets rows.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::claims::Look;
use super::events::Head;
use super::streams::OpenStream;
use super::wanted::fill;
use crate::domain::event::{Event, EventType};
use crate::domain::fence::Fence;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, MessageId, Position, RunId};
use crate::domain::message::{NewMessage, Purpose};
use crate::domain::page::Page;
use crate::domain::payload::Payload;
use crate::domain::queue::Waiting;
use crate::domain::resume_key::KeyedResume;
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::transition::{LogPart, Tail};
use crate::domain::wait::Wait;
use crate::store::transaction::{Arrival, LeasedRow};

/// Names an entity of a run.
pub(super) type EntityKey = (RunId, CorrelationId);

/// Names a lease.
pub(super) type LeaseKey = (MessageId, String);

/// What a lease is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeaseState {
    /// Whether the message has it.
    pub(super) is_held: bool,
    /// Whether the writes of its delivery are valid.
    pub(super) is_valid: bool,
}

/// The end of a log.
pub(super) struct LogEnd {
    /// The position before its first event.
    pub(super) after: Position,
    pub(super) events: Vec<Event>,
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
    pub(super) leases: RefCell<HashMap<LeaseKey, LeaseState>>,
    /// The messages of leases that end.
    pub(super) leased: RefCell<HashMap<LeaseKey, Option<LeasedRow>>>,
    pub(super) keyed_resumes: RefCell<HashMap<String, Option<KeyedResume>>>,
    /// Whether each release is gone; `None` if there is no such release.
    pub(super) gone: RefCell<HashMap<String, Option<bool>>>,
    pub(super) streams: RefCell<HashMap<String, Option<OpenStream>>>,
    pub(super) logs: RefCell<HashMap<RunId, LogEnd>>,
    /// The events of resumes by their names, without their payloads.
    pub(super) resumes: RefCell<HashMap<(RunId, String), Option<Event>>>,
    /// Whether changes of attributes have been made.
    pub(super) attributes_set: RefCell<HashMap<EntityKey, bool>>,
    /// Whether replays of runs wait. Later messages are news of the batch anyway.
    pub(super) waiting_replays: RefCell<HashMap<RunId, bool>>,
    /// What the claim of a batch that does nothing else has found.
    pub(super) look: RefCell<Option<Look>>,
}

impl Loaded {
    /// Forgets everything that is known of messages.
    pub(super) fn forget_messages(&self) {
        self.waiting.borrow_mut().clear();
        self.with_keys.borrow_mut().clear();
        self.leases.borrow_mut().clear();
        self.leased.borrow_mut().clear();
    }

    /// Forgets what is known of a message which has changed, and of its run's messages.
    pub(super) fn forget_message(&self, message_id: MessageId) {
        let is_it = |id: &MessageId| *id == message_id;
        let leased = &mut *self.leased.borrow_mut();
        let run = leased.iter().find(|((id, _), _)| is_it(id)).and_then(|(_, row)| row.as_ref());
        let run = run.map(|row| row.run_id.clone());
        let waiting = &mut *self.waiting.borrow_mut();
        let holds =
            |of_run: &[(String, Waiting)]| of_run.iter().any(|(_, it)| is_it(&it.message_id));
        match run {
            Some(run) => waiting.retain(|run_id, _| Some(run_id) != run.as_ref()),
            None if waiting.values().any(|of_run| holds(of_run)) => {
                waiting.retain(|_, of_run| !holds(of_run));
            }
            None => waiting.clear(),
        }
        leased.retain(|(id, _), _| !is_it(id));
        self.leases.borrow_mut().retain(|(id, _), _| !is_it(id));
        self.with_keys.borrow_mut().retain(|_, id| id.as_ref().is_none_or(|id| !is_it(id)));
    }

    /// Notes messages that are leased. A lease that they were freed of is worth nothing any more.
    pub(super) fn lease_messages(&self, are: impl Fn(MessageId) -> bool) {
        let waiting = &mut *self.waiting.borrow_mut();
        waiting.values_mut().for_each(|of_run| of_run.retain(|(_, it)| !are(it.message_id)));
        let states = &mut *self.leases.borrow_mut();
        let of_messages = states.iter_mut().filter(|((id, _), _)| are(*id));
        of_messages.for_each(|(_, state)| *state = LeaseState::default());
        self.leased.borrow_mut().retain(|(id, _), _| !are(*id));
    }

    /// A part of a log, if all of it is known.
    pub(super) fn log_part(
        &self,
        run_id: &RunId,
        part: LogPart,
        limit: usize,
    ) -> Option<Option<Page<Event>>> {
        let logs = self.logs.borrow();
        let log = logs.get(run_id).filter(|log| log.after <= part.after())?;
        let behind = log.events.iter().filter(|event| event.position > part.after());
        Some(part.page(behind.take(part.page_limit(limit) + 1).cloned().collect(), limit))
    }

    /// Notes an event that is appended; without its payload if that is not kept.
    pub(super) fn append(&self, event: &Event, payload_is_kept: bool) {
        self.note_names(event);
        let logs = &mut *self.logs.borrow_mut();
        if !payload_is_kept {
            logs.remove(&event.run_id);
            return;
        }
        let carried = ((event.run_id.clone(), event.position), event.payload.clone());
        self.payloads.borrow_mut().extend([carried]);
        if let Some(log) = logs.get_mut(&event.run_id) {
            log.events.push(event.clone());
        }
    }

    fn note_names(&self, event: &Event) {
        if let Some(resume) = &event.resume {
            let key = (event.run_id.clone(), resume.id.clone());
            let bare = Event { payload: None, ..event.clone() };
            self.resumes.borrow_mut().insert(key, Some(bare));
        }
        if let (EventType::AttrSet, Some(id)) = (event.event_type, &event.correlation_id) {
            self.attributes_set.borrow_mut().insert((event.run_id.clone(), id.clone()), true);
        }
    }

    /// Notes that the payloads of a run are dropped.
    pub(super) fn drop_values(&self, run_id: &RunId) {
        self.payloads.borrow_mut().retain(|(of_run, _), _| of_run != run_id);
        self.streams.borrow_mut().clear();
        self.logs.borrow_mut().remove(run_id);
        self.resumes.borrow_mut().retain(|(of_run, _), _| of_run != run_id);
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
        let is_of_run = |row: &LeasedRow| row.run_id.as_ref() == Some(run_id);
        self.leased.borrow_mut().retain(|_, row| !row.as_ref().is_some_and(is_of_run));
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
        self.leased.borrow_mut().retain(|(id, _), _| *id != message_id);
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
        self.logs.borrow_mut().clear();
        self.resumes.borrow_mut().clear();
        self.attributes_set.borrow_mut().clear();
        self.waiting_replays.borrow_mut().clear();
        self.look.borrow_mut().take();
        self.forget_messages();
    }
}

/// The key of a lease.
pub(super) fn key_of(lease: &Fence) -> LeaseKey {
    (lease.message_id, lease.lease_token.expose().to_owned())
}
