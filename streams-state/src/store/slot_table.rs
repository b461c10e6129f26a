//! Step 5, store: which slot has a key. Knows hashes and numbers, never a value: it is compiled once, and not for each type of value
//! that an application keeps.
//!
//! ```text
//! lines:  | entry | entry | ... 8 of them, free ones last |    an entry: in the line of its tag, or behind it, if all between are full
//! entry:  tag, 32 bits │ slot, 32                              the line of a tag: tag * lines / 2^32
//! ```
//! A look costs one line of memory, seldom two. The line follows from the tag, so the table grows without a look at any key, and from
//! its beginning to its end; by a quarter, because that is cheap.

use crate::fetch::fetch;

/// Bytes of the table for each slot, at the mean load.
pub(super) const SLOT_BYTES: u64 = 10;

/// Entries of a line: 64 bytes.
const LINE: usize = 8;
/// Of the entries of all lines so many eighths are in use at most.
const EIGHTHS_MAX: usize = 7;
/// No entry: there is no slot of this number.
const FREE: u64 = u64::MAX;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; LINE]);

impl Line {
    const FREE: Self = Self([FREE; LINE]);

    fn is_full(&self) -> bool {
        self.0[LINE - 1] != FREE
    }
}

/// Hash -> slot, and the slots that are free.
#[derive(Default)]
pub(super) struct SlotTable {
    lines: Vec<Line>,
    len: usize,
    free: Vec<u32>,
}

impl SlotTable {
    /// The slot with this hash that `same` says yes to.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let mut at = self.line_of(tag);
        // Some line is not full: the loop ends.
        while let Some(line) = self.lines.get(at) {
            for entry in line.0 {
                if entry == FREE {
                    return None;
                }
                if (entry >> 32) as u32 == tag && same(entry as u32) {
                    return Some(entry as u32);
                }
            }
            at = self.behind(at);
        }
        None
    }

    /// Reads a line for each hash, so that all of them come from memory at the same time, and looks for them wait no more.
    pub(super) fn fetch(&self, hashes: &[u64]) {
        let first = |hash: &u64| self.lines.get(self.line_of(tag(*hash))).map_or(0, |line| line.0[0]);
        fetch(hashes.iter().map(first));
    }

    /// A slot for a key of this hash, which has none: a free one, or that behind the `slots` that there are.
    pub(super) fn add(&mut self, hash: u64, slots: usize) -> u32 {
        let id = self.free.pop().unwrap_or(slots as u32);
        if self.len >= self.lines.len() * LINE / 8 * EIGHTHS_MAX {
            self.grow();
        }
        self.put(entry(tag(hash), id));
        id
    }

    /// Of the free slots only those before `slots` are there any more.
    pub(super) fn keep_free_below(&mut self, slots: u32) {
        self.free.retain(|id| *id < slots);
    }

    /// The key of this hash, which is in the slot `from`, gets a free slot, or keeps its own if none is free. Returns the slot.
    pub(super) fn move_to_free(&mut self, hash: u64, from: u32) -> u32 {
        let place = self.place_of(entry(tag(hash), from));
        match (place, self.free.pop()) {
            (Some((at, index)), Some(to)) => {
                self.lines[at].0[index] = entry(tag(hash), to);
                to
            }
            (None, _) | (_, None) => from,
        }
    }

    /// The slot `id`, whose key has this hash, is free.
    pub(super) fn remove(&mut self, hash: u64, id: u32) {
        if let Some((at, index)) = self.place_of(entry(tag(hash), id)) {
            self.len -= 1;
            self.close_gap(at, index);
        }
        self.free.push(id);
    }

    /// The line of an entry, and where it is in it.
    fn place_of(&self, entry: u64) -> Option<(usize, usize)> {
        let mut at = self.line_of((entry >> 32) as u32);
        while let Some(line) = self.lines.get(at) {
            let index = line.0.iter().position(|other| *other == entry);
            if index.is_some() || !line.is_full() {
                return index.map(|index| (at, index));
            }
            at = self.behind(at);
        }
        None
    }

    /// Number of slots in use.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Puts an entry where a look for it comes by. Some line is not full.
    fn put(&mut self, entry: u64) {
        let mut at = self.line_of((entry >> 32) as u32);
        loop {
            if let Some(free) = self.lines[at].0.iter_mut().find(|other| **other == FREE) {
                *free = entry;
                self.len += 1;
                return;
            }
            at = self.behind(at);
        }
    }

    #[cold]
    fn grow(&mut self) {
        let lines = self.lines.len() + (self.lines.len() / 4).max(1);
        let before = std::mem::replace(&mut self.lines, vec![Line::FREE; lines]);
        self.len = 0;
        before
            .iter()
            .flat_map(|line| line.0)
            .filter(|entry| *entry != FREE)
            .for_each(|entry| self.put(entry));
    }

    /// Takes an entry out, and brings entries back that lie behind its line because that was full.
    fn close_gap(&mut self, mut at: usize, mut index: usize) {
        loop {
            let line = &mut self.lines[at];
            let was_full = line.is_full();
            let in_use = line.0.iter().position(|entry| *entry == FREE).unwrap_or(LINE);
            line.0[index] = line.0[in_use - 1];
            line.0[in_use - 1] = FREE;
            let passed = if was_full { self.passed(at) } else { None };
            let Some((from, of)) = passed else { return };
            self.lines[at].0[LINE - 1] = self.lines[from].0[of];
            (at, index) = (from, of);
        }
    }

    /// An entry behind the line `at` that belongs there or before it.
    fn passed(&self, at: usize) -> Option<(usize, usize)> {
        let lines = self.lines.len();
        let mut from = at;
        for distance in 1..lines {
            from = self.behind(from);
            let line = &self.lines[from];
            let belongs = |entry: &u64| {
                let home = self.line_of((*entry >> 32) as u32);
                *entry != FREE && (from + lines - home) % lines >= distance
            };
            if let Some(index) = line.0.iter().position(belongs) {
                return Some((from, index));
            }
            if !line.is_full() {
                break;
            }
        }
        None
    }

    #[inline]
    fn line_of(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.lines.len() as u64) >> 32) as usize
    }

    #[inline]
    fn behind(&self, at: usize) -> usize {
        if at + 1 < self.lines.len() { at + 1 } else { 0 }
    }
}

