//! The life of a hook: created with its own token, received any number of times, disposed once.

use super::{Entity, Log, Stamp};
use crate::domain::change::Change;
use crate::domain::event::{Event, EventType, ResumeMark};
use crate::domain::hook::{Hook, HookOptions};
use crate::domain::id::{CorrelationId, HookToken};
use crate::domain::refusal::Refusal;
use crate::domain::step_resume::StepResume;

/// Creates a hook. If another hook holds the token, this is not an error: the log records a
/// `hook_conflict`, which the workflow sees in its next replay. A hook that is over gives its token up.
pub(super) fn create(
    log: &mut Log,
    hook_id: CorrelationId,
    token: HookToken,
    options: HookOptions,
    stamp: &Stamp,
) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    if !token.is_acceptable() {
        return Err(Refusal::TokenUnacceptable);
    }
    if log.hook.is_some() {
        return Err(Refusal::HookExists(hook_id));
    }
    match log.token_holder.take() {
        Some(holder) if holder.is_over(stamp.now_ms) => log.change(Change::DisposeHook {
            run_id: holder.run_id,
            hook_id: holder.hook_id,
            at_ms: stamp.now_ms,
        }),
        Some(holder) => {
            let data = conflict_json(&token, &holder);
            log.append_as(EventType::HookConflict, Some(data), None);
            return Ok(());
        }
        None => {}
    }
    let has_metadata = log.payload.is_some();
    let position = log.append();
    let hook = Hook {
        run_id: log.run.run_id.clone(),
        hook_id,
        token,
        environment: stamp.environment.clone(),
        metadata_position: has_metadata.then_some(position),
        created_at_ms: log.now_ms(),
        disposed_at_ms: None,
        spec_version: log.spec_version,
        options,
        outlives_run: false,
    };
    let id = hook.hook_id.clone();
    log.change(Change::InsertHook(hook));
    log.answer(|run_id| Entity::Hook(run_id, id));
    Ok(())
}

fn conflict_json(token: &HookToken, holder: &Hook) -> String {
    serde_json::json!({
        "token": token.expose(),
        "conflictingRunId": holder.run_id.as_str(),
    })
    .to_string()
}

/// Logs a payload and wakes the run. If the caller names a token, it must be the hook's own. A hook id
/// alone does not resume, because it is no secret.
pub(super) fn receive(
    log: &mut Log,
    hook_id: CorrelationId,
    token: Option<HookToken>,
) -> Result<(), Refusal> {
    if let Some(earlier) = log.earlier_resume.take() {
        return repeat(log, &hook_id, earlier);
    }
    let hook = live_hook(log, hook_id)?;
    if token.is_some_and(|token| !token.names(&hook.token)) {
        return Err(Refusal::HookNotFound(hook.hook_id));
    }
    log.append();
    log.wake();
    Ok(())
}

/// Answers the repetition of a resume with the event of the first one, even if the hook or the run has
/// ended since.
fn repeat(log: &mut Log, hook_id: &CorrelationId, earlier: Event) -> Result<(), Refusal> {
    let is_of_hook = earlier.correlation_id.as_ref() == Some(hook_id);
    let marks = log.resume.as_ref().zip(earlier.resume.as_ref());
    let is_same = |(this, first): (&ResumeMark, &ResumeMark)| {
        (is_of_hook || StepResume::of(this).is_some()) && this.repeats(first)
    };
    if !marks.is_some_and(is_same) {
        return Err(Refusal::ResumeIdReused);
    }
    log.decision.event = Some(earlier);
    Ok(())
}

/// Ends a hook. Its token is free at once, even if it was to be retained.
pub(super) fn dispose(log: &mut Log, hook_id: CorrelationId, now_ms: i64) -> Result<(), Refusal> {
    let disposed_before = log.hook.as_ref().is_some_and(|hook| hook.disposed_at_ms.is_some());
    if disposed_before && !log.run.status.is_terminal() {
        return Err(Refusal::HookDisposed(hook_id));
    }
    let outlives = |hook: &Hook| hook.outlives_run && !hook.is_over(now_ms) && !disposed_before;
    let hook = match log.hook.take_if(|hook| outlives(hook)) {
        Some(hook) => hook,
        None => live_hook(log, hook_id)?,
    };
    log.append();
    let at_ms = log.now_ms();
    log.change(Change::DisposeHook { run_id: hook.run_id, hook_id: hook.hook_id, at_ms });
    Ok(())
}

