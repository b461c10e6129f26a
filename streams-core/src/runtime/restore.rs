//! Before a task runs: the tail of its changelogs -> its stores.
//!
//! In: for each store, the offset that it reaches, and the end of its changelog (read uncommitted, so that the
//! restore waits for an open transaction to be decided). Out: tasks whose stores hold everything committed.
//! A store whose offset is not in its changelog any more is wiped and restored from the start.
//!
//! ```text
//! short tail ──► record by record through the store, on this thread: its rows are in memory then
//! the rest   ──► in bulk past the store (`restore_job.rs`), on workers ──► the store opens anew
//! ```
//! Without workers (in virtual time) the crank does their work, one job after the other.

use std::sync::Arc;
use std::time::Duration;

use streams_state::error::StateError;
use streams_state::types::{TaskId, TopicPartition};
use tracing::Span;

use super::commit::FLUSH_BUSY;
use super::figures::StoreRestore;
use super::listener::StateRestoreListener;
use super::restore_job::RestoreJob;
use super::restore_workers::{RestoreWorkers, SubmittedJob};
use super::spans::Place;
use super::tasks::{OwnedTask, Tasks};
use crate::client::{ClientError, Consumer, Fault, OffsetSpec, RecordSink, Slot};
use crate::record::RawRecord;

/// Deadline for the offsets of changelogs; asked again after it, as long as `task.timeout.ms` says, but not while the instance closes.
pub(super) const OFFSETS_TIMEOUT: Duration = Duration::from_secs(10);

/// Records from which on a restore in bulk pays: below, the thread is done before a worker has connected, and the rows are in
/// memory when it is.
const BULK_MIN_RECORDS: i64 = 50_000;

/// How a store is restored.
enum Way {
    /// Record by record through the store.
    ByRecord,
    /// In bulk, by the crank.
    Here(Box<RestoreJob>),
    /// In bulk, by a worker.
    Worker(SubmittedJob),
}

/// A store that is being restored.
struct Restoring {
    task: TaskId,
    /// Index of the store in its task.
    store: usize,
    name: Arc<str>,
    changelog: TopicPartition,
    position: i64,
    end: i64,
    records: u64,
    batch: u64,
    way: Way,
    /// By the clock of metrics.
    began: Option<u64>,
    /// Lasts as long as the restore.
    span: Span,
}

/// All restores of a thread.
pub(crate) struct Restorer {
    entries: Vec<Restoring>,
    assigned: bool,
    workers: Option<Arc<RestoreWorkers>>,
    /// Bytes of rows that a restore in bulk may hold.
    memory_max: usize,
    /// Records from which on a restore is in bulk.
    pub(crate) bulk_min_records: i64,
    /// Changelogs that lost an offset were looked at: their stores may be wiped.
    rebuild_lost: bool,
    /// Source topics that serve as changelogs and for which the group had committed nothing when the restore began.
    uncommitted: Vec<TopicPartition>,
}

/// What stops a restore step.
#[derive(Debug)]
pub(crate) enum RestoreError {
    /// The consumer failed.
    Client(ClientError),
    /// A store failed.
    State(StateError),
}

impl From<ClientError> for RestoreError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<StateError> for RestoreError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl Restorer {
    /// Without `workers` the thread restores by itself. Each restore in bulk holds up to `memory_max` bytes.
    pub(crate) fn new(workers: Option<Arc<RestoreWorkers>>, memory_max: usize) -> Self {
        Self {
            entries: Vec::new(),
            assigned: false,
            rebuild_lost: false,
            uncommitted: Vec::new(),
            workers,
            memory_max,
            bulk_min_records: BULK_MIN_RECORDS,
        }
    }

    /// Whether a consumer of this thread reads changelogs.
    pub(crate) fn reads_here(&self) -> bool {
        self.entries.iter().any(|entry| !matches!(entry.way, Way::Worker(_)))
    }

    /// Changelog records, markers and gaps included, that are left to restore.
    pub(crate) fn left(&self) -> u64 {
        self.entries.iter().map(|entry| (entry.end - entry.position).max(0) as u64).sum()
    }

    /// The same of one task.
    pub(crate) fn left_of(&self, task: TaskId) -> u64 {
        let entries = self.entries.iter().filter(|entry| entry.task == task);
        entries.map(|entry| (entry.end - entry.position).max(0) as u64).sum()
    }

