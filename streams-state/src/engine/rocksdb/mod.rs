//! Step 5, store, the disk: one RocksDB per task, one column family per store.
//!
//! ```text
//! key                  value
//! 00 "format"          u32 big-endian: layout of this column family
//! 00 "identity"        whose rows these are: `identity.rs`
//! 00 "offset"          i64 big-endian: next changelog offset to read
//! 01 <key>             the row as the store gives it
//! ```
//! An apply writes one sorted SST file, meta rows included, and ingests it: all of it is visible and on disk, or
//! nothing is. There is no write-ahead log, because the changelog is one, and no memtable on the way: a sorted
//! run does not need to be sorted again. Nothing here sees a type, a timestamp or an uncommitted row.

mod classify;
mod files;
mod log_check;
mod options;
mod provider;
mod statistics;
#[cfg(test)]
mod tests;

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{
    BoundColumnFamily, DBWithThreadMode, ErrorKind, MultiThreaded, Options, ReadOptions, SstFileWriter,
    WriteOptions,
};

use super::{Engine, EngineFiles, Identity, RunEntry, RunWriter, Statistics, Visitor};
use crate::error::StateError;

use classify::classify;
pub use provider::RocksDbProvider;
use statistics::{StoreStatistics, Written};

/// The layout that this version writes.
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"\x00format";
const IDENTITY_KEY: &[u8] = b"\x00identity";
const OFFSET_KEY: &[u8] = b"\x00offset";
/// First byte of the key of a row.
const ROW: u8 = 1;

type Db = DBWithThreadMode<MultiThreaded>;

/// One store's column family.
#[derive(Clone)]
struct RocksDbEngine {
    db: Arc<Db>,
    store: String,
    family: String,
    options: Options,
    /// The directory of the database.
    path: PathBuf,
    /// Where a run is written before it is ingested.
    run_path: PathBuf,
    claim: Option<Identity>,
    /// Only where they were asked for.
    statistics: Option<StoreStatistics>,
}

impl RocksDbEngine {
    fn family(&self) -> Result<Arc<BoundColumnFamily<'_>>, StateError> {
        self.db.cf_handle(&self.family).ok_or_else(|| StateError::Engine {
            store: self.store.clone(),
            engine: "rocksdb",
            message: "its column family is gone".to_owned(),
        })
    }

    fn failed(&self, error: rocksdb::Error) -> StateError {
        if let (Some(statistics), ErrorKind::IOError | ErrorKind::Corruption) =
            (&self.statistics, error.kind())
        {
            statistics.file_error();
        }
        classify(Some(&self.store), &self.path, &error)
    }

    /// The meta row `key`.
    fn meta<const N: usize>(&self, key: &[u8]) -> Result<Option<[u8; N]>, StateError> {
        let value = self.db.get_pinned_cf(&self.family()?, key).map_err(|error| self.failed(error))?;
        match value {
            None => Ok(None),
            Some(bytes) => match bytes.as_ref().try_into() {
                Ok(array) => Ok(Some(array)),
                Err(_) => {
                    let message = format!("a meta row has {} bytes instead of {N}", bytes.len());
                    Err(self.corrupt(&self.store, message))
                }
            },
        }
    }

    /// The format that the column family was written with; `None` if nothing was written.
    fn format(&self) -> Result<Option<u32>, StateError> {
        Ok(self.meta(FORMAT_KEY)?.map(u32::from_be_bytes))
    }

    /// Writes the run and the meta rows as a sorted file.
    fn write_run(
        &self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<Written, rocksdb::Error> {
        let mut writer = SstFileWriter::create(&self.options);
        writer.open(&self.run_path)?;
        writer.put(FORMAT_KEY, FORMAT.to_be_bytes())?;
        if let Some(identity) = &self.claim {
            writer.put(IDENTITY_KEY, identity.encode())?;
        }
        match offset {
            Some(offset) => writer.put(OFFSET_KEY, offset.to_be_bytes())?,
            None => writer.delete(OFFSET_KEY)?,
        }
        let (mut row_key, mut row_bytes) = (vec![ROW], 0);
        for (key, value) in run {
            row_key.truncate(1);
            row_key.extend_from_slice(key);
            row_bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
            match value {
                Some(value) => writer.put(&row_key, value)?,
                None => writer.delete(&row_key)?,
            }
        }
        writer.finish()?;
        Ok(Written { row_bytes, file_bytes: writer.file_size() })
    }
}

