//! The driver's order of things, with nodes written by hand.

use std::time::Duration;

use streams_state::types::Headers;

use super::{DriverConfig, TopologyTestDriver};
use crate::processor::PunctuationType::{StreamTime, WallClockTime};
use crate::record::Record;
use crate::task::toy::Toy;
use crate::topic::{Store, Topic};

const IN: Topic<String, String> = Topic::new("in");
const OUT: Topic<String, String> = Topic::new("out");
const STORE: Store<String, String> = Store::new("store");

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn records_go_through_repartition_topics_before_the_call_returns() {
    let toy = Toy::default()
        .source("one", &["in"])
        .node("upper", &["one"], |context, mut record, outputs| {
            record.value.make_ascii_uppercase();
            outputs.forward(context, record)
        })
        .sink("middle", &["upper"], "+middle")
        .sink("direct", &["one"], "out")
        .source("two", &["+middle"])
        .sink("out", &["two"], "out");
    let driver = TopologyTestDriver::new(toy.0).unwrap();
    let (input, output) = (driver.input(&IN), driver.output(&OUT));
    assert!(output.is_empty());
    input.pipe("k", "a");
    input.advance(Duration::from_millis(7));
    input.pipe("k", "b");
    assert_eq!(output.len(), 4);
    assert_eq!(output.read_record(), Some(Record::new("k".to_owned(), "a".to_owned(), 0)));
    assert_eq!(output.read_all(), [pair("k", "A"), pair("k", "b"), pair("k", "B")]);
    assert_eq!(output.read_record(), None);
    let topics: Vec<String> = driver.produced_topics().iter().map(|topic| topic.to_string()).collect();
    assert_eq!(topics, ["out", "test-middle"]);
    let middle = driver.produced("test-middle");
    assert_eq!(
        (middle[1].item, middle[1].timestamp, middle[1].value.as_deref()),
        (1, Some(7), Some(&b"B"[..]))
    );
}

#[test]
fn a_record_is_processed_to_its_end_before_what_it_produced() {
    let toy = Toy::default()
        .source("one", &["in"])
        .sink("loop", &["one"], "+loop")
        .sink("loop again", &["one"], "+loop")
        .source("two", &["+loop"])
        .ticks("tick", &["two"], StreamTime, 1)
        .store("store", |spec| spec.caching = true)
        .put("put", &["tick"], &["store"])
        .sink("out", &["put"], "out");
    let driver = TopologyTestDriver::new(toy.0).unwrap();
    driver.input(&IN).pipe_at("k", "v", 5);
    // The schedule is due with the first record, whose commit comes before the records it produced.
    assert_eq!(driver.output(&OUT).read_all(), [pair("tick", "tick"), pair("k", "v"), pair("k", "v")]);
    assert_eq!(driver.store(&STORE).all(), [pair("k", "v"), pair("tick", "tick")]);
    assert_eq!(driver.produced("test-store-changelog").len(), 3);
}

#[test]
fn global_stores_are_fed_directly_and_before_the_next_record() {
    let toy = Toy::default()
        .source("global source", &["facts"])
        .store("store", |spec| spec.global = true)
        .put("global put", &["global source"], &["store"])
        .source("source", &["in"])
        .sink("to facts", &["source"], "facts");
    let driver = TopologyTestDriver::new(toy.0).unwrap();
    driver.input(&Topic::<String, String>::new("facts")).pipe("direct", "1");
    driver.input(&IN).pipe("routed", "2");
    assert_eq!(driver.store(&STORE).all(), [pair("direct", "1"), pair("routed", "2")]);
    assert_eq!(driver.store(&STORE).get(&"routed".to_owned()), Some("2".to_owned()));
    assert_eq!(driver.produced_topics().len(), 1, "a global store has no changelog");
}

#[test]
fn the_wall_clock_moves_by_hand() {
    let toy = Toy::default().source("source", &["in"]).ticks("tick", &["source"], WallClockTime, 10).sink(
        "out",
        &["tick"],
        "out",
    );
    let config = DriverConfig { wall_clock: 100, ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(toy.0, config).unwrap();
    let output = driver.output(&OUT);
    driver.advance_wall_clock(Duration::from_millis(9));
    assert!(output.is_empty());
    driver.advance_wall_clock(Duration::from_millis(1));
    assert_eq!((driver.wall_clock(), output.read_record().unwrap().timestamp), (110, 110));
    assert_eq!(driver.produced("out")[0].item, 1);
}

#[test]
fn an_error_ends_the_driver_and_its_record_leaves_nothing() {
    let toy = Toy::default().source("source", &["in"]).sink("out", &["source"], "out").node(
        "fail",
        &["source"],
        |context, record, _| match record.value.as_str() {
            "fail" => context.processing_failed("fail", "no".into()),
            _ => Ok(()),
        },
    );
    let driver = TopologyTestDriver::new(toy.0).unwrap();
    let input = driver.input(&IN);
    input.pipe("k", "good");
    let failing = Record::new("k".to_owned(), "fail".to_owned(), 3);
    let error = input.try_pipe(failing.clone()).unwrap_err();
    assert_eq!(error.to_string(), "task 0_0, node `fail`, record in-0@1: processing failed: no");
    assert!(input.try_pipe(failing).unwrap_err().to_string().contains("cannot go on"));
    assert_eq!(driver.output(&OUT).read_all(), [pair("k", "good")]);
}

#[test]
fn a_topic_that_nobody_reads_is_named() {
    let driver = TopologyTestDriver::new(Toy::default().source("source", &["in"]).0).unwrap();
    let error = driver.pipe_raw("inn", None, None, 0, Headers::EMPTY).unwrap_err();
    assert!(error.to_string().contains("no source of the topology reads topic `inn`; it reads `in`"));
}

#[test]
fn dropped_records_are_counted() {
    let driver = TopologyTestDriver::new(Toy::default().source("source", &["in"]).0).unwrap();
    driver.pipe_raw("in", None, Some(b"v"), -5, Headers::EMPTY).unwrap();
    assert_eq!(driver.dropped(), 1);
    driver.close().unwrap();
    assert!(driver.pipe_raw("in", None, None, 0, Headers::EMPTY).is_err());
}
