//! Events that are appended in one transaction, each with the outcome that it would have alone.
//!
//! A refused event leaves the others alone, with one exception: an event that creates a step and an
//! event that starts it belong together. Whoever creates a step executes it, so the start of a step
//! that another writer has created is refused too.

use crate::domain::event::{EventBody, EventRequest, EventType};
use crate::domain::id::CorrelationId;
use crate::domain::refusal::Refusal;

/// Most events of a batch.
pub const EVENTS_MAX: usize = 1000;

/// Refuses a batch with an event that has to be alone: other events may depend on what it does.
///
/// # Errors
/// `BatchUnacceptable`, with the reason.
pub fn check(requests: &[EventRequest]) -> Result<(), Refusal> {
    if requests.len() > EVENTS_MAX {
        return unacceptable(format!(
            "a batch has at most {EVENTS_MAX} events, and this one has {}",
            requests.len()
        ));
    }
    for EventRequest { body, payload, .. } in requests {
        let event_type = body.event_type();
        if !may_be_in_batch(event_type) {
            return unacceptable(format!("{} cannot be in a batch", event_type.as_str()));
        }
        if event_type == EventType::StepStarted && payload.is_some() {
            let reason = "a step_started in a batch carries no input: put it into the step_created";
            return unacceptable(reason.into());
        }
    }
    Ok(())
}

fn unacceptable(reason: String) -> Result<(), Refusal> {
    Err(Refusal::BatchUnacceptable(reason))
}

fn may_be_in_batch(event_type: EventType) -> bool {
    match event_type {
        EventType::RunCreated
        | EventType::RunStarted
        | EventType::RunCancelled
        | EventType::HookCreated
        | EventType::HookDisposed
        | EventType::HookConflict
        | EventType::AttrSet
        | EventType::Noop => false,
        EventType::RunCompleted
        | EventType::RunFailed
        | EventType::StepCreated
        | EventType::StepStarted
        | EventType::StepCompleted
        | EventType::StepFailed
        | EventType::StepRetrying
        | EventType::HookReceived
        | EventType::WaitCreated
        | EventType::WaitCompleted => true,
    }
}

/// The steps of a batch whose creation was refused.
#[derive(Debug, Default)]
pub struct LostSteps(Vec<(CorrelationId, Refusal)>);

impl LostSteps {
    /// The refusal of an event whose step the same batch could not create.
    pub fn refusal_of(&self, body: &EventBody) -> Option<Refusal> {
        let EventBody::StepStarted { step, .. } = body else { return None };
        self.0.iter().find(|(lost, _)| lost == step).map(|(_, refusal)| refusal.clone())
    }

    /// Notes the refusal of an event.
    pub fn note(&mut self, body: &EventBody, refusal: &Refusal) {
        if let EventBody::StepCreated { step, .. } = body {
            self.0.push((step.clone(), refusal.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use super::*;

    fn bare(body: EventBody) -> EventRequest {
        EventRequest { payload: None, ..request(1, body) }
    }

    #[test]
    fn what_others_may_depend_on_is_not_in_a_batch() {
        let alone = [
            EventBody::RunCreated(creation()),
            EventBody::RunStarted(None),
            EventBody::RunCancelled,
            hook_created("h", "token"),
            hook_disposed("h"),
            attr_set(None, &[]),
        ];
        for body in alone {
            let batch = [bare(step_created("s")), bare(body)];
            assert!(matches!(check(&batch), Err(Refusal::BatchUnacceptable(_))), "{batch:?}");
        }
        let together = [
            step_created("s"),
            step_started("s"),
            step_completed("s"),
            wait_created("w", NOW_MS),
            EventBody::RunCompleted,
        ];
        assert_eq!(check(&together.map(bare)), Ok(()));
    }

    #[test]
    fn a_start_in_a_batch_carries_no_input() {
        for start in [step_created_and_started("s", 1), step_started("s")] {
            assert!(check(&[request(1, start)]).is_err());
        }
    }

    #[test]
    fn a_batch_has_a_limit() {
        let batch = vec![bare(step_created("s")); EVENTS_MAX + 1];
        assert_eq!(check(&batch[1..]), Ok(()));
        assert!(check(&batch).is_err());
    }

    #[test]
    fn only_the_start_of_a_step_that_was_not_created_is_refused_with_it() {
        let mut lost = LostSteps::default();
        let refusal = Refusal::StepExists(id("s"));
        lost.note(&step_created("s"), &refusal);
        lost.note(&wait_created("t", NOW_MS), &Refusal::WaitExists(id("t")));
        assert_eq!(lost.refusal_of(&step_started("s")), Some(refusal));
        for other in [step_started("t"), step_completed("s"), step_created("s")] {
            assert_eq!(lost.refusal_of(&other), None);
        }
    }
}
