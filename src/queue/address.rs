//! The addresses at which the app may answer.
//!
//! This process knows best where it listens, so its own sockets come first. A port or a URL in a
//! variable only says where another process may be. A URL that a person has configured replaces both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use hyper::Uri;
use hyper::http::uri::Scheme;

use super::listening::{self, Sockets};
use super::tls::Trusted;

/// What is known of the app's address without asking anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppAddress {
    /// The URL that a person has configured.
    pub configured: Option<String>,
    /// The URL that variables of the environment give.
    pub hint: Option<String>,
    /// The path before the routes, at the sockets of this process.
    pub base_path: String,
    /// The certificates that are trusted on other hosts.
    pub trusted: Trusted,
}

/// Whether TLS is spoken at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    Never,
    /// It is found out.
    Perhaps,
    Always,
}

/// One address at which the app may answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) socket: SocketAddr,
    /// The host as the requests name it, with the port if it is not the usual one.
    pub(super) authority: String,
    /// The name that a certificate must have.
    pub(super) host: String,
    /// The path before the routes.
    pub(super) base_path: String,
    pub(super) tls: Tls,
    /// Whether the address is one of this host.
    pub(super) is_of_this_host: bool,
}

impl Place {
    /// Its URL. An address of this host is shown as such, because its name may lead elsewhere.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls == Tls::Always { "https" } else { "http" };
        match self.is_of_this_host {
            true => format!("{scheme}://{}{}", self.socket, self.base_path),
            false => format!("{scheme}://{}{}", self.authority, self.base_path),
        }
    }
}

impl AppAddress {
    /// The places to ask, the likeliest first. A host name may have no address for a moment.
    pub(super) async fn places(&self) -> Vec<Place> {
        let sockets = listening::sockets();
        if let Some(url) = &self.configured {
            return places_of(url, &sockets).await;
        }
        let hint = self.hint.as_deref();
        let mut places = own_places(&sockets, hint, &self.base_path);
        for place in places_of(hint.unwrap_or_default(), &sockets).await {
            if places.iter().all(|known| known.socket != place.socket) {
                places.push(place);
            }
        }
        places
    }
}

/// The servers of this process. The one on the port of the hint comes first, and is called as the hint
/// calls it.
fn own_places(sockets: &Sockets, hint: Option<&str>, base_path: &str) -> Vec<Place> {
    let hint = hint.and_then(Target::of);
    let at_hint = |socket: &SocketAddr| hint.as_ref().is_some_and(|it| it.port == socket.port());
    let mut own = sockets.own();
    own.sort_by_key(|socket| !at_hint(socket));
    let place = |socket: SocketAddr| Place {
        authority: match &hint {
            Some(hint) if at_hint(&socket) => hint.authority.clone(),
            _ => socket.to_string(),
        },
        host: socket.ip().to_string(),
        base_path: base_path.trim_end_matches('/').to_owned(),
        tls: Tls::Perhaps,
        is_of_this_host: true,
        socket,
    };
    own.into_iter().map(place).collect()
}

/// The parts of a URL. Excludes the user name and the password, which belong in no message and in no
/// `Host` header.
struct Target {
    host: String,
    authority: String,
    port: u16,
    base_path: String,
    is_https: bool,
}

impl Target {
    fn of(url: &str) -> Option<Self> {
        let uri = url.parse::<Uri>().ok()?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let host = uri.host()?.to_owned();
        let authority = match uri.port_u16() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let base_path = uri.path().trim_end_matches('/').to_owned();
        Some(Self { host, authority, port, base_path, is_https })
    }

