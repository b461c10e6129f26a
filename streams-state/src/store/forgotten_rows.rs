//! Rows that a tier had to forget, where one read finds them again: a file of rows as the engine has them, and a place for each. The
//! engine has them all as well, so what is here may go at any time; it only spares the look into several sorted files, their filters,
//! indexes and blocks.
//!
//! ```text
//! tier ──evicted──► tail ──full──► newer file      places: hash of the key -> which file, where, how large
//!   ▲                                 │ more than half of it is of no use any more
//!   │                                 ▼
//!   │                              older file      the one before it is given up
//!   └──loaded: one read, the place goes, so a row is in the tier or here, and nothing here is ever stale
//! ```
//! Files have no name, so nothing is left of them when the process ends, however it ends. A file that fails is given up, and with it
//! what it takes of the disk: the engine answers. Where rows are seldom found here, nothing is put here for a while.
//!
//! As long as nothing went, all rows that the tier ever forgot are here, and the engine need not be asked for others.

mod places;
mod row;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use foldhash::fast::RandomState;

use self::places::{GENERATION_MAX_BYTES, Place, Places};
use super::tier::{Forget, Slot};
use super::timestamped_row::write_row;
use crate::serdes::Serde;

/// Part of the memory of a tier that may go into what it forgot.
const ROOM_PART: u64 = 8;
/// Part of that for rows that are not yet written.
const TAIL_PART: u64 = 8;
/// One row in so many has to be found again: to keep one costs about a thirtieth of what a lookup in RocksDB does.
const WORTH_ONE_IN: u64 = 16;
/// Rows that are let go after a file that was not worth its cost, for each that it had. Each that is found again shortens that.
const PAUSE: u64 = 8;

/// When what is done.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Rows that are written at once, in bytes.
    tail: usize,
    /// A file gets this large before it is asked how much of it is still of use.
    file: u64,
}

const SIZES: Sizes = Sizes { tail: 64 << 10, file: 4 << 20 };

/// What is known of a row that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was here.
    Row,
    /// There is none: all rows that were forgotten are here, and it is none of them.
    Nothing,
    /// It is not here.
    Unknown,
}

/// The rows of one store that its tier forgot, as far as they are at hand.
pub(super) struct ForgottenRows {
    /// Where files are made; `None`: nowhere, or not any more.
    directory: Option<PathBuf>,
    sizes: Sizes,
    /// All rows that the tier forgot are here.
    all: bool,
    places: Places,
    /// By generation.
    files: [Option<File>; 2],
    /// The generation that rows are put into.
    newer: bool,
    /// Bytes of its file; the tail lies behind them.
    written: u64,
    tail: Vec<u8>,
    hasher: RandomState,
    /// Rows that are still to be let go.
    pause: u64,
    /// Rows that were put and found since the newer generation began.
    put: u64,
    found: u64,
}

impl ForgottenRows {
    /// Nothing yet, over an engine that is empty or not. Files are made in `directory`, if there is one.
    pub(super) fn new(directory: Option<PathBuf>, engine_is_empty: bool) -> Self {
        Self {
            directory,
            sizes: SIZES,
            all: engine_is_empty,
            places: Places::default(),
            files: [None, None],
            newer: false,
            written: 0,
            tail: Vec::new(),
            hasher: RandomState::default(),
            pause: 0,
            put: 0,
            found: 0,
        }
    }

    /// Keeps the rows that a tier evicts at hand, with an eighth of `tier_bytes`.
    pub(super) fn keeping<'a, V>(&'a mut self, values: &'a dyn Serde<V>, tier_bytes: u64) -> Keeping<'a, V> {
        Keeping { rows: self, values, tier_bytes }
    }

    /// Keeps the row of `key`, which has none here. `row` appends it, or says that it cannot be had. Places and tail take about `room`
    /// bytes of memory, at most.
    pub(super) fn put(&mut self, hash: u64, key: &[u8], row: impl FnOnce(&mut Vec<u8>) -> bool, room: u64) {
        if self.directory.is_none() || self.pause > 0 {
            self.pause = self.pause.saturating_sub(1);
            self.all = false;
            return;
        }
        let start = self.tail.len();
        let Some(size) = row::append(&mut self.tail, key, &self.hasher, row) else {
            self.tail.truncate(start);
            self.all = false;
            return;
        };
        let place = Place::new(hash, self.newer, self.written + start as u64, size);
        self.all &= self.places.add(place, room);
        self.put += 1;
        if self.tail.len() >= self.sizes.tail.min((room / TAIL_PART) as usize) {
            match self.write_tail() {
                Ok(()) => self.begin_anew_if_due(),
                Err(error) => self.give_up(&error),
            }
        }
    }

