//! `GlobalKTableEOSIntegrationTest`: global tables over topics that were written in transactions. Partition 0 gets keys 1, 2 and 4, as in
//! the original; 3 is alone in partition 1, or not: what counts is that each partition ends with a marker.

use std::collections::BTreeMap;

use super::super::world::{APP, Instance};
use super::scene::{Scene, on_each_disk};
use crate::dsl::{Consumed, Materialized, StreamsBuilder};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const STREAM: Topic<String, i64> = Topic::new("in-stream");
const GLOBAL: Topic<i64, String> = Topic::new("globalTable");
const RESULTS: Topic<String, String> = Topic::new("results");
const CONTENT: Topic<i64, String> = Topic::new("content");
const STORE: Store<i64, String> = Store::new("globalStore");
const TOPICS: [(&str, i32); 4] = [("in-stream", 1), ("globalTable", 2), ("results", 1), ("content", 1)];

/// Sends on all rows of the global store; nothing else could read it in one go.
struct Show;

impl Processor<String, i64, i64, String> for Show {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, i64, String>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let mut rows = Vec::new();
        let store = context.global_store(&STORE)?;
        store.for_each(&mut |key, value: &String, _| rows.push((key, value.clone())))?;
        rows.into_iter()
            .try_for_each(|(key, value)| context.forward(Record::new(key, value, record.timestamp)))?;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Join {
    Left,
    Inner,
    None,
}

/// Joins the stream, whose values are keys of the table.
fn topology(join: Join) -> Topology {
    let builder = StreamsBuilder::new();
    let table = builder.global_table_with(&GLOBAL, Consumed::new(), Materialized::from(&STORE));
    let stream = builder.stream(&STREAM);
    let text = |number: i64, row: Option<&String>| format!("{number}+{}", row.map_or("null", |row| row));
    match join {
        Join::Left => stream.left_join_global(&table, |_, number| *number, text).to(&RESULTS),
        Join::Inner => {
            stream
                .join_global(&table, |_, number| *number, move |number, row| text(number, Some(row)))
                .to(&RESULTS);
        }
        Join::None => stream.process(|| Show, &[]).to(&CONTENT),
    }
    builder.build().unwrap()
}

fn rows(values: &str) -> Vec<(i64, String)> {
    (1..).zip(values.chars().map(String::from)).collect()
}

fn produce_topic_values(scene: &Scene) {
    (1..)
        .zip(["a", "b", "c", "d", "e"])
        .for_each(|(number, key)| scene.put(&STREAM, &key.to_owned(), &number));
}

fn last_results(scene: &Scene) -> BTreeMap<String, String> {
    scene.rows(&RESULTS).into_iter().map(|row| (row.key, row.value)).collect()
}

fn expected(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What the global store holds once the instance is up: shown to one record.
fn content(scene: &Scene, one: &mut Instance) -> BTreeMap<i64, String> {
    scene.put(&STREAM, &"show".to_owned(), &0);
    scene.settle(&mut [one]);
    scene.rows(&CONTENT).into_iter().map(|row| (row.key, row.value)).collect()
}

fn should_join(join: Join, without: &str) {
    on_each_disk(&TOPICS, |scene| {
        scene.put_in_transaction(&GLOBAL, &rows("ABCD"), true);
        let mut one = scene.start(topology(join), scene.config("i1"));
        produce_topic_values(scene);
        scene.settle(&mut [&mut one]);
        let mut first = expected(&[("a", "1+A"), ("b", "2+B"), ("c", "3+C"), ("d", "4+D"), ("e", "5+null")]);
        first.remove(without);
        assert_eq!(last_results(scene), first);
        rows("FGHIJ").iter().for_each(|(key, value)| scene.put(&GLOBAL, key, value));
        scene.turns(&mut [&mut one], 10);
        produce_topic_values(scene);
        scene.settle(&mut [&mut one]);
        let last = expected(&[("a", "1+F"), ("b", "2+G"), ("c", "3+H"), ("d", "4+I"), ("e", "5+J")]);
        assert_eq!(last_results(scene), last);
    });
}

#[test]
fn should_k_stream_global_k_table_left_join() {
    should_join(Join::Left, "nothing");
}

#[test]
fn should_k_stream_global_k_table_join() {
    should_join(Join::Inner, "e");
}

#[test]
fn should_restore_transactional_messages() {
    on_each_disk(&TOPICS, |scene| {
        scene.put_in_transaction(&GLOBAL, &rows("ABCD"), true);
        let mut one = scene.start(topology(Join::None), scene.config("i1"));
        assert_eq!(content(scene, &mut one), rows("ABCD").into_iter().collect());
    });
}

#[test]
fn should_not_restore_aborted_messages() {
    on_each_disk(&TOPICS, |scene| {
        scene.put_in_transaction(&GLOBAL, &rows("abcd"), false);
        scene.put_in_transaction(&GLOBAL, &rows("ABCD"), true);
        scene.put_in_transaction(&GLOBAL, &rows("efgh"), false);
        let mut one = scene.start(topology(Join::None), scene.config("i1"));
        assert_eq!(content(scene, &mut one), rows("ABCD").into_iter().collect());
    });
}

/// A restart finds only markers, or markers and aborted records, behind its checkpoint: it reads nothing, and comes to the end.
fn should_skip_over_tx_markers_and_aborted_messages_on_restore(append_aborted_messages: bool) {
    on_each_disk(&TOPICS, |scene| {
        scene.put_in_transaction(&GLOBAL, &rows("ABCD"), true);
        let mut one = scene.start(topology(Join::None), scene.config("i1"));
        scene.settle(&mut [&mut one]);
        one.close();
        let file = scene.world.root.path().join("i1").join(APP).join("global/.checkpoint");
        let known = std::fs::read_to_string(&file).unwrap();
        // Back before the markers, where readers of records only would have stopped.
        let ends = scene.world.kafka.end_offsets("globalTable").unwrap();
        let mut before = known.clone();
        for (partition, end) in (0..).zip(&ends).filter(|(_, end)| **end > 0) {
            let (at, to) =
                (format!("globalTable {partition} {end}"), format!("globalTable {partition} {}", end - 1));
            assert!(before.contains(&at), "{known}");
            before = before.replace(&at, &to);
        }
        std::fs::write(&file, before).unwrap();
        if append_aborted_messages {
            scene.put_in_transaction(&GLOBAL, &rows("abcd"), false);
        }
        scene.take_restored();
        let mut two = scene.start(topology(Join::None), scene.config("i1"));
        let restored: u64 = scene.take_restored().values().sum();
        assert_eq!(restored, 0, "all of it is on disk");
        assert_eq!(content(scene, &mut two), rows("ABCD").into_iter().collect());
    });
}

#[test]
fn should_skip_over_tx_markers_on_restore() {
    should_skip_over_tx_markers_and_aborted_messages_on_restore(false);
}

#[test]
fn should_skip_over_aborted_messages_on_restore() {
    should_skip_over_tx_markers_and_aborted_messages_on_restore(true);
}
