//! Step 5, store: the stores of a task, from opening to the last flush.
//!
//! In: store specifications and an engine provider. Out: store instances for the nodes, changelog records in the outbox, and
//! decisions about when committed updates go to the engines. Nothing uncommitted ever reaches an engine.

use std::path::Path;
use std::sync::Arc;

use streams_state::engine::identity::claim;
use streams_state::engine::{Engine, EngineFiles, EngineProvider, Identity, InMemoryProvider};
use streams_state::error::StateError;
use streams_state::memory::MemoryShare;
use streams_state::store::{BulkRestore, StoreOperation, Unflushed};
use streams_state::types::{TaskId, TopicPartition};

use super::{LifecycleNode, TaskOptions};
use crate::error::{NodeResult, TaskError, TaskErrorCause};
use crate::processor::{OutTopic, Outbox, StoreInstance, TaskContext};
use crate::record::RawRecord;
use crate::topology::{HashOrder, NodeId, NodeKind, OpenStore, StoreFormat, StoreId, StoreSpec, Topology};

/// When committed updates go to the engines: as soon as one of the limits is reached, over all stores of the task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlushPolicy {
    /// Bytes of distinct rows that the engines do not have yet.
    pub bytes_max: u64,
    /// Changelog records that a crash would have to replay.
    pub records_max: u64,
    /// Whether the task waits for the flush before when there is twice as much: engines that do not keep up hold it up. Else it goes
    /// on, and flushes later.
    pub waits: bool,
}

/// A store of a task.
pub struct TaskStore {
    /// Name.
    pub name: Arc<str>,
    /// The store.
    pub instance: StoreInstance,
    /// Where it is restored from: its changelog, or the source topic that serves as one.
    pub changelog: Option<TopicPartition>,
    /// Whether `changelog` is a source topic: then nothing is written to it, and it reaches as far as the consumer.
    pub source_changelog: bool,
    /// A global store lives outside of the task: it is not flushed, committed or closed here.
    pub global: bool,
    /// The changelog in the outbox.
    out: Option<OutTopic>,
    forwarder: Option<LifecycleNode>,
    /// It holds updates back in a record cache.
    pub(super) caching: bool,
    /// Next changelog offset to read after what is committed.
    reached: Option<i64>,
    /// Restored in bulk past the store, which does not know what its engine holds.
    in_bulk: bool,
}

/// The stores of a task, in registration order.
pub struct StateManager {
    stores: Vec<TaskStore>,
    /// The files of the stores that are on disk.
    files: Option<Arc<dyn EngineFiles>>,
    partition: i32,
    memory: MemoryShare,
    pass: CachePass,
}

/// Where a pass over the record caches is.
#[derive(Default)]
struct CachePass {
    /// How many were before it.
    number: usize,
    /// The store that comes next.
    store: usize,
    /// Some store held something back.
    held_back: bool,
}

/// The stores that `nodes` use, in Kafka Streams' registration order: by the first node that uses them.
pub fn stores_of(topology: &Topology, nodes: &[NodeId]) -> Vec<StoreId> {
    let mut order: Vec<StoreId> = Vec::new();
    for node in nodes {
        if let NodeKind::Processor { stores, .. } = &topology.node(*node).kind {
            let mut names = HashOrder::new();
            stores.iter().for_each(|store| names.add(&topology.store(*store).name));
            for store in names.names().into_iter().filter_map(|name| topology.find_store(name)) {
                if !order.contains(&store) {
                    order.push(store);
                }
            }
        }
    }
    order
}

