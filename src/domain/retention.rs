//! How long the values of a run are kept: for as long as the run, or only until its end.
//!
//! A run with retention 0 keeps its row, its log and its attributes. Its values go with its end: the
//! payloads of its events, the chunks of its streams, the bodies of its messages.

use super::attributes::{Attributes, are_values_dropped_at_end};
use super::refusal::Refusal;
use super::run::Run;
use super::spec::SpecVersion;

/// For how long a value is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Until its run is deleted.
    #[default]
    Kept,
    /// Until its run ends. It is stored so that nothing of it is left in the files then.
    Dropped,
}

impl Keeping {
    /// How the values of a run are kept.
    pub fn of(run: &Run) -> Self {
        Self::by(run.spec(), &run.attributes)
    }

    /// How the values of a run with these attributes are kept. An SDK without attributes knows no run whose
    /// values are gone.
    pub fn by(spec: SpecVersion, attributes: &Attributes) -> Self {
        match spec.has_attributes() && are_values_dropped_at_end(attributes) {
            true => Self::Dropped,
            false => Self::Kept,
        }
    }
}

/// How the chunks of a new stream of a run are kept.
///
/// # Errors
/// `ValuesDropped` if those of its other streams were dropped already.
pub fn keeping_of_new_stream(run: &Run) -> Result<Keeping, Refusal> {
    match run.expired_at_ms {
        Some(_) => Err(Refusal::ValuesDropped(run.run_id.clone())),
        None => Ok(Keeping::of(run)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{EventBody, RunCreation};
    use super::super::transition::test_kit::*;
    use super::*;

    #[test]
    fn a_new_stream_is_kept_as_its_run_and_refused_after_the_values_of_its_run() {
        let mut rows = Rows { spec_version: 8, ..Rows::default() };
        let attributes = changes(&[("$retention", Some("0"))], true);
        rows.does(EventBody::RunCreated(RunCreation { attributes, ..creation() }));
        rows.does_in(2, EventBody::RunCreated(creation()));
        assert_eq!(keeping_of_new_stream(rows.run()), Ok(Keeping::Dropped));
        for run in [1, 2] {
            rows.does_in(run, EventBody::RunCompleted);
        }
        let refused = Refusal::ValuesDropped(run_id(1));
        assert_eq!(keeping_of_new_stream(rows.run()), Err(refused));
        assert_eq!(keeping_of_new_stream(&rows.runs[&run_id(2)]), Ok(Keeping::Kept));
    }
}
