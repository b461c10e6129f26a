//! Versioned tables, joins of tables, grouped tables.

use std::time::Duration;

use super::joins::{Stream, sides, table};
use super::{Case, OUT, check};
use crate::dsl::{KTable, Materialized, StreamsBuilder};
use crate::topic::Store;
use crate::topology::Topology;

const HISTORY: Store<String, String> = Store::new("history");
const OTHER: Store<String, String> = Store::new("other-history");

type Table = KTable<String, String>;

fn topology(make: impl Fn(Stream, Stream) -> Table) -> Topology {
    let builder = StreamsBuilder::new();
    let (left, right) = sides(&builder);
    make(left, right).to_stream().to(&OUT);
    builder.build().unwrap()
}

fn plain(side: Stream) -> Table {
    table(side, Materialized::unnamed())
}

fn versioned(side: Stream, store: &Store<String, String>) -> Table {
    table(side, Materialized::from(store).versioned(Duration::from_millis(30_000)))
}

/// The order of two sides of a pair.
fn pair(left: Option<&String>, right: Option<&String>) -> String {
    format!("{left:?}/{right:?}")
}

#[test]
fn joined_tables() {
    let inner = || topology(|l, r| plain(l).join(&plain(r), |l, r| pair(Some(l), Some(r))));
    let left = || topology(|l, r| plain(l).left_join(&plain(r), |l, r| pair(Some(l), r)));
    let outer = || topology(|l, r| plain(l).outer_join(&plain(r), pair));
    assert!(check(Case { nulls: 4, ..Case::new(inner) }) > 200);
    assert!(check(Case { nulls: 4, ..Case::new(left) }) > 200);
    assert!(check(Case { nulls: 4, headers: true, ..Case::new(outer) }) > 200);
    check(Case { nulls: 4, caching: true, ..Case::new(outer) });
}

pub(super) fn versioned_topology() -> Topology {
    topology(|left, right| versioned(left, &HISTORY).outer_join(&versioned(right, &OTHER), pair))
}

/// Versions that came late are not the latest: what is joined does not depend on the order of arrival, nor on restarts.
#[test]
fn versioned_tables() {
    assert!(check(Case { nulls: 4, ..Case::new(versioned_topology) }) > 200);
    assert!(check(Case { nulls: 4, headers: true, late: 40_000, ..Case::new(versioned_topology) }) > 200);
    let as_of = || {
        let builder = StreamsBuilder::new();
        let (left, right) = sides(&builder);
        let rows = versioned(right, &HISTORY);
        left.left_join_table(&rows, |left, row| Some(format!("{left}/{row:?}"))).to(&OUT);
        builder.build().unwrap()
    };
    assert!(check(Case { nulls: 4, late: 40_000, ..Case::new(as_of) }) > 200);
}

/// Adder and subtractor behind a repartition. One partition: the order of the repartition topic is that of the input.
#[test]
fn grouped_tables() {
    let grouped = || {
        topology(|left, _| {
            let grouped = plain(left).group_by(|_, value| (format!("g{}", value.len()), value.clone()));
            let add = |_: &String, value: String, all: &mut String| all.push_str(&value);
            let subtract = |_: &String, value: String, all: &mut String| *all = all.replacen(&value, "", 1);
            grouped.aggregate(String::new, add, subtract)
        })
    };
    assert!(check(Case { nulls: 4, partitions: 1, ..Case::new(grouped) }) > 200);
}
