//! The partitions that a consumer reads: their queues, positions, and what was heard of them.
//!
//! In: batches from each partition's own queue. Out: records into a sink that wants them, in offset order. It never
//! waits and never asks a broker.
//!
//! Positions are counted here: librdkafka's own stop before transaction markers (and, in its batch call, step one too
//! far at the end of a partition). The end of a partition is a message that says where it is, markers included.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rdkafka::types::RDKafkaErrorCode as Code;
use streams_state::types::TopicPartition;

use super::ffi::{Batch, Event, Failure, MessageFailure, Native, PartitionList, Queue, Signal, Wake};
use crate::client::{Amount, RecordSink, Slot};
use crate::record::RawRecord;

/// Records taken from a partition's queue at once.
const BATCH: usize = 500;

/// Records handed out by one poll, at least: partitions that are not reached come first next time.
const ENOUGH: usize = 2000;

/// A failure of a partition, with the call it belongs to.
pub(super) type ReadFailure = (String, Failure);

/// A partition that is read.
pub(super) struct Assigned {
    /// Which.
    pub(super) partition: TopicPartition,
    /// Offset of the next record.
    pub(super) position: i64,
    slot: Slot,
    // The position is the end as far as the last fetch saw.
    at_end: bool,
    // Whether a record, the end or a failure was seen: librdkafka reads the partition.
    heard_of: bool,
    // Handed out, and not yet counted for the topic.
    handed_out: Amount,
    // Taken from the queue, not yet wanted by the sink.
    batch: Batch,
    queue: Queue,
    signal: Arc<Signal>,
}

impl Assigned {
    fn advance(&mut self, offset: i64) {
        self.position = offset + 1;
        self.at_end = false;
        self.heard_of = true;
    }

    /// Reads on from `offset`. What was fetched before is dropped.
    pub(super) fn move_to(&mut self, offset: i64) {
        self.batch.clear();
        self.position = offset;
        self.at_end = false;
    }

    /// Whether all was handed out that the last fetch saw.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end && self.batch.is_empty() && !self.signal.is_ready()
    }

    fn is_silent(&self) -> bool {
        !self.heard_of && !self.signal.is_ready()
    }

    /// Hands out records while the sink wants them: first what is left of the last batch, then one more batch.
    fn hand_out(&mut self, sink: &mut dyn RecordSink, failures: &mut Vec<ReadFailure>) -> usize {
        let mut records = 0;
        let mut refilled = false;
        while sink.wants(self.slot) {
            match self.batch.next() {
                Some(message) => records += self.take(message.read(), sink, failures),
                None if refilled || !self.signal.is_ready() => break,
                None => {
                    refilled = true;
                    self.signal.set_ready(false);
                    self.queue.consume(&mut self.batch);
                    if self.batch.is_full() {
                        self.signal.set_ready(true);
                    }
                }
            }
        }
        records
    }

    /// Hands out one message; the number of records it was.
    fn take(
        &mut self,
        message: Result<RawRecord<'_>, MessageFailure>,
        sink: &mut dyn RecordSink,
        failures: &mut Vec<ReadFailure>,
    ) -> usize {
        match message {
            Ok(record) => {
                self.advance(record.offset);
                self.handed_out.add(Amount { records: 1, bytes: record.size_bytes() });
                sink.record(self.slot, record);
                1
            }
            Err(message) => {
                self.note(message, failures);
                0
            }
        }
    }

    fn note(&mut self, message: MessageFailure, failures: &mut Vec<ReadFailure>) {
        self.heard_of = true;
        if message.failure.code != Code::PartitionEOF {
            let call = format!("read {} at offset {}", self.partition, message.offset);
            failures.push((call, message.failure));
        } else if message.offset >= self.position {
            self.position = message.offset;
            self.at_end = true;
        }
    }
}

/// All partitions that are read.
#[derive(Default)]
pub(super) struct Assignment {
    assigned: Vec<Assigned>,
    places: HashMap<TopicPartition, usize>,
    // What was handed out of each topic, but for what partitions have not counted yet.
    handed_out: BTreeMap<Arc<str>, Amount>,
    next: usize,
}

impl Assignment {
    /// Reads these from now on, nothing else. Gives the list to assign, or the partition that has no queue.
    pub(super) fn replace(
        &mut self,
        native: &Arc<Native>,
        wake: &Arc<Wake>,
        partitions: &[(TopicPartition, i64, Slot)],
    ) -> Result<PartitionList, TopicPartition> {
        self.clear();
        self.add(native, wake, partitions)
    }

    /// Reads these from now on, too. Gives the list to assign, or the partition that has no queue.
    pub(super) fn add(
        &mut self,
        native: &Arc<Native>,
        wake: &Arc<Wake>,
        partitions: &[(TopicPartition, i64, Slot)],
    ) -> Result<PartitionList, TopicPartition> {
        let mut list = PartitionList::with_capacity(partitions.len());
        for (partition, offset, slot) in partitions {
            list.add(&partition.topic, partition.partition, *offset, "");
            let mut queue = Queue::partition(native, &partition.topic, partition.partition)
                .ok_or_else(|| partition.clone())?;
            let signal = Signal::new(wake);
            queue.notify(Arc::clone(&signal));
            self.places.insert(partition.clone(), self.assigned.len());
            self.assigned.push(Assigned {
                partition: partition.clone(),
                position: *offset,
                slot: *slot,
                at_end: false,
                heard_of: false,
                handed_out: Amount::default(),
                batch: Batch::with_capacity(BATCH),
                queue,
                signal,
            });
        }
        Ok(list)
    }

