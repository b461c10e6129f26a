//! Step 7, flush: runs are sorted and written by a thread of their own, while the task goes on.
//!
//! ```text
//! store ──write(run)──► Background ──job──► FlushThread: sort, write, with the offset ──► the engine
//!   ▲                       │
//!   └──── written ◄─────────┘   one run of a store on its way at a time
//! ```
//!
//! Until [`Engine::written`] says so, rows of the run may be in the engine or not; the store has them still. Whatever looks at more
//! than one key, or changes something, waits for the run first.

use std::cell::RefCell;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use super::{
    Durations, Engine, EngineFiles, EngineProvider, FoundStore, Identity, Run, RunEntry, RunWriter,
    Statistics, Visitor,
};
use crate::error::StateError;

/// What became of a run.
type Outcome = Result<(), StateError>;

/// A run to write.
struct Job {
    writer: Box<dyn RunWriter>,
    run: Run,
    offset: Option<i64>,
    done: Sender<Outcome>,
}

/// The way to the thread that writes.
#[derive(Clone)]
struct Queue {
    jobs: Sender<Job>,
    /// Jobs that were sent and are not done.
    waiting: Arc<AtomicUsize>,
}

impl Job {
    fn work(mut self) {
        self.run.sort();
        let result = self.writer.write(&mut self.run.iter(), self.offset);
        drop(self.run);
        // The store waits for it, unless its thread has panicked: then the run is in the engine or not, as in a crash.
        drop(self.writer);
        let _ = self.done.send(result);
    }
}

/// Opens the engines of another provider, whose runs are then written by a thread that all of them share.
pub struct BackgroundProvider {
    inner: Arc<dyn EngineProvider>,
    queue: Queue,
    clock: Option<fn() -> u64>,
}

impl BackgroundProvider {
    /// Engines of `inner`. The thread ends with the last of them.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn new(inner: Arc<dyn EngineProvider>) -> std::io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let done = waiting.clone();
        let work = move || {
            for job in queue {
                job.work();
                done.fetch_sub(1, Relaxed);
            }
        };
        std::thread::Builder::new().name("kstreams-flush".to_owned()).spawn(work)?;
        Ok(Self { inner, queue: Queue { jobs, waiting }, clock: None })
    }

    /// Engines that are opened from now on count how long they hold their stores up: [`Statistics::stalls`]. `clock`: ns since any moment,
    /// never going back.
    #[must_use]
    pub fn with_statistics(self, clock: fn() -> u64) -> Self {
        Self { clock: Some(clock), ..self }
    }
}

