//! Settings of RocksDB that are compared, and a database opened with them.

use std::path::Path;
use std::time::Instant;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompactionStyle, DBCompressionType,
    DataBlockIndexType, IngestExternalFileOptions, Options, SstFileWriter, WaitForCompactOptions, WriteBatch,
    WriteOptions,
};

/// How a sorted run reaches the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// Written as an SST file, which the database takes over.
    Ingest,
    /// A write batch without write-ahead log, into memtables of 16 MiB.
    Batch,
}

/// What may differ. The default is what `RocksDbProvider` sets.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) write: Write,
    pub(crate) lz4: bool,
    pub(crate) block_kib: usize,
    /// Index and filter in pieces of 4 KiB, each of which is in the cache by itself.
    pub(crate) partitioned: bool,
    pub(crate) ribbon: bool,
    pub(crate) filter_bits: f64,
    pub(crate) leveled: bool,
    pub(crate) readahead_kib: usize,
    pub(crate) hyper_clock: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            write: Write::Ingest,
            lz4: true,
            block_kib: 8,
            partitioned: true,
            ribbon: true,
            filter_bits: 7.0,
            leveled: false,
            readahead_kib: 128,
            hyper_clock: false,
        }
    }
}

impl Layout {
    pub(crate) fn cache(&self, bytes: usize) -> Cache {
        match self.hyper_clock {
            true => Cache::new_hyper_clock_cache(bytes, 0),
            false => Cache::new_lru_cache(bytes),
        }
    }

    fn table(&self, cache: &Cache) -> BlockBasedOptions {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(cache);
        table.set_block_size(self.block_kib << 10);
        match self.ribbon {
            true => table.set_ribbon_filter(self.filter_bits),
            false => table.set_bloom_filter(self.filter_bits, false),
        }
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        table.set_cache_index_and_filter_blocks(true);
        match self.partitioned {
            false => table.set_pin_l0_filter_and_index_blocks_in_cache(true),
            true => {
                table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
                table.set_partition_filters(true);
                table.set_metadata_block_size(4 << 10);
                table.set_pin_top_level_index_and_filter(true);
            }
        }
        table
    }

    fn options(&self, cache: &Cache) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_max_background_jobs(2);
        options.set_write_buffer_size(if self.write == Write::Batch { 16 << 20 } else { 1 << 20 });
        options.set_max_write_buffer_number(if self.write == Write::Batch { 3 } else { 2 });
        options.set_compaction_style(match self.leveled {
            true => DBCompactionStyle::Level,
            false => DBCompactionStyle::Universal,
        });
        options.set_compression_type(if self.lz4 { DBCompressionType::Lz4 } else { DBCompressionType::None });
        options.set_compaction_readahead_size(self.readahead_kib << 10);
        options.set_stats_dump_period_sec(0);
        options.set_stats_persist_period_sec(0);
        options.set_block_based_table_factory(&self.table(cache));
        options
    }
}

/// A database, and how it is written.
pub(crate) struct Database {
    db: DB,
    options: Options,
    write: Write,
    run_path: std::path::PathBuf,
}

impl Database {
    pub(crate) fn open(layout: &Layout, cache: &Cache, path: &Path) -> Self {
        let options = layout.options(cache);
        let db = DB::open(&options, path).unwrap();
        Self { db, options, write: layout.write, run_path: path.join("0.run") }
    }

    /// Writes a sorted run; returns how many ms it took.
    pub(crate) fn apply<'a>(&self, rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> f64 {
        let began = Instant::now();
        match self.write {
            Write::Ingest => {
                let mut writer = SstFileWriter::create(&self.options);
                writer.open(&self.run_path).unwrap();
                for (key, value) in rows {
                    writer.put(key, value).unwrap();
                }
                writer.finish().unwrap();
                let mut options = IngestExternalFileOptions::default();
                options.set_move_files(true);
                options.set_snapshot_consistency(false);
                self.db.ingest_external_file_opts(&options, vec![&self.run_path]).unwrap();
            }
            Write::Batch => {
                let mut batch = WriteBatch::default();
                rows.for_each(|(key, value)| batch.put(key, value));
                let mut options = WriteOptions::default();
                options.disable_wal(true);
                self.db.write_opt(batch, &options).unwrap();
            }
        }
        began.elapsed().as_secs_f64() * 1e3
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        self.db.get_pinned(key).unwrap().is_some()
    }

    /// Waits until nothing is left to be flushed or compacted.
    pub(crate) fn settle(&self) {
        self.db.flush().unwrap();
        self.db.wait_for_compact(&WaitForCompactOptions::default()).unwrap();
    }

    pub(crate) fn megabytes(&self) -> f64 {
        self.db.property_int_value("rocksdb.live-sst-files-size").unwrap().unwrap_or(0) as f64 / 1e6
    }

    pub(crate) fn files(&self) -> u64 {
        self.db.live_files().map_or(0, |files| files.len() as u64)
    }
}
