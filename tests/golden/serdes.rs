//! `serdes.json`: values of Java's serdes to bytes and back, and what each makes of bytes that others wrote.

use std::sync::Arc;

use serde_json::{Value, json};
use streams_core::serdes::{
    BooleanSerde, ByteArraySerde, Charset, DoubleSerde, FloatSerde, IntegerSerde, ListSerde, LongSerde,
    Serde, SerdeError, SerdeRef, SessionWindowedSerde, ShortSerde, StringSerde, TimeWindowedSerde, UuidSerde,
    VoidSerde,
};
use streams_core::types::{Window, Windowed};

use crate::tally::{Difference, Tally, Verdict, equal};
use crate::vectors::{bytes, equal_bytes, hex, lists, number, optional_bytes, unhex, unknown_list};

/// A value as the file writes it.
trait Golden: Sized + 'static {
    fn from_json(value: &Value) -> Self;
    fn to_json(&self) -> Value;
}

macro_rules! plain {
    ($($type:ty, $read:expr;)*) => {$(
        impl Golden for $type {
            fn from_json(value: &Value) -> Self {
                let read: fn(&Value) -> Option<$type> = $read;
                read(value).unwrap_or_else(|| panic!("not a {}: {value}", stringify!($type)))
            }
            fn to_json(&self) -> Value {
                json!(self)
            }
        }
    )*};
}
plain! {
    String, |value| value.as_str().map(str::to_owned);
    bool, Value::as_bool;
    i64, Value::as_i64;
    i32, |value| value.as_i64()?.try_into().ok();
    i16, |value| value.as_i64()?.try_into().ok();
}

impl Golden for f32 {
    fn from_json(value: &Value) -> Self {
        f32::from_be_bytes(bytes(value, "f32_bits").try_into().unwrap())
    }
    fn to_json(&self) -> Value {
        json!({ "f32_bits": hex(&self.to_be_bytes()) })
    }
}

impl Golden for f64 {
    fn from_json(value: &Value) -> Self {
        f64::from_be_bytes(bytes(value, "f64_bits").try_into().unwrap())
    }
    fn to_json(&self) -> Value {
        json!({ "f64_bits": hex(&self.to_be_bytes()) })
    }
}

impl Golden for uuid::Uuid {
    fn from_json(value: &Value) -> Self {
        value.as_str().unwrap().parse().unwrap()
    }
    fn to_json(&self) -> Value {
        json!(self.to_string())
    }
}

/// Byte arrays.
impl Golden for Vec<u8> {
    fn from_json(value: &Value) -> Self {
        bytes(value, "bytes")
    }
    fn to_json(&self) -> Value {
        json!({ "bytes": hex(self) })
    }
}

impl<T: Golden> Golden for Vec<Option<T>> {
    fn from_json(value: &Value) -> Self {
        value.as_array().unwrap().iter().map(Golden::from_json).collect()
    }
    fn to_json(&self) -> Value {
        self.iter().map(Golden::to_json).collect()
    }
}

impl<T: Golden> Golden for Option<T> {
    fn from_json(value: &Value) -> Self {
        (!value.is_null()).then(|| T::from_json(value))
    }
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }
}

impl<K: Golden> Golden for Windowed<K> {
    fn from_json(value: &Value) -> Self {
        let window = Window { start: number(value, "start"), end: number(value, "end") };
        Self { key: K::from_json(&value["key"]), window }
    }
    fn to_json(&self) -> Value {
        json!({ "key": self.key.to_json(), "start": self.window.start, "end": self.window.end })
    }
}

impl Golden for () {
    fn from_json(value: &Value) -> Self {
        assert!(value.is_null());
    }
    fn to_json(&self) -> Value {
        Value::Null
    }
}

pub(crate) fn judge(file: &Value, tally: &mut Tally) {
    for (name, list) in lists(file) {
        match name {
            "groups" => list.as_array().unwrap().iter().for_each(|group| judge_group(group, tally)),
            other => unknown_list(tally, other),
        }
    }
}

fn judge_group(group: &Value, tally: &mut Tally) {
    let name = group["serde"].as_str().unwrap();
    let bare = name.split_once(':').map_or(name, |(bare, _)| bare);
    match bare {
        // A value that is not null: the type `()` has none.
        "Void" if name == "Void:nonnull" => each(tally, name, group, |_| Ok(())),
        "Void" => values::<()>(tally, name, group, &VoidSerde),
        "ByteBuffer" => each(tally, name, group, byte_buffer),
        "String" => {
            let charset = name.split_once(':').map_or("UTF-8", |(_, charset)| charset);
            let charset = Charset::from_name(charset).unwrap_or_else(|| panic!("charset {charset}"));
            values::<Option<String>>(tally, name, group, &StringSerde::with_charset(charset));
        }
        "Long" => values::<Option<i64>>(tally, name, group, &LongSerde),
        "Integer" => values::<Option<i32>>(tally, name, group, &IntegerSerde),
        "Short" => values::<Option<i16>>(tally, name, group, &ShortSerde),
        "Float" => values::<Option<f32>>(tally, name, group, &FloatSerde),
        "Double" => values::<Option<f64>>(tally, name, group, &DoubleSerde),
        "Boolean" => values::<Option<bool>>(tally, name, group, &BooleanSerde),
        "ByteArray" | "Bytes" => values::<Option<Vec<u8>>>(tally, name, group, &ByteArraySerde),
        "UUID" => values::<Option<uuid::Uuid>>(tally, name, group, &UuidSerde),
        "List<Integer>" => list::<i32>(tally, group, IntegerSerde),
        "List<Long>" => list::<i64>(tally, group, LongSerde),
        "List<Short>" => list::<i16>(tally, group, ShortSerde),
        "List<Float>" => list::<f32>(tally, group, FloatSerde),
        "List<Double>" => list::<f64>(tally, group, DoubleSerde),
        "List<String>" => list::<String>(tally, group, StringSerde::default()),
        "List<UUID>" => list::<uuid::Uuid>(tally, group, UuidSerde),
        "List<Bytes>" | "List<ByteArray>" => list::<Vec<u8>>(tally, group, ByteArraySerde),
        "List<Boolean>" => list::<bool>(tally, group, BooleanSerde),
        "List<List<Integer>>" => list::<Vec<Option<i32>>>(tally, group, ListSerde::new(IntegerSerde)),
        _ => windowed(tally, group, name, bare),
    }
}

