//! Step 5, store: versioned key-value stores. Each put adds a version, valid from its timestamp until the next
//! one of its key; a read may ask what was valid at a time.
//!
//! In come typed keys and versions, out go changelog entries ([`StateStore::drain_changelog`]) and, long after the
//! commit, a sorted run for the engine ([`StateStore::flush`]). A slot of the tier holds all versions of a key:
//! the latest and a vector of older ones. The store never caches, never changes a version in place, and never
//! shows a version of a segment that has expired.
//!
//! ```text
//! stream time = largest timestamp put
//! ... ──── refused ────│◄────────── history retention ──────────►│ stream time
//!                      └ oldest put that is taken, oldest time that can be asked for
//! ```
//! The latest version of a key never expires. Older ones go with the segment in which they ended, once all of it
//! lies behind the history retention.

mod history;
mod lifecycle;
pub(super) mod rows;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::history::{History, Sized};
use super::changelog_buffer::ChangelogBuffer;
use super::operation_meters::{Ended, Metered, OperationMeters, StoreOperation};
use super::progress::Progress;
use super::tier::Tier;
use super::{StateStore, Unflushed};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::serdes::{SerdeError, SerdeRef};
use crate::types::{NO_TIMESTAMP, Timestamp};

/// How a versioned store is made.
#[derive(Debug, Clone)]
pub struct VersionedOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// How long, in milliseconds of stream time, older versions can be read and puts out of order are taken.
    pub history_retention: i64,
    /// Milliseconds of history that expire together, at least 1. See [`VersionedOptions::default_segment_interval`].
    pub segment_interval: i64,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes that the tier may use before it evicts what the engine has.
    pub tier_max_bytes: u64,
}

impl VersionedOptions {
    /// The segment interval of Kafka Streams for a history retention, both in milliseconds.
    pub fn default_segment_interval(history_retention: i64) -> i64 {
        const MINUTE: i64 = 60_000;
        if history_retention <= MINUTE {
            (history_retention / 3).max(2_000)
        } else if history_retention <= 5 * MINUTE {
            (history_retention / 5).max(20_000)
        } else if history_retention <= 60 * MINUTE {
            (history_retention / 12).max(MINUTE)
        } else {
            (history_retention / 24).max(5 * MINUTE)
        }
    }
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionedPut {
    /// It is the latest version of its key.
    Latest,
    /// A later version of the key exists.
    Older {
        /// Timestamp of the next later version or deletion: the put is valid until then.
        valid_to: Timestamp,
    },
    /// It came later than the history retention admits. The store is unchanged; the changelog has it all the same,
    /// as in Kafka Streams.
    Refused,
}

/// A store of `V` by `K` and time.
pub struct VersionedStore<K, V> {
    options: VersionedOptions,
    engine: Box<dyn Engine>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    tier: Tier<History<V>>,
    stream_time: Timestamp,
    /// Segments that the engine has rows of.
    segments: BTreeSet<i64>,
    /// Oldest segment when the tier was last swept.
    swept: i64,
    log: ChangelogBuffer,
    progress: Progress,
    /// Bytes of versions put since the last flush. A run has more: it writes all of a key's versions in a segment.
    unflushed_bytes: u64,
    meters: OperationMeters,
    key_bytes: Vec<u8>,
    value_bytes: Vec<u8>,
}

impl<K, V> Metered for VersionedStore<K, V> {
    fn meters(&mut self) -> &mut OperationMeters {
        &mut self.meters
    }
}

impl<K: 'static, V: Clone + 'static> VersionedStore<K, V> {
    /// Opens a store over `engine`.
    pub fn new(
        options: VersionedOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let layout = Layout::Versioned {
            segment_interval: options.segment_interval,
            retention: options.history_retention,
        };
        let progress = Progress::open(options.name.clone(), &mut *engine, layout)?;
        let tier = Tier::new(options.tier_max_bytes, engine.is_empty()?);
        let mut store = Self {
            options,
            engine,
            keys,
            values,
            tier,
            stream_time: NO_TIMESTAMP,
            segments: BTreeSet::new(),
            swept: i64::MIN,
            log: ChangelogBuffer::default(),
            progress,
            unflushed_bytes: 0,
            meters: OperationMeters::default(),
            key_bytes: Vec::new(),
            value_bytes: Vec::new(),
        };
        store.open_engine()?;
        Ok(store)
    }

