//! What cases of typed clients are made of.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use kstreams::clients::{
    Batch, ConsumedRecord, ConsumerConfig, ConsumerError, ProducerConfig, TopicConsumer, TopicProducer,
};
use kstreams::topic::Topic;
use kstreams::topology::OffsetReset;

use crate::support::*;

/// Text by text: what most cases write and read.
pub(crate) type Texts = Topic<String, String>;

/// The topic of this name, text by text.
pub(crate) fn texts_of(name: &str) -> Texts {
    Topic::named(name)
}

/// A producer.
#[track_caller]
pub(crate) fn producer(names: &Names, topic: &str, config: ProducerConfig) -> TopicProducer<String, String> {
    TopicProducer::new(&names.supplier(), &texts_of(topic), config).unwrap()
}

/// A producer that sends at once.
#[track_caller]
pub(crate) fn plain(names: &Names, topic: &str) -> TopicProducer<String, String> {
    producer(names, topic, ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() })
}

/// A producer of transactions.
#[track_caller]
pub(crate) fn transactional(names: &Names, topic: &str, id: &str) -> TopicProducer<String, String> {
    producer(names, topic, ProducerConfig::transactional(names.transactional_id(id)))
}

/// Writes `count` records `0`, `1`, ... into partition 0, with timestamps from [`TIME`] on.
#[track_caller]
pub(crate) fn fill(names: &Names, topic: &str, count: i64) {
    let producer = plain(names, topic);
    for number in 0..count {
        let record = producer.record().key("k").value(number.to_string()).partition(0);
        record.timestamp(TIME + number).send().unwrap();
    }
    producer.close(WAIT).unwrap();
}

/// Settings of a member of the case's group that begins at the beginning.
pub(crate) fn member_config(names: &Names) -> ConsumerConfig {
    ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group(names.group()) }
}

/// A member of the case's group.
#[track_caller]
pub(crate) fn member(names: &Names, topic: &str, config: ConsumerConfig) -> TopicConsumer<String, String> {
    TopicConsumer::subscribe(&names.supplier(), &[&texts_of(topic)], config).unwrap()
}

/// Polls until `count` records came.
#[track_caller]
pub(crate) fn take(
    consumer: &mut TopicConsumer<String, String>,
    count: usize,
) -> Vec<ConsumedRecord<String, String>> {
    let mut records = Vec::new();
    eventually("records", || {
        records.extend(consumer.poll(LOOK).unwrap());
        (records.len() >= count).then_some(())
    });
    assert_eq!(records.len(), count, "{:?}", values(&records));
    records
}

/// Polls until the consumer has `count` partitions.
#[track_caller]
pub(crate) fn join(consumers: &mut [&mut TopicConsumer<String, String>], counts: &[usize]) {
    eventually("the group to settle", || {
        for consumer in consumers.iter_mut() {
            let batch = consumer.poll(LOOK).unwrap();
            assert!(batch.is_empty(), "{:?}", values(&batch));
        }
        let mut owned: Vec<usize> = consumers.iter().map(|consumer| consumer.assignment().len()).collect();
        owned.sort_unstable();
        (owned == counts).then_some(())
    });
}

/// Polls until an error comes.
#[track_caller]
pub(crate) fn poll_failure(consumer: &mut TopicConsumer<String, String>) -> ConsumerError {
    eventually("an error", || consumer.poll(LOOK).map_err(Some).err().flatten())
}

/// Values of records.
pub(crate) fn values(records: &[ConsumedRecord<String, String>]) -> Vec<&str> {
    records.iter().map(|record| record.value.as_str()).collect()
}

/// The batch of a stream.
#[track_caller]
pub(crate) fn unwrap_batch(
    batch: Option<Result<Batch<String, String>, ConsumerError>>,
) -> Batch<String, String> {
    batch.expect("the stream ended").unwrap()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread; panics after [`WAIT`].
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    let begin = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        assert!(begin.elapsed() < WAIT, "awaited for {WAIT:?}");
        std::thread::park_timeout(WAIT);
    }
}
