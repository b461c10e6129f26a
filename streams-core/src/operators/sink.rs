//! Step 6, first half: typed records become bytes in the outbox. Sends nothing.

use std::ops::Range;
use std::sync::Arc;

use streams_state::serdes::{Part, SerdeError};

use super::{PartitionChoice, Partitioner, SinkSerdes};
use crate::error::{BoxError, NodeResult, TaskErrorCause};
use crate::partitioner::partition_for_key;
use crate::processor::{DropReason, OutRecord, OutTopic, Push, TaskContext, Writer};
use crate::record::{Record, SinkContext};

/// Chooses a record's topic.
pub(crate) type TopicExtractor<K, V> =
    Arc<dyn Fn(&K, &V, &SinkContext<'_>) -> Result<String, BoxError> + Send + Sync>;

/// Where a sink writes.
pub(crate) enum Destination<K, V> {
    /// Always here.
    Topic(OutTopic),
    /// Chosen for each record, by this writer.
    Extractor(TopicExtractor<K, V>, Writer),
}

/// Writes a topic. `V` is `T` or `Option<T>`.
pub(crate) struct Sink<K, V, T> {
    pub(crate) name: Arc<str>,
    pub(crate) destination: Destination<K, V>,
    pub(crate) serdes: SinkSerdes<K, T>,
    pub(crate) partitioner: Option<Partitioner<K, V>>,
    /// Whether the partition follows from a windowed key without its window: so for `to` of the DSL, not for
    /// repartition topics and sinks of the Processor API.
    pub(crate) by_base_key: bool,
}

impl<K: 'static, V, T: 'static> Sink<K, V, T> {
    fn topic(&self, context: &mut TaskContext, record: &Record<K, V>) -> NodeResult<OutTopic> {
        match &self.destination {
            Destination::Topic(topic) => Ok(*topic),
            Destination::Extractor(extractor, writer) => {
                let topic = extractor(&record.key, &record.value, &sink_context(context, record));
                let topic = topic.map_err(|error| context.user_error(&self.name, error))?;
                Ok(context.outbox.topic_of(*writer, &topic))
            }
        }
    }

    fn partition(
        &self,
        context: &mut TaskContext,
        topic: OutTopic,
        record: &Record<K, V>,
    ) -> NodeResult<PartitionChoice> {
        let Some(partitioner) = &self.partitioner else { return Ok(PartitionChoice::Default) };
        let count = self.partition_count(context, topic)?;
        let topic = topic_name(context, topic);
        let choice = partitioner(&topic, &record.key, &record.value, count);
        choice.map_err(|error| context.user_error(&self.name, error))
    }

    fn partition_count(&self, context: &mut TaskContext, topic: OutTopic) -> NodeResult<i32> {
        let source = match context.partition_count(topic) {
            Ok(Some(count)) => return Ok(count),
            Ok(None) => None,
            Err(source) => Some(source),
        };
        let topic = topic_name(context, topic).to_string();
        let cause = match source {
            None => {
                TaskErrorCause::Wiring(format!("topic `{topic}` does not exist, its partitions are unknown"))
            }
            Some(source) => TaskErrorCause::Unanswered { topic, source },
        };
        Err(context.error(&self.name, cause))
    }

    /// Where nobody else chooses: all windows of a key go to the partition of the key alone.
    fn partition_of_windowed(
        &self,
        context: &mut TaskContext,
        topic: OutTopic,
        key: &Range<usize>,
    ) -> NodeResult<PartitionChoice> {
        let base = self.serdes.base_key(&context.outbox.bytes[key.clone()]).len();
        if !self.by_base_key || base == key.len() {
            return Ok(PartitionChoice::Default);
        }
        let count = self.partition_count(context, topic)?;
        let base = self.serdes.base_key(&context.outbox.bytes[key.clone()]);
        Ok(PartitionChoice::One(partition_for_key(base, count)))
    }

    /// The producer would refuse the record: asks the handler instead.
    #[cold]
    fn too_large(&self, context: &mut TaskContext, record: &OutRecord, bytes: usize) -> NodeResult {
        let max = context.outbox.record_max_bytes.unwrap_or(usize::MAX);
        let topic = topic_name(context, record.topic).to_string();
        let cause = TaskErrorCause::TooLarge { topic, bytes, max };
        context.production_failed(&self.name, cause, Some(record))
    }
}

/// A part of the record cannot be serialized: asks the handler.
#[cold]
fn not_serialized(
    context: &mut TaskContext,
    node: &str,
    record: &OutRecord,
    part: Part,
    source: SerdeError,
) -> NodeResult {
    let topic = topic_name(context, record.topic).to_string();
    let cause = TaskErrorCause::Serialization { topic, part, source };
    context.production_failed(node, cause, Some(record))
}

/// Appends one part of a record to the outbox. `None` is null.
#[inline]
fn append(
    context: &mut TaskContext,
    write: impl FnOnce(&mut Vec<u8>) -> Result<bool, SerdeError>,
) -> Result<Option<Range<usize>>, SerdeError> {
    let bytes = &mut context.outbox.bytes;
    let start = bytes.len();
    match write(bytes) {
        Ok(present) => Ok(present.then_some(start..bytes.len())),
        Err(error) => {
            bytes.truncate(start);
            Err(error)
        }
    }
}

/// Time and headers of the record that is written, and where the record in work came from.
fn sink_context<'a, K, V>(context: &'a TaskContext, record: &'a Record<K, V>) -> SinkContext<'a> {
    let source = context.record_metadata();
    SinkContext {
        topic: source.map(|(topic, _, _)| topic),
        partition: source.map_or(-1, |(_, partition, _)| partition),
        offset: source.map_or(-1, |(_, _, offset)| offset),
        timestamp: record.timestamp,
        headers: &record.headers,
    }
}

pub(super) fn topic_name(context: &TaskContext, topic: OutTopic) -> Arc<str> {
    context.outbox.topics.get(topic.0 as usize).cloned().unwrap_or_else(|| "".into())
}

impl<K: 'static, V: Into<Option<T>>, T: 'static> Push<K, V> for Sink<K, V, T> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        let topic = self.topic(context, &record)?;
        let choice = self.partition(context, topic, &record)?;
        if choice == PartitionChoice::Drop || choice == PartitionChoice::Many(Vec::new()) {
            context.drop_record(&self.name, DropReason::NoPartition);
            return Ok(());
        }
        let Record { key, value, timestamp, headers } = record;
        let timestamp = Some(timestamp);
        let mut out = OutRecord { topic, partition: None, key: None, value: None, timestamp, headers };
        let (keys, values) = self.serdes.of(context, topic);
        match append(context, |bytes| keys.serialize_with_headers(&key, &mut out.headers, bytes)) {
            Ok(key) => out.key = key,
            Err(error) => return not_serialized(context, &self.name, &out, Part::Key, error),
        }
        if let Some(value) = value.into() {
            match append(context, |bytes| values.serialize_with_headers(&value, &mut out.headers, bytes)) {
                Ok(value) => out.value = value,
                Err(error) => return not_serialized(context, &self.name, &out, Part::Value, error),
            }
        }
        if let Some(bytes) = context.outbox.too_large(&out.key, &out.value, &out.headers) {
            return self.too_large(context, &out, bytes);
        }
        let choice = match (choice, &out.key) {
            (PartitionChoice::Default, Some(key)) => self.partition_of_windowed(context, topic, key)?,
            (choice, _) => choice,
        };
        match choice {
            PartitionChoice::Default | PartitionChoice::Drop => {}
            PartitionChoice::One(partition) => out.partition = Some(partition),
            PartitionChoice::Many(partitions) => {
                let copies =
                    partitions.into_iter().map(|to| OutRecord { partition: Some(to), ..out.clone() });
                context.outbox.records.extend(copies);
                return Ok(());
            }
        }
        context.outbox.records.push(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use streams_state::serdes::{Auto, LongSerde, SerdeRef, StringSerde, TimeWindowedSerde};
    use streams_state::types::{TaskId, Window, Windowed};

    use super::*;

    /// The partitions of a windowed key's records, for two windows.
    fn partitions(by_base_key: bool) -> Vec<Option<i32>> {
        let task = TaskId { subtopology: 0, partition: 0 };
        let mut context = TaskContext::new(task, "app".into(), Rc::new(|_| Ok(Some(8))));
        let mut sink = Sink::<Windowed<String>, i64, i64> {
            name: "sink".into(),
            destination: Destination::Topic(context.outbox.topic("out")),
            serdes: SinkSerdes::new(
                Arc::new(TimeWindowedSerde::write_only(StringSerde::default())),
                Arc::new(LongSerde),
            ),
            partitioner: None,
            by_base_key,
        };
        for start in [0, 10] {
            let key = Windowed { key: "ada".to_owned(), window: Window { start, end: start + 10 } };
            sink.push(&mut context, Record::new(key, 1, 0)).unwrap();
        }
        context.outbox.records.iter().map(|record| record.partition).collect()
    }

    #[test]
    fn all_windows_of_a_key_go_to_the_partition_of_the_key() {
        let key = partition_for_key(b"ada", 8);
        assert_eq!(partitions(true), [Some(key), Some(key)]);
        // Repartition topics: whatever the producer makes of the whole key.
        assert_eq!(partitions(false), [None, None]);
        let plain: SerdeRef<String> = Arc::new(Auto);
        assert_eq!(plain.base_key(b"ada"), b"ada");
    }
}
