//! Step 5, store: window stores, of windowed aggregations (one row for a key and a start) and of stream-stream joins
//! (each put a row of its own): the typed face over a hash tier that is cut into segments of time.
//!
//! In come typed keys, starts and changes, out go what key-value stores give, too: changelog entries, held-back
//! updates, and sorted runs for the engine ([`StateStore`] says when).
//!
//! ```text
//! start / segment_interval ─► segment ─► hash of the key ─► rows of the key, sorted by (start, sequence)
//!          segments: | 3 | 4 | 5 |      a segment goes as a whole, in the tier and in the engine
//! ```
//!
//! A segment is `complete` from its birth until rows of it are evicted: as long, the engine is never asked. So an
//! update in a tumbling window is one hash lookup and a look at the end of a short vector, and a join walks a vector.
//!
//! **Expiry.** The store's own stream time is the largest start put into it. A row at or before stream time -
//! `retention` is refused and hidden, exactly, in reads of any kind; memory and disk are given back by segment. Where
//! Kafka Streams' persistent and in-memory stores differ, [`WindowOptions::persistent`] says which is meant. With a cache, updates
//! move stream time when they are flushed, and rows that are too old are still shown, and updated, while they fit into
//! [`WindowOptions::expired_max_bytes`]: Kafka Streams' cache does not look at the time of what it holds.
//!
//! What must never happen: an engine that holds something uncommitted, or a held-back update that goes with its
//! segment before it was forwarded. For aborts and serde errors the rules are those of
//! [`KeyValueStore`](super::KeyValueStore): no undo, and after a value that cannot be written nothing is handed over.

mod access;
mod bulk;
mod cache;
pub(super) mod layout;
mod lifecycle;
mod panes;
mod range;
mod rows;
mod segment;
#[cfg(test)]
mod tests;
mod write;

use std::convert::Infallible;
use std::sync::Arc;

use foldhash::fast::RandomState;

use self::cache::HeldPlaces;
use self::panes::Panes;
use self::segment::Segment;
use super::changelog_buffer::ChangelogBuffer;
use super::header_aware::LoggedHeaders;
use super::operation_meters::{Ended, Metered, OperationMeters, StoreOperation};
use super::progress::Progress;
use super::record_cache::{MeanLen, RecordCache};
use super::{CachedUpdate, StateStore, Unflushed};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::serdes::{SerdeError, SerdeRef};
use crate::types::{RecordContext, Timestamp, Window, Windowed};

pub use self::panes::Combine;
pub use self::range::{KeyedRowVisitor, RowVisitor};

/// Default of `tier_max_bytes`.
pub(super) const TIER_MAX_BYTES: u64 = 64 << 20;
/// Default of `expired_max_bytes`.
pub(super) const EXPIRED_MAX_BYTES: u64 = 1 << 20;

/// Kafka Streams' smallest default for [`WindowOptions::segment_interval`], ms.
const SEGMENT_INTERVAL_MIN: i64 = 60_000;

/// How a window store is made. Times are in ms.
#[derive(Debug, Clone)]
pub struct WindowOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// How long a row is kept: it expires when the store's stream time is this much after its start.
    pub retention: i64,
    /// Size of the windows: what their end is. `i64::MAX` for windows without an end.
    pub window_size: i64,
    /// Stretch of time that is dropped at once; see [`segment_interval`].
    pub segment_interval: i64,
    /// Keep each put as a row of its own, as joins do. Such a store has no cache.
    pub retain_duplicates: bool,
    /// Timestamped: the changelog record carries the value's timestamp; plain: that of the record in work.
    pub timestamped: bool,
    /// Changelog records carry the headers of the record in work, as those of Kafka Streams' join stores do.
    pub headers: bool,
    /// Hold updates back until a flush; one changelog record and one forward per key and window then.
    pub caching: bool,
    /// Write a changelog.
    pub logging: bool,
    /// Which of Kafka Streams' two kinds the store stands for. Reads are the same; a put that is too old is refused
    /// exactly by the in-memory kind, and only when its whole segment is gone by the persistent one.
    pub persistent: bool,
    /// Keep an index by start, so that [`fetch_all`](WindowStore::fetch_all) costs only what it visits: for emission
    /// when windows close. A persistent store has Kafka Streams' time-ordered layout then, which still shows the row
    /// at exactly stream time - retention.
    pub ordered_by_time: bool,
    /// Bytes that the tier may use before it evicts what the engine has.
    pub tier_max_bytes: u64,
    /// With caching: bytes of expired rows that stay visible, and can be updated. Kafka Streams' record cache knows no retention: it
    /// shows rows that were written since the store was opened until it needs their room.
    pub expired_max_bytes: u64,
}

impl WindowOptions {
    /// Kafka Streams' defaults for a store with windows of `window_size` that keeps its rows for `retention`:
    /// persistent, timestamped, logged, not cached, without duplicates, not in order of time; 64 MiB of tier.
    pub fn new(name: impl Into<Arc<str>>, retention: i64, window_size: i64) -> Self {
        Self {
            name: name.into(),
            retention,
            window_size,
            segment_interval: segment_interval(retention),
            retain_duplicates: false,
            timestamped: true,
            headers: false,
            caching: false,
            logging: true,
            persistent: true,
            ordered_by_time: false,
            tier_max_bytes: TIER_MAX_BYTES,
            expired_max_bytes: EXPIRED_MAX_BYTES,
        }
    }

