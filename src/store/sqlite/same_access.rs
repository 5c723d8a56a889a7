//! Files beside the database that exactly the users of the database may use. This holds for any umask,
//! and if root makes the files for another user's database.

use std::fs::{self, File};
use std::io;
use std::path::Path;

#[cfg(unix)]
use super::file_id::FileId;

/// The users of the database.
pub(super) struct SameAccess {
    #[cfg(unix)]
    mode: u32,
    #[cfg(unix)]
    owner: (u32, u32),
}

#[cfg(unix)]
impl SameAccess {
    /// The access to this file. Its owner may always write.
    pub(super) fn as_has(database: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let file = fs::metadata(database)?;
        Ok(Self { mode: file.mode() & 0o666 | 0o600, owner: (file.uid(), file.gid()) })
    }

    /// Makes a folder, or sets the mode of an existing one.
    pub(super) fn make_folder(&self, folder: &Path) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        // Users that may read the database may also search the folder.
        let mode = self.mode | (self.mode & 0o444) >> 2;
        match fs::DirBuilder::new().mode(mode).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let opened = File::open(folder)?;
        // Not the target of a link, which may belong to anybody.
        if !fs::symlink_metadata(folder)?.is_symlink()
            && FileId::of(&opened)? == Some(FileId::at(folder)?)
        {
            self.apply(&opened, mode);
        }
        Ok(())
    }

    /// Makes a file, in place of an existing one.
    pub(super) fn make_file(&self, path: &Path) -> io::Result<File> {
        use std::os::unix::fs::OpenOptionsExt;
        let make = || File::options().write(true).create_new(true).mode(self.mode).open(path);
        let file = match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(path)?;
                make()?
            }
            made => made?,
        };
        self.apply(&file, self.mode);
        Ok(file)
    }

    /// Lets everybody read a file that this process has made, and the users of the database write it.
    pub(super) fn let_all_read(&self, file: &File) {
        self.apply(file, self.mode | 0o444);
    }

    /// Sets the owner and the mode, because the umask has removed bits or another user has made the
    /// file. A user who may not change them uses the file as it is.
    fn apply(&self, opened: &File, mode: u32) {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
        let Ok(file) = opened.metadata() else { return };
        let (user, group) = self.owner;
        if (file.uid(), file.gid()) != self.owner {
            // Only root may give a file to another user. Others may give it to their groups.
            let given = fchown(opened, Some(user), Some(group));
            let _ = given.or_else(|_| fchown(opened, None, Some(group)));
        }
        if file.mode() & 0o777 != mode {
            let _ = opened.set_permissions(fs::Permissions::from_mode(mode));
        }
    }
}

#[cfg(not(unix))]
impl SameAccess {
    /// Nothing to do on this system.
    pub(super) fn let_all_read(&self, _file: &File) {}

    /// Files inherit the access of their folder on this system.
    pub(super) fn as_has(_database: &Path) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Makes a folder unless it exists.
    pub(super) fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    /// Makes or opens a file that is to be locked.
    pub(super) fn make_file(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_mode_follows_that_of_the_database_also_when_it_changes() {
        let kept = tempfile::tempdir().unwrap();
        let database = kept.path().join("a.db");
        fs::write(&database, "").unwrap();
        let folder = kept.path().join("a.db-owners");
        for (mode, of_folder) in [(0o600, 0o700), (0o660, 0o770), (0o640, 0o750)] {
            fs::set_permissions(&database, fs::Permissions::from_mode(mode)).unwrap();
            let access = SameAccess::as_has(&database).unwrap();
            access.make_folder(&folder).unwrap();
            access.make_file(&folder.join("owner")).unwrap();
            let mode_of = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode_of(&folder), mode_of(&folder.join("owner"))), (of_folder, mode));
        }
    }
}
