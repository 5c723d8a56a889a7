//! Values that the users in this process share by a key. The first user makes the value, and it ends
//! with the last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::lock::lock;

/// Values by key. Making one delays no user of another key.
pub struct Sharing<K, T> {
    entries: Mutex<BTreeMap<K, Arc<Mutex<Entry<T>>>>>,
}

struct Entry<T> {
    /// `None` before the value is made, and after the last user has left.
    value: Option<Arc<T>>,
    users: usize,
}

impl<T> Default for Entry<T> {
    fn default() -> Self {
        Self { value: None, users: 0 }
    }
}

impl<K: Ord + Clone, T> Sharing<K, T> {
    /// An empty table.
    pub const fn new() -> Self {
        Self { entries: Mutex::new(BTreeMap::new()) }
    }

    /// Joins the users of a value. Makes the value if there is none; users that come meanwhile wait for
    /// it.
    ///
    /// # Errors
    /// The reason why `may_join` refuses the value, or why it cannot be made.
    pub fn join<E>(
        &self,
        key: &K,
        may_join: impl FnOnce(&T) -> Result<(), E>,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let entry = Arc::clone(lock(&self.entries).entry(key.clone()).or_default());
        let joined = {
            let mut entry = lock(&entry);
            let joined = match &entry.value {
                Some(value) => may_join(value).map(|()| Arc::clone(value)),
                None => make(),
            };
            if let Ok(value) = &joined {
                entry.value = Some(Arc::clone(value));
                entry.users += 1;
            }
            joined
        };
        self.remove_if_empty(key, entry);
        joined
    }

    /// Leaves the users of a value. The last user ends it; users that come meanwhile wait for that, and
    /// then make a new one.
    pub fn leave(&self, key: &K, end: impl FnOnce(&T)) {
        let Some(entry) = lock(&self.entries).get(key).cloned() else { return };
        {
            let mut entry = lock(&entry);
            entry.users = entry.users.saturating_sub(1);
            if entry.users == 0
                && let Some(value) = entry.value.take()
            {
                end(&value);
            }
        }
        self.remove_if_empty(key, entry);
    }

    /// Removes an entry without a value, unless another user is about to make one.
    fn remove_if_empty(&self, key: &K, entry: Arc<Mutex<Entry<T>>>) {
        let mut entries = lock(&self.entries);
        // The map's count and this one: an entry is taken from the map only under the map's lock.
        if Arc::strong_count(&entry) == 2 && lock(&entry).value.is_none() {
            entries.remove(key);
        }
        // Dropped under the lock too: if two users leave at once, the second sees that it is alone.
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    type Numbers = Sharing<&'static str, u32>;

    fn join(numbers: &Numbers, key: &'static str, make: impl FnOnce() -> u32) -> Arc<u32> {
        numbers.join(&key, |_| Ok::<_, ()>(()), || Ok(Arc::new(make()))).unwrap()
    }

    /// Leaves; the value that ended, if it did.
    fn ended(numbers: &Numbers, key: &'static str) -> Option<u32> {
        let mut ended = None;
        numbers.leave(&key, |value| ended = Some(*value));
        ended
    }

    #[test]
    fn a_new_value_is_made_only_when_the_old_one_has_ended() {
        let numbers = &Numbers::new();
        let ((ends, ending), (release, held)) = (channel(), channel::<()>());
        let has_ended = &std::sync::atomic::AtomicBool::new(false);
        join(numbers, "a", || 1);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                numbers.leave(&"a", |_| {
                    ends.send(()).unwrap();
                    held.recv().unwrap();
                    has_ended.store(true, std::sync::atomic::Ordering::SeqCst);
                });
            });
            ending.recv().unwrap();
            let next = scope.spawn(move || {
                join(numbers, "a", || {
                    assert!(has_ended.load(std::sync::atomic::Ordering::SeqCst));
                    2
                })
            });
            release.send(()).unwrap();
            assert_eq!(*next.join().unwrap(), 2);
        });
    }

    #[test]
    fn making_one_value_holds_up_no_other() {
        let numbers = &Numbers::new();
        let ((makes, making), (release, held)) = (channel(), channel::<()>());
        std::thread::scope(|scope| {
            let slow = scope.spawn(move || {
                join(numbers, "slow", || {
                    makes.send(()).unwrap();
                    held.recv().unwrap();
                    1
                })
            });
            making.recv().unwrap();
            // While another thread makes that value:
            assert_eq!(*join(numbers, "other", || 2), 2);
            assert_eq!(ended(numbers, "other"), Some(2));
            release.send(()).unwrap();
            assert_eq!(*slow.join().unwrap(), 1);
        });
    }

    #[test]
    fn two_who_come_at_once_share_one_value() {
        let numbers = &Numbers::new();
        let ((makes, making), (release, held)) = (channel(), channel::<()>());
        std::thread::scope(|scope| {
            let first = scope.spawn(move || {
                join(numbers, "a", || {
                    makes.send(()).unwrap();
                    held.recv().unwrap();
                    1
                })
            });
            making.recv().unwrap();
            let second = scope.spawn(move || join(numbers, "a", || 2));
            release.send(()).unwrap();
            let (first, second) = (first.join().unwrap(), second.join().unwrap());
            assert!(Arc::ptr_eq(&first, &second));
        });
        assert_eq!(ended(numbers, "a"), None, "the other one still uses it");
        assert_eq!(ended(numbers, "a"), Some(1));
    }

    #[test]
    fn a_value_is_made_again_after_a_failure_and_after_the_last_has_left() {
        let numbers = Numbers::new();
        let failed = numbers.join(&"a", |_| Ok(()), || Err("no"));
        assert_eq!(failed, Err("no"));
        assert_eq!(*join(&numbers, "a", || 1), 1);
        let refused = numbers.join(&"a", |_| Err("other settings"), || Ok(Arc::new(5)));
        assert_eq!(refused, Err("other settings"));
        assert_eq!(ended(&numbers, "a"), Some(1));
        assert_eq!(ended(&numbers, "a"), None);
        assert_eq!(*join(&numbers, "a", || 2), 2);
        ended(&numbers, "a");
        assert!(lock(&numbers.entries).is_empty(), "nothing is left of it");
    }
}
