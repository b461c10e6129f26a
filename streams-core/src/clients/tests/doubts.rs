//! Producers whose client has no room, or does not know what became of a commit.
//!
//! Catches: a transaction counted twice or lost after an unknown outcome, a client that is used on after one, records that are lost
//! or change places when the client is full, a `send` that waits for ever.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use streams_state::types::TopicPartition;

use crate::client::embedded::{EmbeddedKafka, VirtualClock};
use crate::client::{
    Admin, ClientError, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Deliveries, Fault,
    GroupMetadata, ProduceRecord, Producer, ProducerSettings, TopicHandle,
};
use crate::clients::{
    ConsumerConfig, ProducerConfig, SendError, TopicConsumer, TopicProducer, TransactionError,
};
use crate::topic::Topic;
use crate::topology::OffsetReset;

const WAIT: Duration = Duration::from_secs(60);
const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");

/// What becomes of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Commit {
    /// It is done, and that is said.
    Done,
    /// It is done, and nobody knows.
    DoneInDoubt,
    /// It is not done, and nobody knows.
    LostInDoubt,
}

/// An embedded Kafka behind a bad line.
#[derive(Clone)]
struct BadLine {
    kafka: EmbeddedKafka,
    full: Arc<AtomicBool>,
    /// Fates of the next commits; after them all are done.
    commits: Arc<Mutex<Vec<Commit>>>,
    clients: Arc<AtomicU32>,
}

impl BadLine {
    fn new() -> Self {
        let kafka = EmbeddedKafka::new(VirtualClock::new(1_000));
        ["in", "out"].iter().for_each(|topic| kafka.create_topic(topic, 1).unwrap());
        Self { kafka, full: Arc::default(), commits: Arc::default(), clients: Arc::default() }
    }

    fn outputs(&self) -> Vec<i64> {
        let records = self.kafka.read_all("out", true).unwrap();
        let number = |bytes: Vec<u8>| i64::from_be_bytes(bytes.try_into().unwrap());
        records.into_iter().map(|record| number(record.value.unwrap())).collect()
    }
}

impl ClientSupplier for BadLine {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        self.kafka.consumer(settings)
    }
    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        self.clients.fetch_add(1, Ordering::SeqCst);
        let inner = self.kafka.producer(settings)?;
        Ok(Box::new(BadProducer { inner, line: self.clone(), dead: false }))
    }
    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        self.kafka.admin()
    }
    fn describe(&self) -> String {
        "bad line".to_owned()
    }
}

struct BadProducer {
    inner: Box<dyn Producer>,
    line: BadLine,
    /// The outcome of a call is not known: every further call is a mistake.
    dead: bool,
}

impl Producer for BadProducer {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        self.inner.topic(topic)
    }
    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        self.inner.partitions(topic, timeout)
    }
    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        assert!(!self.dead, "a record for a client whose transaction is in doubt");
        if self.line.full.load(Ordering::SeqCst) {
            return Err(ClientError::new(Fault::QueueFull, "send", "full"));
        }
        self.inner.send(record)
    }
    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        self.inner.drain(deliveries, timeout);
    }
    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        self.inner.flush(deliveries, timeout)
    }
    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.inner.init_transactions(timeout)
    }
    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        assert!(!self.dead, "a transaction on a client whose last one is in doubt");
        self.inner.begin_transaction()
    }
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.inner.send_offsets(offsets, group, timeout)
    }
    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let fate = self.line.commits.lock().unwrap().pop().unwrap_or(Commit::Done);
        self.dead = fate != Commit::Done;
        match fate {
            Commit::Done => return self.inner.commit_transaction(deliveries, timeout),
            Commit::DoneInDoubt => self.inner.commit_transaction(deliveries, timeout)?,
            Commit::LostInDoubt => {}
        }
        Err(ClientError::new(Fault::Unknown, "commit transaction", "the line is dead"))
    }
    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.inner.abort_transaction(timeout)
    }
    fn close(&mut self, timeout: Duration) {
        self.inner.close(timeout);
    }
}

