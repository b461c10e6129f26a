//! `offset_metadata.json`: the text beside committed offsets. What Kafka Streams writes, what it makes of old,
//! foreign and broken text, and how it merges.

use std::collections::BTreeMap;

use serde_json::Value;
use streams_core::task::{OffsetMetadata, ProcessorMetadata};

use crate::tally::{Tally, Verdict, equal};
use crate::vectors::{each, lists, number, unknown_list};

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match name {
            "encode" => each(tally, name, list, encode),
            "decode" => each(tally, name, list, decode),
            "merge" => each(tally, name, list, merge),
            other => unknown_list(tally, other),
        }
    }
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

fn encode(vector: &Value) -> Verdict {
    let values = entries(&vector["processor_metadata"]);
    let order = vector["entry_order"].as_array().unwrap().iter();
    let ordered = order.map(|store| {
        let store = store.as_str().unwrap();
        (store.to_owned(), values[store])
    });
    let partition_time = number(vector, "partition_time");
    let text = OffsetMetadata { partition_time, processor: metadata(ordered) }.encode();
    equal("base64", vector["base64"].as_str().unwrap().to_owned(), text.clone())?;
    let read = OffsetMetadata::decode(&text);
    equal("read", (partition_time, values), (read.partition_time, kept(&read.processor)))
}

fn decode(vector: &Value) -> Verdict {
    let read = OffsetMetadata::decode(vector["base64"].as_str().unwrap());
    let expected = (number(vector, "partition_time"), entries(&vector["processor_metadata"]));
    equal("read", expected, (read.partition_time, kept(&read.processor)))?;
    equal("changed, though committed already", false, read.processor.changed())
}

fn merge(vector: &Value) -> Verdict {
    let mut merged = metadata(entries(&vector["left"]));
    merged.merge(&metadata(entries(&vector["right"])));
    equal("merged", entries(&vector["merged"]), kept(&merged))
}
