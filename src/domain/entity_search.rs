//! The search for the events of one entity: a step, a hook, a wait or a change of attributes.
//!
//! No log has an index on them. The search goes from run to run, and in each scans the log from the event
//! that opened the entity on. It says what it wants; the store loads it.

use super::event::Event;
use super::id::{Position, RunId};
use super::page::{EventPlace, Page, PageRequest, SortOrder};

/// The number of events that one page scans. At this limit the page ends, even with few results, and its
/// cursor continues.
const SCANNED_MAX: Position = 10_000;

/// A search for one page.
#[derive(Debug)]
pub struct EntitySearch {
    is_in_one_run: bool,
    order: SortOrder,
    limit: usize,
    /// The number of events that it may still scan.
    left: Position,
    /// The place where the last page ended, until the search has passed it.
    after: Option<EventPlace>,
    found: Vec<Event>,
    wants: Wants,
}

/// What the search wants from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wants {
    /// The next run that has the entity, in the order of the page: answered by [`EntitySearch::run`].
    Run {
        /// It follows this run.
        from: Option<RunId>,
        /// It may be this run itself.
        or_itself: bool,
    },
    /// The position of the event that opened the entity in this run, and that of the last event of its
    /// log: answered by [`EntitySearch::ends`].
    Ends(RunId),
    /// The events of the entity in a part of a log, in the order of the page: answered by
    /// [`EntitySearch::events`].
    Events {
        /// The run.
        run_id: RunId,
        /// The first position of the part.
        first: Position,
        /// The last one.
        last: Position,
        /// At most so many events.
        limit: usize,
    },
    /// Nothing: [`EntitySearch::page`] is complete. The list goes on behind this place, if there is one.
    Nothing(Option<EventPlace>),
}

impl EntitySearch {
    /// A search in one run or in all runs, for the page behind a place.
    pub fn new(run_id: Option<&RunId>, page: &PageRequest, after: Option<EventPlace>) -> Self {
        let wants = match run_id {
            Some(run_id) => Wants::Ends(run_id.clone()),
            None => {
                let from = after.as_ref().map(|place| place.run_id.clone());
                Wants::Run { from, or_itself: true }
            }
        };
        Self {
            is_in_one_run: run_id.is_some(),
            order: page.order,
            limit: page.limit,
            left: SCANNED_MAX,
            after,
            found: Vec::new(),
            wants,
        }
    }

    /// What it wants next.
    pub fn wants(&self) -> Wants {
        self.wants.clone()
    }

    /// Answers [`Wants::Run`]; `None` if there is no such run.
    pub fn run(&mut self, run_id: Option<RunId>) {
        self.wants = run_id.map_or(Wants::Nothing(None), Wants::Ends);
    }

    /// Answers [`Wants::Ends`]; `None` if the run does not have the entity.
    pub fn ends(&mut self, ends: Option<(Position, Position)>) {
        let Wants::Ends(run_id) = &self.wants else { return };
        let run_id = run_id.clone();
        let behind = self.after.take().filter(|place| place.run_id == run_id);
        let behind = behind.map(|place| place.position);
        let part = ends.and_then(|ends| scanned(self.order, ends, behind, self.left));
        self.wants = match part {
            Some((first, last)) => {
                self.left -= last - first + 1;
                Wants::Events { run_id, first, last, limit: self.limit + 1 - self.found.len() }
            }
            None => self.next_run(run_id),
        };
    }

    /// Answers [`Wants::Events`].
    pub fn events(&mut self, events: Vec<Event>) {
        let Wants::Events { run_id, first, last, .. } = &self.wants else { return };
        let (run_id, first, last) = (run_id.clone(), *first, *last);
        self.found.extend(events);
        self.wants = if self.found.len() > self.limit {
            Wants::Nothing(None)
        } else if self.left == 0 {
            let position = if self.order == SortOrder::Ascending { last } else { first };
            Wants::Nothing(Some(EventPlace { run_id, position }))
        } else {
            self.next_run(run_id)
        };
    }

    fn next_run(&self, run_id: RunId) -> Wants {
        match self.is_in_one_run {
            true => Wants::Nothing(None),
            false => Wants::Run { from: Some(run_id), or_itself: false },
        }
    }

    /// The page.
    pub fn page(self) -> Page<Event> {
        let page = Page::from_lookahead(self.found, self.limit, EventPlace::key_of);
        match self.wants {
            Wants::Nothing(Some(place)) => {
                Page { cursor: Some(place.key()), has_more: true, ..page }
            }
            _ => page,
        }
    }
}

