//! A standby takes the work of its server over.

use crate::disturbed::{RUNS, check, resumes_while};
use crate::kit::postgres_server::Server;
use crate::server::wait_for_sync;
use crate::{open, with_runs};

#[test]
fn with_synchronous_replication_a_fail_over_loses_and_doubles_no_resume() {
    let first = Server::start("");
    let second = first.standby("second");
    // Commits wait for the standby from now on. The standby itself waits for nobody.
    wait_for_sync(&first, "second");
    let hosts = format!("{},{}", first.place().display(), second.place().display());
    let url = format!("postgres://postgres@/postgres?host={hosts}");
    drop(with_runs(&url, RUNS));
    let store = open(&url);
    let told = resumes_while(&store, 2, |time| {
        if time == 0 {
            first.kill();
            second.promote();
        }
    });
    store.close();
    check(&url, &told);
}
