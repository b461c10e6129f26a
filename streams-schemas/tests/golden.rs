//! Bytes that Java and Confluent's clients write, both ways. Can catch: a frame, an index or a datum that others cannot read.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use streams_schemas::{AvroSerde, Schema, SchemaKind, SchemaRegistry, wire};
use streams_state::serdes::{Part, Serde, SerdeErrorKind};

fn golden() -> BTreeMap<String, Vec<u8>> {
    let lines = include_str!("data/golden.tsv").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, hex) = line.split_once('\t').unwrap();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (name.to_owned(), (0..hex.len()).step_by(2).map(byte).collect())
        })
        .collect()
}

const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"string"},{"name":"cents","type":"long"},
    {"name":"note","type":["null","string"],"default":null},
    {"name":"tags","type":{"type":"array","items":"string"}},
    {"name":"state","type":{"type":"enum","name":"State","symbols":["Open","Paid"]}},
    {"name":"weight","type":"double"}]}"#;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum State {
    Open,
    Paid,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: String,
    cents: i64,
    note: Option<String>,
    tags: Vec<String>,
    state: State,
    weight: f64,
}

fn both_ways<T>(name: &str, schema: &str, value: T)
where
    T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug + 'static,
{
    let mut bytes = golden().remove(name).unwrap();
    let (id, data) = wire::read_frame(&bytes).unwrap();
    let mut frame = Vec::new();
    wire::write_frame(id, &mut frame);
    assert_eq!(frame, bytes[..bytes.len() - data.len()], "{name}");
    // The id is whatever a registry gives; here it is the first.
    bytes[..5].copy_from_slice(&[0, 0, 0, 0, 1]);
    let registry = SchemaRegistry::in_memory();
    let serde = AvroSerde::<T>::new(&registry, Schema::new(SchemaKind::Avro, schema)).unwrap();
    let serde = Serde::<T>::for_topic(&serde, "orders", Part::Value).unwrap();
    let mut out = Vec::new();
    assert!(serde.serialize(&value, &mut out).unwrap());
    assert_eq!(out, bytes, "{name}");
    assert_eq!(serde.deserialize(Some(&bytes)).unwrap(), value, "{name}");
    for cut in 5..bytes.len() {
        let error = serde.deserialize(Some(&bytes[..cut])).unwrap_err();
        assert_eq!(error.kind(), SerdeErrorKind::Record, "{name} cut at {cut}: {error}");
    }
    let long = [&bytes[..], &[0]].concat();
    assert!(serde.deserialize(Some(&long)).unwrap_err().to_string().contains("1 bytes are left"), "{name}");
}

#[test]
fn avro_is_javas() {
    let plain =
        Order { id: "a".to_owned(), cents: 1, note: None, tags: Vec::new(), state: State::Open, weight: 0.5 };
    both_ways("avro-plain", ORDER, plain);
    let full = Order {
        id: "größer".to_owned(),
        cents: -123_456_789_012,
        note: Some("x".to_owned()),
        tags: ["p", "", "q"].map(str::to_owned).to_vec(),
        state: State::Paid,
        weight: -1e300,
    };
    both_ways("avro-full", ORDER, full);
    both_ways("avro-string", r#""string""#, "hé".to_owned());
    both_ways("avro-long", r#""long""#, i64::MIN);
}

#[test]
fn message_indexes_are_confluents() {
    for (name, bytes) in golden() {
        let Some(index) = name.strip_prefix("index-") else { continue };
        let index: Vec<i32> = index.split(',').map(|part| part.parse().unwrap()).collect();
        let mut out = Vec::new();
        wire::write_message_index(&index, &mut out);
        assert_eq!(out, bytes, "{name}");
        let data = [&bytes[..], b"data"].concat();
        assert_eq!(wire::read_message_index(&data), Some((index, &b"data"[..])), "{name}");
    }
}

#[test]
fn damaged_frames_are_named_and_ask_for_no_memory() {
    let found = |bytes: &[u8]| wire::read_frame(bytes).unwrap_err().to_string();
    assert!(found(b"{\"id\":1}").contains("the first byte is 123, not 0"));
    assert!(found(&[0, 0, 0]).contains("3 bytes only"));
    assert!(found(&[]).contains("no bytes at all"));
    // A count of 2^62, a negative one, a negative part, an index that ends too early.
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for damaged in [&huge[..], &[1], &[2, 1], &[4, 2], &[0x80], &[]] {
        assert_eq!(wire::read_message_index(damaged), None, "{damaged:?}");
    }
}
