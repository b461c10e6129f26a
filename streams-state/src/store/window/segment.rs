//! One segment of a window store in memory: key bytes -> the key's rows in this stretch of time. Knows no engine,
//! no changelog and no serde; never drops a row that the engine does not have, unless it goes as a whole.
//!
//! ```text
//! table: hash ─► u32 ─► slots: | key | tag, flags | rows: (start, sequence) -> value, timestamp |
//! ```
//!
//! A slot knows all rows of its key in the segment, present ones and absent ones that are still to be flushed. Only
//! a `partial` slot, made by a restore, may lack rows that the engine has.

use std::collections::BTreeMap;

use super::rows::{Row, Rows};
use crate::store::key_bytes::KeyBytes;
use crate::store::slab::Slab;
use crate::store::slot_table::{SLOT_BYTES, SlotTable};
use crate::types::Timestamp;

/// Bytes of a row in a run beside key and value: segment, tag, length, start, sequence, timestamp.
const RUN_ROW_BYTES: u64 = 8 + 1 + 4 + 12 + 8;

/// A key and its rows.
pub(super) struct Slot<V> {
    pub(super) key: KeyBytes,
    hash: u64,
    pub(super) rows: Rows<V>,
    /// The engine may have rows of this key that are not here.
    pub(super) partial: bool,
    live: bool,
    touched: bool,
    /// Rows are on their way to the engine.
    flushing: bool,
    used: bool,
}

impl<V> Slot<V> {
    /// Bytes on the heap for rows and values.
    fn rows_bytes(&self) -> u64 {
        self.rows.heap_bytes() + self.rows.as_slice().iter().map(value_bytes).sum::<u64>()
    }
}

/// The rows of one segment.
pub(super) struct Segment<V> {
    pub(super) id: i64,
    slots: Slab<Slot<V>>,
    table: SlotTable,
    touched: Vec<u32>,
    touched_bytes: u64,
    /// Slots with rows on their way to the engine.
    flushing: Vec<u32>,
    heap_bytes: u64,
    hand: usize,
    /// All rows of the segment are here.
    pub(super) complete: bool,
    /// The engine may have entries of the segment.
    pub(super) in_engine: bool,
    /// Rows whose last update the cache holds back.
    pub(super) held: u32,
    /// Start -> slots that have or had a row there, for stores in order of time. May name a slot twice, or one whose
    /// row is gone.
    by_start: Option<SlotsByStart>,
}

/// Start -> slots.
#[derive(Default)]
struct SlotsByStart(BTreeMap<Timestamp, Vec<u32>>);

impl SlotsByStart {
    fn add(&mut self, start: Timestamp, id: u32) {
        let slots = self.0.entry(start).or_default();
        if slots.last() != Some(&id) {
            slots.push(id);
        }
    }

    /// Calls `visit` with each start in `from..=to` and each of its slots.
    fn between(&self, from: Timestamp, to: Timestamp, visit: &mut dyn FnMut(Timestamp, u32)) {
        for (start, slots) in self.0.range(from..=to) {
            slots.iter().for_each(|id| visit(*start, *id));
        }
    }
}

impl<V> Segment<V> {
    pub(super) fn new(id: i64, in_engine: bool, ordered_by_time: bool) -> Self {
        Self {
            id,
            slots: Slab::new(),
            table: SlotTable::default(),
            touched: Vec::new(),
            touched_bytes: 0,
            flushing: Vec::new(),
            heap_bytes: 0,
            hand: 0,
            complete: !in_engine,
            in_engine,
            held: 0,
            by_start: ordered_by_time.then(SlotsByStart::default),
        }
    }