    /// Reads nothing. Queues are given back before new ones are made: two wake-ups of one queue would collide.
    pub(super) fn clear(&mut self) {
        self.count_handed_out();
        self.assigned.clear();
        self.places.clear();
        self.next = 0;
    }

    /// Reads these no more. Gives the list to unassign.
    pub(super) fn remove(&mut self, partitions: &[TopicPartition]) -> PartitionList {
        self.count_handed_out();
        self.assigned.retain(|assigned| !partitions.contains(&assigned.partition));
        let places = self.assigned.iter().enumerate();
        self.places = places.map(|(place, assigned)| (assigned.partition.clone(), place)).collect();
        self.next = 0;
        list_of(partitions)
    }

    fn count_handed_out(&mut self) {
        for assigned in &mut self.assigned {
            let topic = self.handed_out.entry(Arc::clone(&assigned.partition.topic)).or_default();
            topic.add(std::mem::take(&mut assigned.handed_out));
        }
    }

    /// What was handed out of each topic.
    pub(super) fn handed_out(&mut self) -> BTreeMap<Arc<str>, Amount> {
        self.count_handed_out();
        self.handed_out.clone()
    }

    /// All partitions that are read.
    pub(super) fn all(&self) -> impl Iterator<Item = &Assigned> {
        self.assigned.iter()
    }

    /// A partition that is read.
    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&Assigned> {
        self.places.get(partition).and_then(|place| self.assigned.get(*place))
    }

    /// A partition that is read.
    pub(super) fn get_mut(&mut self, partition: &TopicPartition) -> Option<&mut Assigned> {
        self.places.get(partition).and_then(|place| self.assigned.get_mut(*place))
    }

    /// Partitions that are read on when `going` go, each with the offset of its next record. What was fetched of them and not handed
    /// out is dropped.
    pub(super) fn hold(&mut self, going: &[TopicPartition]) -> PartitionList {
        let mut list = PartitionList::with_capacity(self.assigned.len());
        for assigned in self.assigned.iter_mut().filter(|assigned| !going.contains(&assigned.partition)) {
            assigned.move_to(assigned.position);
            list.add(&assigned.partition.topic, assigned.partition.partition, assigned.position, "");
        }
        list
    }

    /// Moves `moved` to `offset`, drops what was fetched of all, and gives the list to assign all again.
    pub(super) fn restart(&mut self, moved: &TopicPartition, offset: i64) -> PartitionList {
        if let Some(assigned) = self.get_mut(moved) {
            assigned.move_to(offset);
        }
        self.hold(&[])
    }

    /// Hands out records of partitions that have some and are wanted, a batch each.
    pub(super) fn hand_out(&mut self, sink: &mut dyn RecordSink, failures: &mut Vec<ReadFailure>) -> usize {
        let mut records = 0;
        for _ in 0..self.assigned.len() {
            if records >= ENOUGH {
                break;
            }
            self.next = (self.next + 1) % self.assigned.len();
            records += self.assigned[self.next].hand_out(sink, failures);
        }
        records
    }

    /// Takes a message that came by the consumer's queue: it left librdkafka before its partition's queue was
    /// separated, so that it is handed out at once, before all others of the partition.
    pub(super) fn stray(
        &mut self,
        partition: &TopicPartition,
        message: Result<RawRecord<'_>, MessageFailure>,
        sink: &mut dyn RecordSink,
        failures: &mut Vec<ReadFailure>,
    ) -> usize {
        self.get_mut(partition).map_or(0, |assigned| assigned.take(message, sink, failures))
    }

    /// Topics of partitions that nothing was heard of since they were assigned.
    pub(super) fn silent_topics(&self) -> Vec<String> {
        let silent = self.assigned.iter().filter(|assigned| assigned.is_silent());
        let topics: BTreeSet<&str> = silent.map(|assigned| &*assigned.partition.topic).collect();
        topics.into_iter().map(str::to_owned).collect()
    }

    /// Silent partitions for which `why` knows a reason, told once.
    pub(super) fn explain_silence(
        &mut self,
        why: impl Fn(&TopicPartition) -> Option<String>,
    ) -> Vec<(TopicPartition, String)> {
        let mut explained = Vec::new();
        for assigned in self.assigned.iter_mut().filter(|assigned| assigned.is_silent()) {
            if let Some(reason) = why(&assigned.partition) {
                assigned.heard_of = true;
                explained.push((assigned.partition.clone(), reason));
            }
        }
        explained
    }
}

/// The list of these partitions.
pub(super) fn list_of(partitions: &[TopicPartition]) -> PartitionList {
    let mut list = PartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add(&partition.topic, partition.partition, 0, "");
    }
    list
}

/// The partitions that an event is about.
pub(super) fn partitions_of(event: &Event) -> Vec<TopicPartition> {
    event.partitions().map(|entry| TopicPartition::new(entry.topic, entry.partition)).collect()
}
