//! Readers: a few threads for lists, and a connection for point reads on the caller's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::presence::Presence;
use super::write_connection::WriteConnection;
use super::{fault, migrate};
use crate::clock::Clock;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;
use crate::store::Completion;

/// Reads that may wait. Another read is refused with `Throttled`, so memory stays bounded.
const WAITING_READS_MAX: usize = 65_536;

/// A read. It gets a connection, or the reason why there is none.
type Job = Box<dyn FnOnce(Result<&Connection, WorldError>) + Send>;

/// Checking the version costs a third of a point read, so a reader checks it only this often. The
/// writer checks it in every transaction.
const VERSION_EVERY_MS: i64 = 1000;

/// Notices that a newer engine has migrated the database while it was open.
pub(super) struct VersionWatch {
    clock: Arc<dyn Clock>,
    seen_ms: AtomicI64,
}

impl VersionWatch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let seen_ms = AtomicI64::new(clock.elapsed_ms());
        Self { clock, seen_ms }
    }

    /// Reads, unless the database is known to be newer.
    fn read<T>(
        &self,
        connection: &Connection,
        work: impl FnOnce(&Connection) -> Result<T, WorldError>,
    ) -> Result<T, WorldError> {
        let now_ms = self.clock.elapsed_ms();
        if now_ms - self.seen_ms.load(Ordering::Relaxed) >= VERSION_EVERY_MS {
            migrate::refuse_if_newer(connection)?;
            self.seen_ms.store(now_ms, Ordering::Relaxed);
        }
        // A change by a newer engine is no damage.
        work(connection).map_err(|error| match error.kind {
            ErrorKind::Corrupt | ErrorKind::Internal => {
                migrate::refuse_if_newer(connection).err().unwrap_or(error)
            }
            _ => error,
        })
    }
}

/// A pool of threads that read.
pub(super) struct Readers {
    watch: Arc<VersionWatch>,
    sender: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    path: PathBuf,
}

impl Readers {
    /// Starts one thread for each connection.
    pub(super) fn start(
        connections: Vec<Connection>,
        path: PathBuf,
        presence: &Arc<Presence>,
        watch: Arc<VersionWatch>,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel::<Job>(WAITING_READS_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let (receiver, presence) = (Arc::clone(&receiver), Arc::clone(presence));
                std::thread::Builder::new()
                    .name("hookline-reader".into())
                    .spawn(move || run(&connection, &presence, &receiver))
            })
            .collect::<Result<_, _>>()?;
        let (sender, threads) = (Mutex::new(Some(sender)), Mutex::new(threads));
        Ok(Self { watch, sender, threads, path })
    }

    /// Reads on one of the threads.
    pub(super) fn read<T: Send + 'static>(
        &self,
        done: Completion<T>,
        work: impl FnOnce(&Connection) -> Result<T, WorldError> + Send + 'static,
    ) {
        self.read_or_else(done, |connection| work(connection).map(Some), drop);
    }

    /// Reads on one of the threads. If `work` returns `None`, `otherwise` continues.
    pub(super) fn read_or_else<T: Send + 'static>(
        &self,
        done: Completion<T>,
        work: impl FnOnce(&Connection) -> Result<Option<T>, WorldError> + Send + 'static,
        otherwise: impl FnOnce(Completion<T>) + Send + 'static,
    ) {
        let (path, watch) = (self.path.clone(), Arc::clone(&self.watch));
        let job: Job = Box::new(move |connection| {
            let read = || connection.and_then(|connection| watch.read(connection, work));
            let outcome = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
                Err(WorldError::new(ErrorKind::Internal, "a defect of hookline stopped a read"))
            });
            match outcome.map_err(|error| fault::at(error, &path)).transpose() {
                Some(outcome) => done.settle(outcome),
                None => otherwise(done),
            }
        });
        if let Err((job, fault)) = self.send(job) {
            job(Err(fault));
        }
    }

    /// Queues a job, or returns a refused one. The caller settles it without the lock, because its
    /// receiver may read again at once.
    fn send(&self, job: Job) -> Result<(), (Job, WorldError)> {
        let sender = lock(&self.sender);
        let Some(sender) = sender.as_ref() else { return Err((job, WorldError::closed())) };
        sender.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) => (job, throttled()),
            TrySendError::Disconnected(job) => (job, WorldError::closed()),
        })
    }

    /// Finishes the accepted reads, then ends the threads. Idempotent.
    pub(super) fn close(&self) {
        drop(lock(&self.sender).take());
        let mut threads = lock(&self.threads);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn throttled() -> WorldError {
    WorldError::throttled(format!("{WAITING_READS_MAX} reads are waiting already"))
}

fn run(connection: &Connection, presence: &Presence, receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = lock(receiver).recv();
        match job {
            Ok(job) => job(presence.check().map(|()| connection)),
            Err(_) => break,
        }
    }
}

