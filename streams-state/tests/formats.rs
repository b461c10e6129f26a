//! The byte formats and serdes under arbitrary input: what is written is read back, and bytes of any kind give a
//! value or an error, never a panic and never memory that the bytes do not justify.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use streams_state::format::aggregation_with_headers::AggregationWithHeaders;
use streams_state::format::buffer_value::{BufferValue, VERSION_HEADER};
use streams_state::format::change::Change;
use streams_state::format::combined_key::CombinedKey;
use streams_state::format::grace_buffer_key::GraceBufferKey;
use streams_state::format::left_or_right_value::LeftOrRightValue;
use streams_state::format::list::{self, ElementSize};
use streams_state::format::murmur3::Hash128;
use streams_state::format::position::Position;
use streams_state::format::range_bounds::{KeySchema, prefix_end};
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::format::subscription_response::SubscriptionResponse;
use streams_state::format::subscription_wrapper::{Instruction, SubscriptionWrapper};
use streams_state::format::timestamped_key_and_join_side::{JoinSide, TimestampedKeyAndJoinSide};
use streams_state::format::value_and_timestamp::ValueAndTimestamp;
use streams_state::format::value_timestamp_headers::ValueTimestampHeaders;
use streams_state::format::versioned_row::SegmentRow;
use streams_state::format::window_key::{self, WindowKey};
use streams_state::format::{headers, session_key};
use streams_state::serdes::{
    BooleanSerde, ByteArraySerde, Charset, DoubleSerde, FloatSerde, IntegerSerde, ListSerde, LongSerde,
    Serde, SessionWindowedSerde, ShortSerde, StringSerde, TimeWindowedSerde, UuidSerde, VoidSerde,
};
use streams_state::types::{Header, Headers, Window, Windowed};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..24)
}

fn some_headers() -> impl Strategy<Value = Headers> {
    let header = ("[a-zß]{0,4}", option::of(bytes())).prop_map(|(key, value)| Header { key, value });
    vec(header, 0..4).prop_map(|headers| headers.into_iter().collect())
}

fn context() -> impl Strategy<Value = ProcessorRecordContext> {
    ("[a-z]{0,6}", any::<i32>(), any::<i64>(), any::<i64>(), some_headers()).prop_map(
        |(topic, partition, offset, timestamp, headers)| ProcessorRecordContext {
            topic: topic.into(),
            partition,
            offset,
            timestamp,
            headers,
        },
    )
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    // Behind something else, as in a buffer that is used again.
    let mut out = vec![7];
    write(&mut out);
    out.remove(0);
    out
}

fn side(left: bool) -> JoinSide {
    if left { JoinSide::Left } else { JoinSide::Right }
}

/// Every decoder there is.
fn decode_with_all(input: &[u8], version: u8) {
    let _ = ValueAndTimestamp::decode(input);
    let _ = headers::decode(input);
    let _ = ValueTimestampHeaders::decode(input);
    let _ = AggregationWithHeaders::decode(input);
    let _ = TimestampedKeyAndJoinSide::decode(input);
    let _ = LeftOrRightValue::decode(input);
    let _ = list::decode(input, None);
    let _ = list::decode(input, Some(usize::from(version)));
    let _ = Change::decode(input);
    let _ = SubscriptionWrapper::decode(input);
    let _ = SubscriptionResponse::decode(input);
    let _ = CombinedKey::decode(input);
    let _ = GraceBufferKey::decode(input);
    let _ = Position::decode(input);
    let _ = SegmentRow::decode(input);
    let _ = WindowKey::decode(input);
    let _ = WindowKey::decode_time_first(input);
    let _ = WindowKey::decode_key_first(input);
    let _ = window_key::decode_topic_key(input);
    let _ = session_key::decode(input);
    let _ = session_key::decode_time_first(input);
    let _ = session_key::decode_key_first(input);
    let _ = ProcessorRecordContext::decode(input);
    let _ = BufferValue::decode(input);
    let _ = BufferValue::decode_changelog(input);
    let context = || ProcessorRecordContext {
        topic: "t".into(),
        partition: 0,
        offset: 0,
        timestamp: 0,
        headers: Headers::EMPTY,
    };
    let _ = BufferValue::decode_any_changelog(&Headers::EMPTY, input, context, None);
    let mut versioned = Headers::EMPTY;
    versioned.add(VERSION_HEADER, Some(vec![version]));
    let _ = BufferValue::decode_any_changelog(&versioned, input, context, Some(input));
}

