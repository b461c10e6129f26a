//! Partitions given and taken -> tasks opened, kept and closed.
//!
//! The group protocol is eager: all partitions are revoked, then assigned anew. Tasks stay open in between; the
//! ones that come back only restore what their changelog gained, which is nothing if no other member had them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use streams_state::types::{TaskId, TopicPartition};

use super::StreamsError;
use super::recover::Phase;
use super::restore::RestoreError;
use super::spans::Place;
use super::stream_thread::{StreamThread, Trouble};
use super::tasks::{OwnedTask, TaskPhase};
use crate::client::{ClientError, CommittedOffset, Consumer, Fault, OffsetSpec, RebalanceEvent};
use crate::topology::OffsetReset;

/// How long a thread waits for a task that another thread of this process has, ms.
const LOCK_PATIENCE_MS: i64 = 10_000;
/// Deadline for committed offsets. While a transaction that holds them is not settled they are asked for again, as long as
/// `task.timeout.ms` says.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(10);

impl StreamThread {
    /// Answers a rebalance step.
    pub(crate) fn rebalance(&mut self, event: RebalanceEvent) -> Result<(), Trouble> {
        match event {
            RebalanceEvent::Assigned(partitions) => {
                tracing::info!(thread = %self.name, ?partitions, "partitions assigned");
                self.assigned = Some(partitions);
                self.assigned_at = self.wall_time;
                self.shared.request_look();
                self.open_assigned()
            }
            RebalanceEvent::Revoked(partitions) => {
                tracing::info!(thread = %self.name, ?partitions, "partitions revoked");
                self.revoked()
            }
            RebalanceEvent::Lost(partitions) => {
                tracing::warn!(thread = %self.name, ?partitions,
                    "membership lost: others may own these partitions, uncommitted work is dropped");
                self.lost()
            }
        }
    }

    /// The topics that match a pattern are others than those subscribed to: subscribes anew, which makes the group share them
    /// out. Tasks that got other inputs are opened again with the next assignment.
    pub(crate) fn follow_plan(&mut self) -> Result<(), Trouble> {
        let planned = self.shared.planned();
        if Arc::ptr_eq(&planned, &self.planned) || self.assigned.is_some() {
            return Ok(());
        }
        self.planned = planned;
        self.subscribe()
    }

    /// Subscribes to what the plan of this thread reads. There may be nothing: no topic matches its patterns.
    pub(crate) fn subscribe(&mut self) -> Result<(), Trouble> {
        let topics = self.shared.subscription(&self.planned);
        let subscribed =
            if topics.is_empty() { self.consumer.unsubscribe() } else { self.consumer.subscribe(&topics) };
        subscribed.map_err(|error| Trouble::Client(Phase::Poll, error))
    }

    /// Commits and gives the partitions back; the tasks stay open for the next assignment.
    fn revoked(&mut self) -> Result<(), Trouble> {
        self.shared.checkpoints.take_back(Some(self.index));
        self.restorer.clear(self.shared.restore_listener.as_deref());
        let committed = self.commit();
        if committed.is_err() {
            self.drop_tasks();
        }
        self.kept.extend(self.tasks.take());
        self.consumer.complete_revoke().map_err(|error| Trouble::Client(Phase::Poll, error))?;
        // With transactions the way back from the failure does that.
        if committed.is_err() && !self.shared.config.exactly_once() {
            self.take_back()?;
        }
        committed.map(|_| ())
    }

    /// Drops everything uncommitted; nothing may be committed any more.
    fn lost(&mut self) -> Result<(), Trouble> {
        self.shared.checkpoints.take_back(Some(self.index));
        self.restorer.clear(self.shared.restore_listener.as_deref());
        self.drop_tasks();
        self.consumer.complete_revoke().map_err(|error| Trouble::Client(Phase::Poll, error))?;
        self.take_back()
    }

