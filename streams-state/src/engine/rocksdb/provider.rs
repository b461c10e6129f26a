//! Opens a task's RocksDB, and checks that this version can read what is in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{ColumnFamilyDescriptor, DEFAULT_COLUMN_FAMILY_NAME, Options};

use super::classify::{classify, refused};
use super::log_check::check_logs;
use super::options::Shared;
use super::statistics::{Clock, StoreStatistics};
use super::{Db, FORMAT, RocksDbEngine};
use crate::directory::make_directory;
use crate::engine::{Engine, EngineProvider, FoundStore};
use crate::error::StateError;

/// Directory of the database in the directory of the task.
pub(super) const DATABASE_DIRECTORY: &str = "rocksdb";
/// The file that says which MANIFEST is the database's.
pub(super) const CURRENT: &str = "CURRENT";
/// A run that waits for its ingestion. Left over by a crash, it is deleted when the database is opened.
const RUN_EXTENSION: &str = "run";
/// What the names of column families begin with.
const FAMILY_PREFIX: &str = "store-";
/// How often a database that changes while it is opened for reading is looked at.
const READ_ATTEMPTS: usize = 5;

/// Opens one RocksDB per task. All of them share block cache, write buffers and background threads.
pub struct RocksDbProvider {
    shared: Shared,
    /// What statistics measure with, if there are any.
    clock: Option<Clock>,
}

impl RocksDbProvider {
    /// `memory_bytes` bounds the memory of all databases that it opens; 32 MiB are plenty while the tiers of the
    /// stores have room.
    pub fn new(memory_bytes: u64) -> Self {
        Self { shared: Shared::new(usize::try_from(memory_bytes).unwrap_or(usize::MAX)), clock: None }
    }

    /// Databases that are opened from now on count what they do: [`Engine::statistics`]. RocksDB then reads a clock for each lookup; what that
    /// costs is in `ARCHITECTURE.md`. `clock`: ns since any moment, never going back.
    ///
    /// ```
    /// use streams_state::engine::{Engine, EngineProvider, RocksDbProvider};
    ///
    /// let folder = tempfile::tempdir()?;
    /// // A clock that stands still: everything takes no time.
    /// let provider = RocksDbProvider::new(8 << 20).with_statistics(|| 0);
    /// let mut engine = provider.open(folder.path(), &["counts"])?.remove(0);
    /// engine.apply(&mut [(&b"ada"[..], Some(&b"36"[..]))].into_iter(), Some(1))?;
    /// let statistics = engine.statistics().expect("it counts");
    /// assert_eq!((statistics.bytes_written, statistics.open_files), (5, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_statistics(self, clock: fn() -> u64) -> Self {
        Self { clock: Some(clock), ..self }
    }
}

impl EngineProvider for RocksDbProvider {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let path = directory.join(DATABASE_DIRECTORY);
        make_directory(&path).map_err(|error| refused(None, &path, error))?;
        delete_runs(&path).map_err(|error| refused(None, &path, error))?;
        check_beginning(&path)?;
        check_logs(&path)?;
        let mut options = self.shared.database();
        if self.clock.is_some() {
            options.enable_statistics();
        }
        let families = families(&path, &options, stores)?;
        let descriptors =
            families.into_iter().map(|name| ColumnFamilyDescriptor::new(name, self.shared.family()));
        let db = Db::open_cf_descriptors(&options, &path, descriptors);
        let db = db.map_err(|error| classify(None, &path, &error))?;
        let db = Arc::new(db);
        let counted = self.clock.map(|clock| StoreStatistics::of(options, clock, stores.len()));
        let mut statistics = counted.into_iter().flatten();
        let engine = |(index, store): (usize, &&str)| -> Result<Box<dyn Engine>, StateError> {
            let engine = self.engine(&db, (index, store), &path)?;
            Ok(Box::new(RocksDbEngine { statistics: statistics.next(), ..engine }))
        };
        stores.iter().enumerate().map(engine).collect()
    }

    fn read(&self, directory: &Path) -> Result<Vec<FoundStore>, StateError> {
        let path = directory.join(DATABASE_DIRECTORY);
        if !path.join(CURRENT).exists() {
            return Ok(Vec::new());
        }
        check_logs(&path)?;
        let mut options = self.shared.database();
        // Else the numbers of rows are not known until the files are read.
        options.set_skip_stats_update_on_db_open(false);
        let opened = open_read_only(&options, &path);
        let (db, families) = opened.map_err(|error| classify(None, &path, &error))?;
        let db = Arc::new(db);
        let mut stores: Vec<&str> =
            families.iter().filter_map(|name| name.strip_prefix(FAMILY_PREFIX)).collect();
        stores.sort_unstable();
        let found = |(index, store): (usize, &&str)| -> Result<FoundStore, StateError> {
            Ok(((*store).to_owned(), Box::new(self.engine(&db, (index, store), &path)?)))
        };
        stores.iter().enumerate().map(found).collect()
    }

    fn name(&self) -> &'static str {
        "rocksdb"
    }
}

