//! Whether one JSON Schema reads what another writes: Confluent's rules, of those about types, properties, items and enums.
//!
//! In: two texts. Out: the first thing that does not fit, or that these rules do not know: they never say yes to what they have
//! not understood.

use serde_json::{Map, Value, json};

/// What says nothing about which values are valid.
const ANNOTATIONS: [&str; 11] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "javaType",
];
/// What the rules know.
const KNOWN: [&str; 10] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "$ref",
    "$defs",
    "definitions",
];
/// Schemas inside of schemas that are followed.
const DEPTH_MAX: usize = 32;

pub(super) fn can_read(reader: &str, writer: &str) -> Result<(), String> {
    let parse = |text| serde_json::from_str(text).map_err(|error: serde_json::Error| error.to_string());
    let (reader, writer): (Value, Value) = (parse(reader)?, parse(writer)?);
    Rules { reader: &reader, writer: &writer }.fits(&reader, &writer, "", 0)
}

struct Rules<'a> {
    reader: &'a Value,
    writer: &'a Value,
}

impl Rules<'_> {
    fn fits(&self, reader: &Value, writer: &Value, place: &str, depth: usize) -> Result<(), String> {
        let (reader, writer) = (followed(self.reader, reader), followed(self.writer, writer));
        // The rest of a schema that contains itself is the same again.
        if reader == writer && depth > 0 || depth > DEPTH_MAX {
            return Ok(());
        }
        let place_words = if place.is_empty() { "the root" } else { place };
        let (reader, writer) = match (reader, writer) {
            (Value::Bool(true), _) | (_, Value::Bool(false)) => return Ok(()),
            (Value::Object(reader), Value::Object(writer)) => (reader, writer),
            (Value::Object(reader), Value::Bool(true)) if reader.is_empty() => return Ok(()),
            _ => return Err(format!("{place_words} takes fewer values")),
        };
        types(reader, writer, place_words)?;
        enums(reader, writer, place_words)?;
        self.properties(reader, writer, place, depth)?;
        match (reader.get("items"), writer.get("items")) {
            (None, _) => {}
            (Some(read), written) => {
                let any = Value::Bool(true);
                self.fits(read, written.unwrap_or(&any), &format!("{place}/items"), depth + 1)?;
            }
        }
        for key in reader.keys().chain(writer.keys()) {
            let known = ANNOTATIONS.contains(&key.as_str()) || KNOWN.contains(&key.as_str());
            if !known && reader.get(key) != writer.get(key) && reader.contains_key(key) {
                return Err(format!("`{key}` of {place_words} differs, of which nothing is known here"));
            }
        }
        Ok(())
    }

    fn properties(
        &self,
        reader: &Map<String, Value>,
        writer: &Map<String, Value>,
        place: &str,
        depth: usize,
    ) -> Result<(), String> {
        let any = Value::Bool(true);
        let none = Map::new();
        let of = |schema: &Map<String, Value>| schema.get("properties").and_then(Value::as_object).cloned();
        let (read, written) = (of(reader).unwrap_or(none.clone()), of(writer).unwrap_or(none));
        let (read_rest, written_rest) = (rest(reader), rest(writer));
        for (name, schema) in &read {
            // A property that the writer does not name may be anything that it lets through.
            let theirs = written.get(name).unwrap_or(written_rest.unwrap_or(&any));
            self.fits(schema, theirs, &format!("{place}/properties/{name}"), depth + 1)?;
        }
        for (name, schema) in written.iter().filter(|(name, _)| !read.contains_key(*name)) {
            let ours = read_rest.unwrap_or(&any);
            self.fits(ours, schema, &format!("{place}/properties/{name}"), depth + 1)?;
        }
        let rest_place = format!("{place}/additionalProperties");
        self.fits(read_rest.unwrap_or(&any), written_rest.unwrap_or(&any), &rest_place, depth + 1)?;
        let required = |schema: &Map<String, Value>| -> Vec<String> {
            let names = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let written = required(writer);
        match required(reader).into_iter().find(|name| !written.contains(name)) {
            Some(name) => Err(format!("{place}/properties/{name} is required and may be missing")),
            None => Ok(()),
        }
    }
}

fn rest(schema: &Map<String, Value>) -> Option<&Value> {
    schema.get("additionalProperties")
}

/// The schema that a `$ref` inside of the same document means.
fn followed<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn types(reader: &Map<String, Value>, writer: &Map<String, Value>, place: &str) -> Result<(), String> {
    let list = |schema: &Map<String, Value>| match schema.get("type") {
        Some(Value::Array(types)) => Some(types.clone()),
        Some(other) => Some(vec![other.clone()]),
        None => None,
    };
    let Some(read) = list(reader) else { return Ok(()) };
    let Some(written) = list(writer) else {
        return Err(format!("{place} has the type {}, and may be of any", json!(read)));
    };
    let takes = |kind: &Value| read.contains(kind) || (*kind == "integer" && read.contains(&json!("number")));
    match written.iter().find(|kind| !takes(kind)) {
        Some(kind) => Err(format!("{place} does not take the type {kind}")),
        None => Ok(()),
    }
}

fn enums(reader: &Map<String, Value>, writer: &Map<String, Value>, place: &str) -> Result<(), String> {
    let list = |schema: &Map<String, Value>| match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => Some(values.clone()),
        (_, Some(value)) => Some(vec![value.clone()]),
        _ => None,
    };
    let Some(read) = list(reader) else { return Ok(()) };
    let Some(written) = list(writer) else { return Err(format!("{place} takes some values only")) };
    match written.iter().find(|value| !read.contains(value)) {
        Some(value) => Err(format!("{place} does not take {value}")),
        None => Ok(()),
    }
}
