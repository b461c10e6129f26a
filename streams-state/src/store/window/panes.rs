//! Windows in panes: rows are parts of windows, a record is folded into one of them, and windows are combined from panes
//! when somebody wants to see them.
//!
//! In come records with their time, out go windows: read, or held back as [`CachedStore`](crate::store::CachedStore)s do.
//!
//! ```text
//! size 10, advance 4:  each slide of 4 is cut where windows end, at 10 mod 4 = 2, so into two panes
//!
//! time    0   2   4   6   8   10  12  14      row of a pane:  start of its slide, sequence: tag | 1 or 2
//! panes   | 1 | 2 | 1 | 2 | 1 | 2 | 1 |                       size a multiple of advance: no cut, 1 only
//! window  [-------------------)               row of a window of its own: its start, tag | 3
//! window          [-------------------)
//! ```
//!
//! A record that is too late for some of its windows, but not for all, must not change those: it is folded into rows that its other
//! windows have of their own. So a pane is the same part of each of its windows, and a window is what Kafka Streams would have,
//! if the aggregation does not care for the order in which records are folded.
//!
//! Starts are those of windows, so time, expiry and segments are those of a store of windows. The tag is made of size and
//! advance: rows of other windows, or of a store without panes, are refused rather than combined to nonsense.

mod flush;
mod slide;

use std::collections::{HashMap, VecDeque};
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use self::slide::{PartRow, Slide};
use super::range::Span;
use super::*;
use crate::store::key_bytes::KeyBytes;
use crate::store::tier::{NONE, hash};

/// Combines two parts of a window of a key: the second is later in time, and merged into the first.
pub type Combine<K, V> = Arc<dyn Fn(&K, V, &V) -> V + Send + Sync>;

/// A changelog or an engine with rows that this store does not understand.
pub(super) const OTHER_FORM: &str = "it has rows of another form: its windows have changed, or whether they are kept in panes; give the \
     store another name, or reset the application";

/// Which row of a slide, in the lowest bits of the sequence.
type Kind = u32;
const FIRST: Kind = 1;
const SECOND: Kind = 2;
/// Of one window: what came too late for its neighbours.
const OWN: Kind = 3;
const KIND_BITS: u32 = 2;
/// Sequences are not negative in Java: 31 bits, less those of the kind.
const TAG_BITS: u32 = 29;

/// A row: start of its slide, and which of the slide's rows.
type Part = (Timestamp, Kind);

/// Where windows and their panes are.
#[derive(Clone, Copy)]
struct Geometry {
    size: Timestamp,
    advance: Timestamp,
    /// Where in a slide windows end; 0 is at its end.
    cut: Timestamp,
}

impl Geometry {
    fn new(size: Timestamp, advance: Timestamp) -> Self {
        Self { size, advance, cut: size % advance }
    }

    /// A number that other windows do not have, or by an unlikely chance. It is in files and topics: must never change.
    fn tag(self) -> u32 {
        let mixed = (self.size ^ self.advance.rotate_left(32)) as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TAG_BITS)) as u32
    }

    /// The pane of a record, whose time is not negative.
    fn pane_of(self, timestamp: Timestamp) -> Part {
        let start = timestamp / self.advance * self.advance;
        (start, if self.cut > 0 && timestamp - start >= self.cut { SECOND } else { FIRST })
    }

    /// Start of the first window that has this pane. That of the last one is the start of the pane's slide.
    fn first_window(self, (start, kind): Part) -> Timestamp {
        let whole = i64::from(self.cut == 0 || kind == SECOND);
        start.saturating_sub((self.size / self.advance - whole) * self.advance).max(0)
    }

    /// The last pane of the window that starts at `start`. The first one is at its start.
    fn last_pane(self, start: Timestamp) -> Part {
        let whole = i64::from(self.cut == 0);
        (start.saturating_add((self.size / self.advance - whole) * self.advance), FIRST)
    }
}

/// What a store of panes has beside its rows.
pub(super) struct Panes<K, V> {
    geometry: Geometry,
    tag: u32,
    combine: Combine<K, V>,
    /// The window that was last fetched.
    shown: Option<(V, Timestamp)>,
    /// Windows to be sent on, of panes that the cache has let go.
    released: VecDeque<Released<V>>,
    /// What panes that the cache has let go were at the last flush: segment, slot, part. For old values.
    flushed: HashMap<(i64, u32, Part), Option<V>>,
}

