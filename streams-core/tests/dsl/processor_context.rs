//! What a processor sees of the record in work and may do with it: metadata, headers, time, named children, commits,
//! stores that it brings. As Kafka Streams' `ProcessorContextImpl`.

use std::sync::{Arc, Mutex};

use streams_core::dsl::{Consumed, Stores, StreamsBuilder};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};
use streams_core::topology::Topology;
use streams_core::types::Headers;

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const SECOND: Topic<String, i64> = Topic::new("second");
const OUT: Topic<String, i64> = Topic::new("out");
const OTHER: Topic<String, i64> = Topic::new("other");
const PLAIN: Store<String, i64> = Store::new("plain");
const TABLE: Store<String, i64> = Store::new("table");

type Seen = Arc<Mutex<Vec<String>>>;

/// Writes down where each record came from, and forwards it with another time and a header more.
struct Look(Seen);

impl<V: 'static> Processor<String, V, String, V> for Look {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, V>,
        mut record: Record<String, V>,
    ) -> Result<(), BoxError> {
        let at = context.record_metadata();
        let time = context.record_context().timestamp;
        let headers: Vec<&str> = record.headers.iter().map(|header| &*header.key).collect();
        self.0.lock().unwrap().push(format!("{} {at:?} {time} {headers:?}", record.key));
        record.timestamp += 100;
        record.headers.add("seen", None);
        Ok(context.forward(record)?)
    }
}

#[test]
fn metadata_is_that_of_the_source_record_and_time_and_headers_are_those_of_the_record_forwarded() {
    let seen = Seen::default();
    let look = |seen: &Seen| {
        let seen = seen.clone();
        move || Look(seen.clone())
    };
    let builder = StreamsBuilder::new();
    let both = builder.stream_with(&[&IN, &SECOND], Consumed::new());
    both.process::<_, String, i64>(look(&seen), &[]).process::<_, String, i64>(look(&seen), &[]).to(&OUT);
    let driver = driver(&builder);
    driver.input(&IN).pipe_record(Record::new(text("a"), 1, 7));
    driver.input(&SECOND).pipe_record(Record::new(text("b"), 2, 8));
    driver.input(&IN).pipe_record(Record::new(text("c"), 3, 9));
    assert_eq!(
        *seen.lock().unwrap(),
        [
            r#"a Some(("in", 0, 0)) 7 []"#,
            r#"a Some(("in", 0, 0)) 107 ["seen"]"#,
            r#"b Some(("second", 0, 0)) 8 []"#,
            r#"b Some(("second", 0, 0)) 108 ["seen"]"#,
            r#"c Some(("in", 0, 1)) 9 []"#,
            r#"c Some(("in", 0, 1)) 109 ["seen"]"#,
        ]
    );
    let last = driver.produced("out").pop().unwrap();
    assert_eq!((last.timestamp, last.headers.iter().count()), (Some(209), 2));
}

#[test]
fn what_a_cache_held_back_has_the_metadata_of_its_last_record() {
    let seen = Seen::default();
    let builder = StreamsBuilder::new();
    let look = {
        let seen = seen.clone();
        move || Look(seen.clone())
    };
    builder.table_with(&IN, Consumed::new(), &TABLE).to_stream().process::<_, String, Option<i64>>(look, &[]);
    builder.stream(&SECOND).to(&OUT);
    let driver = driver(&builder);
    let header = |key: &str| {
        let mut headers = Headers::EMPTY;
        headers.add(key, None);
        headers
    };
    for (key, time) in [("a", 5), ("b", 6), ("a", 3)] {
        let record = Record { key: text(key), value: time, timestamp: time, headers: header(key) };
        driver.input(&IN).pipe_record(record);
    }
    let seen = seen.lock().unwrap();
    assert_eq!(
        *seen,
        [
            r#"a Some(("in", 0, 0)) 5 ["a"]"#,
            r#"b Some(("in", 0, 1)) 6 ["b"]"#,
            r#"a Some(("in", 0, 2)) 3 ["a"]"#
        ]
    );
}

/// Keeps the value in a plain store, under the time of the record in work; tells a wrong child.
struct Keep;

impl Processor<String, i64, String, i64> for Keep {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let store = context.store(&PLAIN)?;
        store.borrow_mut().put(
            &record.key,
            Some(record.value),
            record.timestamp,
            context.record_context(),
        )?;
        context.commit();
        match record.value {
            1 => Ok(context.forward_to("one", record)?),
            2 => Ok(context.forward_to("two", record)?),
            3 => Ok(context.forward_to("three", record)?),
            _ => Ok(context.forward(record)?),
        }
    }
}

fn low_level() -> Topology {
    let mut topology = Topology::new();
    let source = topology.add_source("source", &[&IN]);
    let keep = topology.add_processor("keep", || Keep, &[&source]);
    topology.add_state_store(Stores::key_value(&PLAIN), &["keep"]);
    topology.add_sink("one", &OUT, &[&keep]);
    topology.add_sink("two", &OTHER, &[&keep]);
    topology
}

#[test]
fn a_record_goes_to_the_child_named_or_to_all_and_an_unknown_child_stops_the_task() {
    let driver = TopologyTestDriver::new(low_level()).unwrap();
    [1, 2, 9].into_iter().for_each(|value| driver.input(&IN).pipe("k", value));
    let values = |topic: &Topic<String, i64>| -> Vec<i64> {
        driver.output(topic).read_all().into_iter().map(|(_, value)| value).collect()
    };
    assert_eq!((values(&OUT), values(&OTHER)), (vec![1, 9], vec![2, 9]));
    let error = driver.input(&IN).try_pipe(Record::new(text("k"), 3, 0)).unwrap_err().to_string();
    assert!(error.contains("there is no child node `three`"), "{error}");
}
