//! Step 5, store: which slot has a key. Knows hashes and numbers, never a value: it is compiled once, and not for each type of value that an application keeps.

use hashbrown::HashTable;

/// Hash -> slot, and the slots that are free.
#[derive(Default)]
pub(super) struct SlotTable {
    table: HashTable<u32>,
    free: Vec<u32>,
}

impl SlotTable {
    /// The slot with this hash that `same` says yes to.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        self.table.find(hash, |id| same(*id)).copied()
    }

    /// A slot for a key of this hash, which has none: a free one, or that behind the `slots` that there are. `hash_of` gives
    /// the hash of the key of a slot, for when the table grows.
    pub(super) fn add(&mut self, hash: u64, slots: usize, hash_of: &dyn Fn(u32) -> u64) -> u32 {
        let id = self.free.pop().unwrap_or(slots as u32);
        self.table.insert_unique(hash, id, |id| hash_of(*id));
        id
    }

    /// The slot `id`, whose key has this hash, is free.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// Number of slots in use.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
