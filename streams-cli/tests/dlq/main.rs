//! `kstreams dlq` on the embedded log, in process, and the built program on a real broker. Catches letters that are put back twice, not
//! at all, elsewhere or otherwise than they came, filters that take others, and runs whose end leaves something half done.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a broker that does not end says so")]

#[cfg(all(feature = "rdkafka", feature = "rocksdb"))]
mod broker;
mod embedded;
mod killed;

use streams_core::client::embedded::{EmbeddedKafka, StoredRecord};
use streams_core::dead_letter as header;
use streams_core::runtime::clock::SystemClock;
use streams_core::types::Headers;

/// Headers of a letter of this record.
fn failure(topic: &str, partition: i32, offset: i64, message: &str) -> Headers {
    let mut headers = Headers::EMPTY;
    let mut add = |key: &str, value: &str| headers.add(key, Some(value.as_bytes().to_vec()));
    add("trace", "t1");
    add(header::EXCEPTION, "ProcessingError");
    add(header::MESSAGE, message);
    add(header::TOPIC, topic);
    add(header::PARTITION, &partition.to_string());
    add(header::OFFSET, &offset.to_string());
    add(header::RETRIES, "2");
    headers
}

/// A cluster with `orders` of 3 partitions and an empty `dead` of 2.
fn cluster() -> EmbeddedKafka {
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic("orders", 3).unwrap();
    kafka.create_topic("dead", 2).unwrap();
    kafka
}

/// Letters of orders 0 to `count`, over all partitions on both sides. Their timestamps are their numbers.
fn letters(kafka: &EmbeddedKafka, count: i64) {
    for number in 0..count {
        let (key, value) = (format!("k{number}"), format!("v{number}"));
        let headers = failure("orders", (number % 3) as i32, number, "no answer");
        let record = (Some(key.as_bytes()), Some(value.as_bytes()), number);
        kafka.produce_with_headers("dead", Some((number % 2) as i32), record, &headers).unwrap();
    }
}

/// Numbers of the orders that were put back, sorted; each where it belongs.
fn put_back(kafka: &EmbeddedKafka) -> Vec<i64> {
    let number = |record: &StoredRecord| {
        let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap()).unwrap();
        let number: i64 = text(&record.key)[1..].parse().unwrap();
        assert_eq!((text(&record.value), record.timestamp), (format!("v{number}"), number));
        assert_eq!(i64::from(record.partition), number % 3);
        number
    };
    let mut numbers: Vec<i64> = kafka.read_all("orders", true).unwrap().iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}
