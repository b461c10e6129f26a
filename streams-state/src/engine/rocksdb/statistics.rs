//! What a database did, and for which of its stores: RocksDB counts for the database as a whole, we count what passes by here.
//!
//! In: calls of the stores' engines, on any thread, and RocksDB's own statistics. Out: [`Statistics`] of one store. Nothing is counted
//! that was not asked for: a database without statistics has none of this.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocksdb::Options;
use rocksdb::statistics::{Histogram, Ticker};

use crate::engine::{Durations, Lookups, Statistics};

/// Ns since any moment, never going back.
pub(super) type Clock = fn() -> u64;

/// What is counted of one store.
#[derive(Default)]
struct StoreCounters {
    bytes_read: AtomicU64,
    file_errors: AtomicU64,
    /// What changes with a run or a look: all but what is above.
    seldom: Mutex<Statistics>,
}

/// Statistics of a database and its stores.
struct DatabaseStatistics {
    /// With these the database was opened: RocksDB's statistics are found by them.
    options: Options,
    clock: Clock,
    stores: Vec<Arc<StoreCounters>>,
    /// Bytes that compactions read and wrote, as far as the stores have their parts.
    shared_out: Mutex<[u64; 2]>,
}

/// One store's view of them.
#[derive(Clone)]
pub(super) struct StoreStatistics {
    database: Arc<DatabaseStatistics>,
    own: Arc<StoreCounters>,
}

/// A run that was written.
pub(super) struct Written {
    /// Of keys and values.
    pub(super) row_bytes: u64,
    /// Of the file.
    pub(super) file_bytes: u64,
}

impl StoreStatistics {
    /// Those of `stores` stores, in their order, of a database that was opened with `options`.
    pub(super) fn of(options: Options, clock: Clock, stores: usize) -> Vec<Self> {
        let counters: Vec<Arc<StoreCounters>> = (0..stores).map(|_| Arc::default()).collect();
        let database =
            DatabaseStatistics { options, clock, stores: counters.clone(), shared_out: Mutex::default() };
        let database = Arc::new(database);
        counters.into_iter().map(|own| Self { database: database.clone(), own }).collect()
    }

    /// The moment, to be given to [`flushed`](Self::flushed).
    pub(super) fn now(&self) -> u64 {
        (self.database.clock)()
    }

    pub(super) fn read(&self, bytes: usize) {
        self.own.bytes_read.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn file_error(&self) {
        self.own.file_errors.fetch_add(1, Relaxed);
    }

    /// A run, whose writing began at `began`, is in the database.
    pub(super) fn flushed(&self, run: &Written, began: u64) {
        let us = self.now().saturating_sub(began) / 1000;
        let mut seldom = lock(&self.own.seldom);
        seldom.bytes_written += run.row_bytes;
        seldom.bytes_flushed += run.file_bytes;
        seldom.flushes.add(us);
    }

    /// Us that RocksDB has held writes up, in the database: the same before and after a write that it did not hold up.
    pub(super) fn held_up(&self) -> u64 {
        self.database.options.get_ticker_count(Ticker::StallMicros)
    }

    /// A write of the store came when writes had been [held up](Self::held_up) for `before`.
    pub(super) fn stalled(&self, before: u64) {
        let us = self.held_up().saturating_sub(before);
        if us > 0 {
            lock(&self.own.seldom).stalls.add(us);
        }
    }

    /// All but the number of files.
    pub(super) fn statistics(&self) -> Statistics {
        let database = &*self.database;
        database.share_out();
        let count = |ticker| database.options.get_ticker_count(ticker);
        let lookups = |hits, misses| Lookups { hits: count(hits), misses: count(misses) };
        Statistics {
            bytes_read: self.own.bytes_read.load(Relaxed),
            file_errors: self.own.file_errors.load(Relaxed),
            memtable: lookups(Ticker::MemtableHit, Ticker::MemtableMiss),
            data_blocks: lookups(Ticker::BlockCacheDataHit, Ticker::BlockCacheDataMiss),
            filter_blocks: lookups(Ticker::BlockCacheFilterHit, Ticker::BlockCacheFilterMiss),
            index_blocks: lookups(Ticker::BlockCacheIndexHit, Ticker::BlockCacheIndexMiss),
            compactions: database.durations(Histogram::CompactionTime),
            ..*lock(&self.own.seldom)
        }
    }
}

impl DatabaseStatistics {
    /// Gives each store its part of what compactions read and wrote since the last look, by the bytes that it has flushed. RocksDB does not
    /// say whose rows a compaction moved; what has been flushed is what has to be moved.
    fn share_out(&self) {
        let mut shared_out = lock(&self.shared_out);
        let now = [Ticker::CompactReadBytes, Ticker::CompactWriteBytes];
        let [read_now, written_now] = now.map(|ticker| self.options.get_ticker_count(ticker));
        let [read_before, written_before] = std::mem::replace(&mut *shared_out, [read_now, written_now]);
        let read = read_now.saturating_sub(read_before);
        let written = written_now.saturating_sub(written_before);
        // Rows of an earlier run of the application may be all there is.
        let weight = |store: &Arc<StoreCounters>| lock(&store.seldom).bytes_flushed.saturating_add(1);
        let weights: Vec<u64> = self.stores.iter().map(weight).collect();
        for ((store, read), written) in
            self.stores.iter().zip(parts(read, &weights)).zip(parts(written, &weights))
        {
            let mut seldom = lock(&store.seldom);
            seldom.compaction_bytes_read += read;
            seldom.compaction_bytes_written += written;
        }
    }

