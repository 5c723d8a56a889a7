//! Where this process itself listens: the app's address when nobody has said it.

use std::net::{IpAddr, SocketAddr};

/// The URLs under which servers of this process may be reached, by port.
pub fn urls() -> Vec<String> {
    let mut addresses = addresses();
    addresses.sort_by_key(SocketAddr::port);
    let mut urls: Vec<String> = addresses.iter().map(url).collect();
    urls.dedup();
    urls
}

/// By the name `localhost` for a server of every address: IPv6 and IPv4 are both tried under it. A
/// server of one address is reached by that one; `localhost` need not lead there.
fn url(address: &SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    match ip.is_unspecified() {
        true => format!("http://localhost:{port}"),
        false if ip.is_ipv6() => format!("http://[{ip}]:{port}"),
        false => format!("http://{ip}:{port}"),
    }
}

/// What cannot be read lists nothing: then the app is not found, which is told as its silence. The
/// kernel lists every socket of this network; those that this process holds are ours.
#[cfg(target_os = "linux")]
fn addresses() -> Vec<SocketAddr> {
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
        .filter(|(_, inode)| held.contains(inode))
        .map(|(address, _)| address)
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

/// Words of 32 bits in hexadecimal, each in the order of this machine.
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
fn addresses() -> Vec<SocketAddr> {
    let own = std::process::id();
    let all = listeners::get_all().unwrap_or_default();
    let tcp = all.into_iter().filter(|listener| {
        listener.process.pid == own
            && listener.protocol == listeners::Protocol::TCP
            && listener.state == listeners::SocketState::Listen
    });
    tcp.map(|listener| listener.socket).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listening_socket_of_this_process_is_found() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let expected = format!("http://127.0.0.1:{port}");
        assert!(urls().contains(&expected), "{:?}", urls());
        drop(server);
        assert!(!urls().contains(&expected));
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

    #[test]
    fn an_address_becomes_a_url() {
        let url_of = |address: &str| url(&address.parse().unwrap());
        assert_eq!(url_of("0.0.0.0:3000"), "http://localhost:3000");
        assert_eq!(url_of("[::]:3000"), "http://localhost:3000");
        assert_eq!(url_of("[::1]:3000"), "http://[::1]:3000");
        assert_eq!(url_of("10.0.0.1:3000"), "http://10.0.0.1:3000");
        assert_eq!(url_of("[fd00::1]:3000"), "http://[fd00::1]:3000");
    }
}
