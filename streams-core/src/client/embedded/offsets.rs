//! What a group has committed, and what waits for the decision of a transaction.

use std::collections::BTreeMap;

use streams_state::types::TopicPartition;

use crate::client::CommittedOffset;

#[derive(Clone, Debug)]
struct Placed {
    /// Place of the commit among all commits of the group: a later one wins, whenever its transaction ends.
    sequence: u64,
    offset: CommittedOffset,
}

/// Offsets of one group.
#[derive(Debug, Default)]
pub(super) struct GroupOffsets {
    commits: u64,
    committed: BTreeMap<TopicPartition, Placed>,
    /// By producer id.
    pending: BTreeMap<i64, BTreeMap<TopicPartition, Placed>>,
}

impl GroupOffsets {
    /// Commits offsets.
    pub(super) fn commit(&mut self, offsets: &[(TopicPartition, CommittedOffset)]) {
        self.commits += 1;
        for (partition, offset) in offsets {
            self.committed
                .insert(partition.clone(), Placed { sequence: self.commits, offset: offset.clone() });
        }
    }

    /// Adds offsets to the transaction of `producer`.
    pub(super) fn add_pending(&mut self, producer: i64, offsets: &[(TopicPartition, CommittedOffset)]) {
        self.commits += 1;
        let pending = self.pending.entry(producer).or_default();
        for (partition, offset) in offsets {
            pending.insert(partition.clone(), Placed { sequence: self.commits, offset: offset.clone() });
        }
    }

    /// The transaction of `producer` is decided.
    pub(super) fn end_transaction(&mut self, producer: i64, commit: bool) {
        let Some(pending) = self.pending.remove(&producer) else { return };
        if !commit {
            return;
        }
        for (partition, placed) in pending {
            if self.committed.get(&partition).is_none_or(|known| known.sequence < placed.sequence) {
                self.committed.insert(partition, placed);
            }
        }
    }

    /// Whether a transaction that is not decided holds an offset of `partition`.
    pub(super) fn is_pending(&self, partition: &TopicPartition) -> bool {
        self.pending.values().any(|pending| pending.contains_key(partition))
    }

    /// The committed offset of `partition`.
    pub(super) fn get(&self, partition: &TopicPartition) -> Option<CommittedOffset> {
        self.committed.get(partition).map(|placed| placed.offset.clone())
    }

    /// Forgets the partitions of a deleted topic.
    pub(super) fn forget_topic(&mut self, topic: &str) {
        self.committed.retain(|partition, _| &*partition.topic != topic);
        for pending in self.pending.values_mut() {
            pending.retain(|partition, _| &*partition.topic != topic);
        }
    }
}
