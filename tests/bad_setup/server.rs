//! A server that is set up as few are: with TLS and passwords.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::kit::postgres_server::Server;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");

/// Who may connect how. The owner comes through the socket.
const RULES: &str = "local all postgres trust
local all all trust
hostssl all tls_user all cert
host all plain_user all trust
hostssl all all all scram-sha-256
";

/// A file of certificates.
pub fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}.pem")
}

/// Starts a server that listens on a port of this host, with TLS.
pub fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    drop(listener);
    Server::start_on(port, |place| {
        for (from, to) in
            [("postgres-server", "cert"), ("key", "key"), ("postgres-authority", "ca")]
        {
            let to = place.join(to);
            fs::copy(fixture(from), &to).expect("the fixture is copied");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("our own file");
        }
        fs::write(place.join("hba"), RULES).expect("the rules are written");
        let place = place.display();
        format!(
            "-c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file={place}/cert \
             -c ssl_key_file={place}/key -c ssl_ca_file={place}/ca -c hba_file={place}/hba"
        )
    })
}

/// The URL of a user with this password at this name of the host.
pub fn url(server: &Server, user: &str, host: &str, parameters: &str) -> String {
    format!("postgres://{user}@{host}:{}/app?{parameters}", server.port())
}

/// The URL of the role `app`, which needs no password on the socket.
pub fn url_of_socket(server: &Server) -> String {
    format!("postgres://app@/app?host={}:{}", server.place().display(), server.port())
}
