//! Pages: cursors, limits and orders of every list.

/// Items on a page when the caller does not say.
pub const LIMIT_DEFAULT: usize = 100;
/// Most items on a page (`contract.md` 2.5).
pub const LIMIT_MAX: usize = 1000;

/// Which way a list runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortOrder {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// At most this many items, 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Continue behind this key, exclusive.
    pub after: Option<String>,
    /// Which way.
    pub order: SortOrder,
}

impl PageRequest {
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
    /// Where to go on: the key of the last item. Present on the last page too, so that a reader can
    /// ask later for what has come since; `None` only when the page is empty.
    pub cursor: Option<String>,
    /// Whether more items stand behind this page now.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Makes a page out of up to `limit + 1` items: the extra one only says that there are more.
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
    fn the_last_page_keeps_its_cursor_and_an_empty_page_has_none() {
        let page = Page::from_lookahead(vec![1, 2], 2, i32::to_string);
        assert_eq!((page.cursor.as_deref(), page.has_more), (Some("2"), false));
        let page = Page::from_lookahead(vec![1, 2, 3], 2, i32::to_string);
        assert_eq!((page.items.len(), page.cursor.as_deref(), page.has_more), (2, Some("2"), true));
        assert_eq!(Page::from_lookahead(Vec::<i32>::new(), 2, i32::to_string).cursor, None);
    }
}