/// Reads with every serde there is.
fn deserialize_with_all(input: &[u8]) {
    let input = Some(input);
    for charset in [
        Charset::Utf8,
        Charset::Iso88591,
        Charset::UsAscii,
        Charset::Utf16,
        Charset::Utf16Be,
        Charset::Utf16Le,
    ] {
        let _: String = StringSerde::with_charset(charset).deserialize(input).unwrap();
    }
    let _: Result<i16, _> = ShortSerde.deserialize(input);
    let _: Result<i32, _> = IntegerSerde.deserialize(input);
    let _: Result<i64, _> = LongSerde.deserialize(input);
    let _: Result<f32, _> = FloatSerde.deserialize(input);
    let _: Result<f64, _> = DoubleSerde.deserialize(input);
    let _: Result<bool, _> = BooleanSerde.deserialize(input);
    let _: Result<uuid::Uuid, _> = UuidSerde.deserialize(input);
    let _: Result<Vec<u8>, _> = ByteArraySerde.deserialize(input);
    let _: Result<(), _> = VoidSerde.deserialize(input);
    let _: Result<Vec<Option<i32>>, _> = ListSerde::new(IntegerSerde).deserialize(input);
    let _: Result<Vec<Vec<String>>, _> =
        ListSerde::new(ListSerde::new(StringSerde::default())).deserialize(input);
    let _: Result<Windowed<String>, _> = TimeWindowedSerde::new(StringSerde::default(), 5).deserialize(input);
    let changelog = TimeWindowedSerde::new(StringSerde::default(), i64::MAX).for_changelog(true);
    let _: Result<Windowed<String>, _> = changelog.deserialize(input);
    let _: Result<Windowed<i64>, _> = SessionWindowedSerde::new(LongSerde).deserialize(input);
}

