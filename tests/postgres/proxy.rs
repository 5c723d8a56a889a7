//! A proxy before a server that breaks connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::kit::postgres_server::{Server, shared};

/// Longer than a round trip, shorter than any time limit.
const DELAY: Duration = Duration::from_millis(40);

/// Begins the payload of a resume, and is in no statement. A resume that is alone in its transaction sends
/// no `COMMIT`.
pub const RESUME: &str = "a resume's payload";

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

/// Forwards connections to a server.
pub struct Proxy {
    port: u16,
    plan: Arc<Plan>,
}

struct Plan {
    socket: PathBuf,
    next: Mutex<Option<Fault>>,
    broken: AtomicUsize,
    /// Whether the next fault is the beginning of a time without connections.
    cuts_off: AtomicBool,
    is_cut_off: AtomicBool,
    /// Writers that could not connect meanwhile.
    refused: AtomicUsize,
    clients: Mutex<Vec<TcpStream>>,
    /// How often writers have sent after the server had answered.
    trips: AtomicUsize,
}

impl Plan {
    /// The fault of these bytes, if one is due.
    fn take(&self, sent: &[u8]) -> Option<Fault> {
        let holds = |text: &[u8]| sent.windows(text.len()).any(|window| window == text);
        let commits = holds(b"COMMIT\0") || holds(RESUME.as_bytes());
        let mut next = self.next.lock().expect("nobody panics with it");
        let fault = next.take_if(|fault| commits || *fault == Fault::CutAnywhere)?;
        self.broken.fetch_add(1, Ordering::AcqRel);
        let cuts_off = self.cuts_off.load(Ordering::Acquire);
        self.is_cut_off.fetch_or(cuts_off, Ordering::AcqRel);
        Some(fault)
    }

    /// Reads who comes, and ends the connection.
    fn refuse(&self, mut client: TcpStream) {
        let mut buffer = vec![0; 1 << 10];
        let count = client.read(&mut buffer).unwrap_or(0);
        self.refused.fetch_add(usize::from(is_of_writer(&buffer[..count])), Ordering::AcqRel);
    }
}

impl Proxy {
    /// Starts one before this program's server.
    pub fn start() -> Self {
        Self::before(shared())
    }

    /// Starts one.
    pub fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let plan = Arc::new(Plan {
            socket: server.place().join(format!(".s.PGSQL.{}", server.port())),
            next: Mutex::default(),
            broken: AtomicUsize::default(),
            cuts_off: AtomicBool::default(),
            is_cut_off: AtomicBool::default(),
            refused: AtomicUsize::default(),
            clients: Mutex::default(),
            trips: AtomicUsize::default(),
        });
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

    /// Breaks the next connection that commits, and lets nobody connect from then on.
    pub fn break_next_and_cut_off(&self, fault: Fault) {
        self.plan.cuts_off.store(true, Ordering::Release);
        self.break_next(fault);
    }

    /// Ends all connections, and lets nobody connect.
    pub fn cut_off(&self) {
        self.plan.is_cut_off.store(true, Ordering::Release);
        for client in self.plan.clients.lock().expect("nobody panics with it").drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    /// Breaks nothing more, and lets everybody connect.
    pub fn mend(&self) {
        *self.plan.next.lock().expect("nobody panics with it") = None;
        self.plan.cuts_off.store(false, Ordering::Release);
        self.plan.is_cut_off.store(false, Ordering::Release);
    }

    /// How many were broken.
    pub fn broken(&self) -> usize {
        self.plan.broken.load(Ordering::Acquire)
    }

    /// The round trips of writers.
    pub fn trips(&self) -> usize {
        self.plan.trips.load(Ordering::Acquire)
    }

    /// How often writers could not connect.
    pub fn refused(&self) -> usize {
        self.plan.refused.load(Ordering::Acquire)
    }
}

/// Whether the beginning of a connection says that it is a writer's.
fn is_of_writer(sent: &[u8]) -> bool {
    sent.windows(8).any(|window| window == b" writer\0")
}

/// Forwards one connection, until it ends or is cut.
fn forward(mut client: TcpStream, plan: &Plan) {
    if plan.is_cut_off.load(Ordering::Acquire) {
        return plan.refuse(client);
    }
    // A server that restarts does not answer.
    let Ok(mut server) = UnixStream::connect(&plan.socket) else { return };
    let (mut answers, mut to_client) =
        (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
    plan.clients.lock().expect("nobody panics with it").push(client.try_clone().expect("a handle"));
    let swallows = Arc::new(AtomicBool::new(false));
    let swallowed = Arc::clone(&swallows);
    let has_answered = Arc::new(AtomicBool::new(true));
    let answered = Arc::clone(&has_answered);
    let back = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            let is_swallowed = swallowed.load(Ordering::Acquire);
            answered.store(true, Ordering::Release);
            if !is_swallowed && to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if !swallowed.load(Ordering::Acquire) {
            let _ = to_client.shutdown(Shutdown::Both);
        }
    });
    let mut buffer = vec![0; 1 << 16];
    let mut is_writer = false;
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let mut sent = &buffer[..count];
        // Only writers: the session commits too, and nothing is lost with it.
        let fault = is_writer.then(|| plan.take(sent)).flatten();
        is_writer |= is_of_writer(sent);
        let is_trip = has_answered.swap(false, Ordering::AcqRel) && is_writer;
        plan.trips.fetch_add(usize::from(is_trip), Ordering::AcqRel);
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
