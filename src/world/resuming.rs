//! Resumes: by a hook that is known, by its token alone, and once for a key.

use std::sync::Arc;

use super::Engine;
use crate::domain::event::{EventBody, EventRequest};
use crate::domain::hook::takes_plain_payload;
use crate::domain::payload::Payload;
use crate::domain::resume_key::ResumeKey;
use crate::domain::run::Run;
use crate::error::WorldError;
#[cfg(doc)]
use crate::store::Store;
use crate::store::{Completion, EventReply, HookView, PlainResume, ResumedPlainly};

impl Engine {
    /// Finds the live hook with a token, and resumes it with a payload of plain data if it
    /// [takes](takes_plain_payload) such a one. Settles with the hook, its run, and whether it was resumed.
    ///
    /// # Errors
    /// Settles with those of [`Store::hook_and_run_by_token`] and of [`Engine::resume_hook`].
    pub fn resume_plainly(
        self: &Arc<Self>,
        resume: PlainResume,
        done: Completion<(HookView, Run, bool)>,
    ) {
        let engine = Arc::clone(self);
        let tried = move |tried: Result<ResumedPlainly, WorldError>| match tried {
            Ok(ResumedPlainly::Done(found)) => {
                let (view, run) = *found;
                done.settle(Ok((view, run, true)));
            }
            Ok(ResumedPlainly::Not(resume)) => engine.look_and_resume(resume, done),
            Err(error) => done.settle(Err(error)),
        };
        self.store.resume_plainly(resume, Completion::new(tried));
    }

    /// The same in two steps.
    fn look_and_resume(
        self: Arc<Self>,
        PlainResume { token, payload }: PlainResume,
        done: Completion<(HookView, Run, bool)>,
    ) {
        let engine = Arc::clone(&self);
        let found = move |found: Result<(HookView, Run), WorldError>| match found {
            Ok((view, run)) if takes_plain_payload(&view.hook, &run) => {
                let resume = EventRequest::resume(&view.hook, Payload::Bytes(payload));
                let resumed = move |reply: Result<EventReply, WorldError>| {
                    done.settle(reply.map(|_| (view, run, true)));
                };
                engine.resume_hook(resume, Completion::new(resumed));
            }
            Ok((view, run)) => done.settle(Ok((view, run, false))),
            Err(error) => done.settle(Err(error)),
        };
        self.store.hook_and_run_by_token(&token).settle(Completion::new(found));
    }

    /// Resumes a hook: the check that it lives, the event and the wake-up in one commit.
    ///
    /// # Errors
    /// Settles with `Invalid` for anything but a `hook_received`.
    pub fn resume_hook(&self, request: EventRequest, done: Completion<EventReply>) {
        match request.body {
            EventBody::HookReceived { .. } => self.store.append_event(request, done),
            _ => done.settle(Err(WorldError::invalid("a resume must be a hook_received event"))),
        }
    }

    /// Resumes a hook, unless a resume with this key has been done. Settles with whether it had.
    ///
    /// # Errors
    /// Settles with `Invalid` for anything but a `hook_received`, and with `IdempotencyConflict` if the
    /// key was used with another payload.
    pub fn resume_hook_once(&self, request: EventRequest, key: ResumeKey, done: Completion<bool>) {
        match request.body {
            EventBody::HookReceived { .. } => self.store.resume_once(request, key, done),
            _ => done.settle(Err(WorldError::invalid("a resume must be a hook_received event"))),
        }
    }
}
