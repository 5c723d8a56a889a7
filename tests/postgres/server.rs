//! Statements of the person who runs a server.

use tokio_postgres::NoTls;

use crate::kit::postgres_server::{Server, kill, shared};

/// A fresh database of this program's server; its URL.
pub fn fresh_database(name: &str) -> String {
    run_sql(&format!("CREATE DATABASE {name}"));
    shared().url(name)
}

/// Runs a statement in the database of the owner of this program's server.
pub fn run_sql(sql: &str) {
    run_sql_in("postgres", sql);
}

/// Runs a statement in a database of this program's server.
pub fn run_sql_in(database: &str, sql: &str) {
    with_client(shared(), database, async |client| client.batch_execute(sql).await)
        .expect("the statement runs");
}

/// The number that a query on this program's server returns.
pub fn number_in(database: &str, sql: &str) -> i64 {
    with_client(shared(), database, async |client| client.query_one(sql, &[]).await)
        .expect("the query runs")
        .get(0)
}

/// Waits until a server takes statements.
pub fn wait_for(server: &Server) {
    while with_client(server, "postgres", async |client| client.batch_execute("SELECT 1").await)
        .is_err()
    {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Kills the process of one of our connections, if there is one. The server then restarts all others.
pub fn kill_a_connection(server: &Server) {
    const ONE: &str = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hookline/%' \
         ORDER BY random() LIMIT 1";
    let one = with_client(server, "postgres", async |client| client.query_opt(ONE, &[]).await);
    if let Ok(Some(row)) = one {
        kill(row.get(0));
    }
}

/// Lets the commits of a server wait for a standby, and waits until that follows.
pub fn wait_for_sync(server: &Server, standby: &str) {
    const IS_SYNC: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    let names = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
    for statement in [names.as_str(), "SELECT pg_reload_conf()"] {
        with_client(server, "postgres", async |client| client.batch_execute(statement).await)
            .expect("the setting is made");
    }
    let is_sync = || -> i64 {
        with_client(server, "postgres", async |client| client.query_one(IS_SYNC, &[]).await)
            .expect("the query runs")
            .get(0)
    };
    while is_sync() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn with_client<T>(
    server: &Server,
    database: &str,
    work: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
) -> Result<T, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let url = format!("host={} user=postgres dbname={database}", server.place().display());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        work(&client).await
    })
}
