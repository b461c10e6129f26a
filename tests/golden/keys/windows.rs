//! Keys of windows and sessions, bounds of scans over them, lengths of segments.

use serde_json::Value;
use streams_core::types::Window;
use streams_state::format::range_bounds::{KeySchema, prefix_end};
use streams_state::format::segment_interval::window_segment_interval;
use streams_state::format::session_key;
use streams_state::format::window_key::{self, WindowKey};

use crate::tally::{Tally, Verdict, equal};
use crate::vectors::{bytes, equal_bytes, equal_or_refused, number, number_i32, optional_bytes, written};

pub(super) fn window_key(vector: &Value) -> Verdict {
    let key = bytes(vector, "key_hex");
    let row = WindowKey { key: &key, start: number(vector, "start"), sequence: number_i32(vector, "seq") };
    for (field, got) in [
        ("store_key", written(|out| row.encode(out))),
        ("time_first", written(|out| row.encode_time_first(out))),
        ("key_first", written(|out| row.encode_key_first(out))),
        // From the plain key: read, then written in the other order.
        ("time_first_from_plain", again(&bytes(vector, "store_key"), |row, out| row.encode_time_first(out))),
        ("key_first_from_plain", again(&bytes(vector, "store_key"), |row, out| row.encode_key_first(out))),
    ] {
        equal(field, vector[field].as_str().unwrap().to_owned(), got)?;
    }
    equal("read", Ok(row), WindowKey::decode(&bytes(vector, "store_key")))?;
    equal("read time first", Ok(row), WindowKey::decode_time_first(&bytes(vector, "time_first")))?;
    equal("read key first", Ok(row), WindowKey::decode_key_first(&bytes(vector, "key_first")))?;
    let window = window_key::time_window(row.start, number(vector, "window_size"));
    let decoded = &vector["decoded"];
    if decoded["error"].is_string() {
        return equal("window", true, window.is_err());
    }
    equal_bytes(decoded, "key_hex", Some(&key))?;
    let expected = Window { start: number(decoded, "start"), end: number(decoded, "end") };
    equal("window", Ok(expected), window)?;
    let topic_key = written(|out| window_key::encode_topic_key(&key, row.start, out));
    equal("topic_key", vector["topic_key"].as_str().unwrap().to_owned(), topic_key)?;
    equal(
        "read topic key",
        Ok((&key[..], row.start)),
        window_key::decode_topic_key(&bytes(vector, "topic_key")),
    )
}

fn again(store_key: &[u8], write: impl FnOnce(WindowKey<'_>, &mut Vec<u8>)) -> String {
    written(|out| write(WindowKey::decode(store_key).unwrap(), out))
}

pub(super) fn session_key(vector: &Value) -> Verdict {
    let key = bytes(vector, "key_hex");
    let window = Window { start: number(vector, "start"), end: number(vector, "end") };
    let plain = bytes(vector, "store_key");
    let (read_key, read_window) = session_key::decode(&plain).unwrap();
    for (field, got) in [
        ("store_key", written(|out| session_key::encode(&key, window, out))),
        ("time_first", written(|out| session_key::encode_time_first(&key, window, out))),
        ("key_first", written(|out| session_key::encode_key_first(&key, window, out))),
        (
            "time_first_window_part_from_plain",
            written(|out| session_key::encode_time_first(read_key, read_window, out)),
        ),
        ("key_first_from_plain", written(|out| session_key::encode_key_first(read_key, read_window, out))),
    ] {
        equal(field, vector[field].as_str().unwrap().to_owned(), got)?;
    }
    equal("read", (&key[..], window), (read_key, read_window))?;
    let expected = Ok((&key[..], window));
    equal("read time first", expected.clone(), session_key::decode_time_first(&bytes(vector, "time_first")))?;
    equal("read key first", expected, session_key::decode_key_first(&bytes(vector, "key_first")))
}

pub(super) fn range_bounds(schemas: &Value, tally: &mut Tally) {
    for (name, list) in schemas.as_object().unwrap() {
        let schema = match name.as_str() {
            "window" => KeySchema::Window,
            "session" => KeySchema::Session,
            "time_first_window" => KeySchema::TimeFirstWindow,
            "key_first_window" => KeySchema::KeyFirstWindow,
            "time_first_session" => KeySchema::TimeFirstSession,
            "key_first_session" => KeySchema::KeyFirstSession,
            other => {
                crate::vectors::unknown_list(tally, &format!("range_bounds.{other}"));
                continue;
            }
        };
        for (index, vector) in list.as_array().unwrap().iter().enumerate() {
            tally.vector(&format!("range_bounds.{name}"), index, || bounds(schema, vector));
        }
    }
}

fn bounds(schema: KeySchema, vector: &Value) -> Verdict {
    let key = optional_bytes(vector, "key_hex");
    let (from, to) = (number(vector, "from"), number(vector, "to"));
    equal_bytes(vector, "lower_range", schema.lower_range(key.as_deref(), from).as_deref())?;
    equal_bytes(vector, "upper_range", schema.upper_range(key.as_deref(), to).as_deref())?;
    let needs_a_key = |bound: Option<Vec<u8>>| bound.map(Some).ok_or("this order needs a key");
    let lower = needs_a_key(schema.lower_range_fixed(key.as_deref(), from));
    equal_or_refused(vector, "lower_range_fixed", lower)?;
    let upper = needs_a_key(schema.upper_range_fixed(key.as_deref(), to));
    equal_or_refused(vector, "upper_range_fixed", upper)
}

pub(super) fn prefix_scan_bound(vector: &Value) -> Verdict {
    equal_bytes(vector, "upper_exclusive", prefix_end(&bytes(vector, "prefix_hex")).as_deref())
}

pub(super) fn segment_interval(vector: &Value) -> Verdict {
    let interval = window_segment_interval(number(vector, "retention_ms"));
    equal("window", number(vector, "window_segment_interval_ms"), interval)?;
    equal("session", number(vector, "session_segment_interval_ms"), interval)
}
