//! Values of rows: with timestamp, with headers, with all their versions.

use serde_json::Value;
use streams_state::format::aggregation_with_headers::AggregationWithHeaders;
use streams_state::format::changelog_value::{RowForm, to_row};
use streams_state::format::headers as headers_format;
use streams_state::format::segment_interval;
use streams_state::format::value_and_timestamp::ValueAndTimestamp;
use streams_state::format::value_timestamp_headers::ValueTimestampHeaders;
use streams_state::format::versioned_row::{LatestValue, SegmentRow};

use crate::tally::{Verdict, equal};
use crate::vectors::{
    bytes, equal_bytes, equal_or_refused, flag, headers, hex, number, optional_bytes, optional_hex, written,
};

pub(super) fn value_and_timestamp(vector: &Value) -> Verdict {
    let Some(value) = optional_bytes(vector, "value_hex") else {
        // No value, no row.
        return equal_bytes(vector, "hex", None);
    };
    let row = ValueAndTimestamp { timestamp: number(vector, "ts"), value: &value };
    equal("hex", vector["hex"].as_str().unwrap().to_owned(), written(|out| row.encode(out)))?;
    equal("read", Ok(row), ValueAndTimestamp::decode(&bytes(vector, "hex")))
}

pub(super) fn values_same_and_time_increasing(vector: &Value) -> Verdict {
    let (old, new) = (bytes(vector, "old_hex"), bytes(vector, "new_hex"));
    let read = |row| ValueAndTimestamp::decode(row).unwrap();
    let skip = read(&old).same_value_and_time_increasing(&read(&new));
    equal("skip", flag(vector, "skip_as_unchanged"), skip)
}

pub(super) fn value_timestamp_headers(vector: &Value) -> Verdict {
    let value = bytes(vector, "value_hex");
    let row = ValueTimestampHeaders {
        timestamp: number(vector, "ts"),
        headers: headers(&vector["headers"]),
        value: &value,
    };
    let mut out = Vec::new();
    row.encode(&mut out);
    equal_or_refused(vector, "hex", Ok::<_, String>(Some(out)))?;
    equal("read", Ok(row), ValueTimestampHeaders::decode(&bytes(vector, "hex")))
}

pub(super) fn aggregation_with_headers(vector: &Value) -> Verdict {
    let aggregate = bytes(vector, "aggregate_hex");
    let row = AggregationWithHeaders { headers: headers(&vector["headers"]), aggregate: &aggregate };
    let mut out = Vec::new();
    row.encode(&mut out);
    equal_or_refused(vector, "hex", Ok::<_, String>(Some(out)))?;
    equal("read", Ok(row), AggregationWithHeaders::decode(&bytes(vector, "hex")))
}

pub(super) fn headers_blob(vector: &Value) -> Verdict {
    let list = headers(&vector["headers"]);
    let blob = written(|out| headers_format::encode(&list, out));
    equal("hex", vector["hex"].as_str().unwrap().to_owned(), blob)?;
    equal("read", Ok(list), headers_format::decode(&bytes(vector, "hex")))
}

pub(super) fn changelog_to_store_value(vector: &Value) -> Verdict {
    let value = optional_bytes(vector, "value_hex");
    let record_headers = headers(&vector["headers"]);
    for (field, form) in [
        ("identity", RowForm::Plain),
        ("timestamped", RowForm::Timestamped),
        ("headers_value", RowForm::Headers),
        ("session_headers_value", RowForm::SessionHeaders),
    ] {
        let row = to_row(form, value.as_deref(), number(vector, "ts"), &record_headers);
        equal_bytes(vector, field, row.as_deref())?;
    }
    Ok(())
}

pub(super) fn versioned_latest_value(vector: &Value) -> Verdict {
    let value = bytes(vector, "value_hex");
    let row = LatestValue { timestamp: number(vector, "ts"), value: &value };
    equal("hex", vector["hex"].as_str().unwrap().to_owned(), written(|out| row.encode(out)))?;
    equal("read", Ok(row), LatestValue::decode(&bytes(vector, "hex")))
}

pub(super) fn versioned_segment_row(vector: &Value) -> Verdict {
    let mut row: Option<SegmentRow> = None;
    for op in vector["ops"].as_array().unwrap() {
        let value = optional_bytes(op, "value_hex");
        let start = op["ts"].as_i64();
        let end = op["next_ts"].as_i64();
        match (op["op"].as_str().unwrap(), &mut row) {
            ("new", row) => *row = Some(SegmentRow::new(value, start.unwrap(), end.unwrap())),
            ("insert_as_latest", Some(row)) => row.insert_as_latest(start.unwrap(), end.unwrap(), value),
            ("insert_as_earliest", Some(row)) => row.insert_as_earliest(start.unwrap(), value),
            // Java refused the next operation; what stood before it is the row.
            ("stopped", Some(_)) => break,
            (other, _) => panic!("operation {other}"),
        }
        let got = written(|out| row.iter().for_each(|row| row.encode(out)));
        equal("row after an operation", op["row_hex"].as_str().unwrap().to_owned(), got)?;
    }
    let stored = bytes(vector, "row_hex");
    let read = SegmentRow::decode(&stored).unwrap();
    equal("row read", row, Some(read.clone()))?;
    equal("row", hex(&stored), written(|out| read.encode(out)))?;
    equal("min_ts", number(vector, "min_ts"), read.min_timestamp())?;
    equal("next_ts", number(vector, "next_ts"), read.next_timestamp())?;
    for find in vector["find"].as_array().unwrap() {
        let got = read.find(number(find, "ts"));
        if find["error"].is_string() {
            equal("find", None, got)?;
            continue;
        }
        let got = got.map(|found| {
            let at = i64::try_from(found.index).unwrap();
            (at, found.valid_from, found.valid_to, optional_hex(found.value))
        });
        let value = find["value_hex"].as_str().map(str::to_owned);
        let expected = (number(find, "index"), number(find, "valid_from"), number(find, "valid_to"), value);
        equal("find", Some(expected), got)?;
    }
    Ok(())
}

pub(super) fn versioned_segment_interval(vector: &Value) -> Verdict {
    let interval = segment_interval::versioned_segment_interval(number(vector, "history_retention_ms"));
    equal("interval", number(vector, "segment_interval_ms"), interval)
}
