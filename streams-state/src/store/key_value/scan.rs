//! Visiting rows in byte order of their keys: the engine's rows, with the touched slots of the tier laid over.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::super::key_bytes::KeyBytes;
use super::*;

/// The touched slots by key. Built when it is first asked for, then grown by what was touched since; a store
/// that is never scanned pays nothing.
#[derive(Default)]
pub(super) struct OrderedKeys {
    slots: BTreeMap<KeyBytes, u32>,
    seen: usize,
}

impl OrderedKeys {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn catch_up<'a>(&mut self, touched: &[u32], key_of: &dyn Fn(u32) -> &'a [u8]) {
        for id in touched.iter().skip(self.seen) {
            self.slots.insert(KeyBytes::new(key_of(*id)), *id);
        }
        self.seen = touched.len();
    }
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl<K: 'static, V: Clone + 'static> KeyValueStore<K, V> {
    /// Visits all rows in byte order of their keys.
    pub fn for_each(&mut self, visit: &mut dyn FnMut(K, &V, Timestamp)) -> Result<(), StateError> {
        let visit = &mut |key: K, value: &V, timestamp| {
            visit(key, value, timestamp);
            ControlFlow::Continue(())
        };
        let all = (Bound::Unbounded, Bound::Unbounded);
        self.operation(|store| store.scan(all, visit), |_, _| Ended::Visit(StoreOperation::All))
    }

    /// Visits the rows from key `from` to key `to`, both included, in byte order, until `visit` breaks. `None` is
    /// no limit.
    pub fn range(
        &mut self,
        from: Option<&K>,
        to: Option<&K>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.operation(|store| store.scan_keys(from, to, visit), |_, _| Ended::Visit(StoreOperation::Range))
    }

    fn scan_keys(
        &mut self,
        from: Option<&K>,
        to: Option<&K>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let (mut low, mut high) = (Vec::new(), Vec::new());
        if let Some(key) = from {
            self.encode_key(key)?;
            low.clone_from(&self.key_bytes);
        }
        if let Some(key) = to {
            self.encode_key(key)?;
            high.clone_from(&self.key_bytes);
        }
        let low = from.map_or(Bound::Unbounded, |_| Bound::Included(low.as_slice()));
        let high = to.map_or(Bound::Unbounded, |_| Bound::Included(high.as_slice()));
        self.scan((low, high), visit)
    }

    /// Visits the rows whose serialized key starts with `prefix`, in byte order, until `visit` breaks.
    pub fn prefix_scan(
        &mut self,
        prefix: &[u8],
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let end = prefix_end(prefix);
        let high = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.operation(
            |store| store.scan((Bound::Included(prefix), high), visit),
            |_, _| Ended::Visit(StoreOperation::PrefixScan),
        )
    }

    /// Like [`range`](Self::range), from the last row to the first. The rows in question are copied before the first visit.
    pub fn range_backward(
        &mut self,
        from: Option<&K>,
        to: Option<&K>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.operation(
            |store| store.scan_keys_backward(from, to, visit),
            |_, _| Ended::Visit(StoreOperation::Range),
        )
    }

    fn scan_keys_backward(
        &mut self,
        from: Option<&K>,
        to: Option<&K>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let mut rows = Vec::new();
        self.scan_keys(from, to, &mut |key, value, timestamp| {
            rows.push((key, value.clone(), timestamp));
            ControlFlow::Continue(())
        })?;
        for (key, value, timestamp) in rows.into_iter().rev() {
            if visit(key, &value, timestamp).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Like [`for_each`](Self::for_each), from the last row to the first, until `visit` breaks. All rows are copied before
    /// the first visit.
    pub fn for_each_backward(
        &mut self,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        self.operation(
            |store| store.scan_keys_backward(None, None, visit),
            |_, _| Ended::Visit(StoreOperation::All),
        )
    }

    /// Number of rows: exact while all of them are in the tier, else the engine's estimate and what changed since.
    pub fn approximate_num_entries(&self) -> u64 {
        match self.tier.is_complete() {
            true => self.tier.rows(),
            false => self.engine.approximate_entries().max(self.tier.rows()),
        }
    }

    fn scan(
        &mut self,
        bounds: Bounds<'_>,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        if is_empty(bounds) {
            return Ok(());
        }
        self.ordered.catch_up(self.tier.touched(), &|id| self.tier.slot(id).key());
        let mut overlay = self.ordered.slots.range::<[u8], _>(bounds).peekable();
        let mut result = Ok(ControlFlow::Continue(()));
        self.engine.scan(bounds.0, bounds.1, &mut |key, bytes| {
            while let Some((_, id)) = overlay.next_if(|(over, _)| over.as_slice() < key) {
                result = self.visit_slot(*id, visit);
                if !matches!(result, Ok(ControlFlow::Continue(()))) {
                    return ControlFlow::Break(());
                }
            }
            result = match overlay.next_if(|(over, _)| over.as_slice() == key) {
                Some((_, id)) => self.visit_slot(*id, visit),
                None => self.visit_engine_row(key, bytes, visit),
            };
            match result {
                Ok(flow) => flow,
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        while let Ok(ControlFlow::Continue(())) = result {
            let Some((_, id)) = overlay.next() else { break };
            result = self.visit_slot(*id, visit);
        }
        result.map(drop)
    }

    fn visit_slot(
        &self,
        id: u32,
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StateError> {
        let slot = self.tier.slot(id);
        match &slot.row {
            Some((value, timestamp)) => Ok(visit(self.decode_key(slot.key())?, value, *timestamp)),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// A row of the engine: from its clean slot if the tier has it, else decoded.
    fn visit_engine_row(
        &self,
        key: &[u8],
        bytes: &[u8],
        visit: &mut dyn FnMut(K, &V, Timestamp) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StateError> {
        if let Some((value, timestamp)) = self.tier.peek(key).and_then(|slot| slot.row.as_ref()) {
            return Ok(visit(self.decode_key(key)?, value, *timestamp));
        }
        let (value, timestamp) = self.decode(bytes)?;
        Ok(visit(self.decode_key(key)?, &value, timestamp))
    }

    fn decode_key(&self, key: &[u8]) -> Result<K, StateError> {
        self.keys.deserialize(Some(key)).map_err(|source| self.progress.serde_error(source))
    }
}

/// The first bytes after all that start with `prefix`; `None` if nothing is after them.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn is_empty((low, high): Bounds<'_>) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => {
            low >= high
        }
    }
}
