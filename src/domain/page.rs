//! Pages: the cursors, limits and orders of all lists.

use super::event::Event;
use super::id::{Position, RunId};
use super::refusal::Refusal;

/// Items on a page if the caller gives no limit.
pub const LIMIT_DEFAULT: usize = 100;
/// Most items on a page.
pub const LIMIT_MAX: usize = 1000;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortOrder {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// The part of a list that the caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// The page begins after this key (exclusive).
    pub after: Option<String>,
    /// The order of the list.
    pub order: SortOrder,
}

/// The position of an event in a list over several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPlace {
    /// The run.
    pub run_id: RunId,
    /// The event's position in its log.
    pub position: Position,
}

impl EventPlace {
    /// The place of an event.
    pub fn of(event: &Event) -> Self {
        Self { run_id: event.run_id.clone(), position: event.position }
    }

    /// The key of an event's place.
    pub fn key_of(event: &Event) -> String {
        Self::of(event).key()
    }

    /// The key that [`PageRequest::after_event`] reads.
    pub fn key(&self) -> String {
        format!("{}:{}", self.run_id, self.position)
    }
}

impl PageRequest {
    /// The number after which a list of numbered rows continues.
    ///
    /// # Errors
    /// `CursorUnreadable`, as in the next two functions.
    pub fn after_number(&self) -> Result<Option<i64>, Refusal> {
        self.after_parsed(|key| key.parse().ok())
    }

    /// The run after which a list of runs continues.
    pub fn after_run(&self) -> Result<Option<RunId>, Refusal> {
        self.after_parsed(|key| key.starts_with("wrun_").then(|| RunId::new(key)))
    }

    /// The event after which a list of events continues.
    pub fn after_event(&self) -> Result<Option<EventPlace>, Refusal> {
        self.after_parsed(|key| {
            let (run_id, position) = key.rsplit_once(':')?;
            Some(EventPlace { run_id: RunId::new(run_id), position: position.parse().ok()? })
        })
    }

    fn after_parsed<T>(&self, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        let read = |key: &String| parse(key).ok_or(Refusal::CursorUnreadable);
        self.after.as_ref().map(read).transpose()
    }

    /// A first page in ascending order.
    pub fn first(limit: usize) -> Self {
        Self { limit, after: None, order: SortOrder::Ascending }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The key of the last item, after which the list continues. The last page has it too, so that a
    /// reader can ask later for new items. `None` only if the page is empty.
    pub cursor: Option<String>,
    /// Whether more items follow this page now.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Makes a page out of up to `limit + 1` items. The extra item only shows that more items follow.
    pub fn from_lookahead(mut items: Vec<T>, limit: usize, key: impl Fn(&T) -> String) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().map(key);
        Self { items, cursor, has_more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_by_the_list_that_gave_it_out() {
        let after = |key: &str| PageRequest { after: Some(key.into()), ..PageRequest::first(1) };
        let place = EventPlace { run_id: RunId::new("wrun_1"), position: 7 };
        assert_eq!(after(&place.key()).after_event(), Ok(Some(place)));
        assert_eq!(after("12").after_number(), Ok(Some(12)));
        assert_eq!(after("wrun_1").after_run(), Ok(Some(RunId::new("wrun_1"))));
        assert_eq!(PageRequest::first(1).after_number(), Ok(None));
        for foreign in ["", "x", "wrun_1:", "wrun_1:x"] {
            assert_eq!(after(foreign).after_number(), Err(Refusal::CursorUnreadable), "{foreign}");
            assert_eq!(after(foreign).after_event(), Err(Refusal::CursorUnreadable), "{foreign}");
        }
        assert_eq!(after("12").after_run(), Err(Refusal::CursorUnreadable));
    }

    #[test]
    fn the_last_page_keeps_its_cursor_and_an_empty_page_has_none() {
        let page = Page::from_lookahead(vec![1, 2], 2, i32::to_string);
        assert_eq!((page.cursor.as_deref(), page.has_more), (Some("2"), false));
        let page = Page::from_lookahead(vec![1, 2, 3], 2, i32::to_string);
        assert_eq!((page.items.len(), page.cursor.as_deref(), page.has_more), (2, Some("2"), true));
        assert_eq!(Page::from_lookahead(Vec::<i32>::new(), 2, i32::to_string).cursor, None);
    }
}
