//! Where rows are, by the hash of their key: eight bytes for each, eight of them in a line of memory. A key has two lines and its place
//! is in the one that had more room. If both are full, a place of theirs moves to its other line, so that all find room before nearly all is
//! full: a single row that goes means that the engine is asked for keys that it does not have. What has no room goes.
//!
//! ```text
//! lines:  | place | place | ... 8 of them, the one put last behind |     the lines of a key: by its hash
//! place:  hash, 31 bits │ generation, 1 │ size, 5 │ start, 27      all zero: none
//! ```

use crate::fetch::fetch;

/// Places of a line: 64 bytes.
const LINE: usize = 8;
/// Lines of the first table.
const FIRST_LINES: usize = 16;

/// Bytes of a unit: rows begin at multiples of it.
pub(super) const UNIT: usize = 16;
/// Bytes of a generation that places can tell apart.
pub(super) const GENERATION_MAX_BYTES: u64 = (UNIT as u64) << START_BITS;

const START_BITS: u32 = 27;
const SIZE_BITS: u32 = 5;
const HASH_SHIFT: u32 = START_BITS + SIZE_BITS + 1;
const GENERATION: u64 = 1 << (START_BITS + SIZE_BITS);

/// How much room a row has: as many units as it needs up to 16, else up to a quarter more. At most 3584 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(u8);

impl Size {
    const EXACT: u8 = 16;

    /// The least that is enough for `bytes`, which are some; `None` if they are too many.
    pub(super) fn of(bytes: usize) -> Option<Self> {
        (1..1 << SIZE_BITS).map(Self).find(|size| bytes <= size.bytes())
    }

    pub(super) fn bytes(self) -> usize {
        let units = match self.0.checked_sub(Self::EXACT + 1) {
            None => usize::from(self.0),
            Some(step) => usize::from(5 + step % 4) << (2 + step / 4),
        };
        units * UNIT
    }
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Place {
    const NONE: Self = Self(0);

    /// `start`: bytes from the beginning of the generation, a multiple of [`UNIT`] below [`GENERATION_MAX_BYTES`].
    pub(super) fn new(hash: u64, generation: bool, start: u64, size: Size) -> Self {
        let generation = if generation { GENERATION } else { 0 };
        let hash = hash >> HASH_SHIFT << HASH_SHIFT;
        Self(hash | generation | (u64::from(size.0) << START_BITS) | (start / UNIT as u64))
    }

    pub(super) fn generation(self) -> bool {
        self.0 & GENERATION != 0
    }

    pub(super) fn start(self) -> u64 {
        (self.0 & ((1 << START_BITS) - 1)) * UNIT as u64
    }

    pub(super) fn size(self) -> Size {
        Size((self.0 >> START_BITS) as u8 & ((1 << SIZE_BITS) - 1))
    }

    /// Whether it is that of a row whose key may have this hash.
    fn is_of(self, hash: u64) -> bool {
        self != Self::NONE && (self.0 ^ hash) >> HASH_SHIFT == 0
    }
}

/// Places of rows, at most one of each key.
#[derive(Debug, Default)]
pub(super) struct Places {
    lines: Vec<[Place; LINE]>,
    len: usize,
    /// Bytes of the rows that have a place, in each generation.
    row_bytes: [u64; 2],
}

impl Places {
    /// Adds a place. The table grows to `memory_max` bytes; where no room can be made its first line loses the place in front, an old one.
    /// Returns whether none was lost.
    pub(super) fn add(&mut self, place: Place, memory_max: u64) -> bool {
        let before = self.len;
        if self.len >= self.lines.len() * LINE / 8 * 7 {
            self.grow(memory_max);
        }
        self.put(place);
        self.len == before + 1
    }

    /// Takes a place out whose row may be that of a key of this hash. There may be more of them.
    pub(super) fn remove(&mut self, hash: u64) -> Option<Place> {
        for index in self.lines_of(hash) {
            let line = self.lines.get_mut(index)?;
            if let Some(at) = line.iter().position(|place| place.is_of(hash)) {
                let place = std::mem::replace(&mut line[at], Place::NONE);
                self.gone(place);
                return Some(place);
            }
        }
        None
    }

    /// Reads both lines for each hash, so that all of them come from memory at the same time.
    pub(super) fn fetch(&self, hashes: &[u64]) {
        if !self.lines.is_empty() {
            let lines = hashes.iter().flat_map(|hash| self.lines_of(*hash));
            fetch(lines.map(|line| self.lines[line][0].0));
        }
    }

    /// Takes all places of a generation out, and returns how many they were.
    pub(super) fn remove_generation(&mut self, generation: bool) -> usize {
        let of_it = |place: &Place| *place != Place::NONE && place.generation() == generation;
        let of_it = self.lines.iter_mut().flatten().filter(|place| of_it(place));
        let gone = of_it.map(|place| *place = Place::NONE).count();
        self.len -= gone;
        self.row_bytes[usize::from(generation)] = 0;
        gone
    }

    /// Bytes of all rows that have a place, as their sizes say.
    pub(super) fn row_bytes(&self) -> u64 {
        self.row_bytes.iter().sum()
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        (self.lines.capacity() * size_of::<[Place; LINE]>()) as u64
    }