    /// Takes the row of `key` out, into `out`. Rows of other keys of the same hash stay.
    pub(super) fn take(&mut self, hash: u64, key: &[u8], out: &mut Vec<u8>) -> Taken {
        let mut taken = if self.all { Taken::Nothing } else { Taken::Unknown };
        let mut others = Vec::new();
        while let Some(place) = self.places.remove(hash) {
            match self.read(place, out).and_then(|()| row::take(key, &self.hasher, out)) {
                Ok(true) => {
                    taken = Taken::Row;
                    break;
                }
                Ok(false) => others.push(place),
                Err(error) => {
                    self.give_up(&error);
                    return Taken::Unknown;
                }
            }
        }
        others.into_iter().for_each(|place| self.places.put(place));
        if taken == Taken::Row {
            self.found += 1;
            self.pause = self.pause.saturating_sub(WORTH_ONE_IN);
        }
        taken
    }

    /// A row that was taken did not get into the tier.
    pub(super) fn one_is_elsewhere(&mut self) {
        self.all = false;
    }

    /// The row of the key of `hash` is not what it was.
    pub(super) fn forget(&mut self, hash: u64) {
        while self.places.remove(hash).is_some() {
            // It may have been that of another key.
            self.all = false;
        }
    }

    /// Forgets all rows, over an engine that is empty or not.
    pub(super) fn clear(&mut self, engine_is_empty: bool) {
        *self = Self { sizes: self.sizes, ..Self::new(self.directory.take(), engine_is_empty) };
    }

    /// Rows of keys with these hashes will be put or taken: has their places come from memory, all at the same time.
    pub(super) fn look_ahead(&self, hashes: &[u64]) {
        self.places.fetch(hashes);
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.places.memory_bytes() + self.tail.capacity() as u64
    }

