//! What a record carries: null and empty, any bytes, headers in order with repeated names and null values.

use kstreams::client::{ClientSupplier, OffsetSpec};
use kstreams::types::Headers;

use crate::harness::cases;
use crate::support::*;

cases![
    null_keys_and_values_are_not_empty_ones,
    any_bytes_come_back,
    headers_keep_order_and_repetition,
    null_headers_are_not_empty_ones,
    records_without_headers_have_none,
    headers_stay_with_their_record,
    a_record_near_the_size_limit_comes_back,
    many_records_keep_their_order,
    two_topics_of_one_producer_are_apart,
    each_record_is_reported_by_its_number,
];

fn null_keys_and_values_are_not_empty_ones(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    let parts: [Option<&[u8]>; 3] = [None, Some(b""), Some(b"x")];
    for key in parts {
        for value in parts {
            writer.try_send(&topic, 0, (key, value, Some(TIME)), &Headers::EMPTY).unwrap();
        }
    }
    writer.flush();
    let records = read(kafka, &topic, Committed);
    let expected: Vec<_> =
        parts.iter().flat_map(|key| parts.iter().map(move |value| (*key, *value))).collect();
    let got: Vec<_> = records.iter().map(|record| (record.key.as_deref(), record.value.as_deref())).collect();
    assert_eq!(got, expected);
}

fn any_bytes_come_back(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let all: Vec<u8> = (0..=255).collect();
    let mut writer = Writer::plain(kafka);
    writer.try_write(&topic, 0, (Some(&all), Some(&all), Some(TIME))).unwrap();
    let record = read(kafka, &topic, Uncommitted).remove(0);
    assert_eq!((record.key.unwrap(), record.value.unwrap()), (all.clone(), all));
}

fn round_trip(kafka: &dyn ClientSupplier, names: &Names, headers: &Headers) -> Headers {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    writer.try_send(&topic, 0, (None, Some(b"v"), Some(TIME)), headers).unwrap();
    writer.flush();
    read(kafka, &topic, Uncommitted).remove(0).headers
}

fn headers_keep_order_and_repetition(kafka: &dyn ClientSupplier, names: &Names) {
    let mut headers = Headers::EMPTY;
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "1"), ("b", "3"), ("ü", "4")] {
        headers.add(name, Some(value.as_bytes().to_vec()));
    }
    assert_eq!(round_trip(kafka, names, &headers), headers);
}

fn null_headers_are_not_empty_ones(kafka: &dyn ClientSupplier, names: &Names) {
    let mut headers = Headers::EMPTY;
    headers.add("null", None);
    headers.add("empty", Some(Vec::new()));
    headers.add("null", None);
    assert_eq!(round_trip(kafka, names, &headers), headers);
}

fn records_without_headers_have_none(kafka: &dyn ClientSupplier, names: &Names) {
    assert!(round_trip(kafka, names, &Headers::EMPTY).is_empty());
}

fn headers_stay_with_their_record(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    for number in 0..20_u8 {
        let mut headers = Headers::EMPTY;
        if number % 3 == 0 {
            headers.add("n", Some(vec![number]));
        }
        writer.try_send(&topic, 0, (None, Some(&[number]), Some(TIME)), &headers).unwrap();
    }
    writer.flush();
    for record in read_from(kafka, &topic, 0, 5, Uncommitted) {
        let number = record.value.unwrap()[0];
        let header = record.headers.last("n").and_then(|header| header.value.clone());
        assert_eq!(header, (number % 3 == 0).then(|| vec![number]));
    }
}

fn a_record_near_the_size_limit_comes_back(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let value = vec![7_u8; 990_000];
    Writer::plain(kafka).try_write(&topic, 0, (None, Some(&value), Some(TIME))).unwrap();
    assert_eq!(read(kafka, &topic, Uncommitted)[0].value.as_ref(), Some(&value));
}

fn many_records_keep_their_order(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let mut writer = Writer::plain(kafka);
    for number in 0..20_000 {
        writer.send(&topic, 0, "k", &number.to_string());
    }
    writer.flush();
    assert_eq!(end(kafka, &topic, 0, OffsetSpec::End), 20_000);
    let records = read(kafka, &topic, Committed);
    assert_eq!(records.len(), 20_000);
    for (number, record) in records.iter().enumerate() {
        assert_eq!((record.offset, record.text()), (number as i64, number.to_string()));
    }
}

fn two_topics_of_one_producer_are_apart(kafka: &dyn ClientSupplier, names: &Names) {
    let (one, two) = (names.topic("one"), names.topic("two"));
    create_with(kafka, &one, 1, &[]);
    create_with(kafka, &two, 2, &[]);
    let mut writer = Writer::plain(kafka);
    assert_eq!(writer.producer.topic(&one).unwrap(), writer.producer.topic(&one).unwrap());
    assert_ne!(writer.producer.topic(&one).unwrap(), writer.producer.topic(&two).unwrap());
    assert_eq!(writer.producer.partitions(&one, WAIT).unwrap(), 1);
    assert_eq!(writer.producer.partitions(&two, WAIT).unwrap(), 2);
    writer.send(&one, 0, "k", "1");
    writer.send(&two, 1, "k", "2");
    writer.flush();
    assert_eq!(texts(&read(kafka, &one, Uncommitted)), ["1"]);
    assert_eq!(texts(&read_from(kafka, &two, 1, 0, Uncommitted)), ["2"]);
}

fn each_record_is_reported_by_its_number(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut writer = Writer::plain(kafka);
    writer.deliveries.each = Some(Vec::new());
    for number in 0..10 {
        writer.send(&topic, i32::from(number >= 4), "k", &number.to_string());
    }
    writer.flush();
    let mut each: Vec<(u32, i64)> =
        writer.deliveries.each.unwrap().into_iter().map(|one| (one.number, one.offset.unwrap())).collect();
    each.sort_unstable();
    let expected = (0..10).map(|number| (number, i64::from(if number < 4 { number } else { number - 4 })));
    assert_eq!(each, expected.collect::<Vec<_>>());
}
