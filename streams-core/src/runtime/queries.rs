//! How a query reaches a store: it is posted, each stream thread answers it for its own tasks between two batches of records, and who
//! asked puts the answers together.
//!
//! In: a request, from any thread. Out: the results of the partitions that are here, or why a thread did not answer. No store is
//! locked: it is read by the thread that owns it. A thread that is asked nothing pays one relaxed load a turn; one that waits for
//! records is woken. Global stores have a lock of their own and are read by who asks.
//!
//! A query that was given up is withdrawn. Threads that ended without an answer, or are late, are an error: else an answer could be
//! "no such key" because nobody looked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::State;
use super::instance::{Instance, lock};
use super::shared::{Planned, Shared};
use super::stream_thread::StreamThread;
use super::tasks::OwnedTask;
use super::threads::{global_thread_name, thread_name};
use crate::client::Waker;
use crate::query::{Position, QueryError, QueryResult, Sight, Stale, StateQueryRequest, StateQueryResult};
use crate::topology::Topology;
use crate::types::TopicPartition;

/// How long a wait lasts before the living threads are counted again.
const COUNT_AGAIN: Duration = Duration::from_millis(100);

/// Where threads find what is asked of them.
#[derive(Default)]
pub(crate) struct Queries {
    /// How many queries are open: all that a thread looks at otherwise.
    open: AtomicUsize,
    posted: Mutex<Vec<Arc<dyn Posted>>>,
    wakers: Mutex<BTreeMap<usize, Waker>>,
    /// What the global stores have seen, at least.
    global_inputs: Mutex<Vec<(TopicPartition, i64)>>,
}

/// A query that waits for answers, whatever its result.
trait Posted: Send + Sync {
    fn store(&self) -> &str;
    fn waits_for(&self, thread: usize) -> bool;
    /// What thread number `thread` has of the store.
    fn answer(&self, thread: usize, sights: Vec<Sight<'_>>);
}

/// A query, and what was answered so far.
pub(super) struct OpenQuery<R> {
    request: StateQueryRequest<R>,
    answers: Mutex<Answers<R>>,
    changed: Condvar,
}

struct Answers<R> {
    results: BTreeMap<i32, QueryResult<R>>,
    answered: BTreeSet<usize>,
}

/// Threads that did not answer.
pub(super) enum Unanswered {
    Late(BTreeSet<usize>),
    Ended(BTreeSet<usize>),
}

impl Queries {
    /// Thread number `thread` waits in polls of a consumer with this waker.
    pub(super) fn wake_with(&self, thread: usize, waker: Option<Waker>) {
        let mut wakers = lock(&self.wakers);
        match waker {
            Some(waker) => wakers.insert(thread, waker),
            None => wakers.remove(&thread),
        };
    }

    /// Puts a query where the threads find it.
    pub(super) fn post<R: Send + 'static>(&self, request: &StateQueryRequest<R>) -> Arc<OpenQuery<R>> {
        let query = Arc::new(OpenQuery {
            request: request.clone(),
            answers: Mutex::new(Answers { results: BTreeMap::new(), answered: BTreeSet::new() }),
            changed: Condvar::new(),
        });
        lock(&self.posted).push(query.clone());
        self.open.fetch_add(1, Ordering::SeqCst);
        let wakers: Vec<Waker> = lock(&self.wakers).values().cloned().collect();
        wakers.iter().for_each(|wake| wake());
        query
    }

    /// No thread need answer any more.
    pub(super) fn withdraw<R: Send + 'static>(&self, query: &Arc<OpenQuery<R>>) {
        let mine = Arc::as_ptr(query).cast::<()>();
        let mut posted = lock(&self.posted);
        let before = posted.len();
        posted.retain(|open| Arc::as_ptr(open).cast::<()>() != mine);
        self.open.fetch_sub(before - posted.len(), Ordering::SeqCst);
    }

    fn waiting_for(&self, thread: usize) -> Vec<Arc<dyn Posted>> {
        lock(&self.posted).iter().filter(|query| query.waits_for(thread)).cloned().collect()
    }

    /// The global stores have seen these inputs up to these next offsets. Told after each batch, asked seldom: a position is made of
    /// it by who asks.
    pub(super) fn global_stores_are_at(&self, inputs: &[TopicPartition], next: &[i64]) {
        let mut known = lock(&self.global_inputs);
        if known.len() != inputs.len() {
            *known = inputs.iter().map(|input| (input.clone(), 0)).collect();
        }
        known.iter_mut().zip(next).for_each(|(known, next)| known.1 = *next);
    }

    fn global_position(&self) -> Position {
        let inputs = lock(&self.global_inputs);
        Position::before(inputs.iter().map(|(input, next)| (input, Some(*next))))
    }
}