    /// The host without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// The host of a URL as it is written, with its port; `None` if the URL names none.
pub(super) fn authority_of(url: &str) -> Option<String> {
    Target::of(url).map(|target| target.authority)
}

/// The places of a URL.
async fn places_of(url: &str, sockets: &Sockets) -> Vec<Place> {
    let Some(target) = Target::of(url) else { return Vec::new() };
    let (host, port) = (target.bare_host(), target.port);
    let addresses = match local_addresses(host, sockets, port) {
        Some(addresses) => addresses,
        None => tokio::net::lookup_host((host, port)).await.into_iter().flatten().collect(),
    };
    let place = |socket: SocketAddr| {
        let is_of_this_host = is_of_this_host(socket.ip());
        let tls = match (target.is_https, is_of_this_host) {
            (true, _) => Tls::Always,
            (false, true) => Tls::Perhaps,
            (false, false) => Tls::Never,
        };
        let (authority, base_path) = (target.authority.clone(), target.base_path.clone());
        Place { socket, authority, host: host.to_owned(), base_path, tls, is_of_this_host }
    };
    addresses.into_iter().map(place).collect()
}

/// The addresses of a host name that means this host, or of a literal address; `None` for any other
/// name. If this process listens on the port, only its own addresses are meant: the host's name may
/// also lead to another program's server on the other address. Otherwise every server of this host on
/// the port may be the app.
fn local_addresses(host: &str, sockets: &Sockets, port: u16) -> Option<Vec<SocketAddr>> {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    let both = match host.parse::<IpAddr>() {
        Ok(ip) if !ip.is_unspecified() => return Some(vec![SocketAddr::new(ip, port)]),
        Ok(ip) if ip.is_ipv4() => vec![v4],
        Ok(_) => vec![v6, v4],
        Err(_) if host.eq_ignore_ascii_case("localhost") => vec![v4, v6],
        Err(_) => return None,
    };
    let own: Vec<_> = sockets.own().into_iter().filter(|at| at.port() == port).collect();
    if !own.is_empty() {
        return Some(own);
    }
    let mut all: Vec<_> = both.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
    for other in sockets.others_on(port) {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    Some(all)
}

/// Whether an address is one of this host: only such an address can be bound, unless the system lets
/// programs bind any.
fn is_of_this_host(ip: IpAddr) -> bool {
    ip.is_loopback() || (!binds_any() && UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok())
}

/// Whether this Linux lets programs bind addresses of other hosts, as hosts of load balancers do.
fn binds_any() -> bool {
    ["ipv4", "ipv6"].iter().any(|family| {
        let setting = format!("/proc/sys/net/{family}/ip_nonlocal_bind");
        std::fs::read_to_string(setting).is_ok_and(|value| value.trim() != "0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_of_this_host_leads_to_the_apps_own_socket_and_to_nobody_elses() {
        let sockets = Sockets::of(&["127.0.0.1:3000", "[::1]:4000"], &["[::1]:3000"]);
        let of = |host, port| local_addresses(host, &sockets, port);
        assert_eq!(of("localhost", 3000), Some(addresses(&["127.0.0.1:3000"])));
        assert_eq!(of("LOCALHOST", 4000), Some(addresses(&["[::1]:4000"])));
        assert_eq!(of("0.0.0.0", 3000), Some(addresses(&["127.0.0.1:3000"])));
        assert_eq!(of("localhost", 5000), Some(addresses(&["127.0.0.1:5000", "[::1]:5000"])));
        assert_eq!(of("0.0.0.0", 5000), Some(addresses(&["127.0.0.1:5000"])));
        assert_eq!(of("::", 5000), Some(addresses(&["[::1]:5000", "127.0.0.1:5000"])));
    }

    #[test]
    fn another_process_may_listen_on_the_port_at_any_address_of_this_host() {
        let sockets = Sockets::of(&["127.0.0.1:4000"], &["127.0.0.2:3000", "10.0.0.1:3000"]);
        let all = ["127.0.0.1:3000", "[::1]:3000", "10.0.0.1:3000", "127.0.0.2:3000"];
        assert_eq!(local_addresses("localhost", &sockets, 3000), Some(addresses(&all)));
    }

    #[test]
    fn an_address_is_itself_and_another_name_is_looked_up() {
        let none = Sockets::of(&[], &[]);
        let of = |host| local_addresses(host, &none, 80);
        assert_eq!(of("10.0.0.1"), Some(addresses(&["10.0.0.1:80"])));
        assert_eq!(of("fd00::1"), Some(addresses(&["[fd00::1]:80"])));
        assert_eq!(of("app.internal"), None);
    }

    #[test]
    fn the_own_server_on_the_hinted_port_comes_first_and_keeps_the_hinted_name() {
        let sockets = Sockets::of(&["[::1]:4000", "127.0.0.2:3000"], &[]);
        let authorities = |hint| {
            let places = own_places(&sockets, hint, "/desk/");
            assert!(places.iter().all(|place| place.base_path == "/desk"));
            places.into_iter().map(|place| place.authority).collect::<Vec<_>>()
        };
        assert_eq!(
            authorities(Some("http://localhost:4000")),
            ["localhost:4000", "127.0.0.2:3000"]
        );
        assert_eq!(authorities(None), ["127.0.0.2:3000", "[::1]:4000"]);
        // A pipe of Windows.
        assert_eq!(authorities(Some(r"http://localhost:\\.\pipe\app")).len(), 2);
    }

    #[tokio::test]
    async fn a_hint_leads_to_other_processes_after_the_own_sockets() {
        let hint = Some("http://10.9.8.7:3000/desk".to_owned());
        let places = AppAddress { hint, ..AppAddress::default() }.places().await;
        let last = places.last().unwrap();
        assert_eq!(last.url(), "http://10.9.8.7:3000/desk");
        assert!(!last.is_of_this_host);
        let configured = Some("http://nowhere.invalid".into());
        assert_eq!(AppAddress { configured, ..AppAddress::default() }.places().await, []);
    }

    #[tokio::test]
    async fn tls_is_always_spoken_to_an_https_url_and_perhaps_on_this_host() {
        let none = Sockets::of(&[], &[]);
        let of = async |url| {
            let places = places_of(url, &none).await;
            (places[0].socket.port(), places[0].tls, places[0].is_of_this_host)
        };
        assert_eq!(of("http://127.0.0.1").await, (80, Tls::Perhaps, true));
        assert_eq!(of("https://127.0.0.1").await, (443, Tls::Always, true));
        assert_eq!(of("http://192.0.2.1").await, (80, Tls::Never, false));
        assert_eq!(of("https://192.0.2.1:8443").await, (8443, Tls::Always, false));
    }

    #[tokio::test]
    async fn the_name_and_the_password_of_a_url_are_in_no_header_and_in_no_message() {
        let none = Sockets::of(&[], &[]);
        for (url, host) in [
            ("http://me:secret@127.0.0.1:3000/desk", "127.0.0.1:3000"),
            ("http://me:secret@127.0.0.1", "127.0.0.1"),
            ("http://me@[::1]:3000", "[::1]:3000"),
            ("http://me:secret@[::1]", "[::1]"),
        ] {
            let [place] = &places_of(url, &none).await[..] else { panic!("{url}") };
            assert_eq!(place.authority, host);
            assert!(!place.url().contains("secret"));
            assert_eq!(authority_of(url).as_deref(), Some(host));
        }
        assert_eq!(authority_of("http://me:sec ret@host"), None);
    }
}
