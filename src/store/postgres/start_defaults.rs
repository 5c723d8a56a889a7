//! Table `start_defaults`: what a start in SQL writes into its run where the caller says nothing.

use super::db::values;
use super::writes::Write;
use crate::domain::queue::offer::{NO_RELEASE, Offer};
use crate::domain::spec::spec_version_of_new_runs;

/// Keeps the release and the line of a worker that begins.
pub(super) fn keep(offer: &Offer) -> Write {
    const KEEP: &str = "INSERT INTO hookline.start_defaults VALUES (1, $1, $2) \
         ON CONFLICT (only_row) DO UPDATE SET deployment_id = excluded.deployment_id, \
           spec_version = excluded.spec_version";
    let deployment_id = offer.release.as_deref().unwrap_or(NO_RELEASE);
    Write::new(KEEP, values![deployment_id, spec_version_of_new_runs(*offer.spec_versions.end())])
}
