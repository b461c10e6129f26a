//! Kafka Streams' byte layouts: `streams_state::format`, one decoder for each way to read one.

use streams_state::format::aggregation_with_headers::AggregationWithHeaders;
use streams_state::format::buffer_value::{BufferValue, VERSION_HEADER};
use streams_state::format::change::Change;
use streams_state::format::changelog_value::{RowForm, to_row};
use streams_state::format::combined_key::CombinedKey;
use streams_state::format::grace_buffer_key::GraceBufferKey;
use streams_state::format::left_or_right_value::LeftOrRightValue;
use streams_state::format::list::{self, Element, ElementSize};
use streams_state::format::position::Position;
use streams_state::format::range_bounds::{KeySchema, prefix_end};
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::format::retry_row::RetryRow;
use streams_state::format::subscription_response::SubscriptionResponse;
use streams_state::format::subscription_wrapper::SubscriptionWrapper;
use streams_state::format::timestamped_key_and_join_side::TimestampedKeyAndJoinSide;
use streams_state::format::value_and_timestamp::ValueAndTimestamp;
use streams_state::format::value_timestamp_headers::ValueTimestampHeaders;
use streams_state::format::versioned_row::SegmentRow;
use streams_state::format::window_key::{self, WindowKey};
use streams_state::format::{FormatError, headers, session_key};
use streams_state::types::Headers;

use crate::corpus::{Corpus, unhex};
use crate::decoder::{Decoder, Meter, Verdict, same_bytes, same_value};

/// Why rows with headers may hold more than others.
const HEADERS: &str = "a header of two bytes, no name and null, is 48 in memory";
const HEADERS_OF_CONTEXT: &str = "a header of eight bytes, no name and null, is 48 in memory";
const ELEMENTS: &str = "an element of four bytes, null, is 24 in memory";
/// Kafka's varint of 2^31-1, and i32 of the same.
const VARINT_MAX: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0x0f];
/// The varint of 1,000,000, and behind it that of 2^31-1: a row that says that most of it are very many headers.
const SIZED_VARINT_MAX: &[u8] = &[0x80, 0x89, 0x7a, 0xfe, 0xff, 0xff, 0xff, 0x0f];
const MAX: &[u8] = &[0x7f, 0xff, 0xff, 0xff];
/// A header without name, and null.
const HEADER_OF_CONTEXT: &[u8] = &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
const NULL: &[u8] = &[0xff; 4];

/// A decoder that borrows, and its encoder. `canonical`: there is one form for each value. `lenient`: more is read than is written.
macro_rules! layout {
    ($form:ident, $name:literal, $seeds:expr, $decode:expr, |$value:ident, $out:ident| $encode:expr) => {
        Decoder::new($name, $seeds, |input, meter| {
            let Ok($value) = meter.measure(|| $decode(input)) else { return Ok(false) };
            let mut $out = Vec::new();
            $encode;
            layout!(@$form input, &$out);
            let again = $decode(&$out).map_err(|error| format!("what was written is refused: {error}"))?;
            same_value(&$value, &again)?;
            Ok(true)
        })
    };
    (@canonical $input:expr, $out:expr) => {
        same_bytes($input, $out)?
    };
    (@lenient $input:expr, $out:expr) => {};
}

pub(crate) fn decoders(corpus: &Corpus) -> Vec<Decoder> {
    [rows(corpus), windows(corpus), joins(corpus), buffers(corpus)].into_iter().flatten().collect()
}

fn rows(corpus: &Corpus) -> Vec<Decoder> {
    let keys = |lists: &[&str]| corpus.keys(lists);
    let with_headers = keys(&["value_timestamp_headers", "aggregation_with_headers", "headers_blob"]);
    vec![
        layout!(
            canonical,
            "value_and_timestamp",
            keys(&["value_and_timestamp"]),
            ValueAndTimestamp::decode,
            |row, out| row.encode(&mut out)
        ),
        layout!(lenient, "headers", with_headers.clone(), headers::decode, |row, out| {
            headers::encode(&row, &mut out)
        })
        .holds(24, HEADERS)
        .worst(SIZED_VARINT_MAX, &[0, 1]),
        layout!(
            lenient,
            "value_timestamp_headers",
            with_headers.clone(),
            ValueTimestampHeaders::decode,
            |row, out| row.encode(&mut out)
        )
        .holds(24, HEADERS)
        .worst(SIZED_VARINT_MAX, &[0, 1]),
        layout!(
            lenient,
            "aggregation_with_headers",
            with_headers.clone(),
            AggregationWithHeaders::decode,
            |row, out| row.encode(&mut out)
        )
        .holds(24, HEADERS)
        .worst(SIZED_VARINT_MAX, &[0, 1]),
        Decoder::new("changelog_value, to the row of each form", with_headers, changelog_value)
            .holds(24, HEADERS)
            .worst(VARINT_MAX, &[0, 1]),
        layout!(
            canonical,
            "versioned_row, a segment",
            keys(&["versioned_segment_row", "versioned_latest_value"]),
            SegmentRow::decode,
            |row, out| {
                // What a store asks of a row that it has read.
                let _ = row.find(row.next_timestamp().wrapping_sub(1));
                row.encode(&mut out);
            }
        )
        // Very many deleted versions, and the oldest one.
        .worst_with(
            &[[0; 8], 7_i64.to_be_bytes()].concat(),
            &[&1_i64.to_be_bytes()[..], NULL].concat(),
            &[&7_i64.to_be_bytes()[..], NULL].concat(),
        ),
        layout!(lenient, "position", keys(&["position"]), Position::decode, |position, out| position
            .encode_as_array(&mut out))
        .holds(6, "a topic without name and partitions, 8 bytes, is 48 in memory")
        .worst(&[0, 0x7f, 0xff, 0xff, 0xff], &[0; 8]),
    ]
}

