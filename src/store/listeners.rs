//! Listeners that a store notifies of commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, RwLock, Weak};

use super::CommitNews;
use crate::lock;

/// A listener that is notified after each commit that may matter to a waiter.
pub trait CommitListener: Send + Sync {
    /// Receives the changes that a commit made visible. It must not block.
    fn hear(self: Arc<Self>, news: &CommitNews);
}

impl<F: Fn(&CommitNews) + Send + Sync> CommitListener for F {
    fn hear(self: Arc<Self>, news: &CommitNews) {
        self(news);
    }
}

/// The listeners of a store. Each stays until its owner drops it.
#[derive(Default)]
pub struct Listeners(RwLock<Vec<Weak<dyn CommitListener>>>);

impl Listeners {
    /// Adds a listener and removes those that were dropped.
    pub fn add(&self, listener: Weak<dyn CommitListener>) {
        let mut all = lock::write(&self.0);
        all.retain(|listener| listener.strong_count() > 0);
        all.push(listener);
    }

    /// Notifies all listeners, unless there is nothing to report.
    pub fn tell(&self, news: &CommitNews) {
        if *news == CommitNews::default() {
            return;
        }
        let all = lock::read(&self.0);
        for listener in all.iter().filter_map(Weak::upgrade) {
            // The notifying thread serves others too, and would end silently. The panic has been
            // printed.
            let _ = catch_unwind(AssertUnwindSafe(|| listener.hear(news)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_listener_that_panics_harms_neither_the_next_one_nor_who_tells() {
        let (listeners, heard) = (Listeners::default(), Arc::new(AtomicUsize::new(0)));
        let hearing = Arc::clone(&heard);
        let broken: Arc<dyn CommitListener> = Arc::new(|_: &CommitNews| panic!("broken"));
        let next: Arc<dyn CommitListener> = Arc::new(move |_: &CommitNews| {
            hearing.fetch_add(1, Ordering::SeqCst);
        });
        [&broken, &next].iter().for_each(|listener| listeners.add(Arc::downgrade(listener)));
        listeners.tell(&CommitNews { queue: true, ..CommitNews::default() });
        assert_eq!(heard.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_listener_is_told_until_it_has_gone_and_then_makes_room() {
        let (listeners, heard) = (Listeners::default(), Arc::new(AtomicUsize::new(0)));
        let news = CommitNews { queue: true, ..CommitNews::default() };
        for number in 1..=3 {
            let hearing = Arc::clone(&heard);
            let listener: Arc<dyn CommitListener> = Arc::new(move |_: &CommitNews| {
                hearing.fetch_add(1, Ordering::SeqCst);
            });
            listeners.add(Arc::downgrade(&listener));
            listeners.tell(&news);
            listeners.tell(&CommitNews::default());
            assert_eq!(heard.load(Ordering::SeqCst), number);
            assert_eq!(lock::read(&listeners.0).len(), 1);
        }
    }
}
