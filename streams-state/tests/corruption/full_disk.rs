//! A process that may not write files larger than a limit (`RLIMIT_FSIZE`): the nearest to a full disk without a disk of its
//! own. What it applied is there afterwards, and without the limit it goes on.

use std::path::Path;
use std::process::Command;

use streams_state::error::{Cure, StateError};

use super::{Row, Rows, apply, open, read};

const DIRECTORY: &str = "KSTREAMS_FULL_DISK_TEST_DIRECTORY";
/// What `ulimit -f` is given: blocks of 512 bytes or 1 KiB, as the shell likes. RocksDB's own small files must fit.
const BLOCKS: u32 = 128;

/// The rows of run `number`, which cannot be compressed. Each run is larger than the one before, until one is larger than a
/// file may be.
fn run(number: i64) -> Vec<Row> {
    let mut random = number as u64;
    let mut byte = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as u8
    };
    let length = 100 * number as usize;
    (0..100_u16)
        .map(|key| (key.to_be_bytes().to_vec(), Some((0..length).map(|_| byte()).collect())))
        .collect()
}

/// The rows after `runs` runs.
fn after(runs: i64) -> Rows {
    let rows = if runs == 0 { Vec::new() } else { run(runs) };
    rows.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// Not a test by itself: the process with the limit.
#[test]
fn applies_until_the_disk_is_full() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    let mut engines = open(directory, "0_0").unwrap();
    let engine = &mut engines[0];
    for number in 1.. {
        if let Err(error) = apply(&mut **engine, &run(number), number) {
            assert!(matches!(error, StateError::Directory { .. }), "{error}");
            assert_eq!(error.cure(), Cure::Stop);
            let text = error.to_string();
            let named = text.contains("store `one`") && text.contains(directory.to_str().unwrap());
            assert!(named && text.contains("make room"), "{text}");
            // Reading goes on, and shows what was applied.
            let (offset, rows) = read(&**engine).unwrap();
            assert_eq!(offset.unwrap_or(0), number - 1);
            assert_eq!(rows, after(number - 1));
            println!("full after {}", number - 1);
            return;
        }
    }
}

#[test]
fn a_full_disk_is_an_error_that_leaves_the_state_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    // The signal that the system sends with the error is ignored, as it would end the process.
    let script = format!(
        "trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$0\" --exact {} --nocapture",
        concat!("full_disk::", "applies_until_the_disk_is_full")
    );
    let child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
    let applied: i64 = said
        .lines()
        .find_map(|line| line.split_once("full after ")?.1.trim().parse().ok())
        .unwrap_or_else(|| panic!("{said}"));
    assert!(applied > 0, "not even the first run was applied: {said}");
    let mut engines = open(directory.path(), "0_0").unwrap();
    assert_eq!(read(&*engines[0]).unwrap(), (Some(applied), after(applied)));
    apply(&mut *engines[0], &run(applied + 1), applied + 1).unwrap();
    drop(engines);
    let engines = open(directory.path(), "0_0").unwrap();
    assert_eq!(read(&*engines[0]).unwrap(), (Some(applied + 1), after(applied + 1)));
}
