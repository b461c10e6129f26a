//! What the tasks of a thread have read and hold, one by one, for people who look: pages, terminals.
//!
//! In: the tasks between two turns, twice a second, so that a record pays nothing. Out: [`TaskFigures`]; rates are made by who looks twice.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use streams_state::types::{TaskId, Timestamp, TopicPartition};

use super::stream_thread::StreamThread;
use super::tasks::OwnedTask;
use crate::client::Consumer;
use crate::metrics::MetricsSource;

/// Pause between two looks, ms.
pub(super) const EVERY_MS: i64 = 500;

/// A task at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskFigures {
    /// The task.
    pub task_id: TaskId,
    /// The moment, by the wall clock, ms.
    pub at: Timestamp,
    /// CPU time that its thread has used until then, for all its tasks, ns; `None` where the system does not say.
    pub thread_cpu_ns: Option<u64>,
    /// What it reads.
    pub inputs: Vec<InputFigures>,
    /// Its stores, global ones apart.
    pub stores: Vec<StoreFigures>,
}

/// An input of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputFigures {
    /// Topic and partition.
    pub partition: TopicPartition,
    /// The next offset to fetch; `None` before the first fetch.
    pub position: Option<i64>,
    /// Its end, as the last fetch saw it.
    pub end: Option<i64>,
}

impl InputFigures {
    /// Records between position and end, markers of transactions included.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        Some((self.end? - self.position?).max(0))
    }
}

/// A store of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreFigures {
    /// Name.
    pub name: Arc<str>,
    /// Bytes that it uses in memory.
    pub memory_bytes: u64,
    /// Bytes that its engine holds; `None` while it is restored.
    pub engine_bytes: Option<u64>,
    /// How far its restore is; `None` if it is not restored.
    pub restore: Option<StoreRestore>,
}

/// The restore of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreRestore {
    /// Records restored since it began.
    pub restored: u64,
    /// Records left, markers and gaps between them included.
    pub left: u64,
}

impl StreamThread {
    /// Where its tasks register what they measure.
    pub(super) fn metrics_source(&self) -> MetricsSource {
        let thread_id = self.shared.thread_id(self.index).into();
        MetricsSource {
            metrics: self.shared.registry.clone(),
            thread_id,
            ns: self.sensors.clock(),
            at_work: self.sensors.place(),
        }
    }

    /// Shows the figures of all tasks and their sums, and hands what was measured to the sensors, if it is time to, or if there are other
    /// tasks than before. `restoring`: how many restore.
    pub(super) fn show_figures(&mut self, restoring: u64) {
        self.consumer.show(self.wall_time);
        self.producer.show(self.wall_time);
        self.shared.show_admin(self.wall_time);
        if let Some(consumer) = &mut self.restore_consumer {
            consumer.show(self.wall_time);
        }
        let tasks = (self.tasks.len(), restoring);
        if (self.wall_time - self.figures_at).abs() < EVERY_MS && tasks == self.figures_of {
            return;
        }
        (self.figures_at, self.figures_of) = (self.wall_time, tasks);
        let thread_cpu_ns = if self.tasks.is_empty() { None } else { self.sensors.cpu_ns() };
        let (restorer, consumer, at) = (&self.restorer, &mut self.consumer, self.wall_time);
        let figures = self.tasks.iter().map(|owned| {
            let input = |partition: &TopicPartition| InputFigures {
                partition: partition.clone(),
                position: consumer.position(partition).ok(),
                end: consumer.known_end(partition),
            };
            let inputs = owned.task.partitions().iter().map(input).collect();
            let stores = stores(owned, |store| restorer.progress_of(owned.task.id(), store));
            TaskFigures { task_id: owned.task.id(), at, thread_cpu_ns, inputs, stores }
        });
        let figures: Vec<TaskFigures> = figures.collect();
        let (stores, inputs) =
            (figures.iter().flat_map(|task| &task.stores), figures.iter().flat_map(|task| &task.inputs));
        self.metrics.engine_bytes.store(stores.filter_map(|store| store.engine_bytes).sum(), Relaxed);
        self.metrics.lag.store(inputs.filter_map(InputFigures::lag).sum(), Relaxed);
        self.sensors.flush(self.wall_time);
        for owned in self.tasks.iter_mut() {
            let left = self.restorer.left_of(owned.task.id());
            owned.task.flush_metrics(self.wall_time, left);
        }
        *self.metrics.tasks_seen.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

fn stores(owned: &OwnedTask, restore: impl Fn(usize) -> Option<StoreRestore>) -> Vec<StoreFigures> {
    let stores = owned.task.state().stores().iter().enumerate().filter(|(_, store)| !store.global);
    let figures = stores.map(|(index, store)| {
        let (state, restore) = (store.instance.state.borrow(), restore(index));
        StoreFigures {
            name: store.name.clone(),
            memory_bytes: state.memory_bytes(),
            // An engine that is being filled in bulk is not asked.
            engine_bytes: restore.is_none().then(|| state.engine_bytes()),
            restore,
        }
    });
    figures.collect()
}