fn windows(corpus: &Corpus) -> Vec<Decoder> {
    let keys = || corpus.keys(&["window_keys", "session_keys"]);
    fn time_first(bytes: &[u8]) -> Result<(&[u8], streams_state::types::Window), FormatError> {
        session_key::decode_time_first(bytes)
    }
    vec![
        layout!(canonical, "window_key, store", keys(), WindowKey::decode, |key, out| key.encode(&mut out)),
        layout!(lenient, "window_key, time first", keys(), WindowKey::decode_time_first, |key, out| key
            .encode_time_first(&mut out)),
        layout!(lenient, "window_key, key first", keys(), WindowKey::decode_key_first, |key, out| key
            .encode_key_first(&mut out)),
        layout!(canonical, "window_key, topic", keys(), window_key::decode_topic_key, |key, out| {
            let _ = window_key::time_window(key.1, key.1);
            window_key::encode_topic_key(key.0, key.1, &mut out);
        }),
        layout!(
            canonical,
            "session_key, store",
            keys(),
            session_key::decode,
            |key, out| session_key::encode(key.0, key.1, &mut out)
        ),
        layout!(lenient, "session_key, time first", keys(), time_first, |key, out| {
            session_key::encode_time_first(key.0, key.1, &mut out)
        }),
        layout!(lenient, "session_key, key first", keys(), session_key::decode_key_first, |key, out| {
            session_key::encode_key_first(key.0, key.1, &mut out);
        }),
        Decoder::new("range_bounds", keys(), range_bounds),
    ]
}

fn joins(corpus: &Corpus) -> Vec<Decoder> {
    let keys = |lists: &[&str]| corpus.keys(lists);
    let lists = || [corpus.keys(&["outer_join_value_list"]), corpus.serdes("List")].concat();
    let changes = keys(&["change_encode", "change_decode"]);
    let subscriptions = keys(&["fk_subscription_wrapper", "fk_subscription_wrapper_decode"]);
    let responses = keys(&["fk_response_wrapper", "fk_response_wrapper_decode"]);
    vec![
        layout!(
            lenient,
            "timestamped_key_and_join_side",
            keys(&["timestamped_key_and_join_side"]),
            TimestampedKeyAndJoinSide::decode,
            |key, out| key.encode(&mut out)
        ),
        layout!(
            lenient,
            "left_or_right_value",
            keys(&["left_or_right_value"]),
            LeftOrRightValue::decode,
            |value, out| value.encode(&mut out)
        ),
        layout!(lenient, "list", lists(), list_of_any, |list, out| write_list(&list, None, &mut out))
            .holds(6, ELEMENTS)
            .worst(&[&[1], MAX].concat(), NULL),
        layout!(lenient, "list, elements of 4 bytes", lists(), list_of_four, |list, out| write_list(
            &list,
            Some(4),
            &mut out
        ))
        .holds(7, ELEMENTS)
        .worst(&[&[0, 0, 0, 0, 0], MAX].concat(), NULL),
        layout!(lenient, "list, elements of 0 bytes", lists(), list_of_nothing, |list, out| write_list(
            &list,
            Some(0),
            &mut out
        ))
        .holds(7, ELEMENTS)
        .worst(&[&[1], MAX].concat(), NULL),
        Decoder::new("change", changes, |input, meter| {
            let Ok(change) = meter.measure(|| Change::decode(input)) else { return Ok(false) };
            let mut out = Vec::new();
            change.encode(&mut out).map_err(|error| error.to_string())?;
            // Whether it is the latest is read, and never written.
            let again = Change::decode(&out).map_err(|error| error.to_string())?;
            same_value(&Change { is_latest: true, ..change }, &again)?;
            Ok(true)
        }),
        layout!(
            canonical,
            "subscription_wrapper",
            subscriptions,
            SubscriptionWrapper::decode,
            |value, out| value.encode(&mut out)
        ),
        layout!(canonical, "subscription_response", responses, SubscriptionResponse::decode, |value, out| {
            value.encode(&mut out)
        }),
        layout!(canonical, "combined_key", keys(&["fk_combined_key"]), CombinedKey::decode, |key, out| key
            .encode(&mut out)),
    ]
}

