//! The low-level `Topology`: what it builds runs, and what is wrong is said where it is made.
#![allow(clippy::unwrap_used)]

use kstreams::dsl::{Produced, Stores};
use kstreams::error::BoxError;
use kstreams::processor::{Processor, ProcessorContext};
use kstreams::record::Record;
use kstreams::testing::TopologyTestDriver;
use kstreams::topic::{Store, Topic};
use kstreams::topology::{Topology, TopologyError};

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

fn fault<T>(result: Result<T, TopologyError>) -> String {
    match result {
        Ok(_) => panic!("no fault"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn nodes_fork_join_share_stores_and_choose_children() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]).unwrap();
    let two = topology.add_source("from-two", &[&TWO]).unwrap();
    let first = topology.add_processor("sum-one", || Sum, &[&one]).unwrap();
    let second = topology.add_processor("sum-two", || Sum, &[&two]).unwrap();
    topology.add_state_store(Stores::key_value(&SUMS), &["sum-one"]).unwrap();
    topology.connect_processor_and_state_stores("sum-two", &["sums"]).unwrap();
    topology.add_sink("to-small", &SMALL, &[&first, &second]).unwrap();
    topology.add_sink("to-large", &LARGE, &[&first, &second]).unwrap();
    let all = topology.add_processor("pass", || Pass, &[&one, &two]).unwrap();
    topology.add_sink_extractor("to-all", "by name", |_, _: &i64, _| ALL.name().to_owned(), &[&all]).unwrap();
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
    let one = topology.add_source("from-one", &[&ONE]).unwrap();
    let last = Produced::new().partitioner(|_, _: &String, _: &i64, partitions| partitions - 1);
    topology.add_sink_with("to-all", &ALL, last, &[&one]).unwrap();
    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&ONE).pipe("k", 1);
    let produced = driver.produced("all");
    assert_eq!(produced.len(), 1);
    assert!(produced.iter().all(|record| record.partition.is_some()));
}

#[test]
fn faults_are_found_where_they_are_made() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]).unwrap();
    assert!(
        fault(topology.add_source("again", &[&TWO, &ONE]))
            .contains("topic `one` is read by a source already")
    );
    assert!(
        fault(topology.add_source("twice", &[&TWO, &TWO]))
            .contains("topic `two` is read by a source already")
    );
    assert!(
        fault(topology.add_source::<String, i64, _, _>("none", &[] as &[&Topic<String, i64>]))
            .contains("no topic")
    );
    assert!(fault(topology.add_source("from-one", &[&TWO])).contains("`from-one` was added already"));
    assert!(
        fault(topology.add_sink::<String, i64, _, _, _>("lonely", &ALL, &[]))
            .contains("`lonely` has no parent")
    );

    let stranger = Topology::new().add_source("stranger", &[&TWO]).unwrap();
    let fault_of_stranger = fault(topology.add_sink("k", &ALL, &[&stranger]));
    assert!(
        fault_of_stranger.contains("`stranger` of `k` is a node of another topology"),
        "{fault_of_stranger}"
    );

    topology.add_processor("p", || Pass, &[&one]).unwrap();
    let store = Stores::key_value(&SUMS);
    assert!(fault(topology.add_state_store(store.clone(), &["q"])).contains("processor `q`"));
    assert!(fault(topology.add_state_store(store.clone(), &["from-one"])).contains("only processors can"));
    topology.add_state_store(store, &["p"]).unwrap();
    assert!(
        fault(topology.add_state_store(Stores::key_value(&SUMS), &[])).contains("`sums` was added already")
    );
    let unknown = fault(topology.connect_processor_and_state_stores("p", &["nope"]));
    assert!(unknown.contains("store `nope`, which `p` shall use, is unknown"), "{unknown}");
}

#[test]
fn a_store_that_is_not_connected_is_an_error_of_the_processor() {
    let mut topology = Topology::new();
    let one = topology.add_source("from-one", &[&ONE]).unwrap();
    topology.add_processor("sum", || Sum, &[&one]).unwrap();
    let driver = TopologyTestDriver::new(topology).unwrap();
    let error = driver.input(&ONE).try_pipe(Record::new("k".to_owned(), 1, 0)).unwrap_err().to_string();
    assert!(error.contains("store `sums` is not connected to this processor"), "{error}");
}