    /// Adds a place. One that was there a moment ago finds room for sure.
    pub(super) fn put(&mut self, place: Place) {
        let free = |line: &[Place; LINE]| line.iter().filter(|place| **place == Place::NONE).count();
        let lines = self.lines_of(place.0);
        let [first, second] = lines.map(|line| free(&self.lines[line]));
        let line = match (first, second) {
            (0, 0) => self.make_room(lines).unwrap_or(lines[0]),
            (_, _) if second > first => lines[1],
            (_, _) => lines[0],
        };
        let line = &mut self.lines[line];
        let at = line.iter().position(|other| *other == Place::NONE).unwrap_or(0);
        let lost = line[at];
        line.copy_within(at + 1.., at);
        line[LINE - 1] = place;
        self.len += 1;
        self.row_bytes[usize::from(place.generation())] += place.size().bytes() as u64;
        if lost != Place::NONE {
            self.gone(lost);
        }
    }

    /// Moves a place of one of these lines, which are full, to its other line, and returns the line that it was in. `None`: those lines
    /// are full as well, or so much is that it is not worth to look.
    fn make_room(&mut self, lines: [usize; 2]) -> Option<usize> {
        if self.len >= self.lines.len() * LINE / 16 * 15 {
            return None;
        }
        for (line, at) in lines.into_iter().flat_map(|line| (0..LINE).map(move |at| (line, at))) {
            let place = self.lines[line][at];
            let [first, second] = self.lines_of(place.0);
            let other = &mut self.lines[if first == line { second } else { first }];
            if let Some(free) = other.iter().position(|place| *place == Place::NONE) {
                other.copy_within(..free, 1);
                other[0] = place;
                self.lines[line][at] = Place::NONE;
                return Some(line);
            }
        }
        None
    }

    /// By the bits of a hash that a place has, mixed, because the upper ones may say little, and mixed once more.
    fn lines_of(&self, hash: u64) -> [usize; 2] {
        let once = (hash >> HASH_SHIFT).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let twice = (once ^ (once >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        [once, twice].map(|mixed| {
            let upper = mixed >> HASH_SHIFT;
            ((upper * self.lines.len() as u64) >> (u64::BITS - HASH_SHIFT)) as usize
        })
    }

    fn gone(&mut self, place: Place) {
        self.len -= 1;
        self.row_bytes[usize::from(place.generation())] -= place.size().bytes() as u64;
    }

    fn grow(&mut self, memory_max: u64) {
        let most = (memory_max as usize / size_of::<[Place; LINE]>()).max(1);
        let lines = (2 * self.lines.len()).max(FIRST_LINES).min(most);
        if lines > self.lines.len() {
            let grown = Self { lines: vec![[Place::NONE; LINE]; lines], ..Self::default() };
            let places = std::mem::replace(self, grown).lines.into_iter().flatten();
            places.filter(|place| *place != Place::NONE).for_each(|place| self.put(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    use super::*;

    fn hash_of(key: u64) -> u64 {
        foldhash::fast::FixedState::with_seed(7).hash_one(key)
    }

    #[test]
    fn a_place_says_what_it_was_made_of() {
        for (start, bytes) in [(0, 1), (16, 16), (1 << 20, 257), (GENERATION_MAX_BYTES - 16, 3584)] {
            for generation in [false, true] {
                let size = Size::of(bytes).unwrap();
                let place = Place::new(u64::MAX / 3, generation, start, size);
                assert_eq!((place.generation(), place.start(), place.size()), (generation, start, size));
                assert!(place.is_of(u64::MAX / 3) && !place.is_of(u64::MAX / 3 * 2) && !Place::NONE.is_of(0));
            }
        }
    }

    #[test]
    fn a_size_is_enough_and_not_much_more() {
        for bytes in 1..=3584 {
            let size = Size::of(bytes).unwrap().bytes();
            assert!(
                size >= bytes && size <= (bytes + bytes / 4).max(bytes.next_multiple_of(UNIT)),
                "{bytes}: {size}"
            );
        }
        assert_eq!(Size::of(3585), None);
    }

    #[test]
    fn keeps_what_has_room_and_loses_the_oldest() {
        let (size, memory_max) = (Size::of(100).unwrap(), 8 << 10);
        let mut places = Places::default();
        for key in 0..10_000_u64 {
            places.add(Place::new(hash_of(key), key % 2 == 0, key * 16, size), memory_max);
            assert!(places.memory_bytes() <= memory_max);
            assert_eq!(places.row_bytes(), places.len as u64 * 112);
        }
        let kept = |keys: &mut dyn Iterator<Item = u64>, places: &mut Places| {
            keys.filter(|key| places.remove(hash_of(*key)).is_some_and(|place| place.start() == key * 16))
                .count()
        };
        assert!(kept(&mut (9_500..10_000), &mut places) > 450, "half as many as there is room for");
        assert!(kept(&mut (0..8_000), &mut places) < 20);
        let gone = places.remove_generation(true);
        assert!(gone > 150 && kept(&mut (0..10_000).step_by(2), &mut places) == 0, "{gone}");
        assert!(kept(&mut (1..9_250).step_by(2), &mut places) > 50, "the other generation is there");
        let left = places.len;
        assert_eq!((places.remove_generation(false), places.len, places.row_bytes()), (left, 0, 0));
    }

    #[test]
    fn a_table_that_grows_has_what_it_had() {
        let mut places = Places::default();
        let mut expected = BTreeMap::new();
        for key in 0..57_000_u64 {
            let place =
                Place::new(hash_of(key), key % 3 == 0, key * 16, Size::of(1 + key as usize % 999).unwrap());
            assert!(places.add(place, 1 << 20), "{key}: lost one");
            expected.insert(key, place);
        }
        let found =
            expected.iter().filter(|(key, place)| places.remove(hash_of(**key)) == Some(**place)).count();
        assert_eq!(found, expected.len(), "the table may be as large as it needs to be");
        assert!(places.memory_bytes() == 512 << 10);
    }
}