    /// The first start that is not expired at `stream_time`.
    #[inline]
    fn horizon(&self, stream_time: Timestamp) -> Timestamp {
        let expired = stream_time.saturating_sub(self.retention);
        let keeps_last = self.ordered_by_time && self.persistent;
        if keeps_last { expired } else { expired.saturating_add(1) }
    }

    /// Rounds to zero, as in Java: segment 0 is twice as long, if there are starts below 0.
    #[inline]
    fn segment_id(&self, start: Timestamp) -> i64 {
        start / self.segment_interval
    }
}

/// Kafka Streams' default segment interval for a retention: half of it, a minute at least. In ms.
pub fn segment_interval(retention: i64) -> i64 {
    (retention / 2).max(SEGMENT_INTERVAL_MIN)
}

/// A store of `V` by `K` and the start of a window.
pub struct WindowStore<K, V> {
    options: WindowOptions,
    engine: Box<dyn Engine>,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    /// Segments that have, or had, rows; by id.
    segments: Vec<Segment<V>>,
    hasher: RandomState,
    /// The tier evicts when it needs more than this. Above `tier_max_bytes` while little can be evicted.
    evict_above: u64,
    /// Largest start seen; with a cache, largest start flushed.
    stream_time: Timestamp,
    /// Flushed updates that came too late, not yet asked for.
    refused: u64,
    /// Number of the last put, where each is a row of its own.
    sequence: u32,
    /// Stream time and sequence that the engine has.
    flushed_state: (Timestamp, u32),
    /// The engine may have segments up to this one, and they are expired.
    dropped: Option<i64>,
    /// What of these goes from the engine with the flush that is under way.
    dropping: Option<i64>,
    /// Rows of segments up to this one may be gone from a store with a cache, which shows expired rows as long as it has them.
    gone: Option<i64>,
    /// The rows are parts of windows, not windows.
    panes: Option<Box<Panes<K, V>>>,
    /// A row for each key and window: neither duplicates nor panes.
    row_is_window: bool,
    cache: RecordCache<V>,
    places: HeldPlaces,
    mean_len: MeanLen,
    send_old_values: bool,
    /// Updates in place are taken back if they cannot be written.
    undoes: bool,
    log: ChangelogBuffer,
    logged_headers: LoggedHeaders<V>,
    progress: Progress,
    meters: OperationMeters,
    key_bytes: Vec<u8>,
    log_key: Vec<u8>,
    entry_bytes: Vec<u8>,
}

