//! The unclaimed messages, in the order in which they become due: lane by lane, where all messages of a
//! lane need the same. A claim does not read the messages of lanes that it may not take.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::stopped_messages::COUNTED_MAX;
use crate::domain::id::MessageId;
use crate::domain::queue::offer::Demand;
use crate::store::upkeep::QueuedFor;

/// The place of a message in its lane: the time at which it becomes due, then its number.
type Place = (i64, i64);

/// What the messages of a lane have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) queue_name: String,
    pub(super) demand: Demand,
}

/// The lanes that have unclaimed messages, in queues whose names begin with one of these prefixes, each
/// with the place of its first message.
pub(super) fn lanes(connection: &Connection, prefixes: &[String]) -> Result<Vec<(Lane, Place)>> {
    // The first row behind a lane gives both: the next lane and its first message.
    const FIRST_BEHIND: &str = "SELECT queue_name, deployment_id, spec_version, available_at_ms, \
         message_id FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
         AND (queue_name, deployment_id, spec_version) > (?, ?, ?) \
         ORDER BY queue_name, deployment_id, spec_version, available_at_ms, message_id LIMIT 1";
    let first_of = |row: &Row<'_>| {
        let demand = Demand { deployment_id: row.get(1)?, spec_version: row.get(2)? };
        Ok((Lane { queue_name: row.get(0)?, demand }, (row.get(3)?, row.get(4)?)))
    };
    let mut first_behind = connection.prepare_cached(FIRST_BEHIND)?;
    let mut lanes: Vec<(Lane, Place)> = Vec::new();
    for prefix in apart(prefixes) {
        // Less than any lane of a queue with this name.
        let (mut name, mut deployment_id, mut spec_version) =
            (prefix.to_owned(), String::new(), -1);
        loop {
            let key = params![name, deployment_id, spec_version];
            let next = first_behind.query_row(key, first_of).optional()?;
            let Some((lane, first)) = next.filter(|(lane, _)| lane.queue_name.starts_with(prefix))
            else {
                break;
            };
            name.clone_from(&lane.queue_name);
            deployment_id.clone_from(&lane.demand.deployment_id);
            spec_version = i64::from(lane.demand.spec_version);
            lanes.push((lane, first));
        }
    }
    Ok(lanes)
}

/// The prefixes that no other prefix covers.
fn apart(prefixes: &[String]) -> Vec<&str> {
    let mut sorted: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    // Texts that begin with a prefix directly follow it in the order.
    sorted.dedup_by(|later, kept| later.starts_with(*kept));
    sorted
}

/// The due unclaimed messages of some lanes, the longest due first.
pub(super) struct Due<'a> {
    connection: &'a Connection,
    now_ms: i64,
    lanes: Vec<Lane>,
    /// The next due message of each lane, with the lane.
    heads: BinaryHeap<Reverse<(Place, usize)>>,
    /// The message that was returned last, with its lane. The message after it is not looked up yet.
    last: Option<(Place, usize)>,
    next_due_at_ms: Option<i64>,
}

impl<'a> Due<'a> {
    /// The due messages of the lanes that `takes` accepts.
    pub(super) fn of(
        connection: &'a Connection,
        prefixes: &[String],
        takes: impl Fn(&Lane) -> bool,
        now_ms: i64,
    ) -> Result<Self> {
        let lanes = lanes(connection, prefixes)?.into_iter().filter(|(lane, _)| takes(lane));
        let (lanes, firsts): (Vec<_>, Vec<_>) = lanes.unzip();
        let heads = BinaryHeap::with_capacity(lanes.len());
        let mut due = Self { connection, now_ms, lanes, heads, last: None, next_due_at_ms: None };
        for (lane, first) in firsts.into_iter().enumerate() {
            due.add(first, lane);
        }
        Ok(due)
    }

    /// The next due message.
    pub(super) fn next(&mut self) -> Result<Option<MessageId>> {
        if let Some((place, lane)) = self.last.take()
            && let Some(next) = self.behind(place, lane)?
        {
            self.add(next, lane);
        }
        self.last = self.heads.pop().map(|Reverse(head)| head);
        Ok(self.last.map(|((_, number), _)| MessageId::from_number(number)))
    }

