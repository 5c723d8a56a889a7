//! The queue: what is enqueued, how deliveries end, what is put back, who is woken.

use super::{Arrival, LeasedRow, Rows, Transaction};
use crate::domain::fence::Fence;
use crate::domain::id::{MessageId, RunId};
use crate::domain::message::{NewMessage, WakeUp};
use crate::domain::queue::Waiting;
use crate::domain::queue::back_off::{after_death_ms, attempts_of_run};
use crate::domain::queue::enqueue::{self, Placement, Queued};
use crate::domain::queue::forgotten::is_forgotten;
use crate::domain::queue::redrive::{Redrive, redrive};
use crate::domain::queue::settle::{Back, Outcome, Settlement, settle};
use crate::domain::queue::{hold, offer};
use crate::domain::refusal::Refusal;
use crate::domain::run::Run;
use crate::domain::spec::SpecVersion;
use crate::domain::step::{Step, StepStatus};
use crate::entropy::fraction;
use crate::error::{ErrorKind, WorldError};
use crate::store::Enqueued;

impl<R: Rows> Transaction<'_, R> {
    /// See [`Store::enqueue`](crate::store::Store::enqueue).
    pub fn enqueue(&mut self, message: NewMessage, delay_ms: i64) -> Result<MessageId, WorldError> {
        if let Some(lease) = message.needed_lease()
            && !self.rows.lease_holds(lease)?
        {
            return Err(Refusal::LeaseLost.into());
        }
        let run = match message.purpose.run() {
            Some(run_id) => self.rows.run(run_id)?,
            None => None,
        };
        let message = enqueue::of_run(message, run.as_ref());
        if self.is_gone(&message.demand.deployment_id)? {
            return Err(Refusal::ReleaseGone(message.demand.deployment_id).into());
        }
        self.place(&message, delay_ms)
    }

    /// See [`Store::enqueue_all`](crate::store::Store::enqueue_all).
    pub fn enqueue_all(
        &mut self,
        messages: Vec<(NewMessage, i64)>,
    ) -> Result<Vec<Enqueued>, WorldError> {
        let mut outcomes = Vec::with_capacity(messages.len());
        for (message, delay_ms) in messages {
            outcomes.push(match self.enqueue(message, delay_ms) {
                // It concerns this message alone.
                Err(error) if error.kind == ErrorKind::ReleaseGone => Err(error),
                other => Ok(other?),
            });
        }
        Ok(outcomes)
    }

    /// Wakes a run now.
    pub(super) fn wake(&mut self, wake_up: WakeUp) -> Result<MessageId, WorldError> {
        self.place(&wake_up.into_message(self.workflow_prefix), 0)
    }

    fn place(&mut self, message: &NewMessage, delay_ms: i64) -> Result<MessageId, WorldError> {
        self.news.queue = true;
        let now_ms = self.now.queue_ms;
        let available_at_ms = now_ms.saturating_add(delay_ms);
        let key = message.idempotency_key.as_deref();
        let with_key = key.map(|key| self.rows.message_with_key(key)).transpose()?.flatten();
        let waiting = match enqueue::absorbing_run(message) {
            Some(run_id) => self.rows.waiting(run_id, &message.queue_name)?,
            None => Vec::new(),
        };
        let queued = Queued { with_key, waiting };
        match enqueue::place(message, available_at_ms, now_ms, &queued) {
            Placement::Absorbed(message_id) => Ok(message_id),
            Placement::Joined { message_id, available_at_ms } => {
                self.rows.move_message(message_id, available_at_ms)?;
                Ok(message_id)
            }
            Placement::Added => {
                let fresh_id = self.entropy.message_id(self.now.ms);
                let arrival = Arrival { fresh_id, created_at_ms: now_ms, available_at_ms };
                self.rows.insert_message(message, arrival)
            }
        }
    }

    /// A run has been made: what was to start it only wakes it now, and needs what the run needs. The SDK
    /// writes no other message of a run before the run is there.
    pub(super) fn run_made(&mut self, run: &Run) -> Result<(), WorldError> {
        if offer::names_release(&run.deployment_id, self.release) {
            self.rows.note_release(&run.deployment_id, self.now.ms)?;
        }
        let wake_up = WakeUp::of(run).into_message(self.workflow_prefix);
        self.rows.make_wake_ups(&run.run_id, &wake_up)
    }

    /// A step has changed. If it has begun, waiting replays of its run may be claimable now.
    pub(super) fn step_changed(&mut self, step: &Step) -> Result<(), WorldError> {
        // The spec version of a step is that of an event, which is of the same line as the run.
        let overlaps = SpecVersion(step.spec_version).replays_overlap();
        if overlaps && step.status == StepStatus::Running && !self.news.queue {
            self.news.queue = self.rows.has_waiting_replay(&step.run_id)?;
        }
        Ok(())
    }

    /// See [`Store::settle_delivery`](crate::store::Store::settle_delivery).
    pub fn settle_delivery(
        &mut self,
        delivery: &Fence,
        outcome: Outcome,
    ) -> Result<bool, WorldError> {
        self.news.queue = true;
        let Fence { message_id, lease_token } = delivery;
        // Most deliveries end so, and need no other row.
        if outcome == Outcome::Ack {
            return self.rows.delete_leased(*message_id, lease_token);
        }
        let Some(leased) = self.rows.leased(*message_id, lease_token)? else { return Ok(false) };
        let now_ms = self.now.queue_ms;
        let waiting = self.waiting_beside(&leased)?;
        match settle(outcome, &leased.delivered, &waiting, now_ms) {
            Settlement::Gone => self.rows.delete_message(*message_id)?,
            Settlement::Dead { error } => self.rows.bury(*message_id, &error, now_ms)?,
            Settlement::Refused { error } => self.refuse(*message_id, leased, &waiting, error)?,
            Settlement::Back(back) => {
                self.rows.keep_time(now_ms)?;
                self.rows.put_back(*message_id, &back)?;
            }
            Settlement::Joined { other, back } => {
                self.rows.keep_time(now_ms)?;
                self.rows.change_waiting(other, &back)?;
                self.rows.delete_message(*message_id)?;
            }
        }
        Ok(true)
    }

    /// Gives a message back whose worker does not have the code that it needs.
    fn refuse(
        &self,
        message_id: MessageId,
        leased: LeasedRow,
        waiting: &[Waiting],
        error: String,
    ) -> Result<(), WorldError> {
        let LeasedRow { delivered, lease_owner, refused_by, .. } = leased;
        let living = (self.living_workers)()?;
        let refused = hold::refuse(&lease_owner, refused_by, &living, waiting);
        let attempt = (delivered.attempt - 1).max(0);
        let back = Back { available_at_ms: self.now.queue_ms, attempt, error: Some(error) };
        self.rows.keep_time(self.now.queue_ms)?;
        self.rows.refuse(message_id, &refused, &back)?;
        refused.absorbed.into_iter().try_for_each(|id| self.rows.delete_message(id))
    }

    /// Holds the refused messages that wait for a worker which has ended.
    pub fn hold_abandoned(&mut self) -> Result<(), WorldError> {
        let passed_on = self.rows.passed_on()?;
        if passed_on.is_empty() {
            return Ok(());
        }
        let living = (self.living_workers)()?;
        for (message_id, refused_by) in passed_on {
            if hold::has_nobody(&refused_by, &living) {
                self.rows.hold(message_id, self.now.queue_ms)?;
            }
        }
        Ok(())
    }

    /// See [`Store::take_up_refused`](crate::store::Store::take_up_refused).
    pub fn take_up_refused(&mut self) -> Result<usize, WorldError> {
        let count = self.rows.take_up_refused()?;
        self.news.queue |= count > 0;
        Ok(count)
    }

    /// Frees the lease of a delivery whose process has died. A message whose processes die again and
    /// again waits longer and longer.
    pub fn free_after_death(&mut self, delivery: &Fence) -> Result<(), WorldError> {
        let Fence { message_id, lease_token } = delivery;
        let Some(leased) = self.rows.leased(*message_id, lease_token)? else { return Ok(()) };
        let waiting = self.waiting_beside(&leased)?;
        let attempts = attempts_of_run(leased.delivered.attempt, &waiting);
        match after_death_ms(attempts, fraction()) {
            0 => self.rows.free_lease(*message_id),
            delay_ms => {
                let error = "the process that handled it has died".to_owned();
                let outcome = Outcome::Release { delay_ms, error, reached: true };
                self.settle_delivery(delivery, outcome).map(drop)
            }
        }
    }

    /// The waiting messages of the same run in the same queue.
    fn waiting_beside(&self, leased: &LeasedRow) -> Result<Vec<Waiting>, WorldError> {
        match &leased.run_id {
            Some(run_id) => self.rows.waiting(run_id, &leased.queue_name),
            None => Ok(Vec::new()),
        }
    }

    /// See [`Store::redrive`](crate::store::Store::redrive).
    pub fn redrive(&mut self, message_id: MessageId) -> Result<MessageId, WorldError> {
        self.news.queue = true;
        let stopped = self.rows.stopped(message_id)?;
        let stopped = stopped.ok_or_else(|| {
            WorldError::not_found(format!("there is no dead or held message \"{message_id}\""))
        })?;
        let key = stopped.idempotency_key.as_deref();
        let with_key = key.map(|key| self.rows.message_with_key(key)).transpose()?.flatten();
        // A held message keeps its key.
        let successor = with_key.filter(|other| *other != message_id);
        match redrive(stopped.created_at_ms, successor) {
            Redrive::Succeeded(successor) => {
                self.rows.delete_message(message_id)?;
                Ok(successor)
            }
            Redrive::Back { available_at_ms } => {
                self.rows.revive(message_id, available_at_ms)?;
                Ok(message_id)
            }
        }
    }

    /// Wakes those of the runs that are still forgotten; returns how many.
    pub fn wake_forgotten(&mut self, found: &[RunId]) -> Result<usize, WorldError> {
        let mut woken = 0;
        for run_id in found {
            let prospects = self.rows.prospects(run_id, self.now.ms)?;
            if !prospects.is_some_and(|run| is_forgotten(&run)) {
                continue;
            }
            let Some(run) = self.rows.run(run_id)? else { continue };
            self.wake(WakeUp::of(&run))?;
            woken += 1;
        }
        Ok(woken)
    }
}
