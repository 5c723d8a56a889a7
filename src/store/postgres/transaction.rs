//! The rows of an open transaction, table by table.

use super::batch::{Batch, Outcome};
use super::doubt::Witness;
use super::{
    events, fault, forgotten, hooks, leases, messages, open_runs, queue_time, releases,
    resume_keys, resumes, runs, steps, streams, waits,
};
use crate::domain::event::Event;
use crate::domain::fence::Fence;
use crate::domain::hook::Hook;
use crate::domain::id::{CorrelationId, HookToken, LeaseToken, MessageId, RunId};
use crate::domain::message::NewMessage;
use crate::domain::page::{LIMIT_MAX, Page};
use crate::domain::queue::Waiting;
use crate::domain::queue::forgotten::Prospects;
use crate::domain::queue::hold::Refused;
use crate::domain::queue::settle::Back;
use crate::domain::resume_key::KeyedResume;
use crate::domain::retention::Keeping;
use crate::domain::run::Run;
use crate::domain::step::Step;
use crate::domain::step_resume::Names;
use crate::domain::transition::{LogPart, Tail};
use crate::domain::wait::Wait;
use crate::store::transaction::{Arrival, LeasedRow, Rows, StoppedRow};
use crate::store::{HookView, RunView, StepView};

/// The longest payload that is kept for the answer; a longer one is read again.
const KEPT_BYTES_MAX: usize = 64 << 10;

impl Rows for Batch {
    fn run(&self, run_id: &RunId) -> Outcome<Option<Run>> {
        self.known(&self.loaded.runs, run_id.clone(), runs::locked(self.db(), run_id))
    }

    fn tail(&self, run_id: &RunId) -> Outcome<Option<Tail>> {
        self.known(&self.loaded.tails, run_id.clone(), events::tail(self.db(), run_id))
    }

    fn step(&self, run_id: &RunId, step_id: &CorrelationId) -> Outcome<Option<Step>> {
        let key = (run_id.clone(), step_id.clone());
        self.known(&self.loaded.steps, key, steps::by_id(self.db(), run_id, step_id))
    }

    fn hook(&self, run_id: &RunId, hook_id: &CorrelationId) -> Outcome<Option<Hook>> {
        let key = (run_id.clone(), hook_id.clone());
        self.known(&self.loaded.hooks, key, hooks::of_run(self.db(), run_id, hook_id))
    }

    fn live_hook(&self, token: &HookToken) -> Outcome<Option<Hook>> {
        if let Some(known) = self.loaded.live_hook(token) {
            return Ok(known);
        }
        let hook = self.load(hooks::by_token(self.db(), token))?;
        let found = (token.expose().to_owned(), (token.clone(), hook.clone()));
        self.loaded.live_hooks.borrow_mut().extend([found]);
        Ok(hook)
    }

    fn wait(&self, run_id: &RunId, wait_id: &CorrelationId) -> Outcome<Option<Wait>> {
        let key = (run_id.clone(), wait_id.clone());
        self.known(&self.loaded.waits, key, waits::by_id(self.db(), run_id, wait_id))
    }

    fn resume(&self, run_id: &RunId, resume_id: &str) -> Outcome<Option<Event>> {
        let read = async {
            let names = (vec![run_id.as_str().to_owned()], vec![resume_id.to_owned()]);
            Ok(resumes::by_ids(self.db(), names).await?.pop())
        };
        self.known(&self.loaded.resumes, (run_id.clone(), resume_id.to_owned()), read)
    }

    fn step_resume(&self, names: &Names, after: u32) -> Outcome<Option<Event>> {
        self.load(resumes::of_step(self.db(), names, after))
    }

    fn has_set_attributes(&self, run_id: &RunId, id: &CorrelationId) -> Outcome<bool> {
        let read = async {
            let names = (vec![run_id.as_str().to_owned()], vec![id.as_str().to_owned()]);
            Ok(!events::attributes_set(self.db(), names).await?.is_empty())
        };
        self.known(&self.loaded.attributes_set, (run_id.clone(), id.clone()), read)
    }

    fn pending_waits(&self, run_id: &RunId) -> Outcome<Vec<Wait>> {
        self.load(waits::pending(self.db(), run_id))
    }

    fn hook_created(&self, run_id: &RunId, hook_id: &CorrelationId) -> Outcome<Option<Event>> {
        self.load(events::hook_created(self.db(), run_id, hook_id))
    }

