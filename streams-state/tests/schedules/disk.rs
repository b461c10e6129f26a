//! An engine on a disk that is not to be trusted. What an apply wrote may be lost with the power, the last applies first;
//! what else was done is lost with the process; calls fail when they are told to.

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use streams_state::engine::{Engine, InMemoryEngine, RunEntry, Visitor};
use streams_state::error::StateError;

/// How a call fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// The disk refused: nothing was done.
    Refused,
    /// The disk refused, and what was asked for was done all the same.
    Unclear,
    /// The data are damaged.
    Damaged,
}

#[derive(Default)]
struct Data {
    now: InMemoryEngine,
    /// After each of the last applies.
    applied: Vec<InMemoryEngine>,
    fails: Option<(u8, Failure)>,
}

/// The disk; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<Data>>);

impl Disk {
    pub(crate) fn engine(&self) -> Box<dyn Engine> {
        Box::new(self.clone())
    }

    /// The process died; and with the power the last `applies` were lost.
    pub(crate) fn lose(&self, applies: usize) {
        let mut data = self.0.lock().unwrap();
        let left = data.applied.len().saturating_sub(applies);
        data.applied.truncate(left);
        data.now = data.applied.last().cloned().unwrap_or_default();
    }

    pub(crate) fn delete(&self) {
        *self.0.lock().unwrap() = Data::default();
    }

    pub(crate) fn fail_after(&self, calls: u8, failure: Failure) {
        self.0.lock().unwrap().fails = Some((calls, failure));
    }

    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().fails = None;
    }

    /// Does `work`, or fails if its time has come.
    fn call<T>(&self, work: impl FnOnce(&mut Data) -> Result<T, StateError>) -> Result<T, StateError> {
        let mut data = self.0.lock().unwrap();
        let failure = match &mut data.fails {
            Some((0, failure)) => Some(*failure),
            Some((calls, _)) => {
                *calls -= 1;
                None
            }
            None => None,
        };
        let Some(failure) = failure else { return work(&mut data) };
        data.fails = None;
        let (path, message) = ("disk".into(), "as the schedule says".to_owned());
        match failure {
            Failure::Refused => Err(StateError::Directory { path, message }),
            Failure::Unclear => {
                work(&mut data)?;
                Err(StateError::Directory { path, message })
            }
            Failure::Damaged => Err(StateError::Corrupt { store: None, path, message }),
        }
    }
}

impl Engine for Disk {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.call(|data| data.now.get(key, out))
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.call(|data| data.now.scan(from, to, visit))
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.call(|data| {
            data.now.apply(run, offset)?;
            data.applied.push(data.now.clone());
            Ok(())
        })
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.call(|data| data.now.drop_range(from, to))
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        self.call(|data| data.now.offset())
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        self.call(|data| data.now.is_empty())
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.call(|data| {
            (data.now, data.applied) = Default::default();
            Ok(())
        })
    }

    fn size_bytes(&self) -> u64 {
        self.0.lock().unwrap().now.size_bytes()
    }
}
