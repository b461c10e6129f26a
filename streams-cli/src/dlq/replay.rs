//! Puts dead letters back: each into the topic and partition it came from, with its key, value, timestamp and headers, without those
//! of the failure, and one try more.
//!
//! In: a dead-letter topic and what was put back already. Out: transactions, each with copies and the mark of their letters
//! ([`marks`](super::marks)). So a run that is killed has put back what it has marked, and the next one goes on behind it. One
//! transactional id for each dead-letter topic: a second run fences the first, and settles what a killed one left open before it reads
//! the marks. Readers of uncommitted records see the copies of a run that was killed as well, as they see all that was aborted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use streams_core::client::{
    ClientSupplier, Deliveries, Fault, ProduceRecord, Producer, ProducerSettings, TopicHandle,
};
use streams_core::dead_letter::replayed;
use streams_state::types::{Headers, Timestamp};

use super::Filter;
use super::letters::{Letter, Letters};
use super::marks::{Marks, mark};
use crate::Error;
use crate::cluster::{Cluster, TIMEOUT};

/// Copies in one transaction.
const BATCH_RECORDS: usize = 500;
/// Bytes in one transaction, about.
const BATCH_BYTES: usize = 4 << 20;
/// How long a broker keeps the transaction of a run that was killed open.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What is to be put back.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// Which letters.
    pub filter: Filter,
    /// At most so many.
    pub limit: Option<u64>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Letters seen.
    pub seen: u64,
    /// Offsets in the topic, markers of transactions included.
    pub total: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The dead-letter topic.
    pub topic: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// Letters put back, or that would be.
    pub replayed: u64,
    /// Letters that the filter takes and that were put back before.
    pub before: u64,
    /// Where they went.
    pub targets: Vec<Target>,
    /// Letters that cannot be put back, by reason.
    pub left: Vec<Left>,
}

/// Letters of one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// How many.
    pub letters: u64,
}

/// Letters that stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Why.
    pub why: String,
    /// How many.
    pub letters: u64,
    /// The first one: partition and offset in the dead-letter topic.
    pub first: (i32, i64),
}

/// Puts letters of `topic` back.
///
/// # Errors
/// There is no such topic, the cluster does not answer, or refuses. What was committed until then is not put back again by the
/// next run.
pub fn replay(
    supplier: &dyn ClientSupplier,
    topic: &str,
    options: &ReplayOptions,
    tell: &mut dyn FnMut(Progress),
) -> Result<Replay, Error> {
    let mut cluster = Cluster::connect(supplier)?;
    let mut writer = match options.dry_run {
        true => None,
        false => Some(Writer::connect(supplier, &mut cluster, topic)?),
    };
    // After the writer has settled what another one had left open: their ends say what is decided.
    let letters = Letters::open(&mut cluster, topic)?;
    let marks = Marks::read(&mut cluster, &letters.topic)?;
    // The reader is in use; another one asks about topics.
    let mut tasks = Sorter { targets: Targets::new(supplier)?, went: BTreeMap::new(), left: BTreeMap::new() };
    let (mut seen, mut done, mut before) = (0, 0, 0);
    let mut batch = Batch::default();
    letters.each(&mut cluster, |letter| {
        seen += 1;
        tell(Progress { seen, total: letters.total() });
        if !options.filter.takes(&letter) {
            return Ok(true);
        }
        if marks.has(letter.partition, letter.offset) {
            before += 1;
            return Ok(true);
        }
        if !tasks.sort(&letter)? {
            return Ok(true);
        }
        done += 1;
        if let Some(writer) = &mut writer {
            if batch.is_full() || batch.partition != letter.partition {
                writer.write(&letters, std::mem::take(&mut batch))?;
            }
            batch.add(letter);
        }
        Ok(options.limit.is_none_or(|limit| done < limit))
    })?;
    if let Some(writer) = &mut writer {
        writer.write(&letters, batch)?;
        writer.producer.close(TIMEOUT);
    }
    let target = |((topic, partition), letters)| Target { topic, partition, letters };
    let left = |(why, (letters, first))| Left { why, letters, first };
    Ok(Replay {
        topic: topic.to_owned(),
        dry_run: options.dry_run,
        replayed: done,
        before,
        targets: tasks.went.into_iter().map(target).collect(),
        left: tasks.left.into_iter().map(left).collect(),
    })
}

/// Which letters can go back, and where they go.
struct Sorter {
    targets: Targets,
    went: BTreeMap<(String, i32), u64>,
    left: BTreeMap<String, (u64, (i32, i64))>,
}

