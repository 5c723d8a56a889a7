//! The messages that nobody has claimed, queue by queue, in the order in which they become due.
//! The messages of a queue that is not asked for are not read.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::domain::id::MessageId;

/// The queues that have unclaimed messages and whose names begin with one of the prefixes.
pub(super) fn queues(connection: &Connection, prefixes: &[String]) -> Result<BTreeSet<String>> {
    const FIRST_FROM: &str = "SELECT queue_name FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND queue_name >= ? \
         ORDER BY queue_name LIMIT 1";
    let mut first_from = connection.prepare_cached(FIRST_FROM)?;
    let mut queues = BTreeSet::new();
    for prefix in prefixes {
        let mut from = prefix.clone();
        loop {
            let next: Option<String> =
                first_from.query_row([&from], |row| row.get(0)).optional()?;
            let Some(name) = next.filter(|name| name.starts_with(prefix)) else { break };
            // The smallest text behind the name.
            from = format!("{name}\0");
            queues.insert(name);
        }
    }
    Ok(queues)
}

/// Where a message is in its queue: when it becomes due, then its number.
type Place = (i64, i64);

/// The unclaimed messages of some queues that are due, the longest due first.
pub(super) struct Due<'a> {
    connection: &'a Connection,
    now_ms: i64,
    queues: Vec<String>,
    /// The first due message of each queue that is still to come, with the queue.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    next_due_at_ms: Option<i64>,
}

impl<'a> Due<'a> {
    pub(super) fn of(
        connection: &'a Connection,
        queues: BTreeSet<String>,
        now_ms: i64,
    ) -> Result<Self> {
        let queues: Vec<String> = queues.into_iter().collect();
        let heads = BinaryHeap::with_capacity(queues.len());
        let mut due = Self { connection, now_ms, queues, heads, next_due_at_ms: None };
        for queue in 0..due.queues.len() {
            due.find_head(queue, (i64::MIN, i64::MIN))?;
        }
        Ok(due)
    }

    /// The next due message.
    pub(super) fn next(&mut self) -> Result<Option<MessageId>> {
        let Some(Reverse((place, queue))) = self.heads.pop() else { return Ok(None) };
        self.find_head(queue, place)?;
        Ok(Some(MessageId::from_number(place.1)))
    }

    /// When the next message of these queues becomes due that is not due yet.
    pub(super) fn next_due_at_ms(mut self) -> Result<Option<i64>> {
        while let Some(Reverse((_, queue))) = self.heads.pop() {
            self.find_head(queue, (self.now_ms, i64::MAX))?;
        }
        Ok(self.next_due_at_ms)
    }

    /// Finds the first message of a queue behind a place.
    fn find_head(&mut self, queue: usize, after: Place) -> Result<()> {
        const HEAD: &str = "SELECT available_at_ms, message_id \
             FROM messages INDEXED BY messages_due \
             WHERE lease_token IS NULL AND dead_at_ms IS NULL AND queue_name = ?1 \
             AND (available_at_ms, message_id) > (?2, ?3) \
             ORDER BY available_at_ms, message_id LIMIT 1";
        let head: Option<Place> = self
            .connection
            .prepare_cached(HEAD)?
            .query_row(params![self.queues[queue], after.0, after.1], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match head {
            Some(place) if place.0 <= self.now_ms => self.heads.push(Reverse((place, queue))),
            Some((at_ms, _)) => {
                let next = self.next_due_at_ms.unwrap_or(at_ms);
                self.next_due_at_ms = Some(next.min(at_ms));
            }
            None => {}
        }
        Ok(())
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

/// When the first unclaimed message of a queue became due, or becomes so.
pub(super) fn first_due_at_ms(connection: &Connection, queue: &str) -> Result<Option<i64>> {
    const FIRST: &str = "SELECT min(available_at_ms) FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND queue_name = ?";
    connection.prepare_cached(FIRST)?.query_row([queue], |row| row.get(0))
}
