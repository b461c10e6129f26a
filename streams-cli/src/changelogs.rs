//! The edge to the cluster: where the topics end that stores are restored from.

use std::collections::BTreeSet;
use std::time::Duration;

use streams_core::client::{Admin, ClientSupplier, Consumer, ConsumerSettings, OffsetSpec};
use streams_state::types::TopicPartition;

use crate::Error;

/// Deadline of each call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The clients, which belong to no group and write nothing.
pub(crate) struct Changelogs {
    admin: Box<dyn Admin>,
    pub(crate) consumer: Box<dyn Consumer>,
}

impl Changelogs {
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

    /// First offsets, and the offsets after the last records that are decided.
    pub(crate) fn bounds(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(i64, i64)>, Error> {
        let starts = self.consumer.list_offsets(partitions, OffsetSpec::Beginning, TIMEOUT)?;
        let ends = self.consumer.list_offsets(partitions, OffsetSpec::Stable, TIMEOUT)?;
        Ok(starts.into_iter().zip(ends).collect())
    }
}