impl<R: Send + 'static> Posted for OpenQuery<R> {
    fn store(&self) -> &str {
        self.request.store_name()
    }

    fn waits_for(&self, thread: usize) -> bool {
        !self.locked().answered.contains(&thread)
    }

    fn answer(&self, thread: usize, sights: Vec<Sight<'_>>) {
        let meant = |sight: &Sight<'_>| sight.partition.filter(|partition| self.request.means(*partition));
        let asked = |sight: Sight<'_>| Some((meant(&sight)?, self.request.answer(sight)));
        let results: Vec<(i32, QueryResult<R>)> = sights.into_iter().filter_map(asked).collect();
        let mut answers = self.locked();
        for (partition, result) in results {
            // A task that moved while the query is open is answered for twice.
            if answers.results.get(&partition).is_none_or(|known| known.result.is_err()) {
                answers.results.insert(partition, result);
            }
        }
        answers.answered.insert(thread);
        self.changed.notify_all();
    }
}

impl<R> OpenQuery<R> {
    /// Waits until all of `expected` answered, or all partitions that are meant are there.
    pub(super) fn wait(
        &self,
        expected: BTreeSet<usize>,
        living: impl Fn() -> BTreeSet<usize>,
    ) -> Result<(), Unanswered> {
        // None: so far away that it never comes.
        let deadline = Instant::now().checked_add(self.request.timeout());
        let mut answers = self.locked();
        loop {
            let missing: BTreeSet<usize> = expected.difference(&answers.answered).copied().collect();
            let all_there = |meant: &BTreeSet<i32>| meant.iter().all(|it| answers.results.contains_key(it));
            if missing.is_empty() || self.request.partitions().is_some_and(all_there) {
                return Ok(());
            }
            let ended: BTreeSet<usize> = missing.difference(&living()).copied().collect();
            if !ended.is_empty() {
                return Err(Unanswered::Ended(ended));
            }
            let left = deadline.map_or(COUNT_AGAIN, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Unanswered::Late(missing));
            }
            let waited = self.changed.wait_timeout(answers, left.min(COUNT_AGAIN));
            answers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was answered.
    pub(super) fn results(&self, all: &[i32]) -> StateQueryResult<R> {
        StateQueryResult::of(&self.request, std::mem::take(&mut self.locked().results), all)
    }

    fn locked(&self) -> MutexGuard<'_, Answers<R>> {
        lock(&self.answers)
    }
}

impl Planned {
    /// The partitions of a store, wherever they are.
    pub(super) fn partitions_of_store(&self, store: &str) -> Vec<i32> {
        let Some(id) = self.topology.find_store(store) else { return Vec::new() };
        let mut parts = self.plan.subtopologies.iter();
        let Some(part) = parts.find(|part| part.stores.contains(&id)) else { return Vec::new() };
        let tasks = self.plan.tasks.iter().filter(|task| task.subtopology == part.id);
        tasks.map(|task| task.partition).collect()
    }
}

/// Asks the threads of an instance.
pub(super) fn query<R: Send + 'static>(
    instance: &Instance,
    (application_id, topology): (&str, &Topology),
    request: &StateQueryRequest<R>,
) -> Result<StateQueryResult<R>, QueryError> {
    let shared = askable(instance, topology, request.store_name())?;
    if let Some(result) = shared.ask_global(instance, request) {
        return Ok(result);
    }
    let partitions = shared.planned().partitions_of_store(request.store_name());
    let living = || instance.answering_threads();
    let expected = living();
    let query = shared.queries.post(request);
    // The last thread that ends unlocks the state directory: not who waits for an answer.
    let held = Arc::downgrade(&shared);
    drop(shared);
    let waited = query.wait(expected, living);
    if let Some(shared) = held.upgrade() {
        shared.queries.withdraw(&query);
    }
    let names = |threads: BTreeSet<usize>| {
        threads.into_iter().map(|index| thread_name(application_id, index)).collect::<Vec<_>>()
    };
    let store = || request.store_name().to_owned();
    match waited {
        Ok(()) => Ok(query.results(&partitions)),
        Err(Unanswered::Late(threads)) => {
            Err(QueryError::Timeout { store: store(), threads: names(threads), timeout: request.timeout() })
        }
        Err(Unanswered::Ended(threads)) => {
            Err(QueryError::ThreadEnded { store: store(), threads: names(threads) })
        }
    }
}

