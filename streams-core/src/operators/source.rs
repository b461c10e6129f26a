//! Step 2: raw records become typed heads, with a timestamp; or they are dropped and counted, or handled.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::serdes::{Part, SerdeError, SerdeRef, for_topic};
use streams_state::types::{Headers, Timestamp};

use crate::config::TimestampPolicy;
use crate::error::{NodeResult, TaskError, TaskErrorCause};
use crate::processor::{DropReason, Outputs, SourceNode, TaskContext};
use crate::record::{ConsumerRecord, RawRecord, Record};

/// Gives a record its event time: sees the record as its topic has it, and the largest timestamp of its
/// partition so far (-1 at the start). A negative answer drops the record.
pub type TimestampExtractor<K, V> =
    Arc<dyn Fn(&ConsumerRecord<'_, K, V>, Timestamp) -> Timestamp + Send + Sync>;

/// How a source finds event times.
pub(crate) enum Timestamps<K, V> {
    /// As one of Kafka Streams' extractors does.
    Policy(TimestampPolicy),
    /// By a function of the user's.
    Own(TimestampExtractor<K, V>),
}

impl<K, V> Clone for Timestamps<K, V> {
    fn clone(&self) -> Self {
        match self {
            Self::Policy(policy) => Self::Policy(*policy),
            Self::Own(extractor) => Self::Own(extractor.clone()),
        }
    }
}

/// One topic's end of a source node.
pub(crate) struct Source<K, V> {
    pub(crate) name: Arc<str>,
    pub(crate) keys: SerdeRef<K>,
    pub(crate) values: SerdeRef<V>,
    pub(crate) extractor: Option<Timestamps<K, V>>,
    pub(crate) head: Option<Record<K, V>>,
    pub(crate) outputs: Rc<RefCell<Outputs<K, V>>>,
}

impl<K: 'static, V: 'static> Source<K, V> {
    /// Event time by one of Kafka Streams' extractors. A negative one drops the record.
    #[inline]
    fn by_policy(
        &self,
        context: &TaskContext,
        policy: TimestampPolicy,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
    ) -> NodeResult<Timestamp> {
        if raw.timestamp >= 0 && policy != TimestampPolicy::WallClock {
            return Ok(raw.timestamp);
        }
        match policy {
            TimestampPolicy::WallClock => Ok(context.wall_time),
            TimestampPolicy::LogAndSkipOnInvalid => Ok(raw.timestamp),
            TimestampPolicy::UsePartitionTimeOnInvalid if partition_time >= 0 => Ok(partition_time),
            TimestampPolicy::UsePartitionTimeOnInvalid => {
                Err(no_timestamp(context, &self.name, raw, " and is the first of its partition"))
            }
            TimestampPolicy::FailOnInvalid => {
                Err(no_timestamp(context, &self.name, raw, "; set a timestamp extractor on this source"))
            }
        }
    }
}

#[cold]
fn no_timestamp(context: &TaskContext, node: &str, raw: &RawRecord<'_>, why: &str) -> Box<TaskError> {
    let message = format!("the record has the negative timestamp {}{why}", raw.timestamp);
    context.error(node, TaskErrorCause::Timestamp(message))
}

/// The part that did not parse: null where the type has none is a dropped record, all else is an error.
#[cold]
fn unreadable(
    context: &mut TaskContext,
    node: &str,
    (part, null): (Part, bool),
    source: SerdeError,
) -> NodeResult<Option<Timestamp>> {
    if null {
        let reason = match part {
            Part::Key => DropReason::NullKey,
            Part::Value => DropReason::NullValue,
        };
        context.drop_record(node, reason);
    } else {
        context.deserialization_failed(node, TaskErrorCause::Deserialization { part, source })?;
    }
    Ok(None)
}

impl<K: 'static, V: 'static> SourceNode for Source<K, V> {
    fn load(
        &mut self,
        context: &mut TaskContext,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
    ) -> NodeResult<Option<Timestamp>> {
        self.head = None;
        let key = match self.keys.deserialize_with_headers(raw.key, &raw.headers) {
            Ok(key) => key,
            Err(source) => return unreadable(context, &self.name, (Part::Key, raw.key.is_none()), source),
        };
        let value = match self.values.deserialize_with_headers(raw.value, &raw.headers) {
            Ok(value) => value,
            Err(source) => {
                return unreadable(context, &self.name, (Part::Value, raw.value.is_none()), source);
            }
        };
        let mut record = Record { key, value, timestamp: raw.timestamp, headers: raw.headers.clone() };
        record.timestamp = match &self.extractor {
            Some(Timestamps::Own(extractor)) => {
                let consumed = ConsumerRecord {
                    key: &record.key,
                    value: &record.value,
                    timestamp: raw.timestamp,
                    headers: &record.headers,
                    topic: context.source_topic(),
                    partition: context.source_partition(),
                    offset: raw.offset,
                };
                extractor(&consumed, partition_time)
            }
            Some(Timestamps::Policy(policy)) => self.by_policy(context, *policy, raw, partition_time)?,
            None => self.by_policy(context, context.timestamp_policy, raw, partition_time)?,
        };
        let timestamp = record.timestamp;
        self.head = Some(record);
        Ok(Some(timestamp))
    }

    fn process(&mut self, context: &mut TaskContext) -> NodeResult {
        match self.head.take() {
            Some(record) => self.outputs.borrow_mut().forward(context, record),
            None => Ok(()),
        }
    }

    fn set_headers(&mut self, headers: &Headers) {
        if let Some(head) = &mut self.head {
            head.headers = headers.clone();
        }
    }

    fn discard(&mut self) {
        self.head = None;
    }

    fn read_topic(&mut self, topic: &str) {
        self.keys = for_topic(&self.keys, topic, Part::Key);
        self.values = for_topic(&self.values, topic, Part::Value);
    }

    fn fork(&self) -> Box<dyn SourceNode> {
        Box::new(Self {
            name: self.name.clone(),
            keys: self.keys.clone(),
            values: self.values.clone(),
            extractor: self.extractor.clone(),
            head: None,
            outputs: self.outputs.clone(),
        })
    }
}

/// Several sources of the same topics, merged into one node: each part reads the record as its own types and
/// serves its own children, in order. The first part decides about bad records and timestamps.
pub(crate) struct CompositeSource(pub(crate) Vec<Box<dyn SourceNode>>);

impl SourceNode for CompositeSource {
    fn load(
        &mut self,
        context: &mut TaskContext,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
    ) -> NodeResult<Option<Timestamp>> {
        self.discard();
        let mut first = None;
        for part in &mut self.0 {
            let timestamp = part.load(context, raw, partition_time)?;
            first = first.or(timestamp);
            if first.is_none() {
                return Ok(None);
            }
        }
        Ok(first)
    }

    fn process(&mut self, context: &mut TaskContext) -> NodeResult {
        self.0.iter_mut().try_for_each(|part| part.process(context))
    }

    fn set_headers(&mut self, headers: &Headers) {
        self.0.iter_mut().for_each(|part| part.set_headers(headers));
    }

    fn discard(&mut self) {
        self.0.iter_mut().for_each(|part| part.discard());
    }

    fn read_topic(&mut self, topic: &str) {
        self.0.iter_mut().for_each(|part| part.read_topic(topic));
    }

    fn fork(&self) -> Box<dyn SourceNode> {
        Box::new(Self(self.0.iter().map(|part| part.fork()).collect()))
    }
}
