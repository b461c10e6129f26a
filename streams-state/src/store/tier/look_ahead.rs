//! A look for a key waits for memory several times: the table, the slot, what is known of forgotten keys. For several keys at once it
//! waits as often for all of them.

use super::{NONE, Tier};
use crate::fetch::{TOGETHER, fetch};

/// Below this number of slots they are in the processor's caches anyway.
const FEW_SLOTS: usize = 4096;

impl<V> Tier<V> {
    /// These keys will be looked for: has what that needs come from memory, for all of them at the same time. Changes nothing.
    /// `forgotten` sees the hashes of keys that may have been forgotten.
    pub(in super::super) fn look_ahead(&self, keys: &[&[u8]], mut forgotten: impl FnMut(&[u64])) {
        if self.table.len() < FEW_SLOTS {
            return;
        }
        for keys in keys.chunks(TOGETHER) {
            let mut hashes = [0; TOGETHER];
            let hashes = &mut hashes[..keys.len()];
            hashes.iter_mut().zip(keys).for_each(|(hash, key)| *hash = self.hash(key));
            self.table.fetch(hashes);
            self.elsewhere.fetch(hashes);
            let (mut ids, mut gone, mut absent) = ([NONE; TOGETHER], [0; TOGETHER], 0);
            for (id, hash) in ids.iter_mut().zip(&*hashes) {
                match self.table.find(*hash, |_| true) {
                    Some(found) => *id = found,
                    None if self.elsewhere.may_have(*hash) => {
                        gone[absent] = *hash;
                        absent += 1;
                    }
                    None => {}
                }
            }
            self.fetch(ids.into_iter());
            forgotten(&gone[..absent]);
        }
    }

    /// These slots will be used: reads each, so that all of them come from memory at the same time. [`NONE`] is passed over.
    #[inline]
    pub(in super::super) fn fetch(&self, ids: impl Iterator<Item = u32>) {
        let slots = ids.filter(|id| *id != NONE).map(|id| &self.slots[id as usize]);
        // Both ends: a slot may lie in two lines.
        fetch(slots.map(|slot| u64::from(slot.len()) ^ u64::from(slot.row.is_some())));
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::USED;
    use super::*;

    #[test]
    fn a_look_ahead_finds_out_which_keys_were_forgotten_and_changes_nothing() {
        let mut tier: Tier<i64> = Tier::new(1 << 20, true);
        let keys: Vec<[u8; 4]> = (0..3 * FEW_SLOTS as u32).map(u32::to_be_bytes).collect();
        let (rows, absent) = keys.split_at(2 * FEW_SLOTS);
        for key in rows {
            tier.insert(tier.hash(key), key, Some((1, 0)), 8);
        }
        let mut gone = Vec::new();
        tier.evict(tier.memory_bytes() / 4 * 3, |hash, _: &_| gone.push(hash));
        assert!(gone.len() > 1000 && tier.slots() > FEW_SLOTS as u64);
        let seen = |tier: &Tier<i64>, keys: &[[u8; 4]]| {
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            let mut seen = Vec::new();
            tier.look_ahead(&keys, |hashes| seen.extend_from_slice(hashes));
            seen
        };
        let used = |tier: &Tier<i64>| tier.slots.iter().filter(|slot| slot.is(USED)).count();
        let before = (used(&tier), tier.memory_bytes());
        let mut found = seen(&tier, rows);
        assert!(seen(&tier, absent).len() < absent.len() / 20);
        assert_eq!((used(&tier), tier.memory_bytes()), before);
        found.sort_unstable();
        gone.sort_unstable();
        assert_eq!(found, gone);
    }
}
