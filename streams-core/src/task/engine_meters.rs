//! What the engine of a store counts, as metrics: at DEBUG only, because it counts at DEBUG only.
//!
//! In: [`Statistics`] that grow, looked at now and then. Out: what came since the last look, for the sensors. Nothing here asks the engine.

use streams_state::engine::{Durations, Lookups, Statistics};

use crate::metrics::catalogue::statistics;
use crate::metrics::{Batch, Meter, Scope, TaskMetrics};

/// The meters of one store.
pub(super) struct EngineMeters {
    bytes_read: Meter,
    bytes_written: Meter,
    bytes_flushed: Meter,
    compaction_bytes_read: Meter,
    compaction_bytes_written: Meter,
    file_errors: Meter,
    open_files: Meter,
    stalls: Meter,
    /// Average, minimum, maximum.
    flush_time: [Meter; 3],
    compaction_time: [Meter; 3],
    memtable: Meter,
    data_blocks: Meter,
    filter_blocks: Meter,
    index_blocks: Meter,
    /// What the last look saw.
    before: Statistics,
}

impl EngineMeters {
    /// Registers them in the scope of the store.
    pub(super) fn new(metrics: &mut TaskMetrics, scope: &mut Scope) -> Self {
        let mut meter = |spec| metrics.meter(scope, spec);
        Self {
            bytes_read: meter(&statistics::BYTES_READ),
            bytes_written: meter(&statistics::BYTES_WRITTEN),
            bytes_flushed: meter(&statistics::MEMTABLE_BYTES_FLUSHED),
            compaction_bytes_read: meter(&statistics::COMPACTION_BYTES_READ),
            compaction_bytes_written: meter(&statistics::COMPACTION_BYTES_WRITTEN),
            file_errors: meter(&statistics::FILE_ERRORS),
            open_files: meter(&statistics::OPEN_FILES),
            stalls: meter(&statistics::WRITE_STALL),
            flush_time: statistics::MEMTABLE_FLUSH_TIME.each_ref().map(&mut meter),
            compaction_time: statistics::COMPACTION_TIME.each_ref().map(&mut meter),
            memtable: meter(&statistics::MEMTABLE_HIT),
            data_blocks: meter(&statistics::BLOCK_CACHE_DATA_HIT),
            filter_blocks: meter(&statistics::BLOCK_CACHE_FILTER_HIT),
            index_blocks: meter(&statistics::BLOCK_CACHE_INDEX_HIT),
            before: Statistics::default(),
        }
    }

    /// Whether numbers are taken: else the engine need not be asked.
    pub(super) fn records(&self) -> bool {
        self.bytes_read.records()
    }

    /// Takes what came since the last look.
    pub(super) fn look(&mut self, now: Statistics) {
        let before = std::mem::replace(&mut self.before, now);
        let amounts = [
            (&self.bytes_read, now.bytes_read, before.bytes_read),
            (&self.bytes_written, now.bytes_written, before.bytes_written),
            (&self.bytes_flushed, now.bytes_flushed, before.bytes_flushed),
            (&self.compaction_bytes_read, now.compaction_bytes_read, before.compaction_bytes_read),
            (&self.compaction_bytes_written, now.compaction_bytes_written, before.compaction_bytes_written),
            (&self.file_errors, now.file_errors, before.file_errors),
        ];
        for (meter, now, before) in amounts {
            meter.add(now.saturating_sub(before) as f64);
        }
        let lookups = [
            (&self.memtable, now.memtable, before.memtable),
            (&self.data_blocks, now.data_blocks, before.data_blocks),
            (&self.filter_blocks, now.filter_blocks, before.filter_blocks),
            (&self.index_blocks, now.index_blocks, before.index_blocks),
        ];
        for (meter, now, before) in lookups {
            share(meter, now, before);
        }
        self.open_files.set(now.open_files as f64);
        ever(&self.flush_time, now.flushes);
        ever(&self.compaction_time, now.compactions);
        self.stalls.merge(Batch {
            count: now.stalls.count.saturating_sub(before.stalls.count),
            sum: now.stalls.sum_us.saturating_sub(before.stalls.sum_us) as f64,
            ..Batch::default()
        });
    }
}

fn share(meter: &Meter, now: Lookups, before: Lookups) {
    let hits = now.hits.saturating_sub(before.hits);
    meter.share(hits, hits + now.misses.saturating_sub(before.misses));
}

/// Average, minimum and maximum of all that there were: 0 while there was none.
fn ever(meters: &[Meter; 3], durations: Durations) {
    let average = durations.sum_us as f64 / durations.count.max(1) as f64;
    for (meter, us) in meters.iter().zip([average, durations.min_us as f64, durations.max_us as f64]) {
        meter.set(us);
    }
}
