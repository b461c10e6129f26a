//! Step 6, first half: typed records become bytes in the outbox. Sends nothing.

use std::ops::Range;
use std::sync::Arc;

use streams_state::serdes::{SerdeError, SerdeRef};
use streams_state::types::RecordContext;

use super::{PartitionChoice, Partitioner, update_context};
use crate::error::{NodeResult, TaskErrorCause};
use crate::processor::{DropReason, OutRecord, OutTopic, Push, TaskContext};
use crate::record::Record;

/// Chooses a record's topic.
pub(crate) type TopicExtractor<K, V> = Arc<dyn Fn(&K, &V, &RecordContext) -> String + Send + Sync>;

/// Where a sink writes.
pub(crate) enum Destination<K, V> {
    /// Always here.
    Topic(OutTopic),
    /// Chosen for each record.
    Extractor(TopicExtractor<K, V>),
}

/// Writes a topic. `V` is `T` or `Option<T>`.
pub(crate) struct Sink<K, V, T> {
    pub(crate) name: Arc<str>,
    pub(crate) destination: Destination<K, V>,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) values: SerdeRef<T>,
    pub(crate) partitioner: Option<Partitioner<K, V>>,
}

impl<K, V, T> Sink<K, V, T> {
    fn topic(&self, context: &mut TaskContext, record: &Record<K, V>) -> OutTopic {
        match &self.destination {
            Destination::Topic(topic) => *topic,
            Destination::Extractor(extractor) => {
                let topic = extractor(&record.key, &record.value, &update_context(context, record));
                context.outbox.topic(&topic)
            }
        }
    }

    fn partition(
        &self,
        context: &TaskContext,
        topic: OutTopic,
        record: &Record<K, V>,
    ) -> NodeResult<PartitionChoice> {
        let Some(partitioner) = &self.partitioner else { return Ok(PartitionChoice::Default) };
        let topic = topic_name(context, topic);
        match (context.partition_counts)(&topic) {
            Some(count) => Ok(partitioner(&topic, &record.key, &record.value, count)),
            None => Err(context.error(
                &self.name,
                TaskErrorCause::Wiring(format!("topic `{topic}` does not exist, its partitions are unknown")),
            )),
        }
    }

    /// Bytes of one part in the outbox. `None`: it cannot be serialized, and the handler said to go on.
    fn serialize(
        &self,
        context: &mut TaskContext,
        topic: OutTopic,
        part: &'static str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, SerdeError>,
    ) -> NodeResult<Option<Option<Range<usize>>>> {
        let start = context.outbox.bytes.len();
        match write(&mut context.outbox.bytes) {
            Ok(true) => Ok(Some(Some(start..context.outbox.bytes.len()))),
            Ok(false) => Ok(Some(None)),
            Err(source) => {
                context.outbox.bytes.truncate(start);
                let topic = topic_name(context, topic).to_string();
                let cause = TaskErrorCause::Serialization { topic, part, source };
                context.production_failed(&self.name, cause)?;
                Ok(None)
            }
        }
    }
}

fn topic_name(context: &TaskContext, topic: OutTopic) -> Arc<str> {
    context.outbox.topics.get(topic.0 as usize).cloned().unwrap_or_else(|| "".into())
}

impl<K: 'static, V: Into<Option<T>>, T: 'static> Push<K, V> for Sink<K, V, T> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let topic = self.topic(context, &record);
        let choice = self.partition(context, topic, &record)?;
        if choice == PartitionChoice::Drop || choice == PartitionChoice::Many(Vec::new()) {
            context.drop_record(&self.name, DropReason::NoPartition);
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record;
        let Some(key) = self.serialize(context, topic, "key", |out| self.keys.serialize(&key, out))? else {
            return Ok(());
        };
        let value = match value.into() {
            None => None,
            Some(value) => {
                let bytes =
                    self.serialize(context, topic, "value", |out| self.values.serialize(&value, out))?;
                match bytes {
                    Some(bytes) => bytes,
                    None => return Ok(()),
                }
            }
        };
        let mut send = |partition| {
            context.outbox.records.push(OutRecord {
                topic,
                partition,
                key: key.clone(),
                value: value.clone(),
                timestamp: Some(timestamp),
                headers: headers.clone(),
            });
        };
        match choice {
            PartitionChoice::Default | PartitionChoice::Drop => send(None),
            PartitionChoice::One(partition) => send(Some(partition)),
            PartitionChoice::Many(partitions) => {
                partitions.into_iter().for_each(|partition| send(Some(partition)));
            }
        }
        Ok(())
    }
}