    /// The slot of `key`.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> Option<u32> {
        let slots = &mut self.slots;
        let id = self.table.find(hash, |id| slots[id as usize].key.as_slice() == key)?;
        slots[id as usize].used = true;
        Some(id)
    }

    #[inline]
    pub(super) fn slot(&self, id: u32) -> &Slot<V> {
        &self.slots[id as usize]
    }

    #[inline]
    pub(super) fn row(&self, id: u32, index: usize) -> &Row<V> {
        &self.slots[id as usize].rows.as_slice()[index]
    }

    #[inline]
    pub(super) fn row_mut(&mut self, id: u32, index: usize) -> &mut Row<V> {
        &mut self.slots[id as usize].rows.as_mut_slice()[index]
    }

    /// Adds a slot without rows for `key`, which has none.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], partial: bool) -> u32 {
        let slot = Slot {
            key: KeyBytes::new(key),
            hash,
            rows: Rows::none(),
            partial,
            live: true,
            touched: false,
            flushing: false,
            used: true,
        };
        self.heap_bytes += slot.key.heap_bytes();
        let id = self.table.add(hash, self.slots.len());
        self.slots.put(id as usize, slot);
        id
    }

    /// The row of the slot at this place, made if there is none. Returns its index.
    #[inline]
    pub(super) fn find_or_insert(&mut self, id: u32, start: Timestamp, sequence: u32) -> usize {
        match self.slots[id as usize].rows.find(start, sequence) {
            Ok(index) => index,
            Err(index) => {
                self.insert_row(id, index, Row::new(start, sequence, None, 0));
                index
            }
        }
    }

    /// The slot has all rows of its key now.
    pub(super) fn set_whole(&mut self, id: u32) {
        self.slots[id as usize].partial = false;
    }

    /// Inserts a row at an index that [`Rows::find`] gave.
    pub(super) fn insert_row(&mut self, id: u32, index: usize, row: Row<V>) {
        if let Some(by_start) = &mut self.by_start {
            by_start.add(row.start, id);
        }
        let rows = &mut self.slots[id as usize].rows;
        let before = rows.heap_bytes();
        self.heap_bytes += value_bytes(&row);
        rows.insert(index, row);
        self.heap_bytes = self.heap_bytes + rows.heap_bytes() - before;
    }

    /// The row differs from the engine now. `len`: bytes of the serialized value, `None` if it was not serialized.
    #[inline]
    pub(super) fn touch(&mut self, id: u32, index: usize, len: Option<usize>) {
        let slot = &mut self.slots[id as usize];
        if !slot.touched {
            slot.touched = true;
            self.touched.push(id);
        }
        let key_len = slot.key.as_slice().len() as u64;
        let row = &mut slot.rows.as_mut_slice()[index];
        if !row.touched {
            row.touched = true;
            self.touched_bytes += RUN_ROW_BYTES + key_len + u64::from(row.len);
        }
        if let Some(len) = len
            && row.len != len as u32
        {
            self.touched_bytes = (self.touched_bytes + len as u64).saturating_sub(u64::from(row.len));
            self.heap_bytes -= value_bytes(row);
            row.len = len as u32;
            self.heap_bytes += value_bytes(row);
        }
    }

    /// Whether rows differ from the engine.
    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Bytes of a run of the touched rows, about.
    pub(super) fn touched_bytes(&self) -> u64 {
        self.touched_bytes
    }

    /// Slots with touched rows.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// All touched rows are on their way to the engine. What was on its way before has arrived.
    pub(super) fn flushing(&mut self) {
        debug_assert!(self.flushing.is_empty(), "one run at a time");
        std::mem::swap(&mut self.flushing, &mut self.touched);
        for id in &self.flushing {
            let slot = &mut self.slots[*id as usize];
            (slot.touched, slot.flushing) = (false, true);
            slot.rows.as_mut_slice().iter_mut().for_each(|row| row.touched = false);
        }
        self.touched_bytes = 0;
        self.in_engine = true;
    }

    /// What was on its way is in the engine: absent rows go, the others are clean, unless they were touched again.
    pub(super) fn written(&mut self) {
        for id in std::mem::take(&mut self.flushing) {
            self.slots[id as usize].flushing = false;
            self.drop_absent_rows(id, true);
        }
    }

    /// Forgets absent rows; the others stay touched. For a store whose rows are nowhere but here.
    pub(super) fn drop_absent(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            self.drop_absent_rows(id, false);
            if self.slots[id as usize].live {
                self.touched.push(id);
            }
        }
        self.touched_bytes = 0;
    }

    fn drop_absent_rows(&mut self, id: u32, keep_touched: bool) {
        let slot = &mut self.slots[id as usize];
        let before = slot.rows_bytes();
        // A touched row is still to be flushed, in a store with an engine.
        slot.rows.retain(|row| row.value.is_some() || (keep_touched && row.touched));
        self.heap_bytes = self.heap_bytes + slot.rows_bytes() - before;
        if slot.rows.as_slice().is_empty() {
            self.remove(id);
        }
    }

    /// Forgets clean slots, those not used since the last round first, until the segment has let go of `excess`
    /// bytes or nothing clean is left.
    pub(super) fn evict(&mut self, excess: u64) {
        let target = self.memory_bytes().saturating_sub(excess);
        let mut steps = 2 * self.slots.len();
        while steps > 0 && self.memory_bytes() > target {
            steps -= 1;
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let slot = &mut self.slots[self.hand];
            // A row whose update is held back is touched, too.
            if !slot.live || slot.touched || slot.flushing || std::mem::take(&mut slot.used) {
                continue;
            }
            if !slot.rows.as_slice().is_empty() {
                self.complete = false;
            }
            self.remove(self.hand as u32);
        }
    }

    /// Live slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &Slot<V>)> {
        (0..).zip(self.slots.iter()).filter(|(_, slot)| slot.live)
    }

    /// Calls `visit` with the start and the slot of each row in `from..=to` that may be present; not in order, and
    /// perhaps more than once.
    pub(super) fn for_each_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        visit: &mut dyn FnMut(Timestamp, u32),
    ) {
        if let Some(by_start) = &self.by_start {
            return by_start.between(from, to, &mut |start, id| {
                let rows = self.slots[id as usize].rows.between(start, start);
                if rows.iter().any(|row| row.value.is_some()) {
                    visit(start, id);
                }
            });
        }
        for (id, slot) in self.slots() {
            for row in slot.rows.between(from, to) {
                if row.value.is_some() {
                    visit(row.start, id);
                }
            }
        }
    }

    /// Number of present rows.
    pub(super) fn rows(&self) -> u64 {
        let present = |slot: &Slot<V>| slot.rows.as_slice().iter().filter(|row| row.value.is_some()).count();
        self.slots().map(|(_, slot)| present(slot) as u64).sum()
    }

    /// Bytes in use: slots, their share of the table, rows, long keys, and values as long as their serialized form.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.table.len() as u64 * (size_of::<Slot<V>>() as u64 + SLOT_BYTES) + self.heap_bytes
    }

    fn remove(&mut self, id: u32) {
        self.table.remove(self.slots[id as usize].hash, id);
        let slot = &mut self.slots[id as usize];
        self.heap_bytes -= slot.rows_bytes() + slot.key.heap_bytes();
        slot.rows = Rows::none();
        slot.key = KeyBytes::default();
        slot.live = false;
    }
}

/// Bytes of a value on the heap: as many as its serialized form has, if it has any.
fn value_bytes<V>(row: &Row<V>) -> u64 {
    if std::mem::needs_drop::<V>() { u64::from(row.len) } else { 0 }
}
