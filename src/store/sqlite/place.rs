//! The place of a database file: its file system, and whether that keeps the file.
//!
//! SQLite's log needs memory that all its processes share, and locks that all of them see. A network
//! file system provides neither between its hosts, so two hosts that write one file damage it.

mod system;

use std::path::{Path, PathBuf};

use super::connect::Location;
use crate::error::{ErrorKind, WorldError};

/// File systems that several hosts share, by their names in the system.
const NETWORK: [&str; 40] = [
    "9p",
    "UNC",
    "acfs",
    "afpfs",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "drvfs",
    "fakeowner",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.cephfs",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.grpcfuse",
    "fuse.juicefs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
    "webdav",
    "wekafs",
];

/// File systems that containers have as the root of their files.
const CONTAINER_ROOTS: [&str; 5] = ["9p", "aufs", "fuse.fuse-overlayfs", "overlay", "virtiofs"];

/// Names by Linux's number of a file system, if the system gives no name.
const MAGIC: [(u64, &str); 22] = [
    (0x6969, "nfs"),
    (0x517b, "smbfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb3"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "afs"),
    (0x00c3_6400, "ceph"),
    (0x0bd0_0bd0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x7461_636f, "ocfs2"),
    (0x0116_1970, "gfs2"),
    (0x786f_4256, "vboxsf"),
    (0x1983_0326, "beegfs"),
    (0xaad7_aaea, "panfs"),
    (0x564c, "ncpfs"),
    (0x7375_7245, "coda"),
    (0x2003_0528, "orangefs"),
    (0x6573_5546, "fuse"),
    (0x794c_7630, "overlay"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
];

/// The kind of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A disk of this host, as far as the system knows.
    Local,
    /// A file system that several hosts may share.
    Network(String),
    /// A file system that a program serves. It may or may not be shared with other hosts.
    Fuse(String),
    /// The writable layer of a container.
    ContainerLayer,
    /// Memory of this host.
    Memory(String),
}

/// The system's description of the file system of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mount {
    /// Its name, such as `ext4` or `fuse.sshfs`. The name of a program that serves one follows `fuse.`.
    type_name: Option<String>,
    /// Its number, on Linux.
    magic: Option<u64>,
    /// Whether it is the root file system.
    is_root: bool,
}

fn classify(mount: &Mount) -> Kind {
    let by_number = |magic: u64| MAGIC.iter().find(|(number, _)| *number == magic);
    let by_number = mount.magic.and_then(by_number).map(|(_, name)| *name);
    let Some(name) = mount.type_name.as_deref().or(by_number) else { return Kind::Local };
    match name {
        _ if mount.is_root && CONTAINER_ROOTS.contains(&name) => Kind::ContainerLayer,
        _ if NETWORK.contains(&name) => Kind::Network(name.to_owned()),
        // The disk of another operating system: NTFS, exFAT.
        "fuseblk" => Kind::Local,
        "fuse" | "macfuse" | "osxfuse" => Kind::Fuse(name.to_owned()),
        _ if name.starts_with("fuse.") => Kind::Fuse(name.to_owned()),
        "tmpfs" | "ramfs" => Kind::Memory(name.to_owned()),
        _ => Kind::Local,
    }
}

/// The present or future place of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, with the links of its existing folders resolved.
    pub path: PathBuf,
    /// Its file system.
    pub kind: Kind,
}

/// A reason why a database may disappear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `container` or `memory`.
    pub of: &'static str,
    /// The place, and the future loss.
    pub found: String,
    /// The remedy.
    pub advice: &'static str,
}

impl Place {
    /// Finds the place of an existing or future file; `None` for memory.
    pub fn of(location: &Location) -> Option<Self> {
        let Location::File(path) = location else { return None };
        let (there, path) = resolve(path);
        let kind = classify(&system::mount_of(&there));
        Some(Self { path, kind })
    }

    /// Refuses a place that another host may share, or where the log may not work.
    ///
    /// # Errors
    /// `CannotOpen`, with the place, the reason and the remedy.
    pub fn refuse_unless_local(&self) -> Result<(), WorldError> {
        let (name, what) = match &self.kind {
            Kind::Network(name) => (name, "which several hosts can mount at once"),
            Kind::Fuse(name) => (name, "which a program serves, perhaps from another host"),
            Kind::Local | Kind::ContainerLayer | Kind::Memory(_) => return Ok(()),
        };
        let message = format!(
            "the database would be on a file system of the kind {name}, {what}. The shared memory and \
             the locks of SQLite's log do not work between hosts, and two writing hosts would damage \
             the file. Choose a local disk, or a block volume that one host mounts \
             (WORKFLOW_HOOKLINE_URL); or, if only this host ever opens it and mmap works there, set \
             WORKFLOW_HOOKLINE_FILE_SYSTEM=any"
        );
        Err(WorldError::new(ErrorKind::CannotOpen, message).with("fileSystem", name.as_str()))
    }

