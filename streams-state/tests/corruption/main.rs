//! What becomes of a database whose files are damaged, or whose disk is full. Random damage to any file gives, once
//! everything was read, either exactly the rows that belong to the offset, or [`StateError::Corrupt`]: never other rows,
//! never a panic. A full disk gives an error that says so, and leaves the state as it was.
#![cfg(feature = "rocksdb")]
#![allow(clippy::unwrap_used)]

mod damage;
#[cfg(unix)]
mod full_disk;
mod layout;
mod places;

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use streams_state::engine::identity::claim;
use streams_state::engine::{Engine, EngineProvider, Identity, RocksDbProvider};
use streams_state::error::StateError;

pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
pub(crate) type Row = (Vec<u8>, Option<Vec<u8>>);

pub(crate) const STORES: [&str; 2] = ["one", "two"];

/// The rows of run `number`: sorted, without duplicates, every fifth a deletion.
pub(crate) fn run(number: i64, rows: usize) -> Vec<Row> {
    let mut run = BTreeMap::new();
    let mut random = number as u64;
    for _ in 0..rows {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = ((random >> 33) % 1000) as u16;
        let value = !(random >> 40).is_multiple_of(5);
        run.insert(key.to_be_bytes().to_vec(), value.then(|| random.to_be_bytes().repeat(6)));
    }
    run.into_iter().collect()
}

pub(crate) fn apply(engine: &mut dyn Engine, rows: &[Row], offset: i64) -> Result<(), StateError> {
    let mut entries = rows.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
    engine.apply(&mut entries, Some(offset))
}

/// The rows after `runs` runs.
pub(crate) fn rows_after(runs: i64, rows: usize) -> Rows {
    let mut expected = Rows::new();
    for (key, value) in (1..=runs).flat_map(|number| run(number, rows)) {
        match value {
            Some(value) => expected.insert(key, value),
            None => expected.remove(&key),
        };
    }
    expected
}

/// The engines of a task, claimed for it.
pub(crate) fn open(directory: &Path, task: &str) -> Result<Vec<Box<dyn Engine>>, StateError> {
    let mut engines = RocksDbProvider::new(8 << 20).open(directory, &STORES)?;
    for (engine, store) in engines.iter_mut().zip(STORES) {
        claim(&mut **engine, Identity::new("app", task, store), directory)?;
    }
    Ok(engines)
}

/// Offset and rows; reads each row by scan and by key.
pub(crate) fn read(engine: &dyn Engine) -> Result<(Option<i64>, Rows), StateError> {
    let mut rows = Rows::new();
    let mut collect = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    engine.scan(Bound::Unbounded, Bound::Unbounded, &mut collect)?;
    let mut found = Vec::new();
    for key in 0..1000_u16 {
        let there = engine.get(&key.to_be_bytes(), &mut found)?;
        let scanned = rows.get(key.to_be_bytes().as_slice());
        assert_eq!(there.then_some(&found), scanned, "get and scan differ at {key}");
    }
    Ok((engine.offset()?, rows))
}
