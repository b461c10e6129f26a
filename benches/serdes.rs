//! What it costs to write and read a value: Java's layouts, JSON, and a serde that the user brings.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kstreams::serdes::{Auto, Serde};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    id: String,
    customer: String,
    cents: i64,
}

fn measure<T: 'static>(criterion: &mut Criterion, name: &str, value: T)
where
    Auto: Serde<T>,
{
    let mut out = Vec::new();
    Auto.serialize(&value, &mut out).unwrap();
    let bytes = out.clone();
    criterion.bench_function(&format!("serialize {name}"), |bencher| {
        bencher.iter(|| {
            out.clear();
            Auto.serialize(black_box(&value), &mut out).unwrap()
        });
    });
    criterion.bench_function(&format!("deserialize {name}"), |bencher| {
        bencher.iter(|| -> T { Auto.deserialize(Some(black_box(&bytes))).unwrap() });
    });
}

fn serdes(criterion: &mut Criterion) {
    measure(criterion, "i64", 1_234_567_i64);
    measure(criterion, "text of 97 bytes", "x".repeat(97));
    measure(criterion, "bytes, 97", vec![7_u8; 97]);
    let order = Order { id: "o123456".to_owned(), customer: "c1234".to_owned(), cents: 4_950 };
    measure(criterion, "JSON order", order);
}

criterion_group!(benches, serdes);
criterion_main!(benches);
