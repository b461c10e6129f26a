//! What becomes of a row that has changed: held back by the cache, or logged.

use super::*;

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Whether the cache will want to know what the row is now: it is the one at the last flush.
    #[inline]
    pub(super) fn wants_flushed(&self, id: u32) -> bool {
        self.options.caching && self.tier.slot(id).cached == NONE
    }

    /// What the row is now, for the cache. A value that the engine has, too, is not copied, which would wait for its memory.
    #[inline]
    pub(super) fn flushed(&self, id: u32) -> Option<Flushed<V>> {
        let (value, _) = self.tier.slot(id).row.as_ref()?;
        Some(if self.is_in_engine(id) { Flushed::InEngine } else { Flushed::Value(value.clone()) })
    }

    /// Sets the row, and returns what it was, if the cache wants to know.
    pub(super) fn replace_flushed(&mut self, id: u32, row: Option<(V, Timestamp)>) -> Option<Flushed<V>> {
        let (wanted, in_engine) = (self.wants_flushed(id), self.is_in_engine(id));
        let (value, _) = std::mem::replace(&mut self.tier.slot_mut(id).row, row).filter(|_| wanted)?;
        Some(if in_engine { Flushed::InEngine } else { Flushed::Value(value) })
    }

    /// Whether the engine can tell what the row is now, and nobody will want it soon.
    #[inline]
    fn is_in_engine(&self, id: u32) -> bool {
        !self.send_old_values && self.tier.is_clean(id) && self.engine.is_durable()
    }

    /// The value that the engine has for the key of `id`.
    pub(super) fn value_in_engine(&mut self, id: u32) -> Result<Option<V>, StateError> {
        match self.engine.get(self.tier.slot(id).key(), &mut self.value_bytes)? {
            true => Ok(Some(self.decode(&self.value_bytes)?.0)),
            false => Ok(None),
        }
    }

    /// The row of `id` has changed: writes it out. If that fails the row is `before` again, or, if that is not known, nothing of
    /// this store is committed any more.
    #[inline]
    pub(super) fn write_or_undo(
        &mut self,
        id: u32,
        before: Option<Option<(V, Timestamp)>>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let written = self.write_out(id, context);
        written.map_err(|error| match before {
            Some(before) => {
                self.tier.slot_mut(id).row = before;
                error
            }
            None => self.progress.broken(error),
        })
    }

    /// The row of `id` has changed: holds the update back.
    #[inline]
    pub(super) fn hold(
        &mut self,
        id: u32,
        flushed: Option<Flushed<V>>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let slot = self.tier.slot_mut(id);
        if slot.row.as_ref().is_some_and(|(value, _)| self.values.is_null(value)) {
            slot.row = None;
        }
        match slot.cached {
            NONE => slot.cached = self.cache.add(id, slot.key().len(), flushed, context),
            entry => self.cache.again(entry, context),
        }
        self.tier.touch(id, None);
        Ok(())
    }

    /// Logs the row of `id`. The one place where an update is counted and null turns into absence.
    #[inline]
    pub(super) fn write_out(&mut self, id: u32, context: &RecordContext) -> Result<(), StateError> {
        if self.lru.is_some() {
            self.bound_rows(id, context);
        }
        let slot = self.tier.slot_mut(id);
        let row = &slot.row;
        let values = self.logged_headers.serde(&self.values);
        let len = if self.options.logging {
            let timestamp = match row {
                Some((_, timestamp)) if self.options.timestamped => *timestamp,
                Some(_) | None => context.timestamp,
            };
            let write = |out: &mut Vec<u8>| match row {
                Some((value, _)) => values.serialize(value, out),
                None => Ok(false),
            };
            match self.log.push(slot.key(), (timestamp, context.timestamp), write) {
                Ok(len) => {
                    let present = row.as_ref().filter(|_| len.is_some()).map(|(value, _)| value);
                    self.logged_headers.add(&mut self.log, present, &context.headers);
                    Some(len.ok_or(()))
                }
                Err(source) => return Err(self.progress.serde_error(source)),
            }
        } else if row.as_ref().is_none_or(|(value, _)| values.is_null(value)) {
            Some(Err(()))
        } else {
            None
        };
        if let Some(Err(())) = len {
            slot.row = None;
        }
        self.progress.updated();
        self.tier.touch(id, len.map(|len| len.unwrap_or(0)));
        Ok(())
    }
}
