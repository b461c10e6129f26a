//! Puts: over the row that is there, or beside it.

use super::*;

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// An update in place where each put is a row of its own.
    pub(super) fn put_another(
        &mut self,
        key: &K,
        start: Timestamp,
        value: Option<(V, Timestamp)>,
        context: &RecordContext,
    ) -> Result<bool, StateError> {
        self.operation(
            |store| store.put_duplicate(key, start, value, context),
            |_, _| Ended::Put(StoreOperation::Put, context.timestamp),
        )
    }

    /// As [`put`](Self::put), measured by who calls it.
    pub(super) fn set(
        &mut self,
        key: &K,
        start: Timestamp,
        value: Option<(V, Timestamp)>,
        context: &RecordContext,
    ) -> Result<bool, StateError> {
        if !self.row_is_window {
            self.check_writable()?;
            return self.put_duplicate(key, start, value, context);
        }
        if self.is_expired(start) || self.keeps_nothing(start) {
            self.encode_key(key)?;
            self.log_only(start, 0, value.as_ref(), context)?;
            self.updated(start);
            return Ok(!self.refuses(start));
        }
        let place = self.locate_or_insert(key, start, 0)?;
        let wants_flushed = self.wants_flushed(place);
        let row = self.segments[place.segment].row_mut(place.slot, place.row);
        let before = std::mem::replace(&mut row.value, value);
        if self.options.caching {
            let flushed = before.filter(|_| wants_flushed).map(|(value, _)| value);
            self.hold(place, flushed, context)?;
        } else {
            self.write_or_undo(place, Some(before), context)?;
        }
        self.updated(start);
        Ok(true)
    }

    /// Puts a row beside those that have the same key and start. The engine is not asked.
    ///
    /// The sequence goes on after a restart: Kafka Streams counts from 1 again, and so may overwrite a row.
    fn put_duplicate(
        &mut self,
        key: &K,
        start: Timestamp,
        value: Option<(V, Timestamp)>,
        context: &RecordContext,
    ) -> Result<bool, StateError> {
        let hash = self.encode_key(key)?;
        // As in Java the number wraps around before it would be negative, and counts ignored puts, too.
        self.sequence = (self.sequence + 1) & 0x7fff_ffff;
        let is_null = value.as_ref().is_none_or(|(value, _)| self.values.is_null(value));
        if is_null || self.is_expired(start) || self.keeps_nothing(start) {
            self.log_only(start, self.sequence, value.as_ref(), context)?;
            if is_null && self.options.persistent {
                return Ok(true);
            }
            let accepted = !self.refuses(start);
            self.advance(start);
            return Ok(accepted);
        }
        let segment = self.segment_or_insert(start);
        let slot = self.slot_or_partial(segment, hash);
        let row = self.segments[segment].find_or_insert(slot, start, self.sequence);
        self.segments[segment].row_mut(slot, row).value = value;
        self.write_or_undo(Place { segment, slot, row }, Some(None), context)?;
        self.advance(start);
        Ok(true)
    }
}
