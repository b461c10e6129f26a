//! Suppress buffers: values, changelog records, and how older versions wrote them.

use serde_json::Value;
use streams_core::types::Headers;
use streams_state::format::buffer_value::{BufferValue, VERSION_HEADER};
use streams_state::format::record_context::ProcessorRecordContext;

use crate::tally::{Verdict, equal};
use crate::vectors::{
    bytes, equal_bytes, headers, number, number_i32, optional_bytes, read_or_refused, unhex, written,
};

fn context(fields: &Value) -> ProcessorRecordContext {
    ProcessorRecordContext {
        topic: fields["topic"].as_str().unwrap().into(),
        partition: number_i32(fields, "partition"),
        offset: number(fields, "offset"),
        timestamp: number(fields, "ts"),
        headers: fields.get("headers").map_or(Headers::EMPTY, headers),
    }
}

pub(super) fn record_context(vector: &Value) -> Verdict {
    let context = context(vector);
    equal("hex", vector["hex"].as_str().unwrap().to_owned(), written(|out| context.encode(out)))?;
    equal("read", Ok(&context), ProcessorRecordContext::decode(&bytes(vector, "hex")).as_ref())?;
    let resident = u64::try_from(number(vector, "resident_size_estimate")).unwrap();
    equal("resident size", resident, context.resident_bytes())
}

pub(super) fn buffer_value(vector: &Value) -> Verdict {
    let [prior, old, new] = ["prior_hex", "old_hex", "new_hex"].map(|field| optional_bytes(vector, field));
    let value = BufferValue {
        context: context(&vector["context"]),
        prior: prior.as_deref(),
        old: old.as_deref(),
        new: new.as_deref(),
    };
    let time = number(vector, "buffer_time");
    let text = |field: &str| vector[field].as_str().unwrap().to_owned();
    equal("value", text("buffer_value_hex"), written(|out| value.encode(out)))?;
    equal("changelog", text("changelog_value_hex"), written(|out| value.encode_changelog(time, out)))?;
    equal(
        "version",
        text("changelog_header_v"),
        format!("{:02x}", streams_state::format::buffer_value::VERSION),
    )?;
    let resident = u64::try_from(number(vector, "resident_size_estimate")).unwrap();
    equal("resident size", resident, value.resident_bytes())?;
    let stored = bytes(vector, "buffer_value_hex");
    equal("read", Ok(&value), BufferValue::decode(&stored).as_ref())?;
    let stored = bytes(vector, "changelog_value_hex");
    equal("changelog read", Ok((time, value)), BufferValue::decode_changelog(&stored))
}

pub(super) fn changelog_decode(vector: &Value) -> Verdict {
    let stored = bytes(vector, "value_hex");
    let previous = optional_bytes(vector, "previous_buffered_hex");
    let mut record_headers = Headers::EMPTY;
    if let Some(version) = vector["header_v"].as_str() {
        record_headers.add(VERSION_HEADER, Some(unhex(version)));
    }
    let record = || context(&vector["record"]);
    let read = BufferValue::decode_any_changelog(&record_headers, &stored, record, previous.as_deref());
    let Some((time, value)) = read_or_refused(vector, read, |read| format!("{read:?}"))? else {
        return Ok(());
    };
    equal("time", number(vector, "time"), time)?;
    equal_bytes(vector, "prior_hex", value.prior)?;
    equal_bytes(vector, "old_hex", value.old)?;
    equal_bytes(vector, "new_hex", value.new)?;
    equal("context", context(&vector["context"]), value.context)
}