impl StateManager {
    /// Opens the stores of the task's nodes. Global stores are taken from the options.
    pub fn open(options: &TaskOptions<'_>, context: &mut TaskContext) -> NodeResult<Self> {
        let specs: Vec<&StoreSpec> = stores_of(options.topology, options.nodes)
            .into_iter()
            .map(|store| options.topology.store(store))
            .collect();
        let lent = options.global_feed.as_ref().map_or(&[][..], |feed| &feed.stores);
        let given = |spec: &StoreSpec| lent.iter().find(|(name, _)| *name == spec.name);
        let own: Vec<&StoreSpec> = specs.iter().copied().filter(|spec| given(spec).is_none()).collect();
        let opened = open_engines(options, &own).map_err(|error| context.state_error("", error))?;
        let files = opened.iter().find_map(|engine| engine.files());
        let mut engines = opened.into_iter();
        let mut stores = Vec::with_capacity(specs.len());
        let buffer_max_bytes = options.buffers_max_bytes / own.len().max(1) as u64;
        for spec in specs {
            let instance = match given(spec) {
                Some((_, instance)) => instance.clone(),
                None => {
                    let Some(mut engine) = engines.next() else {
                        return Err(context.wiring_error(&format!("no engine for store `{}`", spec.name)));
                    };
                    claim(&mut *engine, identity(options, spec), &options.directory)
                        .map_err(|error| context.state_error("", error))?;
                    let open = OpenStore {
                        name: spec.name.clone(),
                        engine,
                        in_memory: spec.in_memory,
                        headers: spec.format == StoreFormat::Headers,
                        caching: spec.caching && options.caching,
                        logging: writes_changelog(spec),
                        tier_max_bytes: options.memory.tiers_max(),
                        buffer_max_bytes,
                        changelog: spec.serde_topic(&options.application_id),
                    };
                    (spec.factory)(open).map_err(|error| context.state_error("", error))?
                }
            };
            stores.push(task_store(options, spec, instance, given(spec).is_some(), context));
        }
        let (partition, memory) = (options.task.partition, options.memory.share());
        Ok(Self { stores, files, partition, memory, pass: CachePass::default() })
    }

    /// The stores, in registration order.
    pub fn stores(&self) -> &[TaskStore] {
        &self.stores
    }

    /// Name and instance of each store, for the nodes.
    pub fn instances(&self) -> Vec<(Arc<str>, StoreInstance)> {
        self.stores.iter().map(|store| (store.name.clone(), store.instance.clone())).collect()
    }

    /// The store of this name.
    pub fn find(&self, name: &str) -> Option<&TaskStore> {
        self.stores.iter().find(|store| &*store.name == name)
    }

    /// Remembers the nodes that forward the updates of cached stores.
    pub(super) fn forward_caches(&mut self, forwarders: &[(Arc<str>, LifecycleNode)]) {
        for store in &mut self.stores {
            let forwarder = forwarders.iter().find(|(name, _)| *name == store.name);
            store.forwarder = forwarder.map(|(_, node)| node.clone());
        }
    }

    /// Applies a changelog record to store number `store`, while restoring. A record without key is skipped.
    pub fn restore(&mut self, store: usize, record: &RawRecord<'_>) -> Result<(), StateError> {
        let Some(store) = self.stores.get(store) else {
            return Ok(());
        };
        match record.changelog_record() {
            Some(record) => store.instance.state.borrow_mut().restore_record(&record),
            None => {
                tracing::warn!(store = &*store.name, "a changelog record without key was skipped");
                Ok(())
            }
        }
    }

    /// When the restore of store number `store` begins, if that is measured.
    pub(crate) fn restore_begins(&self, store: usize) -> Option<u64> {
        self.stores.get(store)?.instance.state.borrow_mut().operation_meters()?.begin()
    }

    /// The restore of store number `store`, which began then, has reached its end.
    pub(crate) fn restore_ended(&self, store: usize, began: Option<u64>) {
        if let Some(store) = self.stores.get(store)
            && let Some(meters) = store.instance.state.borrow_mut().operation_meters()
        {
            meters.end(StoreOperation::Restore, began);
        }
    }

    /// What restores store number `store` in bulk, while the store is not used. `None` if it cannot.
    pub fn begin_bulk_restore(&mut self, store: usize) -> Result<Option<BulkRestore>, StateError> {
        let Some(store) = self.stores.get_mut(store) else { return Ok(None) };
        let mut state = store.instance.state.borrow_mut();
        state.flush()?;
        let restore = state.bulk_restore()?;
        store.in_bulk = restore.is_some();
        Ok(restore)
    }

