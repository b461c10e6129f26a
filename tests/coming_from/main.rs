//! `COMING_FROM_KAFKA_STREAMS.md`: every piece of code in its right column stands in this folder, where it compiles and
//! runs. What can be caught: a method that was renamed, a type that changed, a row that promises what is not there.
#![allow(clippy::unwrap_used)]

mod aggregations;
mod joins;
mod own_store;
mod processors;
mod queries;
mod runtime;
mod streams;
mod tables;
mod testing;

use kstreams::topic::{Store, Topic};
use serde::{Deserialize, Serialize};

const PAGE: &str = include_str!("../../COMING_FROM_KAFKA_STREAMS.md");
const CODE: [&str; 9] = [
    include_str!("aggregations.rs"),
    include_str!("joins.rs"),
    include_str!("own_store.rs"),
    include_str!("processors.rs"),
    include_str!("queries.rs"),
    include_str!("runtime.rs"),
    include_str!("streams.rs"),
    include_str!("tables.rs"),
    include_str!("testing.rs"),
];

/// Cents by customer.
const PAYMENTS: Topic<String, i64> = Topic::new("payments");
const REFUNDS: Topic<String, i64> = Topic::new("refunds");
/// Orders by order id.
const ORDERS: Topic<String, Order> = Topic::new("orders");
/// Names by customer.
const CUSTOMERS: Topic<String, String> = Topic::new("customers");
const CITIES: Topic<String, String> = Topic::new("cities");
const RATES: Topic<String, i64> = Topic::new("rates");
const OUT: Topic<String, i64> = Topic::new("out");
const TEXTS: Topic<String, String> = Topic::new("texts");
const TOTALS: Store<String, i64> = Store::new("totals");

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: i64,
}

/// Without what the formatter of a table or of a source file may change.
fn bare(code: &str) -> String {
    let code: String = code.chars().filter(|sign| !sign.is_whitespace()).collect();
    code.replace("\\|", "|").replace(",)", ")")
}

/// The cells of a row of a table. A pipe in code is written `\|`.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\u{1}");
    let inner = line.trim().trim_matches('|');
    inner.split('|').map(|cell| cell.replace('\u{1}', "|").trim().to_owned()).collect()
}

#[test]
fn every_piece_of_code_on_the_right_compiles() {
    let code = bare(&CODE.concat());
    let (mut rows, mut missing) = (0, Vec::new());
    let table = PAGE.split("## Intended differences").next().unwrap();
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Java")) {
        let cells = cells(line);
        assert_eq!(cells.len(), 2, "two columns: {line}");
        rows += 1;
        for piece in cells[1].split('`').skip(1).step_by(2) {
            if !code.contains(&bare(piece)) {
                missing.push(piece.to_owned());
            }
        }
    }
    assert!(rows > 100, "{rows} rows were found");
    assert!(missing.is_empty(), "not in tests/coming_from:\n{}", missing.join("\n"));
}