    /// How far the restore of store number `store` of `task` is.
    pub(crate) fn progress_of(&self, task: TaskId, store: usize) -> Option<StoreRestore> {
        let entry = self.entries.iter().find(|entry| entry.task == task && entry.store == store)?;
        Some(StoreRestore { restored: entry.records, left: (entry.end - entry.position).max(0) as u64 })
    }

    /// Whether nothing is left to restore.
    pub(crate) fn is_done(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets everything, as when tasks are given back. No worker writes to an engine after this.
    pub(crate) fn clear(&mut self, listener: Option<&dyn StateRestoreListener>) {
        for entry in self.entries.drain(..) {
            if let Some(listener) = listener {
                listener.on_restore_suspended(&entry.changelog, &entry.name, entry.records);
            }
        }
        self.assigned = false;
    }

    /// Finds out what the stores of `tasks` miss. `consumer` is any consumer of the thread.
    pub(crate) fn start(
        &mut self,
        tasks: &mut [OwnedTask],
        consumer: &mut dyn Consumer,
        listener: Option<&dyn StateRestoreListener>,
        place: Place<'_>,
    ) -> Result<(), RestoreError> {
        let mut wanted = Vec::new();
        let mut sources = Vec::new();
        for owned in tasks.iter_mut() {
            owned.task.state_mut().end_bulk_restores()?;
            for (index, store) in
                owned.task.state().stores().iter().enumerate().filter(|(_, store)| !store.global)
            {
                if let Some(changelog) = &store.changelog {
                    sources.extend(store.source_changelog.then(|| changelog.clone()));
                    wanted.push((
                        owned.task.id(),
                        index,
                        store.name.clone(),
                        changelog.clone(),
                        store.restore_offset(),
                    ));
                }
            }
        }
        let partitions: Vec<TopicPartition> = wanted.iter().map(|entry| entry.3.clone()).collect();
        if partitions.is_empty() {
            return Ok(());
        }
        let mut ends = consumer.list_offsets(&partitions, OffsetSpec::End, OFFSETS_TIMEOUT)?;
        self.uncommitted = limit_to_committed(&sources, &partitions, &mut ends, consumer)?;
        let starts = consumer.list_offsets(&partitions, OffsetSpec::Beginning, OFFSETS_TIMEOUT)?;
        for ((task, store, name, changelog, offset), (start, end)) in
            wanted.into_iter().zip(starts.into_iter().zip(ends))
        {
            let owned = tasks.iter_mut().find(|owned| owned.task.id() == task);
            let Some(owned) = owned else { continue };
            let position = match offset {
                Some(offset) if (start..=end.max(start)).contains(&offset) => offset,
                Some(offset) => {
                    self.wipe_lost(owned, store, offset, (start, end))?;
                    start
                }
                None => start,
            };
            if let Some(listener) = listener {
                listener.on_restore_start(&changelog, &name, position, end);
            }
            if position >= end {
                owned.task.state_mut().restored(store, position);
                listener.into_iter().for_each(|listener| listener.on_restore_end(&changelog, &name, 0));
                continue;
            }
            let span = place.restore(task, &name, &changelog, (position, end));
            let _entered = span.enter();
            let way = self.way(owned, store, (&changelog, position, end))?;
            let in_bulk = !matches!(way, Way::ByRecord);
            tracing::info!(%task, store = %name, %changelog, from = position, to = end, in_bulk, "restoring");
            let (records, batch) = (0, 0);
            let (began, span) = (owned.task.state().restore_begins(store), span.clone());
            let entry =
                Restoring { task, store, name, changelog, position, end, records, batch, way, began, span };
            self.entries.push(entry);
            self.assigned = false;
        }
        self.rebuild_lost = false;
        Ok(())
    }

    /// Wipes a store that reaches `offset`, which its changelog does not have, if that was looked at.
    fn wipe_lost(
        &self,
        owned: &mut OwnedTask,
        store: usize,
        offset: i64,
        (start, end): (i64, i64),
    ) -> Result<(), RestoreError> {
        let task = owned.task.id();
        let name = owned.task.state().stores().get(store).map_or("", |store| &*store.name).to_owned();
        if !self.rebuild_lost {
            let call = format!("restore store `{name}` of task {task}");
            let text = format!("the store reaches offset {offset}, its changelog has {start} to {end}");
            return Err(ClientError::new(Fault::OffsetOutOfRange, call, text).into());
        }
        tracing::warn!(%task, store = %name, offset, start, end,
            "the store reaches an offset that its changelog does not have; rebuilding it");
        Ok(owned.task.state_mut().wipe_store(store)?)
    }

    /// Whether a store was taken for complete because nothing was committed for its `source`. While a coordinator moves it may
    /// say so for a moment (KAFKA-20416): the store would be empty, and processing would go on in the middle.
    pub(crate) fn took_for_uncommitted(&self, source: &TopicPartition) -> bool {
        self.uncommitted.contains(source)
    }

    /// Stores that reach an offset which their changelog does not have are wiped at the next start: whether it is the topic that
    /// they came from was looked at.
    pub(crate) fn rebuild_lost(&mut self) {
        self.rebuild_lost = true;
    }

    /// How store number `store` is restored from a part of its changelog: by a worker, if it is long and the store can.
    fn way(
        &self,
        owned: &mut OwnedTask,
        store: usize,
        (changelog, position, end): (&TopicPartition, i64, i64),
    ) -> Result<Way, RestoreError> {
        if end - position < self.bulk_min_records {
            return Ok(Way::ByRecord);
        }
        let Some(mut restore) = owned.task.state_mut().begin_bulk_restore(store)? else {
            return Ok(Way::ByRecord);
        };
        restore.set_memory_max(self.memory_max);
        let job = RestoreJob::new(changelog.clone(), position, end, restore);
        match &self.workers {
            Some(workers) => Ok(Way::Worker(workers.submit(job)?)),
            None => Ok(Way::Here(Box::new(job))),
        }
    }

    /// One round: reads a batch, applies it, looks how far the workers are, and closes the entries that reached their end.
    /// `consumer` is there if something is read here.
    pub(crate) fn step(
        &mut self,
        tasks: &mut Tasks,
        consumer: Option<&mut (dyn Consumer + 'static)>,
        timeout: Duration,
        listener: Option<&dyn StateRestoreListener>,
    ) -> Result<u64, RestoreError> {
        if let Some(consumer) = consumer {
            if self.entries.iter().any(|entry| matches!(entry.way, Way::ByRecord)) {
                self.step_by_record(tasks, consumer, timeout)?;
            } else {
                self.step_here(tasks, consumer, timeout)?;
            }
        }
        // Those before the one that failed have ended.
        let looked = self.look_at_workers(tasks);
        let restored = self.settle(tasks, listener)?;
        looked.map(|()| restored)
    }

    fn step_by_record(
        &mut self,
        tasks: &mut Tasks,
        consumer: &mut dyn Consumer,
        timeout: Duration,
    ) -> Result<(), RestoreError> {
        let by_record = |entry: &Restoring| matches!(entry.way, Way::ByRecord);
        if !self.assigned {
            let entries = self.entries.iter().enumerate().filter(|(_, entry)| by_record(entry));
            let partitions: Vec<(TopicPartition, i64, Slot)> = entries
                .map(|(slot, entry)| (entry.changelog.clone(), entry.position, slot as Slot))
                .collect();
            consumer.assign(&partitions)?;
            self.assigned = true;
        }
        let mut intake = RestoreIntake { entries: &mut self.entries, tasks, failure: None };
        consumer.poll(timeout, &mut intake)?;
        if let Some(failure) = intake.failure {
            return Err(RestoreError::State(failure));
        }
        for entry in self.entries.iter_mut().filter(|entry| by_record(entry)) {
            entry.position = consumer.position(&entry.changelog)?.min(entry.end).max(entry.position);
        }
        Ok(())
    }

    /// A part of the first job that the crank does itself.
    fn step_here(
        &mut self,
        tasks: &mut Tasks,
        consumer: &mut dyn Consumer,
        timeout: Duration,
    ) -> Result<(), RestoreError> {
        for entry in &mut self.entries {
            let Way::Here(job) = &mut entry.way else { continue };
            if !std::mem::replace(&mut self.assigned, true) {
                job.assign_anew();
            }
            let done = job.step(consumer, timeout)?;
            let (position, records) = job.progress();
            (entry.position, entry.batch) = (position, records - entry.records);
            if done {
                if let Way::Here(job) = std::mem::replace(&mut entry.way, Way::ByRecord) {
                    job.finish()?;
                }
                end_bulk(tasks, entry)?;
                self.assigned = false;
            }
            return Ok(());
        }
        Ok(())
    }

    fn look_at_workers(&mut self, tasks: &mut Tasks) -> Result<(), RestoreError> {
        for entry in &mut self.entries {
            let Way::Worker(job) = &entry.way else { continue };
            let done = job.poll()?;
            let (position, records) = job.progress();
            entry.batch = records - entry.records;
            // What is read is there when it is written.
            entry.position = if done { position } else { position.min(entry.end - 1) };
            if done {
                entry.way = Way::ByRecord;
                end_bulk(tasks, entry)?;
            }
        }
        Ok(())
    }

    /// After a batch: positions to the stores, listeners told, finished entries dropped.
    fn settle(
        &mut self,
        tasks: &mut Tasks,
        listener: Option<&dyn StateRestoreListener>,
    ) -> Result<u64, RestoreError> {
        let mut restored = 0;
        let mut finished = false;
        for entry in &mut self.entries {
            let _entered = entry.span.enter();
            if entry.batch > 0 {
                restored += entry.batch;
                if let Some(owned) = tasks.get_mut(entry.task) {
                    owned.task.count_restored(entry.batch);
                }
                if matches!(entry.way, Way::ByRecord)
                    && let Some(owned) = tasks.get_mut(entry.task)
                {
                    owned.task.state_mut().restored(entry.store, entry.position);
                    owned.task.state_mut().flush_if_due(FLUSH_BUSY)?;
                }
                if let Some(listener) = listener {
                    listener.on_batch_restored(&entry.changelog, &entry.name, entry.position, entry.batch);
                }
                entry.records += std::mem::take(&mut entry.batch);
            }
            if entry.position >= entry.end {
                finished = true;
                if let Some(owned) = tasks.get_mut(entry.task) {
                    owned.task.state_mut().restored(entry.store, entry.position);
                    owned.task.state().restore_ended(entry.store, entry.began);
                }
                tracing::info!(task = %entry.task, store = %entry.name, changelog = %entry.changelog,
                    records = entry.records, "restored");
                entry.span.record("records", entry.records);
                if let Some(listener) = listener {
                    listener.on_restore_end(&entry.changelog, &entry.name, entry.records);
                }
            }
        }
        if finished {
            self.entries.retain(|entry| entry.position < entry.end);
            self.assigned = false;
        }
        Ok(restored)
    }

    /// Whether `task` still waits for a store.
    pub(crate) fn is_restoring(&self, task: TaskId) -> bool {
        self.entries.iter().any(|entry| entry.task == task)
    }
}

/// A store was restored in bulk: it opens anew.
fn end_bulk(tasks: &mut Tasks, entry: &Restoring) -> Result<(), StateError> {
    let Some(owned) = tasks.get_mut(entry.task) else { return Ok(()) };
    owned.task.state_mut().end_bulk_restore(entry.store)
}

/// A source topic that serves as changelog counts up to what the group committed: the rest is still to be processed. Gives
/// those for which it committed nothing.
fn limit_to_committed(
    sources: &[TopicPartition],
    partitions: &[TopicPartition],
    ends: &mut [i64],
    consumer: &mut dyn Consumer,
) -> Result<Vec<TopicPartition>, ClientError> {
    let mut uncommitted = Vec::new();
    if sources.is_empty() {
        return Ok(uncommitted);
    }
    let committed = consumer.committed(sources, OFFSETS_TIMEOUT)?;
    for (source, committed) in sources.iter().zip(committed) {
        if committed.is_none() {
            uncommitted.push(source.clone());
        }
        let committed = committed.map_or(0, |committed| committed.offset);
        for (_, end) in partitions.iter().zip(ends.iter_mut()).filter(|(partition, _)| *partition == source) {
            *end = committed.min(*end);
        }
    }
    Ok(uncommitted)
}

/// Applies changelog records as they come.
struct RestoreIntake<'a> {
    entries: &'a mut Vec<Restoring>,
    tasks: &'a mut Tasks,
    failure: Option<StateError>,
}

impl RecordSink for RestoreIntake<'_> {
    fn wants(&self, _slot: Slot) -> bool {
        self.failure.is_none()
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return };
        // A source topic that serves as changelog has records behind its end: they are still to be processed.
        if record.offset >= entry.end {
            return;
        }
        entry.batch += 1;
        entry.position = record.offset + 1;
        if let Some(owned) = self.tasks.get_mut(entry.task)
            && let Err(error) = owned.task.state_mut().restore(entry.store, &record)
        {
            self.failure.get_or_insert(error);
        }
    }
}
