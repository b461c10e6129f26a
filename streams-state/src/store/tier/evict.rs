//! Which rows go when memory ends: clean ones, those that were not used since the hand last came by.

use super::slot::USED;
use super::{Slot, Tier, hash_of};
use crate::fetch::TOGETHER;

/// Part of the room of a tier that may go into knowing what it forgot.
const ELSEWHERE_PART: u64 = 64;

/// Who is told of rows that go.
pub(in super::super) trait Forget<V> {
    /// Rows of keys with these hashes will go.
    fn look_ahead(&self, hashes: &[u64]) {
        let _ = hashes;
    }

    /// The row of the slot goes; the key has this hash.
    fn forget(&mut self, hash: u64, slot: &Slot<V>);
}

/// Nobody is told.
impl<V> Forget<V> for () {
    fn forget(&mut self, _hash: u64, _slot: &Slot<V>) {}
}

#[cfg(test)]
impl<V, F: FnMut(u64, &Slot<V>)> Forget<V> for F {
    fn forget(&mut self, hash: u64, slot: &Slot<V>) {
        self(hash, slot);
    }
}

impl<V> Tier<V> {
    /// Before a row is loaded: evicts if loaded rows have filled the tier.
    #[inline]
    pub(in super::super) fn make_room(&mut self, told: impl Forget<V>) {
        if self.is_full() {
            self.evict(self.max_bytes / 2, told);
            let in_use = self.memory_bytes();
            self.evict_above = self.max_bytes.max(in_use + in_use / 4);
        }
    }

    /// After a flush, when more slots are clean: evicts if there are too many.
    pub(in super::super) fn make_room_after_flush(&mut self, told: impl Forget<V>) {
        self.evict_above = self.max_bytes;
        if self.is_full() {
            self.evict(self.max_bytes / 2, told);
        }
    }

    /// Forgets clean slots, those not used since the last round first, until the tier needs no more than
    /// `target` bytes or nothing clean is left.
    pub(in super::super) fn evict(&mut self, target: u64, mut told: impl Forget<V>) {
        let mut steps = 2 * self.slots.len();
        let mut victims = std::mem::take(&mut self.victims);
        while steps > 0 && self.memory_bytes() > target {
            self.find_victims(&mut victims, &mut steps, &told);
            for (hash, id) in victims.drain(..) {
                if self.memory_bytes() <= target {
                    break;
                }
                let slot = &self.slots[id as usize];
                if slot.row.is_some() {
                    told.forget(hash, slot);
                    self.elsewhere.add(hash, self.max_bytes / ELSEWHERE_PART);
                }
                self.remove(hash, id);
                self.hand = id as usize;
            }
        }
        self.victims = victims;
    }

    /// The next clean slots that were not used since the hand last came by, none twice. `steps`: how far the hand may still go.
    fn find_victims(&mut self, victims: &mut Vec<(u64, u32)>, steps: &mut usize, told: &impl Forget<V>) {
        let once_round = steps.saturating_sub(self.slots.len());
        while *steps > once_round && victims.len() < TOGETHER {
            *steps -= 1;
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let slot = &mut self.slots[self.hand];
            if !slot.may_go() {
                continue;
            }
            if !slot.clear(USED) {
                victims.push((hash_of(&self.hasher, &self.slots, self.hand as u32), self.hand as u32));
            }
        }
        let mut hashes = [0; TOGETHER];
        hashes.iter_mut().zip(&*victims).for_each(|(hash, victim)| *hash = victim.0);
        let hashes = &hashes[..victims.len()];
        self.table.fetch(hashes);
        self.elsewhere.fetch(hashes);
        told.look_ahead(hashes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn add(tier: &mut Tier<i64>, key: u32) -> u32 {
        let key = key.to_be_bytes();
        tier.insert(tier.hash(&key), &key, Some((1, 0)), 8)
    }

    #[test]
    fn evicts_each_slot_once_where_there_are_few() {
        for number in 0..2 * TOGETHER as u32 {
            let mut tier = Tier::new(1 << 20, true);
            for key in 0..number {
                add(&mut tier, key);
            }
            let mut forgotten = 0;
            tier.evict(0, |_, _: &_| forgotten += 1);
            assert_eq!((forgotten, tier.slots()), (number, 0));
            let again: HashSet<u32> = (0..number).map(|key| add(&mut tier, key)).collect();
            assert_eq!((again.len(), tier.slots()), (number as usize, u64::from(number)));
        }
    }
}
