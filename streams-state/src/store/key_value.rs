//! Step 5, store: key-value stores, plain and timestamped: the typed face over the hash tier.
//!
//! In come typed keys and changes, out go changelog entries ([`StateStore::drain_changelog`]), held-back updates
//! ([`KeyValueStore::pop_cached`]) and, long after the commit, a sorted run for the engine
//! ([`StateStore::flush`]). The engine is asked only for keys that the tier does not have, and never while the
//! tier has every row of the store (`complete`); but also by who wants to see what a row was before the cache.
//!
//! ```text
//!          no cache:   update ──► slot + changelog entry
//! record ─┤
//!          cache:      update ──► slot + mark ──pop_cached──► changelog entry + CachedUpdate
//!
//! commit succeeded ──► committed(offset)     no I/O
//! budget reached ────► flush                 touched slots, sorted, with the offset, in one atomic run
//! ```
//!
//! There is no undo. After an abort the owner drops the store, opens a new one over the engine (which has seen
//! nothing uncommitted) and restores the tail of the changelog. That costs only what the flush budget bounds,
//! and spares every update the copy of the value that an undo would need. For the same reason an error of a
//! value's serde is final: the change is in the slot but cannot be logged, so the store refuses to hand over its
//! changelog from then on.

mod lifecycle;
mod lru;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use self::lru::Lru;
use self::scan::OrderedKeys;
use super::changelog_buffer::ChangelogBuffer;
use super::forgotten_rows::{ForgottenRows, Taken};
use super::header_aware::LoggedHeaders;
use super::operation_meters::{Ended, Metered, OperationMeters, StoreOperation};
use super::progress::Progress;
use super::record_cache::{Held, RecordCache};
use super::tier::{NONE, Tier};
use super::{StateStore, Unflushed};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::fetch::TOGETHER;
use crate::serdes::SerdeRef;
use crate::types::{Change, RecordContext, Timestamp};

/// How a key-value store is made.
#[derive(Debug, Clone)]
pub struct KeyValueOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// Timestamped: the changelog record carries the value's timestamp; plain: that of the record in work.
    pub timestamped: bool,
    /// Hold updates back until a flush; one changelog record and one forward per key then.
    pub caching: bool,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes that the tier may use before it evicts what the engine has.
    pub tier_max_bytes: u64,
}

/// An update that the cache held back: what a flush forwards.
#[derive(Debug, Clone)]
pub struct CachedUpdate<K, V> {
    /// Key.
    pub key: K,
    /// `new` is the value now; `old` is the one at the last flush, filled only with `send_old_values`.
    pub change: Change<V>,
    /// Timestamp of the value; of the record that deleted it, for a deletion. In a plain store always that of the
    /// record.
    pub timestamp: Timestamp,
    /// Context of the update.
    pub context: RecordContext,
}

/// The value that a row had at the last flush of the cache.
enum Flushed<V> {
    Value(V),
    /// It is the one that the engine has: nothing goes there before the cache is empty.
    InEngine,
}

/// A store of `V` by `K`.
pub struct KeyValueStore<K, V> {
    options: KeyValueOptions,
    engine: Box<dyn Engine>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    logged_headers: LoggedHeaders<V>,
    tier: Tier<V>,
    /// What the tier had to forget, as far as it is at hand.
    forgotten: ForgottenRows,
    cache: RecordCache<Flushed<V>>,
    send_old_values: bool,
    /// Updates in place are taken back if they cannot be written.
    undoes: bool,
    log: ChangelogBuffer,
    ordered: OrderedKeys,
    /// Set in a store that keeps only so many rows.
    lru: Option<Box<Lru>>,
    progress: Progress,
    meters: OperationMeters,
    key_bytes: Vec<u8>,
    value_bytes: Vec<u8>,
}

