//! Window and session stores, as a test sees them.

use std::ops::ControlFlow;

use streams_state::store::{SessionStore, WindowStore};
use streams_state::types::{Timestamp, Window};

use super::TopologyTestDriver;
use super::store::Place;
use crate::topic::Store;

impl TopologyTestDriver {
    /// A window store of the topology.
    ///
    /// # Panics
    /// There is no such window store, or it has other types.
    #[track_caller]
    pub fn window_store<K, V, KS, VS>(&self, store: &Store<K, V, KS, VS>) -> TestWindowStore<K, V>
    where
        K: 'static,
        V: Clone + 'static,
    {
        self.find_window_store(store).unwrap_or_else(|| self.no_store::<K, V>("window store", store.name()))
    }

    /// The window store, or `None` if there is none of this name with these types.
    pub fn find_window_store<K, V, KS, VS>(
        &self,
        store: &Store<K, V, KS, VS>,
    ) -> Option<TestWindowStore<K, V>>
    where
        K: 'static,
        V: Clone + 'static,
    {
        Place::find(&self.crank.borrow(), store.name()).map(TestWindowStore)
    }

    /// A session store of the topology.
    ///
    /// # Panics
    /// There is no such session store, or it has other types.
    #[track_caller]
    pub fn session_store<K, V, KS, VS>(&self, store: &Store<K, V, KS, VS>) -> TestSessionStore<K, V>
    where
        K: 'static,
        V: Clone + 'static,
    {
        self.find_session_store(store).unwrap_or_else(|| self.no_store::<K, V>("session store", store.name()))
    }

    /// The session store, or `None` if there is none of this name with these types.
    pub fn find_session_store<K, V, KS, VS>(
        &self,
        store: &Store<K, V, KS, VS>,
    ) -> Option<TestSessionStore<K, V>>
    where
        K: 'static,
        V: Clone + 'static,
    {
        Place::find(&self.crank.borrow(), store.name()).map(TestSessionStore)
    }

    #[track_caller]
    fn no_store<K, V>(&self, kind: &str, name: &str) -> ! {
        let names = self.store_names();
        let (value, key) = (std::any::type_name::<V>(), std::any::type_name::<K>());
        panic!("there is no {kind} `{name}` of {value} by {key}; the stores are {names:?}")
    }
}

/// A window store of the topology. From [`TopologyTestDriver::window_store`](super::TopologyTestDriver::window_store).
pub struct TestWindowStore<K, V>(Place<WindowStore<K, V>>);

impl<K: 'static, V: Clone + 'static> TestWindowStore<K, V> {
    /// The value of `key` in the window that starts at `start`.
    ///
    /// # Panics
    /// The key cannot be serialized, or the engine failed.
    #[track_caller]
    pub fn fetch(&self, key: &K, start: Timestamp) -> Option<V> {
        self.fetch_with_timestamp(key, start).map(|(value, _)| value)
    }

    /// The value of `key` in the window that starts at `start`, and its timestamp. In a store of a join the timestamp means nothing.
    ///
    /// # Panics
    /// As [`fetch`](Self::fetch).
    #[track_caller]
    pub fn fetch_with_timestamp(&self, key: &K, start: Timestamp) -> Option<(V, Timestamp)> {
        let owned = |(value, timestamp): (&V, Timestamp)| (value.clone(), timestamp);
        self.0.with(|store| Ok(store.fetch(key, start)?.map(owned)))
    }

    /// All rows of `key`, in the order of their windows: start, value, timestamp.
    ///
    /// # Panics
    /// As [`fetch`](Self::fetch).
    #[track_caller]
    pub fn fetch_range(&self, key: &K, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, V, Timestamp)> {
        let mut rows = Vec::new();
        self.0.with(|store| {
            store.fetch_range(key, from, to, &mut |start, value, timestamp| {
                rows.push((start, value.clone(), timestamp));
                ControlFlow::Continue(())
            })
        });
        rows
    }

    /// All rows that have not expired, in the order of [`WindowStore::all`]: key, start, value, timestamp.
    ///
    /// # Panics
    /// A row does not parse, or the engine failed.
    #[track_caller]
    pub fn rows(&self) -> Vec<(K, Timestamp, V, Timestamp)> {
        let mut rows = Vec::new();
        self.0.with(|store| {
            store.all(&mut |key, start, value, timestamp| {
                rows.push((key, start, value.clone(), timestamp));
            })
        });
        rows
    }
}

/// A session store of the topology. From [`TopologyTestDriver::session_store`](super::TopologyTestDriver::session_store).
pub struct TestSessionStore<K, V>(Place<SessionStore<K, V>>);

impl<K: 'static, V: Clone + 'static> TestSessionStore<K, V> {
    /// The value of one session of `key`.
    ///
    /// # Panics
    /// The key cannot be serialized, or the engine failed.
    #[track_caller]
    pub fn fetch_session(&self, key: &K, session: Window) -> Option<V> {
        self.0.with(|store| Ok(store.fetch_session(key, session)?.cloned()))
    }

    /// All sessions of `key` and their values, in the order of their ends.
    ///
    /// # Panics
    /// As [`fetch_session`](Self::fetch_session).
    #[track_caller]
    pub fn fetch(&self, key: &K) -> Vec<(Window, V)> {
        let mut sessions = Vec::new();
        self.0.with(|store| {
            store.fetch(key, &mut |window, value| {
                sessions.push((window, value.clone()));
            })
        });
        sessions
    }

    /// All sessions that have not expired, by bytes of the key.
    ///
    /// # Panics
    /// A row does not parse, or the engine failed.
    #[track_caller]
    pub fn rows(&self) -> Vec<(K, Window, V)> {
        let mut rows = Vec::new();
        self.0.with(|store| {
            store.for_each(&mut |key, window, value| {
                rows.push((key, window, value.clone()));
            })
        });
        rows
    }
}
