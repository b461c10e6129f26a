//! Writing: partitions, topics by record, bytes that cannot be made.

use std::sync::Arc;

use streams_core::dsl::{Consumed, PartitionChoice, Produced, StreamsBuilder};
use streams_core::handler::LogAndContinue;
use streams_core::record::{Record, SinkContext};
use streams_core::serdes::{Auto, Serde, SerdeError};
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::Topic;
use streams_core::topology::Topology;
use streams_core::types::Headers;

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");

#[test]
fn a_partitioner_chooses_one_many_or_none() {
    let builder = StreamsBuilder::new();
    let produced = Produced::new().partitioner(|topic, _: &String, value: &i64, count| match value {
        0 => PartitionChoice::Drop,
        1 => PartitionChoice::One(0),
        2 => PartitionChoice::Many((0..count).chain(0..count).collect()),
        3 => PartitionChoice::Many(Vec::new()),
        _ => panic!("topic {topic}"),
    });
    builder.stream(&IN).to_with(&OUT, produced);
    let driver = driver(&builder);
    (0..4).for_each(|value| driver.input(&IN).pipe("a", value));
    let values: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!((values, driver.dropped()), (vec![1, 2, 2], 2));
}

#[test]
fn an_extractor_sees_the_record_and_its_context() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN);
    stream.to_extractor_as("by-time", |key, value, context| format!("{key}-{value}-{}", context.timestamp));
    let driver = driver(&builder);
    driver.input(&IN).pipe_at("a", 1, 5);
    assert_eq!(driver.produced_topics(), ["a-1-5".into()]);
    let described = builder.build().unwrap().describe().to_string();
    assert!(described.contains("(extractor class: by-time)"), "{described}");
}

/// The extractor saw an index where Java's has the topic, and neither partition nor offset.
#[test]
fn an_extractor_sees_where_the_record_came_from() {
    let builder = StreamsBuilder::new();
    let stream = builder.stream(&IN);
    let place = |_: &String, _: &i64, at: &SinkContext<'_>| {
        let tag = at.headers.last("tag").map_or(0, |header| header.value.as_ref().map_or(0, Vec::len));
        format!("{}-{}-{}-{tag}", at.topic.unwrap(), at.partition, at.offset)
    };
    stream.to_extractor(place);
    let driver = driver(&builder);
    driver.input(&IN).pipe("a", 1);
    let mut tagged = Record::new(text("a"), 2, 3);
    tagged.headers.add("tag", Some(b"four".to_vec()));
    driver.input(&IN).pipe_record(tagged);
    assert_eq!(driver.produced_topics(), ["in-0-0-0".into(), "in-0-1-4".into()]);
}

/// What has no default serde, as user types may not have one.
#[derive(Clone, Debug, PartialEq)]
struct Opaque(i64);

#[derive(Default)]
struct OpaqueSerde;

impl Serde<Opaque> for OpaqueSerde {
    fn serialize(&self, value: &Opaque, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.extend_from_slice(&value.0.to_be_bytes());
        Ok(true)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Opaque, SerdeError> {
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(SerdeError::new("not 8 bytes"))?;
        Ok(Opaque(i64::from_be_bytes(bytes)))
    }
}

/// Topics by record and by pattern knew the default serdes only, and no partitioner.
#[test]
fn dynamic_topics_take_serdes_and_a_partitioner() {
    const COPY: Topic<String, Opaque, Auto, OpaqueSerde> = Topic::new("copy");
    let last = || Produced::new().partitioner(|_, _: &String, _: &Opaque, count| count - 1);
    let copy = |_: &String, _: &Opaque, _: &SinkContext<'_>| COPY.name().to_owned();
    let builder = StreamsBuilder::new();
    let stream = builder.stream_pattern_with("in.*", Auto, OpaqueSerde, Consumed::new());
    stream.to_extractor_with("copy", copy, Auto, OpaqueSerde, last());
    let mut topology = Topology::new();
    let source = topology.add_source_pattern_with("source", "in.*", Auto, OpaqueSerde, Consumed::new());
    topology.add_sink_extractor_with("sink", "copy", copy, (Auto, OpaqueSerde), last(), &[&source]);
    for topology in [builder.build().unwrap(), topology] {
        let driver = TopologyTestDriver::new(topology).unwrap();
        driver.pipe_raw("in-1", Some(b"a"), Some(&7_i64.to_be_bytes()), 0, Headers::EMPTY).unwrap();
        assert_eq!(driver.produced("copy")[0].partition, Some(0));
        assert_eq!(driver.output(&COPY).read_all(), [(text("a"), Opaque(7))]);
    }
}

/// Writes positive numbers only.
#[derive(Default)]
struct Positive;

impl Serde<i64> for Positive {
    fn serialize(&self, value: &i64, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.extend_from_slice(&value.to_be_bytes());
        if *value > 0 { Ok(true) } else { Err(SerdeError::new("not positive")) }
    }
    fn deserialize(&self, _: Option<&[u8]>) -> Result<i64, SerdeError> {
        Err(SerdeError::new("write only"))
    }
}

#[test]
fn what_cannot_be_written_goes_to_the_production_handler() {
    const SINK: Topic<String, i64, streams_core::serdes::Auto, Positive> = Topic::new("out");
    let builder = StreamsBuilder::new();
    builder.stream(&IN).to(&SINK);
    let failed = driver(&builder).input(&IN).try_pipe(streams_core::record::Record::new(text("a"), -1, 0));
    let error = failed.unwrap_err().to_string();
    assert!(error.ends_with("cannot serialize the value for topic `out`: not positive"), "{error}");

    let config =
        DriverConfig { production_exception_handler: Arc::new(LogAndContinue), ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    for value in [-1, 1] {
        driver.input(&IN).pipe("a", value);
    }
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 1)]);
    assert_eq!(driver.dropped(), 1);
}
