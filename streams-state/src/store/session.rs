//! Step 5, store: session stores: aggregates by key and session, for a retention in stream time.
//!
//! In come aggregates of sessions, out go changelog entries, held-back updates ([`SessionStore::pop_cached`]) and,
//! long after the commit, a sorted run for the engine. Both ends of a session are inclusive. Stream time is the
//! largest end of a session that was put. A session that ended at or before stream time - retention is hidden from
//! reading by key; it is kept, and read by time, until its segment has passed, as in Kafka Streams (its emission on
//! close relies on it), or with `in_memory_order` gone at once. What is not kept is refused. With a cache, updates move
//! stream time when they are flushed, and sessions that are too old are still shown, and updated, while there is room
//! ([`SessionOptions::expired_max_bytes`]): Kafka Streams' cache does not look at the time of what it holds.
//!
//! ```text
//! tier:    key -> sessions, in the order of (end, start); all of a key's live sessions, or no slot
//! engine:  (segment of the end, key) -> sessions; segments are dropped as wholes
//! ```
//!
//! A slot that the engine has, too, may be evicted; it comes back with one lookup for each live segment. What is said
//! in [`KeyValueStore`](super::KeyValueStore) about undo and failing serdes holds here, too.

mod bulk;
mod find;
pub(super) mod layout;
mod lifecycle;
mod sessions;
mod slots;
mod time_index;

use std::collections::BTreeSet;
use std::sync::Arc;

use self::sessions::Sessions;
use self::time_index::TimeIndex;
use super::changelog_buffer::ChangelogBuffer;
use super::header_aware::LoggedHeaders;
use super::operation_meters::{Ended, Metered, OperationMeters, StoreOperation};
use super::progress::Progress;
use super::record_cache::{Held, RecordCache};
use super::tier::{NONE, Tier};
use super::window::{EXPIRED_MAX_BYTES, TIER_MAX_BYTES, segment_interval};
use super::{CachedStore, CachedUpdate, StateStore, Unflushed};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::format::session_key;
use crate::serdes::SerdeRef;
use crate::types::{Change, NO_TIMESTAMP, RecordContext, Timestamp, Window, Windowed};

/// How a session store is made.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// How long a session is kept after its end, ms of stream time.
    pub retention: i64,
    /// Length of a segment, ms: what is dropped at once.
    pub segment_interval: i64,
    /// Keep an index by time: [`SessionStore::find_sessions_ended`] is read from it then, and looks at all sessions
    /// of the segments in question without. For emitting on close.
    pub time_index: bool,
    /// Behave as Kafka Streams' in-memory store where that is visible: sessions that end together are listed by key
    /// and start backward, not by start and key, and what is older than the retention is gone at once.
    pub in_memory_order: bool,
    /// Hold updates back until a flush; one changelog record and one forward per session then.
    pub caching: bool,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes that the tier may use before it evicts what the engine has.
    pub tier_max_bytes: u64,
    /// With caching: bytes that the tier may use before it is searched for sessions that are too old. Kafka Streams' record
    /// cache knows no retention: it shows what was written since the store was opened until it needs the room.
    pub expired_max_bytes: u64,
}

impl SessionOptions {
    /// Kafka Streams' defaults for a store that keeps sessions for `retention`: persistent, logged, not cached, without an index
    /// by time; 64 MiB of tier.
    pub fn new(name: impl Into<Arc<str>>, retention: i64) -> Self {
        Self {
            name: name.into(),
            retention,
            segment_interval: segment_interval(retention),
            time_index: false,
            in_memory_order: false,
            caching: false,
            logging: true,
            tier_max_bytes: TIER_MAX_BYTES,
            expired_max_bytes: EXPIRED_MAX_BYTES,
        }
    }

    /// The first end of a session that is read by key at `stream_time`.
    fn live_from(&self, stream_time: Timestamp) -> Timestamp {
        stream_time.saturating_sub(self.retention).saturating_add(1)
    }

    /// The first end of a session that is kept at `stream_time`.
    fn kept_from(&self, stream_time: Timestamp) -> Timestamp {
        if self.in_memory_order {
            return self.live_from(stream_time);
        }
        let interval = self.segment_interval.max(1);
        let oldest = stream_time.saturating_sub(self.retention);
        oldest.div_euclid(interval).saturating_mul(interval)
    }