    /// Closes all tasks without committing or flushing.
    pub(crate) fn drop_tasks(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        for mut owned in self.tasks.take().into_iter().chain(kept) {
            let id = owned.task.id();
            self.metrics.collect(&mut owned.task);
            self.sensors.task_closed();
            drop(owned);
            self.shared.unlock_task(id);
        }
    }

    /// Closes tasks whose work is committed: their stores go to the engine, so that a restart replays nothing.
    pub(crate) fn close_tasks(&mut self, tasks: Vec<OwnedTask>) -> Result<(), Trouble> {
        let mut result = Ok(());
        for mut owned in tasks {
            let id = owned.task.id();
            let flushed = owned.task.state_mut().flush();
            self.metrics.collect(&mut owned.task);
            self.sensors.task_closed();
            let closed = owned.task.close();
            self.shared.unlock_task(id);
            result = result.and(flushed.map_err(Trouble::from)).and(closed.map_err(Trouble::from));
        }
        result
    }

    /// Opens the tasks of the pending assignment, once no other thread of this process holds one of them.
    pub(crate) fn open_assigned(&mut self) -> Result<(), Trouble> {
        let Some(partitions) = self.assigned.clone() else { return Ok(()) };
        let wanted = self.tasks_of(&partitions)?;
        // If the last attempt to start them failed, the tasks are here.
        self.kept.extend(self.tasks.take());
        let kept = std::mem::take(&mut self.kept);
        let generation = self.consumer.group_metadata().generation;
        // A task whose inputs changed, or that another one may have had, is closed like one that is gone, and opened again over its stores.
        let (keep, close): (Vec<_>, Vec<_>) = kept.into_iter().partition(|owned| {
            let wanted = wanted.get(&owned.task.id());
            wanted.is_some_and(|inputs| owned.reads(inputs) && owned.is_current(generation))
        });
        self.kept = keep;
        self.close_tasks(close)?;
        let ours: BTreeSet<TaskId> = self.kept.iter().map(|owned| owned.task.id()).collect();
        for id in wanted.keys().filter(|id| !ours.contains(id)) {
            if !self.shared.try_lock_task(*id) {
                return self.wait_for_task(*id);
            }
            match self.open_task(*id) {
                Ok(owned) => self.kept.push(owned),
                Err(trouble) => {
                    self.shared.unlock_task(*id);
                    return Err(trouble);
                }
            }
        }
        let mut tasks = std::mem::take(&mut self.kept);
        tasks.iter_mut().for_each(|owned| owned.generation = generation);
        self.start_tasks(tasks, true)?;
        self.assigned = None;
        Ok(())
    }

    /// Another thread of this process has the task, and gives it back when it learns of the rebalance. If it does not, because the
    /// group gave it the task after this thread, this thread may be out of the group without knowing: it joins anew.
    fn wait_for_task(&mut self, id: TaskId) -> Result<(), Trouble> {
        if self.wall_time - self.assigned_at < LOCK_PATIENCE_MS {
            return Ok(());
        }
        tracing::warn!(thread = %self.name, task = %id, "another thread of this process keeps the task; joining the group anew");
        self.rejoin()
    }

    /// A clock that was set back by `ms` makes nothing wait longer.
    pub(super) fn clock_set_back(&mut self, ms: i64) {
        self.last_commit -= ms;
        self.assigned_at -= ms;
        self.consumer_died = self.consumer_died.map(|died| died.map(|at| at - ms));
    }

    /// Tasks that were revoked stay open for the next assignment. Another thread that has got one of them meanwhile waits for it; and the
    /// group may wait for that thread before it assigns anything to this one.
    pub(crate) fn let_go_of_wanted(&mut self) -> Result<(), Trouble> {
        if self.assigned.is_some() || self.kept.is_empty() {
            return Ok(());
        }
        let kept = std::mem::take(&mut self.kept).into_iter();
        let (wanted, kept) = kept.partition(|owned| self.shared.is_wanted(owned.task.id()));
        self.kept = kept;
        self.close_tasks(wanted)
    }

