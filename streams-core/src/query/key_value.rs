//! Queries of key-value stores: one key, a range of keys.

use std::ops::ControlFlow;

use streams_state::store::KeyValueStore;
use streams_state::types::Timestamp;

use super::{QueriedStore, Query, QueryFailure, ValueAndTimestamp};

/// In which order rows are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ResultOrder {
    /// Whatever is quickest.
    #[default]
    Any,
    /// From the first to the last.
    Ascending,
    /// From the last to the first.
    Descending,
}

impl ResultOrder {
    pub(super) fn is_descending(self) -> bool {
        match self {
            Self::Any | Self::Ascending => false,
            Self::Descending => true,
        }
    }
}

/// The value of a key. Reads what a record cache holds back, too.
#[derive(Clone, Debug)]
pub struct KeyQuery<K> {
    key: K,
    skip_cache: bool,
}

impl<K> KeyQuery<K> {
    /// Of this key.
    pub fn with_key(key: impl Into<K>) -> Self {
        Self { key: key.into(), skip_cache: false }
    }

    /// What the store had at its last commit, as what follows it in the topology has seen: without what its record cache holds back.
    #[must_use]
    pub fn skip_cache(mut self) -> Self {
        self.skip_cache = true;
        self
    }
}

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for KeyQuery<K> {
    type Result = Option<V>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Option<V>, QueryFailure> {
        store.read_as("KeyQuery", |store: &mut KeyValueStore<K, V>| match self.skip_cache {
            true => store.get_flushed(&self.key),
            false => Ok(store.get(&self.key)?.map(|(value, _)| value.clone())),
        })
    }
}

/// The value of a key and its timestamp, of a timestamped store.
#[derive(Clone, Debug)]
pub struct TimestampedKeyQuery<K> {
    key: K,
}

impl<K> TimestampedKeyQuery<K> {
    /// Of this key.
    pub fn with_key(key: impl Into<K>) -> Self {
        Self { key: key.into() }
    }
}

const NO_TIMESTAMPS: &str =
    "it is a plain store and keeps no timestamps; use the query without `Timestamped`";

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for TimestampedKeyQuery<K> {
    type Result = Option<ValueAndTimestamp<V>>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure> {
        let found = store.read_as("TimestampedKeyQuery", |store: &mut KeyValueStore<K, V>| {
            if !store.is_timestamped() {
                return Ok(None);
            }
            Ok(Some(store.get(&self.key)?.map(|(value, timestamp)| with_timestamp(value, timestamp))))
        });
        found?.ok_or_else(|| store.other_form(NO_TIMESTAMPS))
    }
}

pub(super) fn with_timestamp<V: Clone>(value: &V, timestamp: Timestamp) -> ValueAndTimestamp<V> {
    ValueAndTimestamp { value: value.clone(), timestamp }
}

/// The rows of a range of keys, in byte order of the serialized keys. The thread of the store processes nothing while it reads them:
/// of a large store ask for pages, with a [limit](Self::with_limit) and the last key of the page before.
#[derive(Clone, Debug)]
pub struct RangeQuery<K> {
    low: Option<K>,
    high: Option<K>,
    order: ResultOrder,
    limit: usize,
}

impl<K> RangeQuery<K> {
    /// From `low` to `high`, both included.
    pub fn with_range(low: impl Into<K>, high: impl Into<K>) -> Self {
        Self::between(Some(low.into()), Some(high.into()))
    }

    /// From `low` on, included.
    pub fn with_lower_bound(low: impl Into<K>) -> Self {
        Self::between(Some(low.into()), None)
    }

    /// Up to `high`, included.
    pub fn with_upper_bound(high: impl Into<K>) -> Self {
        Self::between(None, Some(high.into()))
    }

    /// All rows.
    pub fn with_no_bounds() -> Self {
        Self::between(None, None)
    }

    /// From `low` to `high`, both included; `None` is no limit.
    pub fn between(low: Option<K>, high: Option<K>) -> Self {
        Self { low, high, order: ResultOrder::Any, limit: usize::MAX }
    }

    /// The first key first.
    #[must_use]
    pub fn with_ascending_keys(mut self) -> Self {
        self.order = ResultOrder::Ascending;
        self
    }

    /// The last key first. The store copies all rows of the range for it.
    #[must_use]
    pub fn with_descending_keys(mut self) -> Self {
        self.order = ResultOrder::Descending;
        self
    }

    /// At most so many rows of each partition.
    #[must_use]
    pub fn with_limit(mut self, rows: usize) -> Self {
        self.limit = rows;
        self
    }

    fn read<V: Clone + 'static, T>(
        &self,
        store: &mut KeyValueStore<K, V>,
        row: impl Fn(K, &V, Timestamp) -> T,
    ) -> Result<Vec<T>, streams_state::error::StateError>
    where
        K: 'static,
    {
        let mut rows = Vec::new();
        if self.limit == 0 {
            return Ok(rows);
        }
        let mut visit = |key: K, value: &V, timestamp: Timestamp| {
            rows.push(row(key, value, timestamp));
            if rows.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        match self.order.is_descending() {
            true => store.range_backward(self.low.as_ref(), self.high.as_ref(), &mut visit)?,
            false => store.range(self.low.as_ref(), self.high.as_ref(), &mut visit)?,
        }
        Ok(rows)
    }
}

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for RangeQuery<K> {
    type Result = Vec<(K, V)>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure> {
        store.read_as("RangeQuery", |store| self.read(store, |key, value: &V, _| (key, value.clone())))
    }
}

/// As [`RangeQuery`], with the timestamps of the values, of a timestamped store.
#[derive(Clone, Debug)]
pub struct TimestampedRangeQuery<K>(RangeQuery<K>);

impl<K> TimestampedRangeQuery<K> {
    /// The rows of this range.
    pub fn of(range: RangeQuery<K>) -> Self {
        Self(range)
    }
}

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for TimestampedRangeQuery<K> {
    type Result = Vec<(K, ValueAndTimestamp<V>)>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure> {
        let found = store.read_as("TimestampedRangeQuery", |store: &mut KeyValueStore<K, V>| {
            if !store.is_timestamped() {
                return Ok(None);
            }
            self.0.read(store, |key, value, timestamp| (key, with_timestamp(value, timestamp))).map(Some)
        });
        found?.ok_or_else(|| store.other_form(NO_TIMESTAMPS))
    }
}
