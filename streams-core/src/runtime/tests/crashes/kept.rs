//! Engines in memory that survive a crash as a disk would: the next that opens the same store finds what was applied. With the
//! power the last applies may be lost; calls fail when they are told to.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use streams_state::directory::make_directory;
use streams_state::engine::{Engine, EngineProvider, Identity, InMemoryEngine, RunEntry, RunWriter, Visitor};
use streams_state::error::StateError;

/// Applies that may be lost with the power.
const UNSURE: usize = 4;
/// It is there as long as the directory is the one that the rows were written for.
const MARK: &str = "kept";

/// What one store has on disk.
#[derive(Default)]
struct Rows {
    now: InMemoryEngine,
    identity: Option<Identity>,
    /// After each of the last applies.
    applied: Vec<InMemoryEngine>,
}

/// How a call fails.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime::tests) enum Failure {
    /// The disk refuses.
    Refused,
    /// The data are damaged.
    Damaged,
}

type Shared = Arc<Mutex<Rows>>;
type Fails = Arc<Mutex<Option<(u64, Failure)>>>;

/// The disk.
#[derive(Clone, Default)]
pub(in crate::runtime::tests) struct Kept {
    stores: Arc<Mutex<BTreeMap<(PathBuf, String), Shared>>>,
    fails: Fails,
}

impl Kept {
    /// Everything below `directory` is gone.
    pub(in crate::runtime::tests) fn delete(&self, directory: &Path) {
        self.stores.lock().unwrap().retain(|(path, _), _| !path.starts_with(directory));
    }

    /// The machine lost its power, and its disk up to `applies` of the last applies of each store.
    pub(super) fn lose(&self, applies: usize) {
        for rows in self.stores.lock().unwrap().values() {
            let mut rows = rows.lock().unwrap();
            let left = rows.applied.len().saturating_sub(applies).max(1);
            rows.applied.truncate(left);
            rows.now = rows.applied.last().cloned().unwrap_or_default();
        }
    }

    /// All stores of this name lose the offset beside their rows, and get a row that nobody wrote.
    pub(in crate::runtime::tests) fn forget_offsets(&self, store: &str, stray: (&[u8], &[u8])) {
        for (_, rows) in self.stores.lock().unwrap().iter().filter(|((_, name), _)| name == store) {
            let mut rows = rows.lock().unwrap();
            let mut now = InMemoryEngine::default();
            let mut all = vec![(stray.0.to_vec(), stray.1.to_vec())];
            let mut keep = |key: &[u8], value: &[u8]| {
                all.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            };
            rows.now.scan(Bound::Unbounded, Bound::Unbounded, &mut keep).unwrap();
            all.sort();
            now.apply(&mut all.iter().map(|(key, value)| (&key[..], Some(&value[..]))), None).unwrap();
            rows.now = now;
        }
    }

    /// The call after so many others fails.
    pub(in crate::runtime::tests) fn fail_after(&self, calls: u64, failure: Failure) {
        *self.fails.lock().unwrap() = Some((calls, failure));
    }

    /// No call fails.
    pub(in crate::runtime::tests) fn heal(&self) {
        *self.fails.lock().unwrap() = None;
    }
}

impl EngineProvider for Kept {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let mark = directory.join(MARK);
        if !mark.exists() {
            self.delete(directory);
        }
        make_directory(directory).and_then(|()| std::fs::write(mark, "")).unwrap();
        let mut disk = self.stores.lock().unwrap();
        let mut open = |store: &&str| {
            let rows = disk.entry((directory.to_owned(), (*store).to_owned())).or_default().clone();
            let (path, fails) = (directory.to_owned(), self.fails.clone());
            Box::new(KeptEngine { rows, path, fails, claim: None }) as Box<dyn Engine>
        };
        Ok(stores.iter().map(&mut open).collect())
    }

    fn name(&self) -> &'static str {
        "kept"
    }
}

#[derive(Clone)]
struct KeptEngine {
    rows: Shared,
    path: PathBuf,
    fails: Fails,
    claim: Option<Identity>,
}

impl KeptEngine {
    /// Does `work`, or fails if its time has come.
    fn call<T>(&self, work: impl FnOnce(&mut Rows) -> Result<T, StateError>) -> Result<T, StateError> {
        let mut fails = self.fails.lock().unwrap();
        match &mut *fails {
            Some((0, failure)) => {
                let (failure, path, message) = (*failure, self.path.clone(), "as it was told".to_owned());
                *fails = None;
                Err(match failure {
                    Failure::Refused => StateError::Directory { path, message },
                    Failure::Damaged => StateError::Corrupt { store: None, path, message },
                })
            }
            Some((calls, _)) => {
                *calls -= 1;
                work(&mut self.rows.lock().unwrap())
            }
            None => work(&mut self.rows.lock().unwrap()),
        }
    }
}

impl Engine for KeptEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.call(|rows| rows.now.get(key, out))
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.call(|rows| rows.now.scan(from, to, visit))
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.call(|rows| {
            rows.now.apply(run, offset)?;
            rows.identity.clone_from(&self.claim);
            if rows.applied.len() == UNSURE {
                rows.applied.remove(0);
            }
            rows.applied.push(rows.now.clone());
            Ok(())
        })
    }

    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        Some(Box::new(self.clone()))
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.call(|rows| rows.now.drop_range(from, to))
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        self.call(|rows| rows.now.offset())
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        self.call(|rows| rows.now.is_empty())
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.call(|rows| {
            *rows = Rows::default();
            Ok(())
        })
    }

    fn size_bytes(&self) -> u64 {
        self.rows.lock().unwrap().now.size_bytes()
    }

    fn identity(&self) -> Result<Option<Identity>, StateError> {
        self.call(|rows| Ok(rows.identity.clone()))
    }

    fn claim(&self) -> Option<&Identity> {
        self.claim.as_ref()
    }

    fn set_claim(&mut self, identity: Identity) {
        self.claim = Some(identity);
    }
}

impl RunWriter for KeptEngine {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        Engine::get(self, key, out)
    }

    fn write(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.apply(run, offset)
    }
}
