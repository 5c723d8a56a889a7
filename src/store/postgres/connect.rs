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

    /// Connects. The connection lives as long as the runtime that runs this.
    pub(super) async fn connect(&self, role: &str) -> Result<Db, WorldError> {
        let (client, connection) = self.connect_by_hand(role).await?;
        tokio::spawn(connection);
        Ok(Db::new(client, &self.schema))
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
