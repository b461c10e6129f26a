//! Bits are flipped, files cut off, deleted, exchanged and grown, whichever they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use streams_state::error::{Cure, StateError};

use super::{STORES, apply, open, read, rows_after, run};

const RUNS: i64 = 12;
const ROWS: usize = 120;

/// What happens to a file. Places are shares of its length, in 1/65536.
#[derive(Debug, Clone)]
enum Fault {
    Flip(Vec<(u16, u8)>),
    Truncate(u16),
    Zero(u16, u16),
    Delete,
    Empty,
    Grow(Vec<u8>),
    /// Its content is that of another file.
    Exchange(u16),
    /// A run that was being written is beside it.
    HalfRun(u16),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => proptest::collection::vec((any::<u16>(), 0..8_u8), 1..6).prop_map(Fault::Flip),
        4 => any::<u16>().prop_map(Fault::Truncate),
        2 => any::<(u16, u16)>().prop_map(|(at, length)| Fault::Zero(at, length)),
        2 => Just(Fault::Delete),
        1 => Just(Fault::Empty),
        1 => proptest::collection::vec(any::<u8>(), 1..64).prop_map(Fault::Grow),
        2 => any::<u16>().prop_map(Fault::Exchange),
        1 => any::<u16>().prop_map(Fault::HalfRun),
    ]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

fn place(share: u16, length: usize) -> usize {
    length * usize::from(share) / 65_536
}

fn damage(directory: &Path, file: u16, fault: &Fault) {
    let paths = files(directory);
    let path = &paths[usize::from(file) % paths.len()];
    let mut bytes = fs::read(path).unwrap();
    let length = bytes.len();
    match fault {
        Fault::Flip(bits) => {
            for (at, bit) in bits.iter().filter(|_| length > 0) {
                bytes[place(*at, length)] ^= 1 << bit;
            }
        }
        Fault::Truncate(at) => bytes.truncate(place(*at, length)),
        Fault::Zero(at, count) => {
            let from = place(*at, length);
            bytes[from..(from + usize::from(*count)).min(length)].fill(0);
        }
        Fault::Delete => return fs::remove_file(path).unwrap(),
        Fault::Empty => bytes.clear(),
        Fault::Grow(more) => bytes.extend(more),
        Fault::Exchange(other) => bytes = fs::read(&paths[usize::from(*other) % paths.len()]).unwrap(),
        Fault::HalfRun(at) => {
            bytes.truncate(place(*at, length));
            return fs::write(directory.join("0.run"), bytes).unwrap();
        }
    }
    fs::write(path, bytes).unwrap();
}

/// A database of both stores, after `RUNS` runs each.
fn sound() -> &'static Path {
    static SOUND: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = SOUND.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        for part in 0..3 {
            let mut engines = open(directory.path(), "0_0").unwrap();
            for number in part * RUNS / 3 + 1..=(part + 1) * RUNS / 3 {
                for engine in &mut engines {
                    apply(&mut **engine, &run(number, ROWS), number).unwrap();
                }
            }
        }
        directory
    });
    made.path()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Opens and reads all; rows must be those of the offset.
fn check(directory: &Path) -> Result<(), StateError> {
    for (engine, store) in open(directory, "0_0")?.iter().zip(STORES) {
        let (offset, rows) = read(&**engine)?;
        let expected = rows_after(offset.unwrap_or(0), ROWS);
        assert!(rows == expected, "store {store} has other rows than those of offset {offset:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_found_or_harmless(faults in proptest::collection::vec((any::<u16>(), fault()), 1..3)) {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("rocksdb");
        copy(&sound().join("rocksdb"), &database);
        for (file, fault) in &faults {
            damage(&database, *file, fault);
        }
        if let Err(error) = check(directory.path()) {
            prop_assert_eq!(error.cure(), Cure::Rebuild, "{}", error);
            prop_assert!(error.to_string().contains(database.to_str().unwrap()), "{}", error);
        }
    }
}

#[test]
fn a_sound_database_is_read_whole() {
    let directory = tempfile::tempdir().unwrap();
    copy(&sound().join("rocksdb"), &directory.path().join("rocksdb"));
    check(directory.path()).unwrap();
    let (offset, _) = read(&*open(directory.path(), "0_0").unwrap()[0]).unwrap();
    assert_eq!(offset, Some(RUNS));
    fs::write(directory.path().join("rocksdb/0.run"), "half").unwrap();
    check(directory.path()).unwrap();
    assert!(!directory.path().join("rocksdb/0.run").exists());
}

/// Kind of a record that is whole, and the bit that makes it one of a recycled log.
const WHOLE: u8 = 1;
const RECYCLED: u8 = 4;

/// A run of [`damage_is_found_or_harmless`] did not end: RocksDB looked at such a record of its MANIFEST for ever.
#[test]
fn a_record_that_rocksdb_would_look_at_for_ever_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("rocksdb");
    copy(&sound().join("rocksdb"), &database);
    let current = fs::read_to_string(database.join("CURRENT")).unwrap();
    let manifest = database.join(current.trim_end());
    let sound = fs::read(&manifest).unwrap();
    let (mut at, mut records) = (0, 0);
    while let Some([_, _, _, _, low, high, kind]) = sound.get(at..at + 7) {
        assert_eq!(*kind, WHOLE);
        let mut damaged = sound.clone();
        damaged[at + 6] |= RECYCLED;
        fs::write(&manifest, damaged).unwrap();
        let error = check(folder.path()).unwrap_err();
        assert_eq!(error.cure(), Cure::Rebuild);
        assert!(error.to_string().contains("a record of a kind that is never written"), "{error}");
        at += 7 + usize::from(u16::from_le_bytes([*low, *high]));
        records += 1;
    }
    assert!(records > 20, "{records}");
    fs::write(&manifest, sound).unwrap();
    check(folder.path()).unwrap();
}

/// The same database under the directory of another task.
#[test]
fn the_rows_of_another_task_are_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    copy(&sound().join("rocksdb"), &directory.path().join("rocksdb"));
    let error = open(directory.path(), "0_1").err().unwrap();
    assert_eq!(error.cure(), Cure::Rebuild);
    assert!(error.to_string().contains("in task 0_0 of application `app`"), "{error}");
}
