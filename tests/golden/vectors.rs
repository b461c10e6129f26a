//! Reads golden files: hexadecimal text, numbers, headers, and what Kafka Streams answers with an error.

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use streams_core::types::{Header, Headers};

use crate::tally::{Difference, Tally, Verdict, equal};

/// `name.json` or `name.json.gz` of a folder, if it is there.
pub(crate) fn file(folder: &Path, name: &str) -> Result<Option<Value>, String> {
    let plain = folder.join(format!("{name}.json"));
    let packed = folder.join(format!("{name}.json.gz"));
    let fail = |path: &Path, error: &dyn Display| format!("{}: {error}", path.display());
    let mut text = String::new();
    let path = if plain.exists() {
        text = std::fs::read_to_string(&plain).map_err(|error| fail(&plain, &error))?;
        plain
    } else if packed.exists() {
        let file = std::fs::File::open(&packed).map_err(|error| fail(&packed, &error))?;
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .map_err(|error| fail(&packed, &error))?;
        packed
    } else {
        return Ok(None);
    };
    serde_json::from_str(&text).map(Some).map_err(|error| fail(&path, &error))
}

/// The lists of a file, with their names; what a file says about itself is left out.
pub(crate) fn lists(file: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let about = ["kafka_version", "set", "about"];
    let entries = file.as_object().into_iter().flatten();
    entries.map(|(name, list)| (name.as_str(), list)).filter(move |(name, _)| !about.contains(name))
}

/// Judges each vector of a list.
pub(crate) fn each(tally: &mut Tally, name: &str, list: &Value, judge: fn(&Value) -> Verdict) {
    for (index, vector) in list.as_array().unwrap().iter().enumerate() {
        tally.vector(name, index, || judge(vector));
    }
}

/// A list that no judge knows counts as one vector that differs.
pub(crate) fn unknown_list(tally: &mut Tally, name: &str) {
    tally.vector(name, 0, || {
        let expected = "a list that is known".to_owned();
        Err(Difference { what: "list".to_owned(), expected, got: "no judge for it".to_owned() })
    });
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn optional_hex(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(hex)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Bytes of a field; `None` is null.
pub(crate) fn optional_bytes(vector: &Value, field: &str) -> Option<Vec<u8>> {
    vector[field].as_str().map(unhex)
}

/// Bytes of a field that must be there.
pub(crate) fn bytes(vector: &Value, field: &str) -> Vec<u8> {
    optional_bytes(vector, field).unwrap_or_else(|| panic!("no `{field}` in {vector}"))
}

pub(crate) fn number(vector: &Value, field: &str) -> i64 {
    vector[field].as_i64().unwrap_or_else(|| panic!("no number `{field}` in {vector}"))
}

pub(crate) fn number_i32(vector: &Value, field: &str) -> i32 {
    i32::try_from(number(vector, field)).unwrap()
}

pub(crate) fn flag(vector: &Value, field: &str) -> bool {
    vector[field].as_bool().unwrap_or_else(|| panic!("no flag `{field}` in {vector}"))
}

pub(crate) fn headers(list: &Value) -> Headers {
    let header = |header: &Value| Header {
        key: header["key"].as_str().unwrap().to_owned(),
        value: optional_bytes(header, "value_hex"),
    };
    list.as_array().unwrap().iter().map(header).collect()
}

/// What `write` appends, as hexadecimal text.
pub(crate) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    hex(&out)
}

/// Compares bytes, or null, with a field.
pub(crate) fn equal_bytes(vector: &Value, field: &str, got: Option<&[u8]>) -> Verdict {
    equal(field, vector[field].as_str().map(str::to_owned), optional_hex(got))
}

/// Compares what was written, or refused, with a field that holds hexadecimal text or `error:Class`.
pub(crate) fn equal_or_refused<E: Display>(
    vector: &Value,
    field: &str,
    got: Result<Option<Vec<u8>>, E>,
) -> Verdict {
    match (vector[field].as_str(), got) {
        (Some(text), Err(_)) if text.starts_with("error:") => Ok(()),
        (expected, Ok(got)) => equal(field, expected.map(str::to_owned), optional_hex(got.as_deref())),
        (expected, Err(error)) => equal(field, format!("{expected:?}"), format!("error: {error}")),
    }
}

/// What a decoder gave, where Kafka Streams may refuse the bytes: `Some` if both read them.
pub(crate) fn read_or_refused<T, E: Display>(
    vector: &Value,
    got: Result<T, E>,
    show: impl FnOnce(&T) -> String,
) -> Result<Option<T>, Difference> {
    match (vector["error"].as_str(), got) {
        (Some(_), Err(_)) => Ok(None),
        (None, Ok(value)) => Ok(Some(value)),
        (Some(class), Ok(value)) => {
            Err(Difference { what: "reading".to_owned(), expected: class.to_owned(), got: show(&value) })
        }
        (None, Err(error)) => Err(Difference {
            what: "reading".to_owned(),
            expected: vector.to_string(),
            got: format!("error: {error}"),
        }),
    }
}
