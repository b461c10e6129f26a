//! What cases are made of: names that nobody else has, writers, readers, members of groups, and waiting.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::client::{
    Admin, ClientError, ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, Deliveries, Fault,
    NewTopic, OffsetSpec, ProduceRecord, Producer, ProducerSettings, RecordSink, Slot,
};
use kstreams::record::RawRecord;
use kstreams::types::{Headers, TopicPartition};

/// Longest time a case waits for something that has to come.
pub(crate) const WAIT: Duration = Duration::from_secs(60);
/// How long one poll or one look takes while a case waits.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// A timestamp that is neither old nor new: 2024-01-01.
pub(crate) const TIME: i64 = 1_704_067_200_000;

/// Names that belong to one case of one run, and what only some Kafkas can be told.
pub(crate) struct Names {
    case: &'static str,
    run: String,
    embedded: Option<EmbeddedKafka>,
    supplier: Arc<dyn ClientSupplier>,
    log_folder: Option<PathBuf>,
}

impl Names {
    /// Names for `case` in the run `run`.
    pub(crate) fn new(
        case: &'static str,
        run: &str,
        embedded: Option<EmbeddedKafka>,
        supplier: Arc<dyn ClientSupplier>,
    ) -> Self {
        Self { case, run: run.to_owned(), embedded, supplier, log_folder: None }
    }

    /// The same, of a broker that keeps its logs there.
    #[allow(dead_code, reason = "a build without rdkafka has no broker")]
    pub(crate) fn with_log_folder(self, folder: Option<PathBuf>) -> Self {
        Self { log_folder: folder, ..self }
    }

    /// Where the broker keeps its logs, if it is one of this run.
    pub(crate) fn log_folder(&self) -> Option<&Path> {
        self.log_folder.as_deref()
    }

    /// The clients of the Kafka of this case, for whole applications.
    pub(crate) fn supplier(&self) -> Arc<dyn ClientSupplier> {
        self.supplier.clone()
    }

    /// A topic's name.
    pub(crate) fn topic(&self, suffix: &str) -> String {
        format!("{}-{}-{suffix}", self.case.replace('_', "-"), self.run)
    }

    /// A group's name.
    pub(crate) fn group(&self) -> String {
        self.topic("group")
    }

    /// A transactional id.
    pub(crate) fn transactional_id(&self, suffix: &str) -> String {
        self.topic(&format!("tx-{suffix}"))
    }

    /// Compacts a topic where that can be asked for. A broker does it when it likes.
    pub(crate) fn compact(&self, topic: &str) {
        if let Some(kafka) = &self.embedded {
            kafka.compact(topic).unwrap();
        }
    }
}

/// Looks until there is an answer; panics after [`WAIT`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(begin.elapsed() < WAIT, "waited {WAIT:?} for {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// The fault of an answer that has to be an error.
#[track_caller]
pub(crate) fn fault<T>(answer: Result<T, ClientError>) -> Fault {
    match answer {
        Ok(_) => panic!("expected an error, got success"),
        Err(error) => error.fault,
    }
}

/// Partition `partition` of `topic`.
pub(crate) fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

/// An offset to commit, without metadata.
pub(crate) fn committed(offset: i64) -> CommittedOffset {
    CommittedOffset { offset, metadata: String::new() }
}

/// An admin client.
pub(crate) fn admin(kafka: &dyn ClientSupplier) -> Box<dyn Admin> {
    kafka.admin().unwrap()
}

/// A topic to create.
pub(crate) fn new_topic(name: &str, partitions: i32, config: &[(&str, &str)]) -> NewTopic {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    NewTopic { name: name.to_owned(), partitions, replication_factor: -1, config }
}

/// Creates a topic and waits until it is known.
#[track_caller]
pub(crate) fn create_with(kafka: &dyn ClientSupplier, name: &str, partitions: i32, config: &[(&str, &str)]) {
    let mut admin = admin(kafka);
    let answers = admin.create_topics(&[new_topic(name, partitions, config)], WAIT).unwrap();
    answers.into_iter().for_each(|answer| answer.unwrap());
    eventually("the new topic", || admin.describe_topics(&[name.to_owned()], WAIT).unwrap().remove(0));
}

