//! Connects to the server.

use std::time::Duration;

use tokio_postgres::config::{SslMode as DriverSslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::db::Db;
use super::location::{PostgresLocation, SslMode};
use super::{fault, tls};
use crate::error::WorldError;

/// For each host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A host that has vanished is noticed after about eleven seconds.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_RETRIES: u32 = 3;
/// The same while something that was sent has not arrived.
const USER_TIMEOUT: Duration = Duration::from_secs(11);
/// How long an answer to a short statement may take. A network that loses everything and ends no
/// connection is noticed only by this.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The same for statements that may read a whole table, or wait for other processes to make one.
pub(super) const LONG_ANSWER_WITHIN: Duration = Duration::from_secs(600);
/// The pauses between attempts to connect again.
const PAUSES_MS: [u64; 9] = [0, 50, 100, 200, 400, 800, 1600, 2000, 2000];

/// The stream of a TLS connection.
pub(super) type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Makes connections to one database.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    schema: String,
    shown: String,
}

impl Connector {
    /// `reads_only` also accepts a server that only reads.
    pub(super) fn new(location: &PostgresLocation, reads_only: bool) -> Result<Self, WorldError> {
        let mut config = Config::new();
        for (host, port) in &location.hosts {
            config.host(host).port(*port);
        }
        config
            .user(&location.user)
            .dbname(&location.database)
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(USER_TIMEOUT)
            .ssl_mode(match location.ssl_mode {
                SslMode::Disable => DriverSslMode::Disable,
                SslMode::Prefer => DriverSslMode::Prefer,
                _ => DriverSslMode::Require,
            });
        if !reads_only {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if let Some(password) = &location.password {
            config.password(password);
        }
        let (schema, shown) = (location.schema.clone(), location.shown());
        Ok(Self { config, tls: tls::connector(location)?, schema, shown })
    }

    /// The database, for people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Connects, for statements that are answered within this time. The connection lives as long as the
    /// runtime that runs this.
    pub(super) async fn connect(&self, role: &str, within: Duration) -> Result<Db, WorldError> {
        let (client, connection) = self.connect_by_hand(role).await?;
        tokio::spawn(connection);
        let db = Db::naming(client, &self.schema, within).await;
        db.map_err(|error| fault::at(error, &self.shown))
    }

    /// Connects as [`Connector::connect`] does. If the server cannot be reached, or is starting, tries
    /// again for some seconds.
    pub(super) async fn connect_again(
        &self,
        role: &str,
        within: Duration,
    ) -> Result<Db, WorldError> {
        let mut last = WorldError::closed();
        for pause_ms in PAUSES_MS {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            match self.connect(role, within).await {
                Err(error) if fault::may_connect_later(&error) => last = error,
                connected => return connected,
            }
        }
        Err(last)
    }

    /// Connects, and leaves the driving of the connection to the caller.
    pub(super) async fn connect_by_hand(
        &self,
        role: &str,
    ) -> Result<(Client, Connection<Socket, Stream>), WorldError> {
        let mut config = self.config.clone();
        config.application_name(format!("hookline/{} {role}", env!("CARGO_PKG_VERSION")));
        let connected = config.connect(self.tls.clone()).await;
        connected.map_err(|error| fault::at(error.into(), &self.shown))
    }

    /// The schema.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }
}
