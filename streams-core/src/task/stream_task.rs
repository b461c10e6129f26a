//! Step 4, process: a partition's share of a topology, turned by hand.
//!
//! In: raw records, time. Out: an outbox with results and changelog records, and the offsets to commit. A task does no network
//! I/O and never reads a clock; after an error it must be dropped (the caller aborts, rewinds and makes a new one).
//!
//! ```text
//! new -> restore* -> start_at* -> init -> { add_record* -> process* -> punctuate* -> prepare_commit
//!        -> (caller: send outbox, commit offsets) -> post_commit }* -> close
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use streams_state::error::StateError;
use streams_state::types::{NO_TIMESTAMP, RecordContext, TaskId, Timestamp, TopicPartition};

use super::look_ahead::look_ahead;
use super::meters::TaskMeters;
use super::state_manager::store_error;
use super::store_meters::StoresMeters;
use super::{
    Chain, FlushPolicy, LifecycleNode, OffsetMetadata, PartitionGroup, ProcessorMetadata, RecordQueue,
    StateManager, TaskOptions, Turn,
};
use crate::client::CommittedOffset;
use crate::error::{NodeResult, TaskErrorCause, panic_text};
use crate::metrics::TaskMetrics;
use crate::processor::{DropCounts, HandledFailures, Outbox, PunctuationType, TaskContext};
use crate::query::Position;
use crate::record::RawRecord;
use crate::topology::Topology;

/// A task: queues, chains and stores of one partition.
///
/// A *slot* is the number of a source topic in the task, an index into its list of topics.
pub struct StreamTask {
    context: TaskContext,
    group: PartitionGroup,
    partitions: Vec<TopicPartition>,
    state: StateManager,
    lifecycle: Vec<LifecycleNode>,
    init_order: Vec<usize>,
    max_task_idle: Option<Duration>,
    /// A punctuator ran since the last commit.
    punctuated: bool,
    meters: TaskMeters,
    store_meters: StoresMeters,
}

impl StreamTask {
    /// Opens the stores and builds the chains. The stores are to be restored before [`init`](Self::init).
    ///
    /// # Errors
    /// A store cannot be opened, or the topology does not fit together.
    pub fn new(options: TaskOptions<'_>) -> NodeResult<Self> {
        let mut context =
            TaskContext::new(options.task, options.application_id.clone(), options.partition_counts.clone());
        context.metrics = TaskMetrics::new(options.metrics.clone(), options.tag());
        context.state_dir.clone_from(&options.directory);
        context.deserialization_handler = options.deserialization_handler.clone();
        context.processing_handler = options.processing_handler.clone();
        context.production_handler = options.production_handler.clone();
        context.outbox.record_max_bytes = options.record_max_bytes;
        context.timestamp_policy = options.timestamp_policy;
        context.app_configs.clone_from(&options.app_configs);
        let mut state = StateManager::open(&options, &mut context)?;
        let stores = state.instances();
        context.globals.clone_from(&options.global_stores);
        context.feeds_globals = options.global_feed.is_some();
        let mut chain = Chain::build(options.topology, options.nodes, &stores, &mut context)?;
        state.forward_caches(&chain.cache_forwarders);
        let partitions = chain.partitions(&options, &mut context);
        context.topics = chain.sources.iter().map(|end| end.topic.clone()).collect();
        let handlers =
            [&options.deserialization_handler, &options.processing_handler, &options.production_handler];
        let keep_raw = context.keeps_source || handlers.iter().any(|handler| handler.wants_raw());
        let sources: Vec<(Arc<str>, Arc<str>)> =
            chain.sources.iter().map(|end| (end.node.clone(), end.topic.clone())).collect();
        let meters = TaskMeters::new(&mut context.metrics, options.measures(), &sources);
        let store_meters = StoresMeters::new(&mut context.metrics, state.stores(), options.topology);
        let queues = (0_u32..)
            .zip(chain.sources)
            .map(|(slot, end)| RecordQueue::new(end.source, (end.node, end.mark), slot, keep_raw))
            .collect();
        Ok(Self {
            context,
            group: PartitionGroup::new(queues),
            partitions,
            state,
            lifecycle: chain.lifecycle,
            init_order: chain.init_order,
            max_task_idle: options.max_task_idle,
            punctuated: false,
            meters,
            store_meters,
        })
    }