impl<K, V> Metered for KeyValueStore<K, V> {
    fn meters(&mut self) -> &mut OperationMeters {
        &mut self.meters
    }
}

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Opens a store over `engine`.
    pub fn new(
        options: KeyValueOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let progress = Progress::open(options.name.clone(), &mut *engine, Layout::KeyValue)?;
        let engine_is_empty = engine.is_empty()?;
        let tier = Tier::new(options.tier_max_bytes, engine_is_empty);
        let forgotten = ForgottenRows::new(engine.scratch_directory().map(Path::to_owned), engine_is_empty);
        Ok(Self {
            options,
            engine,
            keys,
            values,
            logged_headers: LoggedHeaders::None,
            tier,
            forgotten,
            cache: RecordCache::new(),
            send_old_values: false,
            undoes: false,
            log: ChangelogBuffer::default(),
            ordered: OrderedKeys::default(),
            lru: None,
            progress,
            meters: OperationMeters::default(),
            key_bytes: Vec::new(),
            value_bytes: Vec::new(),
        })
    }

    pub(super) fn logging_headers(mut self, headers: LoggedHeaders<V>) -> Self {
        self.logged_headers = headers;
        self
    }

    /// Whether rows keep their headers: what is put into the store should have them.
    pub fn keeps_headers(&self) -> bool {
        self.logged_headers.in_rows()
    }

    /// Downstream wants old values: [`CachedUpdate::change`] has the value at the last flush as `old`.
    pub fn send_old_values(&mut self) {
        self.send_old_values = true;
    }

    /// Updates in place whose value cannot be written are taken back, at the price of a copy of each value. Without it a
    /// store cannot be committed any more after such an update. Behind a cache they are found too late to be taken back.
    pub fn undo_failed_updates(&mut self) {
        self.undoes = true;
    }

    /// Whether updates are held back.
    pub fn caching(&self) -> bool {
        self.options.caching
    }

    /// Whether the timestamps beside its values mean something.
    pub fn is_timestamped(&self) -> bool {
        self.options.timestamped
    }

    /// Number of keys whose update is held back.
    pub fn cached_len(&self) -> usize {
        self.cache.len()
    }

    /// Approximate bytes of the updates held back, for the cache limit. A value that lives on the heap counts as
    /// an average row of this store.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.bytes() + self.cache.len() as u64 * self.tier.mean_value_bytes()
    }

    /// The value of `key` and its timestamp.
    pub fn get(&mut self, key: &K) -> Result<Option<(&V, Timestamp)>, StateError> {
        let id = self.operation(
            |store| store.locate(key),
            |_, id| Ended::Read(StoreOperation::Get, matches!(id, Ok(Some(_)))),
        )?;
        Ok(self.row_read(id).map(|(value, timestamp)| (value, *timestamp)))
    }

    /// The row of a slot that was read.
    #[inline]
    fn row_read(&mut self, id: Option<u32>) -> Option<&(V, Timestamp)> {
        let id = id?;
        if let Some(lru) = &mut self.lru
            && self.tier.slot(id).cached == NONE
        {
            lru.used(id);
        }
        self.tier.slot(id).row.as_ref()
    }

    /// The value of `key` at the last flush: without the updates that the cache holds back.
    pub fn get_flushed(&mut self, key: &K) -> Result<Option<V>, StateError> {
        let Some(id) = self.locate(key)? else { return Ok(None) };
        let slot = self.tier.slot(id);
        match slot.cached {
            NONE => Ok(slot.row.as_ref().map(|(value, _)| value.clone())),
            held => match self.cache.flushed(held) {
                None => Ok(None),
                Some(Flushed::Value(value)) => Ok(Some(value.clone())),
                Some(Flushed::InEngine) => self.value_in_engine(id),
            },
        }
    }

    /// Sets or (`None`) deletes the value of `key`. A value that serializes as null deletes, too.
    pub fn put(
        &mut self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        self.operation(
            |store| store.set(key, value, timestamp, context),
            |_, _| Ended::Put(StoreOperation::Put, context.timestamp),
        )
    }

    fn set(
        &mut self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let id = self.locate_or_insert(key)?;
        let row = value.map(|value| (value, timestamp));
        if self.options.caching {
            let flushed = self.replace_flushed(id, row);
            return self.hold(id, flushed, context);
        }
        let before = std::mem::replace(&mut self.tier.slot_mut(id).row, row);
        self.write_or_undo(id, Some(before), context)
    }

    /// Deletes `key` and returns the value it had. The changelog gets a tombstone even if there was none.
    pub fn delete(&mut self, key: &K, context: &RecordContext) -> Result<Option<V>, StateError> {
        self.operation(
            |store| store.remove(key, context),
            |_, before| Ended::Read(StoreOperation::Delete, matches!(before, Ok(Some(_)))),
        )
    }

    fn remove(&mut self, key: &K, context: &RecordContext) -> Result<Option<V>, StateError> {
        let id = self.locate_or_insert(key)?;
        let flushed = if self.wants_flushed(id) { self.flushed(id) } else { None };
        let before = self.tier.slot_mut(id).row.take().map(|(value, _)| value);
        match self.options.caching {
            true => self.hold(id, flushed, context)?,
            false => self.write_out(id, context)?,
        }
        Ok(before)
    }

    /// Sets the value of `key` unless it has one; returns the one it has.
    pub fn put_if_absent(
        &mut self,
        key: &K,
        value: Option<V>,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<Option<V>, StateError> {
        let work = |store: &mut Self| {
            let id = store.locate(key)?;
            let present = store.row_read(id).map(|(present, _)| present.clone());
            if present.is_none() {
                store.set(key, value, timestamp, context)?;
            }
            Ok(present)
        };
        self.operation(work, |_, _| Ended::Put(StoreOperation::PutIfAbsent, context.timestamp))
    }

    /// Changes the value of `key` in place: `change` sees the value and its timestamp, `None` is no row.
    ///
    /// With caching, the first update of a key after a flush clones its value, because somebody may ask what it was; unless the engine has
    /// it, too, and nobody wants old values.
    #[inline]
    pub fn update<R>(
        &mut self,
        key: &K,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> R,
    ) -> Result<R, StateError> {
        match self.try_update(key, context, |row| Ok::<R, Infallible>(change(row)))? {
            Ok(result) => Ok(result),
            Err(never) => match never {},
        }
    }

    /// Like [`update`](Self::update) for a change that can fail. If it does it must have left the row as it was:
    /// then nothing is logged or held back.
    #[inline]
    pub fn try_update<R, E>(
        &mut self,
        key: &K,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Result<R, E>, StateError> {
        let began = self.meters.begin();
        let id = self.locate_or_insert(key)?;
        let flushed = if self.wants_flushed(id) { self.flushed(id) } else { None };
        let slot = self.tier.slot_mut(id);
        self.meters.end_read(StoreOperation::Get, began, slot.row.is_some());
        let undo = (self.undoes && !self.options.caching).then(|| slot.row.clone());
        let result = change(&mut slot.row);
        if result.is_ok() {
            let began = began.and_then(|_| self.meters.begin());
            match self.options.caching {
                true => self.hold(id, flushed, context)?,
                false => self.write_or_undo(id, undo, context)?,
            }
            self.meters.end_put(StoreOperation::Put, began, context.timestamp);
        }
        Ok(result)
    }

    /// Takes the next update that the cache holds back, in order of last update, and logs it. `None`: no more.
    ///
    /// A row that is absent now and was at the last flush is passed over.
    pub fn pop_cached(&mut self) -> Result<Option<CachedUpdate<K, V>>, StateError> {
        while let Some(held) = self.pop_held() {
            self.tier.slot_mut(held.slot).cached = NONE;
            if self.tier.slot(held.slot).row.is_none() && held.flushed.is_none() {
                continue;
            }
            let written = self.write_out(held.slot, &held.context);
            written.map_err(|error| self.progress.broken(error))?;
            let slot = self.tier.slot(held.slot);
            let key = self
                .keys
                .deserialize(Some(slot.key()))
                .map_err(|source| self.progress.serde_error(source))?;
            let (new, timestamp) = match &slot.row {
                Some((value, timestamp)) if self.options.timestamped => (Some(value.clone()), *timestamp),
                Some((value, _)) => (Some(value.clone()), held.context.timestamp),
                None => (None, held.context.timestamp),
            };
            let old = match held.flushed.filter(|_| self.send_old_values) {
                Some(Flushed::Value(old)) => Some(old),
                Some(Flushed::InEngine) | None => None,
            };
            let change = Change::latest(old, new);
            return Ok(Some(CachedUpdate { key, change, timestamp, context: held.context }));
        }
        Ok(None)
    }

    /// Takes what the cache held back longest. Now and then has the slots that come next come from memory.
    #[inline]
    fn pop_held(&mut self) -> Option<Held<Flushed<V>>> {
        if self.cache.len().is_multiple_of(TOGETHER) {
            self.tier.fetch(self.cache.upcoming().take(TOGETHER));
        }
        self.cache.pop()
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

    /// The slot of `key`, made if there is none.
    #[inline]
    fn locate_or_insert(&mut self, key: &K) -> Result<u32, StateError> {
        let hash = self.encode_key(key)?;
        match self.tier.find(hash, &self.key_bytes) {
            Some(id) => Ok(id),
            None if self.tier.may_be_in_engine(hash) => self.load(hash),
            None => {
                self.make_room();
                Ok(self.tier.insert(hash, &self.key_bytes, None, 0))
            }
        }
    }

    /// Before a slot is added: the tier forgets rows if it has too many.
    #[inline]
    fn make_room(&mut self) {
        if self.tier.is_full() {
            let keep = self.forgotten.keeping(&*self.values, self.tier.memory_bytes());
            self.tier.make_room(keep);
        }
    }

    /// Takes the row of the key in `key_bytes` into the tier, or its absence: what the tier forgot, if it is still at hand, or what the
    /// engine has.
    #[cold]
    fn load(&mut self, hash: u64) -> Result<u32, StateError> {
        self.meters.asks_engine();
        self.make_room();
        let found = match self.forgotten.take(hash, &self.key_bytes, &mut self.value_bytes) {
            Taken::Row => true,
            Taken::Nothing => false,
            Taken::Unknown => self.engine.get(&self.key_bytes, &mut self.value_bytes)?,
        };
        let row = match found {
            true => Some(self.decode(&self.value_bytes).inspect_err(|_| self.forgotten.one_is_elsewhere())?),
            false => None,
        };
        let len = self.value_bytes.len().saturating_sub(8);
        Ok(self.tier.insert(hash, &self.key_bytes, row, if found { len } else { 0 }))
    }

    /// A row as the engine has it: timestamp, 8 bytes big-endian, and the serialized value.
    fn decode(&self, bytes: &[u8]) -> Result<(V, Timestamp), StateError> {
        let Some((timestamp, value)) = bytes.split_first_chunk::<8>() else {
            let message = format!("a row of {} bytes has no timestamp", bytes.len());
            return Err(self.engine.corrupt(&self.options.name, message));
        };
        let value =
            self.values.deserialize(Some(value)).map_err(|source| self.progress.serde_error(source))?;
        Ok((value, Timestamp::from_be_bytes(*timestamp)))
    }

    /// Serializes `key` into `key_bytes`. Returns its hash.
    #[inline]
    fn encode_key(&mut self, key: &K) -> Result<u64, StateError> {
        self.key_bytes.clear();
        self.progress.key_written(self.keys.serialize(key, &mut self.key_bytes))?;
        Ok(self.tier.hash(&self.key_bytes))
    }
}
