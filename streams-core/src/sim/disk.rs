//! The disk of a simulated machine: what was applied survives the process, and with the power the last applies go.
//!
//! A run that is written in the background is on its way for a while, as with RocksDB: when the process dies meanwhile it is there as
//! a whole or not at all. Each apply is held against the changelog: its offset must be one that is decided, and must not go back.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streams_state::directory::make_directory;
use streams_state::engine::{
    Engine, EngineProvider, FoundStore, Identity, InMemoryEngine, Run, RunEntry, RunWriter, Visitor,
};
use streams_state::error::StateError;
use streams_state::types::{TaskId, TopicPartition};

use super::step::{CallFault, Step};
use super::world::{Link, may_pause, this_thread};

/// Applies that may be lost with the power.
const UNSURE: usize = 4;
/// It is there as long as the directory is the one that the rows were written for.
const MARK: &str = "rows";
/// Longest time of a run on its way, ms.
const WRITE_MS: u64 = 40;

/// What one store has on disk.
#[derive(Default)]
struct Rows {
    now: InMemoryEngine,
    identity: Option<Identity>,
    /// After each of the last applies.
    applied: Vec<(InMemoryEngine, Option<Identity>)>,
}

type Shared = Arc<Mutex<Rows>>;

/// The disks of all machines.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<BTreeMap<(PathBuf, String), Shared>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// Everything below `directory` is gone.
    pub(super) fn delete(&self, directory: &Path) {
        lock(&self.0).retain(|(path, _), _| !path.starts_with(directory));
    }

    /// The machine of `directory` lost its power, and up to `applies` of the last applies of each store.
    pub(super) fn lose(&self, directory: &Path, applies: usize) {
        for (_, rows) in lock(&self.0).iter().filter(|((path, _), _)| path.starts_with(directory)) {
            let mut rows = lock(rows);
            let left = rows.applied.len().saturating_sub(applies);
            rows.applied.truncate(left);
            (rows.now, rows.identity) = rows.applied.last().cloned().unwrap_or_default();
        }
    }

    /// The engines of one instance.
    pub(super) fn of(&self, link: Link) -> SimEngines {
        SimEngines { disk: self.clone(), link }
    }
}

/// Opens engines on the disk of an instance.
pub(super) struct SimEngines {
    disk: Disk,
    link: Link,
}

impl EngineProvider for SimEngines {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let mark = directory.join(MARK);
        if !mark.exists() {
            self.disk.delete(directory);
        }
        make_directory(directory).and_then(|()| std::fs::write(mark, "")).map_err(|error| {
            StateError::Directory { path: directory.to_owned(), message: error.to_string() }
        })?;
        let mut disk = lock(&self.disk.0);
        let mut open = |store: &&str| {
            let rows = disk.entry((directory.to_owned(), (*store).to_owned())).or_default().clone();
            let (path, link) = (directory.to_owned(), self.link.clone());
            Box::new(SimEngine { file: File { rows, path, link, claim: None }, pending: None })
                as Box<dyn Engine>
        };
        Ok(stores.iter().map(&mut open).collect())
    }

    fn read(&self, directory: &Path) -> Result<Vec<FoundStore>, StateError> {
        let disk = lock(&self.disk.0);
        let found = disk.iter().filter(|((path, _), _)| path == directory && path.join(MARK).exists());
        let read = found.map(|((_, store), rows)| {
            let rows = lock(rows);
            let copy = Rows { now: rows.now.clone(), identity: rows.identity.clone(), applied: Vec::new() };
            let (path, link) = (directory.to_owned(), self.link.clone());
            let file = File { rows: Arc::new(Mutex::new(copy)), path, link, claim: None };
            (store.clone(), Box::new(SimEngine { file, pending: None }) as Box<dyn Engine>)
        });
        Ok(read.collect())
    }

    fn name(&self) -> &'static str {
        "simulated"
    }
}

/// A run on its way.
struct Pending {
    run: Run,
    offset: Option<i64>,
    done_ms: i64,
}

/// What an engine and its writer share.
#[derive(Clone)]
struct File {
    rows: Shared,
    path: PathBuf,
    link: Link,
    claim: Option<Identity>,
}

struct SimEngine {
    file: File,
    pending: Option<Pending>,
}

impl File {
    /// A write comes up: it may fail, or be the last thing that the process does.
    fn before_write(&self) -> Result<Option<CallFault>, StateError> {
        let (path, message) = (self.path.clone(), "simulated".to_owned());
        match self.link.call(Step::StoreWrite) {
            Some(CallFault::DiskFull) => Err(StateError::Directory { path, message }),
            Some(CallFault::Damaged) => Err(StateError::Corrupt { store: None, path, message }),
            fault => Ok(fault),
        }
    }

