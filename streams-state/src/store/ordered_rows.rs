//! Step 5, store: rows of bytes in the order of their keys, for stores that are read from the front: buffers and
//! outer joins, whose keys start with a time.
//!
//! The front of the order is in memory; rows behind it may be in the engine only, if there is a limit of memory.
//!
//! ```text
//! engine    | front: all rows are in memory, too       | tail: rows are read when the front is used up |
//! clean     | as the engine has them                   | -                                             |
//! fresh     | not in the engine, or changed                                                            |
//! deleted   | in the engine until the next flush                                                       |
//! ```
//!
//! The engine also holds what the owner adds to a run (counts, an index): keys below [`ROW`]. Over an engine that
//! is not durable all rows are fresh, and there is no tail. Nothing here knows types, changelogs or time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use super::key_bytes::KeyBytes;
use crate::engine::{Engine, RunEntry};
use crate::error::StateError;

/// First byte of the key of each row. Below it the engine holds what the owner adds.
pub(super) const ROW: u8 = 2;

/// The first key after all rows.
const ROWS_END: &[u8] = &[ROW + 1];

/// Bytes of a row in memory beside key and value: its place in the map.
const ROW_BYTES: u64 = 72;

/// A page of the tail is at least this long.
const PAGE_MIN_BYTES: u64 = 1 << 10;

/// A row that the engine does not have, or has differently.
struct Fresh {
    value: Vec<u8>,
    in_engine: bool,
}

/// Where the rows end that are all in memory.
enum Tail {
    /// All rows are in memory.
    Nowhere,
    /// Behind this key rows may be in the engine only.
    Behind(KeyBytes),
}

/// Rows in order.
pub(super) struct OrderedRows {
    engine: Box<dyn Engine>,
    durable: bool,
    fresh: BTreeMap<KeyBytes, Fresh>,
    clean: BTreeMap<KeyBytes, Vec<u8>>,
    deleted: BTreeSet<KeyBytes>,
    tail: Tail,
    max_bytes: u64,
    fresh_bytes: u64,
    clean_bytes: u64,
    found: Vec<u8>,
}

/// What the owner adds to a run: keys below [`ROW`], sorted.
pub(super) type Extras = [(Vec<u8>, Option<Vec<u8>>)];

/// Told of each key, and value, that comes into memory or leaves it.
pub(super) type Moved<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), StateError> + 'a;

impl OrderedRows {
    /// Opens the rows of `engine`. Clean rows use up to `max_bytes` of memory.
    pub(super) fn open(engine: Box<dyn Engine>, max_bytes: u64) -> Result<Self, StateError> {
        let tail = match engine.is_empty()? {
            true => Tail::Nowhere,
            false => Tail::Behind(KeyBytes::new(&[ROW])),
        };
        Ok(Self {
            durable: engine.is_durable(),
            engine,
            fresh: BTreeMap::new(),
            clean: BTreeMap::new(),
            deleted: BTreeSet::new(),
            tail,
            max_bytes,
            fresh_bytes: 0,
            clean_bytes: 0,
            found: Vec::new(),
        })
    }

    /// The engine, for what the owner added.
    pub(super) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Whether all rows are in memory.
    pub(super) fn complete(&self) -> bool {
        matches!(self.tail, Tail::Nowhere)
    }

    /// How many there are; `None` if some may be in the engine only.
    pub(super) fn count(&self) -> Option<u64> {
        self.complete().then(|| (self.fresh.len() + self.clean.len()) as u64)
    }

