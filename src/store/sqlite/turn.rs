//! The turn to write: only one process at a time has it.
//!
//! SQLite has a lock for this, but it belongs to the process. It is lost as soon as anything in the
//! process closes the shared memory (a copy of the folder, another SQLite), even during a transaction.
//! Then a second process overwrites the log of the first. So the writer holds a second lock, which
//! belongs to a descriptor that stays open.

use std::fs::File;

use super::connect::wait_long;
use super::marks;
use super::open_file_locks::{self as locks, Locked};
use crate::error::{ErrorKind, WorldError};

/// The turn of this process, until it is dropped.
pub(super) struct MyTurn<'a>(Option<&'a File>);

/// Waits for the turn. This must precede SQLite's transaction, so that the transaction's reads stay
/// true. Without a file, or on systems without such locks, only SQLite's lock protects.
///
/// # Errors
/// `Busy` if another process has had the turn for long.
pub(super) fn wait(database: Option<&File>) -> Result<MyTurn<'_>, WorldError> {
    let mut naps = 0;
    loop {
        match take(database) {
            Some(turn) => return Ok(turn),
            None if wait_long(naps) => naps += 1,
            None => {
                let message = "another process holds the database; try again";
                return Err(WorldError::new(ErrorKind::Busy, message));
            }
        }
    }
}

/// Takes the turn, unless another process has it.
pub(super) fn take(database: Option<&File>) -> Option<MyTurn<'_>> {
    let locked = database.map(|file| locks::take_alone(file, &marks::WRITING));
    (locked != Some(Locked::Excluded)).then_some(MyTurn(database))
}

impl Drop for MyTurn<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            locks::release(file, &marks::WRITING);
        }
    }
}
