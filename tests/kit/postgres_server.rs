//! Postgres servers of one test program: each in a folder of its own, never as root, gone with the program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// No test needs its data after a crash of the machine. Worlds of many tests are open at once.
const SETTINGS: &str = "-c listen_addresses='' -c fsync=off -c full_page_writes=off \
     -c shared_buffers=64MB -c max_connections=300 -c timezone=UTC";
/// The name of a socket contains a port, also if the server listens on none.
const PORT: u16 = 5432;
/// How often a server is started whose last life may not have ended yet.
const START_TRIES_MAX: u32 = 500;

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::start(""));

/// A server, with its data and its socket in one folder.
pub struct Server {
    place: PathBuf,
    programs: PathBuf,
    port: u16,
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

/// Whether this program may do everything.
pub fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Gives a file or a folder to the server's user.
pub fn give_to_server(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg("postgres").arg(path));
    }
}

/// A command of the server's user, which is not root.
pub fn command(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) {
    let output = command.current_dir("/").output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

impl Server {
    /// Starts a server with these settings beside those of all tests.
    pub fn start(settings: &str) -> Self {
        Self::start_on(PORT, |_| settings.to_owned())
    }

    /// Starts a server on a port. `prepare` may put files into its folder, and returns the settings.
    pub fn start_on(port: u16, prepare: impl FnOnce(&Path) -> String) -> Self {
        let server = Self::in_fresh_folder(port, prepare);
        server.run("initdb", |command| {
            command
                .args(["-A", "trust", "-U", "postgres", "-E", "UTF8"])
                .args(["--locale=C.UTF-8", "-N", "-D"])
                .arg(server.cluster())
        });
        server.start_again("");
        server
    }

    /// Starts a server that follows this one, and begins to read from it what it commits.
    pub fn standby(&self, name: &str) -> Self {
        let standby = Self::in_fresh_folder(PORT, |_| String::new());
        self.run("pg_basebackup", |command| {
            let source =
                format!("host={} user=postgres application_name={name}", self.place.display());
            command.args(["-R", "-X", "stream", "-c", "fast", "-N", "-d"]).arg(source);
            command.arg("-D").arg(standby.cluster())
        });
        standby.start_again("");
        standby
    }

    /// Starts the server whose process has ended, with more settings.
    pub fn start_again(&self, settings: &str) {
        // Processes of a server that was killed may live on for a moment.
        let starts = (0..START_TRIES_MAX).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            self.starts("-w", settings)
        });
        assert!(starts, "the server does not start");
    }

    /// Starts the server, which is stopped, with variables.
    pub fn start_with_environment(&self, variables: &[&str]) {
        let mut with_variables = vec!["env"];
        with_variables.extend(variables);
        assert!(self.starts_by(&with_variables, "-w", ""), "the server does not start");
    }

    /// Starts the server, which is stopped, as one that recovers for ever: it accepts readers, or nobody.
    pub fn start_in_recovery(&self, accepts_readers: bool) {
        fs::write(self.recovery_signal(), "").expect("the signal is given");
        give_to_server(&self.recovery_signal());
        let (waiting, settings) = match accepts_readers {
            true => ("-w", ""),
            // Nobody can say when it has started.
            false => ("-W", "-c hot_standby=off"),
        };
        assert!(self.starts(waiting, settings), "the server does not start");
    }

    /// Ends the recovery of a server that is stopped.
    pub fn recovers_no_more(&self) {
        fs::remove_file(self.recovery_signal()).expect("it was there");
    }

    fn recovery_signal(&self) -> PathBuf {
        self.cluster().join("standby.signal")
    }

    fn starts(&self, waiting: &str, settings: &str) -> bool {
        self.starts_by(&[], waiting, settings)
    }

    /// Starts it by another program, which gets the command.
    fn starts_by(&self, by: &[&str], waiting: &str, settings: &str) -> bool {
        let Self { place, port, settings: own, .. } = self;
        let place = place.display();
        let options = format!("{SETTINGS} -c port={port} -k {place} {own} {settings}");
        let pg_ctl = self.programs.join("pg_ctl");
        let mut start = match by {
            [] => command(&pg_ctl),
            [program, more @ ..] => {
                let mut start = command(Path::new(program));
                start.args(more).arg(&pg_ctl);
                start
            }
        };
        start.args([waiting, "-s", "-o", &options, "-l"]).arg(self.place.join("log"));
        start.arg("-D").arg(self.cluster()).arg("start");
        let status = start.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.expect("pg_ctl runs").success()
    }

    /// Stops the server; its connections end.
    pub fn stop(&self) {
        self.run("pg_ctl", |command| {
            command.args(["-w", "-s", "-m", "fast", "stop", "-D"]).arg(self.cluster())
        });
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

    /// The port by which its socket is named, and on which it listens if its settings say so.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the owner, each in a transaction of its own.
    pub fn sql(&self, database: &str, statements: &str) {
        for statement in statements.split(";\n") {
            self.asks(database, async |client| client.batch_execute(statement).await)
                .expect("the statement runs");
        }
    }

    /// The number that a query returns.
    pub fn number(&self, database: &str, sql: &str) -> i64 {
        self.asks(database, async |client| client.query_one(sql, &[]).await)
            .expect("the query runs")
            .get(0)
    }

    /// Works on a connection of the owner.
    ///
    /// # Errors
    /// That of `work`, or that the server cannot be reached.
    pub fn asks<T>(
        &self,
        database: &str,
        work: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, tokio_postgres::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (place, port) = (self.place.display(), self.port);
            let url = format!("host={place} port={port} user=postgres dbname={database}");
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            work(&client).await
        })
    }

    fn cluster(&self) -> PathBuf {
        self.place.join("cluster")
    }

    fn run(&self, program: &str, with: impl FnOnce(&mut Command) -> &mut Command) {
        run(with(&mut command(&self.programs.join(program))));
    }

    fn in_fresh_folder(port: u16, prepare: impl FnOnce(&Path) -> String) -> Self {
        let programs = programs();
        let place = TempDir::new().expect("a temporary folder").keep();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("our own folder");
        let settings = prepare(&place);
        give_to_server(&place);
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
        Self { place, programs, port, settings, _keeper: keeper }
    }
}

/// Kills a process at once.
pub fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    // It may have ended by itself.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