/// The hook, if it lives: it is not disposed, and its run has not ended.
fn live_hook(log: &mut Log, hook_id: CorrelationId) -> Result<Hook, Refusal> {
    log.hook
        .take()
        .filter(|hook| hook.disposed_at_ms.is_none() && !log.run.status.is_terminal())
        .ok_or(Refusal::HookNotFound(hook_id))
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use crate::domain::event::{EventBody, EventRequest, EventType};
    use crate::domain::hook::{Hook, HookOptions, takes_plain_payload};
    use crate::domain::id::{HookToken, TOKEN_LENGTH_MAX};
    use crate::domain::refusal::Refusal;
    use crate::domain::run::Run;
    use crate::domain::step_resume::StepResume;
    use crate::domain::transition::Entity;

    /// Rows with a live hook "h" whose token is "secret".
    fn with_hook() -> Rows {
        let mut rows = Rows::with_running_run();
        rows.does(hook_created("h", "secret"));
        rows
    }

    fn not_found() -> Refusal {
        Refusal::HookNotFound(id("h"))
    }

    #[test]
    fn a_created_hook_lives_under_its_token_and_wakes_nobody() {
        let mut rows = Rows::with_running_run();
        let decision = rows.does(hook_created("h", "secret"));
        assert_eq!(decision.entity, Entity::Hook(run_id(1), id("h")));
        let hook = rows.hook("h");
        assert_eq!((hook.metadata_position, hook.created_at_ms), (Some(3), NOW_MS));
        assert_eq!((hook.token.expose(), hook.disposed_at_ms), ("secret", None));
        assert_eq!(
            (hook.options, &hook.environment),
            (HookOptions::default(), &test_environment())
        );
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn a_hook_is_a_webhook_only_if_it_says_so() {
        let mut rows = Rows::with_running_run();
        let token = HookToken::new("secret");
        let options = HookOptions { is_webhook: true, ..HookOptions::default() };
        rows.does(EventBody::HookCreated { hook: id("h"), token, options });
        assert!(rows.hook("h").options.is_webhook);
    }

    #[test]
    fn a_second_creation_of_a_hook_conflicts_also_with_another_token_and_after_disposal() {
        let mut rows = with_hook();
        let exists = Refusal::HookExists(id("h"));
        assert_eq!(rows.refuses(hook_created("h", "secret")), exists);
        assert_eq!(rows.refuses(hook_created("h", "other")), exists);
        rows.does(hook_disposed("h"));
        assert_eq!(rows.refuses(hook_created("h", "secret")), exists);
    }

    #[test]
    fn a_held_token_is_logged_as_a_conflict_that_names_the_holder_and_makes_no_hook() {
        let mut rows = with_hook();
        rows.does_in(2, EventBody::RunCreated(creation()));
        let request = EventRequest {
            payload: payload("metadata"),
            ..request(2, hook_created("h2", "secret"))
        };
        let decision = rows.append(request).expect("a conflict is no refusal");
        assert_eq!(decision.entity, Entity::Nothing);
        assert_eq!(rows.hooks.len(), 1);
        let event = rows.logs[&run_id(2)].last().expect("it was logged");
        assert_eq!(event.event_type, EventType::HookConflict);
        assert_eq!((event.correlation_id.clone(), event.payload.clone()), (Some(id("h2")), None));
        let data: serde_json::Value =
            serde_json::from_str(event.data.as_deref().expect("it says why")).expect("JSON");
        let expected =
            serde_json::json!({ "token": "secret", "conflictingRunId": run_id(1).as_str() });
        assert_eq!(data, expected);
    }

    #[test]
    fn a_token_conflicts_within_one_run_too() {
        let mut rows = with_hook();
        assert_eq!(rows.does(hook_created("h2", "secret")).entity, Entity::Nothing);
        assert_eq!(rows.log().last(), Some(&"hook_conflict"));
    }

    #[test]
    fn a_hook_that_lost_its_token_to_another_may_be_created_once_the_token_is_free() {
        let mut rows = with_hook();
        rows.does(hook_created("h2", "secret"));
        rows.does(hook_disposed("h"));
        let decision = rows.does(hook_created("h2", "secret"));
        assert_eq!(decision.entity, Entity::Hook(run_id(1), id("h2")));
    }

    #[test]
    fn a_token_has_at_most_65536_characters() {
        for token in ["x".repeat(TOKEN_LENGTH_MAX + 1), "é".repeat(TOKEN_LENGTH_MAX + 1)] {
            let refusal = Rows::with_running_run().refuses(hook_created("h", &token));
            assert_eq!(refusal, Refusal::TokenUnacceptable);
            assert!(!refusal.to_string().contains(&token));
        }
        for token in ["".to_owned(), "x".repeat(TOKEN_LENGTH_MAX)] {
            Rows::with_running_run().does(hook_created("h", &token));
        }
    }

    #[test]
    fn a_payload_is_logged_and_wakes_the_run_and_the_hook_stays() {
        let mut rows = with_hook();
        let before = rows.hooks.clone();
        for token in [None, Some("secret"), Some("secret")] {
            assert_eq!(rows.does(hook_received("h", token)).entity, Entity::Nothing);
        }
        assert_eq!(rows.hooks, before);
        assert_eq!(rows.log()[3..], ["hook_received"; 3]);
        assert_eq!(rows.logs[&run_id(1)][3].payload, payload("hook_received"));
        assert_eq!(rows.wake_ups, [run_id(1), run_id(1), run_id(1)]);
    }

    #[test]
    fn a_repeated_resume_is_answered_with_its_first_event_also_after_all_has_ended() {
        let resume = |digest: Option<&str>| EventRequest {
            resume: Some(mark("r1", digest)),
            ..request(1, hook_received("h", Some("secret")))
        };
        let mut rows = with_hook();
        rows.does(hook_created("other", "other secret"));
        let first = rows.append(resume(Some("digest"))).expect("the rules allow it");
        let event = first.event.expect("it is logged");
        assert_eq!(event.resume, Some(mark("r1", Some("digest"))));
        let repeats = |rows: &mut Rows| {
            let length = rows.log().len();
            for digest in [Some("digest"), None] {
                let again = rows.append(resume(digest)).expect("it is done already");
                assert_eq!((again.event, again.changes.len()), (Some(event.clone()), 0));
            }
            assert_eq!(rows.append(resume(Some("another"))), Err(Refusal::ResumeIdReused));
            let of_other = EventRequest {
                resume: Some(mark("r1", Some("digest"))),
                ..request(1, hook_received("other", None))
            };
            assert_eq!(rows.append(of_other), Err(Refusal::ResumeIdReused));
            assert_eq!((rows.log().len(), rows.wake_ups.len()), (length, 1));
        };
        repeats(&mut rows);
        rows.does(hook_disposed("h"));
        repeats(&mut rows);
        rows.does(EventBody::RunCompleted);
        repeats(&mut rows);
        let unknown = EventRequest { resume: Some(mark("r2", None)), ..resume(None) };
        assert_eq!(rows.append(unknown), Err(not_found()));
    }

    #[test]
    fn a_hook_takes_plain_data_unless_its_run_has_a_key_or_the_hook_has_metadata() {
        let rows = with_hook();
        let (with_metadata, run) = (rows.hook("h").clone(), rows.run().clone());
        let hook = Hook { metadata_position: None, ..with_metadata.clone() };
        assert!(takes_plain_payload(&hook, &run));
        let with_key = Run { encryption_key_id: Some("k".into()), ..run.clone() };
        let legacy = Hook { spec_version: 1, ..hook.clone() };
        for (hook, run) in [(&with_metadata, &run), (&hook, &with_key), (&legacy, &run)] {
            assert!(!takes_plain_payload(hook, run));
        }
    }

    #[test]
    fn a_resume_is_an_event_of_the_line_of_its_hook() {
        for (of_hook, of_event) in [(2, 3), (3, 3), (6, 7), (7, 7), (8, 7)] {
            let hook = Hook { spec_version: of_hook, ..with_hook().hook("h").clone() };
            let resume = EventRequest::resume(&hook, payload("x").expect("a payload"));
            assert_eq!(resume.spec_version, of_event);
            let decision = with_hook().append(resume).expect("the rules allow it");
            assert_eq!(
                decision.event.expect("it is logged").data.as_deref(),
                Some(r#"{"token":"secret"}"#)
            );
        }
    }

    #[test]
    fn a_repeated_resume_by_a_step_is_answered_with_its_first_event_whoever_has_the_token_now() {
        let by_step = |payload: &str, nth| {
            let step = StepResume { place: "place".into(), payload: payload.into(), nth };
            Some(step.mark())
        };
        let resume = |run, hook, mark| EventRequest {
            resume: mark,
            ..request(run, hook_received(hook, Some("secret")))
        };
        let mut rows = with_hook();
        let first = rows.append(resume(1, "h", by_step("a", 0))).expect("the rules allow it");
        rows.append(resume(1, "h", by_step("a", 1))).expect("it is another resume");
        assert_eq!(rows.log()[3..], ["hook_received"; 2]);
        rows.does(hook_disposed("h"));
        rows.does_in(2, EventBody::RunCreated(creation()));
        rows.does_in(2, hook_created("h2", "secret"));
        // The step finds the hook as it was, or the hook that has the token now.
        for (run, hook) in [(1, "h"), (2, "h2")] {
            let again = rows.append(resume(run, hook, by_step("a", 0))).expect("it is done");
            assert_eq!((again.event, again.changes.len()), (first.event.clone(), 0));
        }
        let other = by_step("b", 0);
        assert_eq!(rows.append(resume(1, "h", other.clone())), Err(not_found()));
        let event = rows.append(resume(2, "h2", other)).expect("it is new").event;
        assert_eq!(event.expect("it is logged").run_id, run_id(2));
    }

    #[test]
    fn a_payload_for_a_run_that_was_not_started_yet_is_kept() {
        let mut rows = Rows::default();
        rows.does(EventBody::RunCreated(creation()));
        rows.does(hook_created("h", "secret"));
        rows.does(hook_received("h", Some("secret")));
        assert_eq!(rows.wake_ups, [run_id(1)]);
    }

    #[test]
    fn a_payload_with_another_token_does_not_resume() {
        let mut rows = with_hook();
        assert_eq!(rows.refuses(hook_received("h", Some("guess"))), not_found());
        assert_eq!(rows.refuses(hook_received("h", Some(""))), not_found());
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn an_unknown_hook_neither_receives_nor_is_disposed() {
        for body in [hook_received("h", None), hook_disposed("h")] {
            assert_eq!(Rows::with_running_run().refuses(body), not_found());
        }
    }

    #[test]
    fn a_hook_of_another_run_is_not_this_runs_hook() {
        let mut rows = with_hook();
        rows.does_in(2, EventBody::RunCreated(creation()));
        assert_eq!(rows.refuses_in(2, hook_received("h", Some("secret"))), not_found());
        assert_eq!(rows.refuses_in(2, hook_disposed("h")), not_found());
    }

    #[test]
    fn a_disposed_hook_frees_its_token_and_receives_nothing_more() {
        let mut rows = with_hook();
        rows.now_ms += 10;
        let decision = rows.does(hook_disposed("h"));
        assert_eq!(decision.entity, Entity::Nothing);
        assert_eq!(rows.hook("h").disposed_at_ms, Some(NOW_MS + 10));
        assert_eq!(rows.wake_ups, []);
        assert_eq!(rows.refuses(hook_received("h", Some("secret"))), not_found());
        let decision = rows.does(hook_created("h2", "secret"));
        assert_eq!(decision.entity, Entity::Hook(run_id(1), id("h2")));
    }

    #[test]
    fn a_second_disposal_conflicts() {
        let mut rows = with_hook();
        rows.does(hook_disposed("h"));
        assert_eq!(rows.refuses(hook_disposed("h")), Refusal::HookDisposed(id("h")));
    }

    #[test]
    fn the_hooks_of_an_ended_run_are_gone() {
        for ending in endings() {
            let mut rows = with_hook();
            rows.does(hook_created("disposed", "another secret"));
            rows.does(hook_disposed("disposed"));
            rows.does(ending);
            assert_eq!(rows.refuses(hook_received("h", Some("secret"))), not_found());
            assert_eq!(rows.refuses(hook_disposed("h")), not_found());
            let gone = Refusal::HookNotFound(id("disposed"));
            assert_eq!(rows.refuses(hook_disposed("disposed")), gone);
        }
    }

    #[test]
    fn a_hook_that_outlived_its_run_counts_as_gone() {
        // No store leaves such rows, but the rule does not depend on that.
        let mut rows = with_hook();
        let hooks = rows.hooks.clone();
        rows.does(EventBody::RunCancelled);
        rows.hooks = hooks;
        assert_eq!(rows.refuses(hook_received("h", Some("secret"))), not_found());
        assert_eq!(rows.refuses(hook_disposed("h")), not_found());
    }

    /// Rows with a live hook "h" whose token "secret" is retained until 10 ms from now.
    fn with_retained_hook() -> Rows {
        let mut rows = Rows::with_running_run();
        let options =
            HookOptions { retained_until_ms: Some(NOW_MS + 10), ..HookOptions::default() };
        let token = HookToken::new("secret");
        rows.does(EventBody::HookCreated { hook: id("h"), token, options });
        rows.does_in(2, EventBody::RunCreated(creation()));
        rows
    }

    #[test]
    fn a_retained_token_is_held_after_the_run_until_its_time_is_over() {
        for ending in endings() {
            let mut rows = with_retained_hook();
            rows.does(ending);
            assert!(rows.hook("h").outlives_run);
            assert_eq!(rows.refuses(hook_received("h", Some("secret"))), not_found());
            rows.now_ms = NOW_MS + 9;
            rows.does_in(2, hook_created("h2", "secret"));
            let conflict = rows.logs[&run_id(2)].last().expect("it was logged");
            assert_eq!(conflict.event_type, EventType::HookConflict);
            rows.now_ms = NOW_MS + 10;
            let decision = rows.does_in(2, hook_created("h2", "secret"));
            assert_eq!(decision.entity, Entity::Hook(run_id(2), id("h2")));
        }
    }

    #[test]
    fn a_token_is_retained_no_longer_than_its_run_if_that_ends_later() {
        let mut rows = with_retained_hook();
        rows.now_ms = NOW_MS + 20;
        rows.does_in(2, hook_created("h2", "secret"));
        let conflict = rows.logs[&run_id(2)].last().expect("it was logged");
        assert_eq!(conflict.event_type, EventType::HookConflict);
        rows.does(EventBody::RunCompleted);
        assert_eq!(rows.hooks.len(), 0);
    }

    #[test]
    fn a_disposal_frees_a_retained_token_at_once_also_after_the_run() {
        let mut rows = with_retained_hook();
        rows.does(hook_disposed("h"));
        rows.does_in(2, hook_created("h2", "secret"));
        rows.does(EventBody::RunCompleted);
        assert_eq!(rows.hooks.len(), 1);

        let mut rows = with_retained_hook();
        rows.does(EventBody::RunCompleted);
        rows.does(hook_disposed("h"));
        assert_eq!(rows.refuses(hook_disposed("h")), not_found());
        let decision = rows.does_in(2, hook_created("h2", "secret"));
        assert_eq!(decision.entity, Entity::Hook(run_id(2), id("h2")));
    }

    #[test]
    fn a_hook_that_is_over_is_not_disposed_of_again() {
        let mut rows = with_retained_hook();
        rows.does(EventBody::RunCompleted);
        rows.now_ms = NOW_MS + 10;
        assert_eq!(rows.refuses(hook_disposed("h")), not_found());
    }

    #[test]
    fn an_ended_run_gets_no_new_hook() {
        for ending in endings() {
            let mut rows = Rows::with_running_run();
            rows.does(ending);
            let status = rows.run().status;
            let refusal = rows.refuses(hook_created("h", "secret"));
            assert_eq!(refusal, Refusal::RunEnded { run_id: run_id(1), status });
        }
    }
}
