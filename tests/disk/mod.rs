//! A disk whose syncs are listed and can fail, below a process of the running test program.
#![allow(dead_code)] // each user needs only a part

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// One disk: see `disk.c`.
pub struct Disk {
    seed: u64,
    fails: u32,
    folder: TempDir,
}

/// The first syncs, which succeed while the database is made.
const SPARES: &str = "40";

impl Disk {
    /// A disk on which this many of a thousand syncs fail. The seed selects them.
    pub fn failing(seed: u64, fails: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["files", "image"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self { seed, fails, folder }
    }

    /// The contents after a power cut.
    pub fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Runs an ignored test of this program on the disk. The environment variable `variable` holds the
    /// disk's folder. Returns the output of the test.
    pub fn run(&self, test: &str, variable: &str, further: &[(&str, String)]) -> String {
        let files = self.folder.path().join("files");
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("LD_PRELOAD", library())
            .env("DISK_FOLDER", &files)
            .env("DISK_IMAGE", self.image())
            .env("DISK_SEED", self.seed.to_string())
            .env("DISK_FAILS", self.fails.to_string())
            .env("DISK_SPARES", SPARES)
            .env("DISK_LISTING", self.listing())
            .env(variable, &files)
            .envs(further.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A file that is not on the failing disk.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file that lists the syncs.
    pub fn listing(&self) -> PathBuf {
        self.folder.path().join("syncs")
    }
}

/// The compiled disk.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/disk/disk.c");
        let library =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}.so", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([library.as_os_str(), source.as_ref()])
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("a C compiler is there");
        assert!(compiled.success(), "the disk compiles");
        library
    })
}
