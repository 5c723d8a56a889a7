//! A proxy before the server that breaks connections when a commit has been sent on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::kit::postgres_server::place;

/// Forwards connections to the server of this program.
pub struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    cuts_next: AtomicBool,
    cuts: AtomicUsize,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let plan = Arc::<Plan>::default();
        let for_connections = Arc::clone(&plan);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let plan = Arc::clone(&for_connections);
                std::thread::spawn(move || forward(client, &plan));
            }
        });
        Self { port, plan }
    }

    /// The URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Breaks the next connection that commits. The commit still reaches the server.
    pub fn cut_at_next_commit(&self) {
        self.plan.cuts_next.store(true, Ordering::Release);
    }

    /// How many were broken.
    pub fn cuts(&self) -> usize {
        self.plan.cuts.load(Ordering::Acquire)
    }
}

/// Forwards one connection, until it ends or is cut.
fn forward(mut client: TcpStream, plan: &Plan) {
    let socket = place().join(".s.PGSQL.5432");
    let mut server = UnixStream::connect(socket).expect("the server answers");
    let (mut answers, mut to_client) =
        (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let sent = &buffer[..count];
        let commits = sent.windows(7).any(|window| window == b"COMMIT\0");
        let cuts = commits && plan.cuts_next.swap(false, Ordering::AcqRel);
        if cuts {
            plan.cuts.fetch_add(1, Ordering::AcqRel);
            // Before the answer can come.
            let _ = client.shutdown(Shutdown::Both);
        }
        if server.write_all(sent).is_err() || cuts {
            break;
        }
    }
    // The server reads what was sent, and then the end.
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
}
