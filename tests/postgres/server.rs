//! Statements of the person who runs the server.

use tokio_postgres::NoTls;

use crate::kit::postgres_server::place;

/// A fresh database of this name; its URL.
pub fn fresh_database(name: &str) -> String {
    run_sql(&format!("CREATE DATABASE {name}"));
    format!("postgres://postgres@/{name}?host={}", place().display())
}

/// Runs a statement in the database of the server's owner.
pub fn run_sql(sql: &str) {
    run_sql_in("postgres", sql);
}

/// Runs a statement in a database.
pub fn run_sql_in(database: &str, sql: &str) {
    with_client(database, async |client| {
        client.batch_execute(sql).await.expect("the statement runs");
    });
}

/// The number that a query returns.
pub fn number_in(database: &str, sql: &str) -> i64 {
    with_client(database, async |client| {
        client.query_one(sql, &[]).await.expect("the query runs").get(0)
    })
}

fn with_client<T>(database: &str, work: impl AsyncFnOnce(&tokio_postgres::Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let url = format!("host={} user=postgres dbname={database}", place().display());
        let (client, connection) =
            tokio_postgres::connect(&url, NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        work(&client).await
    })
}
