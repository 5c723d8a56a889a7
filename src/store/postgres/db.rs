//! One connection: statements with their values, and the columns of rows.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSqlOwned, IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{Client, Row};

use super::fault;
use crate::domain::id::{CorrelationId, MessageId, RunId};
use crate::error::WorldError;

/// A value of a statement.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Small(Option<i16>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    Texts(Vec<String>),
    Ints(Vec<i64>),
    ByteStrings(Vec<Vec<u8>>),
}

impl Value {
    fn sql_type(&self) -> Type {
        match self {
            Self::Text(_) => Type::TEXT,
            Self::Int(_) => Type::INT8,
            Self::Small(_) => Type::INT2,
            Self::Bool(_) => Type::BOOL,
            Self::Bytes(_) => Type::BYTEA,
            Self::Texts(_) => Type::TEXT_ARRAY,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::ByteStrings(_) => Type::BYTEA_ARRAY,
        }
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Text(value) => value.to_sql(ty, out),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Small(value) => value.to_sql(ty, out),
            Self::Bool(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
            Self::Texts(value) => value.to_sql(ty, out),
            Self::Ints(value) => value.to_sql(ty, out),
            Self::ByteStrings(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

macro_rules! value_from {
    ($($from:ty => $variant:ident($value:ident) $as:expr;)+) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                Self::$variant($as)
            }
        })+
    };
}

value_from! {
    &str => Text(value) Some(value.to_owned());
    String => Text(value) Some(value);
    &String => Text(value) Some(value.clone());
    Option<&str> => Text(value) value.map(str::to_owned);
    Option<String> => Text(value) value;
    &Option<String> => Text(value) value.clone();
    &RunId => Text(value) Some(value.as_str().to_owned());
    &CorrelationId => Text(value) Some(value.as_str().to_owned());
    Option<&CorrelationId> => Text(value) value.map(|id| id.as_str().to_owned());
    Option<&RunId> => Text(value) value.map(|id| id.as_str().to_owned());
    i64 => Int(value) Some(value);
    Option<i64> => Int(value) value;
    u32 => Int(value) Some(i64::from(value));
    usize => Int(value) Some(i64::try_from(value).unwrap_or(i64::MAX));
    MessageId => Int(value) Some(value.number());
    Option<MessageId> => Int(value) value.map(MessageId::number);
    Option<i16> => Small(value) value;
    bool => Bool(value) value;
    &[u8] => Bytes(value) Some(value.to_vec());
    &Vec<u8> => Bytes(value) Some(value.clone());
    Option<&[u8]> => Bytes(value) value.map(<[u8]>::to_vec);
    Vec<String> => Texts(value) value;
    Vec<i64> => Ints(value) value;
    Vec<Vec<u8>> => ByteStrings(value) value;
}

/// The values of a statement, in the order of its parameters.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        [$($crate::store::postgres::db::Value::from($value)),*]
    };
}
pub(super) use values;

/// A write that waits for its turn.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
    /// Whether it must change exactly one row. Otherwise another process has written the row.
    pub(super) changes_one: bool,
}

impl Write {
    pub(super) fn new(sql: &'static str, values: impl Into<Vec<Value>>) -> Self {
        Self { sql, values: values.into(), changes_one: false }
    }
}

/// A connection to the schema.
pub(super) struct Db {
    client: Client,
    schema: String,
    answer_within: Duration,
    /// Whether an answer has not come.
    is_silent: Cell<bool>,
}

impl Db {
    pub(super) fn new(client: Client, schema: &str, answer_within: Duration) -> Self {
        Self { client, schema: schema.to_owned(), answer_within, is_silent: Cell::new(false) }
    }

    /// The same connection, for another schema.
    pub(super) fn of_schema(self, schema: String) -> Self {
        Self { schema, ..self }
    }

    /// Begins to write rows of these types by a COPY in the binary format.
    pub(super) async fn copy_in(
        &self,
        sql: &str,
        types: &[Type],
    ) -> Result<Pin<Box<BinaryCopyInWriter>>, WorldError> {
        let sink = self.client.copy_in(&self.in_schema(sql)).await?;
        Ok(Box::pin(BinaryCopyInWriter::new(sink, types)))
    }

    /// Whether the connection has ended, or leads nowhere.
    pub(super) fn is_closed(&self) -> bool {
        self.is_silent.get() || self.client.is_closed()
    }