    fn run_view(&self, run: Run) -> Outcome<RunView> {
        let positions = [run.input_position, run.output_position, run.error_position];
        if let Some([input, output, error]) = self.payloads(&run.run_id, positions) {
            return Ok(RunView { run, input, output, error });
        }
        let view = self.load(runs::view(self.db(), &run.run_id, true))?;
        view.ok_or_else(|| fault::damage("a run has gone"))
    }

    fn step_view(&self, step: Step) -> Outcome<StepView> {
        let positions = [Some(step.created_position), step.output_position, step.error_position];
        if let Some([input, output, error]) = self.payloads(&step.run_id, positions) {
            return Ok(StepView { step, input, output, error });
        }
        let view = self.load(steps::view(self.db(), Some(&step.run_id), &step.step_id, true))?;
        view.ok_or_else(|| fault::damage("a step has gone"))
    }

    fn hook_view(&self, hook: Hook) -> Outcome<HookView> {
        if let Some([metadata]) = self.payloads(&hook.run_id, [hook.metadata_position]) {
            return Ok(HookView { hook, metadata });
        }
        let view = self.load(hooks::view_of_run(self.db(), &hook.run_id, &hook.hook_id))?;
        view.ok_or_else(|| fault::damage("a hook has gone"))
    }

    fn log_part(&self, run_id: &RunId, part: LogPart) -> Outcome<Option<Page<Event>>> {
        match self.loaded.log_part(run_id, part, LIMIT_MAX) {
            Some(known) => Ok(known),
            None => self.load(events::log_part(self.db(), run_id, part, LIMIT_MAX)),
        }
    }

    fn insert_run(&self, run: &Run) -> Outcome<()> {
        self.loaded.add_run(run);
        self.write(runs::insert(run))
    }

    fn update_run(&self, run: &Run) -> Outcome<()> {
        self.loaded.runs.borrow_mut().insert(run.run_id.clone(), Some(run.clone()));
        self.write(runs::update(run))
    }

    /// The server keeps no value in a place of its own, so nothing depends on how long it is kept.
    fn insert_event(&self, event: &Event, _: Keeping) -> Outcome<()> {
        self.witness(Witness::event(event));
        let tail = Tail { position: event.position, created_at_ms: event.created_at_ms };
        self.loaded.tails.borrow_mut().insert(event.run_id.clone(), Some(tail));
        let is_kept = event.payload.as_ref().is_none_or(|it| it.as_bytes().len() <= KEPT_BYTES_MAX);
        self.loaded.append(event, is_kept);
        self.write(events::insert(event))
    }

    fn insert_step(&self, step: &Step) -> Outcome<()> {
        let key = (step.run_id.clone(), step.step_id.clone());
        self.loaded.steps.borrow_mut().insert(key, Some(step.clone()));
        self.write(steps::insert(step))
    }

    fn update_step(&self, step: &Step) -> Outcome<()> {
        let key = (step.run_id.clone(), step.step_id.clone());
        self.loaded.steps.borrow_mut().insert(key, Some(step.clone()));
        self.write(steps::update(step))
    }

    fn insert_hook(&self, hook: &Hook) -> Outcome<()> {
        self.loaded.add_hook(hook);
        self.write(hooks::insert(hook))
    }

    fn dispose_hook(&self, run_id: &RunId, hook_id: &CorrelationId, at_ms: i64) -> Outcome<()> {
        self.loaded.dispose_hook(&(run_id.clone(), hook_id.clone()), at_ms);
        self.write(hooks::dispose(run_id, hook_id, at_ms))
    }

    fn end_hooks(&self, run_id: &RunId, now_ms: i64) -> Outcome<()> {
        self.loaded.end_hooks(run_id);
        self.write(hooks::end_of_run(run_id, now_ms))
    }

    fn insert_wait(&self, wait: &Wait) -> Outcome<()> {
        let key = (wait.run_id.clone(), wait.correlation_id.clone());
        self.loaded.waits.borrow_mut().insert(key, Some(wait.clone()));
        self.write(waits::insert(wait))
    }

    fn update_wait(&self, wait: &Wait) -> Outcome<()> {
        let key = (wait.run_id.clone(), wait.correlation_id.clone());
        self.loaded.waits.borrow_mut().insert(key, Some(wait.clone()));
        self.write(waits::update(wait))
    }

