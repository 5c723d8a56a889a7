//! Statements of the person who runs a server.

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
    shared().sql(database, sql);
}

/// The number that a query on this program's server returns.
pub fn number_in(database: &str, sql: &str) -> i64 {
    shared().number(database, sql)
}

/// The text that a query on this program's server returns.
pub fn text_in(database: &str, sql: &str) -> String {
    let row = shared().asks(database, async |client| client.query_one(sql, &[]).await);
    row.expect("the query runs").get(0)
}

/// How often or how much: with `HOOKLINE_TEST_LONG`, or else in a test that every change must pass.
pub fn times(long: usize, short: usize) -> usize {
    if std::env::var_os("HOOKLINE_TEST_LONG").is_some() { long } else { short }
}

/// Waits until a server takes statements.
pub fn wait_for(server: &Server) {
    while server.asks("postgres", async |client| client.batch_execute("SELECT 1").await).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Ends all our connections to a database of this program's server, at least one.
pub fn end_connections(database: &str) -> usize {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = '{database}' AND backend_type = 'client backend'"
    );
    loop {
        match usize::try_from(number_in("postgres", &sql)) {
            Ok(0) | Err(_) => std::thread::yield_now(),
            Ok(ended) => return ended,
        }
    }
}

/// Kills the process of one of our connections. The server then restarts all others.
pub fn kill_a_connection(server: &Server) {
    const ONE: &str = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'hookline/%' \
         ORDER BY random() LIMIT 1";
    loop {
        let one = server.asks("postgres", async |client| client.query_opt(ONE, &[]).await);
        if let Ok(Some(row)) = one {
            return kill(row.get(0));
        }
        std::thread::yield_now();
    }
}

/// Lets the commits of a server wait for a standby, and waits until that follows.
pub fn wait_for_sync(server: &Server, standby: &str) {
    const IS_SYNC: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    let names = format!("ALTER SYSTEM SET synchronous_standby_names = '{standby}'");
    server.sql("postgres", &format!("{names};\nSELECT pg_reload_conf()"));
    while server.number("postgres", IS_SYNC) == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