/// What the threads work with, if the application can be asked for this store.
fn askable(instance: &Instance, topology: &Topology, store: &str) -> Result<Arc<Shared>, QueryError> {
    let used = || topology.stores.iter().filter(|spec| !spec.processors.is_empty());
    if !used().any(|spec| &*spec.name == store) {
        let known = used().map(|spec| spec.name.to_string()).collect();
        return Err(QueryError::UnknownStore { store: store.to_owned(), known });
    }
    let state = lock(&instance.status).state;
    let shared = instance.shared.get().and_then(std::sync::Weak::upgrade);
    match shared {
        Some(shared) if state.is_running_or_rebalancing() => Ok(shared),
        None if state == State::Created || state.is_running_or_rebalancing() => {
            Err(QueryError::NotStarted { store: store.to_owned() })
        }
        Some(_) | None => Err(QueryError::Stopped { store: store.to_owned(), state: state.to_string() }),
    }
}

impl Shared {
    /// What a global store says; `None` if it is none.
    pub(super) fn ask_global<R>(
        &self,
        instance: &Instance,
        request: &StateQueryRequest<R>,
    ) -> Option<StateQueryResult<R>> {
        let store = self.global_stores.iter().find(|store| **store.name() == *request.store_name())?;
        let by = global_thread_name(&self.config.application_id);
        let position = self.queries.global_position();
        let filled = lock(&instance.status).global_ready;
        let why = || Stale::Behind(format!("the global store `{}` is still being filled", store.name()));
        let sight = Sight { stale: (!filled).then(why), ..Sight::global(store, position, &by) };
        Some(StateQueryResult::global(request.answer(sight)))
    }
}

impl Instance {
    /// The stream threads that turn their cranks.
    fn answering_threads(&self) -> BTreeSet<usize> {
        let status = lock(&self.status);
        let living = status.threads.iter().filter(|member| status.global_ready && member.is_alive());
        living.filter_map(|member| member.index).collect()
    }
}

impl StreamThread {
    /// Answers what is asked of this thread's stores: once a turn, between two batches of records.
    #[inline]
    pub(super) fn answer_queries(&self) {
        if self.shared.queries.open.load(Ordering::Relaxed) != 0 {
            self.answer_open_queries();
        }
    }

    #[cold]
    fn answer_open_queries(&self) {
        for query in self.shared.queries.waiting_for(self.index) {
            query.answer(self.index, self.sights(query.store()));
        }
    }

    /// What this thread has of a store.
    fn sights(&self, store: &str) -> Vec<Sight<'_>> {
        let own = self.tasks.iter().filter_map(|owned| self.sight(owned, store, false));
        own.chain(self.kept.iter().filter_map(|owned| self.sight(owned, store, true))).collect()
    }

    /// A task's share of a store. `leaving`: the group took its partitions away, and has not said yet who gets them.
    fn sight<'a>(&'a self, owned: &'a OwnedTask, store: &str, leaving: bool) -> Option<Sight<'a>> {
        let (task, state) = (&owned.task, owned.task.state());
        let instance = &state.find(store)?.instance;
        let id = task.id();
        let stale = if state.restores_in_bulk(store) {
            Some(Stale::Unreadable(format!(
                "task {id} restores store `{store}` from its changelog, and it cannot be read before it is restored"
            )))
        } else if leaving {
            Some(Stale::Behind(format!(
                "the partitions of task {id} were revoked: a rebalance is on its way"
            )))
        } else if !owned.is_running() {
            Some(Stale::Behind(format!(
                "task {id} restores: {} changelog records are left",
                self.restorer.left()
            )))
        } else {
            None
        };
        let position = if stale.is_none() { task.position() } else { Position::empty() };
        Some(Sight { stale, ..Sight::task(instance, id.partition, position, &self.name) })
    }
}
