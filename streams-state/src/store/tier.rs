//! Step 5, store: the hash tier, where a store's rows are read and changed. In come key bytes, out goes the
//! slot with the typed row. The tier knows no engine, no changelog and no serde, and never drops a slot that
//! the engine does not have.
//!
//! ```text
//! table: hash -> u32 ──► slots: | row: Option<(V, timestamp)> | key | cached, len, flags |
//!                                 64 bytes for a string and a number
//! slot:  clean ──change──► touched ──flush──► flushing ──written──► clean ──evict──► gone      (absent rows go when written)
//! ```
//! `touched` lists the slots that differ from the engine and what is on its way to it, each once, in the order of their first
//! change. A flushing slot may be touched again.

mod evict;
mod look_ahead;
mod shrink;
mod slot;

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

pub(super) use self::evict::Forget;
pub(super) use self::slot::Slot;
use self::slot::{FLUSHING, TOUCHED, USED};
use super::elsewhere::Elsewhere;
use super::key_bytes::KeyBytes;
use super::slab::Slab;
use super::slot_table::{SLOT_BYTES, SlotTable};
use crate::types::Timestamp;

/// No slot, no cache entry.
pub(super) const NONE: u32 = u32::MAX;

/// The slots of a store.
pub(super) struct Tier<V> {
    slots: Slab<Slot<V>>,
    table: SlotTable,
    hasher: RandomState,
    touched: Vec<u32>,
    touched_bytes: u64,
    /// Slots whose rows are on their way to the engine.
    flushing: Vec<u32>,
    heap_bytes: u64,
    hand: usize,
    /// Slots that are about to be forgotten, and the hashes of their keys: empty but for its room.
    victims: Vec<(u64, u32)>,
    /// Keys that may have a row in the engine only.
    elsewhere: Elsewhere,
    max_bytes: u64,
    /// It evicts when it needs more than this. Above `max_bytes` while little can be evicted.
    evict_above: u64,
}

impl<V> Tier<V> {
    /// A tier for about `max_bytes`, over an engine that is empty or not.
    pub(super) fn new(max_bytes: u64, engine_is_empty: bool) -> Self {
        Self {
            elsewhere: if engine_is_empty { Elsewhere::Nothing } else { Elsewhere::Anything },
            max_bytes,
            evict_above: max_bytes,
            slots: Slab::new(),
            table: SlotTable::default(),
            hasher: RandomState::default(),
            touched: Vec::new(),
            touched_bytes: 0,
            flushing: Vec::new(),
            heap_bytes: 0,
            hand: 0,
            victims: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        hash(&self.hasher, key)
    }

    /// The slot of `key`.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> Option<u32> {
        let slots = &mut self.slots;
        let id = self.table.find(hash, |id| slots[id as usize].key() == key)?;
        slots[id as usize].set(USED);
        Some(id)
    }

    /// The slot of `key`, without marking it as used.
    pub(super) fn peek(&self, key: &[u8]) -> Option<&Slot<V>> {
        let same = |id| self.slots[id as usize].key() == key;
        self.table.find(self.hash(key), same).map(|id| &self.slots[id as usize])
    }

    #[inline]
    pub(super) fn slot(&self, id: u32) -> &Slot<V> {
        &self.slots[id as usize]
    }

    /// Whether the engine has the row of the slot as it is.
    #[inline]
    pub(super) fn is_clean(&self, id: u32) -> bool {
        self.slots[id as usize].is_clean()
    }

    #[inline]
    pub(super) fn slot_mut(&mut self, id: u32) -> &mut Slot<V> {
        &mut self.slots[id as usize]
    }

