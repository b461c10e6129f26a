//! Step 3, choose: the queues of a task, and whose turn it is.
//!
//! In: raw records by slot. Out: the queue whose head has the lowest timestamp (ties as in Kafka Streams), and whether the
//! task may process at all (`max.task.idle.ms`). Never reads a clock.

use std::time::Duration;

use streams_state::types::Timestamp;

use super::RecordQueue;
use crate::error::NodeResult;
use crate::processor::{TaskContext, TimeHeap};
use crate::record::RawRecord;

/// The queues of a task's source partitions, one for each source topic. A slot is an index into them.
#[derive(Default)]
pub struct PartitionGroup {
    queues: Vec<RecordQueue>,
    /// Queues with a head, by its timestamp. The one that is being processed is not in it.
    turns: TimeHeap,
    /// Queues that got their first record since the last turn, in order: their heads are to be loaded.
    arrived: Vec<u32>,
    buffered: usize,
    /// For each empty queue without lag: until when the task waits for it.
    idle_deadlines: Vec<Option<Timestamp>>,
    /// How often the task went on although queues were empty, since somebody looked.
    enforced: u64,
}

impl PartitionGroup {
    /// A group of these queues.
    pub fn new(queues: Vec<RecordQueue>) -> Self {
        let idle_deadlines = vec![None; queues.len()];
        Self { queues, idle_deadlines, ..Self::default() }
    }

    /// The queues, by slot.
    pub fn queues(&self) -> &[RecordQueue] {
        &self.queues
    }

    /// One more queue, whose records go where those of `like` go. Returns its slot.
    pub fn add_queue(&mut self, like: u32) -> Option<u32> {
        let slot = self.queues.len() as u32;
        let queue = self.queues.get(like as usize)?.fork(slot);
        self.queues.push(queue);
        self.idle_deadlines.push(None);
        Some(slot)
    }

    /// The queues, by slot.
    pub fn queues_mut(&mut self) -> &mut [RecordQueue] {
        &mut self.queues
    }

    /// The queue in `slot`.
    pub fn queue_mut(&mut self, slot: u32) -> Option<&mut RecordQueue> {
        self.queues.get_mut(slot as usize)
    }

    /// Appends a record to the queue in `slot`; copies its bytes. Nothing is deserialized yet.
    #[inline]
    pub fn push(&mut self, slot: u32, raw: RawRecord<'_>) {
        if let Some(queue) = self.queues.get_mut(slot as usize) {
            self.buffered += 1;
            if queue.push(raw) {
                self.arrived.push(slot);
            }
        }
    }

    /// Number of records that wait in `slot`.
    #[inline]
    pub fn buffered(&self, slot: u32) -> usize {
        self.queues.get(slot as usize).map_or(0, RecordQueue::len)
    }

    /// Number of records that wait in all queues.
    #[inline]
    pub fn total_buffered(&self) -> usize {
        self.buffered
    }

    /// Whether every queue has a record.
    #[inline]
    pub fn all_buffered(&self) -> bool {
        self.turns.len() + self.arrived.len() == self.queues.len()
    }

    /// Whether the task may process a record at `now`, so that records of all partitions come in order of time.
    ///
    /// `max_task_idle`: `max.task.idle.ms`, `None` (-1) never waits. `lag` says for an empty partition how many records
    /// the broker has that were not handed over: unknown or more than 0 means wait; at 0 the task waits for
    /// `max_task_idle` from when that was first seen.
    pub fn ready(
        &mut self,
        now: Timestamp,
        max_task_idle: Option<Duration>,
        lag: &mut dyn FnMut(u32) -> Option<i64>,
    ) -> bool {
        let Some(idle) = max_task_idle.filter(|_| self.queues.len() > 1) else {
            return self.buffered > 0;
        };
        for ((slot, queue), deadline) in (0_u32..).zip(&self.queues).zip(&mut self.idle_deadlines) {
            if !queue.is_empty() {
                *deadline = None;
                continue;
            }
            match lag(slot) {
                Some(lag) if lag <= 0 => {
                    let latest = now.saturating_add(idle.as_millis() as i64);
                    // A clock that was set back does not make it wait longer.
                    if now < *deadline.insert(deadline.map_or(latest, |at| at.min(latest))) {
                        return false;
                    }
                }
                Some(_) | None => {
                    *deadline = None;
                    return false;
                }
            }
        }
        let goes_on = self.buffered > 0;
        self.enforced += u64::from(goes_on && !self.all_buffered());
        goes_on
    }

    /// How often [`ready`](Self::ready) let the task go on although queues were empty, since the last call.
    pub fn take_enforced(&mut self) -> u64 {
        std::mem::take(&mut self.enforced)
    }

    /// Processes the head of the queue whose turn it is, and loads that queue's next head. Returns its slot and whether the queue is
    /// empty now; `None`: no record waits.
    #[inline]
    pub fn process_next(&mut self, context: &mut TaskContext) -> NodeResult<Option<Turn>> {
        if !self.arrived.is_empty() {
            self.load_arrived(context)?;
        }
        let Some((time, slot)) = self.turns.poll() else {
            return Ok(None);
        };
        let Some(queue) = self.queues.get_mut(slot as usize) else {
            return Ok(None);
        };
        let before = queue.len();
        queue.process(context)?;
        self.buffered -= before - queue.len();
        match queue.head_timestamp() {
            Some(timestamp) => self.turns.offer(timestamp, slot),
            None => return Ok(Some(Turn { slot, time, drained: true })),
        }
        Ok(Some(Turn { slot, time, drained: false }))
    }

    /// Forgets all waiting records.
    pub fn clear(&mut self) {
        self.queues.iter_mut().for_each(RecordQueue::clear);
        self.turns.clear();
        self.arrived.clear();
        self.buffered = 0;
    }

    #[cold]
    fn load_arrived(&mut self, context: &mut TaskContext) -> NodeResult {
        for slot in self.arrived.drain(..) {
            if let Some(queue) = self.queues.get_mut(slot as usize) {
                let before = queue.len();
                context.metrics.at_work().set(queue.mark);
                queue.load(context)?;
                self.buffered -= before - queue.len();
                if let Some(timestamp) = queue.head_timestamp() {
                    self.turns.offer(timestamp, slot);
                }
            }
        }
        Ok(())
    }
}

/// A record was taken from a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// The queue.
    pub slot: u32,
    /// The record's timestamp; -1 if it was skipped.
    pub time: Timestamp,
    /// Whether it is empty now.
    pub drained: bool,
}
