//! Which file a path means, before anything is made from it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Links that are followed; more are a circle. As many as Linux follows.
const LINKS_MAX: usize = 40;

/// The file that stands beside a database under its name and this ending.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The file that a path means, also when it or its folder is a link whose target is not there yet.
/// Everything that stands beside a database stands beside that file, so all who open it find the same.
///
/// # Errors
/// A circle of links, a part of the path that may not be searched.
pub(super) fn target(path: &Path) -> io::Result<PathBuf> {
    follow(path.to_owned(), &mut 0)
}

fn follow(mut path: PathBuf, links: &mut usize) -> io::Result<PathBuf> {
    while *links < LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(file) if file.is_symlink() => {
                *links += 1;
                // A relative target begins at the folder of its link.
                let linked = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(linked);
            }
            Ok(_) => return fs::canonicalize(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match (path.parent(), path.file_name()) {
                    (Some(folder), Some(name)) => Ok(follow(folder.to_owned(), links)?.join(name)),
                    _ => Ok(path),
                };
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    #[test]
    fn a_chain_of_links_leads_to_the_file_that_is_to_be_made() {
        let (_kept, folder) = folder();
        symlink("b.db", folder.join("a.db")).unwrap();
        symlink("volume/c.db", folder.join("b.db")).unwrap();
        assert_eq!(target(&folder.join("a.db")).unwrap(), folder.join("volume/c.db"));
        symlink("real", folder.join("volume")).unwrap();
        assert_eq!(target(&folder.join("a.db")).unwrap(), folder.join("real/c.db"));
        fs::create_dir(folder.join("real")).unwrap();
        assert_eq!(target(&folder.join("a.db")).unwrap(), folder.join("real/c.db"));
        fs::write(folder.join("real/c.db"), "").unwrap();
        assert_eq!(target(&folder.join("a.db")).unwrap(), folder.join("real/c.db"));
    }

    #[test]
    fn links_in_a_circle_lead_nowhere() {
        let (_kept, folder) = folder();
        symlink("b.db", folder.join("a.db")).unwrap();
        symlink("a.db", folder.join("b.db")).unwrap();
        assert!(target(&folder.join("a.db")).is_err());
    }
}
