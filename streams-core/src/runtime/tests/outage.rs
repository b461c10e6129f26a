//! A cluster that does not answer for a while: work goes on where it stopped, or ends after `task.timeout.ms`. Can be caught:
//! a thread that gives up too early or never, results lost or doubled, tasks lost while they start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering};
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::world::{Instance, World, engines, expected, word_count};
use crate::client::embedded::EmbeddedKafka;
use crate::client::{
    Admin, ClientError, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Deliveries, Fault,
    GroupMetadata, OffsetSpec, Polled, ProduceRecord, Producer, ProducerSettings, RecordSink, Slot,
    TopicHandle,
};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::{Consumed, StreamsBuilder, TopologyConfig};
use crate::runtime::{GroupMembershipOperation, StreamsError};
use crate::topic::{Store, Topic};

/// The embedded log behind a connection that may be down. Then poll brings nothing, and calls that wait for an answer fail.
pub(super) struct Connection {
    kafka: EmbeddedKafka,
    down: Arc<AtomicBool>,
    /// Polls bring nothing, but calls are answered.
    silent: bool,
    /// So many questions for committed offsets are answered as if there were none.
    forgets: Arc<AtomicI32>,
    /// So many commits are refused.
    refuses: Arc<AtomicI32>,
    /// What producers send stays where it is.
    pub(super) holds: Arc<AtomicBool>,
    /// What fetches do: [`FLOWS`], or [`REPORTS`] once that an offset is not in the log; then it [`STANDS`] until a seek.
    fetches: Arc<AtomicU8>,
}

const FLOWS: u8 = 0;
const REPORTS: u8 = 1;
const STANDS: u8 = 2;

impl Connection {
    pub(super) fn new(world: &World, down: Arc<AtomicBool>) -> Self {
        let kafka = world.kafka.clone();
        let (forgets, refuses, fetches) = (Arc::default(), Arc::default(), Arc::default());
        Self { kafka, down, silent: false, forgets, refuses, holds: Arc::default(), fetches }
    }

    fn client<T: ?Sized>(&self, inner: Box<T>) -> Box<Client<T>> {
        let (forgets, refuses) = (self.forgets.clone(), self.refuses.clone());
        let (down, holds, fetches) = (self.down.clone(), self.holds.clone(), self.fetches.clone());
        Box::new(Client { inner, down, silent: self.silent, forgets, refuses, holds, held: 0, fetches })
    }
}

/// Whether one of `left` was left, which is now taken.
fn take_one(left: &AtomicI32) -> bool {
    left.fetch_sub(1, Ordering::SeqCst) > 0
}

impl ClientSupplier for Connection {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        Ok(self.client(self.kafka.consumer(settings)?))
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        Ok(self.client(self.kafka.producer(settings)?))
    }

    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        self.kafka.admin()
    }

    fn describe(&self) -> String {
        self.kafka.describe()
    }
}

struct Client<T: ?Sized> {
    down: Arc<AtomicBool>,
    silent: bool,
    forgets: Arc<AtomicI32>,
    refuses: Arc<AtomicI32>,
    holds: Arc<AtomicBool>,
    /// Records that were sent and stay where they are.
    held: usize,
    fetches: Arc<AtomicU8>,
    inner: Box<T>,
}

impl<T: ?Sized> Client<T> {
    fn asked(&self, call: &str) -> Result<(), ClientError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(ClientError::new(Fault::Unreachable, call, "no broker answers")),
            false => Ok(()),
        }
    }
}