    /// The tasks that `partitions` make, each with all its inputs. Co-partitioned inputs must arrive together.
    fn tasks_of(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TaskId, Vec<TopicPartition>>, Trouble> {
        let given: BTreeSet<&TopicPartition> = partitions.iter().collect();
        let mut tasks = BTreeMap::new();
        let planned = &self.planned;
        if let Some((last, count)) = planned.plan.grown(partitions) {
            return Err(Trouble::Streams(StreamsError::SourceTopicGrew {
                topic: last.topic.to_string(),
                planned: count,
                found: last.partition + 1,
            }));
        }
        for id in &planned.plan.tasks {
            let inputs = planned.plan.partitions_of_task(*id);
            let present = inputs.iter().filter(|input| given.contains(input)).count();
            if present == inputs.len() && present > 0 {
                tasks.insert(*id, inputs);
            } else if present > 0 {
                let missing: Vec<String> =
                    inputs.iter().filter(|input| !given.contains(input)).map(ToString::to_string).collect();
                if planned.topology.has_patterns() {
                    // Members learn of a new topic one after the other; the last one to do so makes the group whole again.
                    tracing::warn!(thread = %self.name, task = %id, ?missing,
                        "the task waits for a rebalance: another member does not yet know all topics");
                    continue;
                }
                return Err(Trouble::Streams(StreamsError::IllegalState(format!(
                    "task {id} got only a part of its partitions, {} went to another member; all members of group \
                     `{}` must run the same topology and the assignor `range`",
                    missing.join(", "),
                    self.shared.config.application_id
                ))));
            }
        }
        Ok(tasks)
    }

    /// Gives `tasks` their slots and start offsets, and starts the restore of their stores. If that fails they are kept.
    pub(crate) fn start_tasks(&mut self, mut tasks: Vec<OwnedTask>, joined: bool) -> Result<(), Trouble> {
        for owned in &mut tasks {
            owned.task.clear_queues();
            owned.phase = TaskPhase::Restoring;
        }
        let listener = self.shared.restore_listener.clone();
        self.restorer.clear(listener.as_deref());
        let place = Place { application: &self.shared.config.application_id, thread: &self.name };
        if let Err(error) = self.restorer.start(&mut tasks, &mut self.consumer, listener.as_deref(), place) {
            self.restorer.clear(listener.as_deref());
            self.kept.extend(tasks);
            return Err(error.into());
        }
        let inputs = self.tasks.replace(tasks);
        let offsets =
            self.start_offsets(&inputs.iter().map(|(partition, _)| partition.clone()).collect::<Vec<_>>())?;
        let assigned: Vec<_> = inputs
            .into_iter()
            .zip(offsets)
            .map(|((partition, slot), offset)| (partition, offset, slot))
            .collect();
        let result = if joined {
            self.consumer.complete_assign(&assigned)
        } else {
            assigned.iter().try_for_each(|(partition, offset, _)| self.consumer.seek(partition, *offset))
        };
        result.map_err(|error| Trouble::Client(Phase::Poll, error))?;
        self.start_restored()
    }

    /// Where each partition starts: the committed offset, or what the reset policy says.
    fn start_offsets(&mut self, partitions: &[TopicPartition]) -> Result<Vec<i64>, Trouble> {
        let assign = |error| Trouble::Client(Phase::Assign, error);
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let committed = self.consumer.committed(partitions, COMMITTED_TIMEOUT).map_err(assign)?;
        let mut offsets = Vec::with_capacity(partitions.len());
        for (partition, committed) in partitions.iter().zip(committed) {
            let offset = match committed {
                Some(_) if self.restorer.took_for_uncommitted(partition) => {
                    let call = format!("committed offset of {partition}");
                    let text = "there was none a moment ago, and now there is one; asking again";
                    return Err(assign(ClientError::new(Fault::Retriable, call, text)));
                }
                Some(committed) => {
                    self.start_at(partition, &committed);
                    committed.offset
                }
                None => self.reset_offset(partition)?,
            };
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// The start of a partition without a committed offset.
    pub(crate) fn reset_offset(&mut self, partition: &TopicPartition) -> Result<i64, Trouble> {
        let spec = match self.shared.reset_policy(&self.planned, &partition.topic) {
            OffsetReset::Earliest => OffsetSpec::Beginning,
            OffsetReset::Latest => OffsetSpec::End,
            OffsetReset::ByDuration(age) => OffsetSpec::AtTime(self.wall_time.saturating_sub(age)),
            OffsetReset::None => {
                return Err(Trouble::Streams(StreamsError::IllegalState(format!(
                    "group `{}` has no committed offset for {partition}, or one that its log lost, and the reset policy \
                     is none; commit one, or choose earliest or latest",
                    self.shared.config.application_id
                ))));
            }
        };
        let offsets = self
            .consumer
            .list_offsets(std::slice::from_ref(partition), spec, COMMITTED_TIMEOUT)
            .map_err(|error| Trouble::Client(Phase::Assign, error))?;
        match offsets.first().copied().unwrap_or(0) {
            // All records are older: nothing of them is wanted.
            none if none < 0 => {
                let end = self.consumer.list_offsets(
                    std::slice::from_ref(partition),
                    OffsetSpec::End,
                    COMMITTED_TIMEOUT,
                );
                let end = end.map_err(|error| Trouble::Client(Phase::Assign, error))?;
                Ok(end.first().copied().unwrap_or(0))
            }
            offset => Ok(offset),
        }
    }

    /// Inputs that lost the offset that is to be read next go to where their reset policy says; records between are lost to
    /// the application, and the log says how many.
    pub(crate) fn reset_lost_positions(&mut self) -> Result<(), Trouble> {
        let poll = |error| Trouble::Client(Phase::Poll, error);
        let inputs: Vec<TopicPartition> =
            self.tasks.iter().flat_map(|owned| owned.task.partitions().iter().cloned()).collect();
        let starts =
            self.consumer.list_offsets(&inputs, OffsetSpec::Beginning, COMMITTED_TIMEOUT).map_err(poll)?;
        let ends = self.consumer.list_offsets(&inputs, OffsetSpec::End, COMMITTED_TIMEOUT).map_err(poll)?;
        for ((input, start), end) in inputs.iter().zip(starts).zip(ends) {
            let position = self.consumer.position(input).map_err(poll)?;
            if (start..=end).contains(&position) {
                // The client stopped to read the one that failed, and nobody says which it was.
                self.consumer.seek(input, position).map_err(poll)?;
                continue;
            }
            let offset = self.reset_offset(input)?;
            tracing::warn!(thread = %self.name, %input, position, start, end, offset,
                "the input lost the offset that was to be read next; going on by its reset policy");
            self.consumer.seek(input, offset).map_err(poll)?;
        }
        Ok(())
    }

    fn start_at(&mut self, partition: &TopicPartition, committed: &CommittedOffset) {
        for owned in self.tasks.iter_mut() {
            if let Some(queue) = owned.task.partitions().iter().position(|input| input == partition) {
                owned.task.start_at(queue as u32, Some(committed));
            }
        }
    }

    /// Tasks whose stores are complete start to process.
    pub(crate) fn start_restored(&mut self) -> Result<(), Trouble> {
        let restorer = &self.restorer;
        for owned in self.tasks.iter_mut() {
            if owned.phase == TaskPhase::Restoring && !restorer.is_restoring(owned.task.id()) {
                if !std::mem::replace(&mut owned.initialized, true) {
                    owned.task.init(self.wall_time)?;
                }
                owned.phase = TaskPhase::Running;
            }
        }
        if self.restorer.is_done()
            && let Some(mut consumer) = self.restore_consumer.take()
        {
            consumer.close(Duration::from_secs(1)).map_err(|error| Trouble::Client(Phase::Restore, error))?;
        }
        Ok(())
    }
}

impl From<RestoreError> for Trouble {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Client(error) => Trouble::Client(Phase::Restore, error),
            RestoreError::State(error) => Trouble::from(error),
        }
    }
}
