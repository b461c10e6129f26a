//! The low-level `Topology`: what it builds runs; what is wrong is told by whatever would run it, all at once.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::error::BoxError;
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;

const ONE: Topic<String, i64> = Topic::new("one");
const TWO: Topic<String, i64> = Topic::new("two");
const SMALL: Topic<String, i64> = Topic::new("small");
const LARGE: Topic<String, i64> = Topic::new("large");
const ALL: Topic<String, i64> = Topic::new("all");
const SUMS: Store<String, i64> = Store::new("sums");

/// Adds to the sum of the key, and sends it to one child or the other.
struct Sum;

impl Processor<String, i64, String, i64> for Sum {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let sums = context.store(&SUMS)?;
        let old = sums.borrow_mut().get(&record.key)?.map_or(0, |(sum, _)| *sum);
        let sum = old + record.value;
        sums.borrow_mut().put(&record.key, Some(sum), record.timestamp, context.record_context())?;
        let child = if sum < 10 { "to-small" } else { "to-large" };
        Ok(context.forward_to(child, record.with_value(sum))?)
    }
}

/// Passes everything on.
struct Pass;

impl Processor<String, i64, String, i64> for Pass {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(context.forward(record)?)
    }
}

#[test]
fn nodes_fork_join_share_stores_and_choose_children() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]);
    let two = topology.add_source("from-two", &[&TWO]);
    let first = topology.add_processor("sum-one", || Sum, &[&one]);
    let second = topology.add_processor("sum-two", || Sum, &[&two]);
    topology.add_state_store(Stores::key_value(&SUMS), &["sum-one"]);
    topology.connect_processor_and_state_stores("sum-two", &["sums"]);
    topology.add_sink("to-small", &SMALL, &[&first, &second]);
    topology.add_sink("to-large", &LARGE, &[&first, &second]);
    let all = topology.add_processor("pass", || Pass, &[&one, &two]);
    topology.add_sink_extractor("to-all", "by name", |_, _: &i64, _| ALL.name().to_owned(), &[&all]);
    assert_eq!(topology.validate(), Ok(()));
    assert_eq!(topology.subtopologies().len(), 1);

    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&ONE).pipe("k", 4);
    driver.input(&TWO).pipe("k", 5);
    driver.input(&ONE).pipe("k", 6);
    assert_eq!(driver.output(&SMALL).read_all(), [("k".into(), 4), ("k".into(), 9)]);
    assert_eq!(driver.output(&LARGE).read_all(), [("k".into(), 15)]);
    assert_eq!(driver.output(&ALL).read_all().len(), 3);
    assert_eq!(driver.store(&SUMS).get(&"k".to_owned()), Some(15));
}

#[test]
fn a_partitioner_chooses_the_partition() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]);
    let last = Produced::new().partitioner(|_, _: &String, _: &i64, partitions| partitions - 1);
    topology.add_sink_with("to-all", &ALL, last, &[&one]);
    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&ONE).pipe("k", 1);
    let produced = driver.produced("all");
    assert_eq!(produced.len(), 1);
    assert!(produced.iter().all(|record| record.partition.is_some()));
}

/// A number as so many of the same letter.
struct Letters(u8);

impl Serde<i64> for Letters {
    fn serialize(&self, number: &i64, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.extend((0..*number).map(|_| self.0));
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<i64, SerdeError> {
        let letters = bytes.into_iter().flatten().filter(|letter| **letter == self.0);
        Ok(letters.count() as i64)
    }
}

#[test]
fn sources_and_sinks_use_the_serdes_of_their_topics() {
    let read = Topic::<String, i64, _, _>::with_serdes("read", Auto, Letters(b'a'));
    let written = Topic::<String, i64, _, _>::with_serdes("written", Auto, Letters(b'b'));
    let mut topology = Topology::new();
    let source = topology.add_source("in", &[&read]);
    topology.add_sink("out", &written, &[&source]);
    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&read).pipe_raw(Some(b"k"), Some(b"aaa")).unwrap();
    assert_eq!(driver.produced("written")[0].value.as_deref(), Some(&b"bbb"[..]));
}

#[test]
fn whatever_would_run_a_topology_tells_all_its_faults() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]);
    topology.add_processor("p", || Pass, &[&one]);
    topology.add_state_store(Stores::key_value(&SUMS), &["q"]).add_sink::<String, i64, _, _, _>(
        "k",
        &ALL,
        &[],
    );
    let faults = [
        "processor `q`, which shall use `sums`, is unknown; add it first",
        "node `k` has no parent, so no record can reach it; name at least one",
    ];
    assert_eq!(topology.validate().unwrap_err().faults, faults);
    let told = format!("invalid topology, 2 faults:\n  - {}\n  - {}", faults[0], faults[1]);
    let driver = TopologyTestDriver::new(topology.clone()).err().unwrap();
    assert_eq!(driver.to_string(), told);
    let config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
    let application =
        KafkaStreams::new(topology.clone(), config, Arc::new(EmbeddedKafka::new(SystemClock))).err().unwrap();
    assert_eq!(application.to_string(), told);
    // It may be looked at all the same.
    assert!(topology.describe().to_string().contains("Sink: k (topic: all)"));
}

#[test]
fn a_store_that_is_not_connected_is_an_error_of_the_processor() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]);
    topology.add_processor("sum", || Sum, &[&one]);
    let driver = TopologyTestDriver::new(topology).unwrap();
    let error = driver.input(&ONE).try_pipe(Record::new("k".to_owned(), 1, 0)).unwrap_err().to_string();
    assert!(error.contains("store `sums` is not connected to this processor"), "{error}");
}