/// Creates the topic `t` of this case and gives its name.
#[track_caller]
pub(crate) fn create(kafka: &dyn ClientSupplier, names: &Names, partitions: i32) -> String {
    let name = names.topic("t");
    create_with(kafka, &name, partitions, &[]);
    name
}

/// A producer with its acknowledgements.
pub(crate) struct Writer {
    /// The producer.
    pub(crate) producer: Box<dyn Producer>,
    /// All acknowledgements so far.
    pub(crate) deliveries: Deliveries,
}

/// A record to write: key, value, timestamp.
pub(crate) type Entry<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<i64>);

impl Writer {
    /// A producer without transactions.
    pub(crate) fn plain(kafka: &dyn ClientSupplier) -> Self {
        Self::with(kafka, ProducerSettings::default())
    }

    /// A producer with transactions, before `init_transactions`.
    pub(crate) fn fresh(kafka: &dyn ClientSupplier, id: &str) -> Self {
        Self::with(
            kafka,
            ProducerSettings {
                transactional_id: Some(id.to_owned()),
                transaction_timeout: Some(Duration::from_secs(60)),
                ..ProducerSettings::default()
            },
        )
    }

    /// A producer with transactions.
    #[track_caller]
    pub(crate) fn transactional(kafka: &dyn ClientSupplier, id: &str) -> Self {
        let mut writer = Self::fresh(kafka, id);
        writer.producer.init_transactions(WAIT).unwrap();
        writer
    }

    /// A producer with these settings.
    pub(crate) fn with(kafka: &dyn ClientSupplier, settings: ProducerSettings) -> Self {
        Self { producer: kafka.producer(&settings).unwrap(), deliveries: Deliveries::default() }
    }

    /// Queues a record; the answer of `send`.
    pub(crate) fn try_send(
        &mut self,
        topic: &str,
        partition: i32,
        (key, value, timestamp): Entry<'_>,
        headers: &Headers,
    ) -> Result<(), ClientError> {
        let topic = self.producer.topic(topic)?;
        self.producer.send(ProduceRecord { topic, partition, timestamp, key, value, headers })
    }

    /// Queues a record with a key, a value and a timestamp that does not matter.
    #[track_caller]
    pub(crate) fn send(&mut self, topic: &str, partition: i32, key: &str, value: &str) {
        let record = (Some(key.as_bytes()), Some(value.as_bytes()), Some(TIME));
        self.try_send(topic, partition, record, &Headers::EMPTY).unwrap();
    }

    /// Sends all and waits for the acknowledgements: the first failure, if any.
    pub(crate) fn try_flush(&mut self) -> Result<(), ClientError> {
        self.producer.flush(&mut self.deliveries, WAIT)?;
        self.deliveries.failure.take().map_or(Ok(()), Err)
    }

    /// Sends all and waits for the acknowledgements.
    #[track_caller]
    pub(crate) fn flush(&mut self) {
        self.try_flush().unwrap();
    }

    /// Sends one record and waits for its fate.
    pub(crate) fn try_write(
        &mut self,
        topic: &str,
        partition: i32,
        record: Entry<'_>,
    ) -> Result<(), ClientError> {
        self.try_send(topic, partition, record, &Headers::EMPTY)?;
        self.try_flush()
    }

    /// Begins a transaction.
    #[track_caller]
    pub(crate) fn begin(&mut self) {
        self.producer.begin_transaction().unwrap();
    }

    /// Commits the transaction; the answer.
    pub(crate) fn try_commit(&mut self) -> Result<(), ClientError> {
        self.producer.commit_transaction(&mut self.deliveries, WAIT)
    }

    /// Commits the transaction.
    #[track_caller]
    pub(crate) fn commit(&mut self) {
        self.try_commit().unwrap();
        assert!(self.deliveries.failure.is_none(), "{:?}", self.deliveries.failure);
    }

    /// Aborts the transaction.
    #[track_caller]
    pub(crate) fn abort(&mut self) {
        self.producer.abort_transaction(WAIT).unwrap();
    }

    /// Highest acknowledged offset of a partition.
    pub(crate) fn acked(&mut self, topic: &str, partition: i32) -> Option<i64> {
        let topic = self.producer.topic(topic).unwrap();
        self.deliveries.acked.get(&(topic, partition)).map(|acked| acked.last)
    }
}

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Read {
    /// The slot under which it came.
    pub(crate) slot: Slot,
    /// Offset.
    pub(crate) offset: i64,
    /// Timestamp.
    pub(crate) timestamp: i64,
    /// Key.
    pub(crate) key: Option<Vec<u8>>,
    /// Value.
    pub(crate) value: Option<Vec<u8>>,
    /// Headers.
    pub(crate) headers: Headers,
}