fn windowed(tally: &mut Tally, group: &Value, name: &str, bare: &str) {
    match bare.split_once('<').map(|(kind, key)| (kind, key.trim_end_matches('>'))) {
        Some((kind, "String")) => {
            windowed_key::<String>(tally, group, kind, Arc::new(StringSerde::default()))
        }
        Some((kind, "Long")) => windowed_key::<i64>(tally, group, kind, Arc::new(LongSerde)),
        Some((kind, "Bytes")) => windowed_key::<Vec<u8>>(tally, group, kind, Arc::new(ByteArraySerde)),
        _ => unknown_list(tally, name),
    }
}

fn windowed_key<K: Golden>(tally: &mut Tally, group: &Value, kind: &str, inner: SerdeRef<K>) {
    let name = group["serde"].as_str().unwrap();
    if kind == "SessionWindowed" {
        return values::<Option<Windowed<K>>>(tally, name, group, &SessionWindowedSerde::new(inner));
    }
    let size = name.split_once("window_size=").and_then(|(_, size)| size.parse().ok());
    let serde = match size {
        Some(size) => TimeWindowedSerde::new(inner, size),
        None => TimeWindowedSerde::write_only(inner),
    };
    values::<Option<Windowed<K>>>(tally, name, group, &serde.for_changelog(name.contains(":changelog")));
}

fn list<T: Golden>(tally: &mut Tally, group: &Value, inner: impl Serde<Option<T>>) {
    let name = group["serde"].as_str().unwrap();
    values::<Option<Vec<Option<T>>>>(tally, name, group, &ListSerde::new(inner));
}

fn each(tally: &mut Tally, name: &str, group: &Value, judge: fn(&Value) -> Verdict) {
    for part in ["encode", "decode"] {
        for (index, vector) in group[part].as_array().into_iter().flatten().enumerate() {
            tally.vector(&format!("{name}.{part}"), index, || judge(vector));
        }
    }
}

fn values<T: Golden>(tally: &mut Tally, name: &str, group: &Value, serde: &dyn Serde<T>) {
    for (index, vector) in group["encode"].as_array().into_iter().flatten().enumerate() {
        tally.vector(&format!("{name}.encode"), index, || encode(vector, serde));
    }
    for (index, vector) in group["decode"].as_array().into_iter().flatten().enumerate() {
        tally.vector(&format!("{name}.decode"), index, || {
            decode(vector, serde.deserialize(optional_bytes(vector, "hex").as_deref()))
        });
    }
}

/// The bytes must be Java's, and must be read as by Java. Where Java cannot read what it wrote (a list that ends with
/// an empty element), reading the value is allowed.
fn encode<T: Golden>(vector: &Value, serde: &dyn Serde<T>) -> Verdict {
    let mut out = Vec::new();
    let present = match serde.serialize(&T::from_json(&vector["value"]), &mut out) {
        Ok(present) => present,
        Err(error) => return equal("bytes", vector["hex"].to_string(), format!("error: {error}")),
    };
    equal_bytes(vector, "hex", present.then_some(&out))?;
    let read = serde.deserialize(present.then_some(&out));
    match read {
        Ok(value) if vector["error"].is_string() => {
            equal("value read back", without_text(&vector["value"]), value.to_json())
        }
        read => decode(vector, read),
    }
}

fn decode<T: Golden>(vector: &Value, read: Result<T, SerdeError>) -> Verdict {
    match (vector["error"].as_str(), read) {
        (Some(_), Err(_)) => Ok(()),
        (Some(class), Ok(value)) => equal("reading", class.to_owned(), value.to_json().to_string()),
        (None, Ok(value)) => equal("decoded", without_text(&vector["decoded"]), value.to_json()),
        (None, Err(error)) => {
            let expected = vector["decoded"].to_string();
            Err(Difference { what: "decoded".to_owned(), expected, got: format!("error: {error}") })
        }
    }
}

/// A value without the decimal text beside the bits of a number.
fn without_text(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(without_text).collect(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "text")
            .map(|(k, v)| (k.clone(), without_text(v)))
            .collect(),
        other => other.clone(),
    }
}

/// Java writes a buffer from its start to its limit, wherever its position is: here a slice.
fn byte_buffer(vector: &Value) -> Verdict {
    let serde: &dyn Serde<Option<Vec<u8>>> = &ByteArraySerde;
    if vector.get("decoded").is_some() {
        return decode(vector, serde.deserialize(optional_bytes(vector, "hex").as_deref()));
    }
    let value = vector["array"].as_str().map(|array| {
        let size = |field| usize::try_from(number(vector, field)).unwrap();
        unhex(array)[size("array_offset")..][..size("limit")].to_vec()
    });
    let mut out = Vec::new();
    let present = serde.serialize(&value, &mut out).unwrap();
    equal_bytes(vector, "hex", present.then_some(&out))
}
