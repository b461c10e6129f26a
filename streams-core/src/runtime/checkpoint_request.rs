//! A checkpoint of a running application: one request that goes round its threads, and what they answer.
//!
//! In: a request. Each thread, at its next commit, between two batches of records, gives its stores' rows to their engines and
//! lets them copy their files: links. Out: the copies with their manifest. Engines hold committed rows only, so a copy is
//! right at any time, also of a task that still restores: the offset of each store says how far it goes.
//!
//! Tasks may move while the request is open. A thread whose partitions are revoked takes its answer back, and one that is
//! between two assignments does not answer, so that a task that comes to another thread is copied there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use streams_state::checkpoint::{Checkpoint, CheckpointDraft, CheckpointedStore, CheckpointedTask};
use streams_state::directory::StateDirectory;
use streams_state::engine::FoundStore;
use streams_state::error::StateError;
use streams_state::types::{TaskId, Timestamp};

use super::StreamsError;
use super::clock::SystemClock;
use super::shared::Shared;
use super::stream_thread::{StreamThread, Trouble};
use crate::client::embedded::Clock;
use crate::config::StreamsConfig;

/// Name and topic of each store of a task.
pub(super) type StoreTopics = Vec<(Arc<str>, Option<Arc<str>>)>;
/// What was copied, by task; the global stores have no task.
type Copies = BTreeMap<Option<TaskId>, StoreTopics>;
/// Number of a stream thread; the thread of the global stores has none.
type Member = Option<usize>;

/// How long a wait lasts before the living threads are counted again.
const COUNT_AGAIN: Duration = Duration::from_millis(100);

/// The place where threads find the request and leave their answers.
#[derive(Default)]
pub(crate) struct Checkpoints {
    /// Whether there is a request: all that a thread looks at otherwise.
    open: AtomicBool,
    request: Mutex<Option<Request>>,
    changed: Condvar,
}

/// The one request.
struct Request {
    staging: PathBuf,
    answered: BTreeSet<Member>,
    copies: Copies,
    error: Option<StateError>,
}