impl Consumer for Client<dyn Consumer> {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        self.inner.subscribe(topics)
    }
    fn unsubscribe(&mut self) -> Result<(), ClientError> {
        self.inner.unsubscribe()
    }
    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError> {
        if self.silent || self.asked("poll").is_err() {
            return Ok(Polled::default());
        }
        match self.fetches.load(Ordering::SeqCst) {
            REPORTS => {
                self.fetches.store(STANDS, Ordering::SeqCst);
                Err(ClientError::new(Fault::OffsetOutOfRange, "poll", "the leader has fewer records"))
            }
            STANDS => Ok(Polled::default()),
            _ => self.inner.poll(timeout, sink),
        }
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
        self.fetches.store(FLOWS, Ordering::SeqCst);
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
        self.asked("committed offsets")?;
        match take_one(&self.forgets) {
            true => Ok(vec![None; partitions.len()]),
            false => self.inner.committed(partitions, timeout),
        }
    }
    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.asked("commit")?;
        self.inner.commit(offsets, timeout)
    }
    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<i64>, ClientError> {
        self.asked("list offsets")?;
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

impl Producer for Client<dyn Producer> {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        self.inner.topic(topic)
    }
    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        self.inner.partitions(topic, timeout)
    }
    /// The embedded producer sends when it is drained, or has a whole batch.
    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        self.held += 1;
        self.inner.send(record)
    }
    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        if self.holds.load(Ordering::SeqCst) {
            deliveries.in_flight = self.held;
            return;
        }
        self.held = 0;
        self.inner.drain(deliveries, timeout);
    }
    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        self.asked("flush")?;
        if self.holds.load(Ordering::SeqCst) && self.held > 0 {
            return Err(ClientError::new(Fault::Unreachable, "flush", "no broker answers"));
        }
        self.held = 0;
        self.inner.flush(deliveries, timeout)
    }
    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.asked("init transactions")?;
        self.inner.init_transactions(timeout)
    }
    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        self.inner.begin_transaction()
    }
    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.asked("send offsets")?;
        self.inner.send_offsets(offsets, group, timeout)
    }
    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.asked("commit transaction")?;
        if take_one(&self.refuses) {
            return Err(ClientError::new(
                Fault::AbortTransaction,
                "commit transaction",
                "the epoch was raised",
            ));
        }
        self.inner.commit_transaction(deliveries, timeout)
    }
    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.asked("abort transaction")?;
        self.inner.abort_transaction(timeout)
    }
    fn close(&mut self, timeout: Duration) {
        self.inner.close(timeout);
    }
}

/// A word count whose connection may be cut.
fn connected(world: &World, guarantee: ProcessingGuarantee) -> (Instance, Arc<AtomicBool>) {
    let down = Arc::new(AtomicBool::new(false));
    let connection = Connection::new(world, down.clone());
    let mut config = StreamsConfig { processing_guarantee: guarantee, ..world.config("i1") };
    config.commit_interval = Duration::from_millis(100);
    config.task_timeout = Duration::from_secs(60);
    (world.instance_from(word_count(), config, engines(), Arc::new(connection)).unwrap(), down)
}

/// A word count that runs, and how many of its next commits are refused.
fn refusable(world: &World, config: StreamsConfig) -> (Instance, Arc<AtomicI32>) {
    let refuses = Arc::new(AtomicI32::new(0));
    let connection = Connection { refuses: refuses.clone(), ..Connection::new(world, Arc::default()) };
    let mut one = world.instance_from(word_count(), config, engines(), Arc::new(connection)).unwrap();
    world.run_until_drained(&mut [&mut one]);
    (one, refuses)
}

/// Turns `count` times, `apart_ms` of virtual time between two turns.
fn turns(world: &World, one: &mut Instance, count: usize, apart_ms: i64) -> Result<(), StreamsError> {
    (0..count).try_for_each(|_| {
        world.clock.advance(apart_ms);
        world.turn(&mut [&mut *one])
    })
}

const GUARANTEES: [ProcessingGuarantee; 2] =
    [ProcessingGuarantee::AtLeastOnce, ProcessingGuarantee::ExactlyOnceV2];

