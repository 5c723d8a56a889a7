//! The app's address, and connections that have proven to lead to the app.
//!
//! Any program on the host may listen where the app does not: on another address of its port, or on its
//! own address while it restarts. So each connection begins with a challenge that only a process with
//! the database can answer. No message is sent over a connection that has not passed it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::http::HANDLED_HEADER;
use super::listening;
use super::silence::{Silence, SilenceKind};
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

/// The address of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppAddress {
    /// At this URL.
    At(String),
    /// Not configured: the app is searched at every address where this process listens.
    OfThisProcess,
}

/// One address at which the app may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    socket: SocketAddr,
    /// The host as the requests name it.
    authority: String,
    /// The path before the routes.
    base_path: String,
}

impl Place {
    fn of_socket(socket: SocketAddr) -> Self {
        Self { socket, authority: socket.to_string(), base_path: String::new() }
    }

    /// Its URL, for people.
    fn url(&self) -> String {
        format!("http://{}{}", self.socket, self.base_path)
    }
}

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
        Self { address, store, connector, found: RefCell::default(), idle: RefCell::default() }
    }

    /// Finds the app, or tells why it cannot. Returns the URL at which the app answers.
    pub(super) async fn find(&self) -> Result<String, Silence> {
        let mut silence = match &self.address {
            AppAddress::OfThisProcess => {
                Silence::new(SilenceKind::NoServer, "this process has no server that listens")
            }
            AppAddress::At(base_url) => no_address(base_url),
        };
        for place in self.places().await {
            let opened = timeout(READY_WITHIN, self.open(&place)).await;
            match opened.unwrap_or_else(|_| Err(late(&place, READY_WITHIN))) {
                Ok(connection) => {
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
        opened.unwrap_or_else(|_| Err(late(&place, CONNECTED_WITHIN)))
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

    /// Connects, and challenges the other end.
    async fn open(&self, place: &Place) -> Result<Connection, Silence> {
        let unreached = |error: String| {
            let found = format!("{} cannot be reached: {error}", place.url());
            Silence::new(SilenceKind::Unreached, found)
        };
        let uri: Uri =
            format!("http://{}/", place.socket).parse().map_err(|_| unreached("no URL".into()))?;
        let stream = self.connector.clone().call(uri).await;
        let stream = stream.map_err(|error| unreached(error.to_string()))?;
        let (mut connection, work) =
            handshake(stream).await.map_err(|error| unreached(error.to_string()))?;
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
        let request = request_to(place, "flow").header(CHALLENGE_HEADER, &challenge);
        let request = request.body(Full::default()).map_err(|error| own(error.to_string()))?;
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

    async fn places(&self) -> Vec<Place> {
        match &self.address {
            AppAddress::OfThisProcess => {
                listening::addresses().into_iter().map(Place::of_socket).collect()
            }
            AppAddress::At(base_url) => places_of(base_url).await,
        }
    }
}

fn request_to(place: &Place, route: &str) -> hyper::http::request::Builder {
    Request::builder()
        .method(Method::POST)
        .uri(format!("{}{ROUTES}{route}", place.base_path))
        .header(HOST, &place.authority)
}

fn late(place: &Place, within: Duration) -> Silence {
    let found = format!("{} does not answer within {} s", place.url(), within.as_secs());
    Silence::new(SilenceKind::Late, found)
}

/// The silence of a URL without a reachable address.
fn no_address(base_url: &str) -> Silence {
    let found = match base_url.parse::<Uri>().ok().as_ref().and_then(host_and_port) {
        Some(host_and_port) => format!("no address is known for {host_and_port}"),
        None => "the URL of the app names no host".to_owned(),
    };
    Silence::new(SilenceKind::NoAddress, found)
}

/// The host of a URL, with the port if it names one. Excludes the user name and the password, which
/// belong in no message and in no `Host` header.
fn host_and_port(uri: &Uri) -> Option<String> {
    let host = uri.host()?;
    Some(match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// The addresses of a URL.
async fn places_of(base_url: &str) -> Vec<Place> {
    let Ok(uri) = base_url.parse::<Uri>() else { return Vec::new() };
    let (Some(authority), Some(host)) = (host_and_port(&uri), uri.host()) else {
        return Vec::new();
    };
    let port = uri.port_u16().unwrap_or(80);
    let sockets = match local_addresses(host, &listening::addresses(), port) {
        Some(sockets) => sockets,
        // The lookup may fail temporarily.
        None => tokio::net::lookup_host((host, port)).await.into_iter().flatten().collect(),
    };
    let place = |socket| Place {
        socket,
        authority: authority.clone(),
        base_path: uri.path().trim_end_matches('/').to_owned(),
    };
    sockets.into_iter().map(place).collect()
}

/// The addresses of a host name that means this host, or of a literal address; `None` for any other
/// name. If this process listens on the port, only its own addresses are meant: the host's name may
/// also lead to another program's server on the other address.
fn local_addresses(host: &str, own: &[SocketAddr], port: u16) -> Option<Vec<SocketAddr>> {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let both = match bare.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() => return Some(vec![SocketAddr::new(ip, port)]),
        Ok(ip) if ip.is_ipv4() => vec![v4],
        Ok(_) => vec![v6, v4],
        Err(_) if host.eq_ignore_ascii_case("localhost") => vec![v4, v6],
        Err(_) => return None,
    };
    let own: Vec<_> = own.iter().filter(|socket| socket.port() == port).copied().collect();
    let any = both.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    Some(if own.is_empty() { any } else { own })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_of_this_host_leads_to_the_apps_own_socket_and_to_nobody_elses() {
        let own = sockets(&["127.0.0.1:3000", "[::1]:4000"]);
        let of = |host, port| local_addresses(host, &own, port);
        assert_eq!(of("localhost", 3000), Some(sockets(&["127.0.0.1:3000"])));
        assert_eq!(of("LOCALHOST", 4000), Some(sockets(&["[::1]:4000"])));
        assert_eq!(of("0.0.0.0", 3000), Some(sockets(&["127.0.0.1:3000"])));
        assert_eq!(of("localhost", 5000), Some(sockets(&["127.0.0.1:5000", "[::1]:5000"])));
        assert_eq!(of("0.0.0.0", 5000), Some(sockets(&["127.0.0.1:5000"])));
        assert_eq!(of("[::]", 5000), Some(sockets(&["[::1]:5000", "127.0.0.1:5000"])));
    }

    #[test]
    fn an_address_is_itself_and_another_name_is_looked_up() {
        let of = |host| local_addresses(host, &[], 80);
        assert_eq!(of("10.0.0.1"), Some(sockets(&["10.0.0.1:80"])));
        assert_eq!(of("[fd00::1]"), Some(sockets(&["[fd00::1]:80"])));
        assert_eq!(of("app.internal"), None);
    }

    #[tokio::test]
    async fn a_base_path_stands_before_the_routes_and_the_host_is_as_it_was_written() {
        let places = places_of("http://127.0.0.1:3000/desk/").await;
        let request = request_to(&places[0], "flow").body(()).unwrap();
        assert_eq!(request.uri(), "/desk/.well-known/workflow/v1/flow");
        assert_eq!(request.headers()[HOST], "127.0.0.1:3000");
        assert_eq!(places_of("http://localhost").await[0].authority, "localhost");
        assert_eq!(places_of("no URL").await, []);
    }

    #[tokio::test]
    async fn the_name_and_the_password_of_a_url_are_in_no_header_and_in_no_message() {
        for (url, host) in [
            ("http://me:secret@127.0.0.1:3000/desk", "127.0.0.1:3000"),
            ("http://me:secret@127.0.0.1", "127.0.0.1"),
            ("http://me@[::1]:3000", "[::1]:3000"),
            ("http://me:secret@[::1]", "[::1]"),
        ] {
            let places = places_of(url).await;
            let request = request_to(&places[0], "flow").body(()).unwrap();
            assert_eq!(request.headers()[HOST], host);
            assert!(!request.uri().to_string().contains("secret"));
            assert_eq!(no_address(url).found, format!("no address is known for {host}"));
        }
        assert!(!no_address("http://me:sec ret@host").found.contains("sec"));
    }
}
