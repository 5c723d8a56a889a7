//! What the living workers of a database offer to run, by their reports.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::queue::offer::Offer;

/// A part of the report of a worker; [`super::pulse::Pulse::report`] writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reported {
    spec_versions: (u32, u32),
    release: Option<String>,
}

/// What a worker offers to run, whatever its queues; `None` if its report does not say it, because
/// another version has written it or it cannot be read.
pub fn offer_of(report: &Value) -> Option<Offer> {
    let Reported { spec_versions: (from, to), release } = Reported::deserialize(report).ok()?;
    Some(Offer { prefixes: Vec::new(), spec_versions: from..=to, release })
}

/// What the workers offer; empty if one of them does not say it, since it may run anything.
pub fn offers_of(reports: &[Value]) -> Vec<Offer> {
    reports.iter().map(offer_of).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_worker_offers_its_line_and_its_release() {
        let reports = [json!({ "specVersions": [6, 8], "release": "a", "pid": 1 })];
        let offer = Offer { prefixes: vec![], spec_versions: 6..=8, release: Some("a".into()) };
        assert_eq!(offers_of(&reports), [offer]);
    }

    #[test]
    fn where_one_worker_does_not_say_it_nothing_is_known_of_all() {
        let says = json!({ "specVersions": [0, 5], "release": null });
        for other in [json!({}), json!({ "specVersions": "all" }), json!(7)] {
            assert_eq!(offers_of(&[says.clone(), other]), []);
        }
    }
}