fn entry(tag: u32, id: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(id)
}

/// 32 bits of a hash that are as good as all. Some seeds of foldhash's fast variant leave the upper bits of the hashes of similar keys
/// close together: hence the multiplication.
#[inline]
fn tag(hash: u64) -> u32 {
    ((hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, prop_assert_eq};

    use super::*;

    /// Keys of few lines, of the last one and of the first: what is full goes on behind, and round the end.
    fn hash_of(key: u16) -> u64 {
        let near = [0, u32::MAX, u32::MAX - 1, 1 << 31][usize::from(key) % 4];
        // The hash that `tag` makes this of.
        let wanted = u64::from(near.wrapping_sub(u32::from(key) / 4 % 3)) << 32;
        let inverse = 0x9e37_79b9_7f4a_7c15_u64;
        let inverse = (0..6)
            .fold(inverse, |found, _| found.wrapping_mul(2_u64.wrapping_sub(inverse.wrapping_mul(found))));
        let mixed = wanted.wrapping_mul(inverse);
        mixed ^ (mixed >> 32)
    }

    #[test]
    fn hashes_of_the_tests_have_the_tags_that_they_should() {
        assert_eq!(
            [0, 1, 2, 3, 5].map(|key| tag(hash_of(key))),
            [0, u32::MAX, u32::MAX - 1, 1 << 31, u32::MAX - 1]
        );
    }

    fn check_against_a_map(
        steps: Vec<(bool, u16)>,
        hash_of: impl Fn(u16) -> u64,
    ) -> Result<(), proptest::test_runner::TestCaseError> {
        let mut table = SlotTable::default();
        let mut keys = Vec::new();
        let mut model: BTreeMap<u16, u32> = BTreeMap::new();
        for (add, key) in steps {
            match (add, model.get(&key).copied()) {
                (true, None) => {
                    let id = table.add(hash_of(key), keys.len());
                    prop_assert!(!model.values().any(|other| *other == id));
                    keys.resize(keys.len().max(id as usize + 1), key);
                    keys[id as usize] = key;
                    model.insert(key, id);
                }
                (false, Some(id)) => {
                    table.remove(hash_of(key), id);
                    model.remove(&key);
                }
                (true, Some(_)) | (false, None) => {}
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert!(table.len() <= table.lines.len() * LINE / 8 * EIGHTHS_MAX);
            let found = |key: u16| table.find(hash_of(key), |id| keys[id as usize] == key);
            prop_assert!(model.iter().all(|(key, id)| found(*key) == Some(*id)));
            prop_assert_eq!(found(key), model.get(&key).copied());
        }
        Ok(())
    }

    proptest::proptest! {
        #[test]
        fn finds_what_a_map_finds(steps in vec((any::<bool>(), 0_u16..200), 0..400)) {
            check_against_a_map(steps, |key| u64::from(key).wrapping_mul(0x2545_f491_4f6c_dd1d))?;
        }

        #[test]
        fn finds_what_a_map_finds_where_lines_are_full(steps in vec((any::<bool>(), 0_u16..60), 0..400)) {
            check_against_a_map(steps, hash_of)?;
        }
    }

    #[test]
    fn a_table_has_room_for_its_slots_and_little_more() {
        let mut table = SlotTable::default();
        for key in 0..100_000_u64 {
            table.add(key.wrapping_mul(0x2545_f491_4f6c_dd1d), key as usize);
        }
        let bytes = table.lines.len() * size_of::<Line>();
        assert!((100_000 * 9..100_000 * 12).contains(&bytes), "{bytes}");
    }
}
