//! What stores hold and do, what RocksDB says of itself: `stream-state-metrics`; and of record caches: `stream-record-cache-metrics`.

use streams_state::store::StoreOperation;

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

/// Operations, and the sensor of each.
pub(crate) type OperationSpecs = &'static [(StoreOperation, SensorSpec)];

/// Ns of one operation.
macro_rules! operation {
    ($name:literal, $what:literal) => {
        SensorSpec {
            level: RecordingLevel::Debug,
            shown: &[
                (concat!($name, "-latency-avg"), concat!("Average time of ", $what), Stat::Avg),
                (concat!($name, "-latency-max"), concat!("Longest time of ", $what), Stat::Max),
                (concat!($name, "-rate"), concat!("Per-second rate of ", $what), Stat::Rate),
            ],
        }
    };
}

/// Of each store.
pub(crate) const OPERATIONS: OperationSpecs = &[
    (StoreOperation::Put, operation!("put", "store writes")),
    (StoreOperation::Flush, operation!("flush", "store flushes")),
    (StoreOperation::Commit, operation!("commit", "commits")),
    (StoreOperation::Restore, operation!("restore", "restore calls or records")),
];

/// Of key-value stores, versioned ones too, beside [`OPERATIONS`].
pub(crate) const KEY_VALUE_OPERATIONS: OperationSpecs = &[
    (StoreOperation::Get, operation!("get", "single key lookups")),
    (StoreOperation::PutIfAbsent, operation!("put-if-absent", "conditional writes")),
    (StoreOperation::Delete, operation!("delete", "store deletes")),
    (StoreOperation::All, operation!("all", "full store scans")),
    (StoreOperation::Range, operation!("range", "range reads")),
    (StoreOperation::PrefixScan, operation!("prefix-scan", "prefix scans")),
];

/// Of key-value stores, whose face has no such call: always 0.
pub(crate) const PUT_ALL: SensorSpec = operation!("put-all", "batch writes");

/// Of window stores, beside [`OPERATIONS`].
pub(crate) const WINDOW_OPERATIONS: OperationSpecs =
    &[(StoreOperation::Fetch, operation!("fetch", "windowed or session lookups"))];

/// Of session stores, beside [`OPERATIONS`].
pub(crate) const SESSION_OPERATIONS: OperationSpecs = &[
    (StoreOperation::Fetch, operation!("fetch", "windowed or session lookups")),
    (StoreOperation::Remove, operation!("remove", "session removals")),
];

/// Ns of a visit of many rows.
pub(crate) const ITERATOR_DURATION: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("iterator-duration-avg", "Average of time iterators stay open", Stat::Avg),
        ("iterator-duration-max", "Maximum of time iterators stay open", Stat::Max),
    ],
};

/// Ms from the time of a record to the wall clock, when a row is put.
pub(crate) const E2E_LATENCY: SensorSpec =
    SensorSpec { level: RecordingLevel::Trace, shown: super::node::E2E_LATENCY.shown };

/// Group of record caches.
pub(crate) const CACHE_GROUP: &str = "stream-record-cache-metrics";

/// What part of the reads was a hit, at each that was.
pub(crate) const HIT_RATIO: SensorSpec = SensorSpec {
    level: RecordingLevel::Debug,
    shown: &[
        ("hit-ratio-avg", "Average of record cache hits per read", Stat::Avg),
        ("hit-ratio-min", "Minimum of record cache hits per read", Stat::Min),
        ("hit-ratio-max", "Maximum of record cache hits per read", Stat::Max),
    ],
};