#[test]
fn a_commit_in_doubt_says_so_and_the_next_client_settles_it() {
    for (fate, visible) in [(Commit::DoneInDoubt, vec![1, 2]), (Commit::LostInDoubt, vec![2])] {
        let line = BadLine::new();
        line.commits.lock().unwrap().push(fate);
        let config = ProducerConfig::transactional("t");
        let producer = TopicProducer::new(&line, &OUT, config).unwrap();
        let error = producer.transaction(WAIT, |out| Ok(out.send("k", 1)?)).unwrap_err();
        assert!(matches!(&error, TransactionError::Unknown { .. }) && !error.is_aborted(), "{error}");
        assert!(error.to_string().contains("may or may not have been committed"), "{error}");
        let error = producer.send("k", 9).err().unwrap();
        assert!(matches!(&error, SendError::NoTransaction { .. }), "{error}");
        producer.transaction(WAIT, |out| Ok(out.send("k", 2)?)).unwrap();
        assert_eq!(line.outputs(), visible, "{fate:?}");
        assert_eq!(line.clients.load(Ordering::SeqCst), 2, "one client for each doubt");
    }
}

#[test]
fn what_is_consumed_and_produced_counts_once_whatever_becomes_of_commits() {
    use Commit::{Done, DoneInDoubt, LostInDoubt};
    let line = BadLine::new();
    let feeder = TopicProducer::new(&line, &IN, ProducerConfig::default()).unwrap();
    for number in 0..40 {
        feeder.send("k", number).unwrap();
    }
    feeder.close(WAIT).unwrap();
    let fates = [Done, LostInDoubt, DoneInDoubt, LostInDoubt, LostInDoubt, Done, DoneInDoubt, DoneInDoubt];
    line.commits.lock().unwrap().extend(fates);

    let config = ConsumerConfig {
        auto_offset_reset: OffsetReset::Earliest,
        max_poll_records: 5,
        ..ConsumerConfig::group("g")
    };
    let mut input = TopicConsumer::subscribe(&line, &[&IN], config).unwrap();
    let output = TopicProducer::new(&line, &OUT, ProducerConfig::transactional("t")).unwrap();
    let (mut doubts, mut idle) = (0, 0);
    while idle < 3 {
        let batch = input.poll(Duration::ZERO).unwrap();
        idle = if batch.is_empty() { idle + 1 } else { 0 };
        let done = output.transaction(WAIT, |output| {
            for record in &batch {
                output.send(record.key.as_str(), record.value)?;
            }
            Ok(output.send_offsets(batch.offsets(), WAIT)?)
        });
        match done {
            Ok(()) => {}
            Err(TransactionError::Unknown { .. }) => {
                doubts += 1;
                idle = 0;
                // The next client settles the old transaction before anybody asks what is committed.
                while output.transaction(WAIT, |_| Ok(())).is_err() {
                    doubts += 1;
                    assert!(doubts < 20, "no transaction can be begun any more");
                }
                input.rewind().unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(doubts >= 3, "{doubts}");
    assert_eq!(line.outputs(), (0..40).collect::<Vec<_>>());
}

#[test]
fn a_full_buffer_refuses_records_and_loses_none() {
    let line = BadLine::new();
    let config = ProducerConfig {
        buffer_memory: 1_000,
        max_request_size: 500,
        max_block: Duration::from_millis(20),
        ..ProducerConfig::default()
    };
    let producer = TopicProducer::new(&line, &OUT, config).unwrap();
    producer.send("k", -1).unwrap().wait(WAIT).unwrap();
    line.full.store(true, Ordering::SeqCst);
    let mut sent = Vec::new();
    let error = loop {
        match producer.send("k", sent.len() as i64) {
            Ok(record) => sent.push(record),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(matches!(error, SendError::NoRoom { limit: 1_000, .. }), "{text}");
    assert!(text.contains("max.block.ms=20") && text.contains("raise buffer.memory=1000"), "{text}");
    assert!((5..=15).contains(&sent.len()), "{}", sent.len());
    let pending = sent[0].wait(Duration::ZERO).unwrap_err();
    assert!(matches!(pending, SendError::Pending { .. }), "{pending}");

    line.full.store(false, Ordering::SeqCst);
    for record in &sent {
        record.wait(WAIT).unwrap();
    }
    producer.send("k", 99).unwrap().wait(WAIT).unwrap();
    let expected: Vec<i64> = (-1..sent.len() as i64).chain([99]).collect();
    assert_eq!(line.outputs(), expected);
}
