//! Writes that wait for their turn. Those of one kind become one statement.

use super::db::Value;

/// Rows of one statement.
const ROWS_MAX: usize = 1000;
/// Bytes of the values of one statement, above which it takes no more rows.
const BYTES_MAX: usize = 4 << 20;

/// How writes of one kind become one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// The only table that it reads and writes.
    pub(super) table: &'static str,
    /// The statement for many: each parameter is the array of what is a value in the statement for one.
    pub(super) many: &'static str,
    /// So many values, the first ones, name the row.
    pub(super) key: usize,
    pub(super) does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    Insert,
    /// Leaves the same, however often it is done, whatever was there before.
    Update,
    /// Deletes the row with the key.
    Delete,
}

/// A write that waits for its turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Write {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
    /// `None` for a statement that may read or write anything, and keeps its place among the others.
    pub(super) kind: Option<&'static Kind>,
}

impl Write {
    pub(super) fn new(sql: &'static str, values: impl Into<Vec<Value>>) -> Self {
        Self { sql, values: values.into(), kind: None }
    }

    /// One of a kind.
    pub(super) fn of(
        kind: &'static Kind,
        sql: &'static str,
        values: impl Into<Vec<Value>>,
    ) -> Self {
        Self { kind: Some(kind), ..Self::new(sql, values) }
    }
}

/// Writes that become one statement.
struct Group {
    first: Write,
    /// The rows after the first one.
    more: Vec<Vec<Value>>,
    bytes: usize,
}

fn bytes_of(values: &[Value]) -> usize {
    values.iter().map(Value::bytes).sum()
}

impl Group {
    fn of(first: Write) -> Self {
        let bytes = bytes_of(&first.values);
        Self { first, more: Vec::new(), bytes }
    }

    fn is_full(&self) -> bool {
        self.more.len() + 1 >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    fn rows_mut(&mut self) -> impl Iterator<Item = &mut Vec<Value>> {
        std::iter::once(&mut self.first.values).chain(&mut self.more)
    }

    /// Whether a write may come before the rows of this group instead of after them.
    fn commutes(&self, write: &Write, kind: &Kind) -> bool {
        let Some(own) = self.first.kind else { return false };
        if own.table != kind.table {
            return true;
        }
        let key = &write.values[..kind.key];
        let mut rows = std::iter::once(&self.first.values).chain(&self.more);
        // It only gives up what other rows may take.
        kind.does == Does::Delete
            && own.does == Does::Insert
            && own.key == kind.key
            && rows.all(|row| row[..own.key] != *key)
    }

    fn add(&mut self, kind: &Kind, values: Vec<Value>) {
        self.bytes += bytes_of(&values);
        if kind.does == Does::Update
            && let Some(row) = self.rows_mut().find(|row| row[..kind.key] == values[..kind.key])
        {
            *row = values;
            return;
        }
        self.more.push(values);
    }

    fn into_write(self) -> Write {
        let Some(kind) = self.first.kind.filter(|_| !self.more.is_empty()) else {
            return self.first;
        };
        let mut columns: Vec<Vec<Value>> =
            self.first.values.into_iter().map(|it| vec![it]).collect();
        for row in self.more {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let columns: Vec<Value> = columns.into_iter().map(Value::Column).collect();
        Write::new(kind.many, columns)
    }
}

/// The statements that write the same.
pub(super) fn merged(writes: Vec<Write>) -> Vec<Write> {
    let mut groups: Vec<Group> = Vec::new();
    'writes: for write in writes {
        let Some(kind) = write.kind else {
            groups.push(Group::of(write));
            continue;
        };
        let mut place = groups.len();
        for at in (0..groups.len()).rev() {
            let group = &mut groups[at];
            if group.first.kind == Some(kind) && group.first.sql == write.sql && !group.is_full() {
                group.add(kind, write.values);
                continue 'writes;
            }
            if !group.commutes(&write, kind) {
                break;
            }
            // Deletions first: so those that come later find them.
            if kind.does == Does::Delete {
                place = at;
            }
        }
        groups.insert(place, Group::of(write));
    }
    groups.into_iter().map(Group::into_write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::db::values;

    const fn kind(table: &'static str, many: &'static str, does: Does) -> Kind {
        Kind { table, many, key: 1, does }
    }

    static INSERTS: Kind = kind("a", "insert many", Does::Insert);
    static UPDATES: Kind = kind("a", "update many", Does::Update);
    static DELETES: Kind = kind("a", "delete many", Does::Delete);
    static OTHERS: Kind = kind("b", "insert others", Does::Insert);

    fn insert(key: i64) -> Write {
        Write::of(&INSERTS, "insert", values![key, "x"])
    }

    fn update(key: i64, to: &str) -> Write {
        Write::of(&UPDATES, "update", values![key, to])
    }

    fn delete(key: i64) -> Write {
        Write::of(&DELETES, "delete", values![key])
    }

    fn other(key: i64) -> Write {
        Write::of(&OTHERS, "other", values![key])
    }

    fn texts(writes: Vec<Write>) -> Vec<&'static str> {
        merged(writes).into_iter().map(|write| write.sql).collect()
    }

    #[test]
    fn writes_of_one_kind_become_one_statement_across_those_of_other_tables() {
        let all = merged(vec![insert(1), other(1), insert(2), other(2)]);
        assert_eq!(
            all.iter().map(|it| it.sql).collect::<Vec<_>>(),
            ["insert many", "insert others"]
        );
        let column = |values: &[Value]| Value::Column(values.to_vec());
        assert_eq!(all[0].values, [column(&values![1_i64, 2_i64]), column(&values!["x", "x"])]);
    }

    #[test]
    fn one_write_stays_as_it_is() {
        assert_eq!(merged(vec![insert(1)]), [insert(1)]);
    }

    #[test]
    fn the_last_of_several_updates_of_a_row_counts() {
        let all = merged(vec![update(1, "a"), update(2, "b"), update(1, "c")]);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].values[1], Value::Column(values!["c", "b"].to_vec()));
        assert_eq!(merged(vec![update(1, "a"), update(1, "b")]), [update(1, "b")]);
    }

    #[test]
    fn statements_of_one_table_keep_their_order() {
        assert_eq!(
            texts(vec![insert(1), update(1, "a"), insert(2)]),
            ["insert", "update", "insert"]
        );
    }

    #[test]
    fn nothing_is_moved_across_a_statement_of_no_kind() {
        let any = Write::new("any", []);
        assert_eq!(texts(vec![insert(1), any, insert(2)]), ["insert", "any", "insert"]);
    }

    #[test]
    fn deletions_come_before_insertions_of_other_rows_only() {
        let all = vec![insert(1), delete(8), insert(2), delete(9)];
        assert_eq!(texts(all), ["delete many", "insert many"]);
        assert_eq!(texts(vec![insert(1), delete(1)]), ["insert", "delete"]);
    }

    #[test]
    fn a_statement_has_a_bounded_number_of_rows_and_bytes() {
        let rows = i64::try_from(ROWS_MAX).unwrap();
        assert_eq!(merged((0..=rows).map(insert).collect()).len(), 2);
        let long = "x".repeat(BYTES_MAX);
        let inserts =
            [1_i64, 2].map(|key| Write::of(&INSERTS, "insert", values![key, long.as_str()]));
        assert_eq!(merged(inserts.into()).len(), 2);
    }
}
