//! Global stores in the hands of those who read them, one type for each kind of store. Nothing can be written through them.
//!
//! Each read locks the store: a visitor should be quick, and must not read the same store. Between two reads the store may
//! change.

use std::ops::ControlFlow;

use streams_state::error::StateError;
use streams_state::store::{
    KeyValueStore, KeyedRowVisitor, RowVisitor, SessionStore, VersionedStore, WindowStore,
};
use streams_state::types::{Timestamp, Window};

use super::SharedStore;

/// A global key-value store, to read: from [`ProcessingContext::global_store`](super::ProcessingContext::global_store).
/// It may change between two reads.
pub struct GlobalStoreRef<K, V>(pub(super) SharedStore<KeyValueStore<K, V>>);

/// A global window store, to read: from
/// [`ProcessingContext::global_window_store`](super::ProcessingContext::global_window_store).
pub struct GlobalWindowStoreRef<K, V>(pub(super) SharedStore<WindowStore<K, V>>);

/// A global session store, to read: from
/// [`ProcessingContext::global_session_store`](super::ProcessingContext::global_session_store).
pub struct GlobalSessionStoreRef<K, V>(pub(super) SharedStore<SessionStore<K, V>>);

/// A global versioned store, to read: from
/// [`ProcessingContext::global_versioned_store`](super::ProcessingContext::global_versioned_store).
pub struct GlobalVersionedStoreRef<K, V>(pub(super) SharedStore<VersionedStore<K, V>>);

/// A global store of a user's own type, to read: from
/// [`ProcessingContext::global_store_as`](super::ProcessingContext::global_store_as).
pub struct GlobalStoreView<S>(pub(crate) SharedStore<S>);

macro_rules! clones_are_the_same_store {
    ($($name:ident<$($of:ident),+>),+) => {$(
        impl<$($of),+> Clone for $name<$($of),+> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }
    )+};
}

clones_are_the_same_store!(
    GlobalStoreRef<K, V>,
    GlobalWindowStoreRef<K, V>,
    GlobalSessionStoreRef<K, V>,
    GlobalVersionedStoreRef<K, V>,
    GlobalStoreView<S>
);

impl<K: 'static, V: Clone + 'static> GlobalStoreRef<K, V> {
    /// The value of `key`.
    ///
    /// # Errors
    /// The key cannot be serialized, or the engine failed.
    pub fn get(&self, key: &K) -> Result<Option<V>, StateError> {
        Ok(self.get_with_timestamp(key)?.map(|(value, _)| value))
    }

    /// The value of `key` and its timestamp, which means nothing in a plain store.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with_timestamp(&self, key: &K) -> Result<Option<(V, Timestamp)>, StateError> {
        self.0.read(|store| Ok(store.get(key)?.map(|(value, timestamp)| (value.clone(), timestamp))))
    }

    /// Visits all rows in byte order of their keys. The store is locked meanwhile: be quick.
    ///
    /// # Errors
    /// A row does not parse, or the engine failed.
    pub fn for_each(&self, visit: &mut dyn FnMut(K, &V, Timestamp)) -> Result<(), StateError> {
        self.0.read(|store| store.for_each(visit))
    }

    /// As [`for_each`](Self::for_each), from the last row to the first, until `visit` breaks: Kafka Streams' `reverseAll`.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn for_each_backward(
        &self,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.for_each_backward(visit))
    }

    /// Visits the rows from `from` to `to`, both included, in byte order of their keys, until `visit` breaks.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.range(from, to, visit))
    }

    /// As [`range`](Self::range), from the last row to the first: Kafka Streams' `reverseRange`.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn range_backward(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.range_backward(from, to, visit))
    }

    /// Visits the rows whose serialized key starts with `prefix`, in byte order, until `visit` breaks.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn prefix_scan(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.prefix_scan(prefix, visit))
    }

    /// Number of rows, as the store knows it.
    ///
    /// # Errors
    /// The thread that feeds the store failed.
    pub fn approximate_num_entries(&self) -> Result<u64, StateError> {
        self.0.read(|store| Ok(store.approximate_num_entries()))
    }
}

impl<K: 'static, V: Clone + 'static> GlobalWindowStoreRef<K, V> {
    /// The value of `key` in the window that starts at `start`, and its timestamp, which means nothing in a plain store.
    ///
    /// # Errors
    /// The key cannot be serialized, or the engine failed.
    pub fn fetch(&self, key: &K, start: Timestamp) -> Result<Option<(V, Timestamp)>, StateError> {
        let owned = |(value, timestamp): (&V, Timestamp)| (value.clone(), timestamp);
        self.0.read(|store| Ok(store.fetch(key, start)?.map(owned)))
    }