    fn segment(&self, end: Timestamp) -> i64 {
        end.div_euclid(self.segment_interval.max(1))
    }
}

/// The session of a held-back update, and its aggregate at the last flush.
struct Flushed<V> {
    window: Window,
    value: Option<V>,
}

/// A store of `V` by `K` and session.
pub struct SessionStore<K, V> {
    options: SessionOptions,
    engine: Box<dyn Engine>,
    durable: bool,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    tier: Tier<Sessions<V>>,
    cache: RecordCache<Flushed<V>>,
    send_old_values: bool,
    log: ChangelogBuffer,
    logged_headers: LoggedHeaders<V>,
    progress: Progress,
    index: TimeIndex,
    /// Largest end of a session that was put; with a cache, that was flushed.
    stream_time: Timestamp,
    /// Flushed updates that came too late, not yet asked for.
    refused: u64,
    /// Segments that the engine has rows of.
    segments: BTreeSet<i64>,
    /// Segments below this one are not in the tier.
    swept: i64,
    /// Puts since expired sessions were looked for in the tier.
    puts: u64,
    meters: OperationMeters,
    key_bytes: Vec<u8>,
    value_bytes: Vec<u8>,
    log_key: Vec<u8>,
}

impl<K, V> Metered for SessionStore<K, V> {
    fn meters(&mut self) -> &mut OperationMeters {
        &mut self.meters
    }
}

impl<K: 'static, V: Clone + 'static> SessionStore<K, V> {
    /// Opens a store over `engine`.
    pub fn new(
        options: SessionOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let layout = Layout::Session {
            segment_interval: options.segment_interval,
            retention: options.retention,
            time_index: options.time_index,
        };
        let durable = engine.is_durable();
        let mut store = Self {
            progress: Progress::open(options.name.clone(), &mut *engine, layout)?,
            tier: Tier::new(options.tier_max_bytes, true),
            options,
            engine,
            durable,
            keys,
            values,
            cache: RecordCache::new(),
            send_old_values: false,
            log: ChangelogBuffer::default(),
            logged_headers: LoggedHeaders::None,
            index: TimeIndex::new(durable),
            stream_time: NO_TIMESTAMP,
            refused: 0,
            segments: BTreeSet::new(),
            swept: i64::MIN,
            puts: 0,
            meters: OperationMeters::default(),
            key_bytes: Vec::new(),
            value_bytes: Vec::new(),
            log_key: Vec::new(),
        };
        store.read_state()?;
        Ok(store)
    }

    pub(super) fn logging_headers(mut self, headers: LoggedHeaders<V>) -> Self {
        self.logged_headers = headers;
        self
    }

    /// Downstream wants old values: [`CachedUpdate::change`] has the value at the last flush as `old`.
    pub fn send_old_values(&mut self) {
        self.send_old_values = true;
    }

    /// Whether updates are held back.
    pub fn caching(&self) -> bool {
        self.options.caching
    }

    /// Number of sessions whose update is held back.
    pub fn cached_len(&self) -> usize {
        self.cache.len()
    }

    /// Approximate bytes of the updates held back, for the cache limit.
    pub fn cached_bytes(&self) -> u64 {
        self.cache.bytes() + self.cache.len() as u64 * self.tier.mean_value_bytes()
    }

    /// Largest end of a session that was put; -1 before the first.
    pub fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// The aggregate of one session.
    pub fn fetch_session(&mut self, key: &K, window: Window) -> Result<Option<&V>, StateError> {
        let live_from = self.shown_from();
        let found = self.operation(
            |store| store.locate(key),
            |_, id| Ended::Read(StoreOperation::Fetch, matches!(id, Ok(Some(_)))),
        )?;
        let Some(id) = found else { return Ok(None) };
        let session = self.tier.slot(id).row.as_ref().and_then(|(sessions, _)| sessions.get(window));
        Ok(session
            .filter(|session| session.window.end >= live_from)
            .and_then(|session| session.value.as_ref()))
    }

