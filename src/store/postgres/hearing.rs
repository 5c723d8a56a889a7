//! What processes tell each other, and whether a connection can hear it.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::AsyncMessage;

use super::connect::{ANSWER_WITHIN, Connector};
use super::db::Db;
use super::{direct, fault};
use crate::error::WorldError;

/// What another connection tells in a test must be heard within this time.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// By these the server notices within eleven seconds that this host has vanished, and frees the lock.
const KEEPALIVES: &str = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; \
     SET tcp_keepalives_count = 3";

/// A connection, and what it hears: the names of the processes that have committed.
pub(super) struct Hearing {
    pub(super) db: Rc<Db>,
    pub(super) heard: UnboundedReceiver<String>,
    /// Whether it is a session that hears what others tell; `None` if that is not known yet.
    pub(super) is_session: Option<bool>,
}

impl Hearing {
    /// Connects. Must run in a `LocalSet`.
    pub(super) async fn connect(connector: &Connector) -> Result<Self, WorldError> {
        let (client, mut connection) = connector.connect_by_hand("session").await?;
        let (sender, heard) = unbounded_channel();
        // It ends with the connection, and then nothing more is heard.
        tokio::task::spawn_local(async move {
            while let Some(Ok(message)) =
                std::future::poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        let db = Rc::new(Db::new(client, connector.schema(), ANSWER_WITHIN));
        Ok(Self { db, heard, is_session: None })
    }

    /// Listens, if the connection leads to the server itself; returns whether it does. Behind a pooler that
    /// gives each transaction another connection, listening would only bring strangers what it hears.
    pub(super) async fn listens(&mut self) -> Result<bool, WorldError> {
        let is_direct = direct::backend(&self.db).await?.is_some();
        if is_direct {
            self.listen().await?;
        }
        self.is_session = Some(is_direct);
        Ok(is_direct)
    }

    /// Listens on a connection of which the user says that it is a session of `database`, and lets another
    /// connection to that tell the name `me`. Returns whether it was heard. Whatever else is told meanwhile
    /// is lost.
    pub(super) async fn hears(
        &mut self,
        database: &Connector,
        me: &str,
    ) -> Result<bool, WorldError> {
        self.listen().await?;
        let test = format!("{me} test");
        let other = database.connect("session test", ANSWER_WITHIN).await?;
        notify(&other, &test).await?;
        let until = Instant::now() + HEARD_WITHIN;
        let is_heard = loop {
            match timeout_at(until, self.heard.recv()).await {
                Ok(Some(name)) if name == test => break true,
                Ok(Some(_)) => {}
                Ok(None) => return Err(fault::lost()),
                Err(_) => break false,
            }
        };
        if !is_heard {
            // The connection behind a pooler goes on to serve others.
            self.db.simple("UNLISTEN *").await?;
        }
        self.is_session = Some(is_heard);
        Ok(is_heard)
    }

    async fn listen(&self) -> Result<(), WorldError> {
        let channel = channel(self.db.schema());
        self.db.simple(&format!("LISTEN {channel}; {KEEPALIVES}")).await
    }

    /// Asks whether the connection still leads to the server. Nothing is heard on one that does not.
    pub(super) async fn is_alive(&self) -> bool {
        self.db.simple("SELECT 1").await.is_ok()
    }
}

/// The channel of a schema. Its name has a length limit, as the schema's has.
pub(super) fn channel(schema: &str) -> String {
    format!("hookline_{:08x}", crc32fast::hash(schema.as_bytes()))
}

/// Tells everybody who listens. The server need not keep it over a crash.
pub(super) async fn notify(db: &Db, text: &str) -> Result<(), WorldError> {
    // A name consists of digits, letters and a hyphen.
    let name: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || " -".contains(*c)).collect();
    let channel = channel(db.schema());
    db.simple(&format!(
        "BEGIN; SET LOCAL synchronous_commit = off; SELECT pg_notify('{channel}', '{name}'); COMMIT"
    ))
    .await
}