impl<K, V> Metered for WindowStore<K, V> {
    fn meters(&mut self) -> &mut OperationMeters {
        &mut self.meters
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Opens a store over `engine`. A segment interval below 1 counts as 1; with duplicates there is no cache.
    pub fn new(
        options: WindowOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let segment_interval = options.segment_interval.max(1);
        let caching = options.caching && !options.retain_duplicates;
        let options = WindowOptions { segment_interval, caching, ..options };
        let row_is_window = !options.retain_duplicates;
        let evict_above = options.tier_max_bytes;
        let logged_headers = if options.headers { LoggedHeaders::Update } else { LoggedHeaders::None };
        let layout = Layout::Window {
            segment_interval: options.segment_interval,
            retention: options.retention,
            retain_duplicates: options.retain_duplicates,
            ordered_by_time: options.ordered_by_time,
        };
        let progress = Progress::open(options.name.clone(), &mut *engine, layout)?;
        let mut store = Self {
            options,
            engine,
            keys,
            values,
            segments: Vec::new(),
            hasher: RandomState::default(),
            evict_above,
            stream_time: crate::types::NO_TIMESTAMP,
            refused: 0,
            sequence: 0,
            flushed_state: (crate::types::NO_TIMESTAMP, 0),
            dropped: None,
            dropping: None,
            gone: None,
            panes: None,
            row_is_window,
            cache: RecordCache::new(),
            places: HeldPlaces::default(),
            mean_len: MeanLen::default(),
            send_old_values: false,
            undoes: false,
            log: ChangelogBuffer::default(),
            logged_headers,
            progress,
            meters: OperationMeters::default(),
            key_bytes: Vec::new(),
            log_key: Vec::new(),
            entry_bytes: Vec::new(),
        };
        store.open()?;
        Ok(store)
    }

    pub(super) fn logging_headers(mut self, headers: LoggedHeaders<V>) -> Self {
        self.logged_headers = headers;
        self
    }

    /// As [`KeyValueStore::undo_failed_updates`](crate::store::KeyValueStore::undo_failed_updates).
    pub fn undo_failed_updates(&mut self) {
        self.undoes = true;
    }

    /// How the store was made.
    pub fn options(&self) -> &WindowOptions {
        &self.options
    }

    /// The largest start put into the store; -1 before the first.
    pub fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// Whether a row that starts at `start` is expired: hidden, and not to be updated.
    #[inline]
    pub fn is_expired(&self, start: Timestamp) -> bool {
        start < self.shown_from()
    }

    /// The window that starts at `start`.
    pub fn window(&self, start: Timestamp) -> Window {
        Window { start, end: start.saturating_add(self.options.window_size) }
    }

    /// The value of `key` in the window that starts at `start`, and its timestamp. Of duplicates the last one.
    #[inline]
    pub fn fetch(&mut self, key: &K, start: Timestamp) -> Result<Option<(&V, Timestamp)>, StateError> {
        if self.panes.is_some() {
            return self.fetch_window(key, start);
        }
        let found = self.operation(
            |store| store.find_rows(key, start),
            |_, found| Ended::Read(StoreOperation::Fetch, matches!(found, Ok(Some(_)))),
        )?;
        let Some((segment, slot)) = found else { return Ok(None) };
        let row = self.segments[segment].slot(slot).rows.between(start, start).last();
        Ok(row.and_then(|row| row.value.as_ref()).map(|(value, timestamp)| (value, *timestamp)))
    }

    /// Segment and slot that may have the row of `key` at `start`.
    #[inline]
    fn find_rows(&mut self, key: &K, start: Timestamp) -> Result<Option<(usize, u32)>, StateError> {
        if self.is_expired(start) {
            return Ok(None);
        }
        let hash = self.encode_key(key)?;
        let Some(segment) = self.segment_at(start) else { return Ok(None) };
        Ok(self.resolve(segment, hash)?.map(|slot| (segment, slot)))
    }

    /// Changes the value of `key` in the window that starts at `start` in place: `change` sees the value and its
    /// timestamp, `None` is no row. `None`: the start is expired, `change` was not called, the caller counts it.
    ///
    /// With caching, the first update of a row after a flush clones its value: a deletion may have to say what was
    /// deleted. With duplicates `change` sees no row and makes one more.
    #[inline]
    pub fn update<R>(
        &mut self,
        key: &K,
        start: Timestamp,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> R,
    ) -> Result<Option<R>, StateError> {
        match self.try_update(key, start, context, |row| Ok::<R, Infallible>(change(row)))? {
            None => Ok(None),
            Some(Ok(result)) => Ok(Some(result)),
            Some(Err(never)) => match never {},
        }
    }

    /// Like [`update`](Self::update) for a change that can fail. If it does it must have left the row as it was:
    /// then nothing is logged or held back, and time stays.
    #[inline]
    pub fn try_update<R, E>(
        &mut self,
        key: &K,
        start: Timestamp,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Option<Result<R, E>>, StateError> {
        if self.is_expired(start) {
            return Ok(None);
        }
        if !self.row_is_window {
            self.check_writable()?;
            let mut row = None;
            let result = change(&mut row);
            if result.is_ok() {
                self.put_another(key, start, row, context)?;
            }
            return Ok(Some(result));
        }
        self.update_row(key, (start, 0), context, change).map(Some)
    }

    /// Changes the row at this start and sequence in place.
    #[inline]
    fn update_row<R, E>(
        &mut self,
        key: &K,
        (start, sequence): (Timestamp, u32),
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Result<R, E>, StateError> {
        let began = self.meters.begin();
        let place = self.locate_or_insert(key, start, sequence)?;
        let wants_flushed = self.wants_flushed(place);
        let row = self.segments[place.segment].row_mut(place.slot, place.row);
        self.meters.end_read(StoreOperation::Fetch, began, row.value.is_some());
        let flushed = match &row.value {
            Some((value, _)) if wants_flushed => Some(value.clone()),
            Some(_) | None => None,
        };
        let undo = (self.undoes && !self.options.caching).then(|| row.value.clone());
        let result = change(&mut row.value);
        if result.is_ok() {
            let began = began.and_then(|_| self.meters.begin());
            match self.options.caching {
                true => self.hold(place, flushed, context)?,
                false => self.write_or_undo(place, undo, context)?,
            }
            self.updated(start);
            self.meters.end_put(StoreOperation::Put, began, context.timestamp);
        }
        Ok(result)
    }

    /// Sets or (`None`) deletes the value of `key` in the window that starts at `start`; with duplicates adds a row,
    /// and ignores `None`. A value that serializes as null is like `None`. `false`: the put came too late; the caller
    /// counts it as dropped.
    ///
    /// As in Kafka Streams a put that changes nothing, because it is too late or a null among duplicates, still is a
    /// record in the changelog.
    pub fn put(
        &mut self,
        key: &K,
        start: Timestamp,
        value: Option<V>,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<bool, StateError> {
        self.operation(
            |store| store.set(key, start, value.map(|value| (value, timestamp)), context),
            |_, _| Ended::Put(StoreOperation::Put, context.timestamp),
        )
    }
}

/// Where a row is: index of the segment, slot, index among the rows of the slot. Good until rows come or go.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: usize,
    slot: u32,
    row: usize,
}
