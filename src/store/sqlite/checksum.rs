//! A checksum over each row. SQLite notices only damage to its own structures. If the disk has changed
//! a byte of a value, SQLite returns the value without an error.
//!
//! The checksum misses one change in four billion. It protects against faults, not against people. With
//! a key ring, sealed values are also authenticated.

use std::fmt;

use rusqlite::types::{FromSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, Statement, ToSql};
use serde::de::DeserializeOwned;

use crate::domain::id::HookToken;
use crate::store::columns::ReadColumns;

/// A table whose rows carry a checksum. It covers the table's name and the first columns. These are
/// written and read in one order, and the checksum follows them.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The number of covered columns.
    pub(super) columns: usize,
    /// The columns that identify a row for people. None of them is secret.
    pub(super) key: &'static [usize],
}

impl Table {
    /// Runs a statement that writes a row. Its parameters are the covered columns, the checksum, and
    /// the `rest`.
    pub(super) fn write(
        &self,
        statement: &mut Statement<'_>,
        columns: &[&dyn ToSql],
        rest: &[&dyn ToSql],
    ) -> Result<usize> {
        debug_assert_eq!(columns.len(), self.columns, "{}", self.name);
        let mut sum = RowSum::of(self.name);
        let mut parameters = 1..;
        let mut bind = |value: ToSqlOutput<'_>| {
            statement.raw_bind_parameter(parameters.next().unwrap_or(usize::MAX), value)
        };
        for column in columns {
            let value = column.to_sql()?;
            sum.add(value_ref(&value));
            bind(value)?;
        }
        bind(sum.end().into())?;
        for value in rest {
            bind(value.to_sql()?)?;
        }
        statement.raw_execute()
    }

    /// Reads a row whose covered columns begin at `at`.
    #[inline]
    pub(super) fn read<'a, 'row>(
        &'static self,
        row: &'a Row<'row>,
        at: usize,
    ) -> Columns<'a, 'row> {
        Columns { table: self, row, at, taken: 0, sum: RowSum::of(self.name) }
    }

    /// Checks a row whose covered columns begin at `at`.
    ///
    /// # Errors
    /// [`Damage`], which becomes `Corrupt`.
    pub(super) fn verify(&'static self, row: &Row<'_>, at: usize) -> Result<()> {
        let mut columns = self.read(row, at);
        columns.skip(self.columns)?;
        columns.end()
    }

    /// The error of a row that differs from what was written.
    pub(super) fn damage(&self, row: &Row<'_>, at: usize) -> Error {
        let columns = self.key.iter().map(|index| row.get_ref(at + index));
        let key: Vec<String> =
            columns.map(|column| column.map_or_else(|_| "?".into(), shown)).collect();
        damage(self.name, key.join(" "))
    }
}

/// The covered columns of a row. Each is read once, for its value and for the checksum. The values are
/// valid only after [`Columns::end`] succeeds.
pub(super) struct Columns<'a, 'row> {
    table: &'static Table,
    row: &'a Row<'row>,
    at: usize,
    taken: usize,
    sum: RowSum,
}

impl<'a> Columns<'a, '_> {
    #[inline]
    fn value(&mut self) -> Result<ValueRef<'a>> {
        let value = self.row.get_ref(self.at + self.taken)?;
        self.taken += 1;
        self.sum.add(value);
        Ok(value)
    }

    /// The next column.
    #[inline]
    pub(super) fn take<T: FromSql>(&mut self) -> Result<T> {
        let value = self.value()?;
        T::column_result(value).map_err(|_| self.damage())
    }

    /// Skips columns: they are only added to the checksum.
    pub(super) fn skip(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.value()?;
        }
        Ok(())
    }

    /// Checks that the columns are as they were written.
    ///
    /// # Errors
    /// [`Damage`], which becomes `Corrupt`.
    pub(super) fn end(&mut self) -> Result<()> {
        debug_assert_eq!(self.taken, self.table.columns, "{}", self.table.name);
        match self.row.get_ref(self.at + self.taken)? {
            ValueRef::Integer(stored) if stored == i64::from(self.sum.end()) => Ok(()),
            _ => Err(self.damage()),
        }
    }

    fn damage(&self) -> Error {
        self.table.damage(self.row, self.at)
    }
}

impl ReadColumns for Columns<'_, '_> {
    type Fault = Error;

