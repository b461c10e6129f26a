//! What RocksDB counts where it is told to: the part of `stream-state-metrics` that comes with DEBUG. Times are in microseconds, as Kafka
//! Streams shows them (its documentation says ms).

use super::SensorSpec;
use crate::metrics::{RecordingLevel, Stat};

const fn debug(shown: &'static [(&'static str, &'static str, Stat)]) -> SensorSpec {
    SensorSpec { level: RecordingLevel::Debug, shown }
}

/// Bytes since the last look.
pub(crate) const BYTES_READ: SensorSpec = debug(&[
    ("bytes-read-rate", "Per-second rate of bytes read from RocksDB", Stat::ValueRate),
    ("bytes-read-total", "Count of bytes read from RocksDB", Stat::Total),
]);

/// Bytes since the last look.
pub(crate) const BYTES_WRITTEN: SensorSpec = debug(&[
    ("bytes-written-rate", "Per-second rate of bytes written to RocksDB", Stat::ValueRate),
    ("bytes-written-total", "Count of bytes written to RocksDB", Stat::Total),
]);

/// Bytes since the last look.
pub(crate) const MEMTABLE_BYTES_FLUSHED: SensorSpec = debug(&[
    ("memtable-bytes-flushed-rate", "Per-second rate of bytes flushed from memtables", Stat::ValueRate),
    ("memtable-bytes-flushed-total", "Count of bytes flushed from memtables", Stat::Total),
]);

/// Us, of all flushes until now: average, minimum, maximum.
pub(crate) const MEMTABLE_FLUSH_TIME: [SensorSpec; 3] = [
    debug(&[("memtable-flush-time-avg", "Average of memtable flush time", Stat::Value)]),
    debug(&[("memtable-flush-time-min", "Minimum of memtable flush time", Stat::Value)]),
    debug(&[("memtable-flush-time-max", "Maximum of memtable flush time", Stat::Value)]),
];

/// Hits, of how many lookups.
pub(crate) const MEMTABLE_HIT: SensorSpec =
    debug(&[("memtable-hit-ratio", "Share of reads served by memtables", Stat::Share)]);

/// Hits, of how many lookups.
pub(crate) const BLOCK_CACHE_DATA_HIT: SensorSpec =
    debug(&[("block-cache-data-hit-ratio", "Share of data block reads served from cache", Stat::Share)]);

/// Hits, of how many lookups.
pub(crate) const BLOCK_CACHE_FILTER_HIT: SensorSpec =
    debug(&[("block-cache-filter-hit-ratio", "Share of filter block reads served from cache", Stat::Share)]);

/// Hits, of how many lookups.
pub(crate) const BLOCK_CACHE_INDEX_HIT: SensorSpec =
    debug(&[("block-cache-index-hit-ratio", "Share of index block reads served from cache", Stat::Share)]);

/// Bytes since the last look.
pub(crate) const COMPACTION_BYTES_READ: SensorSpec =
    debug(&[("bytes-read-compaction-rate", "Bytes per second read by compaction", Stat::ValueRate)]);

/// Bytes since the last look.
pub(crate) const COMPACTION_BYTES_WRITTEN: SensorSpec =
    debug(&[("bytes-written-compaction-rate", "Bytes per second written by compaction", Stat::ValueRate)]);

/// Us, of all compactions until now: average, minimum, maximum.
pub(crate) const COMPACTION_TIME: [SensorSpec; 3] = [
    debug(&[("compaction-time-avg", "Average of compaction time", Stat::Value)]),
    debug(&[("compaction-time-min", "Minimum of compaction time", Stat::Value)]),
    debug(&[("compaction-time-max", "Maximum of compaction time", Stat::Value)]),
];

/// Us of the stalls since the last look.
pub(crate) const WRITE_STALL: SensorSpec = debug(&[
    ("write-stall-duration-avg", "Average time writes were stalled", Stat::Avg),
    ("write-stall-duration-total", "Total time writes were stalled", Stat::Total),
]);

/// Files.
pub(crate) const OPEN_FILES: SensorSpec =
    debug(&[("number-open-files", "Files RocksDB holds open", Stat::Value)]);

/// Errors since the last look.
pub(crate) const FILE_ERRORS: SensorSpec =
    debug(&[("number-file-errors-total", "File errors so far", Stat::Total)]);
