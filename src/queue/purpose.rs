//! Reads the purpose of a message from its queue name and its JSON body.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::id::{CorrelationId, RunId};
use crate::domain::message::{Purpose, QueueKind};
use crate::domain::queue::offer::Demand;
use crate::domain::retention::Keeping;
use crate::domain::spec::SpecVersion;
use crate::error::WorldError;

/// Fields that add nothing to "replay this run".
const PLAIN_FIELDS: [&str; 3] = ["traceCarrier", "requestedAt", "hookResumeTiming"];

/// What a message is for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// What its delivery does.
    pub purpose: Purpose,
    /// What the run needs that it creates if it is missing; nothing for any other message.
    pub demand: Demand,
    /// How the values of such a run are kept.
    pub keeping: Keeping,
}

/// The part of a body that decides the purpose. Other values are skipped, at any depth.
#[derive(Default)]
struct Body<'a> {
    run_id: Option<String>,
    /// The run of a message in line 4's queues of steps.
    workflow_run_id: Option<&'a RawValue>,
    step_id: Option<&'a RawValue>,
    /// What `start()` adds, from which `run_started` creates a missing run.
    run_input: Option<&'a RawValue>,
    carries_more: bool,
}

impl<'de> Deserialize<'de> for Body<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Body<'de>, A::Error> {
        let mut body = Body::default();
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "runId" => body.run_id = fields.next_value()?,
                "workflowRunId" => body.workflow_run_id = Some(fields.next_value()?),
                "stepId" => body.step_id = Some(fields.next_value()?),
                "runInput" => body.run_input = Some(fields.next_value()?),
                other => {
                    body.carries_more |= !PLAIN_FIELDS.contains(&other);
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(body)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RunInput<'a> {
    deployment_id: String,
    spec_version: u32,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

impl RunInput<'_> {
    fn keeping(&self) -> Keeping {
        let parsed = self.attributes.and_then(|json| serde_json::from_str(json.get()).ok());
        Keeping::by(SpecVersion(self.spec_version), &parsed.unwrap_or_default())
    }
}

/// A text of the body; `None` for a value of another type.
fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

impl Body<'_> {
    fn step(&self, run_id: Option<String>) -> Option<Purpose> {
        let step_id = CorrelationId::new(text(self.step_id)?);
        Some(Purpose::Step { run_id: RunId::new(run_id?), step_id })
    }

    fn content(self) -> Content {
        if let Some(purpose) = self.step(self.run_id.clone()) {
            return Content { purpose, ..Content::default() };
        }
        // Without a run it replays nothing. Its handler reports the error in the body.
        let Some(run_id) = self.run_id.map(RunId::new) else { return Content::default() };
        let started: Option<RunInput<'_>> =
            self.run_input.map(|input| serde_json::from_str(input.get()).unwrap_or_default());
        let purpose = match (&started, self.carries_more || self.step_id.is_some()) {
            (_, true) => Purpose::Replay(run_id),
            (Some(_), false) => Purpose::Start(run_id),
            (None, false) => Purpose::WakeUp(run_id),
        };
        let started = started.unwrap_or_default();
        let keeping = started.keeping();
        let RunInput { deployment_id, spec_version, .. } = started;
        Content { purpose, demand: Demand { deployment_id, spec_version }, keeping }
    }
}

