//! A versioned store, as a test sees it.

use streams_state::store::{VersionedPut, VersionedStore};
use streams_state::types::Timestamp;

use super::store::Place;

/// One version of a row of a [`TestVersionedStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestVersion<V> {
    /// Value.
    pub value: V,
    /// From when it is valid, ms, included.
    pub valid_from: Timestamp,
    /// Until when it is valid, ms, excluded; `None` for the latest version.
    pub valid_to: Option<Timestamp>,
}

/// A versioned store of the topology. From
/// [`TopologyTestDriver::versioned_store`](super::TopologyTestDriver::versioned_store).
pub struct TestVersionedStore<K, V>(pub(super) Place<VersionedStore<K, V>>);

impl<K: Clone + 'static, V: Clone + 'static> TestVersionedStore<K, V> {
    /// The latest value of `key`.
    ///
    /// # Panics
    /// The key cannot be serialized, or the engine failed.
    #[track_caller]
    pub fn get(&self, key: &K) -> Option<V> {
        self.0.with(|store| Ok(store.get(key)?.map(|(value, _)| value.clone())))
    }

    /// The value of `key` at `time`.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn get_as_of(&self, key: &K, time: Timestamp) -> Option<V> {
        self.0.with(|store| Ok(store.get_as_of(key, time)?.map(|(value, _)| value.clone())))
    }

    /// All versions of `key` that are still kept, oldest first, without deletions.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn versions(&self, key: &K) -> Vec<TestVersion<V>> {
        let mut versions = Vec::new();
        let visit = &mut |value: &V, valid_from: Timestamp, valid_to: Option<Timestamp>| {
            versions.push(TestVersion { value: value.clone(), valid_from, valid_to });
        };
        self.0.with(|store| store.versions(key, Timestamp::MIN, Timestamp::MAX, visit));
        versions
    }

    /// All versions of all keys, keys in byte order, oldest version first.
    ///
    /// # Panics
    /// The engine failed.
    #[track_caller]
    pub fn all(&self) -> Vec<(K, TestVersion<V>)> {
        let mut all = Vec::new();
        let visit = &mut |key: &K, value: &V, valid_from: Timestamp, valid_to: Option<Timestamp>| {
            all.push((key.clone(), TestVersion { value: value.clone(), valid_from, valid_to }));
        };
        self.0.with(|store| store.for_each_version(visit));
        all
    }

    /// Adds a version behind the back of the topology; `None` deletes.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn put(&self, key: &K, value: Option<V>, timestamp: Timestamp) -> VersionedPut {
        self.0.with(|store| store.put(key, value, timestamp))
    }
}
