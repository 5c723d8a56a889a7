//! A user of the database: one connection, on which they call the functions in transactions of their own.

use std::cell::RefCell;
use std::future::poll_fn;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// A connection.
pub struct Caller {
    runtime: Runtime,
    client: RefCell<Client>,
    heard: RefCell<UnboundedReceiver<String>>,
    schema: String,
}

/// An SQLSTATE.
pub type State = String;

impl Caller {
    /// Connects to the server and the schema of a URL, as a role.
    pub fn new(url: &str, role: &str) -> Self {
        let (server, schema) = url.split_once("&schema=").unwrap_or((url, "hookline"));
        let mut config: tokio_postgres::Config = server.parse().expect("the URL is good");
        config.user(role);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (hears, heard) = unbounded_channel();
        let client = runtime.block_on(async {
            let (client, mut connection) = config.connect(NoTls).await.expect("the server answers");
            tokio::spawn(async move {
                while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                    if let AsyncMessage::Notification(told) = message {
                        let _ = hears.send(told.payload().to_owned());
                    }
                }
            });
            client
        });
        let (client, heard) = (RefCell::new(client), RefCell::new(heard));
        Self { runtime, client, heard, schema: schema.to_owned() }
    }

    /// From now on hears what is told on a channel.
    pub fn listen(&self, channel: &str) {
        self.run(&format!("LISTEN {channel}")).expect("everybody may listen");
    }

    /// Waits for the next word on the channel.
    pub fn heard(&self) -> String {
        self.runtime.block_on(self.heard.borrow_mut().recv()).expect("the connection lives")
    }

    /// Runs statements; `hookline.` is the schema.
    pub fn run(&self, sql: &str) -> Result<(), State> {
        let sql = sql.replace("hookline.", &format!("{}.", self.schema));
        let done = self.runtime.block_on(self.client.borrow().batch_execute(&sql));
        done.map_err(|error| state_of(&error))
    }

    /// The text that a statement returns.
    pub fn text(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<String, State> {
        let sql = sql.replace("hookline.", &format!("{}.", self.schema));
        let row = self.runtime.block_on(self.client.borrow().query_one(&sql, values));
        row.map(|row| row.get(0)).map_err(|error| state_of(&error))
    }

    /// From now on the functions believe that it is the time of the setting `test.now_ms`, which
    /// [`Caller::at`] sets.
    pub fn has_clock(&self) {
        self.run(
            "CREATE OR REPLACE FUNCTION hookline.now_ms() RETURNS bigint LANGUAGE sql VOLATILE \
             SET search_path = pg_catalog, pg_temp \
             AS $$ SELECT current_setting('test.now_ms')::bigint $$",
        )
        .expect("the owner may replace it");
    }

    /// Sets the time of [`Caller::has_clock`].
    pub fn at(&self, now_ms: i64) {
        self.run(&format!("SET test.now_ms = '{now_ms}'")).expect("a setting of the session");
    }
}

fn state_of(error: &tokio_postgres::Error) -> State {
    error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())
}
