//! A cache with a limit. What is in it never changes, so losing it costs a question and no more: when it is full it is emptied.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

/// Values by key, at most `max` of them.
pub(crate) struct Bounded<K, V> {
    max: usize,
    entries: RwLock<HashMap<K, V>>,
}

impl<K: Eq + Hash, V: Clone> Bounded<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max: max.max(1), entries: RwLock::default() }
    }

    /// The value of `key`, made by `make` if it is not there. Nothing is kept of an error.
    pub(crate) fn get_or<E>(&self, key: K, make: impl FnOnce(&K) -> Result<V, E>) -> Result<V, E> {
        let known = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(value) = known {
            return Ok(value);
        }
        // Outside of the lock: it may take seconds. Two threads may make the same value once each.
        let value = make(&key)?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.max {
            entries.clear();
        }
        entries.insert(key, value.clone());
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_limit_and_no_errors() {
        let cache = Bounded::new(3);
        for key in 0..100 {
            assert_eq!(cache.get_or(key, |key| Ok::<_, ()>(key * 2)), Ok(key * 2));
            assert!(cache.entries.read().unwrap().len() <= 3);
        }
        assert_eq!(cache.get_or(99, |_| Err("asked again")), Ok(198));
        assert_eq!(cache.get_or(7, |_| Err("down")), Err("down"));
        assert_eq!(cache.get_or(7, |_| Ok::<_, ()>(1)), Ok(1));
    }
}
