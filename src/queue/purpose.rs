//! Reads the purpose of a message from its queue name and its JSON body.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::id::RunId;
use crate::domain::message::{Purpose, QueueKind};
use crate::error::WorldError;

/// Fields that add nothing to "replay this run".
const PLAIN_FIELDS: [&str; 2] = ["traceCarrier", "requestedAt"];
/// The field that `start()` adds, from which `run_started` creates a missing run.
const START_FIELD: &str = "runInput";

/// The part of a body that decides the purpose. Other values are skipped, at any depth.
#[derive(Default)]
struct Body {
    run_id: Option<String>,
    starts: bool,
    carries_more: bool,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Body, A::Error> {
        let mut body = Body::default();
        while let Some(field) = fields.next_key::<String>()? {
            if field == "runId" {
                body.run_id = fields.next_value()?;
            } else {
                let starts = field == START_FIELD;
                body.starts |= starts;
                body.carries_more |= !starts && !PLAIN_FIELDS.contains(&field.as_str());
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(body)
    }
}

/// Reads the purpose (`WorkflowInvokePayloadSchema` of `@workflow/world`).
///
/// # Errors
/// `Invalid` if the queue name is not one of the SDK's.
pub fn of(queue_name: &str, body: &[u8]) -> Result<Purpose, WorldError> {
    let kind = QueueKind::of(queue_name).ok_or_else(|| {
        WorldError::invalid(format!(
            "the queue name \"{queue_name}\" must begin with __wkf_workflow_ or __wkf_step_, or with \
             one of them in a namespace (__name_wkf_step_)"
        ))
    })?;
    if kind == QueueKind::Step {
        return Ok(Purpose::Other);
    }
    match serde_json::from_slice(body) {
        Ok(Body { run_id: Some(id), starts, carries_more }) => {
            let run_id = RunId::new(id);
            Ok(match (starts, carries_more) {
                (_, true) => Purpose::Replay(run_id),
                (true, false) => Purpose::Start(run_id),
                (false, false) => Purpose::WakeUp(run_id),
            })
        }
        // It replays no run. Its handler reports the error in the body.
        Ok(Body { run_id: None, .. }) => Ok(Purpose::Other),
        Err(error) if error.is_data() => Ok(Purpose::Other),
        Err(_) => Err(WorldError::invalid("the message is not JSON")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_without_further_content_is_a_wake_up() {
        let flow = |body: &str| of("__wkf_workflow_a", body.as_bytes()).unwrap();
        let run = || RunId::new("wrun_1");
        assert_eq!(flow(r#"{"runId":"wrun_1"}"#), Purpose::WakeUp(run()));
        assert_eq!(
            flow(r#"{"runId":"wrun_1","traceCarrier":{"a":"b"},"requestedAt":"x"}"#),
            Purpose::WakeUp(run())
        );
        assert_eq!(flow(r#"{"runId":"wrun_1","runInput":{}}"#), Purpose::Start(run()));
        assert_eq!(flow(r#"{"runId":"wrun_1","replayDivergence":{}}"#), Purpose::Replay(run()));
        assert_eq!(flow(r#"{"runInput":{},"runId":"wrun_1","more":1}"#), Purpose::Replay(run()));
        assert_eq!(flow(r#"{"__healthCheck":true,"correlationId":"1"}"#), Purpose::Other);
        assert_eq!(flow("[]"), Purpose::Other);
        assert_eq!(of("__wkf_step_a", br#"{"runId":"wrun_1"}"#).unwrap(), Purpose::Other);
        assert!(of("other", b"{}").is_err());
        assert!(of("__wkf_workflow_a", b"{").is_err());
    }

    #[test]
    fn the_run_is_found_beside_a_value_of_any_depth() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(r#"{{"runInput":{deep},"runId":"wrun_1"}}"#);
        let purpose = of("__wkf_workflow_a", body.as_bytes()).unwrap();
        assert_eq!(purpose, Purpose::Start(RunId::new("wrun_1")));
    }
}
