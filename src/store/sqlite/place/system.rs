//! The system's description of the file system of a path.

use std::path::Path;

use super::Mount;

/// Of an existing path without links. Omits unknown facts.
#[cfg(target_os = "linux")]
pub(super) fn mount_of(path: &Path) -> Mount {
    let magic = rustix::fs::statfs(path).ok().map(|found| found.f_type as u64 & 0xffff_ffff);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match mount_point(&mounts, path) {
        Some((point, name)) => {
            Mount { type_name: Some(name), magic, is_root: point == Path::new("/") }
        }
        None => Mount { type_name: None, magic, is_root: false },
    }
}

/// The mount point of a path, and the name of its file system. The fifth field of each line is the
/// mount point. The first field after a lone dash is the name (proc(5)). If several file systems are
/// mounted at one point, the last one covers the others.
#[cfg(target_os = "linux")]
fn mount_point(mounts: &str, path: &Path) -> Option<(std::path::PathBuf, String)> {
    let parsed = mounts.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let point = unescape(mount.split(' ').nth(4)?);
        Some((point, source.split(' ').next()?))
    });
    parsed
        .filter(|(point, _)| path.starts_with(point))
        .max_by_key(|(point, _)| point.components().count())
        .map(|(point, name)| (point, name.to_owned()))
}

/// Decodes blanks, tabs, line ends and backslashes, which are three octal digits after a backslash.
#[cfg(target_os = "linux")]
fn unescape(field: &str) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// Of an existing path without links. Omits unknown facts.
#[cfg(target_os = "macos")]
pub(super) fn mount_of(path: &Path) -> Mount {
    let Ok(found) = rustix::fs::statfs(path) else { return Mount::default() };
    let name = found.f_fstypename.iter().take_while(|byte| **byte != 0);
    let name: Vec<u8> = name.map(|byte| *byte as u8).collect();
    let type_name = Some(String::from_utf8_lossy(&name).into_owned());
    Mount { type_name, magic: None, is_root: false }
}

/// Of an existing path without links. There is no safe call for the kind of a drive. But without links,
/// a path on a network share names its server, even if a drive letter was used.
#[cfg(windows)]
pub(super) fn mount_of(path: &Path) -> Mount {
    use std::path::{Component, Prefix};
    let is_share = matches!(path.components().next(), Some(Component::Prefix(prefix))
        if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)));
    Mount { type_name: is_share.then(|| "UNC".to_owned()), ..Mount::default() }
}

/// Other systems are unknown.
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
pub(super) fn mount_of(_: &Path) -> Mount {
    Mount::default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - overlay overlay rw,lowerdir=/l
40 27 0:40 / /data rw - ext4 /dev/sdb rw
41 27 0:41 / /data rw shared:1 - nfs4 server:/x rw
42 40 0:42 / /data/with\\040blank rw - fuse.sshfs me@there: rw
43 27 0:43 / /database rw - tmpfs tmpfs rw";

    #[test]
    fn a_path_is_on_the_innermost_mount_and_the_last_of_several_at_one_point() {
        let on = |path: &str| mount_point(MOUNTS, Path::new(path)).unwrap();
        assert_eq!(on("/srv/a.db"), ("/".into(), "overlay".into()));
        assert_eq!(on("/data"), ("/data".into(), "nfs4".into()));
        assert_eq!(on("/data/with blank/a"), ("/data/with blank".into(), "fuse.sshfs".into()));
        assert_eq!(on("/database/a"), ("/database".into(), "tmpfs".into()));
        assert_eq!(mount_point("", Path::new("/a")), None);
    }

    #[test]
    fn this_system_tells_of_its_own() {
        let of_proc = mount_of(Path::new("/proc"));
        assert_eq!(
            of_proc,
            Mount { type_name: Some("proc".into()), magic: Some(0x9fa0), is_root: false }
        );
    }
}