    /// Waits for an answer, but not for ever.
    async fn answered<T>(
        &self,
        sent: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, WorldError> {
        if let Ok(answer) = timeout(self.answer_within, sent).await {
            return Ok(answer?);
        }
        self.is_silent.set(true);
        Err(fault::lost())
    }

    /// The name of the schema.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Statements name the tables of the schema `hookline`; ours may have another name.
    pub(super) fn in_schema(&self, sql: &str) -> String {
        sql.replace("hookline.", &format!("{}.", self.schema))
    }

    /// The rows of a statement. It is sent when this is first polled, so that futures which are polled
    /// one after the other share a round trip.
    pub(super) async fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, WorldError> {
        let sql = self.in_schema(sql);
        self.answered(self.client.query_typed(&sql, &typed(values))).await
    }

    /// The first row.
    pub(super) async fn first(
        &self,
        sql: &str,
        values: &[Value],
    ) -> Result<Option<Row>, WorldError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs a statement that returns no rows; returns how many it changed.
    pub(super) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, WorldError> {
        let sql = self.in_schema(sql);
        self.answered(self.client.execute_typed(&sql, &typed(values))).await
    }

    /// Runs a write.
    pub(super) async fn write(&self, write: &Write) -> Result<(), WorldError> {
        let changed = self.execute(write.sql, &write.values).await?;
        match write.changes_one && changed != 1 {
            true => Err(fault::clash()),
            false => Ok(()),
        }
    }

    /// Runs statements without values.
    pub(super) async fn simple(&self, sql: &str) -> Result<(), WorldError> {
        let sql = self.in_schema(sql);
        self.answered(self.client.batch_execute(&sql)).await
    }
}

fn typed(values: &[Value]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (value as &(dyn ToSql + Sync), value.sql_type())).collect()
}

/// A statement that is sent when it is polled.
pub(super) type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), WorldError>> + 'a>>;

/// Statements that are sent together, in this order; then `last`. The first that fails is the answer:
/// the others of its transaction fail because of it.
pub(super) async fn pipelined<'a, T>(
    before: Vec<Sending<'a>>,
    last: impl Future<Output = Result<T, WorldError>>,
) -> Result<T, WorldError> {
    let mut last = Box::pin(last);
    let mut before: Vec<_> = before.into_iter().map(|future| (future, None)).collect();
    let mut of_last = None;
    poll_fn(move |context| {
        let mut is_pending = false;
        for (future, outcome) in &mut before {
            if outcome.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *outcome = Some(ready),
                    Poll::Pending => is_pending = true,
                }
            }
        }
        if of_last.is_none() {
            match last.as_mut().poll(context) {
                Poll::Ready(ready) => of_last = Some(ready),
                Poll::Pending => is_pending = true,
            }
        }
        if is_pending {
            return Poll::Pending;
        }
        let failed = before.drain(..).find_map(|(_, outcome)| outcome.and_then(Result::err));
        Poll::Ready(match (failed, of_last.take()) {
            (Some(error), _) => Err(error),
            (None, Some(outcome)) => outcome,
            (None, None) => Err(WorldError::closed()),
        })
    })
    .await
}

/// The columns of a row, one after the other.
pub(super) struct Columns<'a> {
    row: &'a Row,
    at: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self::after(row, 0)
    }

    /// The columns from a place on.
    pub(super) fn after(row: &'a Row, at: usize) -> Self {
        Self { row, at }
    }

    pub(super) fn take<T: FromSqlOwned>(&mut self) -> Result<T, WorldError> {
        let value = self.row.try_get(self.at)?;
        self.at += 1;
        Ok(value)
    }

    pub(super) fn run_id(&mut self) -> Result<RunId, WorldError> {
        Ok(RunId::new(self.take::<String>()?))
    }

    pub(super) fn correlation_id(&mut self) -> Result<CorrelationId, WorldError> {
        Ok(CorrelationId::new(self.take::<String>()?))
    }

    pub(super) fn message_id(&mut self) -> Result<MessageId, WorldError> {
        Ok(MessageId::from_number(self.take()?))
    }

    /// A spec version.
    pub(super) fn version(&mut self) -> Result<u32, WorldError> {
        u32::try_from(self.take::<i64>()?).map_err(|_| fault::damage("a spec version"))
    }

    /// A word of a closed list.
    pub(super) fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T, WorldError> {
        let word: String = self.take()?;
        parse(&word).ok_or_else(|| fault::damage("an unknown word"))
    }

    /// A JSON text.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, WorldError> {
        let text: Option<String> = self.take()?;
        let parse = |text: String| serde_json::from_str(&text);
        text.map(parse).transpose().map_err(|_| fault::damage("a text that is not JSON"))
    }
}
