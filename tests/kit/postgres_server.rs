//! Postgres servers of one test program: each in a folder of its own, never as root, gone with the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// No test needs its data after a crash of the machine. Worlds of many tests are open at once.
const SETTINGS: &str = "-c listen_addresses='' -c fsync=off -c full_page_writes=off \
     -c shared_buffers=64MB -c max_connections=300 -c timezone=UTC";
/// How often a server is started whose last life may not have ended yet.
const START_TRIES_MAX: u32 = 500;

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(""));

/// A server, with its data and its socket in one folder.
pub struct Server {
    place: PathBuf,
    programs: PathBuf,
    settings: String,
    /// Stops the server and removes the folder when this program has ended, in whatever way.
    _keeper: Child,
}

/// The URL of a fresh schema: on the server that `HOOKLINE_TEST_POSTGRES` names, else on this program's.
pub fn fresh_schema() -> String {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(1);
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    match std::env::var("HOOKLINE_TEST_POSTGRES") {
        Ok(url) => format!("{url}&schema=test_{}_{number}", std::process::id()),
        Err(_) => format!("{}&schema=test_{number}", shared().url("postgres")),
    }
}

/// This program's server.
pub fn shared() -> &'static Server {
    &SERVER
}

/// The folder of the server's programs. Root installs them if they are missing.
fn programs() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-postgres.sh");
    let output = Command::new(&script).output().expect("the script starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "these tests need PostgreSQL's server: {said}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// A command of the server's user, which is not root.
pub fn command(program: &Path) -> Command {
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

impl Server {
    /// Starts a server with these settings beside those of all tests.
    pub fn start(settings: &str) -> Self {
        let server = Self::in_fresh_folder(settings);
        server.run("initdb", |command| {
            command
                .args(["-A", "trust", "-U", "postgres", "-E", "UTF8"])
                .args(["--locale=C.UTF-8", "-N", "-D"])
                .arg(server.cluster())
        });
        server.start_again();
        server
    }

    /// Starts a server that follows this one, and begins to read from it what it commits.
    pub fn standby(&self, name: &str, settings: &str) -> Self {
        let standby = Self::in_fresh_folder(settings);
        self.run("pg_basebackup", |command| {
            let source =
                format!("host={} user=postgres application_name={name}", self.place.display());
            command.args(["-R", "-X", "stream", "-c", "fast", "-N", "-d"]).arg(source);
            command.arg("-D").arg(standby.cluster())
        });
        standby.start_again();
        standby
    }

    /// Starts the server whose process has ended.
    pub fn start_again(&self) {
        let options = format!("{SETTINGS} {} -k {}", self.settings, self.place.display());
        // Processes of a server that was killed may live on for a moment.
        let starts = (0..START_TRIES_MAX).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            self.starts(&options)
        });
        assert!(starts, "the server does not start");
    }

    fn starts(&self, options: &str) -> bool {
        let mut start = command(&self.programs.join("pg_ctl"));
        start.args(["-w", "-s", "-o", options, "-l"]).arg(self.place.join("log"));
        start.arg("-D").arg(self.cluster()).arg("start");
        let status = start.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.expect("pg_ctl runs").success()
    }

    /// Lets a standby become a server that is written to.
    pub fn promote(&self) {
        self.run("pg_ctl", |command| {
            command.args(["-w", "-s", "promote", "-D"]).arg(self.cluster())
        });
    }

    /// Kills the server's first process at once, which ends all others.
    pub fn kill(&self) {
        kill(self.first_process());
    }

    /// The id of the server's first process.
    fn first_process(&self) -> i32 {
        let file = self.cluster().join("postmaster.pid");
        let output = Command::new("cat").arg(&file).output().expect("the file is read");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().and_then(|pid| pid.parse().ok()).expect("the server has a process")
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}", self.place.display())
    }

    /// The folder with the server's socket.
    pub fn place(&self) -> &Path {
        &self.place
    }

    fn cluster(&self) -> PathBuf {
        self.place.join("cluster")
    }

    fn run(&self, program: &str, with: impl FnOnce(&mut Command) -> &mut Command) {
        run(with(&mut command(&self.programs.join(program))));
    }

    fn in_fresh_folder(settings: &str) -> Self {
        let programs = programs();
        let place = TempDir::new().expect("a temporary folder").keep();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("our own folder");
        if rustix::process::getuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(&place));
        }
        // Its input ends when this program does.
        let keeper = command(Path::new("sh"))
            .args(["-c", "trap '' INT TERM HUP; read -r _; \"$0\" -s -m immediate -D \"$1/cluster\" stop; rm -rf \"$1\""])
            .arg(programs.join("pg_ctl"))
            .arg(&place)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the keeper starts");
        Self { place, programs, settings: settings.to_owned(), _keeper: keeper }
    }
}

/// Kills a process at once.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