fn buffers(corpus: &Corpus) -> Vec<Decoder> {
    let values =
        || corpus.keys(&["suppress_buffer_value", "suppress_buffer_changelog_decode", "record_context"]);
    let grace = corpus.keys(&["stream_table_grace_buffer_key"]);
    vec![
        layout!(canonical, "grace_buffer_key", grace, GraceBufferKey::decode, |key, out| key
            .encode(&mut out)),
        layout!(lenient, "record_context", values(), ProcessorRecordContext::decode, |context, out| {
            context.resident_bytes();
            context.encode(&mut out);
        })
        .holds(6, HEADERS_OF_CONTEXT)
        .worst(&context_of_many_headers(), HEADER_OF_CONTEXT),
        layout!(lenient, "buffer_value", values(), BufferValue::decode, |value, out| {
            value.resident_bytes();
            value.encode(&mut out);
        })
        .holds(6, HEADERS_OF_CONTEXT)
        .worst(&context_of_many_headers(), HEADER_OF_CONTEXT),
        layout!(
            lenient,
            "buffer_value, changelog v3",
            values(),
            BufferValue::decode_changelog,
            |value, out| value.1.encode_changelog(value.0, &mut out)
        )
        .holds(6, HEADERS_OF_CONTEXT)
        .worst(&context_of_many_headers(), HEADER_OF_CONTEXT),
        Decoder::new("buffer_value, changelog v0 to v3", versions(corpus), changelog_of_any_version)
            .holds(6, HEADERS_OF_CONTEXT)
            .worst(&context_of_many_headers(), HEADER_OF_CONTEXT),
        layout!(lenient, "retry_row", retry_rows(), RetryRow::decode, |row, out| row.encode(&mut out))
            .holds(6, HEADERS_OF_CONTEXT)
            .worst(&context_of_many_headers(), HEADER_OF_CONTEXT),
    ]
}

/// No recorded ones: Kafka Streams has no such rows. With and without the source record.
fn retry_rows() -> Vec<Vec<u8>> {
    let rows = [None, Some((Some(&b"key"[..]), None))].map(|source| {
        let mut headers = Headers::EMPTY;
        headers.add("h", Some(vec![1]));
        let (topic, partition, offset, timestamp) = ("orders".into(), 1, 7, 5);
        let context = ProcessorRecordContext { topic, partition, offset, timestamp, headers };
        let mut bytes = Vec::new();
        RetryRow { context, tries: 2, key: None, value: Some(b"value"), source }.encode(&mut bytes);
        bytes
    });
    rows.to_vec()
}

/// A context up to its headers, of which it says that there are 2^31-1.
fn context_of_many_headers() -> Vec<u8> {
    [&[0; 24][..], MAX].concat()
}

/// Each form is read again as the parts that it was made of.
fn changelog_value(input: &[u8], meter: &mut Meter) -> Verdict {
    let (blob, value) = input.split_at(input.len() / 2);
    let headers = headers::decode(blob).unwrap_or_default();
    let timestamp = input.len() as i64;
    let row = |meter: &mut Meter, form| {
        meter.measure(|| to_row(form, Some(value), timestamp, &headers)).unwrap_or_default()
    };
    same_bytes(value, &row(meter, RowForm::Plain))?;
    let timestamped = row(meter, RowForm::Timestamped);
    same_value(&Ok(ValueAndTimestamp { timestamp, value }), &ValueAndTimestamp::decode(&timestamped))?;
    let with_headers = row(meter, RowForm::Headers);
    let expected = ValueTimestampHeaders { timestamp, headers: headers.clone(), value };
    same_value(&Ok(expected), &ValueTimestampHeaders::decode(&with_headers))?;
    let session = row(meter, RowForm::SessionHeaders);
    let expected = AggregationWithHeaders { headers: headers.clone(), aggregate: value };
    same_value(&Ok(expected), &AggregationWithHeaders::decode(&session))?;
    Ok(true)
}

