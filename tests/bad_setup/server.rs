//! A server that is set up as few are: with TLS, with passwords, with little disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio_postgres::NoTls;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");

/// Who may connect how. The owner comes through the socket.
const RULES: &str = "local all postgres trust
local all all trust
hostssl all tls_user all cert
host all plain_user all trust
hostssl all all all scram-sha-256
";

/// A server that listens on a port of this host, with TLS.
pub struct Server {
    place: PathBuf,
    port: u16,
    /// Stops the server and removes the folder when this program has ended, in whatever way.
    _keeper: Child,
}

/// A file of certificates.
pub fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}.pem")
}

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

/// A command of the server's user, which is not root.
fn command(program: &Path) -> Command {
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

/// Gives a file or a folder to the server's user.
pub fn give_to_server(path: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg("postgres").arg(path));
    }
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

impl Server {
    /// Makes a server and starts it.
    pub fn start() -> Self {
        let programs = programs();
        let place = TempDir::new().expect("a temporary folder").keep();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("our own folder");
        for (from, to) in
            [("postgres-server", "cert"), ("key", "key"), ("postgres-authority", "ca")]
        {
            let to = place.join(to);
            fs::copy(fixture(from), &to).expect("the fixture is copied");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("our own file");
        }
        fs::write(place.join("hba"), RULES).expect("the rules are written");
        give_to_server(&place);
        run(command(&programs.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D"])
            .arg(place.join("cluster")));
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
        let server = Self { place, port: free_port(), _keeper: keeper };
        server.begin("");
        server
    }

    /// Starts it, with more settings.
    pub fn begin(&self, settings: &str) {
        let place = self.place.display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -k {place} -c fsync=off -c ssl=on \
             -c ssl_cert_file={place}/cert -c ssl_key_file={place}/key -c ssl_ca_file={place}/ca \
             -c hba_file={place}/hba -c timezone=UTC {settings}",
            self.port
        );
        self.control(&["-w", "-o", &options, "-l", &format!("{place}/log"), "start"]);
    }

    /// Stops it.
    pub fn stop(&self) {
        self.control(&["-w", "-m", "fast", "stop"]);
    }

    /// Starts it as one that recovers, for ever: it accepts readers, or nobody.
    pub fn begin_in_recovery(&self, accepts_readers: bool) {
        let signal = self.place.join("cluster/standby.signal");
        fs::write(&signal, "").expect("the signal is given");
        give_to_server(&signal);
        match accepts_readers {
            true => self.begin(""),
            // Nobody can say when it has started.
            false => self.begin_without_waiting("-c hot_standby=off"),
        }
    }

    fn begin_without_waiting(&self, settings: &str) {
        let place = self.place.display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -k {place} -c ssl=on \
             -c ssl_cert_file={place}/cert -c ssl_key_file={place}/key -c ssl_ca_file={place}/ca \
             -c hba_file={place}/hba {settings}",
            self.port
        );
        self.control(&["-W", "-o", &options, "-l", &format!("{place}/log"), "start"]);
    }

    /// Ends the recovery of a server that is stopped.
    pub fn recovers_no_more(&self) {
        fs::remove_file(self.place.join("cluster/standby.signal")).expect("it was there");
    }

    fn control(&self, arguments: &[&str]) {
        let mut command = command(&programs().join("pg_ctl"));
        command.args(["-s", "-D"]).arg(self.place.join("cluster")).args(arguments);
        let status = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.expect("pg_ctl runs").success(), "{arguments:?}");
    }

    /// The folder with its log and its socket.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The URL of a user with this password at this name of the host.
    pub fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        format!("postgres://{user}@{host}:{}/app?{parameters}", self.port)
    }

    /// The URL of a user who needs no password.
    pub fn url_of_socket(&self, user: &str, parameters: &str) -> String {
        format!("postgres://{user}@/app?host={}:{}&{parameters}", self.place.display(), self.port)
    }

    /// Runs statements as the owner, each in a transaction of its own.
    pub fn sql(&self, database: &str, statements: &str) {
        for statement in statements.split(";\n") {
            self.with_client(database, async |client| {
                client.batch_execute(statement).await.expect("the statement runs");
            });
        }
    }

    /// The number that a query returns.
    pub fn number(&self, sql: &str) -> i64 {
        self.with_client("app", async |client| {
            client.query_one(sql, &[]).await.expect("the query runs").get(0)
        })
    }

    fn with_client<T>(
        &self,
        database: &str,
        work: impl AsyncFnOnce(&tokio_postgres::Client) -> T,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (place, port) = (self.place.display(), self.port);
            let url = format!("host={place} port={port} user=postgres dbname={database}");
            let (client, connection) =
                tokio_postgres::connect(&url, NoTls).await.expect("the server answers");
            tokio::spawn(connection);
            work(&client).await
        })
    }
}