    fn store(
        &self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.check_offset(offset);
        let mut rows = self.rows();
        rows.now.apply(run, offset)?;
        rows.identity.clone_from(&self.claim);
        if rows.applied.len() == UNSURE {
            rows.applied.remove(0);
        }
        let state = (rows.now.clone(), rows.identity.clone());
        rows.applied.push(state);
        Ok(())
    }

    /// Rows are committed before they are written: what this thread wrote to the changelog is decided up to their offset. Another may have
    /// an open transaction there: one that has lost the task, and can only abort it.
    fn check_offset(&self, offset: Option<i64>) {
        let Some((offset, claim)) = offset.zip(self.claim.as_ref()) else { return };
        let Ok(task) = claim.task.parse::<TaskId>() else { return };
        let Some(changelog) = &claim.changelog else { return };
        let at = TopicPartition::new(changelog.as_str(), task.partition);
        let (store, world) = (&claim.store, &self.link.world);
        if let Some((open, end)) = world.kafka.open_transactions(&at).filter(|_| !world.markers_are_late) {
            let decided = world.first_of(this_thread(), &open).unwrap_or(end);
            if offset > decided {
                world.violation(format!(
                    "I5: store `{store}` of task {task} was written with offset {offset}, {at} is decided up to {decided}"
                ));
            }
        }
        let before = self.rows().now.offset().ok().flatten();
        if before.is_some_and(|before| offset < before) {
            world.violation(format!(
                "I5: the offset of store `{store}` of task {task} went back from {before:?} to {offset}"
            ));
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        lock(&self.rows)
    }
}

impl RunWriter for File {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.rows().now.get(key, out)
    }

    fn write(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        let fault = self.before_write()?;
        self.store(run, offset)?;
        self.link.done(Step::StoreWrite, fault);
        Ok(())
    }
}

impl SimEngine {
    /// What is on its way arrives.
    fn settle(&mut self) -> Result<(), StateError> {
        match self.pending.take() {
            Some(pending) => self.file.store(&mut pending.run.iter(), pending.offset),
            None => Ok(()),
        }
    }

    /// For reads, which do not change what is on its way: `None` if nothing is.
    fn with_pending(&self) -> Result<Option<InMemoryEngine>, StateError> {
        let Some(pending) = &self.pending else { return Ok(None) };
        let mut seen = self.file.rows().now.clone();
        seen.apply(&mut pending.run.iter(), pending.offset)?;
        Ok(Some(seen))
    }
}

impl Engine for SimEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.file.rows().now.get(key, out)
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        match self.with_pending()? {
            Some(seen) => seen.scan(from, to, visit),
            None => self.file.rows().now.scan(from, to, visit),
        }
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.settle()?;
        self.file.write(run, offset)
    }

    fn write(&mut self, mut run: Run, offset: Option<i64>) -> Result<(), StateError> {
        self.settle()?;
        let fault = self.file.before_write()?;
        run.sort();
        let way_ms = self.file.link.world.state().random.below(WRITE_MS) as i64;
        self.pending = Some(Pending { run, offset, done_ms: self.file.link.world.clock_ms() + way_ms });
        self.file.link.done(Step::StoreWrite, fault);
        Ok(())
    }

    fn written(&mut self, wait: bool) -> Result<bool, StateError> {
        let now = self.file.link.world.clock_ms();
        if !wait && self.pending.as_ref().is_some_and(|pending| pending.done_ms > now) {
            return Ok(false);
        }
        self.settle().map(|()| true)
    }

    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        Some(Box::new(self.file.clone()))
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.settle()?;
        self.file.rows().now.drop_range(from, to)
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        match &self.pending {
            Some(pending) => Ok(pending.offset),
            None => self.file.rows().now.offset(),
        }
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        match self.with_pending()? {
            Some(seen) => seen.is_empty(),
            None => self.file.rows().now.is_empty(),
        }
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.pending = None;
        *self.file.rows() = Rows::default();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.file.rows().now.size_bytes()
    }

    fn identity(&self) -> Result<Option<Identity>, StateError> {
        Ok(self.file.rows().identity.clone())
    }

    fn claim(&self) -> Option<&Identity> {
        self.file.claim.as_ref()
    }

    fn set_claim(&mut self, identity: Identity) {
        self.file.claim = Some(identity);
    }

    fn is_durable(&self) -> bool {
        true
    }
}

impl Drop for SimEngine {
    /// A store that is closed waits for what is on its way; if its process dies, it is there or not.
    fn drop(&mut self) {
        let lost = !may_pause() && self.file.link.world.state().random.one_in(2);
        if self.pending.is_some() && !lost {
            let _ = self.settle();
        }
    }
}
