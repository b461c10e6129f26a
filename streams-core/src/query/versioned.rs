//! Queries of versioned stores: a key as it is or was, and its history.

use streams_state::store::VersionedStore;
use streams_state::types::Timestamp;

use super::key_value::ResultOrder;
use super::{QueriedStore, Query, QueryFailure};

/// One version of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionedRecord<V> {
    /// The value.
    pub value: V,
    /// From when it is valid, ms, included.
    pub timestamp: Timestamp,
    /// Until when it is valid, ms, excluded; `None` for the latest version.
    pub valid_to: Option<Timestamp>,
}

/// The version of a key that is valid now, or was at some time.
#[derive(Clone, Debug)]
pub struct VersionedKeyQuery<K> {
    key: K,
    as_of: Option<Timestamp>,
}

impl<K> VersionedKeyQuery<K> {
    /// The latest version of this key.
    pub fn with_key(key: impl Into<K>) -> Self {
        Self { key: key.into(), as_of: None }
    }

    /// The version that was valid at `time`.
    #[must_use]
    pub fn as_of(mut self, time: Timestamp) -> Self {
        self.as_of = Some(time);
        self
    }
}

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for VersionedKeyQuery<K> {
    type Result = Option<VersionedRecord<V>>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure> {
        store.read_as("VersionedKeyQuery", |store: &mut VersionedStore<K, V>| {
            let found = match self.as_of {
                Some(time) => store.get_as_of(&self.key, time)?,
                None => store.get(&self.key)?,
            };
            let Some((value, timestamp)) = found.map(|(value, from)| (value.clone(), from)) else {
                return Ok(None);
            };
            let mut valid_to = None;
            store.versions(&self.key, timestamp, timestamp, &mut |_, from, to| {
                if from == timestamp {
                    valid_to = to;
                }
            })?;
            Ok(Some(VersionedRecord { value, timestamp, valid_to }))
        })
    }
}

/// The versions of a key that were valid in a stretch of time, the latest first unless it is said otherwise. Deletions are not among
/// them.
#[derive(Clone, Debug)]
pub struct MultiVersionedKeyQuery<K> {
    key: K,
    from: Timestamp,
    to: Timestamp,
    order: ResultOrder,
}

impl<K> MultiVersionedKeyQuery<K> {
    /// All versions of this key that are kept.
    pub fn with_key(key: impl Into<K>) -> Self {
        Self { key: key.into(), from: Timestamp::MIN, to: Timestamp::MAX, order: ResultOrder::Any }
    }

    /// Those that were valid at `from` or later.
    #[must_use]
    pub fn from_time(mut self, from: Timestamp) -> Self {
        self.from = from;
        self
    }

    /// Those that were valid at `to` or before.
    #[must_use]
    pub fn to_time(mut self, to: Timestamp) -> Self {
        self.to = to;
        self
    }

    /// The oldest first.
    #[must_use]
    pub fn with_ascending_timestamps(mut self) -> Self {
        self.order = ResultOrder::Ascending;
        self
    }

    /// The latest first.
    #[must_use]
    pub fn with_descending_timestamps(mut self) -> Self {
        self.order = ResultOrder::Descending;
        self
    }
}

impl<K: Send + Sync + 'static, V: Clone + Send + 'static> Query<K, V> for MultiVersionedKeyQuery<K> {
    type Result = Vec<VersionedRecord<V>>;

    fn ask(&self, store: &QueriedStore<'_>) -> Result<Self::Result, QueryFailure> {
        store.read_as("MultiVersionedKeyQuery", |store: &mut VersionedStore<K, V>| {
            let mut rows = Vec::new();
            store.versions(&self.key, self.from, self.to, &mut |value, timestamp, valid_to| {
                rows.push(VersionedRecord { value: value.clone(), timestamp, valid_to });
            })?;
            match self.order {
                ResultOrder::Ascending => {}
                ResultOrder::Any | ResultOrder::Descending => rows.reverse(),
            }
            Ok(rows)
        })
    }
}
