//! What an engine must do: keep the committed bytes of one store together with the changelog offset they reach.

mod background;
pub mod identity;
mod in_memory;
mod mixed;
#[cfg(feature = "rocksdb")]
mod rocksdb;
mod run;
mod statistics;

use std::ops::Bound;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::error::StateError;

pub use background::BackgroundProvider;
pub use identity::{Identity, Layout};
pub use in_memory::{InMemoryEngine, InMemoryProvider};
pub use mixed::MixedProvider;
#[cfg(feature = "rocksdb")]
pub use rocksdb::RocksDbProvider;
pub use run::Run;
pub use statistics::{Durations, Lookups, Statistics};

/// One entry of a sorted run: key, and value or deletion.
pub type RunEntry<'a> = (&'a [u8], Option<&'a [u8]>);

/// Called for each entry of a scan, key and value, until it breaks.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// One store's share of a task's engine.
///
/// Contract: an [`apply`](Engine::apply) is atomic and durable against a process crash once it returned; after
/// a crash the engine holds a prefix of the applies, each together with its offset. Nothing uncommitted is ever
/// applied.
pub trait Engine: Send {
    /// Reads the value of `key` into `out` (cleared first). Returns whether the key exists.
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError>;

    /// Visits entries in byte order until `visit` breaks.
    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError>;

    /// Writes a run that is sorted by key and has no duplicates, and the changelog offset that it reaches (the
    /// next offset to read; `None` for a store without changelog).
    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError>;

    /// Writes `run`, which need not be sorted, as [`apply`](Engine::apply) would. It may still be on its way when this returns: until
    /// [`written`](Engine::written) says so `get` may or may not see it, and the caller keeps its rows. Calls that scan or change something
    /// wait for it.
    fn write(&mut self, mut run: Run, offset: Option<i64>) -> Result<(), StateError> {
        run.sort();
        self.apply(&mut run.iter(), offset)
    }

    /// Whether nothing is on its way any more; with `wait` it is `true` or the error of what was.
    fn written(&mut self, wait: bool) -> Result<bool, StateError> {
        let _ = wait;
        Ok(true)
    }

    /// Whether runs of other engines are on their way and a run of this one would wait for them.
    fn is_busy(&self) -> bool {
        false
    }

    /// What writes runs into this engine from another thread. `None`: rows of this engine are not kept, there is nothing to write.
    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        None
    }

    /// Where the store above may put files that are of no use to anyone else, nor to itself when it is closed. `None`: nowhere.
    fn scratch_directory(&self) -> Option<&Path> {
        None
    }

    /// The files below this engine, shared with the other engines of its task. `None`: there are none to copy.
    fn files(&self) -> Option<Arc<dyn EngineFiles>> {
        None
    }

    /// Deletes all keys in `from..to`.
    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError>;

    /// The changelog offset that the last apply reached.
    fn offset(&self) -> Result<Option<i64>, StateError>;

    /// Whether no entry is stored.
    fn is_empty(&self) -> Result<bool, StateError>;

    /// Deletes everything, offset included.
    fn wipe(&mut self) -> Result<(), StateError>;

    /// Approximate size in bytes, on disk or in memory.
    fn size_bytes(&self) -> u64;

    /// Approximate number of entries; 0 if the engine cannot tell.
    fn approximate_entries(&self) -> u64 {
        0
    }

    /// What the engine says of itself under this name of its own, for instance `total-sst-files-size`; `None` if it has no such name.
    fn property(&self, name: &str) -> Option<u64> {
        let _ = name;
        None
    }

    /// What the engine did for this store since it was opened; `None` if it does not count.
    fn statistics(&self) -> Option<Statistics> {
        None
    }

    /// Whose rows these are, as it was written beside them. `None`: there are none, nobody claimed them, or the engine does not
    /// keep it.
    fn identity(&self) -> Result<Option<Identity>, StateError> {
        Ok(None)
    }

    /// What [`set_claim`](Self::set_claim) was given.
    fn claim(&self) -> Option<&Identity> {
        None
    }

    /// Whose rows are applied from now on: written beside them with each run.
    fn set_claim(&mut self, identity: Identity) {
        let _ = identity;
    }

    /// The error for a row that the store above did not write, `message` saying which.
    fn corrupt(&self, store: &str, message: String) -> StateError {
        StateError::Engine { store: store.to_owned(), engine: "memory", message }
    }

    /// Whether what was applied is there after a restart. If not, a store keeps its rows in memory only and
    /// applies nothing.
    fn is_durable(&self) -> bool {
        true
    }
}

/// Writes runs of one store, on any thread. One run at a time, in the order of their offsets.
///
/// What it has written is in the engine as if [`Engine::apply`] had been called. While it writes, the engine may be read: it shows
/// all of the run or nothing of it.
pub trait RunWriter: Send {
    /// As [`Engine::get`].
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError>;

    /// As [`Engine::apply`].
    fn write(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError>;
}

/// The files of all engines of a task, to be copied while the engines are in use, from any thread.
pub trait EngineFiles: Send + Sync {
    /// Puts into the task directory `directory` what [`EngineProvider::open`] needs to find there: all that was applied before the
    /// call, and of what is applied meanwhile each run with its offset, or nothing of it. On the same file system data is linked, not
    /// copied. The engines hold committed rows only, so the copy does, too.
    fn checkpoint(&self, directory: &Path) -> Result<(), StateError>;
}

/// A store that was found in a task directory, and its engine, to read.
pub type FoundStore = (String, Box<dyn Engine>);

/// Opens the engines of a task: one directory, one engine for each store name.
pub trait EngineProvider: Send + Sync {
    /// Opens `directory` and returns an engine for each of `stores`, in their order.
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError>;

    /// Opens what `directory` holds for reading only, under the names of its stores and in their order: also if an application uses it.
    /// It shows what the engines held when it was opened. Nothing is written. No stores: nothing that this provider knows.
    fn read(&self, directory: &Path) -> Result<Vec<FoundStore>, StateError> {
        let _ = directory;
        Ok(Vec::new())
    }

    /// A word for logs and `describe`: `rocksdb`, `in-memory`.
    fn name(&self) -> &'static str;
}