    fn durations(&self, histogram: Histogram) -> Durations {
        let data = self.options.get_histogram_data(histogram);
        match data.count() {
            // Its minimum of nothing is a great number.
            0 => Durations::default(),
            count => {
                Durations { count, sum_us: data.sum(), min_us: data.min() as u64, max_us: data.max() as u64 }
            }
        }
    }
}

/// `whole` in parts by `weights`, which add up to it.
fn parts(whole: u64, weights: &[u64]) -> impl Iterator<Item = u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut before = 0;
    weights.iter().scan(0, move |weight_before, weight| {
        *weight_before += u128::from(*weight);
        let until = u128::from(whole) * *weight_before / sum.max(1);
        let part = until - before;
        before = until;
        Some(part as u64)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rocksdb::Db;

    #[test]
    fn parts_add_up_to_the_whole() {
        let split = |whole, weights: &[u64]| parts(whole, weights).collect::<Vec<_>>();
        assert_eq!(split(100, &[1, 1, 2]), [25, 25, 50]);
        assert_eq!(split(10, &[1, 1, 1]), [3, 3, 4]);
        let half = u64::MAX / 2;
        assert_eq!(split(u64::MAX, &[half, half]), [half, half + 1]);
        assert_eq!(split(7, &[0, 5]), [0, 7]);
    }

    #[test]
    fn bytes_of_compactions_are_shared_out_once_by_what_was_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.create_if_missing(true);
        options.enable_statistics();
        let db = Db::open(&options, directory.path()).unwrap();
        let stores = StoreStatistics::of(options, || 0, 2);
        let mut before = [0, 0];
        // Until now the first one has flushed three times as much; then both the same.
        for (flushed, part) in [([30_000, 10_000], 0.75), ([10_000, 30_000], 0.5)] {
            for (store, file_bytes) in stores.iter().zip(flushed) {
                store.flushed(&Written { row_bytes: 0, file_bytes }, 0);
            }
            for value in [[1; 1_000], [2; 1_000]] {
                (0..100_u8).for_each(|key| db.put([key], value).unwrap());
                db.flush().unwrap();
            }
            db.compact_range(None::<&[u8]>, None::<&[u8]>);
            // The second look finds nothing new.
            let looks = [(); 2].map(|()| stores.iter().map(|store| store.statistics()).collect::<Vec<_>>());
            assert_eq!(looks[0], looks[1]);
            let written = [0, 1].map(|store| looks[1][store].compaction_bytes_written);
            let all = stores[0].database.options.get_ticker_count(Ticker::CompactWriteBytes);
            assert_eq!(written[0] + written[1], all);
            let new = [written[0] - before[0], written[1] - before[1]];
            let share = new[0] as f64 / (new[0] + new[1]) as f64;
            assert!(new[0] > 0 && (share - part).abs() < 0.01, "{new:?}");
            before = written;
        }
    }
}