    fn delete_waits(&self, run_id: &RunId) -> Outcome<()> {
        self.loaded.waits.borrow_mut().retain(|(of_run, _), _| of_run != run_id);
        self.write(waits::delete_of_run(run_id))
    }

    fn drop_values(&self, run_id: &RunId, now_ms: i64) -> Outcome<Vec<String>> {
        self.loaded.drop_values(run_id);
        self.write(events::drop_values(run_id))?;
        self.write(hooks::forget_metadata(run_id))?;
        self.change_messages(messages::delete_unclaimed(run_id))?;
        self.load(streams::drop_values(self.db(), run_id, now_ms))
    }

    fn keyed_resume(&self, key_digest: &str) -> Outcome<Option<KeyedResume>> {
        let read = resume_keys::by_digest(self.db(), key_digest);
        self.known(&self.loaded.keyed_resumes, key_digest.to_owned(), read)
    }

    fn put_keyed_resume(&self, key_digest: &str, resume: &KeyedResume) -> Outcome<()> {
        let kept = (key_digest.to_owned(), Some(resume.clone()));
        self.loaded.keyed_resumes.borrow_mut().extend([kept]);
        resume_keys::put(key_digest, resume, self.now_ms)
            .into_iter()
            .try_for_each(|write| self.write(write))
    }

    fn delete_expired_resumes(&self, now_ms: i64, limit: usize) -> Outcome<()> {
        self.write(resume_keys::delete_expired(now_ms, limit))
    }

    fn message_with_key(&self, idempotency_key: &str) -> Outcome<Option<MessageId>> {
        let read = messages::by_idempotency_key(self.db(), idempotency_key);
        self.known(&self.loaded.with_keys, idempotency_key.to_owned(), read)
    }

    fn waiting(&self, run_id: &RunId, queue_name: &str) -> Outcome<Vec<Waiting>> {
        if !self.loaded.waiting.borrow().contains_key(run_id) {
            let of_run = vec![run_id.as_str().to_owned()];
            let found = self.load(messages::waiting_of(self.db(), of_run))?;
            let found = found.into_iter().map(|(_, waiting)| waiting).collect();
            self.loaded.waiting.borrow_mut().insert(run_id.clone(), found);
        }
        let loaded = self.loaded.waiting.borrow();
        let of_run = loaded.get(run_id).into_iter().flatten();
        let of_queue = of_run.filter(|(name, _)| name == queue_name);
        Ok(of_queue.map(|(_, waiting)| waiting.clone()).collect())
    }

    fn insert_message(&self, message: &NewMessage, at: Arrival) -> Outcome<MessageId> {
        let number =
            (at.created_at_ms.max(0) << MessageId::SEQUENCE_BITS) | self.message_number()?;
        let id = MessageId::from_number(number);
        self.loaded.add_message(id, message, at);
        self.write(messages::insert(id, message, at))?;
        Ok(id)
    }

    fn move_message(&self, id: MessageId, available_at_ms: i64) -> Outcome<()> {
        self.loaded.move_message(id, available_at_ms);
        self.write(messages::move_to(id, available_at_ms))
    }

    fn make_wake_ups(&self, run_id: &RunId, to: &NewMessage) -> Outcome<()> {
        self.loaded.make_wake_ups(run_id);
        self.write(messages::make_wake_ups(run_id, to))
    }

    fn has_waiting_replay(&self, run_id: &RunId) -> Outcome<bool> {
        let read = async {
            let run_ids = vec![run_id.as_str().to_owned()];
            Ok(!messages::with_waiting_replays(self.db(), run_ids).await?.is_empty())
        };
        self.known(&self.loaded.waiting_replays, run_id.clone(), read)
    }

    fn delete_wake_ups(&self, run_id: &RunId) -> Outcome<()> {
        self.loaded.forget_unclaimed(run_id);
        self.write(messages::delete_wake_ups(run_id))
    }

    fn delete_message(&self, id: MessageId) -> Outcome<()> {
        self.change_message(id, messages::delete(id))
    }

    fn lease_holds(&self, lease: &Fence) -> Outcome<bool> {
        Ok(self.lease_state(lease)?.is_valid)
    }

