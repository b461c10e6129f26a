//! What RocksDB counts, as metrics of a task that runs, in virtual time and with a clock of a ms for each look at it. Can be caught: a number
//! in the wrong metric, store or task; one that is added again at each look; numbers below DEBUG.

use std::cell::Cell;
use std::sync::Arc;

use streams_state::engine::RocksDbProvider;

use super::world::{World, word_count};
use crate::metrics::{Metric, RecordingLevel};

thread_local! {
    static LOOKS: Cell<u64> = const { Cell::new(0) };
}

/// A ms passes between two looks of a thread.
fn ticking() -> u64 {
    LOOKS.set(LOOKS.get() + 1);
    LOOKS.get() * 1_000_000
}

/// All metrics of RocksDB's store of the word count, 25 s after the last of 1,500 words came.
fn metrics_at(level: RecordingLevel) -> Vec<Metric> {
    let world = World::new(1);
    let mut config = world.config("one");
    config.metrics.recording_level = level;
    let engines = RocksDbProvider::new(16 << 20);
    let engines = if level == RecordingLevel::Info { engines } else { engines.with_statistics(ticking) };
    let mut instance = world.instance_with(word_count(), config, Arc::new(engines)).unwrap();
    for line in 0..500 {
        world.line(&format!("a{line} b{line} c{line}"));
    }
    world.run_until_drained(&mut [&mut instance]);
    for _ in 0..2_500 {
        world.turn(&mut [&mut instance]).unwrap();
    }
    let all = instance.threads[0].shared.registry.snapshot(world.now());
    let of_store = |metric: &Metric| metric.name.tag("rocksdb-state-id") == Some("count-store");
    all.into_iter().filter(of_store).collect()
}

fn number(metrics: &[Metric], name: &str) -> f64 {
    let metric =
        metrics.iter().find(|metric| metric.name.name == name).unwrap_or_else(|| panic!("no {name}"));
    assert_eq!(metric.name.tag("task-id"), Some("1_0"));
    metric.value.number().unwrap()
}

#[test]
fn a_store_shows_what_its_engine_has_done() {
    let metrics = metrics_at(RecordingLevel::Debug);
    let number = |name: &str| number(&metrics, name);
    // 1,500 words of two to four letters, each with eight bytes of time and eight of the count.
    let keys: usize = (0..500).map(|line| 3 * (1 + line.to_string().len())).sum();
    assert_eq!(number("bytes-written-total"), (keys + 1_500 * 16) as f64);
    let flushed = number("memtable-bytes-flushed-total");
    assert_eq!(flushed, number("live-sst-files-size"));
    assert!(flushed > 1_000.0 && number("number-open-files") >= 1.0, "{flushed}");
    let times = ["avg", "min", "max"].map(|kind| number(&format!("memtable-flush-time-{kind}")));
    assert_eq!(times, [1_000.0; 3]);
    for kind in ["data", "filter", "index"] {
        let ratio = number(&format!("block-cache-{kind}-hit-ratio"));
        assert!((0.0..=1.0).contains(&ratio), "{kind}: {ratio}");
    }
    assert_eq!((number("number-file-errors-total"), number("memtable-hit-ratio")), (0.0, 0.0));
    assert_eq!(number("write-stall-duration-total"), 0.0);
}

#[test]
fn nothing_of_it_is_recorded_at_info() {
    let metrics = metrics_at(RecordingLevel::Info);
    assert!(number(&metrics, "live-sst-files-size") > 1_000.0);
    assert_eq!(number(&metrics, "memtable-bytes-flushed-total"), 0.0);
    let metric = metrics.iter().find(|metric| metric.name.name == "bytes-read-total").unwrap();
    assert_eq!((metric.level, metric.recorded), (Some(RecordingLevel::Debug), false));
}
