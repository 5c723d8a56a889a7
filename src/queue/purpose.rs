//! What a message is for, read from its queue name and its JSON body.

use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::HashMap;

use crate::domain::id::RunId;
use crate::domain::message::{Purpose, QueueKind};
use crate::error::WorldError;

/// Fields that say nothing beyond "replay this run".
const PLAIN_FIELDS: [&str; 3] = ["runId", "traceCarrier", "requestedAt"];

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "runId")]
    run_id: Option<String>,
    #[serde(flatten)]
    others: HashMap<String, IgnoredAny>,
}

/// Reads the purpose (`WorkflowInvokePayloadSchema` of `@workflow/world`).
///
/// # Errors
/// `Invalid` when the queue name is not one of the SDK's.
pub fn of(queue_name: &str, body: &[u8]) -> Result<Purpose, WorldError> {
    let kind = QueueKind::of(queue_name).ok_or_else(|| {
        WorldError::invalid(format!(
            "the queue name \"{queue_name}\" does not begin with __wkf_workflow_, __wkf_step_ or \
             their form with a namespace"
        ))
    })?;
    if kind == QueueKind::Step {
        return Ok(Purpose::Other);
    }
    // A body that is no object replays no run; its handler says what is wrong with it.
    let Ok(Body { run_id: Some(run_id), others }) = serde_json::from_slice(body) else {
        return Ok(Purpose::Other);
    };
    let run_id = RunId::new(run_id);
    let plain = others.keys().all(|field| PLAIN_FIELDS.contains(&field.as_str()));
    Ok(if plain { Purpose::WakeUp(run_id) } else { Purpose::Replay(run_id) })
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
        assert_eq!(flow(r#"{"runId":"wrun_1","runInput":{}}"#), Purpose::Replay(run()));
        assert_eq!(flow(r#"{"__healthCheck":true,"correlationId":"1"}"#), Purpose::Other);
        assert_eq!(flow("[]"), Purpose::Other);
        assert_eq!(of("__wkf_step_a", br#"{"runId":"wrun_1"}"#).unwrap(), Purpose::Other);
        assert!(of("other", b"{}").is_err());
    }
}
