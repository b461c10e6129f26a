//! Holding updates back, as Kafka Streams' caching window store does: one for each key and window, handed over in the
//! order of last updates.

use super::*;
use crate::store::CachedStore;
use crate::store::record_cache::Held;
use crate::store::tier::NONE;
use crate::types::Change;

/// Where held-back rows are. The record cache knows them by their number here, since rows move in their vectors.
#[derive(Default)]
pub(super) struct HeldPlaces {
    places: Vec<HeldPlace>,
    free: Vec<u32>,
}

#[derive(Clone, Copy)]
struct HeldPlace {
    segment: i64,
    slot: u32,
    start: Timestamp,
    sequence: u32,
}

impl HeldPlaces {
    fn add(&mut self, place: HeldPlace) -> u32 {
        match self.free.pop() {
            Some(number) => {
                self.places[number as usize] = place;
                number
            }
            None => {
                self.places.push(place);
                self.places.len() as u32 - 1
            }
        }
    }

    fn take(&mut self, number: u32) -> HeldPlace {
        self.free.push(number);
        self.places[number as usize]
    }
}

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Number of rows whose update is held back.
    pub fn cached_len(&self) -> usize {
        self.cache.len()
    }

    /// Whether the cache will want the value that the row has now: it is the one at the last flush.
    #[inline]
    pub(super) fn wants_flushed(&self, place: Place) -> bool {
        self.options.caching && self.segments[place.segment].row(place.slot, place.row).cached == NONE
    }

    /// The row at `place` has changed: writes it out. If that fails the row is `before` again, or, if that is not known, nothing
    /// of this store is committed any more.
    #[inline]
    pub(super) fn write_or_undo(
        &mut self,
        place: Place,
        before: Option<Option<(V, Timestamp)>>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let written = self.write_out(place, context);
        written.map_err(|error| match before {
            Some(before) => {
                self.segments[place.segment].row_mut(place.slot, place.row).value = before;
                error
            }
            None => self.progress.broken(error),
        })
    }

    /// The row at `place` has changed: holds the update back.
    #[inline]
    pub(super) fn hold(
        &mut self,
        place: Place,
        flushed: Option<V>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let segment = &mut self.segments[place.segment];
        let key_len = segment.slot(place.slot).key.as_slice().len();
        let (id, row) = (segment.id, segment.row_mut(place.slot, place.row));
        if row.value.as_ref().is_some_and(|(value, _)| self.values.is_null(value)) {
            row.value = None;
        }
        match row.cached {
            NONE => {
                let (start, sequence) = (row.start, row.sequence);
                let held = self.places.add(HeldPlace { segment: id, slot: place.slot, start, sequence });
                row.cached = self.cache.add(held, key_len, flushed, context);
                segment.held += 1;
            }
            entry => self.cache.again(entry, context),
        }
        segment.touch(place.slot, place.row, None);
        Ok(())
    }

    /// Takes the oldest held-back update, and says where its row is.
    pub(super) fn pop_held(&mut self) -> Result<Option<(Held<V>, Place)>, StateError> {
        let Some(held) = self.cache.pop() else { return Ok(None) };
        let at = self.places.take(held.slot);
        let segment = self.segment_index(at.segment)?;
        let rows = &mut self.segments[segment];
        let row = rows.find_or_insert(at.slot, at.start, at.sequence);
        rows.row_mut(at.slot, row).cached = NONE;
        rows.held -= 1;
        Ok(Some((held, Place { segment, slot: at.slot, row })))
    }

    /// Writes the row at `place` out: the update moves stream time now, and may turn out to be too late.
    fn write_held(
        &mut self,
        place: Place,
        start: Timestamp,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        self.refused += u64::from(self.refuses(start));
        self.stream_time = self.stream_time.max(start);
        let written = self.write_out(place, context);
        written.map_err(|error| self.progress.broken(error))
    }

    /// Moves all held-back updates to the changelog.
    pub(super) fn write_all_cached(&mut self) -> Result<(), StateError> {
        while let Some((held, place)) = self.pop_held()? {
            let start = self.segments[place.segment].row(place.slot, place.row).start;
            self.write_held(place, start, &held.context)?;
        }
        self.expire();
        Ok(())
    }

    /// Bytes of the updates held back, about.
    pub(super) fn held_bytes(&self) -> u64 {
        let on_heap = if std::mem::needs_drop::<V>() { self.mean_len.bytes() } else { 0 };
        self.cache.bytes() + self.cache.len() as u64 * on_heap
    }
}

impl<K: 'static, V: Clone + 'static> CachedStore<Windowed<K>, V> for WindowStore<K, V> {
    fn caching(&self) -> bool {
        self.options.caching
    }

    fn send_old_values(&mut self) {
        self.send_old_values = true;
    }

    fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// In order of last update. A row that is absent now and was at the last flush is passed over.
    fn pop_cached(&mut self) -> Result<Option<CachedUpdate<Windowed<K>, V>>, StateError> {
        if self.panes.is_some() {
            return self.pop_cached_window();
        }
        while let Some((held, place)) = self.pop_held()? {
            let row = self.segments[place.segment].row(place.slot, place.row);
            let start = row.start;
            // What the store below the cache would not show any more was not there.
            let flushed = held.flushed.filter(|_| start >= self.horizon());
            if row.value.is_none() && flushed.is_none() {
                continue;
            }
            self.write_held(place, start, &held.context)?;
            let segment = &self.segments[place.segment];
            let row = segment.row(place.slot, place.row);
            let (new, timestamp) = match &row.value {
                Some((value, timestamp)) if self.options.timestamped => (Some(value.clone()), *timestamp),
                Some((value, _)) => (Some(value.clone()), held.context.timestamp),
                None => (None, held.context.timestamp),
            };
            let key = self.decode_key(segment.slot(place.slot).key.as_slice())?;
            let key = Windowed { key, window: self.window(row.start) };
            let old = flushed.filter(|_| self.send_old_values);
            return Ok(Some(CachedUpdate {
                key,
                change: Change::latest(old, new),
                timestamp,
                context: held.context,
            }));
        }
        self.expire();
        Ok(None)
    }
}