    /// The row of `key`.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StateError> {
        if let Some(fresh) = self.fresh.get(key) {
            return Ok(Some(&fresh.value));
        }
        if let Some(value) = self.clean.get(key) {
            return Ok(Some(value));
        }
        if !self.may_be_in_tail(key) || !self.engine.get(key, &mut self.found)? {
            return Ok(None);
        }
        Ok(Some(&self.found))
    }

    /// Sets the row of `key`.
    pub(super) fn put(&mut self, key: &[u8], value: Vec<u8>) {
        let in_engine = self.leave_memory(key);
        self.fresh_bytes += row_bytes(key, &value);
        self.fresh.insert(KeyBytes::new(key), Fresh { value, in_engine });
    }

    /// Changes the row of `key` in place, if it is there. Returns whether it is.
    pub(super) fn append(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<bool, StateError> {
        if let Some(fresh) = self.fresh.get_mut(key) {
            let before = fresh.value.len() as u64;
            change(&mut fresh.value);
            self.fresh_bytes = self.fresh_bytes - before + fresh.value.len() as u64;
            return Ok(true);
        }
        let Some(value) = self.get(key)? else { return Ok(false) };
        let mut value = value.to_vec();
        change(&mut value);
        self.put(key, value);
        Ok(true)
    }

    /// Deletes the row of `key`, whether it is there or not.
    pub(super) fn remove(&mut self, key: &[u8]) {
        if self.leave_memory(key) {
            self.deleted.insert(KeyBytes::new(key));
        }
    }

    /// The first row. Before it is asked for, the front must have been filled: [`settle`](Self::settle).
    pub(super) fn first(&self) -> Option<(&[u8], &[u8])> {
        let fresh = self.fresh.first_key_value().map(|(key, fresh)| (key.as_slice(), fresh.value.as_slice()));
        let clean = self.clean.first_key_value().map(|(key, value)| (key.as_slice(), value.as_slice()));
        match (fresh, clean) {
            (Some(fresh), Some(clean)) => Some(if fresh.0 < clean.0 { fresh } else { clean }),
            (first, None) | (None, first) => first,
        }
    }

    /// Reads on in the tail until the first row of all is in memory. `loaded` is told what came into memory.
    pub(super) fn settle(&mut self, loaded: &mut Moved<'_>) -> Result<(), StateError> {
        loop {
            let Tail::Behind(front) = &self.tail else { return Ok(()) };
            if self.first().is_some_and(|(first, _)| first <= front.as_slice()) {
                return Ok(());
            }
            let front = front.clone();
            self.load_page(front, loaded)?;
        }
    }

    /// Visits all rows in order, until `visit` breaks. What the tail has passes by and stays out of memory.
    pub(super) fn scan(
        &self,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        let mut fresh = self.fresh.iter().peekable();
        for (key, value) in &self.clean {
            while let Some((key, fresh)) = fresh.next_if(|(over, _)| *over < key) {
                if visit(key.as_slice(), &fresh.value)?.is_break() {
                    return Ok(());
                }
            }
            if visit(key.as_slice(), value)?.is_break() {
                return Ok(());
            }
        }
        let mut result = Ok(ControlFlow::Continue(()));
        if let Tail::Behind(front) = &self.tail {
            let (from, to) = (Bound::Excluded(front.as_slice()), Bound::Excluded(ROWS_END));
            self.engine.scan(from, to, &mut |key, value| {
                while let Some((over, fresh)) = fresh.next_if(|(over, _)| over.as_slice() < key) {
                    result = visit(over.as_slice(), &fresh.value);
                    if !matches!(result, Ok(ControlFlow::Continue(()))) {
                        return ControlFlow::Break(());
                    }
                }
                if self.deleted.contains(key) {
                    return ControlFlow::Continue(());
                }
                let value = fresh
                    .next_if(|(over, _)| over.as_slice() == key)
                    .map_or(value, |(_, fresh)| &fresh.value);
                result = visit(key, value);
                if matches!(result, Ok(ControlFlow::Continue(()))) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
        }
        while let Ok(ControlFlow::Continue(())) = result {
            let Some((key, fresh)) = fresh.next() else { break };
            result = visit(key.as_slice(), &fresh.value);
        }
        result.map(drop)
    }

    /// Visits the keys of the next run, and whether they have a row; in no order.
    pub(super) fn for_each_change(&self, visit: &mut dyn FnMut(&[u8], bool)) {
        self.deleted.iter().for_each(|key| visit(key.as_slice(), false));
        self.fresh.keys().for_each(|key| visit(key.as_slice(), true));
    }

    /// Gives the engine what changed, with `extras` before it and the offset that all reaches; then takes clean
    /// rows out of memory from the end on, if they need more than they may. `dropped` is told of those.
    pub(super) fn flush(
        &mut self,
        extras: &Extras,
        offset: Option<i64>,
        dropped: &mut Moved<'_>,
    ) -> Result<(), StateError> {
        if !self.durable {
            return Ok(());
        }
        let mut rows: Vec<RunEntry<'_>> = Vec::with_capacity(self.fresh.len() + self.deleted.len());
        rows.extend(self.fresh.iter().map(|(key, fresh)| (key.as_slice(), Some(fresh.value.as_slice()))));
        rows.extend(self.deleted.iter().map(|key| (key.as_slice(), None)));
        // Two sorted lists one after the other: what a stable sort is good at.
        rows.sort_by_key(|(key, _)| *key);
        let extras = extras.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        self.engine.apply(&mut extras.chain(rows), offset)?;
        self.deleted.clear();
        self.fresh_bytes = 0;
        for (key, fresh) in std::mem::take(&mut self.fresh) {
            match &self.tail {
                Tail::Behind(front) if key > *front => dropped(key.as_slice(), &fresh.value)?,
                Tail::Behind(_) | Tail::Nowhere => {
                    self.clean_bytes += row_bytes(key.as_slice(), &fresh.value);
                    self.clean.insert(key, fresh.value);
                }
            }
        }
        self.spill(dropped)
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        let deleted = self.deleted.len() as u64 * ROW_BYTES;
        self.fresh_bytes + self.clean_bytes + deleted
    }

    /// Bytes of the run that a flush would give the engine, about; 0 for an engine that is given nothing.
    pub(super) fn unflushed_bytes(&self) -> u64 {
        if !self.durable {
            return 0;
        }
        self.fresh_bytes + self.deleted.len() as u64 * ROW_BYTES
    }

    /// Deletes everything.
    pub(super) fn wipe(&mut self) -> Result<(), StateError> {
        self.engine.wipe()?;
        self.fresh.clear();
        self.clean.clear();
        self.deleted.clear();
        self.tail = Tail::Nowhere;
        (self.fresh_bytes, self.clean_bytes) = (0, 0);
        Ok(())
    }

    fn may_be_in_tail(&self, key: &[u8]) -> bool {
        match &self.tail {
            Tail::Behind(front) => key > front.as_slice() && !self.deleted.contains(key),
            Tail::Nowhere => false,
        }
    }

    /// Takes `key` out of all maps. Returns whether the engine has it, or may have it.
    fn leave_memory(&mut self, key: &[u8]) -> bool {
        if let Some(fresh) = self.fresh.remove(key) {
            self.fresh_bytes -= row_bytes(key, &fresh.value);
            return fresh.in_engine;
        }
        if let Some(value) = self.clean.remove(key) {
            self.clean_bytes -= row_bytes(key, &value);
            return true;
        }
        self.deleted.remove(key) || self.may_be_in_tail(key)
    }

    /// Reads the rows behind `front` into memory, as many as fit into half of it.
    fn load_page(&mut self, front: KeyBytes, loaded: &mut Moved<'_>) -> Result<(), StateError> {
        let page = (self.max_bytes / 2).max(PAGE_MIN_BYTES);
        let (mut bytes, mut last, mut more) = (0, Vec::new(), false);
        let mut result = Ok(());
        let (fresh, deleted, clean) = (&self.fresh, &self.deleted, &mut self.clean);
        let (from, to) = (Bound::Excluded(front.as_slice()), Bound::Excluded(ROWS_END));
        self.engine.scan(from, to, &mut |key, value| {
            if bytes >= page {
                more = true;
                return ControlFlow::Break(());
            }
            last.clear();
            last.extend_from_slice(key);
            bytes += row_bytes(key, value);
            if fresh.contains_key(key) || deleted.contains(key) {
                return ControlFlow::Continue(());
            }
            result = loaded(key, value);
            self.clean_bytes += row_bytes(key, value);
            clean.insert(KeyBytes::new(key), value.to_vec());
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        result?;
        self.tail = if more { Tail::Behind(KeyBytes::new(&last)) } else { Tail::Nowhere };
        Ok(())
    }

    fn spill(&mut self, dropped: &mut Moved<'_>) -> Result<(), StateError> {
        if self.clean_bytes <= self.max_bytes {
            return Ok(());
        }
        while self.clean_bytes > self.max_bytes / 2 {
            let Some((key, value)) = self.clean.pop_last() else { break };
            self.clean_bytes -= row_bytes(key.as_slice(), &value);
            dropped(key.as_slice(), &value)?;
        }
        let last = self.clean.last_key_value().map(|(key, _)| key.clone());
        self.tail = Tail::Behind(last.unwrap_or_else(|| KeyBytes::new(&[ROW])));
        Ok(())
    }
}

fn row_bytes(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + ROW_BYTES
}
