//! Who may take a message: a process takes what it offers to run, and nothing else.
//!
//! A run demands its SDK line, by its spec version, and its release, by its deployment id; so does each
//! of its messages. During a rolling deploy, processes of several lines and releases share one database.
//! A message that no living process offers to take waits, and is never given to another one.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::domain::message::NewMessage;
use crate::domain::run::Run;

/// The deployment id of a process, and of its runs, without a release.
pub const NO_RELEASE: &str = "dpl_hookline";

/// What a process can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Only queues whose names begin with one of these.
    pub prefixes: Vec<String>,
    /// The spec versions of the runs that its SDK line continues.
    pub spec_versions: RangeInclusive<u32>,
    /// Its release; `None` if none is configured.
    pub release: Option<String>,
}

/// What a message needs of the process that delivers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    /// The deployment id of the processes that continue its run; empty if any release will do.
    pub deployment_id: String,
    /// The spec version of its run; 0 if it is not known, and any SDK line will do.
    pub spec_version: u32,
}

impl Demand {
    /// What every message of this run needs.
    pub fn of(run: &Run) -> Self {
        Self { deployment_id: run.release_id.clone(), spec_version: run.spec_version }
    }

    /// What a message needs. The run decides, because it may have been adopted by another release. What
    /// the message itself says only counts while there is no run: for a start, and for a health check.
    pub fn of_message(message: &NewMessage, run: Option<&Run>) -> Self {
        run.map_or_else(|| message.demand.clone(), Self::of)
    }
}

/// Whether the deployment id of a new run shows that another release exists: a process that has a release
/// starts the run for another one.
pub fn names_release(deployment_id: &str, own: Option<&str>) -> bool {
    own.is_some_and(|own| own != deployment_id) && deployment_id != NO_RELEASE
}

/// Whether the release with this id may be gone, so that the store has to look. The process asks, so its
/// own release is not.
pub fn may_be_gone(deployment_id: &str, own: Option<&str>) -> bool {
    !deployment_id.is_empty() && deployment_id != NO_RELEASE && own != Some(deployment_id)
}

impl Offer {
    /// Whether the process may take what demands this. `releases` are the ids that are releases: a
    /// process has, or once had, such an id. Any other id of a run is no release: it was started before
    /// the setting was made, or imported. Only processes without a release run it.
    pub fn covers(&self, demand: &Demand, releases: &HashSet<String>) -> bool {
        let Demand { deployment_id, spec_version } = demand;
        let has_line = *spec_version == 0 || self.spec_versions.contains(spec_version);
        has_line
            && match &self.release {
                _ if deployment_id.is_empty() => true,
                Some(release) => release == deployment_id,
                None => !releases.contains(deployment_id),
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::transition::test_kit::Rows;

    fn offer(release: Option<&str>) -> Offer {
        Offer {
            prefixes: vec!["__wkf_workflow_".into()],
            spec_versions: 0..=5,
            release: release.map(str::to_owned),
        }
    }

    fn demand(deployment_id: &str, spec_version: u32) -> Demand {
        Demand { deployment_id: deployment_id.into(), spec_version }
    }

    fn releases() -> HashSet<String> {
        ["a", "b"].map(str::to_owned).into()
    }

    #[test]
    fn a_run_goes_to_processes_of_its_line_only() {
        let (four, five) = (offer(None), Offer { spec_versions: 6..=8, ..offer(None) });
        for (spec_version, by_four, by_five) in
            [(1, true, false), (5, true, false), (6, false, true), (8, false, true)]
        {
            let demand = demand(NO_RELEASE, spec_version);
            assert_eq!(four.covers(&demand, &releases()), by_four, "{spec_version}");
            assert_eq!(five.covers(&demand, &releases()), by_five, "{spec_version}");
        }
        let unknown = demand(NO_RELEASE, 0);
        assert!(four.covers(&unknown, &releases()) && five.covers(&unknown, &releases()));
        assert!(!five.covers(&demand(NO_RELEASE, 9), &releases()));
    }

    #[test]
    fn a_run_of_a_release_goes_to_processes_of_that_release_only() {
        let of_a = demand("a", 3);
        assert!(offer(Some("a")).covers(&of_a, &releases()));
        assert!(!offer(Some("b")).covers(&of_a, &releases()));
        assert!(!offer(None).covers(&of_a, &releases()));
    }

    #[test]
    fn a_run_without_a_release_goes_to_processes_without_a_release_only() {
        for deployment_id in [NO_RELEASE, "imported"] {
            assert!(offer(None).covers(&demand(deployment_id, 3), &releases()));
            assert!(!offer(Some("a")).covers(&demand(deployment_id, 3), &releases()));
        }
    }

    #[test]
    fn a_message_that_names_no_release_goes_to_any_process() {
        for release in [None, Some("a")] {
            assert!(offer(release).covers(&demand("", 0), &releases()));
        }
    }

    #[test]
    fn a_message_needs_what_its_run_needs_and_what_it_says_only_before_there_is_a_run() {
        let rows = Rows::with_running_run();
        let mut run = rows.run().clone();
        run.release_id = "adopted".into();
        let message = NewMessage { demand: demand("a", 6), ..NewMessage::default() };
        assert_eq!(Demand::of_message(&message, None), demand("a", 6));
        assert_eq!(Demand::of_message(&message, Some(&run)), demand("adopted", run.spec_version));
    }

    #[test]
    fn a_run_that_a_release_starts_for_another_one_shows_that_this_is_a_release() {
        assert!(names_release("b", Some("a")));
        assert!(!names_release("a", Some("a")), "it is known");
        assert!(!names_release(NO_RELEASE, Some("a")));
        assert!(!names_release("anything", None), "a process without a release knows of none");
    }

    #[test]
    fn only_another_release_may_be_gone() {
        assert!(may_be_gone("a", None) && may_be_gone("a", Some("b")));
        assert!(!may_be_gone("a", Some("a")), "it is here");
        assert!(!may_be_gone(NO_RELEASE, Some("a")) && !may_be_gone("", None));
    }

    proptest! {
        /// Two processes of different releases, or of different lines, never both take a run of a
        /// release.
        #[test]
        fn a_run_of_a_release_has_one_kind_of_process(
            id in "[abc]", spec_version in 1u32..9, mine in prop::option::of("[abc]"), is_five: bool,
        ) {
            let spec_versions = if is_five { 6..=8 } else { 0..=5 };
            let offer = Offer { spec_versions: spec_versions.clone(), ..offer(mine.as_deref()) };
            let all = HashSet::from_iter(["a", "b", "c"].map(str::to_owned));
            let takes = offer.covers(&demand(&id, spec_version), &all);
            prop_assert_eq!(takes, mine == Some(id) && spec_versions.contains(&spec_version));
        }
    }
}