    #[inline]
    fn text(&mut self) -> Result<String> {
        self.take()
    }

    #[inline]
    fn text_or_null(&mut self) -> Result<Option<String>> {
        self.take()
    }

    #[inline]
    fn number(&mut self) -> Result<i64> {
        self.take()
    }

    #[inline]
    fn number_or_null(&mut self) -> Result<Option<i64>> {
        self.take()
    }

    #[inline]
    fn flag(&mut self) -> Result<bool> {
        self.take()
    }

    #[inline]
    fn version(&mut self) -> Result<u32> {
        self.take()
    }

    fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        let value = self.value()?;
        value.as_str().ok().and_then(parse).ok_or_else(|| self.damage())
    }

    fn json<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let Some(text) = self.value()?.as_str_or_null().map_err(|_| self.damage())? else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|_| self.damage())
    }

    fn token(&mut self) -> Result<HookToken> {
        Ok(HookToken::new(self.text()?))
    }
}

/// How to check all rows of a table.
pub(super) struct Check {
    /// The statement that reads all rows.
    pub(super) rows: &'static str,
    /// Checks one row.
    pub(super) verify: fn(&Row<'_>) -> Result<()>,
}

impl Check {
    /// Checks the rows on both sides of a key that was not found, or of the range that begins with it.
    /// A row whose key is damaged is still at its old place, so it is one of these two.
    pub(super) fn around(
        &self,
        connection: &Connection,
        columns: &[&str],
        key: &[&dyn ToSql],
    ) -> Result<()> {
        self.before(connection, columns, key)?;
        self.after(connection, columns, key)
    }

    /// Checks the row before a key.
    fn before(&self, connection: &Connection, columns: &[&str], key: &[&dyn ToSql]) -> Result<()> {
        self.beside(connection, ("<", " DESC"), columns, key)
    }

    /// Checks the row after a key, or after the range that begins with it.
    pub(super) fn after(
        &self,
        connection: &Connection,
        columns: &[&str],
        key: &[&dyn ToSql],
    ) -> Result<()> {
        self.beside(connection, (">", ""), columns, key)
    }

    fn beside(
        &self,
        connection: &Connection,
        (comparison, direction): (&str, &str),
        columns: &[&str],
        key: &[&dyn ToSql],
    ) -> Result<()> {
        let sql = format!(
            "{} WHERE ({}) {comparison} ({}) ORDER BY {}{direction} LIMIT 1",
            self.rows,
            columns.join(", "),
            vec!["?"; columns.len()].join(", "),
            columns.join(&format!("{direction}, ")),
        );
        let verify = |row: &Row<'_>| (self.verify)(row);
        connection.prepare_cached(&sql)?.query_row(key, verify).optional()?;
        Ok(())
    }
}

/// The checksum of values that are read without the rest of their row.
pub(super) fn of_values(name: &str, values: &[ValueRef<'_>]) -> i32 {
    let mut sum = RowSum::of(name);
    for value in values {
        sum.add(*value);
    }
    sum.end()
}

/// A row that is missing or differs from what was written.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) table: &'static str,
    pub(super) key: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the row {} of table {} is not as it was written", self.key, self.table)
    }
}

impl std::error::Error for Damage {}

/// The error of a row that is missing or differs from what was written.
pub(super) fn damage(table: &'static str, key: impl Into<String>) -> Error {
    // The only variant in which a row mapping can carry its own error.
    Error::FromSqlConversionFailure(0, Type::Null, Box::new(Damage { table, key: key.into() }))
}

/// The key of a damaged row may hold anything, so only text that looks like a key is shown.
fn shown(value: ValueRef<'_>) -> String {
    const LENGTH_MAX: usize = 80;
    match value {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text)
            if text.len() <= LENGTH_MAX
                && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte)) =>
        {
            String::from_utf8_lossy(text).into_owned()
        }
        _ => "?".into(),
    }
}

fn value_ref<'a>(value: &'a ToSqlOutput<'_>) -> ValueRef<'a> {
    match value {
        ToSqlOutput::Borrowed(value) => *value,
        ToSqlOutput::Owned(value) => value.into(),
        // No column of ours has other kinds of values.
        _ => ValueRef::Null,
    }
}