    /// The time at which the next message of these lanes becomes due, after [`Due::next`] has returned
    /// all due ones.
    pub(super) fn next_due_at_ms(self) -> Option<i64> {
        self.next_due_at_ms.filter(|_| self.heads.is_empty() && self.last.is_none())
    }

    fn add(&mut self, place: Place, lane: usize) {
        if place.0 <= self.now_ms {
            return self.heads.push(Reverse((place, lane)));
        }
        let next_ms = self.next_due_at_ms.unwrap_or(place.0);
        self.next_due_at_ms = Some(next_ms.min(place.0));
    }

    /// The first message of a lane after a place.
    fn behind(&self, place: Place, lane: usize) -> Result<Option<Place>> {
        const BEHIND: &str = "SELECT available_at_ms, message_id \
             FROM messages INDEXED BY messages_due \
             WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
             AND queue_name = ?1 AND deployment_id = ?2 AND spec_version = ?3 \
             AND (available_at_ms, message_id) > (?4, ?5) \
             ORDER BY available_at_ms, message_id LIMIT 1";
        let Lane { queue_name, demand } = &self.lanes[lane];
        let key = params![queue_name, demand.deployment_id, demand.spec_version, place.0, place.1];
        self.connection
            .prepare_cached(BEHIND)?
            .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }
}

/// The number of unclaimed messages of a lane that become due in a span of time, up to a limit.
pub(super) fn count(
    connection: &Connection,
    lane: &Lane,
    (after_ms, until_ms): (i64, i64),
    limit: i64,
) -> Result<i64> {
    const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
         AND queue_name = ? AND deployment_id = ? AND spec_version = ? \
         AND available_at_ms > ? AND available_at_ms <= ? LIMIT ?)";
    let Lane { queue_name, demand } = lane;
    let key =
        params![queue_name, demand.deployment_id, demand.spec_version, after_ms, until_ms, limit];
    connection.prepare_cached(COUNT)?.query_row(key, |row| row.get(0))
}

/// The messages by what they need.
pub(super) fn by_demand(connection: &Connection, now_ms: i64) -> Result<Vec<QueuedFor>> {
    const LEASED: &str =
        "SELECT deployment_id, spec_version, run_id FROM messages WHERE lease_token IS NOT NULL";
    const RUNS: &str = "SELECT run_id FROM messages INDEXED BY messages_due \
         WHERE lease_token IS NULL AND dead_at_ms IS NULL AND held_at_ms IS NULL \
         AND queue_name = ? AND deployment_id = ? AND spec_version = ? \
         AND available_at_ms <= ? AND run_id IS NOT NULL LIMIT ?";
    let mut all: BTreeMap<Demand, (QueuedFor, HashSet<String>)> = BTreeMap::new();
    for (lane, _) in lanes(connection, &[String::new()])? {
        let (queued, runs) = all.entry(lane.demand.clone()).or_default();
        queued.due += count(connection, &lane, (i64::MIN, now_ms), COUNTED_MAX)?;
        queued.sleeping += count(connection, &lane, (now_ms, i64::MAX), COUNTED_MAX)?;
        let Lane { queue_name, demand } = &lane;
        let key =
            params![queue_name, demand.deployment_id, demand.spec_version, now_ms, COUNTED_MAX];
        let mut statement = connection.prepare_cached(RUNS)?;
        for run_id in statement.query_map(key, |row| row.get(0))? {
            runs.insert(run_id?);
        }
    }
    let mut statement = connection.prepare_cached(LEASED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let demand = Demand { deployment_id: row.get(0)?, spec_version: row.get(1)? };
        let (queued, runs) = all.entry(demand).or_default();
        queued.leased += 1;
        runs.extend(row.get::<_, Option<String>>(2)?);
    }
    let of_demand = |(demand, (queued, runs)): (Demand, (QueuedFor, HashSet<String>))| QueuedFor {
        demand,
        runs: runs.len() as i64,
        ..queued
    };
    Ok(all.into_iter().map(of_demand).collect())
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