/// Point reads on the calling thread. They use the write connection while its writer is idle, because
/// its cache is warm, else a connection of their own.
pub(super) struct PointReader {
    connections: Mutex<Option<PointConnections>>,
    path: PathBuf,
    presence: Arc<Presence>,
    watch: Arc<VersionWatch>,
}

struct PointConnections {
    own: Connection,
    /// `None` in a store that only reads.
    of_writer: Option<Arc<WriteConnection>>,
}

impl PointReader {
    pub(super) fn new(
        own: Connection,
        of_writer: Option<Arc<WriteConnection>>,
        path: PathBuf,
        presence: Arc<Presence>,
        watch: Arc<VersionWatch>,
    ) -> Self {
        let connections = Mutex::new(Some(PointConnections { own, of_writer }));
        Self { connections, path, presence, watch }
    }

    /// Reads now. `work` must not write, and must be short, because the writer may have to wait for it.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, WorldError>,
    ) -> Result<T, WorldError> {
        let connections = lock(&self.connections);
        let connections = connections.as_ref().ok_or_else(WorldError::closed)?;
        let of_writer = connections.of_writer.as_ref();
        let present = self.presence.check_now_and_then();
        let outcome =
            present.and_then(|()| match of_writer.and_then(|writer| writer.lock_if_idle()) {
                Some(connection) => self.watch.read(&connection, work),
                None => self.watch.read(&connections.own, work),
            });
        outcome.map_err(|error| fault::at(error, &self.path))
    }

    /// Releases the connections, its own first. Idempotent.
    pub(super) fn close(&self) {
        drop(lock(&self.connections).take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, SystemClock};

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn one_read_too_many_is_throttled_and_the_others_are_answered() {
        let connection = Connection::open_in_memory().unwrap();
        let presence = Arc::new(Presence::of_memory(Arc::new(SystemClock)));
        // The database is empty, so no read may check its version, even in a slow test.
        let watch = Arc::new(VersionWatch::new(Arc::new(ManualClock::at(0))));
        let readers = Readers::start(vec![connection], PathBuf::new(), &presence, watch).unwrap();
        let readers = Arc::new(readers);
        let (release, held) = channel::<()>();
        let (holds, holding) = channel();
        readers.read(Completion::ignored(), move |_| {
            let _ = holds.send(());
            let _ = held.recv();
            Ok(())
        });
        holding.recv().unwrap();
        let waiting: Vec<_> = (0..WAITING_READS_MAX)
            .map(|_| {
                let (done, outcome) = Completion::channel();
                readers.read(done, |_| Ok(1));
                outcome
            })
            .collect();
        let (done, outcome) = Completion::channel();
        readers.read(done, |_| Ok(1));
        let refused = outcome.recv().unwrap().unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Throttled);
        assert_eq!(refused.details["retryAfter"], 1);
        let (told, outcome) = Completion::<i32>::channel();
        let again = Arc::clone(&readers);
        let throttled = Completion::new(move |_| again.read(told, |_| Ok(1)));
        let reading = Arc::clone(&readers);
        std::thread::spawn(move || reading.read(throttled, |_| Ok(1)));
        let outcome =
            outcome.recv_timeout(PATIENCE).expect("who is throttled may try again at once");
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::Throttled);
        drop(release);
        assert!(waiting.iter().all(|outcome| outcome.recv().unwrap() == Ok(1)));
        readers.close();
    }
}