fn round_trip<T: PartialEq + std::fmt::Debug + 'static>(serde: &dyn Serde<T>, value: &T) {
    let mut out = Vec::new();
    let present = serde.serialize(value, &mut out).unwrap();
    assert_eq!(present, !serde.is_null(value));
    assert_eq!(&serde.deserialize(present.then_some(&out)).unwrap(), value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_never_panic(input in vec(any::<u8>(), 0..80), version in 0..5_u8) {
        decode_with_all(&input, version);
        deserialize_with_all(&input);
    }

    /// Small numbers where lengths and flags stand: decoders get further than on noise.
    #[test]
    fn bytes_that_look_like_lengths_never_panic(
        input in vec(prop_oneof![5 => Just(0_u8), 3 => 0..6_u8, 1 => Just(0xff), 1 => any::<u8>()], 0..80),
        version in 0..5_u8,
    ) {
        decode_with_all(&input, version);
        deserialize_with_all(&input);
    }

    #[test]
    fn row_values_come_back(value in bytes(), timestamp: i64, headers in some_headers()) {
        let row = ValueAndTimestamp { timestamp, value: &value };
        assert_eq!(ValueAndTimestamp::decode(&written(|out| row.encode(out))), Ok(row));
        let row = ValueTimestampHeaders { timestamp, headers: headers.clone(), value: &value };
        assert_eq!(ValueTimestampHeaders::decode(&written(|out| row.encode(out))), Ok(row.clone()));
        let row = AggregationWithHeaders { headers, aggregate: &value };
        assert_eq!(AggregationWithHeaders::decode(&written(|out| row.encode(out))), Ok(row.clone()));
    }

    #[test]
    fn keys_come_back(key in bytes(), start: i64, end: i64, sequence: i32, left: bool) {
        let row = WindowKey { key: &key, start, sequence };
        assert_eq!(WindowKey::decode(&written(|out| row.encode(out))), Ok(row));
        assert_eq!(WindowKey::decode_time_first(&written(|out| row.encode_time_first(out))), Ok(row));
        assert_eq!(WindowKey::decode_key_first(&written(|out| row.encode_key_first(out))), Ok(row));
        let window = Window { start, end };
        let session = written(|out| session_key::encode(&key, window, out));
        assert_eq!(session_key::decode(&session), Ok((&key[..], window)));
        let row = TimestampedKeyAndJoinSide { timestamp: start, side: side(left), key: &key };
        assert_eq!(TimestampedKeyAndJoinSide::decode(&written(|out| row.encode(out))), Ok(row));
        let row = GraceBufferKey { timestamp: start, key: &key, sequence };
        assert_eq!(GraceBufferKey::decode(&written(|out| row.encode(out))), Ok(row));
    }

    #[test]
    fn joins_and_changes_come_back(
        first in bytes(), second in bytes(), both in 0..3, left: bool,
        hash in option::of((any::<i64>(), any::<i64>())), partition in option::of(any::<i32>()), instruction in 0..4_usize,
    ) {
        let change = Change {
            old: (both != 0).then_some(&first[..]), new: (both != 1).then_some(&second[..]), is_latest: true,
        };
        let mut out = Vec::new();
        change.encode(&mut out).unwrap();
        assert_eq!(Change::decode(&out), Ok(change));
        let element = LeftOrRightValue { side: side(left), value: &first };
        assert_eq!(LeftOrRightValue::decode(&written(|out| element.encode(out))), Ok(element));
        let key = CombinedKey { foreign_key: &first, primary_key: &second };
        assert_eq!(CombinedKey::decode(&written(|out| key.encode(out))), Ok(key));
        let hash = hash.map(|(first, second)| Hash128(first, second));
        let wrapper = SubscriptionWrapper {
            hash, instruction: Instruction::ALL[instruction], primary_key: &first, primary_partition: partition,
        };
        assert_eq!(SubscriptionWrapper::decode(&written(|out| wrapper.encode(out))), Ok(wrapper));
        let foreign_value = Some(&second[..]).filter(|value| !value.is_empty());
        let response = SubscriptionResponse { hash, foreign_value };
        assert_eq!(SubscriptionResponse::decode(&written(|out| response.encode(out))), Ok(response));
    }

    #[test]
    fn buffers_and_positions_come_back(
        context in context(), prior in option::of(bytes()), old in option::of(bytes()), new in option::of(bytes()),
        same: bool, time: i64, topics in vec(("[a-z]{1,5}", vec((any::<i32>(), any::<i64>()), 0..4)), 0..4),
    ) {
        let old = if same { prior.clone() } else { old };
        let value = BufferValue { context, prior: prior.as_deref(), old: old.as_deref(), new: new.as_deref() };
        let stored = written(|out| value.encode_changelog(time, out));
        assert_eq!(BufferValue::decode_changelog(&stored), Ok((time, value.clone())));
        let position = Position(topics);
        assert_eq!(Position::decode(&written(|out| position.encode_as_array(out))), Ok(position.clone()));
    }

    /// Puts in any order of the two inserts keep a row that reads back and answers as a plain list would.
    #[test]
    fn versioned_rows_come_back(
        first in option::of(bytes()),
        puts in vec((any::<bool>(), 1..50_i64, 0..20_i64, option::of(bytes())), 0..8),
    ) {
        let mut row = SegmentRow::new(first.clone(), 1_000, 1_010);
        let mut model = vec![(1_000, first)];
        let mut end = 1_010;
        for (latest, length, gap, value) in puts {
            if latest {
                row.insert_as_latest(end + gap, end + gap + length, value.clone());
                if gap > 0 {
                    model.push((end, None));
                }
                model.push((end + gap, value));
                end += gap + length;
            } else {
                let start = model[0].0 - length;
                row.insert_as_earliest(start, value.clone());
                model.insert(0, (start, value));
            }
        }
        let stored = written(|out| row.encode(out));
        assert_eq!(SegmentRow::decode(&stored).as_ref(), Ok(&row));
        for time in model[0].0 - 1..=end {
            let expected = model.iter().rfind(|(start, _)| *start <= time && time < end);
            let found = row.find(time).map(|found| found.value.map(<[u8]>::to_vec));
            assert_eq!(found, expected.map(|(_, value)| value.clone()));
        }
    }

    #[test]
    fn bounds_enclose(
        mut keys in vec(bytes(), 3..4), times in vec(0..i64::MAX, 3..4), sequence in 0..i32::MAX,
    ) {
        keys.sort();
        let mut times = times;
        times.sort_unstable();
        let [low, key, high] = [&keys[0][..], &keys[1], &keys[2]];
        let (from, start, to) = (times[0], times[1], times[2]);
        let row = WindowKey { key, start, sequence };
        let (plain, by_key) = (written(|out| row.encode(out)), written(|out| row.encode_key_first(out)));
        let by_time = written(|out| row.encode_time_first(out));
        for (schema, row) in [(KeySchema::Window, &plain), (KeySchema::KeyFirstWindow, &by_key)] {
            // `from` bounds the time of exactly one key; between keys only the keys count.
            assert!(schema.lower_range(Some(low), from).unwrap() <= *row);
            assert!(*row <= schema.upper_range(Some(high), to).unwrap());
            assert!(schema.lower_range_fixed(Some(key), from).unwrap() <= *row);
            assert!(*row <= schema.upper_range_fixed(Some(key), to).unwrap());
        }
        assert!(KeySchema::TimeFirstWindow.lower_range(None, from).unwrap() <= by_time);
        assert!(by_time <= KeySchema::TimeFirstWindow.upper_range(None, to).unwrap());
        if let Some(end) = prefix_end(key) {
            assert!(plain < end && end.as_slice() > key);
        }
    }

    #[test]
    fn serdes_come_back(
        text in option::of(".{0,12}"), number: i64, list in vec(option::of(any::<i32>()), 0..6),
        texts in vec(option::of("[a-zß]{1,6}"), 0..6), size in 1..1_000_000_i64, start in 0..i64::MAX / 2,
    ) {
        round_trip(&StringSerde::default(), &text);
        for charset in [Charset::Utf16, Charset::Utf16Be, Charset::Utf16Le] {
            // Java reads a reversed mark in the middle as a fault.
            let clean = text.clone().map(|text| text.replace(['\u{feff}', '\u{fffe}'], ""));
            round_trip(&StringSerde::with_charset(charset), &clean);
        }
        round_trip(&LongSerde, &number);
        round_trip(&DoubleSerde, &Some(number as f64));
        round_trip(&ListSerde::new(IntegerSerde), &list);
        round_trip(&ListSerde::new(StringSerde::default()), &Some(texts));
        round_trip(&ListSerde::new(ListSerde::new(IntegerSerde)), &vec![Some(list), None]);
        let window = Window { start, end: start + size };
        round_trip(&TimeWindowedSerde::new(LongSerde, size), &Windowed { key: number, window });
        round_trip(&SessionWindowedSerde::new(LongSerde), &Some(Windowed { key: number, window }));
    }

    #[test]
    fn lists_of_constant_size_come_back(elements in vec(option::of(any::<[u8; 3]>()), 0..8)) {
        let out = written(|out| {
            list::encode(ElementSize::Constant(3), elements.len(), out, |index, out| {
                out.extend(elements[index].into_iter().flatten());
                Ok::<_, std::convert::Infallible>(elements[index].is_some())
            })
            .unwrap();
        });
        let read: Vec<Option<Vec<u8>>> =
            list::decode(&out, Some(3)).unwrap().into_iter().map(|element| element.map(Into::into)).collect();
        assert_eq!(read, elements.into_iter().map(|element| element.map(Vec::from)).collect::<Vec<_>>());
    }
}
