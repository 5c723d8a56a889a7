//! PgBouncer in transaction mode before this program's server: no connection stays the same.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::postgres_server::{command, shared};

/// A pooler. It ends with the test.
pub struct Pooler {
    port: u16,
    process: Child,
}

impl Pooler {
    /// Starts one. Its name is that of no other test.
    pub fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        drop(listener);
        let server = shared().place().display();
        let settings = format!(
            "[databases]\n* = host={server} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
             default_pool_size = 4\n"
        );
        let file = std::env::temp_dir().join(format!("hookline-{}-{name}.ini", std::process::id()));
        fs::write(&file, settings).expect("a temporary file");
        let process = command("/usr/sbin/pgbouncer".as_ref())
            .arg("-q")
            .arg(&file)
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("PgBouncer is installed");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(file).expect("our own file");
        Self { port, process }
    }

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}
