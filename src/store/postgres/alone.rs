//! A resume that is alone in its batch: one statement, which is a transaction of its own.
//!
//! The function `receive` does what the rules do for a resume that succeeds. Everything else goes the
//! general way.

use super::db::{Columns, Db, values};
use super::doubt::Written;
use super::numbers::Numbers;
use super::writer::WriterState;
use super::{events, fault, hooks, runs};
use crate::domain::event::{Event, EventBody, EventRequest, EventType, Report, token_json};
use crate::domain::id::{CorrelationId, HookToken, MessageId, RunId};
use crate::domain::resume_key::ResumeKey;
use crate::domain::run::Run;
use crate::error::WorldError;
use crate::store::columns::{ReadColumns, format_and_bytes};
use crate::store::operation::Operation;
use crate::store::{CommitNews, EventReply, HookView, PlainResume};

/// A resume that the function may do.
pub(super) struct Resume<'a> {
    request: &'a EventRequest,
    run_id: &'a RunId,
    hook_id: &'a CorrelationId,
    token: Option<&'a HookToken>,
    key: Option<&'a ResumeKey>,
    /// By which its event is found again.
    pub(super) write_id: i64,
}

/// What became of it.
pub(super) enum Answer {
    /// The event was appended.
    Done(Box<EventReply>),
    /// An earlier resume has had the key.
    Repeated,
}

impl Answer {
    /// What the commit has made visible.
    pub(super) fn news(&self) -> CommitNews {
        CommitNews { queue: matches!(self, Self::Done(_)), ..CommitNews::default() }
    }

    /// The reply, if there is one.
    pub(super) fn reply(self) -> Option<EventReply> {
        match self {
            Self::Done(reply) => Some(*reply),
            Self::Repeated => None,
        }
    }
}

impl<'a> Resume<'a> {
    /// The resume that an operation is. `None` if it is another one, or asks for more than the function
    /// does.
    pub(super) fn of(operation: &'a Operation, write_id: i64) -> Option<Self> {
        let (request, key) = match operation {
            Operation::AppendEvent(request, _) => (request, None),
            Operation::ResumeOnce(request, key, _) if key.unsealed.is_none() => {
                (request, Some(key))
            }
            _ => return None,
        };
        let (EventBody::HookReceived { hook, token }, Some(run_id)) =
            (&request.body, &request.run_id)
        else {
            return None;
        };
        let asks_for_more = request.resume.is_some()
            || request.needed_lease().is_some()
            || request.code_mismatch.is_some()
            || request.report != Report::default();
        let (hook_id, token) = (hook, token.as_ref());
        (!asks_for_more).then_some(Self { request, run_id, hook_id, token, key, write_id })
    }

    /// Sends it. `None` if the function leaves it to the general way, and has done nothing.
    pub(super) async fn send(
        &self,
        db: &Db,
        state: &WriterState,
        numbers: &Numbers,
    ) -> Result<Option<Answer>, WorldError> {
        const RECEIVE: &str = "SELECT outcome, now_ms, queue_ms, position, created_at_ms, \
             run_spec_version, message_id FROM hookline.receive($1, $2, $3, $4, $5, $6, $7, $8, $9, \
             $10, $11, $12, false, $13, $14, $15)";
        // Without a number the general way gets more of them.
        let Some(number) = numbers.next() else { return Ok(None) };
        let (format, payload) = format_and_bytes(self.request.payload.as_ref());
        let digests = self.key.map(|key| &key.digests);
        let clock = &*state.clock;
        let values = values![
            self.run_id,
            self.hook_id,
            self.token.map(|token| token.expose().as_bytes()),
            self.request.spec_version,
            &self.request.data,
            format,
            payload,
            digests.map(|digests| digests.key.as_str()),
            digests.map(|digests| digests.payload.as_str()),
            self.key.map(|key| key.window_ms),
            state.workflow_prefix.as_str(),
            number,
            state.time.set_ms(),
            state.queue_time.now_ms(clock),
            self.write_id,
        ];
        let Some(row) = db.first(RECEIVE, &values).await? else { return Ok(None) };
        let mut columns = Columns::of(&row);
        match &*columns.take::<String>()? {
            "done" => {}
            "repeated" => return Ok(Some(Answer::Repeated)),
            _ => return Ok(None),
        }
        state.time.is(columns.take()?);
        state.queue_time.now_at_least_ms(clock, columns.take()?);
        let written = Written {
            run_id: self.run_id.clone(),
            hook_id: self.hook_id.clone(),
            position: columns.take()?,
            created_at_ms: columns.take()?,
            run_spec_version: columns.version()?,
        };
        let wake_up = columns.message_id()?;
        note_number(numbers, number, wake_up);
        Ok(Some(self.done(written, Some(wake_up))))
    }

    /// The answer for an event that was found again. Its wake-up is not known.
    pub(super) fn written(&self, written: Written) -> Answer {
        self.done(written, None)
    }

    fn done(&self, written: Written, wake_up: Option<MessageId>) -> Answer {
        let event = Event {
            run_id: written.run_id,
            position: written.position,
            event_type: EventType::HookReceived,
            correlation_id: Some(written.hook_id),
            created_at_ms: written.created_at_ms,
            spec_version: self.request.spec_version,
            run_spec_version: written.run_spec_version,
            data: self.request.data.clone(),
            payload: None,
            resume: None,
        };
        let reply = EventReply { event: Some(event), wake_up, ..EventReply::default() };
        Answer::Done(Box::new(reply))
    }
}

/// The number of a message is used up if that was written.
fn note_number(numbers: &Numbers, number: i64, wake_up: MessageId) {
    if wake_up.sequence() == number {
        numbers.take();
    }
}

/// Sends a resume whose hook is not known yet: one statement looks for it too. `None` if nothing was done.
pub(super) async fn send_plainly(
    db: &Db,
    state: &WriterState,
    numbers: &Numbers,
    resume: &PlainResume,
    write_id: i64,
) -> Result<Option<(HookView, Run)>, WorldError> {
    let Some(number) = numbers.next() else { return Ok(None) };
    let clock = &*state.clock;
    let values = values![
        true,
        resume.token.expose().as_bytes(),
        clock.now_ms(),
        token_json(&resume.token),
        &resume.payload,
        state.workflow_prefix.as_str(),
        number,
        state.time.set_ms(),
        state.queue_time.now_ms(clock),
        write_id,
    ];
    let Some(row) = db.first(hooks::RECEIVE_PLAINLY, &values).await? else { return Ok(None) };
    let mut columns = Columns::of(&row);
    let found = hooks::with_run_from(&mut columns)?;
    if columns.take::<String>()? != "done" {
        return Ok(None);
    }
    state.time.is(columns.take()?);
    state.queue_time.now_at_least_ms(clock, columns.take()?);
    note_number(numbers, number, columns.message_id()?);
    Ok(Some(found))
}

/// The hook and the run of a resume that was found again; the hook may be gone by now.
pub(super) async fn resumed(
    db: &Db,
    state: &WriterState,
    token: &HookToken,
    written: Written,
) -> Result<(HookView, Run), WorldError> {
    let Written { run_id, hook_id, .. } = written;
    let made = events::hook_created(db, &run_id, &hook_id).await?;
    let made = made.ok_or_else(|| fault::damage("a hook without its event"))?;
    let run = runs::by_id(db, &run_id).await?;
    let run = run.ok_or_else(|| fault::damage("an event without its run"))?;
    Ok((HookView::as_made(made, hook_id, token, state.environment.as_deref()), run))
}