/// A window to be sent on: the serialized key, the start, old and new value, the timestamp, the context of the last update.
struct Released<V> {
    key: KeyBytes,
    start: Timestamp,
    old: Option<V>,
    new: V,
    timestamp: Timestamp,
    context: RecordContext,
}

/// Rows of a key, in order: values that are present, and the parts that the cache holds.
struct Gathered<V> {
    values: Vec<PartRow<V>>,
    held: Vec<Part>,
}

/// Which values are gathered.
#[derive(Clone, Copy, PartialEq)]
enum As {
    /// Those of today.
    Now,
    /// Those of the last flush.
    Flushed,
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Keeps panes instead of windows, which start every `advance` ms, from 1 to the window size. Records go in by
    /// [`try_update_pane`](Self::try_update_pane); reads show windows, each combined of its panes by `combine`. Not for a store with
    /// duplicates, and not for one that has rows.
    pub fn in_panes(mut self, advance: i64, combine: Combine<K, V>) -> Self {
        let geometry = Geometry::new(self.options.window_size, advance.max(1));
        self.row_is_window = false;
        self.panes = Some(Box::new(Panes {
            geometry,
            tag: geometry.tag(),
            combine,
            shown: None,
            released: VecDeque::new(),
            flushed: HashMap::new(),
        }));
        self
    }