    /// Puts the bytes at `place` into `out`.
    fn read(&self, place: Place, out: &mut Vec<u8>) -> io::Result<()> {
        let (start, len) = (place.start(), place.size().bytes());
        out.clear();
        if place.generation() == self.newer
            && let Some(start) = start.checked_sub(self.written)
        {
            out.extend_from_slice(&self.tail[start as usize..][..len]);
            return Ok(());
        }
        out.resize(len, 0);
        match &self.files[usize::from(place.generation())] {
            Some(file) => read_at(file, out, start),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn write_tail(&mut self) -> io::Result<()> {
        let file = match (&mut self.files[usize::from(self.newer)], &self.directory) {
            (Some(file), _) => file,
            (none, Some(directory)) => none.insert(tempfile::tempfile_in(directory)?),
            (None, None) => return Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        file.seek(SeekFrom::Start(self.written))?;
        file.write_all(&self.tail)?;
        self.written += self.tail.len() as u64;
        self.tail.clear();
        Ok(())
    }

    /// Begins a new file if more than half of this one is of no use any more, or places cannot tell more of it apart.
    fn begin_anew_if_due(&mut self) {
        let ends = GENERATION_MAX_BYTES - 2 * self.sizes.tail as u64;
        if self.written < self.sizes.file.max(2 * self.places.row_bytes()).min(ends) {
            return;
        }
        if self.found * WORTH_ONE_IN < self.put {
            self.pause = PAUSE * self.put;
        }
        self.newer = !self.newer;
        self.all &= self.places.remove_generation(self.newer) == 0;
        self.files[usize::from(self.newer)] = None;
        (self.written, self.put, self.found) = (0, 0, 0);
    }

    #[cold]
    fn give_up(&mut self, error: &io::Error) {
        let directory = self.directory.take().unwrap_or_default();
        tracing::warn!(
            "rows that were forgotten are read from the engine from now on, which is slower: the file for them in {} failed: {error}",
            directory.display()
        );
        self.clear(false);
    }
}

/// What a tier that evicts is told to do with its rows.
pub(super) struct Keeping<'a, V> {
    rows: &'a mut ForgottenRows,
    values: &'a dyn Serde<V>,
    tier_bytes: u64,
}

impl<V: 'static> Forget<V> for Keeping<'_, V> {
    fn look_ahead(&self, hashes: &[u64]) {
        self.rows.look_ahead(hashes);
    }

    fn forget(&mut self, hash: u64, slot: &Slot<V>) {
        let row = |out: &mut Vec<u8>| write_row(self.values, slot.row.as_ref(), out).unwrap_or(false);
        self.rows.put(hash, slot.key(), row, self.tier_bytes / ROOM_PART);
    }
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, out: &mut [u8], at: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    io::Read::read_exact(&mut file, out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::hash::BuildHasher;

    use proptest::bool::weighted;
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert, prop_assert_eq};

    use std::path::Path;

    use super::*;

    const SMALL: Sizes = Sizes { tail: 256, file: 4 << 10 };
    const ALL: u64 = u64::MAX;

    fn open(directory: &Path) -> ForgottenRows {
        ForgottenRows { sizes: SMALL, ..ForgottenRows::new(Some(directory.to_owned()), true) }
    }

    fn hash_of(key: u64) -> u64 {
        foldhash::fast::FixedState::with_seed(7).hash_one(key)
    }

    fn put(rows: &mut ForgottenRows, key: u64, row: &[u8], room: u64) {
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(row);
            true
        };
        rows.put(hash_of(key), &key.to_be_bytes(), write, room);
    }

    fn take(rows: &mut ForgottenRows, key: u64) -> Option<Vec<u8>> {
        let mut row = Vec::new();
        (rows.take(hash_of(key), &key.to_be_bytes(), &mut row) == Taken::Row).then_some(row)
    }

    fn on_disk(rows: &ForgottenRows) -> u64 {
        rows.files.iter().flatten().map(|file| file.metadata().unwrap().len()).sum()
    }

    /// A row of a key, different each time.
    fn row(key: u64, version: usize) -> Vec<u8> {
        format!("{key}:{version}:").repeat(1 + (key as usize + version) % 9).into_bytes()
    }

    /// Keys that come and go as in a tier. Returns how many were asked for, and found, and the most bytes of both files.
    fn come_and_go(rows: &mut ForgottenRows, keys: impl Iterator<Item = u64>) -> (u64, u64, u64) {
        let mut forgotten: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        let (mut asked, mut found, mut most) = (0, 0, 0);
        for (version, key) in keys.enumerate() {
            match forgotten.remove(&key) {
                Some(expected) => {
                    asked += 1;
                    if let Some(row) = take(rows, key) {
                        assert_eq!(row, expected, "the row that was put last");
                        found += 1;
                    }
                    assert_eq!(take(rows, key), None, "once taken it is not here");
                }
                None => {
                    let row = row(key, version);
                    put(rows, key, &row, ALL);
                    forgotten.insert(key, row);
                }
            }
            most = most.max(on_disk(rows));
        }
        (asked, found, most)
    }

    #[test]
    fn most_rows_are_found_again_and_files_do_not_grow_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let mut rows = open(directory.path());
        let keys = (0..200_000).map(|step: u64| hash_of(step) % 1_000);
        let (asked, found, most) = come_and_go(&mut rows, keys);
        assert!(asked > 90_000 && found > asked / 10 * 8, "{found} of {asked}");
        assert!(most < 1_000 * 50 * 5, "{most} bytes for 500 rows of about 50 bytes");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "files without names");
    }

    proptest::proptest! {
        /// Also where hashes say little, so that keys share one. With room for all rows, and few of a hash, none is lost.
        #[test]
        fn never_gives_a_row_that_is_not_the_last(
            steps in vec((0..40_u64, weighted(0.02)), 0..600), buckets in 1..40_u64, small: bool,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let sizes = if small { SMALL } else { Sizes { file: 1 << 20, ..SMALL } };
            let mut rows = ForgottenRows { sizes, ..open(directory.path()) };
            let mut forgotten: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
            let mut some_may_be_lost = small || buckets < 10;
            for (version, (key, forget)) in steps.into_iter().enumerate() {
                let hash = hash_of(key % buckets);
                match forgotten.remove(&key) {
                    Some(_) if forget => {
                        rows.forget(hash);
                        some_may_be_lost = true;
                    }
                    Some(expected) => {
                        let mut row = Vec::new();
                        match rows.take(hash, &key.to_be_bytes(), &mut row) {
                            Taken::Row => prop_assert_eq!(row, expected),
                            Taken::Nothing => prop_assert!(false, "it was put"),
                            Taken::Unknown => prop_assert!(some_may_be_lost),
                        }
                    }
                    None => {
                        let row = row(key, version);
                        let write = |out: &mut Vec<u8>| {
                            out.extend_from_slice(&row);
                            true
                        };
                        rows.put(hash, &key.to_be_bytes(), write, ALL);
                        forgotten.insert(key, row);
                    }
                }
            }
        }
    }

    /// A key that is looked for in vain once took another's row with it, and then the engine was asked for each key that is absent.
    #[test]
    fn rows_of_other_keys_with_the_hash_stay() {
        let directory = tempfile::tempdir().unwrap();
        let mut rows = open(directory.path());
        let taken =
            |rows: &mut ForgottenRows, key: u64| rows.take(7 << 40, &key.to_be_bytes(), &mut Vec::new());
        for key in 0..8_u64 {
            rows.put(7 << 40, &key.to_be_bytes(), |out| Write::write_all(out, b"row").is_ok(), ALL);
        }
        assert_eq!(taken(&mut rows, 8), Taken::Nothing);
        for key in [3, 0, 7, 5, 1, 2, 6, 4] {
            assert_eq!([taken(&mut rows, key), taken(&mut rows, key)], [Taken::Row, Taken::Nothing]);
        }
    }

    #[test]
    fn what_cannot_be_had_is_not_put() {
        let directory = tempfile::tempdir().unwrap();
        let mut rows = open(directory.path());
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(b"half of it");
            false
        };
        rows.put(hash_of(1), &1_u64.to_be_bytes(), write, ALL);
        put(&mut rows, 2, &vec![7; 4 << 10], ALL);
        put(&mut rows, 3, b"whole", ALL);
        assert_eq!([1, 2, 3].map(|key| take(&mut rows, key)), [None, None, Some(b"whole".to_vec())]);
    }

    /// More than there are places for, and none is asked for.
    #[test]
    fn nothing_is_kept_for_a_while_where_little_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let mut rows = open(directory.path());
        let room = 1 << 10;
        let kept = (0..1_000).take_while(|key| {
            put(&mut rows, *key, &[1; 40], room);
            rows.pause == 0
        });
        let kept = kept.count() as u64 + 1;
        assert!((128..400).contains(&kept), "{kept} rows: as many as there are places for, and as many more");
        assert_eq!(rows.pause, PAUSE * kept);
        (0..PAUSE * kept).for_each(|key| put(&mut rows, 1_000 + key, &[2; 40], room));
        assert_eq!(take(&mut rows, 1_007), None);
        put(&mut rows, 1_007, &[3; 40], room);
        assert_eq!(take(&mut rows, 1_007), Some(vec![3; 40]));
    }

    #[test]
    fn takes_no_more_memory_than_it_may() {
        let directory = tempfile::tempdir().unwrap();
        let mut rows = open(directory.path());
        for key in 0..100_000 {
            put(&mut rows, key, b"row", 16 << 10);
            take(&mut rows, key / 8 * 7);
            assert!(rows.memory_bytes() < 17 << 10, "{}", rows.memory_bytes());
        }
    }

    #[test]
    fn a_file_that_fails_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let mut damaged = open(directory.path());
        (0..50).for_each(|key| put(&mut damaged, key, &[1; 40], ALL));
        let file = damaged.files[0].as_mut().unwrap();
        file.seek(SeekFrom::Start(30)).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(take(&mut damaged, 0), None);
        let mut nowhere = open(&directory.path().join("gone"));
        (0..50).for_each(|key| put(&mut nowhere, key, &[1; 40], ALL));
        for mut rows in [damaged, nowhere] {
            assert!(rows.directory.is_none() && on_disk(&rows) == 0 && rows.memory_bytes() == 0);
            put(&mut rows, 1, b"row", ALL);
            assert_eq!(take(&mut rows, 1), None);
        }
    }
}