    /// Visits the windows of `key` that start from `from` to `to`, both included, in order of time.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_range(
        &self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.fetch_range(key, from, to, visit))
    }

    /// As [`fetch_range`](Self::fetch_range), in the opposite order.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_range_backward(
        &self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.fetch_range_backward(key, from, to, visit))
    }

    /// Visits the windows of the keys from the first to the second of `keys` that start in `times`, all limits included, in the
    /// order of [`WindowStore::fetch_keys`]. `None` is no limit.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_keys(
        &self,
        keys: (Option<&K>, Option<&K>),
        times: (Timestamp, Timestamp),
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.fetch_keys(keys, times, visit))
    }

    /// As [`fetch_keys`](Self::fetch_keys), in the opposite order.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_keys_backward(
        &self,
        keys: (Option<&K>, Option<&K>),
        times: (Timestamp, Timestamp),
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        self.0.read(|store| store.fetch_keys_backward(keys, times, visit))
    }

    /// Visits the windows of all keys that start from `from` to `to`, both included.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_all(
        &self,
        from: Timestamp,
        to: Timestamp,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        self.fetch_keys((None, None), (from, to), visit)
    }

    /// As [`fetch_all`](Self::fetch_all), in the opposite order.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch).
    pub fn fetch_all_backward(
        &self,
        from: Timestamp,
        to: Timestamp,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        self.fetch_keys_backward((None, None), (from, to), visit)
    }
}

impl<K: 'static, V: Clone + 'static> GlobalSessionStoreRef<K, V> {
    /// The value of one session of `key`.
    ///
    /// # Errors
    /// The key cannot be serialized, or the engine failed.
    pub fn fetch_session(&self, key: &K, session: Window) -> Result<Option<V>, StateError> {
        self.0.read(|store| Ok(store.fetch_session(key, session)?.cloned()))
    }

    /// Visits the sessions of `key`, in order of their ends.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn fetch(&self, key: &K, visit: &mut dyn FnMut(Window, &V)) -> Result<(), StateError> {
        self.0.read(|store| store.fetch(key, visit))
    }

    /// As [`fetch`](Self::fetch), in the opposite order.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn backward_fetch(&self, key: &K, visit: &mut dyn FnMut(Window, &V)) -> Result<(), StateError> {
        self.0.read(|store| store.backward_fetch(key, visit))
    }

    /// Visits the sessions of `key` that end at `earliest_end` or later and start at `latest_start` or earlier.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(Window, &V),
    ) -> Result<(), StateError> {
        self.0.read(|store| store.find_sessions(key, earliest_end, latest_start, visit))
    }

    /// As [`find_sessions`](Self::find_sessions), in the opposite order.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn backward_find_sessions(
        &self,
        key: &K,
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(Window, &V),
    ) -> Result<(), StateError> {
        self.0.read(|store| store.backward_find_sessions(key, earliest_end, latest_start, visit))
    }

    /// As [`find_sessions`](Self::find_sessions), for all keys between two, in the order of
    /// [`SessionStore::find_sessions_of_keys`]. `None` is no limit.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn find_sessions_of_keys(
        &self,
        keys: (Option<&K>, Option<&K>),
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        self.0.read(|store| store.find_sessions_of_keys(keys, earliest_end, latest_start, visit))
    }

    /// As [`find_sessions_of_keys`](Self::find_sessions_of_keys), in the opposite order.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn backward_find_sessions_of_keys(
        &self,
        keys: (Option<&K>, Option<&K>),
        earliest_end: Timestamp,
        latest_start: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        self.0.read(|store| store.backward_find_sessions_of_keys(keys, earliest_end, latest_start, visit))
    }

    /// Visits the sessions of all keys that ended from `earliest_end` to `latest_end`, both included.
    ///
    /// # Errors
    /// As [`fetch_session`](Self::fetch_session).
    pub fn find_sessions_ended(
        &self,
        earliest_end: Timestamp,
        latest_end: Timestamp,
        visit: &mut dyn FnMut(K, Window, &V),
    ) -> Result<(), StateError> {
        self.0.read(|store| store.find_sessions_ended(earliest_end, latest_end, visit))
    }
}

impl<K: 'static, V: Clone + 'static> GlobalVersionedStoreRef<K, V> {
    /// The latest value of `key`, and from when it is valid.
    ///
    /// # Errors
    /// The key cannot be serialized, or the engine failed.
    pub fn get(&self, key: &K) -> Result<Option<(V, Timestamp)>, StateError> {
        self.0.read(|store| Ok(store.get(key)?.map(|(value, since)| (value.clone(), since))))
    }

    /// The value of `key` at `time`, and from when it is valid.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_as_of(&self, key: &K, time: Timestamp) -> Result<Option<(V, Timestamp)>, StateError> {
        self.0.read(|store| Ok(store.get_as_of(key, time)?.map(|(value, since)| (value.clone(), since))))
    }

    /// Visits the versions of `key` that were valid at some time from `from` to `to`, both included, in order of time: value,
    /// valid from, valid to (excluded; `None` for the latest).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn versions(
        &self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut dyn FnMut(&V, Timestamp, Option<Timestamp>),
    ) -> Result<(), StateError> {
        self.0.read(|store| store.versions(key, from, to, visit))
    }
}

impl<S> GlobalStoreView<S> {
    /// Lets `read` look at the store, which is locked meanwhile.
    ///
    /// # Errors
    /// The thread that feeds the store failed.
    pub fn read<R>(&self, read: impl FnOnce(&S) -> R) -> Result<R, StateError> {
        self.0.read(|store| Ok(read(store)))
    }
}
