//! Whose turn it is to write.
//!
//! SQLite has a lock for that, but it belongs to the process as its others do, and is gone as soon as
//! anything in the process closes the shared memory: a copy of the folder, another SQLite, also in the
//! middle of a transaction. Then a second process writes its log over that of the first. So whoever
//! writes has one more, which belongs to a descriptor that stays open.

use std::fs::File;

use super::marks;
use super::open::wait_long;
use super::open_file_locks::{self as locks, Locked};
use crate::error::{ErrorKind, WorldError};

/// A turn of this process, until it is dropped.
pub(super) struct MyTurn<'a>(Option<&'a File>);

/// Waits for the turn, before SQLite begins: what it reads then must stay true. Without a file, and
/// where files have no such locks, SQLite's lock is all there is.
///
/// # Errors
/// `Busy` when another process has had the turn for long.
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
