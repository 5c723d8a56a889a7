//! The app's address, and connections that have proven to lead to the app.
//!
//! Any program on the host may listen where the app does not: on another address of its port, or on its
//! own address while it restarts. So each connection begins with a challenge that only a process with
//! the database can answer. No message is sent over a connection that has not passed it.

use std::cell::RefCell;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::address::{AppAddress, Place, Tls, authority_of};
use super::http::HANDLED_HEADER;
use super::silence::{Silence, SilenceKind};
use super::tls::{TlsClient, is_untrusted};
use crate::entropy;
use crate::store::Store;

/// The header of a challenge. The answer carries its proof in [`HANDLED_HEADER`].
const CHALLENGE_HEADER: &str = "x-hookline-challenge";

/// The time limit for the app to answer that it is ready. Then it is asked again.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(1);
/// The time limit for another connection to an app that is ready, and may be busy.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// The longest answer to a challenge.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The time for which a connection is kept for the next delivery.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);
/// The time after which Node.js closes an unused connection (`server.keepAliveTimeout`).
const CLOSED_BY_NODE: Duration = Duration::from_secs(5);

const _: () = {
    assert!(READY_WITHIN.as_millis() < CONNECTED_WITHIN.as_millis(), "a busy app gets more time");
    assert!(
        IDLE_CONNECTION.as_millis() + 500 < CLOSED_BY_NODE.as_millis(),
        "a request does not meet the end of its connection, which would look like a failed handler"
    );
};

/// The silence after which the other end is probed, and the interval of the probes.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_RETRIES: u32 = 4;

/// The path of the routes that the SDK generates.
const ROUTES: &str = "/.well-known/workflow/v1/";

/// A connection to the app.
pub(super) type Connection = SendRequest<Full<Bytes>>;

/// A kept connection that waits for the next delivery.
struct Idle {
    connection: Connection,
    since: Instant,
}

/// The app, as the dispatcher's thread reaches it.
pub(super) struct App {
    address: AppAddress,
    store: Arc<dyn Store>,
    connector: HttpConnector,
    tls: TlsClient,
    /// The address where it last answered.
    found: RefCell<Option<Place>>,
    idle: RefCell<Vec<Idle>>,
}