    /// Sets or (`None`) deletes the aggregate of a session. A value that serializes as null deletes, too. `false`:
    /// the session is too old to be kept; but the changelog has the record, as in Kafka Streams. A cache takes it, and counts it when it is
    /// flushed ([`CachedStore::take_refused`]).
    pub fn put(
        &mut self,
        key: &K,
        window: Window,
        value: Option<V>,
        context: &RecordContext,
    ) -> Result<bool, StateError> {
        let work = |store: &mut Self| {
            let id = store.locate_or_insert(key)?;
            store.change(id, window, value, context)?;
            let kept = store.options.caching || window.end >= store.kept_from();
            store.sweep();
            Ok(kept)
        };
        self.operation(work, |_, _| Ended::Put(StoreOperation::Put, context.timestamp))
    }

    /// Deletes a session and returns its aggregate. The changelog gets a tombstone even if there was none.
    pub fn remove(
        &mut self,
        key: &K,
        window: Window,
        context: &RecordContext,
    ) -> Result<Option<V>, StateError> {
        let work = |store: &mut Self| {
            let id = store.locate_or_insert(key)?;
            let before = store.change(id, window, None, context)?;
            store.sweep();
            Ok(before)
        };
        self.operation(work, |_, _| Ended::Other(StoreOperation::Remove))
    }

    /// Takes the next update that the cache holds back, in order of last update, and logs it. `None`: no more.
    ///
    /// Its timestamp is the end of the session. A session that is absent now and was at the last flush is passed
    /// over.
    pub fn pop_cached(&mut self) -> Result<Option<CachedUpdate<Windowed<K>, V>>, StateError> {
        while let Some(held) = self.cache.pop() {
            let Some((flushed, new)) = self.write_held(&held, true)? else { continue };
            let key = self.tier.slot(held.slot).key();
            let key = self.keys.deserialize(Some(key)).map_err(|source| self.progress.serde_error(source))?;
            let window = flushed.window;
            let headers = self.logged_headers.of_session(new.as_ref(), &held.context.headers).clone();
            let old = flushed.value.filter(|_| self.send_old_values);
            return Ok(Some(CachedUpdate {
                key: Windowed { key, window },
                change: Change::latest(old, new),
                timestamp: window.end,
                context: RecordContext { headers, ..held.context },
            }));
        }
        Ok(None)
    }

    /// The first end of a session that is read by key.
    fn live_from(&self) -> Timestamp {
        self.options.live_from(self.stream_time)
    }

    /// The first end of a session that reads by key show. A cache shows what it has, whatever its time.
    fn shown_from(&self) -> Timestamp {
        if self.options.caching { Timestamp::MIN } else { self.live_from() }
    }

    /// The first end of a session that is kept.
    fn kept_from(&self) -> Timestamp {
        self.options.kept_from(self.stream_time)
    }

    fn segment(&self, end: Timestamp) -> i64 {
        self.options.segment(end)
    }

    /// Sets the session in the slot, and holds the update back or logs it. Returns the aggregate before.
    fn change(
        &mut self,
        id: u32,
        window: Window,
        value: Option<V>,
        context: &RecordContext,
    ) -> Result<Option<V>, StateError> {
        let value = value.filter(|value| !self.values.is_null(value));
        if self.options.caching {
            return Ok(self.hold(id, window, value, context));
        }
        self.stream_time = self.stream_time.max(window.end);
        let before = self.write(id, window, value, context)?;
        Ok(before.filter(|_| window.end >= self.live_from()))
    }

    /// Sets the session and logs it.
    fn write(
        &mut self,
        id: u32,
        window: Window,
        value: Option<V>,
        context: &RecordContext,
    ) -> Result<Option<V>, StateError> {
        let len = self.log(id, window, value.as_ref(), context)?;
        Ok(self.set(id, window, value, len))
    }

    /// Sets the session if it is not too old. It is in the slot then, or gone.
    fn set(&mut self, id: u32, window: Window, value: Option<V>, len: usize) -> Option<V> {
        let kept_from = self.kept_from();
        let segment = self.segment(window.end);
        let slot = self.tier.slot_mut(id);
        let sessions = &mut slot.row.get_or_insert_with(Default::default).0;
        sessions.expire(kept_from);
        let present = value.is_some();
        let before = if window.end >= kept_from {
            if self.options.time_index {
                self.index.set(slot.key(), window, present);
            }
            let slot = self.tier.slot_mut(id);
            slot.row.as_mut().and_then(|(sessions, _)| {
                if self.durable {
                    sessions.touch(segment);
                }
                sessions.set(window, value, len)
            })
        } else {
            None
        };
        self.resized(id);
        before
    }

