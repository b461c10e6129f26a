//! Whole applications with real threads and the real clock: what only shows with a broker that has its own mind about
//! metadata, group membership and transactions. The same assertions on the embedded log.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use kstreams::dsl::{Consumed, StreamsBuilder};
use kstreams::runtime::KafkaStreams;
use kstreams::serdes::Auto;
use kstreams::topic::{Store, Topic};
use kstreams::topology::Topology;

use crate::harness::cases;
use crate::support::*;

cases![
    a_stream_joins_a_global_table_and_a_restart_reads_its_tail_only,
    a_topic_that_matches_a_pattern_joins_without_a_restart,
];

fn start(names: &Names, topology: Topology, folder: &tempfile::TempDir) -> KafkaStreams {
    let mut config = StreamsConfig::new(names.group(), ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    config.client_properties.insert("metadata.max.age.ms".to_owned(), "500".to_owned());
    let mut streams = KafkaStreams::new(topology, config, names.supplier()).unwrap();
    streams.start().unwrap();
    streams
}

fn write(kafka: &dyn ClientSupplier, topic: &str, rows: &[(&str, &str)]) {
    let mut writer = Writer::plain(kafka);
    rows.iter().for_each(|(key, value)| writer.send(topic, 0, key, value));
    writer.flush();
}

/// The committed records of a topic, in order.
fn results(kafka: &dyn ClientSupplier, topic: &str) -> Vec<(String, String)> {
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    read(kafka, topic, Committed).into_iter().map(|record| (text(record.key), text(record.value))).collect()
}

fn await_results(kafka: &dyn ClientSupplier, topic: &str, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    eventually("the results", || (results(kafka, topic).len() >= expected.len()).then_some(()));
    assert_eq!(results(kafka, topic), expected);
}

fn a_stream_joins_a_global_table_and_a_restart_reads_its_tail_only(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    let [orders, rates, out] = ["orders", "rates", "out"].map(|topic| names.topic(topic));
    for topic in [&orders, &rates, &out] {
        create_with(kafka, topic, 1, &[]);
    }
    let topology = || {
        let builder = StreamsBuilder::new();
        let rates = builder.global_table(&Topic::<String, String>::named(rates.clone()));
        builder
            .stream(&Topic::<String, String>::named(orders.clone()))
            .join_global(&rates, |_, order| order.clone(), |order, rate| format!("{order}={rate}"))
            .to(&Topic::<String, String>::named(out.clone()));
        builder.build().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    write(kafka, &rates, &[("eur", "1"), ("usd", "2"), ("chf", "3")]);
    write(kafka, &orders, &[("a", "usd"), ("b", "gbp"), ("c", "eur")]);
    let mut one = start(names, topology(), &folder);
    await_results(kafka, &out, &[("a", "usd=2"), ("c", "eur=1")]);
    assert_eq!(one.metrics().records_restored, 3);
    one.close(WAIT).unwrap();
    write(kafka, &rates, &[("usd", "20")]);
    write(kafka, &orders, &[("d", "usd"), ("e", "chf")]);
    let mut two = start(names, topology(), &folder);
    await_results(kafka, &out, &[("a", "usd=2"), ("c", "eur=1"), ("d", "usd=20"), ("e", "chf=3")]);
    // Without RocksDB nothing is on disk, and the whole topic is read.
    let read_at_start = if cfg!(feature = "rocksdb") { 1 } else { 4 };
    assert_eq!(two.metrics().records_restored, read_at_start);
    two.close(WAIT).unwrap();
}

fn a_topic_that_matches_a_pattern_joins_without_a_restart(kafka: &dyn ClientSupplier, names: &Names) {
    let counts = names.topic("counts");
    create_with(kafka, &counts, 1, &[]);
    create_with(kafka, &names.topic("in-1"), 1, &[]);
    let builder = StreamsBuilder::new();
    let pattern = format!("{}[0-9]", names.topic("in-").replace('.', "[.]"));
    builder
        .stream_pattern_with::<String, String>(&pattern, Auto, Auto, Consumed::new())
        .group_by_key()
        .count_with(&Store::<String, i64>::new("count"))
        .to_stream()
        .to(&Topic::<String, i64>::named(counts.clone()));
    let folder = tempfile::tempdir().unwrap();
    let mut streams = start(names, builder.build().unwrap(), &folder);
    let last = || -> BTreeMap<String, i64> {
        let records = read(kafka, &counts, Committed).into_iter();
        let number = |bytes: Vec<u8>| i64::from_be_bytes(bytes.try_into().unwrap());
        records
            .map(|record| (String::from_utf8(record.key.unwrap()).unwrap(), number(record.value.unwrap())))
            .collect()
    };
    let await_counts = |expected: &[(&str, i64)]| {
        let expected = expected.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
        eventually("the counts", || (last() == expected).then_some(()));
    };
    write(kafka, &names.topic("in-1"), &[("a", "1"), ("b", "1"), ("a", "2")]);
    await_counts(&[("a", 2), ("b", 1)]);
    create_with(kafka, &names.topic("in-2"), 1, &[]);
    write(kafka, &names.topic("in-2"), &[("a", "3"), ("c", "1")]);
    await_counts(&[("a", 3), ("b", 1), ("c", 1)]);
    write(kafka, &names.topic("in-1"), &[("b", "2")]);
    await_counts(&[("a", 3), ("b", 2), ("c", 1)]);
    streams.close(Duration::from_secs(30)).unwrap();
}