impl Sorter {
    /// Whether `letter` can go back.
    fn sort(&mut self, letter: &Letter) -> Result<bool, Error> {
        let why = match &letter.failure.source {
            None => {
                "the letter does not name a record: it came of a schedule, or of another program".to_owned()
            }
            Some(_) if letter.failure.source_lost => {
                "the bytes of the record were not kept when it failed (__kstreams.source.lost)".to_owned()
            }
            Some((topic, partition, _)) => match self.targets.partitions(topic)? {
                None => format!("there is no topic `{topic}` any more"),
                Some(count) if *partition >= count => {
                    format!("`{topic}` has {count} partitions, and none of number {partition}")
                }
                Some(_) => {
                    *self.went.entry((topic.clone(), *partition)).or_default() += 1;
                    return Ok(true);
                }
            },
        };
        self.left.entry(why).or_insert((0, (letter.partition, letter.offset))).0 += 1;
        Ok(false)
    }
}

/// The topics that letters go back to.
struct Targets {
    cluster: Cluster,
    known: BTreeMap<String, Option<i32>>,
}

impl Targets {
    fn new(supplier: &dyn ClientSupplier) -> Result<Self, Error> {
        Ok(Self { cluster: Cluster::connect(supplier)?, known: BTreeMap::new() })
    }

    fn partitions(&mut self, topic: &str) -> Result<Option<i32>, Error> {
        if let Some(known) = self.known.get(topic) {
            return Ok(*known);
        }
        let found = self.cluster.topic(topic)?.map(|topic| topic.partitions);
        self.known.insert(topic.to_owned(), found);
        Ok(found)
    }
}

/// Letters of one partition that go back in one transaction.
#[derive(Default)]
struct Batch {
    partition: i32,
    letters: Vec<Letter>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.letters.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, letter: Letter) {
        self.partition = letter.partition;
        self.bytes += letter.bytes();
        self.letters.push(letter);
    }
}

/// Writes transactions.
struct Writer {
    producer: Box<dyn Producer>,
    handles: BTreeMap<String, TopicHandle>,
    deliveries: Deliveries,
}

impl Writer {
    /// Fences a run before this one, and settles what it left open.
    fn connect(supplier: &dyn ClientSupplier, cluster: &mut Cluster, topic: &str) -> Result<Self, Error> {
        let letters = Letters::open(cluster, topic)?;
        Marks::create_topic(cluster, &letters.topic)?;
        let mut producer = supplier.producer(&ProducerSettings {
            client_id: "kstreams-cli".to_owned(),
            transactional_id: Some(format!("kstreams-dlq-replay-{topic}")),
            transaction_timeout: Some(TRANSACTION_TIMEOUT),
            ..ProducerSettings::default()
        })?;
        producer.init_transactions(TIMEOUT)?;
        Ok(Self { producer, handles: BTreeMap::new(), deliveries: Deliveries::default() })
    }

    /// One transaction: the copies, and the mark of their letters.
    fn write(&mut self, of: &Letters, batch: Batch) -> Result<(), Error> {
        let Some(first) = batch.letters.first() else { return Ok(()) };
        let place = format!("{}-{}@{}", of.topic.name, first.partition, first.offset);
        let written = self.try_write(of, &batch);
        written.map_err(|error| {
            format!("putting back {} letters from {place} on: {error}; run it again: it goes on behind what was committed", batch.letters.len()).into()
        })
    }

    fn try_write(&mut self, of: &Letters, batch: &Batch) -> Result<(), Error> {
        self.producer.begin_transaction()?;
        let mut offsets = BTreeSet::new();
        for letter in &batch.letters {
            let Some((topic, partition, _)) = &letter.failure.source else { continue };
            let headers = replayed(&letter.headers);
            let bytes = (letter.key.as_deref(), letter.value.as_deref());
            self.send(topic, *partition, bytes, Some(letter.timestamp), &headers)?;
            offsets.insert(letter.offset);
        }
        let (key, value) = mark(&of.topic, batch.partition, &offsets)?;
        let topic = Marks::topic(&of.topic.name);
        self.send(&topic, 0, (Some(&key), Some(&value)), None, &Headers::EMPTY)?;
        self.producer.commit_transaction(&mut self.deliveries, TIMEOUT)?;
        match self.deliveries.failure.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn send(
        &mut self,
        topic: &str,
        partition: i32,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
        timestamp: Option<Timestamp>,
        headers: &Headers,
    ) -> Result<(), Error> {
        let handle = match self.handles.get(topic) {
            Some(handle) => *handle,
            None => {
                let handle = self.producer.topic(topic)?;
                self.handles.insert(topic.to_owned(), handle);
                handle
            }
        };
        loop {
            let record = ProduceRecord { topic: handle, partition, timestamp, key, value, headers };
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(error) if error.fault == Fault::QueueFull => {
                    self.producer.drain(&mut self.deliveries, TIMEOUT);
                    if let Some(error) = self.deliveries.failure.take() {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