impl RocksDbProvider {
    fn engine(
        &self,
        db: &Arc<Db>,
        (index, store): (usize, &str),
        path: &Path,
    ) -> Result<RocksDbEngine, StateError> {
        let engine = RocksDbEngine {
            db: db.clone(),
            store: store.to_owned(),
            family: family_name(store),
            options: self.shared.run(),
            path: path.to_owned(),
            run_path: path.join(format!("{index}.{RUN_EXTENSION}")),
            claim: None,
            statistics: None,
        };
        check_format(&engine, path)?;
        Ok(engine)
    }
}

/// The database with all its column families. An application that uses it may delete a file between the look and the opening: then
/// the next look finds what came in its place.
fn open_read_only(options: &Options, path: &Path) -> Result<(Db, Vec<String>), rocksdb::Error> {
    let attempt = || {
        let families = Db::list_cf(options, path)?;
        let db = Db::open_cf_for_read_only(options, path, &families, false)?;
        Ok((db, families))
    };
    (1..READ_ATTEMPTS).find_map(|_| attempt().ok()).map_or_else(attempt, Ok)
}

/// All column families to open: those of `stores`, and those on disk, which RocksDB does not leave out.
fn families(path: &Path, options: &Options, stores: &[&str]) -> Result<BTreeSet<String>, StateError> {
    let mut names: BTreeSet<String> = stores.iter().map(|store| family_name(store)).collect();
    names.insert(DEFAULT_COLUMN_FAMILY_NAME.to_owned());
    if path.join(CURRENT).exists() {
        names.extend(Db::list_cf(options, path).map_err(|error| classify(None, path, &error))?);
    }
    Ok(names)
}

/// Without `CURRENT` RocksDB would begin anew and delete what is there.
fn check_beginning(path: &Path) -> Result<(), StateError> {
    if path.join(CURRENT).exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|error| refused(None, path, error))?;
    let is_data = |name: &str| name.ends_with(".sst");
    if entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_data)) {
        let message = "the file CURRENT is missing, and files with data are there".to_owned();
        return Err(StateError::Corrupt { store: None, path: path.to_owned(), message });
    }
    Ok(())
}

/// A store may be called `default`; its column family may not.
fn family_name(store: &str) -> String {
    format!("{FAMILY_PREFIX}{store}")
}

fn check_format(engine: &RocksDbEngine, path: &Path) -> Result<(), StateError> {
    match engine.format()? {
        Some(found) if found > FORMAT => {
            Err(StateError::NewerFormat { path: path.to_owned(), found, supported: FORMAT })
        }
        Some(_) | None => Ok(()),
    }
}

fn delete_runs(path: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let file: PathBuf = entry?.path();
        if file.extension().is_some_and(|extension| extension == RUN_EXTENSION) {
            std::fs::remove_file(file)?;
        }
    }
    Ok(())
}