    /// Sets the session for the cache to hold back.
    fn hold(&mut self, id: u32, window: Window, value: Option<V>, context: &RecordContext) -> Option<V> {
        let slot = self.tier.slot_mut(id);
        if self.options.time_index {
            self.index.set(slot.key(), window, value.is_some());
        }
        let key_len = slot.key().len() + session_key::SUFFIX_LEN;
        let sessions = &mut slot.row.get_or_insert_with(Default::default).0;
        let (index, before) = sessions.hold(window, value);
        match sessions.list().get(index).map_or(NONE, |session| session.cached) {
            NONE => {
                let flushed = Flushed { window, value: before.clone() };
                let entry = self.cache.add(id, key_len, Some(flushed), context);
                sessions.cached(index, entry);
                slot.cached = 0;
            }
            entry => self.cache.again(entry, context),
        }
        self.resized(id);
        before
    }

    /// Logs what the cache held back. Returns what was there at the last flush and is now; `None` if neither is and
    /// `forwarding` spares it.
    fn write_held(
        &mut self,
        held: &Held<Flushed<V>>,
        forwarding: bool,
    ) -> Result<Option<(Flushed<V>, Option<V>)>, StateError> {
        let Some(Flushed { window, value: before }) = &held.flushed else { return Ok(None) };
        let window = *window;
        // What the store below the cache would not show any more was not there.
        let flushed = Flushed { window, value: before.clone().filter(|_| window.end >= self.live_from()) };
        let touches = self.durable && window.end >= self.kept_from();
        let segment = self.segment(window.end);
        let slot = self.tier.slot_mut(held.slot);
        let Some((sessions, _)) = &mut slot.row else { return Ok(None) };
        let Ok(index) = sessions.position(window) else { return Ok(None) };
        sessions.let_go(index);
        if sessions.settled() {
            slot.cached = NONE;
        }
        let new = sessions.list().get(index).and_then(|session| session.value.clone());
        if forwarding && new.is_none() && flushed.value.is_none() {
            sessions.remove(index);
            if touches {
                sessions.touch(segment);
            }
            self.resized(held.slot);
            return Ok(None);
        }
        self.stream_time = self.stream_time.max(window.end);
        self.refused += u64::from(window.end < self.kept_from());
        let logged = self.log(held.slot, window, new.as_ref(), &held.context);
        let len = logged.map_err(|error| self.progress.broken(error))?;
        if let Some((sessions, _)) = &mut self.tier.slot_mut(held.slot).row {
            if touches {
                sessions.touch(segment);
            }
            match new {
                Some(_) => sessions.measured(index, len),
                None => drop(sessions.remove(index)),
            }
        }
        self.resized(held.slot);
        Ok(Some((flushed, new)))
    }

    /// Logs the update of a session. Returns the bytes of its aggregate, as far as they are known. The one place where an
    /// update is counted.
    fn log(
        &mut self,
        id: u32,
        window: Window,
        value: Option<&V>,
        context: &RecordContext,
    ) -> Result<usize, StateError> {
        if !self.options.logging {
            self.progress.updated();
            return Ok(0);
        }
        self.log_key.clear();
        session_key::encode(self.tier.slot(id).key(), window, &mut self.log_key);
        let values = self.logged_headers.serde(&self.values);
        let timestamp = context.timestamp;
        let write = |out: &mut Vec<u8>| value.map_or(Ok(false), |value| values.serialize(value, out));
        match self.log.push(&self.log_key, (timestamp, timestamp), write) {
            Ok(len) => {
                self.progress.updated();
                self.logged_headers.add(&mut self.log, value.filter(|_| len.is_some()), &context.headers);
                Ok(len.unwrap_or(0))
            }
            Err(source) => Err(self.progress.serde_error(source)),
        }
    }
}

impl<K: 'static, V: Clone + 'static> CachedStore<Windowed<K>, V> for SessionStore<K, V> {
    fn caching(&self) -> bool {
        self.caching()
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    fn send_old_values(&mut self) {
        self.send_old_values();
    }

    fn pop_cached(&mut self) -> Result<Option<CachedUpdate<Windowed<K>, V>>, StateError> {
        self.pop_cached()
    }
}
