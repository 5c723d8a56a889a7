//! Whether a connection leads to the server itself, or to a pooler that may give each transaction another
//! session of the server.
//!
//! A server tells each client the number of its process, with which the client could cancel a statement.
//! A pooler tells a number of its own, because the sessions behind it change.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::db::{Columns, Db, values};
use crate::error::WorldError;
use crate::lock::lock;

/// The answer of a server that accepts TLS.
const ACCEPTS: u8 = b'S';
/// A request to cancel: its length, its code, the process, its secret; 4 bytes each.
const CANCEL_REQUEST_BYTES: usize = 16;

/// The process of the server at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    process: i64,
    /// Later processes may get the same number.
    started_at: String,
}

impl Backend {
    /// Ends the process, unless it is at work, and says whether it is still there. One that is at work may
    /// be waiting for a standby, and would no longer.
    pub(super) async fn is_ending(&self, db: &Db) -> Result<bool, WorldError> {
        const END: &str = "SELECT CASE WHEN state IS DISTINCT FROM 'active' \
             THEN pg_terminate_backend(pid) END FROM pg_stat_activity \
             WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2";
        let named = values![self.process, &self.started_at];
        Ok(db.first(END, &named).await?.is_some())
    }
}

/// Asks the server which process this connection leads to; `None` for one that leads to a pooler.
pub(super) async fn backend(db: &Db) -> Result<Option<Backend>, WorldError> {
    const OWN: &str = "SELECT pid::bigint, extract(epoch FROM backend_start)::text FROM pg_stat_activity \
         WHERE pid = pg_backend_pid()";
    let Some(row) = db.first(OWN, &[]).await? else { return Ok(None) };
    let mut columns = Columns::of(&row);
    let backend = Backend { process: columns.take()?, started_at: columns.take()? };
    let is_own = told_process(db).await.map(i64::from) == Some(backend.process);
    Ok(is_own.then_some(backend))
}

/// The process that the other side has named when it accepted the connection. The driver has it only in
/// the request that would cancel a statement, so this reads it there; nothing is sent.
async fn told_process(db: &Db) -> Option<i32> {
    let kept = Kept::default();
    db.cancel_token().cancel_query_raw(kept.clone(), Through).await.ok()?;
    let written = lock(&kept.0);
    let request = written.last_chunk::<CANCEL_REQUEST_BYTES>()?;
    let process = request[8..12].try_into().ok()?;
    Some(i32::from_be_bytes(process))
}

/// A stream that keeps what is written to it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl AsyncRead for Kept {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buffer.put_slice(&[ACCEPTS]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Kept {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for Kept {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// TLS that changes nothing.
struct Through;

impl TlsConnect<Kept> for Through {
    type Stream = Kept;
    type Error = Infallible;
    type Future = Ready<Result<Kept, Infallible>>;

    fn connect(self, stream: Kept) -> Self::Future {
        ready(Ok(stream))
    }
}