    /// Adds a clean slot for `key`, which has none. `len`: bytes of the serialized value.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], row: Option<(V, Timestamp)>, len: usize) -> u32 {
        let slot = Slot::new(key, row, len);
        self.heap_bytes += slot.heap_bytes();
        let id = self.table.add(hash, self.slots.len());
        self.slots.put(id as usize, slot);
        id
    }

    /// Adds a clean slot for `key`, which is nowhere, and evicts if there are too many by now.
    #[inline]
    pub(super) fn insert_absent(&mut self, hash: u64, key: &[u8]) -> u32 {
        self.make_room(());
        self.insert(hash, key, None, 0)
    }

    /// The slot differs from the engine now. `len`: bytes of the serialized value, `None` if it was not
    /// serialized.
    #[inline]
    pub(super) fn touch(&mut self, id: u32, len: Option<usize>) {
        let slot = &mut self.slots[id as usize];
        if !slot.is(TOUCHED) {
            slot.set(TOUCHED);
            self.touched.push(id);
            self.touched_bytes += slot.run_bytes();
        }
        if let Some(len) = len
            && !slot.has_len(len)
        {
            let before = (slot.run_bytes(), slot.heap_bytes());
            slot.set_len(len);
            self.touched_bytes = (self.touched_bytes + slot.run_bytes()).saturating_sub(before.0);
            self.heap_bytes = self.heap_bytes + slot.heap_bytes() - before.1;
        }
    }

    /// Slots that differ from the engine, in the order of their first change.
    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// Bytes of a run of the touched slots.
    pub(super) fn touched_bytes(&self) -> u64 {
        self.touched_bytes
    }

    /// All touched slots are on their way to the engine. What was on its way before has arrived.
    pub(super) fn flushing(&mut self) {
        debug_assert!(self.flushing.is_empty(), "one run at a time");
        std::mem::swap(&mut self.flushing, &mut self.touched);
        for id in &self.flushing {
            let slot = &mut self.slots[*id as usize];
            slot.clear(TOUCHED);
            slot.set(FLUSHING);
        }
        self.touched_bytes = 0;
    }

    /// What was on its way is in the engine: absent rows go, the others are clean, unless they were touched again.
    pub(super) fn written(&mut self) {
        let mut arrived = std::mem::take(&mut self.flushing);
        for id in arrived.drain(..) {
            let slot = &mut self.slots[id as usize];
            slot.clear(FLUSHING);
            if slot.row.is_none() && !slot.is(TOUCHED) {
                self.forget(id);
            }
        }
        self.flushing = arrived;
    }

    /// The engine has all touched slots now: absent rows go, the others are clean.
    pub(super) fn flushed(&mut self) {
        self.flushing();
        self.written();
    }

    /// Forgets absent rows; the other slots stay touched. For a store whose rows are nowhere but here.
    pub(super) fn drop_absent(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            match self.slots[id as usize].row {
                Some(_) => self.touched.push(id),
                None => self.forget(id),
            }
        }
        self.touched_bytes = 0;
    }

    /// Whether the tier has every row of its store.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.elsewhere, Elsewhere::Nothing)
    }

    /// Whether the key of `hash`, which has no slot, may have a row in the engine.
    #[inline]
    pub(super) fn may_be_in_engine(&self, hash: u64) -> bool {
        self.elsewhere.may_have(hash)
    }

    /// Whether it needs so much that it evicts before it takes another row.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.memory_bytes() > self.evict_above
    }

    /// Whether rows might be forgotten: some slot is neither touched nor on its way to the engine.
    pub(super) fn has_clean(&self) -> bool {
        self.table.len() > self.touched.len() + self.flushing.len()
    }

    /// Number of slots.
    pub(super) fn slots(&self) -> u64 {
        self.table.len() as u64
    }

    /// Forgets the clean slots whose row is not worth keeping.
    pub(super) fn forget_if(&mut self, worthless: impl Fn(&V) -> bool) {
        for id in 0..self.slots.len() as u32 {
            let slot = &self.slots[id as usize];
            if slot.may_go() && slot.row.as_ref().is_some_and(|(value, _)| worthless(value)) {
                self.forget(id);
            }
        }
    }

    /// Slots with a present row, in no order.
    pub(super) fn present(&self) -> impl Iterator<Item = &Slot<V>> {
        self.slots.iter().filter(|slot| slot.row.is_some())
    }

    /// Changes values in a way that need not reach the engine. `change` returns the bytes of the serialized value.
    pub(super) fn for_each_row(&mut self, mut change: impl FnMut(&mut V) -> usize) {
        for slot in self.slots.iter_mut() {
            let before = (slot.run_bytes(), slot.heap_bytes());
            if let Some((value, _)) = &mut slot.row {
                let len = change(value);
                slot.set_len(len);
                self.heap_bytes = self.heap_bytes + slot.heap_bytes() - before.1;
                if slot.is(TOUCHED) {
                    self.touched_bytes = (self.touched_bytes + slot.run_bytes()).saturating_sub(before.0);
                }
            }
        }
    }

    /// Number of present rows.
    pub(super) fn rows(&self) -> u64 {
        self.slots.iter().filter(|slot| slot.row.is_some()).count() as u64
    }

    /// Bytes in use: slots, their share of the table, long keys, values as long as their serialized form, and what is known of other
    /// keys.
    pub(super) fn memory_bytes(&self) -> u64 {
        let slots = self.table.len() as u64 * (size_of::<Slot<V>>() as u64 + SLOT_BYTES);
        slots + self.heap_bytes + self.elsewhere.memory_bytes()
    }

    /// Mean bytes on the heap of a slot: what a row needs beside its slot.
    pub(super) fn mean_value_bytes(&self) -> u64 {
        self.heap_bytes.checked_div(self.table.len() as u64).unwrap_or(0)
    }

    /// Takes the slot out, whose key has this hash.
    fn remove(&mut self, hash: u64, id: u32) {
        self.table.remove(hash, id);
        let slot = &mut self.slots[id as usize];
        self.heap_bytes -= slot.heap_bytes();
        slot.free();
    }

    /// Takes the slot out.
    fn forget(&mut self, id: u32) {
        self.remove(hash_of(&self.hasher, &self.slots, id), id);
    }
}