impl Checkpoints {
    /// Asks all threads to copy their tasks into `staging`.
    fn begin(&self, staging: PathBuf) -> Result<(), StreamsError> {
        let mut request = self.locked();
        if request.is_some() {
            return Err(StreamsError::IllegalState(
                "a checkpoint is being taken already; wait until it is there".to_owned(),
            ));
        }
        *request = Some(Request { staging, answered: BTreeSet::new(), copies: BTreeMap::new(), error: None });
        self.open.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Waits until all of `living` answered, up to `timeout`. `Err` has those who did not.
    pub(super) fn wait(
        &self,
        timeout: Duration,
        living: impl Fn() -> BTreeSet<Member>,
    ) -> Result<(), BTreeSet<Member>> {
        let deadline = Instant::now() + timeout;
        let mut request = self.locked();
        loop {
            let Some(open) = &*request else { return Ok(()) };
            let missing: BTreeSet<Member> = living().difference(&open.answered).copied().collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if missing.is_empty() || open.error.is_some() {
                return Ok(());
            } else if left.is_zero() {
                return Err(missing);
            }
            let waited = self.changed.wait_timeout(request, left.min(COUNT_AGAIN));
            request = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// No thread need answer any more. Gives what was copied, and where. The request stays until it is [forgotten](Self::forget).
    fn close(&self) -> (PathBuf, Result<Copies, StateError>) {
        self.open.store(false, Ordering::SeqCst);
        let mut request = self.locked();
        let Some(Request { staging, copies, error, .. }) = &mut *request else {
            return (PathBuf::new(), Ok(Copies::new()));
        };
        let copies = std::mem::take(copies);
        (staging.clone(), error.take().map_or(Ok(copies), Err))
    }

    /// Makes room for the next request.
    fn forget(&self) {
        *self.locked() = None;
    }

    /// Whether `member` is to copy its tasks.
    pub(super) fn wants(&self, member: Member) -> bool {
        let waits = |request: &Request| !request.answered.contains(&member);
        self.open.load(Ordering::Relaxed) && self.locked().as_ref().is_some_and(waits)
    }

    /// Copies `task` with `copy`, which is given the directory to make, unless that was done before it came to this thread.
    pub(super) fn copy(
        &self,
        task: Option<TaskId>,
        stores: StoreTopics,
        copy: impl FnOnce(&Path) -> Result<(), StateError>,
    ) {
        let staging = match &*self.locked() {
            Some(request) if !request.copies.contains_key(&task) => request.staging.clone(),
            Some(_) | None => return,
        };
        let copied = copy(&staging.join(name(task)));
        let mut request = self.locked();
        let Some(request) = request.as_mut().filter(|request| request.staging == staging) else { return };
        match copied {
            Ok(()) => drop(request.copies.insert(task, stores)),
            Err(error) => drop(request.error.get_or_insert(error)),
        }
    }

    /// All tasks of `member` are copied.
    pub(super) fn answered(&self, member: Member) {
        if let Some(request) = &mut *self.locked() {
            request.answered.insert(member);
        }
        self.changed.notify_all();
    }

    /// `member` gets other tasks: it is to answer again.
    pub(super) fn take_back(&self, member: Member) {
        if self.open.load(Ordering::Relaxed)
            && let Some(request) = &mut *self.locked()
        {
            request.answered.remove(&member);
        }
    }

    fn locked(&self) -> MutexGuard<'_, Option<Request>> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Directory of a task in a checkpoint, as in the state directory.
fn name(task: Option<TaskId>) -> String {
    task.map_or("global".to_owned(), |task| task.to_string())
}

impl Shared {
    /// Asks all threads for copies of their tasks; the answers become a checkpoint in `place`.
    pub(crate) fn begin_checkpoint(&self, place: &Path) -> Result<CheckpointDraft, StreamsError> {
        // A name of its own: a thread that is late with an earlier request does not write into this one.
        self.checkpoints.begin(self.directory.staging().join(uuid::Uuid::new_v4().to_string()))?;
        let draft = CheckpointDraft::begin(place, &self.directory);
        if draft.is_err() {
            self.clear_checkpoint(&self.checkpoints.close().0);
        }
        Ok(draft?)
    }

    /// Puts together what the threads copied. Whatever `waited` says, the request is over.
    pub(crate) fn end_checkpoint(
        &self,
        draft: CheckpointDraft,
        waited: Result<(), StreamsError>,
        taken_at: Timestamp,
    ) -> Result<Checkpoint, StreamsError> {
        let (staging, copies) = self.checkpoints.close();
        let finished = waited.and_then(|()| {
            let mut copies = copies?;
            let global = copies.remove_entry(&None);
            let tasks = copies.into_iter().chain(global);
            let tasks = tasks.map(|(task, stores)| self.checkpointed(&draft, &staging, task, stores));
            let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
            let engine = self.engines.name();
            let manifest = Checkpoint::new(&*self.config.application_id, engine, taken_at, tasks);
            Ok(draft.finish(manifest)?)
        });
        self.clear_checkpoint(&staging);
        finished
    }

    fn clear_checkpoint(&self, staging: &Path) {
        if let Err(error) = std::fs::remove_dir_all(staging)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %staging.display(), "copies stay until the next start: {error}");
        }
        self.checkpoints.forget();
    }

    /// Takes the copy of a task into the draft. What it holds is asked of the copy itself, which shows that it can be opened.
    fn checkpointed(
        &self,
        draft: &CheckpointDraft,
        staging: &Path,
        task: Option<TaskId>,
        stores: StoreTopics,
    ) -> Result<CheckpointedTask, StateError> {
        let task = name(task);
        let staged = staging.join(&task);
        let (mut files, mut found): (_, Vec<FoundStore>) = (Vec::new(), Vec::new());
        if staged.exists() {
            files = draft.take(&task, &staged)?;
            found = self.engines.read(&draft.task_dir(&task))?;
        }
        let store = |(name, topic): (Arc<str>, Option<Arc<str>>)| {
            let engine = found.iter().find(|(found, _)| **found == *name).map(|(_, engine)| engine);
            Ok(CheckpointedStore {
                name: name.to_string(),
                topic: topic.map(|topic| topic.to_string()),
                offset: engine.map_or(Ok(None), |engine| engine.offset())?,
                kept: engine.is_some(),
                bytes: engine.map_or(0, |engine| engine.size_bytes()),
                rows: engine.map_or(0, |engine| engine.approximate_entries()),
            })
        };
        let stores = stores.into_iter().map(store).collect::<Result<Vec<_>, StateError>>()?;
        Ok(CheckpointedTask { task, stores, files })
    }
}

/// `state.start.from`: tasks without local state begin with that of the checkpoint. One that cannot be used is an error for an
/// application without any state, and a warning for one that has some.
pub(super) fn start_from(
    config: &StreamsConfig,
    directory: &StateDirectory,
    engine: &str,
) -> Result<(), StateError> {
    let Some(from) = &config.state_start_from else { return Ok(()) };
    let ages = (SystemClock.now_ms(), config.state_start_from_max_age);
    let usable = |checkpoint: Checkpoint| {
        checkpoint.check(from, (&config.application_id, engine), ages)?;
        Ok(checkpoint)
    };
    let checkpoint = match Checkpoint::read(from).and_then(usable) {
        // The setting stays in a configuration for longer than the checkpoint is of use.
        Err(error) if !directory.tasks()?.is_empty() || directory.global_dir().exists() => {
            tracing::warn!("the application goes on with its own state: {error}");
            return Ok(());
        }
        checked => checked?,
    };
    let tasks = checkpoint.take_over(from, directory)?;
    tracing::info!(checkpoint = %from.display(), ?tasks, "state taken over");
    Ok(())
}

impl StreamThread {
    /// Whether a checkpoint waits for this thread, which has its tasks together.
    pub(super) fn owes_checkpoint(&self) -> bool {
        self.shared.checkpoints.wants(Some(self.index)) && self.has_its_tasks()
    }

    /// Copies all tasks, after a commit. `settled`: nothing uncommitted is left, so that rows may go to the engines first.
    pub(super) fn answer_checkpoint(&mut self, settled: bool) -> Result<(), Trouble> {
        let checkpoints = &self.shared.checkpoints;
        for owned in self.tasks.iter_mut() {
            if settled && owned.is_running() {
                owned.task.flush()?;
            }
            let (id, state) = (owned.task.id(), owned.task.state());
            let topics = state.store_topics();
            if !topics.is_empty() {
                checkpoints.copy(Some(id), topics, |directory| state.copy_files(directory));
            }
        }
        checkpoints.answered(Some(self.index));
        Ok(())
    }
}