/// Bounds of one key enclose the row of that key at a time between them.
fn range_bounds(input: &[u8], meter: &mut Meter) -> Verdict {
    const SCHEMAS: [KeySchema; 6] = [
        KeySchema::Window,
        KeySchema::Session,
        KeySchema::TimeFirstWindow,
        KeySchema::KeyFirstWindow,
        KeySchema::TimeFirstSession,
        KeySchema::KeyFirstSession,
    ];
    let Some((times, key)) = input.split_first_chunk::<16>() else { return Ok(false) };
    let time = |at: usize| i64::from_be_bytes(std::array::from_fn(|byte| times[at + byte]));
    let (from, to) = (time(0), time(8));
    for schema in SCHEMAS {
        for key in [None, Some(key)] {
            let lower = meter.measure(|| schema.lower_range(key, from));
            let upper = meter.measure(|| schema.upper_range(key, to));
            let lower_fixed = meter.measure(|| schema.lower_range_fixed(key, from));
            let upper_fixed = meter.measure(|| schema.upper_range_fixed(key, to));
            if (0..=to).contains(&from) && key.is_some_and(|key| !key.is_empty()) {
                // Those of ends of sessions are bounds of starts as well.
                if lower > upper || lower_fixed > upper_fixed {
                    return Err(format!("{schema:?}: the lower bound is above the upper one"));
                }
            }
        }
    }
    let end = meter.measure(|| prefix_end(key));
    if end.is_some_and(|end| end.as_slice() <= key) {
        return Err("the end of a prefix is not above it".to_owned());
    }
    Ok(true)
}

fn list_of_any(bytes: &[u8]) -> Result<Vec<Element<'_>>, FormatError> {
    list::decode(bytes, None)
}

fn list_of_four(bytes: &[u8]) -> Result<Vec<Element<'_>>, FormatError> {
    list::decode(bytes, Some(4))
}

fn list_of_nothing(bytes: &[u8]) -> Result<Vec<Element<'_>>, FormatError> {
    list::decode(bytes, Some(0))
}

/// Elements that were read from the form with lengths may have other sizes, so that they are written with lengths again.
fn write_list(elements: &[Element<'_>], size: Option<usize>, out: &mut Vec<u8>) {
    let constant = size.filter(|size| elements.iter().flatten().all(|element| element.len() == *size));
    let size = constant.map_or(ElementSize::Variable, ElementSize::Constant);
    let written = list::encode(size, elements.len(), out, |index, out| {
        out.extend_from_slice(elements[index].as_deref().unwrap_or_default());
        Ok::<_, std::convert::Infallible>(elements[index].is_some())
    });
    written.unwrap();
}

/// Versions of changelog records as frames: the version as the key, the value that was there before as the headers' place.
fn versions(corpus: &Corpus) -> Vec<Vec<u8>> {
    let vectors = corpus.vectors("suppress_buffer_changelog_decode").iter();
    let field = |vector: &serde_json::Value, name: &str| vector[name].as_str().and_then(unhex);
    let mut frames = Vec::new();
    for vector in vectors {
        let version = field(vector, "header_v").unwrap_or_default();
        let previous = field(vector, "previous_buffered_hex");
        let value = field(vector, "value_hex").unwrap_or_default();
        let mut frame = vec![
            version.first().copied().unwrap_or(0),
            previous.as_ref().map_or(0xff, |bytes| bytes.len() as u8),
        ];
        frame.extend(previous.unwrap_or_default());
        frame.extend(value);
        frames.push(frame);
    }
    frames
}

/// `| version u8, 0 none | length of the value before u8, 255 none | value before ... | changelog value ... |`
fn changelog_of_any_version(input: &[u8], meter: &mut Meter) -> Verdict {
    let [version, length, rest @ ..] = input else { return Ok(false) };
    let (previous, value) = match length {
        0xff => (None, rest),
        length => {
            let (previous, value) = rest.split_at(usize::from(*length).min(rest.len()));
            (Some(previous), value)
        }
    };
    let mut record_headers = Headers::EMPTY;
    if *version > 0 {
        record_headers.add(VERSION_HEADER, (*version < 0xff).then(|| vec![*version]));
    }
    let record = || ProcessorRecordContext {
        topic: "t".into(),
        partition: 0,
        offset: 0,
        timestamp: 0,
        headers: Headers::EMPTY,
    };
    let read = meter.measure(|| BufferValue::decode_any_changelog(&record_headers, value, record, previous));
    let Ok((time, value)) = read else { return Ok(false) };
    let mut out = Vec::new();
    value.encode_changelog(time, &mut out);
    same_value(&Ok((time, value)), &BufferValue::decode_changelog(&out))?;
    Ok(true)
}
