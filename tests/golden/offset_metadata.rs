//! The text beside committed offsets, against vectors recorded from Kafka Streams 4.3.1: what it writes, what it makes of
//! old, foreign and broken text, and how it merges. Catches a wrong byte, and an error where "unknown" is meant.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;
use streams_core::task::{OffsetMetadata, ProcessorMetadata};

fn vectors(list: &str) -> Vec<Value> {
    let packed: &[u8] = include_bytes!("data/golden/offset_metadata.json.gz");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    golden[list].as_array().unwrap().clone()
}

fn entries(map: &Value) -> BTreeMap<String, i64> {
    let entries = map.as_object().unwrap().iter();
    entries.map(|(store, value)| (store.clone(), value.as_i64().unwrap())).collect()
}

fn metadata(entries: impl IntoIterator<Item = (String, i64)>) -> ProcessorMetadata {
    let mut metadata = ProcessorMetadata::default();
    entries.into_iter().for_each(|(store, value)| metadata.put(&store, value));
    metadata
}

fn kept(metadata: &ProcessorMetadata) -> BTreeMap<String, i64> {
    metadata.entries().iter().cloned().collect()
}

#[test]
fn writes_what_kafka_streams_writes() {
    let vectors = vectors("encode");
    assert_eq!(vectors.len(), 60);
    for vector in vectors {
        let values = entries(&vector["processor_metadata"]);
        let order = vector["entry_order"].as_array().unwrap().iter();
        let ordered = order.map(|store| {
            let store = store.as_str().unwrap();
            (store.to_owned(), values[store])
        });
        let partition_time = vector["partition_time"].as_i64().unwrap();
        let text = OffsetMetadata { partition_time, processor: metadata(ordered) }.encode();
        assert_eq!(text, vector["base64"].as_str().unwrap());
        let read = OffsetMetadata::decode(&text);
        assert_eq!((read.partition_time, kept(&read.processor)), (partition_time, values));
    }
}

#[test]
fn reads_what_kafka_streams_reads() {
    let vectors = vectors("decode");
    assert_eq!(vectors.len(), 121);
    for vector in vectors {
        let read = OffsetMetadata::decode(vector["base64"].as_str().unwrap());
        let expected = (vector["partition_time"].as_i64().unwrap(), entries(&vector["processor_metadata"]));
        assert_eq!((read.partition_time, kept(&read.processor)), expected, "{vector}");
        assert!(!read.processor.changed(), "what was read is committed already");
    }
}

#[test]
fn merges_as_kafka_streams_does() {
    for vector in vectors("merge") {
        let mut merged = metadata(entries(&vector["left"]));
        merged.merge(&metadata(entries(&vector["right"])));
        assert_eq!(kept(&merged), entries(&vector["merged"]));
    }
}