/// A coordinator that was frozen, or whose partitions moved, refuses commits for a while, in whatever words. The thread gave up after 20
/// of them, which took two seconds.
#[test]
fn commits_that_are_refused_for_a_while_are_tried_again_for_as_long_as_the_task_timeout() {
    for refused in [50, i32::MAX] {
        let world = World::new(2);
        let config = StreamsConfig { task_timeout: Duration::from_secs(60), ..world.config("i1") };
        let (mut one, refuses) = refusable(&world, config);
        refuses.store(refused, Ordering::SeqCst);
        world.line("w1 w2");
        match refused {
            50 => world.run_until_drained(&mut [&mut one]),
            _ => {
                let error = turns(&world, &mut one, 5000, 100).unwrap_err().to_string();
                let told = "times without a commit in between, no progress for";
                assert!(error.contains(told) && error.contains("`task.timeout.ms`"), "{error}");
                continue;
            }
        }
        assert_eq!(world.counts(), expected(&["w1 w2".to_owned()]));
    }
}

/// Readers of what it sent would wait until the transaction times out. The simulation does not see it: there the next start settles it.
#[test]
fn a_close_whose_last_commit_is_refused_leaves_no_transaction_open() {
    let world = World::new(1);
    let config = StreamsConfig { commit_interval: Duration::from_secs(60), ..world.config("i1") };
    let (mut one, refuses) = refusable(&world, config);
    (0..1000).for_each(|_| world.line("w1 w2"));
    turns(&world, &mut one, 1, 0).unwrap();
    let sent = "wc-count-store-repartition";
    let written = |committed| world.kafka.read_all(sent, committed).unwrap().len();
    assert!(written(false) > 0 && written(true) == 0, "{} sent, {} committed", written(false), written(true));
    refuses.store(1, Ordering::SeqCst);
    let closed = one.threads[0].close(Duration::from_secs(1), GroupMembershipOperation::LeaveGroup);
    assert!(closed.unwrap_err().to_string().contains("the epoch was raised"));
    world.kafka.produce(sent, Some(0), Some(b"later"), None, 0).unwrap();
    let read = world.kafka.read_all(sent, true).unwrap();
    assert_eq!(read.into_iter().map(|record| record.key.unwrap()).collect::<Vec<_>>(), [b"later"]);
}

/// With exactly once the thread gave up after 20 attempts, however quick; with at least once never.
#[test]
fn an_outage_shorter_than_the_task_timeout_loses_nothing() {
    for guarantee in GUARANTEES {
        let world = World::new(2);
        let (mut one, down) = connected(&world, guarantee);
        let input: Vec<String> = (0..40).map(|line| format!("w{} w0", line % 7)).collect();
        input.iter().take(20).for_each(|line| world.line(line));
        for half in input.chunks(20).skip(1).chain([&[] as &[String]]) {
            turns(&world, &mut one, 30, 0).unwrap();
            half.iter().for_each(|line| world.line(line));
            turns(&world, &mut one, 3, 0).unwrap();
            down.store(true, Ordering::SeqCst);
            turns(&world, &mut one, 50, 1_000).unwrap();
            down.store(false, Ordering::SeqCst);
        }
        world.run_until_drained(&mut [&mut one]);
        assert_eq!(world.counts(), expected(&input), "{guarantee:?}");
    }
}

#[test]
fn a_longer_one_ends_the_thread_with_the_setting_in_its_error() {
    for guarantee in GUARANTEES {
        let world = World::new(2);
        let (mut one, down) = connected(&world, guarantee);
        world.run_until_drained(&mut [&mut one]);
        world.line("w1 w2");
        turns(&world, &mut one, 5, 0).unwrap();
        down.store(true, Ordering::SeqCst);
        turns(&world, &mut one, 50, 1_000).unwrap();
        let error = turns(&world, &mut one, 30, 1_000).unwrap_err().to_string();
        assert!(error.contains("longer than `task.timeout.ms`"), "{guarantee:?}: {error}");
        assert!(error.contains("no broker answers"), "{guarantee:?}: {error}");
    }
}