    /// Store number `store` opens anew over what was restored in bulk.
    pub fn end_bulk_restore(&mut self, store: usize) -> Result<(), StateError> {
        let Some(store) = self.stores.get_mut(store) else { return Ok(()) };
        if std::mem::take(&mut store.in_bulk) {
            store.instance.state.borrow_mut().reopen()?;
            store.reached = store.restore_offset();
        }
        Ok(())
    }

    /// Whether the store of this name is restored past the store, which does not know its rows.
    pub(crate) fn restores_in_bulk(&self, name: &str) -> bool {
        self.find(name).is_some_and(|store| store.in_bulk)
    }

    /// The same for all stores, some of which may be restored in part.
    pub fn end_bulk_restores(&mut self) -> Result<(), StateError> {
        (0..self.stores.len()).try_for_each(|store| self.end_bulk_restore(store))
    }

    /// Store number `store` is restored up to changelog offset `next` (the next one to read).
    pub fn restored(&mut self, store: usize, next: i64) {
        if let Some(store) = self.stores.get_mut(store) {
            store.reached = Some(next);
            store.instance.state.borrow_mut().committed(Some(next));
        }
    }

    /// Forwards what cached stores hold back, in registration order; a cached store that nobody forwards only goes to
    /// its changelog. A store that was written again by what came after it is flushed again, so that nothing is held
    /// back when offsets are committed (Kafka Streams would leave it to the next commit, and lose it in a crash).
    ///
    /// Ends after about `max` updates, and goes on from there when it is called again; returns whether none is left.
    pub fn flush_caches(&mut self, context: &mut TaskContext, max: usize) -> NodeResult<bool> {
        while self.pass.number <= self.stores.len() {
            for (at, store) in self.stores.iter().enumerate().skip(self.pass.store) {
                if store.caching && store.instance.state.borrow().cached_bytes() > 0 {
                    self.pass.held_back = true;
                    if !store.flush_cache(context, max)? {
                        self.pass.store = at;
                        return Ok(false);
                    }
                }
            }
            if !std::mem::take(&mut self.pass.held_back) {
                self.pass = CachePass::default();
                return Ok(true);
            }
            self.pass = CachePass { number: self.pass.number + 1, ..CachePass::default() };
        }
        Err(context.wiring_error("the record caches of a task fill each other without end"))
    }

    /// Asks the stores that log at commits only to do so now: after the caches, before the changelogs are drained.
    pub fn prepare_commit(&self) -> Result<(), StateError> {
        self.own().try_for_each(|store| store.instance.state.borrow_mut().prepare_commit())
    }

