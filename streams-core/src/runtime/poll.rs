//! Step 1: consumer -> the queues of the tasks. Bytes are copied once, from the fetch buffer into the arena of
//! their partition's queue. A full queue leaves its records with the consumer; nothing is ever paused.

use super::tasks::Tasks;
use crate::client::{RecordSink, Slot};
use crate::record::RawRecord;

/// The sink of one poll: routes by slot.
pub(crate) struct Intake<'a> {
    pub(crate) tasks: &'a mut Tasks,
    /// `buffered.records.per.partition`.
    pub(crate) buffered_max: usize,
}

impl RecordSink for Intake<'_> {
    fn wants(&self, slot: Slot) -> bool {
        self.tasks.queue(slot).is_some_and(|(owned, queue)| {
            owned.is_running() && owned.task.buffered(queue) < self.buffered_max
        })
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        if let Some((owned, queue)) = self.tasks.queue_mut(slot) {
            owned.task.add_record(queue, record);
        }
    }
}
