//! The limit that `bench/postgres.mjs` measures Hookline against: a resume as one statement, and nothing
//! else.
//!
//! The statement finds the hook by its token, locks the run, appends the event behind the last one, and
//! puts a wake-up into the queue unless one waits; it is prepared. It works in short rounds, so that they
//! can be interleaved with others: it reads commands from standard input, a line each, and answers each
//! with one line of JSON.
//!
//! - `seed N` makes the schema that the command line names, with N runs, each with one hook.
//! - `single N` resumes N hooks, one per transaction.
//! - `batch SIZE N` resumes hooks in N transactions of SIZE, whose statements are sent together.
//! - `trips N` makes N round trips, and `look N` as many look-ups of a hook by its token.
//! - `drain SCHEMA` empties the queue of a schema, this one's or Hookline's.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{BufRead, Write};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};

type Outcome<T> = Result<T, Box<dyn Error>>;
/// A statement that is sent when it is polled first.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + 'a>>;

const SCHEMA: &str = r#"
    CREATE SCHEMA bare;
    CREATE TABLE bare.runs (run_id text COLLATE "C" NOT NULL PRIMARY KEY, status text NOT NULL,
      workflow_name text NOT NULL, execution_context text, created_at_ms bigint NOT NULL,
      updated_at_ms bigint NOT NULL);
    CREATE TABLE bare.events (run_id text COLLATE "C" NOT NULL, position bigint NOT NULL,
      event_type text NOT NULL, correlation_id text COLLATE "C", created_at_ms bigint NOT NULL,
      data text, payload bytea, PRIMARY KEY (run_id, position));
    CREATE TABLE bare.hooks (hook_number bigint PRIMARY KEY, run_id text COLLATE "C" NOT NULL,
      hook_id text COLLATE "C" NOT NULL, token text COLLATE "C" NOT NULL UNIQUE,
      created_at_ms bigint NOT NULL);
    CREATE TABLE bare.messages (message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      queue_name text NOT NULL, run_id text COLLATE "C" NOT NULL, body bytea NOT NULL,
      available_at_ms bigint NOT NULL);
    CREATE INDEX messages_due ON bare.messages (available_at_ms, message_id);
    CREATE INDEX messages_by_run ON bare.messages (run_id);"#;

const SEED: &str = "INSERT INTO bare.runs \
     SELECT 'wrun_' || lpad(n::text, 26, '0'), 'running', $2, $3, $4, $4 \
     FROM generate_series(0, $1::bigint - 1) AS n";

const SEED_EVENTS: &str = "INSERT INTO bare.events \
     SELECT 'wrun_' || lpad(n::text, 26, '0'), p, t, '', $2, $3, $4 \
     FROM generate_series(0, $1::bigint - 1) AS n, \
       (VALUES (1, 'run_created'), (2, 'run_started'), (3, 'hook_created')) AS e(p, t)";

const SEED_HOOKS: &str = "INSERT INTO bare.hooks SELECT n, 'wrun_' || lpad(n::text, 26, '0'), \
     'hook_' || lpad(n::text, 26, '0'), 'approval:' || lpad(n::text, 6, '0'), $2 \
     FROM generate_series(0, $1::bigint - 1) AS n";

const RESUME: &str = r#"
    WITH hook AS (SELECT r.run_id, h.hook_id FROM bare.hooks AS h
        JOIN bare.runs AS r ON r.run_id = h.run_id
        WHERE h.token = $1 AND r.status = 'running' FOR NO KEY UPDATE OF r),
      event AS (INSERT INTO bare.events SELECT hook.run_id,
          (SELECT e.position + 1 FROM bare.events AS e WHERE e.run_id = hook.run_id
            ORDER BY e.position DESC LIMIT 1), 'hook_received', hook.hook_id, $2, $3, $4 FROM hook)
    INSERT INTO bare.messages (queue_name, run_id, body, available_at_ms)
      SELECT $5, hook.run_id, convert_to('{"runId":"' || hook.run_id || '"}', 'UTF8'), $2 FROM hook
      WHERE NOT EXISTS (SELECT 1 FROM bare.messages AS m WHERE m.run_id = hook.run_id)"#;

const LOOK: &str = "SELECT * FROM bare.hooks WHERE token = $1";

const WORKFLOW: &str = "workflow//./workflows/approval//approval";
const CONTEXT: &str = r#"{"workflowCoreVersion":"4.8.9"}"#;
const PAYLOAD: &[u8] = br#"devl[{"approved":1,"by":2},true,"someone@example.com"]"#;
/// Coprime to the sizes that are used: neighbours in time are no neighbours in a table.
const STRIDE: i64 = 7919;
const FIRST_MS: i64 = 1_700_000_000_000;

struct Bare {
    client: Client,
    schema: String,
    resume: Option<Statement>,
    hooks: i64,
    resumed: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, schema] = &arguments[..] else {
        return Err("usage: bare_postgres URL SCHEMA".into());
    };
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let mut bare = Bare { client, schema: schema.clone(), resume: None, hooks: 0, resumed: 0 };
    for line in std::io::stdin().lock().lines() {
        let answer = bare.obey(&line?).await?;
        writeln!(std::io::stdout().lock(), "{answer}")?;
    }
    Ok(())
}

