//! The input end of a topic: typed records go in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use streams_state::serdes::{Part, Serde, SerdeRef, for_topic};
use streams_state::types::{Headers, Timestamp};

use super::ProducedRecord;
use super::crank::Crank;
use crate::error::{NodeResult, TaskError, TaskErrorCause};
use crate::record::Record;
use crate::topic::Topic;

/// Pipes typed records into a topic. From [`TopologyTestDriver::input`](super::TopologyTestDriver::input).
pub struct TestInputTopic<K, V> {
    crank: Rc<RefCell<Crank>>,
    name: String,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    time: Cell<Timestamp>,
    advance_ms: i64,
}

impl<K: 'static, V: 'static> TestInputTopic<K, V> {
    pub(super) fn new<KS, VS>(crank: Rc<RefCell<Crank>>, topic: &Topic<K, V, KS, VS>) -> Self
    where
        KS: Serde<K> + Default,
        VS: Serde<V> + Default,
    {
        let time = Cell::new(crank.borrow().wall_time());
        Self {
            crank,
            name: topic.name().to_owned(),
            keys: for_topic(&topic.key_serde(), topic.name(), Part::Key),
            values: for_topic(&topic.value_serde(), topic.name(), Part::Value),
            time,
            advance_ms: 0,
        }
    }

    /// Its records start at this time, ms since the epoch, and not at the wall clock of the driver.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{dsl::StreamsBuilder, testing::TopologyTestDriver, topic::Topic};
    /// # const IN: Topic<String, i64> = Topic::new("in");
    /// # const OUT: Topic<String, i64> = Topic::new("out");
    /// # let builder = StreamsBuilder::new();
    /// # builder.stream(&IN).to(&OUT);
    /// let driver = TopologyTestDriver::new(builder.build()?)?;
    /// let input = driver.input(&IN).start_at(1_000).auto_advance(Duration::from_millis(5));
    /// input.pipe("a", 1);
    /// input.pipe_at("b", 2, 7);
    /// input.pipe("c", 3);
    /// let times = driver.output(&OUT).read_records().into_iter().map(|record| record.timestamp);
    /// assert_eq!(times.collect::<Vec<_>>(), [1_000, 7, 1_005]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_at(self, timestamp: Timestamp) -> Self {
        self.time.set(timestamp);
        self
    }

    /// Each record that is piped with the time of this topic moves that time on. Default: it stands.
    pub fn auto_advance(self, by: Duration) -> Self {
        Self { advance_ms: by.as_millis() as i64, ..self }
    }

    /// The time of this topic, which moves on.
    fn next_time(&self) -> Timestamp {
        let time = self.time.get();
        self.time.set(time + self.advance_ms);
        time
    }

    /// Pipes a record with the time of this topic.
    ///
    /// # Panics
    /// A node failed, or no source reads the topic. [`try_pipe`](Self::try_pipe) returns the error.
    #[track_caller]
    pub fn pipe(&self, key: impl Into<K>, value: impl Into<V>) {
        self.pipe_record(Record::new(key.into(), value.into(), self.next_time()));
    }

    /// Pipes a record with this timestamp, ms since the epoch.
    ///
    /// # Panics
    /// As [`pipe`](Self::pipe).
    #[track_caller]
    pub fn pipe_at(&self, key: impl Into<K>, value: impl Into<V>, timestamp: Timestamp) {
        self.pipe_record(Record::new(key.into(), value.into(), timestamp));
    }

    /// Pipes a record with its own timestamp and headers.
    ///
    /// # Panics
    /// As [`pipe`](Self::pipe).
    #[track_caller]
    pub fn pipe_record(&self, record: Record<K, V>) {
        if let Err(error) = self.try_pipe(record) {
            panic!("{error}");
        }
    }

    /// Pipes a record with its own timestamp and headers.
    ///
    /// # Errors
    /// A node failed, or no source reads the topic. The driver cannot go on then.
    pub fn try_pipe(&self, record: Record<K, V>) -> NodeResult {
        let Record { key, value, timestamp, mut headers } = record;
        let key = self.bytes(Part::Key, |out| self.keys.serialize_with_headers(&key, &mut headers, out))?;
        let value =
            self.bytes(Part::Value, |out| self.values.serialize_with_headers(&value, &mut headers, out))?;
        self.pipe_bytes(key, value, timestamp, headers)
    }

    /// Pipes bytes that may not even parse, with the time of this topic.
    ///
    /// # Errors
    /// As [`try_pipe`](Self::try_pipe).
    pub fn pipe_raw(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> NodeResult {
        let bytes = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        self.pipe_bytes(bytes(key), bytes(value), self.next_time(), Headers::EMPTY)
    }

    /// Moves the time of this topic, which [`pipe`](Self::pipe) gives to records.
    pub fn advance(&self, by: Duration) {
        self.time.set(self.time.get() + by.as_millis() as i64);
    }

    fn pipe_bytes(
        &self,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        timestamp: Timestamp,
        headers: Headers,
    ) -> NodeResult {
        self.crank.borrow_mut().pipe(ProducedRecord {
            topic: self.name.as_str().into(),
            partition: None,
            key,
            value,
            timestamp: Some(timestamp),
            headers,
            item: 0,
        })
    }

    fn bytes(
        &self,
        part: Part,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, streams_state::serdes::SerdeError>,
    ) -> NodeResult<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let present = write(&mut out).map_err(|source| {
            let cause = TaskErrorCause::Serialization { topic: self.name.clone(), part, source };
            let (task, node, record) = ("test".to_owned(), String::new(), String::new());
            Box::new(TaskError { task, node, record, cause, undecided: false })
        })?;
        Ok(present.then_some(out))
    }
}