impl Engine for RocksDbEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        out.clear();
        let row_key = row_key(key);
        let row = self.db.get_pinned_cf(&self.family()?, row_key).map_err(|error| self.failed(error))?;
        if let Some(value) = &row {
            out.extend_from_slice(value);
            if let Some(statistics) = &self.statistics {
                statistics.read(value.len());
            }
        }
        Ok(row.is_some())
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(match from {
            Bound::Unbounded => vec![ROW],
            Bound::Included(key) => row_key(key),
            Bound::Excluded(key) => after(row_key(key)),
        });
        options.set_iterate_upper_bound(match to {
            Bound::Unbounded => vec![ROW + 1],
            Bound::Included(key) => after(row_key(key)),
            Bound::Excluded(key) => row_key(key),
        });
        let mut rows = self.db.raw_iterator_cf_opt(&self.family()?, options);
        let mut read = 0;
        rows.seek_to_first();
        while let Some((key, value)) = rows.item() {
            read += key.len() + value.len();
            if visit(key.get(1..).unwrap_or_default(), value).is_break() {
                break;
            }
            rows.next();
        }
        if let Some(statistics) = &self.statistics {
            statistics.read(read);
        }
        rows.status().map_err(|error| self.failed(error))
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        RunWriter::write(self, run, offset)
    }

    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        Some(Box::new(self.clone()))
    }

    fn scratch_directory(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn files(&self) -> Option<Arc<dyn EngineFiles>> {
        Some(Arc::new(files::RocksDbFiles::new(self.db.clone())))
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        let (from, to, family) = (row_key(from), row_key(to), self.family()?);
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.delete_file_in_range_cf(&family, &from, &to).map_err(|error| self.failed(error))?;
        let held_up = self.statistics.as_ref().map(StoreStatistics::held_up);
        self.db.delete_range_cf_opt(&family, &from, &to, &options).map_err(|error| self.failed(error))?;
        if let (Some(statistics), Some(before)) = (&self.statistics, held_up) {
            statistics.stalled(before);
        }
        Ok(())
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        Ok(self.meta(OFFSET_KEY)?.map(i64::from_be_bytes))
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        let mut empty = true;
        self.scan(Bound::Unbounded, Bound::Unbounded, &mut |_, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
        Ok(empty)
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.db.drop_cf(&self.family).map_err(|error| self.failed(error))?;
        self.db.create_cf(&self.family, &self.options).map_err(|error| self.failed(error))
    }

    fn size_bytes(&self) -> u64 {
        self.number("rocksdb.live-sst-files-size")
    }

    fn identity(&self) -> Result<Option<Identity>, StateError> {
        let row = self.db.get_pinned_cf(&self.family()?, IDENTITY_KEY).map_err(|error| self.failed(error))?;
        row.map(|bytes| Identity::decode(&bytes, &self.path)).transpose()
    }

    fn claim(&self) -> Option<&Identity> {
        self.claim.as_ref()
    }

    fn set_claim(&mut self, identity: Identity) {
        self.claim = Some(identity);
    }

    fn corrupt(&self, store: &str, message: String) -> StateError {
        StateError::Corrupt { store: Some(store.to_owned()), path: self.path.clone(), message }
    }

    fn property(&self, name: &str) -> Option<u64> {
        let family = self.family().ok()?;
        self.db.property_int_value_cf(&family, &format!("rocksdb.{name}")).ok()?
    }

    fn statistics(&self) -> Option<Statistics> {
        let statistics = self.statistics.as_ref()?;
        Some(Statistics { open_files: self.files_with_rows(), ..statistics.statistics() })
    }

    fn approximate_entries(&self) -> u64 {
        let meta_rows = 3;
        self.number("rocksdb.estimate-num-keys").saturating_sub(meta_rows)
    }
}

impl RunWriter for RocksDbEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        Engine::get(self, key, out)
    }

    fn write(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        let began = self.statistics.as_ref().map(StoreStatistics::now);
        let written = self.write_run(run, offset).map_err(|error| self.failed(error))?;
        let family = self.family()?;
        self.db
            .ingest_external_file_cf_opts(&family, &options::ingestion(), vec![&self.run_path])
            .map_err(|error| self.failed(error))?;
        if let (Some(statistics), Some(began)) = (&self.statistics, began) {
            statistics.flushed(&written, began);
        }
        Ok(())
    }
}

impl RocksDbEngine {
    /// A property of the column family; 0 if RocksDB does not say.
    fn number(&self, property: &str) -> u64 {
        let Ok(family) = self.family() else { return 0 };
        self.db.property_int_value_cf(&family, property).ok().flatten().unwrap_or(0)
    }

    /// Files of all levels. RocksDB keeps all of them open, because nothing limits how many it may.
    fn files_with_rows(&self) -> u64 {
        let Ok(family) = self.family() else { return 0 };
        let files = |level: usize| {
            let name = format!("rocksdb.num-files-at-level{level}");
            self.db.property_value_cf(&family, &name).ok().flatten()?.parse::<u64>().ok()
        };
        (0..).map_while(files).sum()
    }
}

fn row_key(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 2);
    bytes.push(ROW);
    bytes.extend_from_slice(key);
    bytes
}

/// The key right after `key`.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
