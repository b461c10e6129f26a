//! A process that applies runs to RocksDB is killed (SIGKILL) at any point, again and again. What it leaves must be
//! exactly the state after some run, together with the offset of that run, and no run that returned may be lost.
#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::process::{Command, Stdio};

use streams_state::engine::{Engine, EngineProvider, RocksDbProvider};

const DIRECTORY: &str = "KSTREAMS_KILL_TEST_DIRECTORY";
const APPLIED: &str = "applied ";

type Row = (Vec<u8>, Option<Vec<u8>>);

/// The rows of run `number`: sorted, without duplicates, every fifth a deletion.
fn run(number: i64) -> Vec<Row> {
    let mut rows = BTreeMap::new();
    let mut random = number as u64;
    for _ in 0..300 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = ((random >> 33) % 1000) as u16;
        let value = !(random >> 40).is_multiple_of(5);
        rows.insert(key.to_be_bytes().to_vec(), value.then(|| number.to_be_bytes().repeat(4)));
    }
    rows.into_iter().collect()
}

fn open(directory: &Path) -> Box<dyn Engine> {
    RocksDbProvider::new(8 << 20).open(directory, &["s"]).unwrap().remove(0)
}

/// Not a test by itself: the process that is killed.
#[test]
fn applies_until_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let mut engine = open(Path::new(&directory));
    let mut next = engine.offset().unwrap().unwrap_or(0);
    loop {
        let rows = run(next);
        next += 1;
        let mut entries = rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        engine.apply(&mut entries, Some(next)).unwrap();
        println!("{APPLIED}{next}");
    }
}

/// Starts the process, waits for `runs` runs, kills it. Returns the last run that it said was applied.
fn kill_after(directory: &Path, runs: usize) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "applies_until_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let number = |line: &str| line.rsplit_once(APPLIED).and_then(|(_, number)| number.parse::<i64>().ok());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let seen = lines.by_ref().filter_map(|line| number(&line)).nth(runs).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    lines.filter_map(|line| number(&line)).last().unwrap_or(seen)
}

#[test]
fn a_killed_process_leaves_whole_runs_with_their_offset() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut reached = 0;
    for round in 0..12 {
        let said = kill_after(directory.path(), round * 7 % 10);
        let engine = open(directory.path());
        let offset = engine.offset().unwrap().unwrap();
        assert!(offset >= said, "run {said} was applied and is lost: {offset}");
        for number in reached..offset {
            for (key, value) in run(number) {
                match value {
                    Some(value) => expected.insert(key, value),
                    None => expected.remove(&key),
                };
            }
        }
        reached = offset;
        let mut found = BTreeMap::new();
        let mut collect = |key: &[u8], value: &[u8]| {
            found.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        };
        engine.scan(Bound::Unbounded, Bound::Unbounded, &mut collect).unwrap();
        assert_eq!(found, expected, "after the runs up to {offset}");
    }
}
