//! Figures of a running application: plain counters, written once a batch, read at any time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::figures::TaskFigures;
use crate::metrics::{AtWork, Mark};
use crate::processor::{DropCounts, DropReason, HandledFailures};
use crate::task::StreamTask;

/// Counters of one stream thread.
#[derive(Debug, Default)]
pub(crate) struct ThreadMetrics {
    pub(crate) records: AtomicU64,
    pub(crate) produced: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) rewinds: AtomicU64,
    pub(crate) dropped: [AtomicU64; DropReason::ALL.len()],
    pub(crate) restored: AtomicU64,
    pub(crate) restoring: AtomicU64,
    pub(crate) restore_left: AtomicU64,
    pub(crate) restore_rate: AtomicU64,
    pub(crate) tasks: AtomicU64,
    pub(crate) state_bytes: AtomicU64,
    pub(crate) engine_bytes: AtomicU64,
    pub(crate) lag: AtomicI64,
    /// What the thread is at.
    pub(crate) at_work: Arc<AtWork>,
    /// It is the one that feeds the global stores.
    global: bool,
    /// Its tasks, as they were seen last.
    pub(crate) tasks_seen: Mutex<Vec<TaskFigures>>,
    /// Failures that handlers were asked about.
    handled: Mutex<HandledFailures>,
}

impl ThreadMetrics {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Relaxed);
    }

    /// Takes over what a task has counted: records that it dropped, failures that handlers were asked about.
    pub(crate) fn collect(&self, task: &mut StreamTask) {
        let (dropped, handled) = (task.take_dropped(), task.take_handled());
        if handled.total > 0 {
            self.handled.lock().unwrap_or_else(PoisonError::into_inner).merge(handled);
        }
        for (counter, reason) in self.dropped.iter().zip(DropReason::ALL) {
            Self::add(counter, dropped.get(reason));
        }
    }

    /// Records that tasks of this thread dropped, those that it no longer owns included.
    pub(crate) fn dropped(&self) -> DropCounts {
        DropReason::ALL.into_iter().zip(self.dropped.iter().map(|counter| counter.load(Relaxed))).collect()
    }
}

/// Figures of an instance at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// Source records processed.
    pub records_processed: u64,
    /// Records handed to the producer, changelogs included.
    pub records_produced: u64,
    /// Commits that succeeded.
    pub commits: u64,
    /// Times that work went back to the committed offsets.
    pub rewinds: u64,
    /// Records dropped: null keys, handlers that said continue, and the like.
    pub records_dropped: u64,
    /// The same by reason.
    pub dropped_by_reason: DropCounts,
    /// Changelog records restored.
    pub records_restored: u64,
    /// Changelog records that are left to restore, markers and gaps between them included.
    pub restore_records_left: u64,
    /// Changelog records restored a second, since the restore began; 0 if nothing is restored.
    pub restore_records_per_second: u64,
    /// Seconds that the restore will need at this rate, about; 0 if nothing is restored, or if the rate is not known yet.
    pub restore_seconds_left: u64,
    /// Tasks that are restoring.
    pub tasks_restoring: u64,
    /// Tasks owned.
    pub tasks: u64,
    /// Memory in use by stores, bytes.
    pub state_memory_bytes: u64,
    /// Bytes that the engines hold.
    pub state_engine_bytes: u64,
    /// `memory.max.bytes`: what stores, engines and clients may use together.
    pub memory_max_bytes: u64,
    /// Resident memory of the process, bytes: everything, the application's own included. 0 where the system does not say.
    pub process_memory_bytes: u64,
    /// Records between the position and the end of the inputs.
    pub lag: i64,
}

/// The counters of all threads of an instance, ended ones included.
#[derive(Debug, Default)]
pub(crate) struct InstanceMetrics {
    threads: Mutex<Vec<Arc<ThreadMetrics>>>,
}

impl InstanceMetrics {
    /// The counters of a new stream thread.
    pub(crate) fn thread(&self) -> Arc<ThreadMetrics> {
        self.add(Arc::default())
    }

    /// The counters of the thread that feeds the global stores.
    pub(crate) fn global_thread(&self) -> Arc<ThreadMetrics> {
        self.add(Arc::new(ThreadMetrics { global: true, ..ThreadMetrics::default() }))
    }

    /// Counts those of one more thread.
    pub(super) fn add(&self, metrics: Arc<ThreadMetrics>) -> Arc<ThreadMetrics> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(metrics.clone());
        metrics
    }

    /// Hands what each thread is at to `see`: a number that no other thread ever has, whether it feeds the global stores, and the mark.
    pub(crate) fn look(&self, mut see: impl FnMut(usize, bool, Mark)) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads
            .iter()
            .enumerate()
            .for_each(|(number, thread)| see(number, thread.global, thread.at_work.get()));
    }

    /// The figures of all tasks, in task order.
    pub(crate) fn tasks(&self) -> Vec<TaskFigures> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let seen =
            threads.iter().map(|thread| thread.tasks_seen.lock().unwrap_or_else(PoisonError::into_inner));
        let mut tasks: Vec<TaskFigures> = seen.flat_map(|tasks| tasks.clone()).collect();
        tasks.sort_by_key(|task| task.task_id);
        tasks
    }

    /// The last failures that handlers were asked about.
    pub(crate) fn handled(&self) -> HandledFailures {
        let mut all = HandledFailures::default();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            all.merge(thread.handled.lock().unwrap_or_else(PoisonError::into_inner).clone());
        }
        all
    }

    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let mut sum = MetricsSnapshot::default();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            sum.records_processed += thread.records.load(Relaxed);
            sum.records_produced += thread.produced.load(Relaxed);
            sum.commits += thread.commits.load(Relaxed);
            sum.rewinds += thread.rewinds.load(Relaxed);
            sum.dropped_by_reason = [sum.dropped_by_reason, thread.dropped()].into_iter().sum();
            sum.records_restored += thread.restored.load(Relaxed);
            sum.restore_records_left += thread.restore_left.load(Relaxed);
            sum.restore_records_per_second += thread.restore_rate.load(Relaxed);
            sum.tasks_restoring += thread.restoring.load(Relaxed);
            sum.tasks += thread.tasks.load(Relaxed);
            sum.state_memory_bytes += thread.state_bytes.load(Relaxed);
            sum.state_engine_bytes += thread.engine_bytes.load(Relaxed);
            sum.lag += thread.lag.load(Relaxed);
        }
        sum.restore_seconds_left =
            sum.restore_records_left.checked_div(sum.restore_records_per_second).unwrap_or(0);
        sum.records_dropped = sum.dropped_by_reason.total();
        sum
    }
}