#[inline]
pub(super) fn hash(hasher: &RandomState, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

fn hash_of<V>(hasher: &RandomState, slots: &Slab<Slot<V>>, id: u32) -> u64 {
    hash(hasher, slots[id as usize].key())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tier: &mut Tier<i64>, key: &[u8], value: Option<i64>) -> u32 {
        let hash = tier.hash(key);
        tier.insert(hash, key, value.map(|value| (value, 0)), 8)
    }

    #[test]
    fn finds_what_was_inserted_and_reuses_slots() {
        let mut tier = Tier::new(1 << 20, true);
        for number in 0..1000_u32 {
            add(&mut tier, &number.to_be_bytes(), Some(i64::from(number)));
        }
        let id = tier.find(tier.hash(&7_u32.to_be_bytes()), &7_u32.to_be_bytes()).unwrap();
        assert_eq!(tier.slot(id).row, Some((7, 0)));
        tier.slot_mut(id).row = None;
        tier.touch(id, Some(0));
        tier.flushed();
        assert_eq!(tier.find(tier.hash(&7_u32.to_be_bytes()), &7_u32.to_be_bytes()), None);
        assert_eq!(add(&mut tier, b"new", Some(1)), id);
        assert_eq!(tier.rows(), 1000);
    }

    #[test]
    fn evicts_clean_slots_only_and_unused_ones_first() {
        let mut tier = Tier::new(1 << 20, true);
        for number in 0..100_u32 {
            let id = add(&mut tier, &number.to_be_bytes(), Some(1));
            if number % 10 == 0 {
                tier.touch(id, Some(8));
            }
        }
        let all = tier.memory_bytes();
        assert!(tier.is_complete());
        tier.evict(all / 2, ());
        assert!(tier.memory_bytes() <= all / 2 && tier.rows() > 10);
        tier.evict(0, ());
        assert_eq!(tier.rows(), 10);
        assert!(!tier.is_complete());
        let in_engine = |number: u32| tier.may_be_in_engine(tier.hash(&number.to_be_bytes()));
        assert!((0..100).filter(|number| number % 10 != 0).all(in_engine));
        assert!((100..200).filter(|number| in_engine(*number)).count() < 20);
        assert_eq!(tier.touched().len(), 10);
        assert_eq!(tier.touched_bytes(), 10 * (4 + 8 + 8));
    }
}
