//! Making a database: what appears beside it, and several processes at the same time.

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

mod kit;

use std::sync::{Arc, Barrier};
use std::thread;

use hookline::clock::ManualClock;
use hookline::store::Store;
use kit::open_file;
use kit::rows::NOW_MS;

#[test]
fn who_makes_a_database_at_the_same_time_as_others_opens_it() {
    const FILES: usize = 40;
    const TOGETHER: usize = 6;
    let folder = tempfile::tempdir().expect("a folder is made");
    for number in 0..FILES {
        let path = folder.path().join(format!("{number}.db"));
        let barrier = Barrier::new(TOGETHER);
        let open = || {
            let clock = Arc::new(ManualClock::at(NOW_MS));
            barrier.wait();
            open_file(&path, &clock).map(drop)
        };
        let outcomes = thread::scope(|scope| {
            let opening: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(open)).collect();
            opening.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for outcome in outcomes {
            outcome.expect("no panic").unwrap_or_else(|error| panic!("file {number}: {error}"));
        }
    }
}

#[test]
fn a_folder_that_is_made_for_the_database_is_ignored_by_git_and_one_that_was_there_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let ignored = |name: &str| {
        let path = folder.path().join(name).join("world.db");
        open_file(&path, &clock).expect("it opens").close();
        std::fs::read_to_string(path.with_file_name(".gitignore")).ok()
    };
    assert_eq!(ignored("made").as_deref(), Some("*\n"));
    std::fs::create_dir(folder.path().join("there")).expect("a folder is made");
    assert_eq!(ignored("there"), None);
}
