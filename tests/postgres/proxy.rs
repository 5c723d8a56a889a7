//! A proxy before the server that breaks connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::postgres_server::shared;

/// Longer than a round trip, shorter than any time limit.
const DELAY: Duration = Duration::from_millis(40);

/// Begins the payload of a resume. One that is alone in its transaction sends no `COMMIT`.
pub const RESUME: &str = "resume";

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its next commit reaches the server, the answer does not come.
    CutAfterCommit,
    /// Its next commit does not reach the server.
    CutBeforeCommit,
    /// Half of what it sends next reaches the server.
    CutAnywhere,
    /// What it sends next reaches the server late.
    Delay,
    /// From its next commit on, nothing arrives on either side, and nobody is told.
    Swallow,
}

/// Forwards connections to the server of this program.
pub struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    next: Mutex<Option<Fault>>,
    broken: AtomicUsize,
}

impl Plan {
    /// The fault of these bytes, if one is due.
    fn take(&self, sent: &[u8]) -> Option<Fault> {
        let holds = |text: &[u8]| sent.windows(text.len()).any(|window| window == text);
        let commits = holds(b"COMMIT\0") || holds(RESUME.as_bytes());
        let mut next = self.next.lock().expect("nobody panics with it");
        let fault = next.take_if(|fault| commits || *fault == Fault::CutAnywhere)?;
        self.broken.fetch_add(1, Ordering::AcqRel);
        Some(fault)
    }
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

    /// Breaks the next connection that commits.
    pub fn break_next(&self, fault: Fault) {
        *self.plan.next.lock().expect("nobody panics with it") = Some(fault);
    }

    /// Breaks nothing more.
    pub fn mend(&self) {
        *self.plan.next.lock().expect("nobody panics with it") = None;
    }

    /// How many were broken.
    pub fn broken(&self) -> usize {
        self.plan.broken.load(Ordering::Acquire)
    }
}

/// Forwards one connection, until it ends or is cut.
fn forward(mut client: TcpStream, plan: &Plan) {
    let socket = shared().place().join(".s.PGSQL.5432");
    let mut server = UnixStream::connect(socket).expect("the server answers");
    let (mut answers, mut to_client) =
        (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
    let swallows = Arc::new(AtomicBool::new(false));
    let swallowed = Arc::clone(&swallows);
    let back = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            let is_swallowed = swallowed.load(Ordering::Acquire);
            if !is_swallowed && to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if !swallowed.load(Ordering::Acquire) {
            let _ = to_client.shutdown(Shutdown::Both);
        }
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let mut sent = &buffer[..count];
        let fault = plan.take(sent);
        match fault {
            Some(Fault::CutBeforeCommit) => sent = &[],
            Some(Fault::CutAnywhere) => sent = &sent[..count / 2],
            Some(Fault::Delay) => std::thread::sleep(DELAY),
            Some(Fault::Swallow) => swallows.store(true, Ordering::Release),
            Some(Fault::CutAfterCommit) | None => {}
        }
        let is_cut = fault.is_some_and(|fault| fault != Fault::Delay && fault != Fault::Swallow);
        if is_cut {
            // Before the answer can come.
            let _ = client.shutdown(Shutdown::Both);
        }
        let is_swallowed = fault != Some(Fault::Swallow) && swallows.load(Ordering::Acquire);
        if (!is_swallowed && server.write_all(sent).is_err()) || is_cut {
            break;
        }
    }
    // The server reads what was sent, and then the end.
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
}
