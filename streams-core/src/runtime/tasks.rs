//! The tasks that a thread owns, and the slots that lead from a partition to a task's queue.

use streams_state::types::{TaskId, TopicPartition};

use super::metadata::TaskMetadata;
use crate::client::Slot;
use crate::task::StreamTask;

/// What a task does at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TaskPhase {
    /// Its stores read the tail of their changelogs.
    Restoring,
    /// It processes records.
    Running,
}

/// A task and what the thread keeps beside it.
pub(crate) struct OwnedTask {
    pub(crate) task: StreamTask,
    pub(crate) phase: TaskPhase,
    /// Topics of the task's outbox -> topics of the thread's producer.
    pub(crate) outputs: Vec<usize>,
    /// Its nodes are initialized: that happens once, also if the task stays over a rebalance.
    pub(crate) initialized: bool,
    /// Of the group, when it was given to this thread the last time.
    pub(crate) generation: i32,
}

impl OwnedTask {
    /// Whether its inputs are these.
    pub(crate) fn reads(&self, inputs: &[TopicPartition]) -> bool {
        let own = self.task.partitions();
        own.len() == inputs.len() && own.iter().all(|input| inputs.contains(input))
    }

    /// Whether nobody else can have had it since: no generation lies in between. Else another one may have changed its stores, of which
    /// its nodes would not hear; a thread that did not answer for a while misses generations.
    pub(crate) fn is_current(&self, generation: i32) -> bool {
        (self.generation..=self.generation.saturating_add(1)).contains(&generation)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase == TaskPhase::Running
    }
}

/// All tasks of a thread, in task order.
#[derive(Default)]
pub(crate) struct Tasks {
    list: Vec<OwnedTask>,
    /// Slot -> task and queue in it.
    slots: Vec<(usize, u32)>,
    /// The tasks that were shown to the outside, and whether they restored.
    shown: Vec<(TaskId, bool)>,
}

impl Tasks {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &OwnedTask> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut OwnedTask> {
        self.list.iter_mut()
    }

    /// The tasks, if they are others than at the last call, or others restore.
    pub(crate) fn changed(&mut self) -> Option<Vec<TaskMetadata>> {
        let now = || self.iter().map(|owned| (owned.task.id(), !owned.is_running()));
        if now().eq(self.shown.iter().copied()) {
            return None;
        }
        self.shown = now().collect();
        let metadata = |owned: &OwnedTask| TaskMetadata {
            task_id: owned.task.id(),
            topic_partitions: owned.task.partitions().to_vec(),
            restoring: !owned.is_running(),
        };
        Some(self.iter().map(metadata).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut OwnedTask> {
        self.list.iter_mut().find(|owned| owned.task.id() == id)
    }

    /// Replaces all tasks and numbers their queues anew. Returns each input partition with its slot.
    pub(crate) fn replace(&mut self, mut list: Vec<OwnedTask>) -> Vec<(TopicPartition, Slot)> {
        list.sort_by_key(|owned| owned.task.id());
        self.list = list;
        self.slots.clear();
        let mut inputs = Vec::new();
        for (index, owned) in self.list.iter().enumerate() {
            for (queue, partition) in (0_u32..).zip(owned.task.partitions()) {
                inputs.push((partition.clone(), self.slots.len() as Slot));
                self.slots.push((index, queue));
            }
        }
        inputs
    }

    /// Takes all tasks out; slots lead nowhere until the next `replace`.
    pub(crate) fn take(&mut self) -> Vec<OwnedTask> {
        self.slots.clear();
        std::mem::take(&mut self.list)
    }

    pub(crate) fn queue(&self, slot: Slot) -> Option<(&OwnedTask, u32)> {
        let (task, queue) = *self.slots.get(slot as usize)?;
        Some((self.list.get(task)?, queue))
    }

    pub(crate) fn queue_mut(&mut self, slot: Slot) -> Option<(&mut OwnedTask, u32)> {
        let (task, queue) = *self.slots.get(slot as usize)?;
        Some((self.list.get_mut(task)?, queue))
    }
}
