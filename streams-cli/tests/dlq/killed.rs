//! Runs that end at every call of their producer: before it, or behind it, as if the answer had been lost. Whatever the next run finds,
//! each letter is put back once.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use streams_cli::dlq::{Filter, ReplayOptions, replay};
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::client::{
    Admin, ClientError, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Deliveries, Fault,
    GroupMetadata, ProduceRecord, Producer, ProducerSettings, TopicHandle,
};
use streams_core::types::TopicPartition;

use crate::{cluster, letters, put_back};

/// More than two transactions of each partition.
const LETTERS: i64 = 2300;

/// A cluster whose producers end at a call.
struct Ends {
    kafka: EmbeddedKafka,
    /// Calls that are left.
    left: Arc<AtomicIsize>,
    /// The last one takes effect, and is not answered.
    answer_lost: bool,
}

struct EndingProducer {
    inner: Box<dyn Producer>,
    left: Arc<AtomicIsize>,
    answer_lost: bool,
}

impl EndingProducer {
    fn call<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Producer) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let end = |what: &str| ClientError::new(Fault::Unknown, what, "the process ends here");
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1 if self.answer_lost => {
                work(&mut *self.inner)?;
                Err(end("answer"))
            }
            ..=1 => Err(end("call")),
            2.. => work(&mut *self.inner),
        }
    }
}

impl Producer for EndingProducer {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        self.inner.topic(topic)
    }

    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        self.inner.partitions(topic, timeout)
    }

    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        self.call(|inner| inner.send(record))
    }

    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        self.inner.drain(deliveries, timeout);
    }

    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        self.call(|inner| inner.flush(deliveries, timeout))
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.call(|inner| inner.init_transactions(timeout))
    }

    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        self.call(|inner| inner.begin_transaction())
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.call(|inner| inner.send_offsets(offsets, group, timeout))
    }

    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.call(|inner| inner.commit_transaction(deliveries, timeout))
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.call(|inner| inner.abort_transaction(timeout))
    }

    fn close(&mut self, timeout: Duration) {
        self.inner.close(timeout);
    }
}

impl ClientSupplier for Ends {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        self.kafka.consumer(settings)
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        let (inner, left) = (self.kafka.producer(settings)?, self.left.clone());
        Ok(Box::new(EndingProducer { inner, left, answer_lost: self.answer_lost }))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        self.kafka.admin()
    }

    fn describe(&self) -> String {
        self.kafka.describe()
    }
}

/// How many calls a whole run makes.
fn calls_of_a_run() -> isize {
    let kafka = cluster();
    letters(&kafka, LETTERS);
    let ends = Ends { kafka, left: Arc::new(AtomicIsize::new(isize::MAX)), answer_lost: false };
    replay(&ends, "dead", &ReplayOptions::default(), &mut |_| {}).unwrap();
    isize::MAX - ends.left.load(Ordering::SeqCst)
}

#[test]
fn wherever_a_run_ends_each_letter_is_put_back_once() {
    let all = calls_of_a_run();
    assert!(all > LETTERS as isize + 6 * 3, "{all}");
    // Every place of the first transaction's ends and borders, and a few hundred of the rest.
    let places = (1..12).chain(490..520).chain((520..all).step_by(23)).chain(all - 6..=all);
    let (mut runs, mut in_the_middle) = (0, 0);
    for (left, answer_lost) in places.flat_map(|left| [(left, false), (left, true)]) {
        let kafka = cluster();
        letters(&kafka, LETTERS);
        let ends = Ends { kafka: kafka.clone(), left: Arc::new(AtomicIsize::new(left)), answer_lost };
        let filter = Filter { source_partition: Some(1), ..Filter::default() };
        let first = replay(&ends, "dead", &ReplayOptions::default(), &mut |_| {});
        let told = first.map(drop).unwrap_err().to_string();
        assert!(told.contains("the process ends here"), "{told}");
        drop(ends);
        let before = put_back(&kafka).len() as u64;
        in_the_middle += u64::from(before > 0 && before < LETTERS as u64);
        // The next run takes some of them only, the one after it the rest.
        let some = ReplayOptions { filter, ..ReplayOptions::default() };
        let some = replay(&kafka, "dead", &some, &mut |_| {}).unwrap();
        let rest = replay(&kafka, "dead", &ReplayOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(before + some.replayed + rest.replayed, LETTERS as u64, "ended at {left}, {answer_lost}");
        assert_eq!(put_back(&kafka), (0..LETTERS).collect::<Vec<_>>(), "ended at {left}, {answer_lost}");
        runs += 1;
    }
    assert!(in_the_middle > runs / 3, "{in_the_middle} of {runs}");
}