    fn leased(&self, id: MessageId, lease_token: &LeaseToken) -> Outcome<Option<LeasedRow>> {
        let token = lease_token.expose();
        let read = async {
            let sought = std::iter::once((id.number(), token.to_owned()));
            Ok(messages::leased(self.db(), sought).await?.pop().map(|(_, leased)| leased))
        };
        self.known(&self.loaded.leased, (id, token.to_owned()), read)
    }

    fn delete_leased(&self, id: MessageId, lease_token: &LeaseToken) -> Outcome<bool> {
        let lease = Fence { message_id: id, lease_token: lease_token.clone() };
        let is_held = self.lease_state(&lease)?.is_held;
        if is_held {
            self.loaded.remove_message(id);
            self.write(messages::delete(id))?;
        }
        Ok(is_held)
    }

    fn put_back(&self, id: MessageId, back: &Back) -> Outcome<()> {
        self.change_message(id, messages::put_back(id, back))
    }

    fn free_lease(&self, id: MessageId) -> Outcome<()> {
        self.change_message(id, leases::free(id))
    }

    fn change_waiting(&self, id: MessageId, back: &Back) -> Outcome<()> {
        self.change_message(id, messages::change_waiting(id, back))
    }

    fn bury(&self, id: MessageId, error: &str, now_ms: i64) -> Outcome<()> {
        self.change_message(id, messages::bury(id, error, now_ms))
    }

    fn keep_time(&self, now_ms: i64) -> Outcome<()> {
        self.write(queue_time::keep(now_ms))
    }

    fn refuse(&self, id: MessageId, refused: &Refused, back: &Back) -> Outcome<()> {
        self.change_message(id, messages::refuse(id, refused, back))
    }

    fn is_replayed_by_others(&self, run_id: &RunId, lease: &Fence) -> Outcome<bool> {
        self.load(runs::is_replayed_by_others(self.db(), run_id, lease.message_id))
    }

    fn passed_on(&self) -> Outcome<Vec<(MessageId, Vec<String>)>> {
        self.load(messages::passed_on(self.db()))
    }

    fn hold(&self, id: MessageId, now_ms: i64) -> Outcome<()> {
        self.change_message(id, messages::hold(id, now_ms))
    }

    fn take_up_refused(&self) -> Outcome<usize> {
        self.loaded.forget_messages();
        self.load(messages::take_up_refused(self.db()))
    }

    fn stopped(&self, id: MessageId) -> Outcome<Option<StoppedRow>> {
        self.load(messages::stopped(self.db(), id))
    }

    fn revive(&self, id: MessageId, available_at_ms: i64) -> Outcome<()> {
        self.change_messages(messages::revive(id, available_at_ms))
    }

    fn note_release(&self, release_id: &str, now_ms: i64) -> Outcome<()> {
        self.loaded.gone.borrow_mut().remove(release_id);
        self.write(releases::note(release_id, now_ms))
    }

    fn release_is_gone(&self, release_id: &str) -> Outcome<Option<bool>> {
        let read = releases::is_gone(self.db(), release_id);
        self.known(&self.loaded.gone, release_id.to_owned(), read)
    }

    fn mark_gone(&self, release_id: &str, now_ms: i64) -> Outcome<()> {
        self.loaded.gone.borrow_mut().remove(release_id);
        self.write(releases::mark_gone(release_id, now_ms))
    }

    fn open_runs_of(&self, release_id: &str, limit: usize) -> Outcome<Vec<RunId>> {
        self.load(open_runs::of(self.db(), release_id, limit))
    }

    fn update_release(&self, run: &Run) -> Outcome<()> {
        self.loaded.runs.borrow_mut().insert(run.run_id.clone(), Some(run.clone()));
        self.write(runs::update_release(run))
    }

    fn move_messages(&self, run_id: &RunId, release_id: &str) -> Outcome<()> {
        self.change_messages(messages::move_to_release(run_id, release_id))
    }

    fn runs_to_create(&self, release_id: &str, limit: usize) -> Outcome<Vec<RunId>> {
        self.load(messages::runs_to_create(self.db(), release_id, limit))
    }

    fn delete_messages_for(&self, deployment_id: &str) -> Outcome<()> {
        self.change_messages(messages::delete_for_deployment(deployment_id))
    }

    fn prospects(&self, run_id: &RunId, now_ms: i64) -> Outcome<Option<Prospects>> {
        self.load(forgotten::prospects(self.db(), run_id, now_ms))
    }
}
