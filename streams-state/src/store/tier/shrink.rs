//! Memory of slots that are not needed any more goes back. Tasks share their memory by demand: a tier that had more than its part
//! for a while would keep the slots for ever, free ones between others.

use super::super::slab::CHUNK;
use super::slot::LIVE;
use super::{NONE, Tier, hash_of};

/// Of so many slots one may be free.
const FREE_PART: usize = 16;

impl<V> Tier<V> {
    /// Moves the last slots into free ones before them if many are free, and gives back their memory. `moved` sees the entry of the record
    /// cache of a slot that has one, and its new number. Returns whether numbers of slots have changed.
    pub(in super::super) fn shrink(&mut self, mut moved: impl FnMut(u32, u32)) -> bool {
        let live = self.table.len();
        // Some stay free, for the rows that come next.
        let kept = (live + live / (2 * FREE_PART)).next_multiple_of(CHUNK);
        if self.slots.len() < kept + live / FREE_PART + CHUNK {
            return false;
        }
        self.table.keep_free_below(kept as u32);
        let mut numbers = vec![NONE; self.slots.len() - kept];
        for from in kept..self.slots.len() {
            if !self.slots[from].is(LIVE) {
                continue;
            }
            let to = self.table.move_to_free(hash_of(&self.hasher, &self.slots, from as u32), from as u32);
            self.slots.swap(from, to as usize);
            numbers[from - kept] = to;
            match self.slots[to as usize].cached {
                NONE => {}
                entry => moved(entry, to),
            }
        }
        for id in self.touched.iter_mut().chain(&mut self.flushing) {
            *id = (*id as usize).checked_sub(kept).map_or(*id, |at| numbers[at]);
        }
        self.slots.keep_chunks(kept / CHUNK);
        self.hand = if self.hand < kept { self.hand } else { 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq};

    use super::super::slot::{FLUSHING, TOUCHED};
    use super::*;

    type Steps = Vec<(u8, u32)>;

    /// As a map, whatever slots are touched, cached, on their way to the engine or forgotten meanwhile.
    fn check(steps: Steps) -> Result<(), proptest::test_runner::TestCaseError> {
        let mut tier: Tier<u32> = Tier::new(1 << 30, true);
        let mut entries: BTreeMap<u32, u32> = BTreeMap::new();
        let mut rows = BTreeMap::new();
        let id_of =
            |tier: &mut Tier<u32>, key: u32| tier.find(tier.hash(&key.to_be_bytes()), &key.to_be_bytes());
        for (step, number) in steps {
            match step {
                0 => (number..number + 700).for_each(|key| {
                    let bytes = key.to_be_bytes();
                    let id = id_of(&mut tier, key)
                        .unwrap_or_else(|| tier.insert(tier.hash(&bytes), &bytes, None, 0));
                    tier.slot_mut(id).row = Some((key, 0));
                    tier.touch(id, None);
                    if key % 5 == 0 {
                        entries.insert(key, id);
                        tier.slot_mut(id).cached = key;
                    }
                    rows.insert(key, key);
                }),
                1 => {
                    let touched = tier.touched().len();
                    tier.written();
                    tier.flushing();
                    prop_assert_eq!(tier.flushing.len(), touched);
                }
                2 => {
                    tier.written();
                    tier.evict(tier.memory_bytes() / 2, |_, slot: &super::super::Slot<u32>| {
                        rows.remove(&slot.row.unwrap_or_default().0);
                    });
                }
                3 => {
                    for (key, id) in std::mem::take(&mut entries) {
                        prop_assert_eq!(tier.slot(id).row, Some((key, 0)));
                        tier.slot_mut(id).cached = NONE;
                    }
                }
                _ => {
                    let before = tier.slots.len();
                    let order: Vec<u32> = tier
                        .touched
                        .iter()
                        .map(|id| tier.slots[*id as usize].row.unwrap_or_default().0)
                        .collect();
                    if tier.shrink(|entry, id| _ = entries.insert(entry, id)) {
                        prop_assert!(tier.slots.len() < before && tier.slots.len() >= tier.table.len());
                    }
                    let after: Vec<u32> = tier
                        .touched
                        .iter()
                        .map(|id| tier.slots[*id as usize].row.unwrap_or_default().0)
                        .collect();
                    prop_assert_eq!(order, after);
                }
            }
            prop_assert_eq!(tier.slots(), rows.len() as u64);
            for (key, value) in &rows {
                let id = id_of(&mut tier, *key);
                prop_assert_eq!(id.map(|id| tier.slot(id).row), Some(Some((*value, 0))));
            }
            prop_assert!(tier.touched.iter().all(|id| tier.slots[*id as usize].is(TOUCHED)));
            prop_assert!(tier.flushing.iter().all(|id| tier.slots[*id as usize].is(FLUSHING)));
        }
        Ok(())
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 64, ..Default::default() })]
        #[test]
        fn slots_that_move_keep_what_they_are(steps in vec((0_u8..5, 0_u32..6_000), 1..40)) {
            check(steps)?;
        }
    }

    #[test]
    fn memory_of_free_slots_goes_back() {
        let mut tier: Tier<u32> = Tier::new(1 << 30, true);
        let add = |tier: &mut Tier<u32>, keys: std::ops::Range<u32>| {
            for key in keys {
                tier.insert(tier.hash(&key.to_be_bytes()), &key.to_be_bytes(), Some((key, 0)), 8);
            }
        };
        add(&mut tier, 0..20 * CHUNK as u32);
        assert!(!tier.shrink(|_, _| ()), "all are in use");
        tier.evict(tier.memory_bytes() / 2, ());
        assert!(tier.slots.len() == 20 * CHUNK && tier.shrink(|_, _| ()) && !tier.shrink(|_, _| ()));
        assert!(tier.slots.len() <= 11 * CHUNK);
        let live = tier.slots() as u32;
        add(&mut tier, 1 << 20..(1 << 20) + 5 * CHUNK as u32);
        assert_eq!((tier.slots(), tier.rows()), (u64::from(live) + 5 * CHUNK as u64, tier.slots()));
    }
}
