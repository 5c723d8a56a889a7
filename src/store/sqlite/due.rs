//! The unclaimed messages, queue by queue, in the order in which they become due. A claim does not read
//! the messages of queues that it does not serve.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::domain::id::MessageId;

/// The place of a message in its queue: the time at which it becomes due, then its number.
type Place = (i64, i64);

/// The queues that have unclaimed messages and a name with one of these prefixes, each with the place
/// of its first message.
pub(super) fn queues(connection: &Connection, prefixes: &[String]) -> Result<Vec<(String, Place)>> {
    // The first row after a queue name gives both: the next queue's name and its first message.
    const FIRST_FROM: &str = "SELECT queue_name, available_at_ms, message_id \
         FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL AND queue_name >= ? \
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
            // The smallest text after the name.
            from = format!("{name}\0");
            queues.push((name, first));
        }
    }
    Ok(queues)
}

/// The prefixes that no other prefix covers.
fn apart(prefixes: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    // Texts that begin with a prefix directly follow it in the order.
    sorted.dedup_by(|later, kept| later.starts_with(*kept));
    sorted
}

/// The due unclaimed messages of some queues, the longest due first.
pub(super) struct Due<'a> {
    connection: &'a Connection,
    now_ms: i64,
    queues: Vec<String>,
    /// The next due message of each queue, with the queue.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    /// The message that was returned last, with its queue. The message after it is not looked up yet.
    last: Option<(Place, usize)>,
    next_due_at_ms: Option<i64>,
}

impl<'a> Due<'a> {
    /// The due messages of the queues whose names begin with one of the prefixes.
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

    /// The time at which the next message of these queues becomes due, after [`Due::next`] has returned
    /// all due ones.
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

    /// The first message of a queue after a place.
    fn behind(&self, place: Place, queue: usize) -> Result<Option<Place>> {
        const BEHIND: &str = "SELECT available_at_ms, message_id \
             FROM messages INDEXED BY messages_due \
             WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL AND queue_name = ?1 \
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

/// The number of unclaimed messages of a queue that become due in a span of time, up to a limit.
pub(super) fn count(
    connection: &Connection,
    queue: &str,
    (after_ms, until_ms): (i64, i64),
    limit: i64,
) -> Result<i64> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL AND queue_name = ? \
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
