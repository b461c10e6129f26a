//! Queries of window and session stores.

use std::ops::ControlFlow;

use streams_state::store::{SessionStore, WindowStore};
use streams_state::types::{Timestamp, Window, Windowed};

use super::key_value::{ResultOrder, with_timestamp};
use super::{QueriedStore, Query, QueryFailure, ValueAndTimestamp};

/// The windows of a key that start in a stretch of time. In a plain store the timestamps of the values mean nothing.
#[derive(Clone, Debug)]
pub struct WindowKeyQuery<K> {
    key: K,
    from: Timestamp,
    to: Timestamp,
    limit: usize,
}

impl<K> WindowKeyQuery<K> {
    /// The windows of `key` that start from `from` to `to`, both included.
    pub fn with_key_and_window_start_range(key: impl Into<K>, from: Timestamp, to: Timestamp) -> Self {
        Self { key: key.into(), from, to, limit: usize::MAX }
    }

    /// At most so many windows.
    #[must_use]
    pub fn with_limit(mut self, windows: usize) -> Self {
        self.limit = windows;
        self
    }
}

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for WindowKeyQuery<K> {
    type Result = Vec<(Window, ValueAndTimestamp<V>)>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure> {
        store.read_as("WindowKeyQuery", |store: &mut WindowStore<K, V>| {
            let mut rows = Vec::new();
            if self.limit > 0 {
                store.fetch_range(&self.key, self.from, self.to, &mut |start, value, timestamp| {
                    rows.push((start, with_timestamp(value, timestamp)));
                    if rows.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
            }
            Ok(rows.into_iter().map(|(start, value)| (store.window(start), value)).collect())
        })
    }
}

/// The windows of all keys of a window store, or the sessions of a key of a session store, as in Kafka Streams. A session's
/// timestamp is its end.
#[derive(Clone, Debug)]
pub struct WindowRangeQuery<K> {
    of: Of<K>,
    order: ResultOrder,
    limit: usize,
}

#[derive(Clone, Debug)]
enum Of<K> {
    Key(K),
    Starts(Timestamp, Timestamp),
}

impl<K> WindowRangeQuery<K> {
    /// The sessions of `key`.
    pub fn with_key(key: impl Into<K>) -> Self {
        Self { of: Of::Key(key.into()), order: ResultOrder::Any, limit: usize::MAX }
    }

    /// The windows of all keys that start from `from` to `to`, both included.
    pub fn with_window_start_range(from: Timestamp, to: Timestamp) -> Self {
        Self { of: Of::Starts(from, to), order: ResultOrder::Any, limit: usize::MAX }
    }

    /// From the last one to the first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.order = ResultOrder::Descending;
        self
    }

    /// At most so many of each partition.
    #[must_use]
    pub fn with_limit(mut self, rows: usize) -> Self {
        self.limit = rows;
        self
    }
}

type Rows<K, V> = Vec<(Windowed<K>, ValueAndTimestamp<V>)>;

impl<K: Clone + Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for WindowRangeQuery<K> {
    type Result = Rows<K, V>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Rows<K, V>, QueryFailure> {
        match &self.of {
            Of::Key(key) => self.sessions(key, store),
            Of::Starts(from, to) => self.windows((*from, *to), store),
        }
    }
}

impl<K: Clone + Send + Sync + 'static> WindowRangeQuery<K> {
    fn sessions<V: Clone + Send + 'static>(
        &self,
        key: &K,
        store: &QueriedStore<'_>,
    ) -> Result<Rows<K, V>, QueryFailure> {
        if store.read(|_: &mut WindowStore<K, V>| Ok(())).is_some() {
            return Err(store.other_form(
                "ask a window store `WindowRangeQuery::with_window_start_range`, or by key a \
                                         `WindowKeyQuery`",
            ));
        }
        store.read_as("WindowRangeQuery with a key", |store: &mut SessionStore<K, V>| {
            let mut rows = Vec::new();
            let visit = &mut |window: Window, value: &V| {
                if rows.len() < self.limit {
                    rows.push((Windowed { key: key.clone(), window }, with_timestamp(value, window.end)));
                }
            };
            match self.order.is_descending() {
                true => store.backward_fetch(key, visit)?,
                false => store.fetch(key, visit)?,
            }
            Ok(rows)
        })
    }

    fn windows<V: Clone + Send + 'static>(
        &self,
        (from, to): (Timestamp, Timestamp),
        store: &QueriedStore<'_>,
    ) -> Result<Rows<K, V>, QueryFailure> {
        if store.read(|_: &mut SessionStore<K, V>| Ok(())).is_some() {
            return Err(store.other_form("ask a session store `WindowRangeQuery::with_key`"));
        }
        store.read_as("WindowRangeQuery", |store: &mut WindowStore<K, V>| {
            let mut rows = Vec::new();
            if self.limit > 0 {
                let visit = &mut |key: K, start: Timestamp, value: &V, timestamp: Timestamp| {
                    rows.push((key, start, with_timestamp(value, timestamp)));
                    if rows.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                };
                match self.order.is_descending() {
                    true => store.fetch_all_backward(from, to, visit)?,
                    false => store.fetch_all(from, to, visit)?,
                }
            }
            let windowed = |(key, start, value)| (Windowed { key, window: store.window(start) }, value);
            Ok(rows.into_iter().map(windowed).collect())
        })
    }
}
