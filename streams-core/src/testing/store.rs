//! A key-value store, as a test sees it.

use std::cell::RefCell;
use std::rc::Rc;

use streams_state::error::StateError;
use streams_state::store::KeyValueStore;
use streams_state::types::{RecordContext, Timestamp};

use super::crank::Crank;
use crate::processor::SharedStore;

/// Where a store of type `S` is.
pub(super) enum Place<S> {
    /// In a task.
    Task(Rc<RefCell<S>>),
    /// Shared by all tasks.
    Global(SharedStore<S>),
}

impl<S: 'static> Place<S> {
    /// The store `name`; `None` if there is none, or it has another type.
    pub(super) fn find(crank: &Crank, name: &str) -> Option<Self> {
        if let Some(global) = crank.global_store(name) {
            return global.typed().map(Self::Global);
        }
        let (_, instance) = crank.stores().into_iter().find(|(store, _)| &**store == name)?;
        instance.typed.downcast().ok().map(Self::Task)
    }

    #[track_caller]
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut S) -> Result<R, StateError>) -> R {
        checked(match self {
            Self::Task(store) => work(&mut store.borrow_mut()),
            Self::Global(store) => store.read(work),
        })
    }
}

/// A store of the topology. From [`TopologyTestDriver::store`](super::TopologyTestDriver::store).
pub struct TestStore<K, V>(pub(super) Place<KeyValueStore<K, V>>);

impl<K: 'static, V: Clone + 'static> TestStore<K, V> {
    /// The value of `key`.
    ///
    /// # Panics
    /// The key cannot be serialized, or the engine failed.
    #[track_caller]
    pub fn get(&self, key: &K) -> Option<V> {
        self.get_with_timestamp(key).map(|(value, _)| value)
    }

    /// The value of `key` and its timestamp. In a plain store the timestamp means nothing.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn get_with_timestamp(&self, key: &K) -> Option<(V, Timestamp)> {
        self.0.with(|store| Ok(store.get(key)?.map(|(value, timestamp)| (value.clone(), timestamp))))
    }

    /// All keys and values, in byte order of the keys.
    ///
    /// # Panics
    /// A row does not parse, or the engine failed.
    #[track_caller]
    pub fn all(&self) -> Vec<(K, V)> {
        self.rows().into_iter().map(|(key, value, _)| (key, value)).collect()
    }

    /// All keys, values and timestamps, in byte order of the keys.
    ///
    /// # Panics
    /// As [`all`](Self::all).
    #[track_caller]
    pub fn rows(&self) -> Vec<(K, V, Timestamp)> {
        let mut rows = Vec::new();
        self.0.with(|store| {
            store.for_each(&mut |key, value, timestamp| rows.push((key, value.clone(), timestamp)))
        });
        rows
    }

    /// Sets or (`None`) deletes a value, to start a test from a given state. Goes to the changelog with the next record.
    ///
    /// # Panics
    /// Key or value cannot be serialized, or the engine failed.
    #[track_caller]
    pub fn put(&self, key: &K, value: Option<V>, timestamp: Timestamp) {
        self.0.with(|store| store.put(key, value, timestamp, &RecordContext::none(timestamp)));
    }
}

#[track_caller]
fn checked<T>(result: Result<T, StateError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
