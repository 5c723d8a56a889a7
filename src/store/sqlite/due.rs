//! The messages that nobody has claimed, queue by queue, in the order in which they become due.
//! The messages of a queue that is not asked for are not read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::domain::id::MessageId;

/// Where a message is in its queue: when it becomes due, then its number.
type Place = (i64, i64);

/// The queues that have unclaimed messages and whose names begin with one of the prefixes, each with
/// the place of its first one.
pub(super) fn queues(connection: &Connection, prefixes: &[String]) -> Result<Vec<(String, Place)>> {
    // The first row of a queue is both, its name and its first message.
    const FIRST_FROM: &str = "SELECT queue_name, available_at_ms, message_id \
         FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND queue_name >= ? \
         ORDER BY queue_name, available_at_ms, message_id LIMIT 1";
    let first_of = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)));
    let mut first_from = connection.prepare_cached(FIRST_FROM)?;
    let mut queues = Vec::new();
    for prefix in apart(prefixes) {
        let mut from = prefix.to_owned();
        loop {
            let next = first_from.query_row([&from], first_of).optional()?;
            let Some((name, first)) = next.filter(|(name, _)| name.starts_with(prefix)) else {
                break;
            };
            // The smallest text behind the name.
            from = format!("{name}\0");
            queues.push((name, first));
        }
    }
    Ok(queues)
}

/// The prefixes without those that another one covers.
fn apart(prefixes: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    // Whatever begins with a text comes right behind it.
    sorted.dedup_by(|later, kept| later.starts_with(*kept));
    sorted
}

/// The unclaimed messages of some queues that are due, the longest due first.
pub(super) struct Due<'a> {
    connection: &'a Connection,
    now_ms: i64,
    queues: Vec<String>,
    /// The first due message of each queue that is still to come, with the queue.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    /// The message that was given last, with its queue, behind which nobody has looked yet.
    last: Option<(Place, usize)>,
    next_due_at_ms: Option<i64>,
}

impl<'a> Due<'a> {
    /// Of the queues whose names begin with one of the prefixes.
    pub(super) fn of(connection: &'a Connection, prefixes: &[String], now_ms: i64) -> Result<Self> {
        let (queues, firsts): (Vec<_>, Vec<_>) = queues(connection, prefixes)?.into_iter().unzip();
        let heads = BinaryHeap::with_capacity(queues.len());
        let mut due = Self { connection, now_ms, queues, heads, last: None, next_due_at_ms: None };
        for (queue, first) in firsts.into_iter().enumerate() {
            due.add(first, queue);
        }
        Ok(due)
    }

    /// The next due message.
    pub(super) fn next(&mut self) -> Result<Option<MessageId>> {
        if let Some((place, queue)) = self.last.take()
            && let Some(next) = self.behind(place, queue)?
        {
            self.add(next, queue);
        }
        self.last = self.heads.pop().map(|Reverse(head)| head);
        Ok(self.last.map(|((_, number), _)| MessageId::from_number(number)))
    }

    /// When the next message of these queues becomes due, once [`Due::next`] has given all that are.
    pub(super) fn next_due_at_ms(self) -> Option<i64> {
        self.next_due_at_ms.filter(|_| self.heads.is_empty() && self.last.is_none())
    }

    fn add(&mut self, place: Place, queue: usize) {
        if place.0 <= self.now_ms {
            return self.heads.push(Reverse((place, queue)));
        }
        let next_ms = self.next_due_at_ms.unwrap_or(place.0);
        self.next_due_at_ms = Some(next_ms.min(place.0));
    }

    /// The first message of a queue behind a place.
    fn behind(&self, place: Place, queue: usize) -> Result<Option<Place>> {
        const BEHIND: &str = "SELECT available_at_ms, message_id \
             FROM messages INDEXED BY messages_due \
             WHERE lease_token IS NULL AND dead_at_ms IS NULL AND queue_name = ?1 \
             AND (available_at_ms, message_id) > (?2, ?3) \
             ORDER BY available_at_ms, message_id LIMIT 1";
        self.connection
            .prepare_cached(BEHIND)?
            .query_row(params![self.queues[queue], place.0, place.1], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
    }
}

/// How many unclaimed messages of a queue become due in a span of time, up to a limit.
pub(super) fn count(
    connection: &Connection,
    queue: &str,
    (after_ms, until_ms): (i64, i64),
    limit: i64,
) -> Result<i64> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND queue_name = ? \
         AND available_at_ms > ? AND available_at_ms <= ? LIMIT ?)";
    connection
        .prepare_cached(COUNT)?
        .query_row(params![queue, after_ms, until_ms, limit], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_another_one_covers_is_left_out() {
        let prefixes = ["b_", "a_x_", "a_", "b_", "a_y"].map(str::to_owned);
        assert_eq!(apart(&prefixes), ["a_", "b_"]);
        assert_eq!(apart(&["a".to_owned(), String::new()]), [""]);
    }
}
