//! A Postgres server of one test program: in a folder of its own, never as root, gone with the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// No test needs its data after a crash of the machine. Worlds of many tests are open at once.
const SETTINGS: &str = "-c listen_addresses='' -c fsync=off -c full_page_writes=off \
     -c shared_buffers=64MB -c max_connections=300 -c timezone=UTC";

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    place: PathBuf,
    /// Stops the server and removes the folder when this program has ended, in whatever way.
    _keeper: Child,
}

/// The URL of a fresh schema on this program's server.
pub fn fresh_schema() -> String {
    static SCHEMAS: AtomicUsize = AtomicUsize::new(1);
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    format!("{}&schema=test_{number}", server_url())
}

/// The folder of this program's server, which has its socket.
pub fn place() -> &'static Path {
    &SERVER.place
}

/// The URL of this program's server.
fn server_url() -> String {
    format!("postgres://postgres@/postgres?host={}", SERVER.place.display())
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
fn command(program: &Path) -> Command {
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
    fn start() -> Self {
        let programs = programs();
        let place = TempDir::new().expect("a temporary folder").keep();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("our own folder");
        if rustix::process::getuid().is_root() {
            run(Command::new("chown").arg("postgres").arg(&place));
        }
        let cluster = place.join("cluster");
        run(command(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D"])
            .arg(&cluster));
        let options = format!("{SETTINGS} -k {}", place.display());
        let pg_ctl = programs.join("pg_ctl");
        run(command(&pg_ctl)
            .args(["-w", "-s", "-o", &options, "-l"])
            .arg(place.join("log"))
            .arg("-D")
            .arg(&cluster)
            .arg("start")
            .stdout(Stdio::null())
            .stderr(Stdio::null()));
        // Its input ends when this program does.
        let keeper = command(Path::new("sh"))
            .args(["-c", "trap '' INT TERM HUP; read -r _; \"$0\" -s -m immediate -D \"$1/cluster\" stop; rm -rf \"$1\""])
            .arg(&pg_ctl)
            .arg(&place)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the keeper starts");
        Self { place, _keeper: keeper }
    }
}
