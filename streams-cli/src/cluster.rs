//! The edge to the cluster: which topics there are, where they begin and end, and what stands in between.

use std::collections::BTreeSet;
use std::time::Duration;

use streams_core::client::{
    Admin, AdminTopic, ClientSupplier, Consumer, ConsumerSettings, OffsetSpec, RecordSink,
};
use streams_state::types::TopicPartition;

use crate::Error;

/// Deadline of each call.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
/// Wait of one poll.
const POLL: Duration = Duration::from_millis(500);
/// Polls in a row without progress before a partition counts as unreadable.
const EMPTY_POLLS_MAX: u32 = 120;

/// The clients, which belong to no group and write nothing.
pub(crate) struct Cluster {
    pub(crate) admin: Box<dyn Admin>,
    pub(crate) consumer: Box<dyn Consumer>,
}

impl Cluster {
    pub(crate) fn connect(supplier: &dyn ClientSupplier) -> Result<Self, Error> {
        let consumer = supplier.consumer(&ConsumerSettings {
            client_id: "kstreams-cli".to_owned(),
            read_committed: true,
            ..ConsumerSettings::default()
        })?;
        Ok(Self { admin: supplier.admin()?, consumer })
    }

    /// Of `topics` those that exist, with their partitions.
    pub(crate) fn existing(&mut self, topics: &BTreeSet<String>) -> Result<Vec<(String, i32)>, Error> {
        let names: Vec<String> = topics.iter().cloned().collect();
        let found = self.admin.describe_topics(&names, TIMEOUT)?;
        let topics = names.into_iter().zip(found);
        Ok(topics.filter_map(|(name, found)| Some((name, found?.partitions))).collect())
    }

    /// The topic of this name, if there is one.
    pub(crate) fn topic(&mut self, name: &str) -> Result<Option<AdminTopic>, Error> {
        Ok(self.admin.describe_topics(&[name.to_owned()], TIMEOUT)?.pop().flatten())
    }

    /// First offsets, and the offsets after the last records that are decided.
    pub(crate) fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(i64, i64)>, Error> {
        let starts = self.consumer.list_offsets(partitions, OffsetSpec::Beginning, TIMEOUT)?;
        let ends = self.consumer.list_offsets(partitions, OffsetSpec::Stable, TIMEOUT)?;
        Ok(starts.into_iter().zip(ends).collect())
    }

    /// Reads `partition` from `start` to `end` into `sink`; after each poll `look` sees the sink, and may stop with `false` or an
    /// error.
    pub(crate) fn read<S: RecordSink>(
        &mut self,
        partition: &TopicPartition,
        (start, end): (i64, i64),
        sink: &mut S,
        mut look: impl FnMut(&mut S) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.consumer.assign(&[(partition.clone(), start, 0)])?;
        let (mut position, mut empty) = (start, 0);
        while position < end {
            self.consumer.poll(POLL, sink)?;
            if !look(sink)? {
                break;
            }
            let reached = self.consumer.position(partition)?;
            empty = if reached > position { 0 } else { empty + 1 };
            if empty > EMPTY_POLLS_MAX {
                return Err(
                    format!("{partition}: nothing came behind offset {position}, it ends at {end}").into()
                );
            }
            position = reached;
        }
        Ok(())
    }
}