impl Read {
    /// The value as text; empty for null.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// Keeps all records.
#[derive(Default)]
pub(crate) struct Everything(pub Vec<Read>);

impl RecordSink for Everything {
    fn wants(&self, _: Slot) -> bool {
        true
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        self.0.push(Read {
            slot,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers,
        });
    }
}

/// Offsets of records.
pub(crate) fn offsets(records: &[Read]) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

/// Values of records, as text.
pub(crate) fn texts(records: &[Read]) -> Vec<String> {
    records.iter().map(Read::text).collect()
}

/// Which records a reader sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Isolation {
    /// All.
    Uncommitted,
    /// Those of committed transactions and of none.
    Committed,
}
pub(crate) use Isolation::{Committed, Uncommitted};

/// A consumer without a group.
pub(crate) fn reader(kafka: &dyn ClientSupplier, isolation: Isolation) -> Box<dyn Consumer> {
    let read_committed = isolation == Committed;
    kafka.consumer(&ConsumerSettings { read_committed, ..ConsumerSettings::default() }).unwrap()
}

/// A consumer that names a group without joining it.
pub(crate) fn reader_of(kafka: &dyn ClientSupplier, group: &str) -> Box<dyn Consumer> {
    let group = Some(group.to_owned());
    kafka.consumer(&ConsumerSettings { group, read_committed: true, ..ConsumerSettings::default() }).unwrap()
}

/// One end of a partition.
#[track_caller]
pub(crate) fn end(kafka: &dyn ClientSupplier, topic: &str, partition: i32, spec: OffsetSpec) -> i64 {
    reader(kafka, Uncommitted).list_offsets(&[at(topic, partition)], spec, WAIT).unwrap()[0]
}

/// Polls until `count` records came; panics if more come than that in the same poll.
#[track_caller]
pub(crate) fn poll_records(consumer: &mut dyn Consumer, count: usize) -> Vec<Read> {
    let mut sink = Everything::default();
    eventually("records", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        (sink.0.len() >= count).then_some(())
    });
    assert_eq!(sink.0.len(), count, "more records than expected: {:?}", sink.0);
    sink.0
}

/// Polls until an error comes, and gives its fault.
#[track_caller]
pub(crate) fn poll_error(consumer: &mut dyn Consumer) -> Fault {
    let mut sink = Everything::default();
    eventually("an error", || consumer.poll(LOOK, &mut sink).err()).fault
}

/// Reads a partition from `from` until the position reaches the end that this isolation may see.
#[track_caller]
pub(crate) fn read_from(
    kafka: &dyn ClientSupplier,
    topic: &str,
    partition: i32,
    from: i64,
    isolation: Isolation,
) -> Vec<Read> {
    let mut consumer = reader(kafka, isolation);
    let place = at(topic, partition);
    let spec = if isolation == Committed { OffsetSpec::Stable } else { OffsetSpec::End };
    consumer.assign(&[(place.clone(), from, 0)]).unwrap();
    let mut sink = Everything::default();
    eventually("the end of the log", || {
        consumer.poll(LOOK, &mut sink).unwrap();
        let end = consumer.list_offsets(std::slice::from_ref(&place), spec, WAIT).unwrap()[0];
        (consumer.position(&place).unwrap() >= end).then_some(())
    });
    sink.0
}

/// Reads partition 0 from its beginning.
#[track_caller]
pub(crate) fn read(kafka: &dyn ClientSupplier, topic: &str, isolation: Isolation) -> Vec<Read> {
    read_from(kafka, topic, 0, end(kafka, topic, 0, OffsetSpec::Beginning), isolation)
}

/// What one group has committed for one partition.
#[track_caller]
pub(crate) fn committed_of(
    kafka: &dyn ClientSupplier,
    group: &str,
    place: &TopicPartition,
) -> Option<CommittedOffset> {
    reader_of(kafka, group).committed(std::slice::from_ref(place), WAIT).unwrap().remove(0)
}