    /// The largest timestamp that was put; [`NO_TIMESTAMP`] before the first put.
    pub fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// How long older versions can be read, in milliseconds.
    pub fn history_retention(&self) -> i64 {
        self.options.history_retention
    }

    /// Adds a version of `key` that is valid from `timestamp`; `None`, or a value that serializes as null, is a
    /// deletion. A version of the same timestamp is replaced.
    pub fn put(
        &mut self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
    ) -> Result<VersionedPut, StateError> {
        self.operation(
            |store| store.set(key, value, timestamp),
            |_, _| Ended::Put(StoreOperation::Put, timestamp),
        )
    }

    fn set(&mut self, key: &K, value: Option<V>, timestamp: Timestamp) -> Result<VersionedPut, StateError> {
        let hash = self.encode_key(key)?;
        let value = self.write_out(value, timestamp)?;
        self.apply_put(hash, value, timestamp)
    }

    /// Deletes `key` from `timestamp` on, and returns the value that was valid then, with its timestamp.
    pub fn delete(&mut self, key: &K, timestamp: Timestamp) -> Result<Option<(V, Timestamp)>, StateError> {
        let work = |store: &mut Self| {
            let refused = timestamp < store.oldest_time();
            let id = if refused { None } else { store.locate(key)? };
            let before = store.version_of(id, timestamp).map(|(value, from)| (value.clone(), from));
            store.set(key, None, timestamp)?;
            Ok(before)
        };
        self.operation(work, |_, _| Ended::Other(StoreOperation::Delete))
    }

    /// The latest version of `key`, with the timestamp from which it is valid.
    pub fn get(&mut self, key: &K) -> Result<Option<(&V, Timestamp)>, StateError> {
        let id = self.read(key)?;
        let Some(id) = id else { return Ok(None) };
        let history = self.tier.slot(id).row.as_ref().map(|(history, _)| history);
        Ok(history.and_then(|history| history.latest.as_ref()).map(|(value, from)| (&value.value, *from)))
    }

    /// The version of `key` that is valid at `time`, with the timestamp from which it is. Behind the history
    /// retention only the latest version can be found.
    pub fn get_as_of(&mut self, key: &K, time: Timestamp) -> Result<Option<(&V, Timestamp)>, StateError> {
        let id = self.read(key)?;
        Ok(self.version_of(id, time))
    }

    #[inline]
    fn read(&mut self, key: &K) -> Result<Option<u32>, StateError> {
        self.operation(|store| store.locate(key), |_, _| Ended::Other(StoreOperation::Get))
    }

    /// The version in a slot that is valid at `time`.
    fn version_of(&self, id: Option<u32>, time: Timestamp) -> Option<(&V, Timestamp)> {
        let expired = time < self.oldest_time();
        let (history, _) = self.tier.slot(id?).row.as_ref()?;
        history
            .as_of(time)
            .filter(|(_, from)| !expired || history.latest.as_ref().is_some_and(|(_, latest)| latest == from))
    }

    /// Visits the versions of `key` that were valid at some time from `from` to `to`, both included, in order of
    /// time: value, valid from, valid to (excluded; `None` for the latest). Deletions are not visited.
    pub fn versions(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut dyn FnMut(&V, Timestamp, Option<Timestamp>),
    ) -> Result<(), StateError> {
        let (oldest, interval) = (self.oldest_segment(), self.options.segment_interval);
        let expired = to < self.oldest_time();
        let Some(id) = self.locate(key)? else { return Ok(()) };
        let Some((history, _)) = &self.tier.slot(id).row else { return Ok(()) };
        let older = history.older.iter().filter(|version| {
            let live = !expired && history::segment_of(version.to, interval) >= oldest;
            live && version.from <= to && version.to > from
        });
        for version in older {
            if let Some(value) = &version.value {
                visit(&value.value, version.from, Some(version.to));
            }
        }
        if let Some((value, since)) = &history.latest
            && *since <= to
        {
            visit(&value.value, *since, None);
        }
        Ok(())
    }

