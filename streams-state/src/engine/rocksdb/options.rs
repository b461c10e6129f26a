//! RocksDB's settings: one memory budget for all databases of a process, files that are written once, in order.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompactionStyle, DBCompressionType, DataBlockIndexType,
    IngestExternalFileOptions, LogLevel, Options, WriteBufferManager,
};

/// Memtables hold nothing but range deletions.
const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Threads for flushes and compactions of the whole process.
const BACKGROUND_JOBS: i32 = 2;
/// Memory of a Bloom filter; a ribbon filter that is as good needs 30 % less. One absent key in thirty is looked for in vain.
const FILTER_BITS_PER_KEY: f64 = 7.0;
const BLOCK_BYTES: usize = 8 << 10;
/// A piece of an index or a filter. In one piece, the filter of a large file would not fit into a shard of the cache, and each
/// lookup would read all of it again.
const METADATA_BLOCK_BYTES: usize = 4 << 10;
/// What a compaction reads ahead, of each of its files: RocksDB's 2 MiB are no faster here, and come on top of all budgets.
const COMPACTION_READAHEAD_BYTES: usize = 128 << 10;
/// RocksDB's own log files, each.
const INFO_LOG_BYTES: usize = 1 << 20;

/// What all databases of a provider share.
pub(super) struct Shared {
    cache: Cache,
    write_buffers: WriteBufferManager,
}

impl Shared {
    /// `memory_bytes` bounds blocks, indexes, filters and memtables together.
    pub(super) fn new(memory_bytes: usize) -> Self {
        let cache = Cache::new_lru_cache(memory_bytes);
        let write_buffers =
            WriteBufferManager::new_write_buffer_manager_with_cache(memory_bytes / 4, false, cache.clone());
        Self { cache, write_buffers }
    }

    /// Options of a database.
    pub(super) fn database(&self) -> Options {
        let mut options = self.family();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(INFO_LOG_BYTES);
        options.set_compaction_readahead_size(COMPACTION_READAHEAD_BYTES);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_skip_stats_update_on_db_open(true);
        options
    }

    /// Options of a column family. Files that compactions write have the filters that need least memory.
    pub(super) fn family(&self) -> Options {
        self.files(|table| table.set_ribbon_filter(FILTER_BITS_PER_KEY))
    }

    /// Options of the files that are ingested. The next compaction writes their rows anew, so filters that are soon made: a flush
    /// takes a fifth less.
    pub(super) fn run(&self) -> Options {
        self.files(|table| table.set_bloom_filter(FILTER_BITS_PER_KEY, false))
    }

    fn files(&self, set_filter: impl FnOnce(&mut BlockBasedOptions)) -> Options {
        let mut table = self.table();
        set_filter(&mut table);
        let mut options = Options::default();
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_write_buffer_number(2);
        options.set_compaction_style(DBCompactionStyle::Universal);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_block_based_table_factory(&table);
        options
    }

    fn table(&self) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_block_size(BLOCK_BYTES);
        table.set_partition_filters(true);
        table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        table.set_metadata_block_size(METADATA_BLOCK_BYTES);
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_top_level_index_and_filter(true);
        table
    }
}

/// Takes the file over instead of copying it.
pub(super) fn ingestion() -> IngestExternalFileOptions {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    options.set_snapshot_consistency(false);
    options
}
