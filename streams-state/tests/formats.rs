//! The byte formats and serdes under arbitrary values: what is written is read back. Arbitrary bytes are for `tests/fuzz` of the workspace.

#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use streams_state::format::aggregation_with_headers::AggregationWithHeaders;
use streams_state::format::buffer_value::BufferValue;
use streams_state::format::change::Change;
use streams_state::format::combined_key::CombinedKey;
use streams_state::format::grace_buffer_key::GraceBufferKey;
use streams_state::format::left_or_right_value::LeftOrRightValue;
use streams_state::format::list::{self, ElementSize};
use streams_state::format::murmur3::Hash128;
use streams_state::format::position::Position;
use streams_state::format::range_bounds::{KeySchema, prefix_end};
use streams_state::format::record_context::ProcessorRecordContext;
use streams_state::format::session_key;
use streams_state::format::subscription_response::SubscriptionResponse;
use streams_state::format::subscription_wrapper::{Instruction, SubscriptionWrapper};
use streams_state::format::timestamped_key_and_join_side::{JoinSide, TimestampedKeyAndJoinSide};
use streams_state::format::value_and_timestamp::ValueAndTimestamp;
use streams_state::format::value_timestamp_headers::ValueTimestampHeaders;
use streams_state::format::versioned_row::SegmentRow;
use streams_state::format::window_key::WindowKey;
use streams_state::serdes::{
    Charset, DoubleSerde, IntegerSerde, ListSerde, LongSerde, Serde, SessionWindowedSerde, StringSerde,
    TimeWindowedSerde,
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

fn round_trip<T: PartialEq + std::fmt::Debug + 'static>(serde: &dyn Serde<T>, value: &T) {
    let mut out = Vec::new();
    let present = serde.serialize(value, &mut out).unwrap();
    assert_eq!(present, !serde.is_null(value));
    assert_eq!(&serde.deserialize(present.then_some(&out)).unwrap(), value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

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
        // Kafka Streams assumes keys of one byte at least here.
        mut keys in vec(vec(any::<u8>(), 1..24), 3..4), times in vec(0..i64::MAX, 3..4), sequence in 0..i32::MAX,
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
