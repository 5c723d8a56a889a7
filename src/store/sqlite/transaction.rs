//! The rows of an open transaction, table by table.

use rusqlite::Connection;

use super::{
    erasures, events, forgotten, hooks, leases, messages, open_runs, queue_time, releases,
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
use crate::error::WorldError;
use crate::store::transaction::{Arrival, LeasedRow, Rows, StoppedRow, Transaction};
use crate::store::{HookView, RunView, StepView};

/// The transaction of a batch.
pub(super) type Tx<'a> = Transaction<'a, Connection>;

/// A row, or what went wrong.
type Outcome<T> = Result<T, WorldError>;

impl Rows for Connection {
    fn run(&self, run_id: &RunId) -> Outcome<Option<Run>> {
        Ok(runs::by_id(self, run_id)?)
    }

    fn tail(&self, run_id: &RunId) -> Outcome<Option<Tail>> {
        Ok(events::tail(self, run_id)?)
    }

    fn step(&self, run_id: &RunId, step_id: &CorrelationId) -> Outcome<Option<Step>> {
        Ok(steps::by_id(self, run_id, step_id)?)
    }

    fn hook(&self, run_id: &RunId, hook_id: &CorrelationId) -> Outcome<Option<Hook>> {
        Ok(hooks::of_run(self, run_id, hook_id)?)
    }

    fn live_hook(&self, token: &HookToken) -> Outcome<Option<Hook>> {
        Ok(hooks::by_token(self, token)?)
    }

    fn wait(&self, run_id: &RunId, wait_id: &CorrelationId) -> Outcome<Option<Wait>> {
        Ok(waits::by_id(self, run_id, wait_id)?)
    }

    fn resume(&self, run_id: &RunId, resume_id: &str) -> Outcome<Option<Event>> {
        Ok(resumes::by_id(self, run_id, resume_id)?)
    }

    fn step_resume(&self, names: &Names, after: u32) -> Outcome<Option<Event>> {
        Ok(resumes::of_step(self, names, after)?)
    }

    fn has_set_attributes(&self, run_id: &RunId, id: &CorrelationId) -> Outcome<bool> {
        Ok(events::has_set_attributes(self, run_id, id)?)
    }

    fn pending_waits(&self, run_id: &RunId) -> Outcome<Vec<Wait>> {
        Ok(waits::pending(self, run_id)?)
    }

    fn hook_created(&self, run_id: &RunId, hook_id: &CorrelationId) -> Outcome<Option<Event>> {
        Ok(events::hook_created(self, run_id, hook_id)?)
    }

    fn run_view(&self, run: Run) -> Outcome<RunView> {
        Ok(runs::view(self, run, true)?)
    }

    fn step_view(&self, step: Step) -> Outcome<StepView> {
        Ok(steps::view(self, step, true)?)
    }

    fn hook_view(&self, hook: Hook) -> Outcome<HookView> {
        Ok(hooks::view(self, hook, true)?)
    }

    fn log_part(&self, run_id: &RunId, part: LogPart) -> Outcome<Option<Page<Event>>> {
        events::log_part(self, run_id, part, LIMIT_MAX)
    }

    fn insert_run(&self, run: &Run) -> Outcome<()> {
        Ok(runs::insert(self, run)?)
    }

    fn update_run(&self, run: &Run) -> Outcome<()> {
        Ok(runs::update(self, run)?)
    }

    fn insert_event(&self, event: &Event, keeping: Keeping) -> Outcome<()> {
        Ok(events::insert(self, event, keeping)?)
    }

    fn insert_step(&self, step: &Step) -> Outcome<()> {
        Ok(steps::insert(self, step)?)
    }

    fn update_step(&self, step: &Step) -> Outcome<()> {
        Ok(steps::update(self, step)?)
    }

    fn insert_hook(&self, hook: &Hook) -> Outcome<()> {
        Ok(hooks::insert(self, hook)?)
    }

    fn dispose_hook(&self, run_id: &RunId, hook_id: &CorrelationId, at_ms: i64) -> Outcome<()> {
        Ok(hooks::dispose(self, run_id, hook_id, at_ms)?)
    }

    fn end_hooks(&self, run_id: &RunId, now_ms: i64) -> Outcome<()> {
        Ok(hooks::end_of_run(self, run_id, now_ms)?)
    }

    fn insert_wait(&self, wait: &Wait) -> Outcome<()> {
        Ok(waits::insert(self, wait)?)
    }

    fn update_wait(&self, wait: &Wait) -> Outcome<()> {
        Ok(waits::update(self, wait)?)
    }

    fn delete_waits(&self, run_id: &RunId) -> Outcome<()> {
        Ok(waits::delete_of_run(self, run_id)?)
    }

    fn drop_values(&self, run_id: &RunId, now_ms: i64) -> Outcome<Vec<String>> {
        erasures::ask(self)?;
        events::drop_values(self, run_id)?;
        hooks::forget_metadata(self, run_id)?;
        messages::delete_unclaimed(self, run_id)?;
        Ok(streams::drop_values(self, run_id, now_ms)?)
    }

    fn keyed_resume(&self, key_digest: &str) -> Outcome<Option<KeyedResume>> {
        Ok(resume_keys::by_digest(self, key_digest)?)
    }

    fn put_keyed_resume(&self, key_digest: &str, resume: &KeyedResume) -> Outcome<()> {
        Ok(resume_keys::upsert(self, key_digest, resume)?)
    }

    fn delete_expired_resumes(&self, now_ms: i64, limit: usize) -> Outcome<()> {
        Ok(resume_keys::delete_expired(self, now_ms, limit)?)
    }

    fn message_with_key(&self, idempotency_key: &str) -> Outcome<Option<MessageId>> {
        Ok(messages::by_idempotency_key(self, idempotency_key)?)
    }

    fn waiting(&self, run_id: &RunId, queue_name: &str) -> Outcome<Vec<Waiting>> {
        Ok(messages::waiting(self, run_id, queue_name)?)
    }

    fn insert_message(&self, message: &NewMessage, at: Arrival) -> Outcome<MessageId> {
        Ok(messages::insert(self, message, at)?)
    }

    fn move_message(&self, id: MessageId, available_at_ms: i64) -> Outcome<()> {
        Ok(messages::move_to(self, id, available_at_ms)?)
    }

    fn make_wake_ups(&self, run_id: &RunId, to: &NewMessage) -> Outcome<()> {
        Ok(messages::make_wake_ups(self, run_id, to)?)
    }

    fn has_waiting_replay(&self, run_id: &RunId) -> Outcome<bool> {
        Ok(messages::has_waiting_replay(self, run_id)?)
    }

    fn delete_wake_ups(&self, run_id: &RunId) -> Outcome<()> {
        Ok(messages::delete_wake_ups(self, run_id)?)
    }

    fn delete_message(&self, id: MessageId) -> Outcome<()> {
        Ok(messages::delete(self, id)?)
    }

    fn lease_holds(&self, lease: &Fence) -> Outcome<bool> {
        Ok(leases::lease_holds(self, lease)?)
    }

    fn leased(&self, id: MessageId, lease_token: &LeaseToken) -> Outcome<Option<LeasedRow>> {
        Ok(messages::leased(self, id, lease_token)?)
    }

    fn delete_leased(&self, id: MessageId, lease_token: &LeaseToken) -> Outcome<bool> {
        Ok(messages::delete_leased(self, id, lease_token)?)
    }

    fn put_back(&self, id: MessageId, back: &Back) -> Outcome<()> {
        Ok(messages::put_back(self, id, back)?)
    }

    fn free_lease(&self, id: MessageId) -> Outcome<()> {
        Ok(leases::free(self, id)?)
    }

    fn change_waiting(&self, id: MessageId, back: &Back) -> Outcome<()> {
        Ok(messages::change_waiting(self, id, back)?)
    }

    fn bury(&self, id: MessageId, error: &str, now_ms: i64) -> Outcome<()> {
        Ok(messages::bury(self, id, error, now_ms)?)
    }

    fn keep_time(&self, now_ms: i64) -> Outcome<()> {
        Ok(queue_time::keep(self, now_ms)?)
    }

    fn refuse(&self, id: MessageId, refused: &Refused, back: &Back) -> Outcome<()> {
        Ok(messages::refuse(self, id, refused, back)?)
    }

    fn is_replayed_by_others(&self, run_id: &RunId, lease: &Fence) -> Outcome<bool> {
        Ok(runs::is_replayed_by_others(self, run_id, lease.message_id)?)
    }

    fn passed_on(&self) -> Outcome<Vec<(MessageId, Vec<String>)>> {
        Ok(messages::passed_on(self)?)
    }

    fn hold(&self, id: MessageId, now_ms: i64) -> Outcome<()> {
        Ok(messages::hold(self, id, now_ms)?)
    }

    fn take_up_refused(&self) -> Outcome<usize> {
        Ok(messages::take_up_refused(self)?)
    }

    fn stopped(&self, id: MessageId) -> Outcome<Option<StoppedRow>> {
        Ok(messages::stopped(self, id)?)
    }

    fn revive(&self, id: MessageId, available_at_ms: i64) -> Outcome<()> {
        Ok(messages::revive(self, id, available_at_ms)?)
    }

    fn note_release(&self, release_id: &str, now_ms: i64) -> Outcome<()> {
        Ok(releases::note(self, release_id, now_ms)?)
    }

    fn release_is_gone(&self, release_id: &str) -> Outcome<Option<bool>> {
        Ok(releases::is_gone(self, release_id)?)
    }

    fn mark_gone(&self, release_id: &str, now_ms: i64) -> Outcome<()> {
        Ok(releases::mark_gone(self, release_id, now_ms)?)
    }

    fn open_runs_of(&self, release_id: &str, limit: usize) -> Outcome<Vec<RunId>> {
        Ok(open_runs::of(self, release_id, limit)?)
    }

    fn update_release(&self, run: &Run) -> Outcome<()> {
        Ok(runs::update_release(self, run)?)
    }

    fn move_messages(&self, run_id: &RunId, release_id: &str) -> Outcome<()> {
        Ok(messages::move_to_release(self, run_id, release_id)?)
    }

    fn runs_to_create(&self, release_id: &str, limit: usize) -> Outcome<Vec<RunId>> {
        Ok(messages::runs_to_create(self, release_id, limit)?)
    }

    fn delete_messages_for(&self, deployment_id: &str) -> Outcome<()> {
        Ok(messages::delete_for_deployment(self, deployment_id)?)
    }

    fn prospects(&self, run_id: &RunId, now_ms: i64) -> Outcome<Option<Prospects>> {
        Ok(forgotten::prospects(self, run_id, now_ms)?)
    }
}
