//! One connection: statements with their values, and the columns of rows.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSqlOwned, IsNull, ToSql, Type, private::BytesMut};
use tokio_postgres::{CancelToken, Client, Row, Statement};

use super::direct::{self, Backend};
use super::fault;
use super::statements::{LIMITS, Named, PLANS};
use super::writes::Write;
use crate::domain::id::{CorrelationId, HookToken, MessageId, RunId};
use crate::error::WorldError;
use crate::store::columns::ReadColumns;

/// A value of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Small(Option<i16>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
    Texts(Vec<String>),
    Ints(Vec<i64>),
    ByteStrings(Vec<Vec<u8>>),
    /// Values of one type.
    Column(Vec<Value>),
}

impl Value {
    /// The bytes of a text or a value.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
            _ => 0,
        }
    }

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
            Self::Column(values) => match values.first() {
                Some(Self::Int(_)) => Type::INT8_ARRAY,
                Some(Self::Small(_)) => Type::INT2_ARRAY,
                Some(Self::Bool(_)) => Type::BOOL_ARRAY,
                Some(Self::Bytes(_)) => Type::BYTEA_ARRAY,
                _ => Type::TEXT_ARRAY,
            },
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
            Self::Column(values) => values.to_sql(ty, out),
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

/// A connection to the schema.
pub(super) struct Db {
    client: Client,
    schema: String,
    answer_within: Duration,
    /// Whether an answer has not come.
    is_silent: Cell<bool>,
    /// Only of a connection to the server itself.
    named: Option<Named>,
    backend: Option<Backend>,
}

impl Db {
    /// A connection that names no statements.
    pub(super) fn new(client: Client, schema: &str, answer_within: Duration) -> Self {
        let (schema, is_silent) = (schema.to_owned(), Cell::new(false));
        Self { client, schema, answer_within, is_silent, named: None, backend: None }
    }

    /// A connection that names its statements, if it can.
    pub(super) async fn naming(
        client: Client,
        schema: &str,
        answer_within: Duration,
    ) -> Result<Self, WorldError> {
        let db = Self::new(client, schema, answer_within);
        let backend = direct::backend(&db).await?;
        if backend.is_some() {
            db.simple(PLANS).await?;
        }
        Ok(Self { named: backend.as_ref().map(|_| Named::default()), backend, ..db })
    }

    /// Sets the limits of a writer's transactions, if what is set stays. `is_synced` is for those that are
    /// not told otherwise.
    pub(super) async fn set_limits(&self, is_synced: bool) -> Result<(), WorldError> {
        if !self.is_direct() {
            return Ok(());
        }
        self.simple(LIMITS).await?;
        match is_synced {
            true => Ok(()),
            false => self.simple("SET synchronous_commit = off").await,
        }
    }

    /// What would cancel a running statement.
    pub(super) fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
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

    /// Whether what is set for the session stays.
    pub(super) fn is_direct(&self) -> bool {
        self.backend.is_some()
    }

    /// The process of the server, if this leads to the server itself.
    pub(super) fn backend(&self) -> Option<&Backend> {
        self.backend.as_ref()
    }

    /// Statements name the tables of the schema `hookline`; ours may have another name.
    pub(super) fn in_schema(&self, sql: &str) -> String {
        sql.replace("hookline.", &format!("{}.", self.schema))
    }

    fn named(&self, sql: &'static str, values: &[Value]) -> Option<Statement> {
        self.named.as_ref()?.get(sql, values.iter().map(Value::sql_type))
    }

    /// Whether statements were used that could have names.
    pub(super) fn is_wanting_names(&self) -> bool {
        self.named.as_ref().is_some_and(Named::is_wanting)
    }

    /// Gives the statements that were used their names. Not inside of a transaction.
    pub(super) async fn name_statements(&self) {
        if let Some(named) = &self.named {
            // Without its name a statement works too; a connection that has gone is noticed at its next use.
            let prepare = named.prepare(&self.client, |sql| self.in_schema(sql));
            let _ = timeout(self.answer_within, prepare).await;
        }
    }

    /// The rows of a statement. It is sent when this is first polled, so that futures which are polled
    /// one after the other share a round trip.
    pub(super) async fn rows(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Vec<Row>, WorldError> {
        match self.named(sql, values) {
            Some(statement) => self.answered(self.client.query(&statement, &untyped(values))).await,
            None => self.rows_of(sql, values).await,
        }
    }

    /// The rows of a statement whose text was made for this use.
    pub(super) async fn rows_of(
        &self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, WorldError> {
        let sql = self.in_schema(sql);
        self.answered(self.client.query_typed(&sql, &typed(values))).await
    }

    /// The first row.
    pub(super) async fn first(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<Option<Row>, WorldError> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs a statement that returns no rows; returns how many it changed.
    pub(super) async fn execute(
        &self,
        sql: &'static str,
        values: &[Value],
    ) -> Result<u64, WorldError> {
        if let Some(statement) = self.named(sql, values) {
            return self.answered(self.client.execute(&statement, &untyped(values))).await;
        }
        let sql = self.in_schema(sql);
        self.answered(self.client.execute_typed(&sql, &typed(values))).await
    }

    /// Runs a write.
    pub(super) async fn write(&self, write: &Write) -> Result<(), WorldError> {
        self.execute(write.sql, &write.values).await.map(drop)
    }

    /// Runs statements without values.
    pub(super) async fn simple(&self, sql: &str) -> Result<(), WorldError> {
        let sql = self.in_schema(sql);
        self.answered(self.client.batch_execute(&sql)).await
    }
}

fn untyped(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
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

    pub(super) fn message_id(&mut self) -> Result<MessageId, WorldError> {
        Ok(MessageId::from_number(self.take()?))
    }
}

impl ReadColumns for Columns<'_> {
    type Fault = WorldError;

    fn text(&mut self) -> Result<String, WorldError> {
        self.take()
    }

    fn text_or_null(&mut self) -> Result<Option<String>, WorldError> {
        self.take()
    }

    fn number(&mut self) -> Result<i64, WorldError> {
        self.take()
    }

    fn number_or_null(&mut self) -> Result<Option<i64>, WorldError> {
        self.take()
    }

    fn flag(&mut self) -> Result<bool, WorldError> {
        self.take()
    }

    fn version(&mut self) -> Result<u32, WorldError> {
        u32::try_from(self.number()?).map_err(|_| fault::damage("a spec version"))
    }

    fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T, WorldError> {
        parse(&self.text()?).ok_or_else(|| fault::damage("an unknown word"))
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, WorldError> {
        let parse = |text: String| serde_json::from_str(&text);
        self.text_or_null()?
            .map(parse)
            .transpose()
            .map_err(|_| fault::damage("a text that is not JSON"))
    }

    /// A token is kept as bytes, because it may hold a NUL, which no text of Postgres does.
    fn token(&mut self) -> Result<HookToken, WorldError> {
        let text = String::from_utf8(self.take()?);
        Ok(HookToken::new(text.map_err(|_| fault::damage("a token that is not UTF-8"))?))
    }
}