/// Reads what a message is for (`WorkflowInvokePayloadSchema` and `StepInvokePayloadSchema` of
/// `@workflow/world`).
///
/// # Errors
/// `Invalid` if the queue name is not one of the SDK's.
pub fn of(queue_name: &str, body: &[u8]) -> Result<Content, WorldError> {
    let kind = QueueKind::of(queue_name).ok_or_else(|| {
        WorldError::invalid(format!(
            "the queue name \"{queue_name}\" must begin with __wkf_workflow_ or __wkf_step_, or with \
             one of them in a namespace (__name_wkf_step_)"
        ))
    })?;
    match (serde_json::from_slice::<Body<'_>>(body), kind) {
        (Ok(body), QueueKind::Workflow) => Ok(body.content()),
        (Ok(body), QueueKind::Step) => {
            let purpose = body.step(text(body.workflow_run_id));
            Ok(Content { purpose: purpose.unwrap_or_default(), ..Content::default() })
        }
        (Err(error), _) if error.is_data() => Ok(Content::default()),
        (Err(_), _) => Err(WorldError::invalid("the message is not JSON")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = "__wkf_workflow_a";

    fn flow(body: &str) -> Purpose {
        of(FLOW, body.as_bytes()).unwrap().purpose
    }

    fn run() -> RunId {
        RunId::new("wrun_1")
    }

    fn step() -> Purpose {
        Purpose::Step { run_id: run(), step_id: CorrelationId::new("step_1") }
    }

    #[test]
    fn only_a_message_without_further_content_is_a_wake_up() {
        assert_eq!(flow(r#"{"runId":"wrun_1"}"#), Purpose::WakeUp(run()));
        assert_eq!(
            flow(r#"{"runId":"wrun_1","traceCarrier":{"a":"b"},"requestedAt":"x"}"#),
            Purpose::WakeUp(run())
        );
        let resumed = r#"{"runId":"wrun_1","hookResumeTiming":{"resumeRequestedAtMs":1}}"#;
        assert_eq!(flow(resumed), Purpose::WakeUp(run()));
        assert_eq!(flow(r#"{"runId":"wrun_1","runInput":{}}"#), Purpose::Start(run()));
        assert_eq!(flow(r#"{"runId":"wrun_1","replayDivergence":{}}"#), Purpose::Replay(run()));
        let waited = r#"{"runId":"wrun_1","waitContinuation":{"correlationId":"w","attempt":1}}"#;
        assert_eq!(flow(waited), Purpose::Replay(run()));
        assert_eq!(flow(r#"{"runInput":{},"runId":"wrun_1","more":1}"#), Purpose::Replay(run()));
        assert_eq!(flow(r#"{"__healthCheck":true,"correlationId":"1"}"#), Purpose::Other);
        assert_eq!(flow("[]"), Purpose::Other);
        assert!(of("other", b"{}").is_err());
        assert!(of(FLOW, b"{").is_err());
    }

    #[test]
    fn a_message_of_a_step_is_no_replay_whatever_queue_it_is_in() {
        let of_line_5 = r#"{"runId":"wrun_1","stepId":"step_1","stepName":"s","runContext":{}}"#;
        assert_eq!(flow(of_line_5), step());
        let of_line_4 = br#"{"workflowRunId":"wrun_1","stepId":"step_1"}"#;
        assert_eq!(of("__wkf_step_a", of_line_4).unwrap().purpose, step());
        for other in [r#"{"runId":"wrun_1"}"#, r#"{"workflowRunId":7,"stepId":[]}"#, "[]"] {
            assert_eq!(of("__wkf_step_a", other.as_bytes()).unwrap().purpose, Purpose::Other);
        }
        assert_eq!(
            flow(r#"{"runId":"wrun_1","stepId":7}"#),
            Purpose::Replay(run()),
            "a body is data"
        );
    }

    #[test]
    fn a_start_says_what_its_run_will_need() {
        let demand = |body: &str| of(FLOW, body.as_bytes()).unwrap().demand;
        let start =
            r#"{"runId":"wrun_1","runInput":{"input":[],"deploymentId":"a","specVersion":7}}"#;
        assert_eq!(demand(start), Demand { deployment_id: "a".into(), spec_version: 7 });
        for other in [r#"{"runId":"wrun_1","runInput":[]}"#, r#"{"runId":"wrun_1"}"#] {
            assert_eq!(demand(other), Demand::default());
        }
    }

    #[test]
    fn a_start_says_how_the_values_of_its_run_are_kept() {
        let keeping = |run_input: &str| {
            let body = format!(r#"{{"runId":"wrun_1","runInput":{run_input}}}"#);
            of(FLOW, body.as_bytes()).unwrap().keeping
        };
        let private = r#"{"specVersion":7,"attributes":{"$retention":"0"}}"#;
        assert_eq!(keeping(private), Keeping::Dropped);
        for other in
            [r#"{"specVersion":7,"attributes":{"$retention":"1"}}"#, r#"{"specVersion":7}"#]
        {
            assert_eq!(keeping(other), Keeping::Kept);
        }
    }

    #[test]
    fn the_run_is_found_beside_a_value_of_any_depth() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(r#"{{"runInput":{deep},"runId":"wrun_1"}}"#);
        assert_eq!(flow(&body), Purpose::Start(run()));
        let body = format!(r#"{{"runInput":{{"input":{deep},"specVersion":6}},"runId":"wrun_1"}}"#);
        assert_eq!(of(FLOW, body.as_bytes()).unwrap().demand.spec_version, 6);
    }
}
