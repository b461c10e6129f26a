//! Reads the recorded topologies.

use std::io::Read;

use serde_json::Value;

/// `application.id` of the recordings.
pub(crate) const APPLICATION: &str = "app";

/// All recorded topologies.
pub(crate) fn topologies() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/describe.json.gz");
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut golden: Value = serde_json::from_str(&text).unwrap();
    match golden["topologies"].take() {
        Value::Array(topologies) => topologies,
        other => panic!("no list of topologies: {other}"),
    }
}

/// The strings of a JSON list.
pub(crate) fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// The entries of a JSON object.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}
