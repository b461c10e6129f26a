//! What stores hold, and what RocksDB says of itself: `stream-state-metrics`.

use super::{GaugeSpec, SensorSpec};
use crate::metrics::{RecordingLevel, Stat};

/// Its group.
pub(crate) const GROUP: &str = "stream-state-metrics";

pub(crate) const NUM_KEYS: GaugeSpec = ("num-keys", "Keys in the in-memory store");

pub(crate) const NUM_OPEN_ITERATORS: GaugeSpec = ("num-open-iterators", "Iterators not yet closed");

pub(crate) const OLDEST_ITERATOR_OPEN_SINCE_MS: GaugeSpec =
    ("oldest-iterator-open-since-ms", "Open time of the oldest unclosed iterator");

/// What RocksDB says of itself, under its own names.
pub(crate) const PROPERTIES: [GaugeSpec; 22] = [
    ("background-errors", "RocksDB background errors so far"),
    ("block-cache-capacity", "Size limit of the block cache"),
    ("block-cache-pinned-usage", "Block cache bytes that are pinned"),
    ("block-cache-usage", "Block cache bytes in use"),
    ("compaction-pending", "1 while a compaction waits"),
    ("cur-size-active-mem-table", "Bytes in the active memtable"),
    ("cur-size-all-mem-tables", "Bytes in active and unflushed memtables"),
    ("estimate-num-keys", "Estimated number of keys"),
    ("estimate-pending-compaction-bytes", "Estimated bytes that compaction must rewrite"),
    ("estimate-table-readers-mem", "Estimated memory of table readers"),
    ("live-sst-files-size", "Bytes of current SST files"),
    ("mem-table-flush-pending", "1 while a memtable flush waits"),
    ("num-deletes-active-mem-table", "Delete entries in the active memtable"),
    ("num-deletes-imm-mem-tables", "Delete entries in unflushed memtables"),
    ("num-entries-active-mem-table", "Entries in the active memtable"),
    ("num-entries-imm-mem-tables", "Entries in unflushed memtables"),
    ("num-immutable-mem-table", "Memtables waiting for a flush"),
    ("num-live-versions", "Live versions of the RocksDB file set"),
    ("num-running-compactions", "Compactions running now"),
    ("num-running-flushes", "Flushes running now"),
    ("size-all-mem-tables", "Bytes in all memtables including pinned ones"),
    ("total-sst-files-size", "Bytes of all SST files"),
];

/// Records in the buffer after each change.
pub(crate) const SUPPRESSION_BUFFER_COUNT: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("suppression-buffer-count-avg", "Average of records in the suppression buffer", Stat::Avg),
        ("suppression-buffer-count-max", "Maximum of records in the suppression buffer", Stat::Max),
    ],
};

/// Bytes in the buffer after each change.
pub(crate) const SUPPRESSION_BUFFER_SIZE: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("suppression-buffer-size-avg", "Average of bytes in the suppression buffer", Stat::Avg),
        ("suppression-buffer-size-max", "Maximum of bytes in the suppression buffer", Stat::Max),
    ],
};
