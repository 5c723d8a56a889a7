//! Checks whether this process may use the existing files, before SQLite fails in the middle.
//!
//! An app that ran once as root leaves files and a folder of lock files that belong to root. With
//! access to the database alone, another user would read and deliver nothing.

use std::fs;
use std::io;
use std::path::Path;

use super::resolve::beside;
use crate::error::{ErrorKind, WorldError};

/// Refuses existing files of a database that this user may not write.
///
/// # Errors
/// `ReadOnly`, with the file, its owner, the user of this process, and the remedy.
pub(super) fn refuse_unwritable_files(database: &Path) -> Result<(), WorldError> {
    for end in ["", "-wal", "-shm"] {
        let file = beside(database, end);
        if is_denied(&file) {
            return Err(denied(&file));
        }
    }
    Ok(())
}

/// Why a file in the folder of lock files could not be made or written.
pub(super) fn lock_files_refused(folder: &Path, error: &io::Error) -> WorldError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return denied(folder);
    }
    let (kind, advice) = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => (
            ErrorKind::ReadOnly,
            "choose a file in a folder that this process may write (WORKFLOW_HOOKLINE_URL)",
        ),
        io::ErrorKind::StorageFull => (ErrorKind::StorageFull, "free some space"),
        _ => (ErrorKind::Io, "repair it, or delete the folder while nothing uses the database"),
    };
    let folder = folder.display();
    let message = format!("the folder of lock files {folder} cannot be written: {error}; {advice}");
    WorldError::new(kind, message)
}

fn denied(path: &Path) -> WorldError {
    let shown = path.display();
    let is_folder = path.is_dir();
    let (what, or_delete) = match is_folder {
        true => ("the folder of lock files", ", or delete it while nothing uses the database"),
        false => ("the file", ""),
    };
    let belongs = owner_of(path).map(|owner| format!(" belongs to {owner}, and"));
    let belongs = belongs.unwrap_or_default();
    let (me, advice) = match this_user() {
        Some(me) => (format!(" ({me})"), format!("chown -R {} {shown}", me.id)),
        None => (String::new(), "let this user write it".to_owned()),
    };
    let message = format!(
        "{what} {shown}{belongs} may not be written by the user of this process{me}; perhaps the app ran \
         once as another user: {advice}{or_delete}"
    );
    WorldError::new(ErrorKind::ReadOnly, message)
}

/// A user of this host.
struct User {
    id: u32,
    name: Option<String>,
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name}, uid {}", self.id),
            None => write!(f, "uid {}", self.id),
        }
    }
}

#[cfg(unix)]
impl User {
    fn of(id: u32) -> Self {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
        });
        Self { id, name }
    }
}

#[cfg(unix)]
fn owner_of(path: &Path) -> Option<User> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|there| User::of(there.uid()))
}

#[cfg(unix)]
fn this_user() -> Option<User> {
    Some(User::of(rustix::process::geteuid().as_raw()))
}

/// Asks without opening the file: closing a file that SQLite has open would drop its POSIX locks.
#[cfg(unix)]
fn is_denied(path: &Path) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let asked = accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS);
    asked == Err(rustix::io::Errno::ACCESS) && path.exists()
}

#[cfg(not(unix))]
fn owner_of(_: &Path) -> Option<User> {
    None
}

#[cfg(not(unix))]
fn this_user() -> Option<User> {
    None
}

#[cfg(not(unix))]
fn is_denied(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| there.permissions().readonly())
}