    /// The task's name.
    pub fn id(&self) -> TaskId {
        self.context.task
    }

    /// Source partitions by slot, topic names with the application's prefix where they are internal.
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }

    /// Slot of a source topic.
    pub fn slot(&self, topic: &str) -> Option<u32> {
        self.partitions.iter().position(|partition| &*partition.topic == topic).map(|slot| slot as u32)
    }

    /// One more source topic, whose records go where those of `like` go. Returns its slot.
    pub(crate) fn add_topic(&mut self, like: u32, topic: &Arc<str>) -> Option<u32> {
        let slot = self.group.add_queue(like)?;
        self.partitions.push(TopicPartition::new(topic.clone(), self.context.task.partition));
        self.context.topics.push(topic.clone());
        let node = self.group.queues().get(like as usize)?.node().clone();
        self.meters.add_input(&mut self.context.metrics, &node, topic);
        Some(slot)
    }

    /// What is in the stores of each input. Right between two calls, of a task whose stores are restored.
    pub(crate) fn position(&self) -> Position {
        let inputs = self.partitions.iter().zip(self.group.queues());
        Position::before(inputs.map(|(input, queue)| (input, queue.reached())))
    }

    /// The stores: changelogs, restore offsets, instances.
    pub fn state(&self) -> &StateManager {
        &self.state
    }

    /// The stores, to restore and wipe them.
    pub fn state_mut(&mut self) -> &mut StateManager {
        &mut self.state
    }

    /// Starts after what was committed for `slot`: takes over partition time, stream time and processor metadata.
    /// The caller reads from `committed.offset`.
    pub fn start_at(&mut self, slot: u32, committed: Option<&CommittedOffset>) {
        let Some(committed) = committed else {
            return;
        };
        let metadata = OffsetMetadata::decode(&committed.metadata);
        self.context.stream_time = self.context.stream_time.max(metadata.partition_time);
        self.context.processor_metadata.merge(&metadata.processor);
        if let Some(queue) = self.group.queue_mut(slot) {
            queue.start_at(Some(committed.offset), metadata.partition_time);
        }
    }

    /// Initializes the nodes: once, after the stores are restored and before the first record.
    pub fn init(&mut self, now: Timestamp) -> NodeResult {
        self.context.wall_time = now;
        self.leave_record(NO_TIMESTAMP);
        self.guarded(|task| {
            task.init_order.iter().filter_map(|slot| Some((*slot, task.lifecycle.get(*slot)?))).try_for_each(
                |(slot, node)| {
                    task.context.node_slot = slot;
                    node.borrow_mut().init(&mut task.context)
                },
            )
        })?;
        self.drain_changelogs()
    }

    /// Appends a record to the queue in `slot`. Copies its bytes; nothing is deserialized yet.
    #[inline]
    pub fn add_record(&mut self, slot: u32, raw: RawRecord<'_>) {
        self.group.push(slot, raw);
    }

    /// Forgets records that wait: the task stays over a rebalance and reads again from the committed offsets.
    pub fn clear_queues(&mut self) {
        self.group.clear();
    }

    /// Number of records that wait in `slot`.
    #[inline]
    pub fn buffered(&self, slot: u32) -> usize {
        self.group.buffered(slot)
    }

    /// Number of records that wait in all slots.
    #[inline]
    pub fn total_buffered(&self) -> usize {
        self.group.total_buffered()
    }

    /// Whether the task may process now (`max.task.idle.ms`). See [`PartitionGroup::ready`].
    pub fn ready(&mut self, now: Timestamp, lag: &mut dyn FnMut(u32) -> Option<i64>) -> bool {
        self.group.ready(now, self.max_task_idle, lag)
    }

    /// Wall clock for the records that follow. The task never asks for it itself.
    pub fn set_wall_time(&mut self, now: Timestamp) {
        self.context.wall_time = now;
    }

    /// Processes up to `max` records in order of time; returns how many. Changelog records are in the outbox afterwards.
    ///
    /// Stops early when a queue became empty while others are not, if `max.task.idle.ms` may make the task wait for it: ask
    /// [`ready`](Self::ready) again. Also when a processor asked for a commit.
    ///
    /// # Errors
    /// The task cannot go on: it must be dropped, and what it did since the last commit must be undone.
    pub fn process(&mut self, max: usize) -> NodeResult<usize> {
        let mut count = 0;
        let timed = self.meters.times_records();
        self.guarded(|task| {
            while count < max {
                look_ahead(count, &task.group, &task.state);
                let next =
                    if timed { task.process_timed()? } else { task.group.process_next(&mut task.context)? };
                let Some(turn) = next else { break };
                count += 1;
                let must_ask = turn.drained && task.max_task_idle.is_some();
                if must_ask || task.context.commit_requested {
                    break;
                }
            }
            Ok(())
        })?;
        self.meters.take_inputs(&mut self.group, self.context.wall_time);
        self.store_meters.take_ages(self.state.stores(), self.context.wall_time);
        self.drain_changelogs()?;
        Ok(count)
    }

    /// The next record, under the clock.
    #[cold]
    fn process_timed(&mut self) -> NodeResult<Option<Turn>> {
        let began = self.context.metrics.now_ns();
        let turn = self.group.process_next(&mut self.context)?;
        if let Some(turn) = turn.filter(|turn| turn.time >= 0) {
            self.meters.process_latency.add(self.context.metrics.now_ns().saturating_sub(began) as f64);
            self.meters.lateness.add((self.context.stream_time - turn.time) as f64);
        }
        Ok(turn)
    }

    /// Largest timestamp processed; -1 before the first record.
    pub fn stream_time(&self) -> Timestamp {
        self.context.stream_time
    }

    /// Runs the schedules that are due by stream time. Returns whether any was.
    pub fn punctuate_stream_time(&mut self) -> NodeResult<bool> {
        self.punctuate(PunctuationType::StreamTime, self.context.stream_time)
    }

    /// Runs the schedules that are due by wall clock. Returns whether any was.
    pub fn punctuate_wall_clock(&mut self, now: Timestamp) -> NodeResult<bool> {
        self.context.wall_time = now;
        self.punctuate(PunctuationType::WallClockTime, now)
    }

    /// Whether a processor has scheduled anything.
    pub fn has_schedules(&self) -> bool {
        !self.context.punctuations.is_empty()
    }

    /// The earliest wall-clock time at which a schedule is due.
    pub fn next_wall_clock(&self) -> Option<Timestamp> {
        self.context.punctuations.next_wall_clock()
    }

    /// What is to be sent. The caller empties it: into a producer, or a test's output.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.context.outbox
    }

    /// Counts what is in the outbox, which is about to be sent.
    pub(crate) fn count_outbox(&mut self) {
        let context = &mut self.context;
        self.meters.take_outputs(&mut context.metrics, &mut context.outbox, context.wall_time);
    }

    /// `ns` of the turn went to this task.
    pub(crate) fn spend(&mut self, ns: u64) {
        self.meters.spend(ns);
    }

    /// The turn took `turn_ns`.
    pub(crate) fn end_turn(&mut self, turn_ns: u64) {
        self.meters.end_turn(turn_ns);
    }

    /// `records` of its changelogs were restored.
    pub(crate) fn count_restored(&mut self, records: u64) {
        self.meters.restore(records);
    }

    /// Hands what was measured to the sensors, at `now`. `restore_left`: records left to restore.
    pub(crate) fn flush_metrics(&mut self, now: Timestamp, restore_left: u64) {
        let (buffered, cached, dropped) = (self.total_buffered(), self.state.cached_bytes(), self.dropped());
        self.meters.show(buffered, cached, dropped, restore_left);
        if restore_left == 0 {
            self.store_meters.look(self.state.stores(), now);
        }
        self.store_meters.take(self.state.stores(), now);
        self.context.metrics.flush(now);
    }

    /// Measures the global stores of `topology`, which are lent to it, like its own.
    pub(super) fn measure_lent(&mut self, topology: &Topology) {
        self.store_meters = StoresMeters::of_lent(&mut self.context.metrics, self.state.stores(), topology);
    }

    /// The global stores that it feeds are full: what it processes from now on counts.
    pub(crate) fn global_stores_restored(&mut self) {
        self.meters.restored();
    }

    /// Records dropped so far: `dropped-records-total`.
    pub fn dropped(&self) -> u64 {
        self.context.drops.counts().total()
    }

    /// Records dropped so far, by reason.
    pub fn dropped_by_reason(&self) -> DropCounts {
        self.context.drops.counts()
    }

    /// Records dropped since the last call, by reason.
    pub(crate) fn take_dropped(&mut self) -> DropCounts {
        self.context.drops.take_unpublished()
    }

    /// Failures that handlers were asked about since the last call.
    pub(crate) fn take_handled(&mut self) -> HandledFailures {
        std::mem::take(&mut self.context.handled)
    }

    /// Whether a processor asked for a commit. Reset by [`post_commit`](Self::post_commit).
    pub fn commit_requested(&self) -> bool {
        self.context.commit_requested
    }

    /// Whether something happened that a commit would keep: records processed or skipped, schedules run, positions moved.
    pub fn commit_needed(&self) -> bool {
        self.punctuated
            || !self.context.outbox.records.is_empty()
            || self.context.processor_metadata.changed()
            || self.group.queues().iter().any(|queue| queue.uncommitted_offset().is_some())
    }

    /// The consumer's position in `slot`: moves the committed offset past transaction markers, so that lag reaches 0.
    /// Ignored while records wait.
    pub fn update_position(&mut self, slot: u32, position: i64) {
        if let Some(queue) = self.group.queue_mut(slot) {
            queue.update_position(position);
        }
    }

    /// Steps 2 and 3 of a commit: forwards what caches hold back, store by store in registration order, and puts all changelog records
    /// into the outbox. Ends after about `max` updates; returns whether that was all, else it is to be called again.
    pub fn prepare_commit(&mut self, max: usize) -> NodeResult<bool> {
        let all = self.guarded(|task| task.state.flush_caches(&mut task.context, max))?;
        if all {
            self.state.prepare_commit().map_err(|error| store_error(self.context.task, error))?;
        }
        self.drain_changelogs()?;
        Ok(all)
    }

    /// Offsets to commit, with their metadata: of partitions that moved since the last commit, or of all that were ever
    /// consumed if processor metadata changed. Ask after [`prepare_commit`](Self::prepare_commit).
    pub fn committable_offsets(&self) -> Vec<(TopicPartition, CommittedOffset)> {
        let all = self.context.processor_metadata.changed();
        let offset = |queue: &RecordQueue| match all {
            true => queue.next_offset(),
            false => queue.uncommitted_offset(),
        };
        let queues = self.partitions.iter().zip(self.group.queues());
        let committable = |(partition, queue): (&TopicPartition, &RecordQueue)| {
            Some((partition.clone(), self.committed_offset(queue, offset(queue)?)))
        };
        queues.filter_map(committable).collect()
    }

    /// Offsets of all partitions, though they did not move: where they are, or where the consumer will begin, which `position` says.
    pub fn unmoved_offsets<E>(
        &self,
        position: &mut dyn FnMut(&TopicPartition) -> Result<i64, E>,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>, E> {
        let queues = self.partitions.iter().zip(self.group.queues());
        let unmoved = queues.map(|(partition, queue)| {
            let offset = queue.reached().map_or_else(|| position(partition), Ok)?;
            Ok((partition.clone(), self.committed_offset(queue, offset)))
        });
        unmoved.collect()
    }

    /// `offset` with what goes with it.
    fn committed_offset(&self, queue: &RecordQueue, offset: i64) -> CommittedOffset {
        let metadata = OffsetMetadata {
            partition_time: queue.partition_time(),
            processor: self.context.processor_metadata.clone(),
        };
        CommittedOffset { offset, metadata: metadata.encode() }
    }

    /// The commit succeeded: `offsets` are those of [`committable_offsets`](Self::committable_offsets), those of other tasks
    /// may be among them; `reached` says how far a store that had reached an offset of its changelog partition reaches now, `None`
    /// if no further.
    pub fn post_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        reached: &mut dyn FnMut(&TopicPartition, Option<i64>) -> Option<i64>,
    ) {
        for (partition, committed) in offsets {
            let slot = self.partitions.iter().position(|own| own == partition);
            if let Some(queue) = slot.and_then(|slot| self.group.queue_mut(slot as u32)) {
                queue.committed(committed.offset);
            }
        }
        self.state.committed(&mut |changelog, from| {
            let consumed = offsets.iter().find(|(partition, _)| partition == changelog);
            consumed.map_or_else(|| reached(changelog, from), |(_, committed)| Some(committed.offset))
        });
        self.context.processor_metadata.committed();
        self.context.commit_requested = false;
        self.punctuated = false;
    }

    /// Gives committed updates to the engines if `policy` says so. Only right after [`post_commit`](Self::post_commit).
    pub fn flush_if_due(&mut self, policy: FlushPolicy) -> NodeResult<bool> {
        self.state.flush_if_due(policy).map_err(|error| store_error(self.context.task, error))
    }

    /// Gives all committed updates to the engines. Only right after [`post_commit`](Self::post_commit).
    pub fn flush(&mut self) -> NodeResult {
        self.state.flush().map_err(|error| store_error(self.context.task, error))
    }

    /// What operators keep in the metadata of committed offsets.
    pub fn processor_metadata(&mut self) -> &mut ProcessorMetadata {
        &mut self.context.processor_metadata
    }

    /// Closes the nodes, all of them even if one fails, and returns the first error. Committed updates stay where they are:
    /// flush before, if the last commit succeeded and a quick restart is wanted.
    pub fn close(mut self) -> NodeResult {
        self.leave_record(NO_TIMESTAMP);
        self.group.clear();
        let mut result = Ok(());
        for slot in &self.init_order {
            if let Some(node) = self.lifecycle.get(*slot) {
                let closed = node.borrow_mut().close(&mut self.context);
                result = result.and(closed);
            }
        }
        result
    }

    fn punctuate(&mut self, kind: PunctuationType, now: Timestamp) -> NodeResult<bool> {
        let mut any = false;
        while let Some(due) = self.context.punctuations.next_due(kind, now) {
            any = true;
            self.leave_record(now);
            let began = if self.meters.punctuate.records() { self.context.metrics.now_ns() } else { 0 };
            if let Some(node) = self.lifecycle.get(due.node).cloned() {
                self.guarded(|task| node.borrow_mut().punctuate(&mut task.context, due.punctuation, now))?;
            }
            if self.meters.punctuate.records() {
                self.meters.punctuate.add(self.context.metrics.now_ns().saturating_sub(began) as f64);
            }
            self.context.punctuations.done(kind, due, now);
        }
        if any {
            self.punctuated = true;
            self.drain_changelogs()?;
        }
        Ok(any)
    }

    /// Calls nodes. A panic of user code is an error that names the task and the record in work; the task is dropped after it,
    /// as after any error, so that nobody sees what the panic left half done.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Self) -> NodeResult<T>) -> NodeResult<T> {
        let outer = self.context.metrics.at_work().get();
        let worked = catch_unwind(AssertUnwindSafe(|| work(self)));
        self.context.metrics.at_work().set(outer);
        worked.unwrap_or_else(|panic| Err(self.context.error("", TaskErrorCause::Panic(panic_text(&*panic)))))
    }

    /// No record is in work now.
    fn leave_record(&mut self, timestamp: Timestamp) {
        self.context.record = RecordContext::none(timestamp);
    }

    fn drain_changelogs(&mut self) -> NodeResult {
        let drained: Result<(), StateError> = self.state.drain_changelogs(&mut self.context.outbox);
        drained.map_err(|error| store_error(self.context.task, error))
    }
}