impl EngineProvider for BackgroundProvider {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let engines =
            self.inner.open(directory, stores)?.into_iter().map(|engine| match engine.is_durable() {
                true => {
                    let (queue, clock, state) = (self.queue.clone(), self.clock, RefCell::default());
                    Box::new(Background { engine, queue, clock, state }) as Box<dyn Engine>
                }
                false => engine,
            });
        Ok(engines.collect())
    }

    fn read(&self, directory: &Path) -> Result<Vec<FoundStore>, StateError> {
        self.inner.read(directory)
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

#[derive(Default)]
struct State {
    /// Says what became of the run on its way.
    pending: Option<Receiver<Outcome>>,
    /// A run was not written: nothing is, from then on, because the offset of a later one would cover what is missing.
    failed: Option<StateError>,
    /// Waits of what writes for the run before.
    stalls: Durations,
}

struct Background {
    engine: Box<dyn Engine>,
    queue: Queue,
    clock: Option<fn() -> u64>,
    state: RefCell<State>,
}

impl Background {
    /// Waits for the run on its way, if there is one.
    fn settle(&self) -> Result<(), StateError> {
        let mut state = self.state.borrow_mut();
        if let Some(pending) = state.pending.take() {
            state.failed = pending.recv().unwrap_or_else(|_| Err(lost())).err();
        }
        match &state.failed {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// As [`settle`](Self::settle), for what writes: the wait is a stall.
    fn settle_to_write(&self) -> Result<(), StateError> {
        let Some(clock) = self.clock.filter(|_| self.state.borrow().pending.is_some()) else {
            return self.settle();
        };
        let began = clock();
        let settled = self.settle();
        let us = clock().saturating_sub(began) / 1000;
        // Less is no wait: the run had arrived, and nobody had looked.
        if us > 0 {
            self.state.borrow_mut().stalls.add(us);
        }
        settled
    }
}

impl Drop for Background {
    /// The files are free when this returns, so that they can be opened again.
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            tracing::warn!("a flush failed while its store was closed; the changelog has it: {error}");
        }
    }
}

/// The thread has ended without an answer: it panicked.
fn lost() -> StateError {
    StateError::Engine {
        store: String::new(),
        engine: "background",
        message: "the thread that writes runs has ended; what it should have written is in the changelog"
            .to_owned(),
    }
}

impl Engine for Background {
    fn get(&self, key: &[u8], out: &mut Vec<u8>) -> Result<bool, StateError> {
        self.engine.get(key, out)
    }

    fn scan(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, visit: &mut Visitor<'_>) -> Result<(), StateError> {
        self.settle()?;
        self.engine.scan(from, to, visit)
    }

    fn apply(
        &mut self,
        run: &mut dyn Iterator<Item = RunEntry<'_>>,
        offset: Option<i64>,
    ) -> Result<(), StateError> {
        self.settle_to_write()?;
        self.engine.apply(run, offset)
    }

    fn write(&mut self, mut run: Run, offset: Option<i64>) -> Result<(), StateError> {
        self.settle_to_write()?;
        let Some(writer) = self.engine.writer() else {
            run.sort();
            return self.engine.apply(&mut run.iter(), offset);
        };
        let (done, answer) = channel();
        self.queue.waiting.fetch_add(1, Relaxed);
        if self.queue.jobs.send(Job { writer, run, offset, done }).is_err() {
            self.queue.waiting.fetch_sub(1, Relaxed);
            return Err(lost());
        }
        self.state.get_mut().pending = Some(answer);
        Ok(())
    }

    fn written(&mut self, wait: bool) -> Result<bool, StateError> {
        let state = self.state.get_mut();
        if let Some(pending) = state.pending.as_ref().filter(|_| !wait) {
            let outcome = match pending.try_recv() {
                Ok(outcome) => outcome,
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => Err(lost()),
            };
            (state.pending, state.failed) = (None, outcome.err());
        }
        self.settle_to_write().map(|()| true)
    }

    fn is_busy(&self) -> bool {
        self.queue.waiting.load(Relaxed) > 0
    }

    fn writer(&self) -> Option<Box<dyn RunWriter>> {
        self.engine.writer()
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        self.settle_to_write()?;
        self.engine.drop_range(from, to)
    }

    fn offset(&self) -> Result<Option<i64>, StateError> {
        self.settle()?;
        self.engine.offset()
    }

    fn is_empty(&self) -> Result<bool, StateError> {
        self.settle()?;
        self.engine.is_empty()
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        // What was on its way is not wanted any more, nor whether it failed.
        let _ = self.settle();
        self.state.get_mut().failed = None;
        self.engine.wipe()
    }

    fn size_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    fn approximate_entries(&self) -> u64 {
        self.engine.approximate_entries()
    }

    fn property(&self, name: &str) -> Option<u64> {
        self.engine.property(name)
    }

    fn statistics(&self) -> Option<Statistics> {
        let engine = self.engine.statistics()?;
        Some(Statistics { stalls: engine.stalls.and(self.state.borrow().stalls), ..engine })
    }

    fn scratch_directory(&self) -> Option<&Path> {
        self.engine.scratch_directory()
    }

    fn files(&self) -> Option<Arc<dyn EngineFiles>> {
        self.engine.files()
    }

    fn identity(&self) -> Result<Option<Identity>, StateError> {
        self.settle()?;
        self.engine.identity()
    }

    fn claim(&self) -> Option<&Identity> {
        self.engine.claim()
    }

    fn set_claim(&mut self, identity: Identity) {
        self.engine.set_claim(identity);
    }

    fn corrupt(&self, store: &str, message: String) -> StateError {
        self.engine.corrupt(store, message)
    }

    fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }
}