    /// Changes the pane of a record of `timestamp`, not negative, in place: all windows that contain the record have changed then. Else
    /// as [`try_update`](Self::try_update).
    ///
    /// # Errors
    /// Beside those of any update: the store keeps no panes.
    pub fn try_update_pane<R, E>(
        &mut self,
        key: &K,
        timestamp: Timestamp,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Option<Result<R, E>>, StateError> {
        let part = self.panes()?.geometry.pane_of(timestamp);
        self.update_part(key, part, context, change)
    }

    /// As [`try_update_pane`](Self::try_update_pane), but for the window that starts at `start` only.
    ///
    /// # Errors
    /// Beside those of any update: the store keeps no panes.
    pub fn try_update_window<R, E>(
        &mut self,
        key: &K,
        start: Timestamp,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Option<Result<R, E>>, StateError> {
        self.update_part(key, (start, OWN), context, change)
    }

    fn update_part<R, E>(
        &mut self,
        key: &K,
        (start, kind): Part,
        context: &RecordContext,
        change: impl FnOnce(&mut Option<(V, Timestamp)>) -> Result<R, E>,
    ) -> Result<Option<Result<R, E>>, StateError> {
        let sequence = self.panes()?.tag << KIND_BITS | kind;
        if self.is_expired(start) {
            return Ok(None);
        }
        self.update_row(key, (start, sequence), context, change).map(Some)
    }

    /// Visits the windows of `key` that start in `from..=to`, in their order: start, value, timestamp.
    ///
    /// # Errors
    /// Beside those of any read: the store keeps no panes.
    pub fn fetch_windows(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut dyn FnMut(Timestamp, V, Timestamp),
    ) -> Result<(), StateError> {
        self.operation(
            |store| store.combine_windows(key, from, to, visit),
            |_, _| Ended::Visit(StoreOperation::Fetch),
        )
    }

    fn combine_windows(
        &mut self,
        key: &K,
        from: Timestamp,
        to: Timestamp,
        visit: &mut dyn FnMut(Timestamp, V, Timestamp),
    ) -> Result<(), StateError> {
        let windows = from.max(self.windows_from())..=to;
        if !windows.is_empty() {
            let hash = self.encode_key(key)?;
            let gathered = self.gather(hash, &windows, As::Now)?;
            self.slide(key, gathered, windows, visit)?;
        }
        Ok(())
    }

    pub(super) fn fetch_window(
        &mut self,
        key: &K,
        start: Timestamp,
    ) -> Result<Option<(&V, Timestamp)>, StateError> {
        let mut shown = None;
        let show = &mut |_, value, timestamp| shown = Some((value, timestamp));
        self.operation(
            |store| match store.is_expired(start) {
                true => Ok(()),
                false => store.combine_windows(key, start, start, show),
            },
            |_, _| Ended::Other(StoreOperation::Fetch),
        )?;
        let Some(panes) = &mut self.panes else { return Ok(None) };
        panes.shown = shown;
        Ok(panes.shown.as_ref().map(|(value, timestamp)| (value, *timestamp)))
    }

    pub(super) fn visit_windows(
        &mut self,
        key: &K,
        (from, to): (Timestamp, Timestamp),
        backward: bool,
        visit: &mut RowVisitor<'_, V>,
    ) -> Result<bool, StateError> {
        let mut found = Vec::new();
        self.combine_windows(key, from, to, &mut |start, value, timestamp| {
            found.push((start, value, timestamp));
        })?;
        if backward {
            found.reverse();
        }
        let any = !found.is_empty();
        for (start, value, timestamp) in found {
            if visit(start, &value, timestamp).is_break() {
                break;
            }
        }
        Ok(any)
    }

    /// Visits windows of many keys: one segment's at a time, since they are combined before they are sorted.
    pub(super) fn scan_windows(
        &mut self,
        span: &Span,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<(), StateError> {
        let geometry = self.panes()?.geometry;
        let (from, to) = (span.from.max(self.windows_from()), span.to);
        let mut ids: Vec<i64> = Vec::new();
        for segment in &self.segments {
            let first = segment.id.saturating_mul(self.options.segment_interval);
            let first = self.segment_id(geometry.first_window((first, FIRST)));
            ids.extend(ids.last().map_or(first, |last| first.max(last + 1))..=segment.id);
        }
        if span.backward {
            ids.reverse();
        }
        for id in ids {
            let first = id.saturating_mul(self.options.segment_interval);
            let last = first.saturating_add(self.options.segment_interval - 1);
            let windows = from.max(first)..=to.min(last);
            if !windows.is_empty() && self.scan_windows_of(span, windows, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan_windows_of(
        &mut self,
        span: &Span,
        windows: RangeInclusive<Timestamp>,
        visit: &mut KeyedRowVisitor<'_, K, V>,
    ) -> Result<ControlFlow<()>, StateError> {
        let mut found = Vec::new();
        for bytes in self.keys_of(span, &windows)? {
            self.key_bytes.clear();
            self.key_bytes.extend_from_slice(bytes.as_slice());
            let hash = hash(&self.hasher, bytes.as_slice());
            let gathered = self.gather(hash, &windows, As::Now)?;
            let key = self.decode_key(bytes.as_slice())?;
            self.slide(&key, gathered, windows.clone(), &mut |start, value, timestamp| {
                found.push((start, bytes.clone(), value, timestamp));
            })?;
        }
        if !span.by_key {
            // Those of a key are in order, and keys are.
            found.sort_by_key(|(start, ..)| *start);
        }
        if span.backward {
            found.reverse();
        }
        for (start, bytes, value, timestamp) in found {
            let key = self.decode_key(bytes.as_slice())?;
            if visit(key, start, &value, timestamp).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The keys that have rows of these windows, in order, as long as `span` wants them.
    fn keys_of(&self, span: &Span, windows: &RangeInclusive<Timestamp>) -> Result<Vec<KeyBytes>, StateError> {
        let (from, to) = (*windows.start(), self.panes()?.geometry.last_pane(*windows.end()).0);
        let mut keys: Vec<KeyBytes> = Vec::new();
        let mut of_engine = Vec::new();
        for segment in &self.segments {
            if segment.id < self.segment_id(from) || segment.id > self.segment_id(to) {
                continue;
            }
            let mut seen: Vec<bool> = Vec::new();
            segment.for_each_between(from, to, &mut |_, id| {
                let at = id as usize;
                if seen.len() <= at {
                    seen.resize(at + 1, false);
                }
                if !std::mem::replace(&mut seen[at], true) {
                    keys.push(segment.slot(id).key.clone());
                }
            });
            if !segment.complete {
                self.engine_rows(segment.id, &Span::of_time(from, to, false), &mut of_engine)?;
            }
        }
        keys.extend(of_engine.into_iter().map(|(_, key)| key));
        keys.retain(|key| span.has_key(key.as_slice()));
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// The rows of the key in `key_bytes` of which these windows are combined.
    fn gather(
        &mut self,
        hash: u64,
        windows: &RangeInclusive<Timestamp>,
        wanted: As,
    ) -> Result<Gathered<V>, StateError> {
        let (from, to) = (*windows.start(), self.panes()?.geometry.last_pane(*windows.end()).0);
        let (first, last) = (self.segment_id(from), self.segment_id(to));
        let mut gathered = Gathered { values: Vec::new(), held: Vec::new() };
        for segment in 0..self.segments.len() {
            let id = self.segments[segment].id;
            if !(first..=last).contains(&id) {
                continue;
            }
            let Some(slot) = self.resolve(segment, hash)? else { continue };
            let rows = self.segments[segment].slot(slot).rows.between(from, to);
            gathered.values.reserve(rows.len());
            for row in rows {
                let part = (row.start, row.sequence & ((1 << KIND_BITS) - 1));
                if row.cached != NONE {
                    gathered.held.push(part);
                }
                let now = || row.value.as_ref();
                let value = match wanted {
                    As::Now => now().cloned(),
                    As::Flushed if row.cached != NONE => {
                        self.cache.flushed(row.cached).map(|value| (value.clone(), row.start))
                    }
                    As::Flushed => {
                        match self.panes.as_ref().and_then(|panes| panes.flushed.get(&(id, slot, part))) {
                            Some(flushed) => flushed.as_ref().map(|value| (value.clone(), row.start)),
                            None => now().cloned(),
                        }
                    }
                };
                gathered.values.extend(value.map(|value| (part, Some(value))));
            }
        }
        Ok(gathered)
    }

    /// Combines windows that start in `windows`, in their order.
    fn slide(
        &self,
        key: &K,
        gathered: Gathered<V>,
        windows: RangeInclusive<Timestamp>,
        visit: &mut dyn FnMut(Timestamp, V, Timestamp),
    ) -> Result<(), StateError> {
        let panes = self.panes()?;
        for (start, (value, timestamp)) in Slide::new(panes, key, gathered.values, windows) {
            visit(start, value, timestamp);
        }
        Ok(())
    }

    /// The first window that can be shown: a store with a cache shows expired ones, but none of which parts may be gone.
    fn windows_from(&self) -> Timestamp {
        let min_live = self.min_live_segment();
        let lacking = self.segments.iter().filter(|segment| segment.id < min_live && !segment.complete);
        let gone = lacking.map(|segment| segment.id).max().max(self.gone);
        let whole = gone
            .map_or(Timestamp::MIN, |id| id.saturating_add(1).saturating_mul(self.options.segment_interval));
        whole.max(self.shown_from()).max(0)
    }

    fn panes(&self) -> Result<&Panes<K, V>, StateError> {
        self.panes.as_deref().ok_or_else(|| self.misused("keeps no panes: its rows are windows"))
    }

    /// Refuses to write rows that are not windows as if they were.
    pub(super) fn check_writable(&self) -> Result<(), StateError> {
        match self.panes {
            Some(_) => Err(self.misused("keeps panes, which only its aggregation can write")),
            None => Ok(()),
        }
    }

    /// Refuses rows that were not written for these windows.
    #[inline]
    pub(super) fn check_sequence(&self, sequence: u32) -> Result<(), StateError> {
        let fits = match &self.panes {
            Some(panes) => sequence >> KIND_BITS == panes.tag,
            None => sequence == 0 || self.options.retain_duplicates,
        };
        match fits {
            true => Ok(()),
            false => Err(self.progress.serde_error(SerdeError::new(OTHER_FORM))),
        }
    }

    #[cold]
    fn misused(&self, what: &str) -> StateError {
        self.progress.serde_error(SerdeError::new(format!("it {what}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each pane is in the windows from its first one to that of its slide, whole, and in no other.
    #[test]
    fn panes_are_parts_of_the_same_windows() {
        for size in 1..=14 {
            for advance in 1..=size {
                let geometry = Geometry::new(size, advance);
                for time in 0..60 {
                    let pane = geometry.pane_of(time);
                    let first = geometry.first_window(pane);
                    for start in (0..60).step_by(advance as usize) {
                        let contains = (start..start + size).contains(&time);
                        assert_eq!(
                            (first..=pane.0).contains(&start),
                            contains,
                            "{size} {advance} {time} {start}"
                        );
                        let between = ((start, FIRST)..=geometry.last_pane(start)).contains(&pane);
                        assert_eq!(between, contains, "{size} {advance} {time} {start}");
                    }
                }
            }
        }
    }

    #[test]
    fn tags_are_kept_in_files() {
        let tag = |size, advance| Geometry::new(size, advance).tag();
        assert_eq!(tag(60_000, 10_000), 183_764_231);
        assert_ne!(tag(60_000, 10_000), tag(60_000, 5_000));
        assert_ne!(tag(60_000, 10_000), tag(10_000, 60_000));
        assert!(tag(i64::MAX, 1) < 1 << TAG_BITS);
    }
}