    /// A warning if the file may disappear.
    pub fn warning(&self) -> Option<Warning> {
        let path = self.path.display();
        match &self.kind {
            Kind::ContainerLayer => Some(Warning {
                of: "container",
                found: format!(
                    "{path} is in the container's own layer, which is deleted with the container"
                ),
                advice: "mount a volume, and set WORKFLOW_HOOKLINE_URL to a path on it",
            }),
            Kind::Memory(name) => Some(Warning {
                of: "memory",
                found: format!(
                    "{path} is on {name}, which is memory, and is lost when the machine or the container \
                     restarts"
                ),
                advice: "set WORKFLOW_HOOKLINE_URL to a path on a disk",
            }),
            Kind::Local | Kind::Network(_) | Kind::Fuse(_) => None,
        }
    }
}

/// Whether this process runs in a container.
pub(super) fn is_in_container() -> bool {
    classify(&system::mount_of(Path::new("/"))) == Kind::ContainerLayer
}

/// The existing part of a path, and the path with the links of that part resolved.
fn resolve(path: &Path) -> (PathBuf, PathBuf) {
    for there in path.ancestors() {
        if let Ok(real) = there.canonicalize() {
            let missing = path.strip_prefix(there).unwrap_or(Path::new(""));
            let whole =
                if missing.as_os_str().is_empty() { real.clone() } else { real.join(missing) };
            return (real, whole);
        }
    }
    (path.to_owned(), path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Mount {
        Mount { type_name: Some(name.into()), ..Mount::default() }
    }

    fn numbered(magic: u64) -> Mount {
        Mount { magic: Some(magic), ..Mount::default() }
    }

    fn refusal(mount: &Mount) -> Option<WorldError> {
        let place = Place { path: "/a.db".into(), kind: classify(mount) };
        place.refuse_unless_local().err()
    }

    #[test]
    fn what_other_hosts_may_have_is_refused_by_its_name_and_by_its_number() {
        for name in NETWORK {
            let error = refusal(&named(name)).unwrap_or_else(|| panic!("{name} is refused"));
            assert_eq!(error.kind, ErrorKind::CannotOpen);
            assert!(error.message.contains(name), "{}", error.message);
            assert!(
                error.message.contains("WORKFLOW_HOOKLINE_FILE_SYSTEM=any"),
                "{}",
                error.message
            );
        }
        for (magic, name) in MAGIC {
            let expected = !matches!(name, "overlay" | "tmpfs" | "ramfs");
            assert_eq!(refusal(&numbered(magic)).is_some(), expected, "{name}");
        }
    }

    #[test]
    fn what_a_program_serves_is_refused_unless_it_is_known_to_be_a_disk() {
        for name in ["fuse", "fuse.bindfs", "fuse.encfs", "macfuse"] {
            assert_eq!(classify(&named(name)), Kind::Fuse(name.into()));
            assert!(refusal(&named(name)).is_some(), "{name}");
        }
        // The name tells more than the number, which all such file systems share.
        let ntfs = Mount { magic: Some(0x6573_5546), ..named("fuseblk") };
        assert_eq!(classify(&ntfs), Kind::Local);
    }

    #[test]
    fn disks_of_this_host_and_what_nobody_knows_are_local() {
        for name in [
            "ext4", "xfs", "btrfs", "zfs", "f2fs", "ntfs3", "apfs", "hfs", "exfat", "bcachefs",
            "squashfs",
        ] {
            assert_eq!(classify(&named(name)), Kind::Local, "{name}");
        }
        assert_eq!(classify(&numbered(0xef53)), Kind::Local);
        assert_eq!(classify(&Mount::default()), Kind::Local);
    }

    #[test]
    fn the_root_of_a_container_is_its_layer_and_the_same_elsewhere_is_not() {
        for name in CONTAINER_ROOTS {
            let root = Mount { is_root: true, ..named(name) };
            assert_eq!(classify(&root), Kind::ContainerLayer, "{name}");
            assert_ne!(classify(&named(name)), Kind::ContainerLayer, "{name}");
        }
        assert_eq!(classify(&named("overlay")), Kind::Local);
        assert_eq!(classify(&Mount { is_root: true, ..named("ext4") }), Kind::Local);
        assert!(refusal(&Mount { is_root: true, ..named("nfs4") }).is_some());
        assert_eq!(classify(&named("tmpfs")), Kind::Memory("tmpfs".into()));
    }

    #[test]
    fn each_warning_says_what_will_happen_and_what_to_set() {
        let place = |kind| Place { path: "/a/b.db".into(), kind };
        let warned = [
            (place(Kind::ContainerLayer), "container"),
            (place(Kind::Memory("tmpfs".into())), "memory"),
        ];
        for (place, of) in warned {
            let warning = place.warning().expect("it warns");
            assert_eq!(warning.of, of);
            assert!(warning.advice.contains("WORKFLOW_HOOKLINE_URL"), "{}", warning.advice);
            assert!(warning.found.contains("/a/b.db"), "{}", warning.found);
        }
        assert_eq!(place(Kind::Local).warning(), None);
    }

    #[test]
    fn a_path_that_is_not_there_lies_where_its_folder_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.db");
        let real = folder.path().canonicalize().unwrap();
        assert_eq!(resolve(&path), (real.clone(), real.join("a/b/c.db")));
    }
}
