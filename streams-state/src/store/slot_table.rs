//! Step 5, store: which slot has a key, and in which order slots go to the engine. Knows hashes, numbers and key bytes, never
//! a value: it is compiled once, and not for each type of value that an application keeps.

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

/// An order of keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyOrder {
    /// As bytes.
    Bytes,
    /// By length, then as bytes.
    LengthAndBytes,
}

/// `slots` in the order of their keys.
pub(super) fn sorted<'a>(slots: &[u32], order: KeyOrder, key_of: &dyn Fn(u32) -> &'a [u8]) -> Vec<u32> {
    let sort_key = |id: &u32| {
        let key = key_of(*id);
        let len = if order == KeyOrder::LengthAndBytes { key.len() as u32 } else { 0 };
        (key_number(key), len, *id)
    };
    let mut ids: Vec<(u64, u32, u32)> = slots.iter().map(sort_key).collect();
    ids.sort_unstable_by(|left, right| {
        (left.1, left.0).cmp(&(right.1, right.0)).then_with(|| key_of(left.2).cmp(key_of(right.2)))
    });
    ids.into_iter().map(|(_, _, id)| id).collect()
}

/// The first eight bytes of a key as a number that sorts as they do.
fn key_number(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = key.len().min(8);
    bytes[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(bytes)
}
