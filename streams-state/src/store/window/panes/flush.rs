//! Sending held-back windows on: the cache holds panes, and each window goes out with the last of its panes to be updated. So
//! windows go in the order of their last updates, once each, as from a cache of windows.

use super::*;
use crate::types::Change;

impl<K: 'static, V: Clone + 'static> WindowStore<K, V> {
    /// Takes the next window whose panes the cache has let go; logs panes on the way.
    pub(in super::super) fn pop_cached_window(
        &mut self,
    ) -> Result<Option<CachedUpdate<Windowed<K>, V>>, StateError> {
        loop {
            if let Some(released) = self.panes.as_mut().and_then(|panes| panes.released.pop_front()) {
                let Released { key, start, old, new, timestamp, context } = released;
                let key = Windowed { key: self.decode_key(key.as_slice())?, window: self.window(start) };
                let change = Change::latest(old, Some(new));
                return Ok(Some(CachedUpdate { key, change, timestamp, context }));
            }
            let Some((held, place)) = self.pop_held()? else { break };
            let row = self.segments[place.segment].row(place.slot, place.row);
            let part = (row.start, row.sequence & ((1 << KIND_BITS) - 1));
            if let Some(panes) = self.panes.as_mut().filter(|_| self.send_old_values) {
                let at = (self.segments[place.segment].id, place.slot, part);
                panes.flushed.insert(at, held.flushed);
            }
            self.stream_time = self.stream_time.max(part.0);
            let written = self.write_out(place, &held.context);
            written.map_err(|error| self.progress.broken(error))?;
            self.release(place, part, &held.context)?;
        }
        if let Some(panes) = &mut self.panes {
            panes.flushed.clear();
        }
        self.expire();
        Ok(None)
    }

    /// Releases the windows of a part that have no other part which the cache still holds: those are later.
    fn release(&mut self, place: Place, part: Part, context: &RecordContext) -> Result<(), StateError> {
        let geometry = self.panes()?.geometry;
        let bytes = self.segments[place.segment].slot(place.slot).key.clone();
        self.key_bytes.clear();
        self.key_bytes.extend_from_slice(bytes.as_slice());
        let hash = hash(&self.hasher, bytes.as_slice());
        let first = if part.1 == OWN { part.0 } else { geometry.first_window(part) };
        let gathered = self.gather(hash, &(first..=part.0), As::Now)?;
        let windows = unheld(geometry, part, first, &gathered.held);
        if windows.is_empty() {
            return Ok(());
        }
        let key = self.decode_key(bytes.as_slice())?;
        let mut old = Vec::new();
        if self.send_old_values {
            let flushed = self.gather(hash, &windows, As::Flushed)?;
            self.slide(&key, flushed, windows.clone(), &mut |start, value, _| old.push((start, value)))?;
        }
        let has_held_own: Vec<Timestamp> =
            gathered.held.iter().filter(|(_, kind)| *kind == OWN).map(|(start, _)| *start).collect();
        let mut released = Vec::new();
        self.slide(&key, gathered, windows, &mut |start, value, timestamp| {
            if !has_held_own.contains(&start) {
                released.push((start, value, timestamp));
            }
        })?;
        let mut old = old.into_iter().peekable();
        for (start, new, timestamp) in released {
            while old.next_if(|(at, _)| *at < start).is_some() {}
            let old = old.next_if(|(at, _)| *at == start).map(|(_, value)| value);
            // What the store below the cache would not show any more was not there.
            let old = old.filter(|_| start >= self.horizon());
            self.refused += u64::from(self.refuses(start));
            let (key, context) = (bytes.clone(), context.clone());
            if let Some(panes) = &mut self.panes {
                panes.released.push_back(Released { key, start, old, new, timestamp, context });
            }
        }
        Ok(())
    }
}

/// Starts of the windows of `part`, from `first` on, in which no other pane is held.
fn unheld(geometry: Geometry, part: Part, first: Timestamp, held: &[Part]) -> RangeInclusive<Timestamp> {
    let (mut from, mut to) = (first, part.0);
    for pane in held.iter().filter(|(_, kind)| *kind != OWN) {
        if part.1 == OWN {
            // One window, and this pane is in it.
            to = if *pane <= geometry.last_pane(part.0) { first - 1 } else { to };
        } else if *pane < part {
            from = from.max(pane.0.saturating_add(geometry.advance));
        } else {
            to = to.min(geometry.first_window(*pane) - geometry.advance);
        }
    }
    from..=to
}
