//! The whole of the embedded Kafka: topics, transactions and groups, and what touches more than one of them.
//!
//! Everything here happens under one lock and takes the time as an argument.

use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::types::{Headers, Timestamp, TopicPartition};
use uuid::Uuid;

use super::batch::Batch;
use super::errors::{bad_record, invalid, unknown_topic};
use super::group::Group;
use super::markers::{Marker, Markers, Place};
use super::partition::{Fetch, PartitionLog, Stamp};
use super::topic::{Topic, collision_name};
use super::transactions::{Coordinator, OpenTransaction, ProducerIdentity};
use crate::client::{
    ClientError, CommittedOffset, Fault, GroupMember, GroupMetadata, NewTopic, OffsetSpec, TopicSetting,
};

/// The time, as a call into the log sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) ms: i64,
    /// Whether the clock is virtual: default limits on timestamps are not enforced.
    pub(super) is_virtual: bool,
}

/// Topics, transactions and groups.
#[derive(Debug, Default)]
pub(super) struct Log {
    topics: BTreeMap<Arc<str>, Topic>,
    topics_created: u128,
    pub(super) coordinator: Coordinator,
    groups: BTreeMap<String, Group>,
    pub(super) markers: Markers,
    /// Nothing happens by itself before this time.
    quiet_until_ms: Option<i64>,
}

impl Log {
    /// Does what time brings: transactions time out, members expire, rebalances end. Whether anything changed.
    pub(super) fn advance(&mut self, now_ms: i64) -> bool {
        if self.quiet_until_ms.is_some_and(|at| now_ms < at) {
            return false;
        }
        let mut changed = false;
        for marker in self.markers.take_due(now_ms) {
            self.arrive(&marker);
            changed = true;
        }
        for id in self.coordinator.expired(now_ms) {
            self.settle(&id);
            self.coordinator.fence(&id);
            changed = true;
        }
        changed |= self.advance_groups(now_ms);
        let groups = self.groups.values().filter_map(Group::next_deadline_ms).min();
        let next = self.coordinator.next_deadline_ms().into_iter().chain(groups);
        let next = next.chain(self.markers.next_due_ms()).min();
        self.quiet_until_ms = Some(next.unwrap_or(i64::MAX));
        changed
    }

    fn advance_groups(&mut self, now_ms: i64) -> bool {
        let topics = &self.topics;
        let count = |name: &str| topics.get(name).map(|topic| topic.partitions.len() as i32);
        let mut changed = false;
        for group in self.groups.values_mut() {
            changed |= group.advance(now_ms, &count);
        }
        changed
    }

    /// Something may be due earlier than was known.
    pub(super) fn stir(&mut self) {
        self.quiet_until_ms = None;
    }

    /// When something happens by itself, as far as is known.
    pub(super) fn next_deadline_ms(&self) -> Option<i64> {
        self.quiet_until_ms.filter(|at| *at != i64::MAX)
    }

    // Topics.

    /// Creates a topic.
    pub(super) fn create_topic(&mut self, new: &NewTopic, now_ms: i64) -> Result<(), ClientError> {
        let call = format!("create topic `{}`", new.name);
        if self.topics.contains_key(new.name.as_str()) {
            return Err(ClientError::new(Fault::AlreadyExists, call, "the topic is there already"));
        }
        let topic = Topic::new(new, self.next_topic_id())?;
        let flat = collision_name(&new.name);
        if let Some(clash) = self.topics.keys().find(|name| collision_name(name) == flat) {
            return Err(invalid(&call, format!("the name collides with topic `{clash}`")));
        }
        self.topics.insert(Arc::from(new.name.as_str()), topic);
        self.topic_changed(&new.name, now_ms);
        Ok(())
    }

    /// Deletes a topic and what groups committed for it.
    pub(super) fn delete_topic(&mut self, name: &str, now_ms: i64) -> Result<(), ClientError> {
        if self.topics.remove(name).is_none() {
            return Err(unknown_topic("delete topic", name));
        }
        for group in self.groups.values_mut() {
            group.offsets.forget_topic(name);
        }
        self.topic_changed(name, now_ms);
        Ok(())
    }