impl Bare {
    async fn obey(&mut self, line: &str) -> Outcome<serde_json::Value> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["seed", hooks] => self.seed(hooks.parse()?).await,
            ["single", count] => self.singles(count.parse()?).await,
            ["batch", size, count] => self.batches(size.parse()?, count.parse()?).await,
            ["trips", count] => self.trips(count.parse()?).await,
            ["look", count] => self.looks(count.parse()?).await,
            ["drain", schema] => {
                let delete = format!("DELETE FROM {schema}.messages");
                let drained = self.client.execute(&delete, &[]).await?;
                Ok(serde_json::json!({ "drained": drained }))
            }
            _ => Err(format!("not a command: {line}").into()),
        }
    }

    /// Statements name the schema `bare`.
    fn sql(&self, text: &str) -> String {
        text.replace("bare", &self.schema)
    }

    async fn seed(&mut self, hooks: i64) -> Outcome<serde_json::Value> {
        let client = &self.client;
        client.batch_execute(&self.sql(SCHEMA)).await?;
        client.execute(&self.sql(SEED), &[&hooks, &WORKFLOW, &CONTEXT, &FIRST_MS]).await?;
        client.execute(&self.sql(SEED_EVENTS), &[&hooks, &FIRST_MS, &CONTEXT, &PAYLOAD]).await?;
        client.execute(&self.sql(SEED_HOOKS), &[&hooks, &FIRST_MS]).await?;
        client.batch_execute(&self.sql("VACUUM ANALYZE bare.runs")).await?;
        client.batch_execute(&self.sql("VACUUM ANALYZE bare.events")).await?;
        client.batch_execute(&self.sql("VACUUM ANALYZE bare.hooks")).await?;
        self.resume = Some(client.prepare(&self.sql(RESUME)).await?);
        self.hooks = hooks;
        Ok(serde_json::json!({ "hooks": hooks }))
    }

    fn prepared(&self) -> Outcome<Statement> {
        self.resume.clone().ok_or_else(|| "seed first".into())
    }

    /// The token and the time of the next resume.
    fn next(&mut self) -> (String, i64) {
        self.resumed += 1;
        (token(self.resumed.wrapping_mul(STRIDE) % self.hooks), FIRST_MS + self.resumed)
    }

    async fn singles(&mut self, count: usize) -> Outcome<serde_json::Value> {
        let statement = self.prepared()?;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let (token, at_ms) = self.next();
            let began = Instant::now();
            resume(&self.client, &statement, &token, at_ms).await?;
            took.push(began.elapsed());
        }
        Ok(report(took, 1))
    }

    async fn batches(&mut self, size: usize, count: usize) -> Outcome<serde_json::Value> {
        let statement = self.prepared()?;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let resumes: Vec<_> = (0..size).map(|_| self.next()).collect();
            let client = &self.client;
            let began = Instant::now();
            let mut sending: Vec<Sending<'_>> = vec![Box::pin(client.batch_execute("BEGIN"))];
            for (token, at_ms) in &resumes {
                sending.push(Box::pin(resume(client, &statement, token, *at_ms)));
            }
            sending.push(Box::pin(client.batch_execute("COMMIT")));
            together(sending).await?;
            took.push(began.elapsed());
        }
        Ok(report(took, size))
    }

    async fn trips(&mut self, count: usize) -> Outcome<serde_json::Value> {
        let statement = self.client.prepare("SELECT 1").await?;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let began = Instant::now();
            self.client.query(&statement, &[]).await?;
            took.push(began.elapsed());
        }
        Ok(report(took, 1))
    }

    async fn looks(&mut self, count: usize) -> Outcome<serde_json::Value> {
        let statement = self.client.prepare(&self.sql(LOOK)).await?;
        let mut took = Vec::with_capacity(count);
        for _ in 0..count {
            let (token, _) = self.next();
            let began = Instant::now();
            self.client.query(&statement, &[&token]).await?;
            took.push(began.elapsed());
        }
        Ok(report(took, 1))
    }
}

async fn resume(
    client: &Client,
    statement: &Statement,
    token: &str,
    at_ms: i64,
) -> Result<(), tokio_postgres::Error> {
    let values: [&(dyn ToSql + Sync); 5] = [&token, &at_ms, &CONTEXT, &PAYLOAD, &WORKFLOW];
    client.execute(statement, &values).await.map(drop)
}

/// Sends statements together, in this order, and waits for all.
async fn together(mut sending: Vec<Sending<'_>>) -> Result<(), tokio_postgres::Error> {
    poll_fn(|context| {
        let mut left = Vec::with_capacity(sending.len());
        for mut statement in sending.drain(..) {
            match statement.as_mut().poll(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => left.push(statement),
            }
        }
        sending = left;
        if sending.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

fn report(mut took: Vec<Duration>, size: usize) -> serde_json::Value {
    let total: Duration = took.iter().sum();
    let count = took.len();
    took.sort_unstable();
    serde_json::json!({
        "p50Ms": quantile(&took, 50),
        "p99Ms": quantile(&took, 99),
        "perSecond": (size * count) as f64 / total.as_secs_f64(),
    })
}

fn token(number: i64) -> String {
    format!("approval:{number:06}")
}

/// In milliseconds; `took` is sorted.
fn quantile(took: &[Duration], percent: usize) -> Option<f64> {
    took.get(took.len() * percent / 100).map(|took| took.as_secs_f64() * 1e3)
}