    /// The oldest timestamp that a put may have.
    #[inline]
    fn oldest_time(&self) -> Timestamp {
        self.stream_time.saturating_sub(self.options.history_retention)
    }

    /// The oldest segment that has not expired.
    #[inline]
    fn oldest_segment(&self) -> i64 {
        history::segment_of(self.oldest_time(), self.options.segment_interval)
    }

    /// Logs a put of the key in `key_bytes`. The one place where null turns into a deletion.
    fn write_out(&mut self, value: Option<V>, time: Timestamp) -> Result<Option<Sized<V>>, StateError> {
        let values = &*self.values;
        self.value_bytes.clear();
        let written = match &value {
            Some(value) => values.serialize(value, &mut self.value_bytes),
            None => Ok(false),
        };
        let present = match written {
            Ok(present) => present,
            // Nothing was changed yet.
            Err(source) => return Err(self.progress.serde_error(source)),
        };
        if self.options.logging {
            let bytes = &self.value_bytes;
            let copy = |out: &mut Vec<u8>| {
                out.extend_from_slice(bytes);
                Ok(present)
            };
            if let Err(source) = self.log.push(&self.key_bytes, (time, time), copy) {
                return Err(self.progress.serde_error(source));
            }
        }
        self.progress.updated();
        let len = self.value_bytes.len() as u32;
        Ok(value.filter(|_| present).map(|value| Sized { value, len }))
    }

    /// Puts a version of the key in `key_bytes` into its history, unless it is too late.
    fn apply_put(
        &mut self,
        hash: u64,
        value: Option<Sized<V>>,
        time: Timestamp,
    ) -> Result<VersionedPut, StateError> {
        if time < self.oldest_time() {
            return Ok(VersionedPut::Refused);
        }
        self.stream_time = self.stream_time.max(time);
        let id = match self.tier.find(hash, &self.key_bytes) {
            Some(id) => id,
            None if self.tier.may_be_in_engine(hash) => self.load(hash)?,
            None => self.tier.insert_absent(hash, &self.key_bytes),
        };
        let (oldest, interval) = (self.oldest_segment(), self.options.segment_interval);
        let (history, _) =
            self.tier.slot_mut(id).row.get_or_insert_with(|| (History::default(), NO_TIMESTAMP));
        history.expire(oldest, interval);
        self.unflushed_bytes +=
            self.key_bytes.len() as u64 + 20 + value.as_ref().map_or(0, |v| u64::from(v.len));
        let put = history.put(value, time, interval);
        let len = history.bytes();
        self.tier.touch(id, Some(len));
        Ok(put)
    }

    /// The slot of `key`; looks into the engine if the tier does not know. `None`: no row and no slot.
    #[inline]
    fn locate(&mut self, key: &K) -> Result<Option<u32>, StateError> {
        let hash = self.encode_key(key)?;
        match self.tier.find(hash, &self.key_bytes) {
            Some(id) => Ok(Some(id)),
            None if self.tier.may_be_in_engine(hash) => self.load(hash).map(Some),
            None => Ok(None),
        }
    }

    /// Takes all versions of the key in `key_bytes` from the engine into the tier, or their absence.
    #[cold]
    fn load(&mut self, hash: u64) -> Result<u32, StateError> {
        self.tier.make_room(());
        let history = self.read_engine(&self.key_bytes)?;
        let (row, len) = match history.is_empty() {
            true => (None, 0),
            false => {
                let len = history.bytes();
                (Some((history, NO_TIMESTAMP)), len)
            }
        };
        Ok(self.tier.insert(hash, &self.key_bytes, row, len))
    }

    /// Serializes `key` into `key_bytes`. Returns its hash.
    #[inline]
    fn encode_key(&mut self, key: &K) -> Result<u64, StateError> {
        self.key_bytes.clear();
        self.progress.key_written(self.keys.serialize(key, &mut self.key_bytes))?;
        Ok(self.tier.hash(&self.key_bytes))
    }
}