impl App {
    pub(super) fn new(address: AppAddress, store: Arc<dyn Store>) -> Self {
        let mut connector = HttpConnector::new();
        // A step may take days without a byte. Probes notice a peer that has vanished, and keep
        // middleboxes from closing the connection.
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE));
        connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        Self {
            tls: TlsClient::new(address.trusted.clone()),
            address,
            store,
            connector,
            found: RefCell::default(),
            idle: RefCell::default(),
        }
    }

    /// Finds the app, or tells why it cannot. Returns the URL at which the app answers.
    pub(super) async fn find(&self) -> Result<String, Silence> {
        let mut silence = match &self.address.configured {
            Some(url) => no_address(url),
            None => Silence::new(SilenceKind::NoServer, "this process has no server that listens"),
        };
        for place in self.address.places().await {
            let opened = timeout(READY_WITHIN, self.open(&place)).await;
            match opened.unwrap_or_else(|_| Err(late(&place, READY_WITHIN))) {
                Ok((connection, place)) => {
                    let url = place.url();
                    if self.found.replace(Some(place.clone())) != Some(place) {
                        self.idle.borrow_mut().clear();
                    }
                    self.keep(connection);
                    return Ok(url);
                }
                Err(reason) => silence = silence.or(reason),
            }
        }
        Err(silence)
    }

    /// A connection to the app: a kept one, or else a fresh one.
    pub(super) async fn connection(&self) -> Result<Connection, Silence> {
        match self.waiting().await {
            Some(connection) => Ok(connection),
            None => self.fresh_connection().await,
        }
    }

    /// A connection over which only its challenge was sent.
    pub(super) async fn fresh_connection(&self) -> Result<Connection, Silence> {
        let Some(place) = self.found.borrow().clone() else {
            return Err(Silence::new(SilenceKind::Own, "the app has not answered yet"));
        };
        let opened = timeout(CONNECTED_WITHIN, self.open(&place)).await;
        let opened = opened.unwrap_or_else(|_| Err(late(&place, CONNECTED_WITHIN)));
        opened.map(|(connection, _)| connection)
    }

    /// Keeps a connection for the next delivery. Its last answer has been read.
    pub(super) fn keep(&self, connection: Connection) {
        self.idle.borrow_mut().push(Idle { connection, since: Instant::now() });
    }

    async fn waiting(&self) -> Option<Connection> {
        loop {
            let Idle { mut connection, since } = self.idle.borrow_mut().pop()?;
            // The connection used last is first. If it is too old, the others are too.
            if since.elapsed() >= IDLE_CONNECTION {
                self.idle.borrow_mut().clear();
            } else if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    /// A request to one of the app's routes, still without its body.
    pub(super) fn request(&self, route: &str) -> hyper::http::request::Builder {
        match &*self.found.borrow() {
            Some(place) => request_to(place, route),
            None => Request::builder(),
        }
    }

    /// Connects, and challenges the other end. Returns also the place as it has turned out to be. A
    /// server of TLS closes a plain connection without a readable answer.
    async fn open(&self, place: &Place) -> Result<(Connection, Place), Silence> {
        let secure = Place { tls: Tls::Always, ..place.clone() };
        if place.tls == Tls::Always {
            return Ok((self.open_by_tls(place).await?, secure));
        }
        let plain = Place { tls: Tls::Never, ..place.clone() };
        let stream = self.connect(place).await?;
        match self.prove(TokioIo::new(stream), &plain).await {
            Ok(connection) => Ok((connection, plain)),
            Err(silence) if place.tls == Tls::Perhaps && silence.kind == SilenceKind::Unreached => {
                // If it is no server of TLS either, the first reason says more.
                let connection = self.open_by_tls(&secure).await;
                connection
                    .map(|connection| (connection, secure))
                    .map_err(|by_tls| if by_tls.kind < silence.kind { by_tls } else { silence })
            }
            Err(silence) => Err(silence),
        }
    }

    async fn open_by_tls(&self, place: &Place) -> Result<Connection, Silence> {
        let stream = self.connect(place).await?;
        let stream = self.tls.secure(stream, &place.host, place.is_of_this_host).await;
        let stream = stream.map_err(|error| match is_untrusted(&error) {
            true => Silence::new(
                SilenceKind::Untrusted,
                format!("the certificate of {} is not trusted: {error}", place.url()),
            ),
            false => unreached(place, format!("no TLS connection: {error}")),
        })?;
        self.prove(TokioIo::new(stream), place).await
    }

    async fn connect(&self, place: &Place) -> Result<TcpStream, Silence> {
        let uri = format!("http://{}/", place.socket).parse::<Uri>();
        let uri = uri.map_err(|_| unreached(place, "no URL"))?;
        let stream = self.connector.clone().call(uri).await;
        stream.map(TokioIo::into_inner).map_err(|error| unreached(place, error))
    }

    /// Speaks HTTP, and challenges the other end.
    async fn prove<S>(&self, stream: TokioIo<S>, place: &Place) -> Result<Connection, Silence>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut connection, work) =
            handshake(stream).await.map_err(|error| unreached(place, error))?;
        tokio::spawn(async { drop(work.await) });
        self.challenge(&mut connection, place).await?;
        Ok(connection)
    }

    async fn challenge(&self, connection: &mut Connection, place: &Place) -> Result<(), Silence> {
        let at = place.url();
        let silent = |kind, found: String| Silence::new(kind, found);
        let own = |error: String| silent(SilenceKind::Own, error);
        let secret = self.store.delivery_secret().map_err(|error| own(error.message))?;
        let challenge = Base64UrlUnpadded::encode_string(&entropy::secret_bytes::<32>());
        // JSON, as in a delivery: frameworks refuse a POST without a type as a form of another site, and
        // body parsers refuse JSON without a value.
        let request = request_to(place, "flow")
            .header(CHALLENGE_HEADER, &challenge)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from("{}"))
            .map_err(|error| own(error.to_string()))?;
        let broken = |error: hyper::Error| {
            silent(SilenceKind::Unreached, format!("{at} gives no answer: {error}"))
        };
        let answer = connection.send_request(request).await.map_err(broken)?;
        let proof = answer.headers().get(HANDLED_HEADER).and_then(|proof| proof.to_str().ok());
        if !proof.is_some_and(|proof| secret.is_app(&challenge, proof)) {
            return Err(Silence::answer(&at, answer.status(), answer.headers()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.map_err(|error| {
            silent(SilenceKind::Unreached, format!("{at} gives no whole answer: {error}"))
        })?;
        let closes = format!("{at} closes each connection after its answer");
        connection.ready().await.map_err(|_| silent(SilenceKind::NotKept, closes))
    }
}

fn request_to(place: &Place, route: &str) -> hyper::http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}{ROUTES}{route}", place.base_path))
        .header(HOST, &place.authority)
}

fn unreached(place: &Place, error: impl Display) -> Silence {
    Silence::new(SilenceKind::Unreached, format!("{} cannot be reached: {error}", place.url()))
}

fn late(place: &Place, within: Duration) -> Silence {
    let found = format!("{} does not answer within {} s", place.url(), within.as_secs());
    Silence::new(SilenceKind::Late, found)
}

/// The silence of a URL without a reachable address.
fn no_address(base_url: &str) -> Silence {
    let found = match authority_of(base_url) {
        Some(authority) => format!("no address is known for {authority}"),
        None => "the URL of the app names no host".to_owned(),
    };
    Silence::new(SilenceKind::NoAddress, found)
}