    fn topic_changed(&mut self, name: &str, now_ms: i64) {
        for group in self.groups.values_mut().filter(|group| group.reads(name)) {
            group.begin_rebalance(now_ms);
        }
        self.stir();
    }

    /// Number of partitions of a topic.
    pub(super) fn partition_count(&self, topic: &str) -> Option<i32> {
        self.topics.get(topic).map(|topic| topic.partitions.len() as i32)
    }

    /// The id of a topic.
    pub(super) fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.topics.get(topic).map(|topic| topic.id)
    }

    /// How many replicas the topic was asked to have.
    pub(super) fn replication_factor(&self, topic: &str) -> Option<i16> {
        self.topics.get(topic).map(|topic| topic.replication_factor)
    }

    /// All settings of a topic.
    pub(super) fn topic_config(&self, topic: &str) -> Option<BTreeMap<String, TopicSetting>> {
        self.topics.get(topic).map(Topic::config)
    }

    /// Changes settings of a topic.
    pub(super) fn alter_config(
        &mut self,
        name: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<(), ClientError> {
        let call = format!("alter topic `{name}`");
        self.topic_mut(&call, name)?.alter(&call, settings)
    }

    /// Adds partitions to a topic.
    pub(super) fn create_partitions(
        &mut self,
        name: &str,
        total: i32,
        now_ms: i64,
    ) -> Result<(), ClientError> {
        let call = format!("add partitions to topic `{name}`");
        self.topic_mut(&call, name)?.grow(&call, total)?;
        self.topic_changed(name, now_ms);
        Ok(())
    }

    /// Who is in a group.
    pub(super) fn group_members(&self, group: &str) -> Vec<GroupMember> {
        self.groups.get(group).map(Group::described).unwrap_or_default()
    }

    /// Ids are numbers: the same in each run of a test.
    fn next_topic_id(&mut self) -> Uuid {
        self.topics_created += 1;
        Uuid::from_u128(self.topics_created)
    }

    /// Names of all topics.
    pub(super) fn topic_names(&self) -> Vec<String> {
        self.topics.keys().map(|name| name.to_string()).collect()
    }

    /// A topic.
    pub(super) fn topic_mut(&mut self, call: &str, topic: &str) -> Result<&mut Topic, ClientError> {
        self.topics.get_mut(topic).ok_or_else(|| unknown_topic(call, topic))
    }

    /// A partition.
    pub(super) fn partition(&self, call: &str, at: &TopicPartition) -> Result<&PartitionLog, ClientError> {
        let topic = self.topics.get(&at.topic).ok_or_else(|| unknown_topic(call, &at.topic))?;
        usize::try_from(at.partition)
            .ok()
            .and_then(|number| topic.partitions.get(number))
            .ok_or_else(|| unknown_topic(call, at))
    }

    // Records.

    /// Appends a batch, and gives the offset of its last record. The batch is gone, whatever the answer.
    pub(super) fn append(
        &mut self,
        at: &TopicPartition,
        stamp: Option<Stamp>,
        batch: Batch,
        now: Now,
    ) -> Result<i64, ClientError> {
        let call = format!("append to {at}");
        let topic = self.topic_mut(&call, &at.topic)?;
        let settings = &topic.settings;
        settings.check_size(&call, batch.largest_bytes())?;
        for timestamp in batch.timestamps() {
            settings.check_timestamp(&call, timestamp, now.ms, now.is_virtual)?;
        }
        if settings.compacted && batch.has_null_key() {
            return Err(bad_record(&call, "a compacted topic takes no record without a key"));
        }
        let append_time = settings.append_time.then_some(now.ms);
        let partition =
            usize::try_from(at.partition).ok().and_then(|number| topic.partitions.get_mut(number));
        partition.ok_or_else(|| unknown_topic(&call, at))?.append(stamp, append_time, batch)
    }

    /// Appends one record that no producer wrote, and gives its offset.
    pub(super) fn append_one(
        &mut self,
        topic_name: &str,
        partition: i32,
        (key, value, timestamp): (Option<&[u8]>, Option<&[u8]>, Timestamp),
        headers: &Headers,
        now: Now,
    ) -> Result<i64, ClientError> {
        let topic = self.topic_mut("append", topic_name)?;
        let settings = &topic.settings;
        settings.check_size("append", Batch::record_size_bytes(key, value, headers))?;
        settings.check_timestamp("append", timestamp, now.ms, now.is_virtual)?;
        if settings.compacted && key.is_none() {
            return Err(bad_record("append", "a compacted topic takes no record without a key"));
        }
        let append_time = settings.append_time.then_some(now.ms);
        let log = usize::try_from(partition).ok().and_then(|number| topic.partitions.get_mut(number));
        log.ok_or_else(|| unknown_topic("append", format!("{topic_name}-{partition}")))?
            .append_one(timestamp, append_time, key, value, headers)
            .ok_or_else(|| bad_record("append", "the record is too large"))
    }

    /// Reads from `from` on.
    pub(super) fn fetch(
        &self,
        at: &TopicPartition,
        from: i64,
        read_committed: bool,
    ) -> Result<Fetch, ClientError> {
        let partition = self.partition("fetch", at)?;
        partition.read(from, read_committed).ok_or_else(|| {
            let (start, end) = (partition.start(), partition.end());
            let message = format!("offset {from} of {at} is not in the log, which has {start} to {end}");
            ClientError::new(Fault::OffsetOutOfRange, "fetch", message)
        })
    }

    /// One end of a partition.
    pub(super) fn offset(&self, at: &TopicPartition, spec: OffsetSpec) -> Result<i64, ClientError> {
        let partition = self.partition("list offsets", at)?;
        Ok(match spec {
            OffsetSpec::Beginning => partition.start(),
            OffsetSpec::End => partition.end(),
            OffsetSpec::Stable => partition.stable(),
            OffsetSpec::AtTime(time) => {
                let (mut found, mut from) = (-1, partition.start());
                while let Some(fetch) = partition.read(from, false).filter(|_| found < 0) {
                    for batch in &fetch.batches {
                        batch.records_from(from, |record| {
                            if found < 0 && record.timestamp >= time {
                                found = record.offset;
                            }
                        });
                    }
                    if fetch.next <= from {
                        break;
                    }
                    from = fetch.next;
                }
                found
            }
        })
    }

    /// Deletes the records before an offset; -1 deletes all.
    pub(super) fn delete_records(&mut self, at: &TopicPartition, before: i64) -> Result<i64, ClientError> {
        let call = "delete records";
        let end = self.partition(call, at)?.end();
        let topic = self.topic_mut(call, &at.topic)?;
        let partition =
            usize::try_from(at.partition).ok().and_then(|number| topic.partitions.get_mut(number));
        partition.and_then(|partition| partition.delete_before(before)).ok_or_else(|| {
            let message = format!("offset {before} of {at} is not in the log, which ends at {end}");
            ClientError::new(Fault::OffsetOutOfRange, call, message)
        })
    }

    // Transactions.

    /// Gives a transactional id to a new producer: the old one is fenced, and its open transaction aborted.
    pub(super) fn init_transactions(
        &mut self,
        id: &str,
        timeout_ms: i64,
    ) -> Result<ProducerIdentity, ClientError> {
        self.settle(id);
        self.coordinator.init(id, timeout_ms)
    }

    /// Appends a batch to the open transaction of `id`.
    pub(super) fn append_in_transaction(
        &mut self,
        id: &str,
        at: &TopicPartition,
        stamp: Stamp,
        batch: Batch,
        now: Now,
    ) -> Result<i64, ClientError> {
        let identity = ProducerIdentity { producer: stamp.producer, epoch: stamp.epoch };
        self.coordinator.check("produce", id, identity)?;
        self.complete(stamp.producer);
        let offset = self.append(at, Some(stamp), batch, now)?;
        if let Some(open) = self.coordinator.open(id, now.ms) {
            if open.is_empty() {
                self.quiet_until_ms = None;
            }
            if !open.partitions.contains(at) {
                open.partitions.insert(at.clone());
            }
        }
        Ok(offset)
    }

    /// Adds offsets to the open transaction of `id`.
    pub(super) fn send_offsets(
        &mut self,
        id: &str,
        identity: ProducerIdentity,
        offsets: &[(TopicPartition, CommittedOffset)],
        proof: &GroupMetadata,
        now: Now,
    ) -> Result<(), ClientError> {
        let call = "send offsets to transaction";
        self.coordinator.check(call, id, identity)?;
        self.complete(identity.producer);
        if proof.group.is_empty() {
            return Err(invalid(call, "the group has no name"));
        }
        let group = self.groups.entry(proof.group.clone()).or_default();
        group.check(call, proof)?;
        group.offsets.add_pending(identity.producer, offsets);
        if let Some(open) = self.coordinator.open(id, now.ms) {
            open.groups.insert(proof.group.clone());
        }
        self.stir();
        Ok(())
    }

    /// Commits or aborts the open transaction of `id`, if there is one.
    pub(super) fn end_transaction(
        &mut self,
        id: &str,
        identity: ProducerIdentity,
        commit: bool,
        now: Now,
    ) -> Result<(), ClientError> {
        let call = if commit { "commit transaction" } else { "abort transaction" };
        self.coordinator.check(call, id, identity)?;
        if let Some((producer, open)) = self.coordinator.take_open(id) {
            for marker in markers(producer, &open, commit) {
                if let Some(marker) = self.markers.send(marker, now.ms) {
                    self.arrive(&marker);
                }
            }
            self.stir();
        }
        Ok(())
    }

    /// Aborts whatever is open under `id`, and waits for the markers of what was decided before.
    fn settle(&mut self, id: &str) {
        if let Some(producer) = self.coordinator.producer_of(id) {
            self.complete(producer);
        }
        if let Some((producer, open)) = self.coordinator.take_open(id) {
            markers(producer, &open, false).for_each(|marker| self.arrive(&marker));
        }
    }

    /// Nothing more of a producer is taken until the markers of its last transaction have arrived.
    fn complete(&mut self, producer: i64) {
        for marker in self.markers.take_of(producer) {
            self.arrive(&marker);
        }
    }

    fn arrive(&mut self, marker: &Marker) {
        match &marker.place {
            Place::Partition(at) => {
                let topic = self.topics.get_mut(&at.topic);
                let number = usize::try_from(at.partition).ok();
                if let Some(partition) =
                    topic.zip(number).and_then(|(topic, number)| topic.partitions.get_mut(number))
                {
                    partition.end_transaction(marker.producer, marker.commit);
                }
            }
            Place::Group(name) => {
                if let Some(group) = self.groups.get_mut(name) {
                    group.offsets.end_transaction(marker.producer, marker.commit);
                }
            }
        }
    }

    // Groups.

    /// A group, made on first use.
    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
    }

    /// Commits offsets outside of transactions.
    pub(super) fn commit_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        proof: &GroupMetadata,
    ) -> Result<(), ClientError> {
        let call = "commit offsets";
        let group = self.group(&proof.group);
        group.check(call, proof)?;
        group.offsets.commit(offsets);
        Ok(())
    }

    /// What a group has committed; `None` while a transaction that holds one of these partitions is not decided.
    pub(super) fn committed(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Option<Vec<Option<CommittedOffset>>> {
        let Some(group) = self.groups.get(group) else { return Some(vec![None; partitions.len()]) };
        if partitions.iter().any(|partition| group.offsets.is_pending(partition)) {
            return None;
        }
        Some(partitions.iter().map(|partition| group.offsets.get(partition)).collect())
    }
}

/// What tells the places of a transaction how it was decided.
fn markers(producer: i64, open: &OpenTransaction, commit: bool) -> impl Iterator<Item = Marker> {
    let partitions = open.partitions.iter().cloned().map(Place::Partition);
    let places = partitions.chain(open.groups.iter().cloned().map(Place::Group));
    places.map(move |place| Marker { producer, place, commit })
}
