//! The attributes of a run: set by its creation and by `attr_set`.

use super::{Entity, Log};
use crate::domain::attributes::AttributeChanges;
use crate::domain::change::Change;
use crate::domain::refusal::Refusal;

/// Changes attributes. Workflow code writes each of its changes once, whatever number of replays asks
/// for it. So the name of the change may be used once; but a change that was refused has used no name.
pub(super) fn set(log: &mut Log, changes: &AttributeChanges) -> Result<(), Refusal> {
    log.refuse_if_ended()?;
    log.run.attributes = changes.merged_into(&log.run.attributes)?;
    if let Some(id) = log.correlation_id.clone().filter(|_| log.attributes_are_set) {
        return Err(Refusal::AttributesSet(id));
    }
    log.append();
    log.run.updated_at_ms = log.now_ms();
    log.change(Change::UpdateRun(log.run.clone()));
    log.answer(Entity::Run);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_kit::*;
    use crate::domain::attributes::Attributes;
    use crate::domain::event::{EventBody, RunCreation};
    use crate::domain::refusal::Refusal;
    use crate::domain::transition::Entity;

    fn pairs(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn attributes_are_merged_and_the_run_is_answered() {
        let mut rows = Rows::with_running_run_of(8);
        rows.now_ms += 10;
        let decision = rows.does(attr_set(Some("a1"), &[("a", Some("1")), ("b", Some("2"))]));
        assert_eq!(decision.entity, Entity::Run(run_id(1)));
        assert_eq!(rows.run().updated_at_ms, NOW_MS + 10);
        rows.does(attr_set(Some("a2"), &[("a", None), ("b", Some("3"))]));
        assert_eq!(rows.run().attributes, pairs(&[("b", "3")]));
        assert_eq!(rows.log()[2..], ["attr_set", "attr_set"]);
        assert_eq!(rows.wake_ups, []);
    }

    #[test]
    fn workflow_code_sets_once_under_a_name_and_a_step_as_often_as_it_likes() {
        let mut rows = Rows::with_running_run_of(8);
        rows.does(attr_set(Some("a1"), &[("a", Some("1"))]));
        let again = rows.refuses(attr_set(Some("a1"), &[("a", Some("2"))]));
        assert_eq!(again, Refusal::AttributesSet(id("a1")));
        assert_eq!(rows.run().attributes, pairs(&[("a", "1")]));
        rows.does(attr_set(None, &[("a", Some("2"))]));
        rows.does(attr_set(None, &[("a", Some("2"))]));
    }

    #[test]
    fn a_refused_change_has_not_used_its_name() {
        let mut rows = Rows::with_running_run_of(8);
        let refusal = rows.refuses(attr_set(Some("a1"), &[("$a", Some("1"))]));
        assert!(matches!(refusal, Refusal::AttributesUnacceptable(_)));
        rows.does(attr_set(Some("a1"), &[("a", Some("1"))]));
        // The changes are checked before the name.
        let refusal = rows.refuses(attr_set(Some("a1"), &[("$a", Some("1"))]));
        assert!(matches!(refusal, Refusal::AttributesUnacceptable(_)));
    }

    #[test]
    fn an_ended_run_keeps_its_attributes_and_gets_no_others() {
        for ending in endings() {
            let mut rows = Rows::with_running_run_of(8);
            rows.does(attr_set(None, &[("a", Some("1"))]));
            rows.does(ending);
            let status = rows.run().status;
            // The end is checked before the changes.
            let refusal = rows.refuses(attr_set(None, &[("$a", Some("2"))]));
            assert_eq!(refusal, Refusal::RunEnded { run_id: run_id(1), status });
            assert_eq!(rows.run().attributes, pairs(&[("a", "1")]));
        }
    }

    #[test]
    fn a_run_may_be_created_with_attributes() {
        let attributes = changes(&[("$parent", Some("1")), ("a", Some("2"))], true);
        let created = RunCreation { attributes, ..creation() };
        let refused =
            RunCreation { attributes: changes(&[("$parent", Some("1"))], false), ..creation() };
        let bodies = |creation: RunCreation| {
            [EventBody::RunCreated(creation.clone()), EventBody::RunStarted(Some(creation))]
        };
        for (good, bad) in bodies(created).into_iter().zip(bodies(refused)) {
            let mut rows = Rows { spec_version: 8, ..Rows::default() };
            let refusal = rows.refuses(bad);
            assert!(matches!(refusal, Refusal::AttributesUnacceptable(_)));
            assert!(rows.runs.is_empty());
            rows.does(good);
            assert_eq!(rows.run().attributes, pairs(&[("$parent", "1"), ("a", "2")]));
        }
    }
}