/// A start that got no answer was not tried again: the tasks were gone, and their partitions were never read.
#[test]
fn tasks_that_could_not_start_are_started_when_the_cluster_answers() {
    for guarantee in GUARANTEES {
        let world = World::new(2);
        let (mut one, down) = connected(&world, guarantee);
        world.line("w1 w2");
        // The group is joined, and offsets are asked for: at one of these turns.
        for joined in 0..6 {
            turns(&world, &mut one, joined, 0).unwrap();
            down.store(true, Ordering::SeqCst);
            turns(&world, &mut one, 5, 1_000).unwrap();
            down.store(false, Ordering::SeqCst);
        }
        world.run_until_drained(&mut [&mut one]);
        assert_eq!(world.counts(), expected(&["w1 w2".to_owned()]), "{guarantee:?}");
    }
}

/// The start waited for ever for a global topic that could not be read.
#[test]
fn global_stores_that_do_not_fill_end_the_start() {
    let world = World::new(1);
    world.kafka.produce("lines", Some(0), Some(b"k"), Some(b"v"), 1).unwrap();
    let connection = Connection { silent: true, ..Connection::new(&world, Arc::default()) };
    let config = StreamsConfig { task_timeout: Duration::from_secs(60), ..world.config("i1") };
    let builder = StreamsBuilder::new();
    builder.global_table(&Topic::<String, String>::new("lines"));
    let started = world.now();
    let failed = world.instance_from(builder.build().unwrap(), config, engines(), Arc::new(connection));
    let error = failed.err().unwrap().to_string();
    assert!(error.contains("filling the global stores: no progress for 60010 ms"), "{error}");
    assert_eq!(world.now() - started, 60_010);
}

/// A coordinator that moves may say for a moment that nothing is committed (KAFKA-20416). A table over its source topic was
/// restored up to there, to nothing; the next answer let the task go on in the middle.
#[test]
fn an_offset_that_is_unknown_for_a_moment_empties_no_table() {
    let rows = Topic::<String, String>::new("left");
    let topology = || {
        let builder = StreamsBuilder::new();
        let table = builder.table_with(&rows, Consumed::new(), &Store::<String, String>::new("copy"));
        let lines = builder.stream(&Topic::<String, String>::new("lines"));
        let joined = lines.left_join_table(&table, |line, row: Option<&String>| {
            format!("{line}={}", row.map_or("none", |row| row))
        });
        joined.to(&Topic::<String, String>::new("out"));
        builder.build_with(TopologyConfig { reuse_ktable_source_topics: true, ..Default::default() }).unwrap()
    };
    let world = World::new(1);
    ["left", "out"].iter().for_each(|topic| world.kafka.create_topic(topic, 1).unwrap());
    let write = |topic: &str, value: &[u8]| {
        world.kafka.produce(topic, Some(0), Some(b"k"), Some(value), 5).unwrap();
    };
    write("left", b"row");
    let mut one = world.instance_of(topology(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    one.close();
    write("lines", b"line");
    let forgets = Arc::new(AtomicI32::new(1));
    let connection = Connection { forgets, ..Connection::new(&world, Arc::default()) };
    let (config, connection) = (world.config("i2"), Arc::new(connection));
    let mut two = world.instance_from(topology(), config, engines(), connection).unwrap();
    world.run_until_drained(&mut [&mut two]);
    let found = world.kafka.read_all("out", true).unwrap().remove(0).value.unwrap();
    assert_eq!(String::from_utf8(found).unwrap(), "line=row");
}

/// A broker that has just become leader may miss the last records for a moment, and refuses the offset. By the time the thread looks, the
/// offset is in the log again; the client had stopped to read that partition, and nobody told it to go on.
#[test]
fn an_offset_that_was_missed_for_a_moment_is_read_on_from() {
    let world = World::new(1);
    let fetches = Arc::new(AtomicU8::new(FLOWS));
    let connection = Connection { fetches: fetches.clone(), ..Connection::new(&world, Arc::default()) };
    let mut one =
        world.instance_from(word_count(), world.config("i1"), engines(), Arc::new(connection)).unwrap();
    world.line("w1");
    world.run_until_drained(&mut [&mut one]);
    fetches.store(REPORTS, Ordering::SeqCst);
    world.line("w1 w2");
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&["w1".to_owned(), "w1 w2".to_owned()]));
}
