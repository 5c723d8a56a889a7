//! Finds the file that a path names, before anything is made from the path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most links that are followed, as in Linux. More links are a circle.
const LINKS_MAX: usize = 40;

/// The file beside a database with its name and this ending.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The file that a path names, even if the path or its folder is a link to a missing target. All files
/// beside a database are beside that file, so all its users find the same ones.
///
/// # Errors
/// A circle of links, or a part of the path that may not be searched.
pub(super) fn target(path: &Path) -> io::Result<PathBuf> {
    follow(path.to_owned(), &mut 0)
}

fn follow(mut path: PathBuf, links: &mut usize) -> io::Result<PathBuf> {
    while *links < LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(file) if file.is_symlink() => {
                *links += 1;
                // A relative target starts at the folder of its link.
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