    /// Moves new changelog entries of all stores to the outbox.
    pub fn drain_changelogs(&self, outbox: &mut Outbox) -> Result<(), StateError> {
        for store in self.own() {
            store.instance.state.borrow_mut().drain_changelog(&mut |entry| {
                if let Some(topic) = store.out {
                    let timestamp = Some(entry.timestamp).filter(|timestamp| *timestamp >= 0);
                    let partition = Some(self.partition);
                    outbox.push(
                        topic,
                        partition,
                        Some(entry.key),
                        entry.value,
                        timestamp,
                        entry.headers.clone(),
                    );
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Everything drained so far is committed. `reached` says how far a store that had reached an offset of its changelog
    /// partition reaches with what this task wrote (or, for a source topic that serves as changelog, consumed); `None` if no further.
    pub fn committed(&mut self, reached: &mut dyn FnMut(&TopicPartition, Option<i64>) -> Option<i64>) {
        for store in self.stores.iter_mut().filter(|store| !store.global) {
            let from = store.reached;
            if let Some(next) = store.changelog.as_ref().and_then(|changelog| reached(changelog, from)) {
                store.reached = Some(next);
            }
            store.instance.measured(StoreOperation::Commit, |state| state.committed(store.reached));
        }
    }

    /// What the engines do not have yet, over all stores.
    pub fn unflushed(&self) -> Unflushed {
        self.own().fold(Unflushed::default(), |sum, store| {
            let unflushed = store.instance.state.borrow().unflushed();
            Unflushed { records: sum.records + unflushed.records, bytes: sum.bytes + unflushed.bytes }
        })
    }

    /// Starts to give committed updates to the engines if `policy` or the memory budget says so. Returns whether it did. To be
    /// called after a commit only: no uncommitted update may be there.
    ///
    /// Waits for the flush before only if memory is short, or if `policy` says so.
    pub fn flush_if_due(&mut self, policy: FlushPolicy) -> Result<bool, StateError> {
        let unflushed = self.unflushed();
        self.memory.report(self.memory_bytes(), unflushed.bytes);
        let short = self.memory.should_flush();
        let beyond = |times: u64| {
            unflushed.bytes >= policy.bytes_max.saturating_mul(times)
                || unflushed.records >= policy.records_max.saturating_mul(times)
        };
        let must = short || (policy.waits && beyond(2));
        let written = self.finish_flush(must)?;
        let wait = !must && self.own().any(|store| store.instance.state.borrow().must_wait());
        if !(short || beyond(1)) || wait || !written || unflushed == Unflushed::default() {
            return Ok(false);
        }
        self.own().try_for_each(|store| {
            store.instance.measured(StoreOperation::Flush, |state| state.start_flush())
        })?;
        self.balance()?;
        Ok(true)
    }

    /// Whether what was on its way to the engines has arrived.
    fn finish_flush(&self, wait: bool) -> Result<bool, StateError> {
        self.own()
            .try_fold(true, |all, store| Ok(store.instance.state.borrow_mut().finish_flush(wait)? && all))
    }

    /// Reports what the stores use, and gives memory back if all tasks together use too much: also what has arrived in the
    /// engines since the last commit.
    pub fn balance(&mut self) -> Result<(), StateError> {
        self.memory.report(self.memory_bytes(), self.unflushed().bytes);
        if self.memory.target().is_none() {
            return Ok(());
        }
        self.finish_flush(false)?;
        let used = self.memory_bytes();
        self.memory.report(used, self.unflushed().bytes);
        let Some(target) = self.memory.target() else { return Ok(()) };
        for store in self.own() {
            let mut state = store.instance.state.borrow_mut();
            let part = u128::from(state.memory_bytes()) * u128::from(target) / u128::from(used.max(1));
            state.shed(part as u64);
        }
        self.memory.report(self.memory_bytes(), self.unflushed().bytes);
        Ok(())
    }

    /// Whether memory is short, and this task has much that its engines do not have yet: a commit would let them have it.
    pub fn should_flush(&self) -> bool {
        self.memory.should_flush()
    }

    /// Gives committed updates to the engines, with the changelog offsets that they reach.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.own().try_for_each(|store| store.instance.measured(StoreOperation::Flush, |state| state.flush()))
    }

    /// Copies the files of the stores that are on disk into `directory`, which is made if there are any.
    pub fn copy_files(&self, directory: &Path) -> Result<(), StateError> {
        self.files.as_ref().map_or(Ok(()), |files| files.checkpoint(directory))
    }

    /// The stores of this task alone, and the topics that they are restored from.
    pub fn store_topics(&self) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let topic = |store: &TaskStore| store.changelog.as_ref().map(|changelog| changelog.topic.clone());
        self.own().map(|store| (store.name.clone(), topic(store))).collect()
    }

    /// Deletes all data: the stores restore from the start of their changelogs.
    pub fn wipe(&mut self) -> Result<(), StateError> {
        for store in self.stores.iter_mut().filter(|store| !store.global) {
            store.reached = None;
            store.instance.state.borrow_mut().wipe()?;
        }
        Ok(())
    }

    /// Deletes all data of store number `store`: it restores from the start of its changelog.
    pub fn wipe_store(&mut self, store: usize) -> Result<(), StateError> {
        let Some(store) = self.stores.get_mut(store) else {
            return Ok(());
        };
        store.reached = None;
        store.instance.state.borrow_mut().wipe()
    }

    /// Bytes of memory that the stores use.
    pub fn memory_bytes(&self) -> u64 {
        self.own().map(|store| store.instance.state.borrow().memory_bytes()).sum()
    }

    /// Bytes of updates that record caches hold back until the next commit, about.
    pub fn cached_bytes(&self) -> u64 {
        self.own().map(|store| store.instance.state.borrow().cached_bytes()).sum()
    }

    fn own(&self) -> impl Iterator<Item = &TaskStore> {
        self.stores.iter().filter(|store| !store.global)
    }
}

impl TaskStore {
    fn flush_cache(&self, context: &mut TaskContext, max: usize) -> NodeResult<bool> {
        match &self.forwarder {
            Some(node) => node.borrow_mut().flush_cache(context, max),
            None => {
                let written = self.instance.state.borrow_mut().write_cached();
                written.map(|()| true).map_err(|error| context.state_error("", error))
            }
        }
    }

    /// The changelog offset from which the store must be restored; `None` is the start of the changelog.
    pub fn restore_offset(&self) -> Option<i64> {
        self.instance.state.borrow().offset()
    }
}

/// Whose rows the store has.
fn identity(options: &TaskOptions<'_>, spec: &StoreSpec) -> Identity {
    let changelog = spec.changelog_topic(&options.application_id);
    Identity {
        changelog_id: changelog.as_ref().and_then(|topic| options.topic_ids.get(topic).copied()),
        changelog,
        headers: spec.format == StoreFormat::Headers,
        ..Identity::new(&options.application_id, options.task, &spec.name)
    }
}

fn writes_changelog(spec: &StoreSpec) -> bool {
    spec.logging && spec.source_topic.is_none() && !spec.global
}

fn task_store(
    options: &TaskOptions<'_>,
    spec: &StoreSpec,
    instance: StoreInstance,
    global: bool,
    context: &mut TaskContext,
) -> TaskStore {
    let changelog: Option<Arc<str>> = spec.changelog_topic(&options.application_id).map(Arc::from);
    let written = changelog.as_ref().filter(|_| writes_changelog(spec));
    let out = written.map(|topic| context.outbox.topic(topic));
    let reached = instance.state.borrow().offset();
    TaskStore {
        name: spec.name.clone(),
        changelog: changelog.map(|topic| TopicPartition::new(topic, options.task.partition)),
        source_changelog: spec.source_topic.is_some(),
        global,
        out,
        forwarder: None,
        caching: spec.caching && options.caching && !global,
        reached,
        in_bulk: false,
        instance,
    }
}

/// Engines for `specs`, in their order. Stores that are in memory only get in-memory ones.
fn open_engines(options: &TaskOptions<'_>, specs: &[&StoreSpec]) -> Result<Vec<Box<dyn Engine>>, StateError> {
    let names = |in_memory: bool| -> Vec<&str> {
        specs.iter().filter(|spec| spec.in_memory == in_memory).map(|spec| &*spec.name).collect()
    };
    let open = |provider: &dyn EngineProvider, names: Vec<&str>| match names.as_slice() {
        [] => Ok(Vec::new()),
        names => provider.open(&options.directory, names),
    };
    let mut memory = open(&InMemoryProvider, names(true))?.into_iter();
    let mut others = open(options.engines, names(false))?.into_iter();
    let engine = |spec: &&StoreSpec| {
        let engine = if spec.in_memory { memory.next() } else { others.next() };
        engine.ok_or_else(|| StateError::Engine {
            store: spec.name.to_string(),
            engine: options.engines.name(),
            message: "the engine was not opened".to_owned(),
        })
    };
    specs.iter().map(engine).collect()
}

/// A store error of `task`, outside of any node.
pub(super) fn store_error(task: TaskId, error: StateError) -> Box<TaskError> {
    Box::new(TaskError {
        task: task.to_string(),
        node: String::new(),
        record: String::new(),
        cause: TaskErrorCause::State(error),
        undecided: false,
    })
}