/// The sum of a sequence of values. Each word is mixed into the sum by a multiplication whose two
/// halves are folded together. A long value counts as one word, its CRC-32.
struct RowSum(u64);

/// Values up to this length are mixed word by word, which is faster for them.
const SHORT: usize = 128;
/// The golden ratio: odd, and with evenly spread bits.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl RowSum {
    #[inline]
    fn of(name: &str) -> Self {
        let mut sum = Self(MULTIPLIER);
        sum.add(ValueRef::Text(name.as_bytes()));
        sum
    }

    /// Adds kind, length and content, so that no two rows have the same sequence.
    #[inline]
    fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.mix(0),
            ValueRef::Integer(number) => {
                self.mix(1);
                self.mix(number.cast_unsigned());
            }
            ValueRef::Real(number) => {
                self.mix(2);
                self.mix(number.to_bits());
            }
            ValueRef::Text(bytes) => self.bytes(3, bytes),
            ValueRef::Blob(bytes) => self.bytes(4, bytes),
        }
    }

    #[inline]
    fn bytes(&mut self, kind: u64, bytes: &[u8]) {
        self.mix(kind | (bytes.len() as u64) << 3);
        if bytes.len() > SHORT {
            return self.mix(crc32fast::hash(bytes).into());
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(last));
        }
    }

    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(MULTIPLIER);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    #[inline]
    fn end(&self) -> i32 {
        (self.0 as u32 ^ (self.0 >> 32) as u32).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table = Table { name: "things", columns: 3, key: &[0] };

    fn with_row() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE things (id TEXT, number INTEGER, bytes BLOB, checksum INTEGER)",
            )
            .unwrap();
        let bytes = vec![7_u8; 1000];
        let mut insert = connection.prepare("INSERT INTO things VALUES (?, ?, ?, ?)").unwrap();
        TABLE.write(&mut insert, rusqlite::params!["thing_1", 1, bytes], &[]).unwrap();
        drop(insert);
        connection
    }

    fn verified(connection: &Connection) -> Result<()> {
        connection.query_row("SELECT * FROM things", [], |row| TABLE.verify(row, 0))
    }

    #[test]
    fn a_row_is_what_was_written_until_something_in_it_changes() {
        verified(&with_row()).unwrap();
        let changes = [
            "number = 2",
            "number = NULL",
            "id = id || '2'",
            "bytes = CAST(bytes AS TEXT)",
            "bytes = zeroblob(1000)",
            "checksum = checksum + 1",
            "checksum = NULL",
        ];
        for change in changes {
            let connection = with_row();
            connection.execute(&format!("UPDATE things SET {change}"), []).unwrap();
            let error = verified(&connection).expect_err(change);
            assert!(error.to_string().contains("table things"), "{change}: {error}");
        }
    }

    #[test]
    fn a_sum_is_what_other_versions_have_stored() {
        let long = [7; 1000];
        let values = [
            ValueRef::Null,
            ValueRef::Integer(-5),
            ValueRef::Real(0.5),
            ValueRef::Text(b"wrun_01K"),
            ValueRef::Text(b"a text of 19 bytes."),
            ValueRef::Blob(&long),
        ];
        assert_eq!(of_values("things", &values), -895_951_298);
        assert_eq!(of_values("things", &[]), 1_084_498_182);
    }

    #[test]
    fn every_bit_counts() {
        let row = [0_u8; 40];
        let sum = of_values("things", &[ValueRef::Blob(&row)]);
        for bit in 0..320 {
            let mut changed = row;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of_values("things", &[ValueRef::Blob(&changed)]), sum, "bit {bit}");
        }
    }

    #[test]
    fn a_row_of_another_table_is_damaged() {
        static OTHER: Table = Table { name: "others", columns: 3, key: &[0] };
        with_row().query_row("SELECT * FROM things", [], |row| OTHER.verify(row, 0)).unwrap_err();
    }

    #[test]
    fn a_key_is_shown_and_what_cannot_be_one_is_not() {
        assert_eq!(shown(ValueRef::Text(b"wrun_01K-x")), "wrun_01K-x");
        assert_eq!(shown(ValueRef::Integer(5)), "5");
        for odd in [&b"a b"[..], b"{\"a\"}", &[0xff], &[b'a'; 81]] {
            assert_eq!(shown(ValueRef::Text(odd)), "?");
        }
    }
}
