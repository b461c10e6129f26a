//! What it costs that RocksDB counts: two copies of the same files, one of them opened with statistics, asked in turns by the same store. So a
//! machine that gets slower or quicker meanwhile is so for both.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use cpu_time::ThreadTime;
use streams_state::engine::{EngineProvider, RocksDbProvider};
use streams_state::serdes::Auto;
use streams_state::store::{KeyValueOptions, KeyValueStore, StateStore};
use streams_state::types::RecordContext;

type Counts = KeyValueStore<String, i64>;

/// Operations of a turn.
const TURN: u64 = 10_000;
/// Turns of each of the two.
const TURNS: u64 = 31;
/// Memory of the databases, and of the tier of the store: nearly each row has to come from RocksDB.
const CACHE_BYTES: u64 = 32 << 20;
const TIER_BYTES: u64 = 2 << 20;

/// Prints a line for each operation: ns of CPU of the thread without statistics and with them, medians of the turns, and the median of
/// their ratios.
pub(crate) fn statistics(keys: u64) {
    println!("\nstatistics, {keys} keys\n{:46} off ns   on ns   ratio", "");
    let root = tempfile::tempdir().unwrap();
    let paths = [root.path().join("off"), root.path().join("on")];
    load(&paths, keys);
    let provider = || RocksDbProvider::new(CACHE_BYTES);
    let [off, on] = [(provider(), &paths[0]), (provider().with_statistics(ns), &paths[1])]
        .map(|(provider, path)| store(&provider, path));
    let mut stores = [off, on];
    assert_eq!(stores.each_ref().map(|store| store.engine_statistics().is_some()), [false, true]);

    let key = |number: u64| format!("key-{:07}", number.wrapping_mul(2_654_435_761) % keys);
    in_turns(&mut stores, "get of a row", |store, number| {
        assert!(store.get(&key(number)).unwrap().is_some());
    });
    in_turns(&mut stores, "get of an absent key", |store, number| {
        assert!(store.get(&(key(number) + "-")).unwrap().is_none());
    });
    in_turns(&mut stores, "update of a row, its commit and its flush", |store, number| {
        let add = |row: &mut Option<(i64, i64)>| {
            if let Some((count, _)) = row {
                *count += 1;
            }
        };
        store.update(&key(number), &RecordContext::none(1), add).unwrap();
        if number % TURN == TURN - 1 {
            store.drain_changelog(&mut |_| Ok(())).unwrap();
            store.committed(Some(1));
            store.flush().unwrap();
        }
    });
}

/// `keys` rows, in runs as flushes write them, in two places.
fn load(paths: &[std::path::PathBuf; 2], keys: u64) {
    let provider = RocksDbProvider::new(CACHE_BYTES);
    let mut engine = provider.open(&paths[0], &["counts"]).unwrap().remove(0);
    let runs = 10;
    for run in 0..runs {
        let rows: Vec<String> =
            (run..keys).step_by(runs as usize).map(|number| format!("key-{number:07}")).collect();
        let mut entries = rows.iter().map(|key| (key.as_bytes(), Some(&[0; 16][..])));
        engine.apply(&mut entries, Some(1)).unwrap();
    }
    engine.files().unwrap().checkpoint(&paths[1]).unwrap();
}

fn store(provider: &RocksDbProvider, path: &Path) -> Counts {
    let engine = provider.open(path, &["counts"]).unwrap().remove(0);
    let options = KeyValueOptions {
        name: "counts".into(),
        timestamped: true,
        caching: false,
        logging: true,
        tier_max_bytes: TIER_BYTES,
    };
    KeyValueStore::new(options, engine, Arc::new(Auto), Arc::new(Auto)).unwrap()
}

/// Does `work`, which is given a number that grows, with both stores in turns.
fn in_turns(stores: &mut [Counts; 2], name: &str, work: impl Fn(&mut Counts, u64)) {
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let mut one = |index: usize| {
            let began = ThreadTime::now();
            (turn * TURN..(turn + 1) * TURN).for_each(|number| work(&mut stores[index], number));
            began.elapsed().as_secs_f64() * 1e9 / TURN as f64
        };
        // Who comes first has cold caches.
        turns.push(if turn % 2 == 0 {
            (one(0), one(1))
        } else {
            let on = one(1);
            (one(0), on)
        });
    }
    let [off, on, ratio] = [
        median(turns.iter().map(|(off, _)| *off)),
        median(turns.iter().map(|(_, on)| *on)),
        median(turns.iter().map(|(off, on)| on / off)),
    ];
    println!("{name:46} {off:>6.0} {on:>7.0} {ratio:>7.2}");
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn ns() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed().as_nanos() as u64
}
