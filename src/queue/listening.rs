//! The sockets of this host that listen, and which of them are this process's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that listens on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listening {
    at: SocketAddr,
    /// Whether this process holds it.
    ours: bool,
}

/// The sockets of this network that listen.
pub(super) struct Sockets(Vec<Listening>);

impl Sockets {
    /// The addresses that reach servers of this process, by port.
    pub(super) fn own(&self) -> Vec<SocketAddr> {
        self.reached(|socket| socket.ours)
    }

    /// The addresses that reach servers of other processes on a port.
    pub(super) fn others_on(&self, port: u16) -> Vec<SocketAddr> {
        self.reached(|socket| !socket.ours && socket.at.port() == port)
    }

    /// A server that listens on all addresses is reached by the loopback address of its family. An IPv6
    /// server may also accept IPv4, unless another program listens for that.
    fn reached(&self, is_wanted: impl Fn(&Listening) -> bool) -> Vec<SocketAddr> {
        let mut wanted: Vec<&Listening> =
            self.0.iter().filter(|socket| is_wanted(socket)).collect();
        wanted.sort_by_key(|socket| (socket.at.port(), socket.at));
        let mut addresses = Vec::new();
        for address in wanted.into_iter().flat_map(|socket| reached_by(socket, &self.0)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    #[cfg(test)]
    pub(super) fn of(ours: &[&str], others: &[&str]) -> Self {
        let listening = |at: &&str, ours| Listening { at: at.parse().unwrap(), ours };
        let ours = ours.iter().map(|at| listening(at, true));
        Self(ours.chain(others.iter().map(|at| listening(at, false))).collect())
    }
}

/// The sockets that listen now.
pub(super) fn sockets() -> Sockets {
    Sockets(listed())
}

fn reached_by(server: &Listening, sockets: &[Listening]) -> Vec<SocketAddr> {
    let at = server.at;
    let on = |ip: IpAddr| SocketAddr::new(ip, at.port());
    let (v4, v6) = (on(Ipv4Addr::LOCALHOST.into()), on(Ipv6Addr::LOCALHOST.into()));
    let takes_v4 = |ip: IpAddr| ip == v4.ip() || ip == IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let is_others = |socket: &Listening| {
        socket.ours != server.ours && socket.at.port() == at.port() && takes_v4(socket.at.ip())
    };
    match at.ip() {
        ip if !ip.is_unspecified() => vec![at],
        IpAddr::V4(_) => vec![v4],
        IpAddr::V6(_) if sockets.iter().any(is_others) => vec![v6],
        IpAddr::V6(_) => vec![v6, v4],
    }
}

/// The kernel lists every socket of this network, and the files of this process show its own. An
/// unreadable list is empty: then the app is not found, which is reported as its silence.
#[cfg(target_os = "linux")]
fn listed() -> Vec<Listening> {
    use std::fs;

    let mut held = std::collections::HashSet::new();
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy();
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')) {
            held.insert(inode.to_owned());
        }
    }
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let lines = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    lines
        .flat_map(|table| table.lines().skip(1).filter_map(listening).collect::<Vec<_>>())
        .map(|(at, inode)| Listening { at, ours: held.contains(&inode) })
        .collect()
}

/// The address and the inode of a line of `/proc/net/tcp`, if that socket listens.
#[cfg(any(target_os = "linux", test))]
fn listening(line: &str) -> Option<(SocketAddr, String)> {
    const LISTENS: &str = "0A";
    let columns: Vec<&str> = line.split_whitespace().collect();
    if *columns.get(3)? != LISTENS {
        return None;
    }
    let (ip, port) = columns.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip_of(ip)?, port), (*columns.get(9)?).to_owned()))
}

/// An address in hexadecimal: words of 32 bits, each in this machine's byte order.
#[cfg(any(target_os = "linux", test))]
fn ip_of(hex: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn listed() -> Vec<Listening> {
    let own = std::process::id();
    let all = listeners::get_all().unwrap_or_default();
    let tcp = all.into_iter().filter(|listener| {
        listener.protocol == listeners::Protocol::TCP
            && listener.state == listeners::SocketState::Listen
    });
    tcp.map(|listener| Listening { at: listener.socket, ours: listener.process.pid == own })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listening_socket_of_this_process_is_found() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let expected = server.local_addr().unwrap();
        assert!(sockets().own().contains(&expected), "{:?}", sockets().own());
        drop(server);
        assert!(!sockets().own().contains(&expected));
    }

    #[test]
    fn the_kernels_table_is_read() {
        let v4 =
            "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 42 1";
        let (address, inode) = listening(v4).unwrap();
        assert_eq!((address.port(), inode.as_str()), (3000, "42"));
        #[cfg(target_endian = "little")]
        assert_eq!(address.ip().to_string(), "127.0.0.1");
        let connected = v4.replace(" 0A ", " 01 ");
        assert_eq!(listening(&connected), None);
        assert_eq!(listening("garbage"), None);
        assert_eq!(ip_of("00000000000000000000000000000000").unwrap().to_string(), "::");
    }

    fn all_reached(ours: &[&str], others: &[&str]) -> Vec<String> {
        Sockets::of(ours, others).own().iter().map(SocketAddr::to_string).collect()
    }

    #[test]
    fn a_server_is_reached_by_an_address_that_leads_to_its_own_socket() {
        assert_eq!(all_reached(&["0.0.0.0:3000"], &["[::1]:3000"]), ["127.0.0.1:3000"]);
        assert_eq!(all_reached(&["[::]:3000"], &[]), ["[::1]:3000", "127.0.0.1:3000"]);
        assert_eq!(all_reached(&["[::1]:3000"], &["127.0.0.1:3000"]), ["[::1]:3000"]);
        assert_eq!(all_reached(&["10.0.0.1:3000"], &[]), ["10.0.0.1:3000"]);
        assert_eq!(all_reached(&["[fd00::1]:3000"], &[]), ["[fd00::1]:3000"]);
        assert!(all_reached(&[], &["127.0.0.1:3000"]).is_empty());
    }

    #[test]
    fn a_server_of_ipv6_is_not_looked_for_where_somebody_else_listens() {
        for other in ["127.0.0.1:3000", "0.0.0.0:3000"] {
            assert_eq!(all_reached(&["[::]:3000"], &[other]), ["[::1]:3000"]);
        }
        let both = all_reached(&["[::]:3000"], &["127.0.0.1:3001", "10.0.0.1:3000"]);
        assert_eq!(both, ["[::1]:3000", "127.0.0.1:3000"]);
    }

    #[test]
    fn servers_are_in_the_order_of_their_ports() {
        let reached = all_reached(&["127.0.0.1:4000", "0.0.0.0:3000", "127.0.0.1:3000"], &[]);
        assert_eq!(reached, ["127.0.0.1:3000", "127.0.0.1:4000"]);
    }
}