/// The positions of a log that a page scans: at most `left` of them, between the event that opened the
/// entity and the end of the log, behind the place where the last page ended. `None` if there are none.
fn scanned(
    order: SortOrder,
    (opened, end): (Position, Position),
    behind: Option<Position>,
    left: Position,
) -> Option<(Position, Position)> {
    let (first, last) = match order {
        SortOrder::Ascending => {
            let first = behind.map_or(opened, |behind| opened.max(behind + 1));
            (first, end.min(first + left - 1))
        }
        SortOrder::Descending => {
            let last = behind.map_or(end, |behind| end.min(behind - 1));
            (opened.max(last - left + 1), last)
        }
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::event::EventType;

    #[test]
    fn a_page_scans_what_is_left_behind_its_place_and_not_before_the_entity() {
        use SortOrder::{Ascending, Descending};
        assert_eq!(scanned(Ascending, (3, 20), None, 5), Some((3, 7)));
        assert_eq!(scanned(Ascending, (3, 20), Some(18), 5), Some((19, 20)));
        assert_eq!(scanned(Ascending, (3, 20), Some(20), 5), None);
        assert_eq!(scanned(Descending, (3, 20), None, 5), Some((16, 20)));
        assert_eq!(scanned(Descending, (3, 20), Some(5), 5), Some((3, 4)));
        assert_eq!(scanned(Descending, (3, 20), Some(3), 5), None);
    }

    /// The logs of some runs: for each event, whether it is one of the entity.
    type Logs = Vec<Vec<bool>>;

    fn run_id(number: usize) -> RunId {
        RunId::new(format!("wrun_{number}"))
    }

    fn event(run: usize, position: usize) -> Event {
        Event {
            run_id: run_id(run),
            position: position as Position,
            event_type: EventType::StepCreated,
            correlation_id: None,
            created_at_ms: 0,
            spec_version: 0,
            data: None,
            run_spec_version: 0,
            payload: None,
            resume: None,
        }
    }

    fn has_entity(log: &[bool]) -> bool {
        log.contains(&true)
    }

    /// Loads what the search wants.
    fn answer(search: &mut EntitySearch, logs: &Logs) -> bool {
        let is_forward = search.order == SortOrder::Ascending;
        let log_of = |id: &RunId| (0..logs.len()).find(|run| run_id(*run) == *id);
        match search.wants() {
            Wants::Run { from, or_itself } => {
                let from = from.as_ref().and_then(log_of);
                let follows = |run: &usize| match from {
                    None => true,
                    Some(from) if *run == from => or_itself,
                    Some(from) => (*run > from) == is_forward,
                };
                let mut runs: Vec<usize> = (0..logs.len()).collect();
                if !is_forward {
                    runs.reverse();
                }
                let mut runs = runs.into_iter().filter(|run| has_entity(&logs[*run]));
                search.run(runs.find(follows).map(run_id));
            }
            Wants::Ends(id) => {
                let log = log_of(&id).map(|run| &logs[run]);
                search.ends(log.and_then(|log| {
                    let opened = log.iter().position(|is_one| *is_one)?;
                    Some((opened as Position, log.len() as Position - 1))
                }));
            }
            Wants::Events { run_id, first, last, limit } => {
                let run = log_of(&run_id).unwrap_or_default();
                let mut positions: Vec<usize> = (first as usize..=last as usize).collect();
                if !is_forward {
                    positions.reverse();
                }
                let ones = positions.into_iter().filter(|position| logs[run][*position]);
                search.events(ones.take(limit).map(|position| event(run, position)).collect());
            }
            Wants::Nothing(_) => return false,
        }
        true
    }

    proptest! {
        #[test]
        fn the_pages_together_are_all_events_of_the_entity_in_order(
            logs in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..12), 0..6),
            limit in 1_usize..5,
            scanned_max in 1_i64..9,
            is_forward in any::<bool>(),
            only in prop::option::of(0_usize..6),
        ) {
            let order = if is_forward { SortOrder::Ascending } else { SortOrder::Descending };
            let only_id = only.map(run_id);
            let (mut read, mut after) = (Vec::new(), None);
            loop {
                let page = PageRequest { limit, after, order };
                let place = page.after_event().expect("a key");
                let mut search = EntitySearch::new(only_id.as_ref(), &page, place);
                search.left = scanned_max;
                while answer(&mut search, &logs) {}
                let page = search.page();
                prop_assert!(page.items.len() <= limit);
                read.extend(page.items.iter().map(EventPlace::of));
                if !page.has_more {
                    break;
                }
                after = page.cursor;
            }
            let mut all: Vec<EventPlace> = (0..logs.len())
                .filter(|run| only.is_none_or(|only| only == *run))
                .flat_map(|run| (0..logs[run].len()).map(move |position| (run, position)))
                .filter(|(run, position)| logs[*run][*position])
                .map(|(run, position)| EventPlace::of(&event(run, position)))
                .collect();
            if !is_forward {
                all.reverse();
            }
            prop_assert_eq!(read, all);
        }
    }
}
