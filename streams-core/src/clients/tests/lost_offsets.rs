//! An offset that is not in the log, while the cluster does not say what is. Once an error of that look-up went to the caller of `poll`, and
//! nobody looked again: the partition stood still for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use streams_state::types::TopicPartition;

use crate::client::embedded::{EmbeddedKafka, VirtualClock};
use crate::client::{
    Admin, ClientError, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Fault, GroupMetadata,
    OffsetSpec, Polled, Producer, ProducerSettings, RecordSink, Slot,
};
use crate::clients::{ConsumerConfig, SeekTo, TopicConsumer};
use crate::topic::Topic;
use crate::topology::OffsetReset;

const IN: Topic<String, i64> = Topic::new("in");

/// The embedded log, which leaves some look-ups of offsets without an answer.
struct Silent {
    kafka: EmbeddedKafka,
    unanswered: Arc<AtomicU32>,
}

impl ClientSupplier for Silent {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        let (inner, unanswered) = (self.kafka.consumer(settings)?, self.unanswered.clone());
        Ok(Box::new(SilentConsumer { inner, unanswered }))
    }
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        self.kafka.producer(settings)
    }
    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        self.kafka.admin()
    }
    fn describe(&self) -> String {
        self.kafka.describe()
    }
}

struct SilentConsumer {
    inner: Box<dyn Consumer>,
    unanswered: Arc<AtomicU32>,
}

impl Consumer for SilentConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        self.inner.subscribe(topics)
    }
    fn unsubscribe(&mut self) -> Result<(), ClientError> {
        self.inner.unsubscribe()
    }
    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError> {
        self.inner.poll(timeout, sink)
    }
    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.inner.complete_assign(partitions)
    }
    fn complete_revoke(&mut self) -> Result<(), ClientError> {
        self.inner.complete_revoke()
    }
    fn assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.inner.assign(partitions)
    }
    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ClientError> {
        self.inner.seek(partition, offset)
    }
    fn position(&mut self, partition: &TopicPartition) -> Result<i64, ClientError> {
        self.inner.position(partition)
    }
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, ClientError> {
        self.inner.committed(partitions, timeout)
    }
    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.inner.commit(offsets, timeout)
    }
    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<i64>, ClientError> {
        let left = self.unanswered.load(Ordering::SeqCst);
        if left > 0 {
            self.unanswered.store(left - 1, Ordering::SeqCst);
            return Err(ClientError::new(Fault::Retriable, "list offsets", "its leader did not answer"));
        }
        self.inner.list_offsets(partitions, spec, timeout)
    }
    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.inner.known_end(partition)
    }
    fn group_metadata(&self) -> GroupMetadata {
        self.inner.group_metadata()
    }
    fn close(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.inner.close(timeout)
    }
    fn close_and_remain(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.inner.close_and_remain(timeout)
    }
}

#[test]
fn where_to_read_on_is_asked_until_the_cluster_answers() {
    let kafka = EmbeddedKafka::new(VirtualClock::new(1_000));
    kafka.create_topic("in", 1).unwrap();
    kafka.produce("in", Some(0), Some(b"k"), Some(&7_i64.to_be_bytes()), 0).unwrap();
    let silent = Silent { kafka, unanswered: Arc::default() };
    let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut reader = TopicConsumer::assign(&silent, &IN, [0], config).unwrap();
    reader.seek(&TopicPartition::new("in", 0), SeekTo::Offset(9)).unwrap();
    silent.unanswered.store(3, Ordering::SeqCst);
    let batches: Vec<usize> = (0..4).map(|_| reader.poll(Duration::ZERO).unwrap().len()).collect();
    assert_eq!(batches, [0, 0, 0, 1]);
}
