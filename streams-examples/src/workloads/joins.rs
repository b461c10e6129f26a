//! The joins of the benchmark: `streamjoin`, `outerjoin`, `tablejoin`, `fkjoin`, `globalenrich`.

use std::time::Duration;

use kstreams::dsl::{JoinWindows, StreamJoined, TableJoined};
use kstreams::prelude::*;

use super::bench::Topics;

const LEFT: Store<String, String> = Store::new("left");
const RIGHT: Store<String, String> = Store::new("right");
const JOINED: Store<String, String> = Store::new("joined");
const TABLE: Store<String, String> = Store::new("table");

/// The topology of `workload`; `None` if there is none of this name.
pub(super) fn topology(workload: &str, topics: &Topics) -> Option<Result<Topology, TopologyError>> {
    let builder = StreamsBuilder::new();
    let text = |name: &str| Topic::<String, String>::named(name);
    let (input, input2, output) = (text(&topics.input), text(&topics.input2), text(&topics.output));
    let windows = JoinWindows::of_time_difference_with_no_grace(Duration::from_secs(10));
    let joined = || StreamJoined::new().store_name("join");
    match workload {
        "streamjoin" => {
            let (left, right) = (builder.stream(&input).named("join"), builder.stream(&input2));
            left.join_stream_with(right, windows, |_, left, right| pair(left, right), joined()).to(&output);
        }
        "outerjoin" => {
            let (left, right) = (builder.stream(&input).named("join"), builder.stream(&input2));
            let joiner = |_: &String, left: &String, right: Option<&String>| {
                pair(left, right.map_or("null", String::as_str))
            };
            left.left_join_stream_with(right, windows, joiner, joined()).to(&output);
        }
        "tablejoin" => {
            let left = builder.table_with(&input, Consumed::new(), &LEFT);
            let right = builder.table_with(&input2, Consumed::new(), &RIGHT);
            left.join(&right, |left, right| pair(left, right)).to_stream().to(&output);
        }
        "fkjoin" => {
            let left = builder.table_with(&input, Consumed::new(), &LEFT);
            let right = builder.table_with(&input2, Consumed::new(), &RIGHT);
            let foreign_key = |_: &String, left: &String| left.split('|').next().map(str::to_owned);
            let joiner = |left: &String, right: &String| pair(left, right);
            let rows = left.named("fk").join_foreign_key_with(
                &right,
                foreign_key,
                joiner,
                TableJoined::new(),
                &JOINED,
            );
            rows.to_stream().to(&output);
        }
        "globalenrich" => {
            let rows = builder.global_table_with(&text(&topics.table), Consumed::new(), &TABLE);
            let joiner = |value: String, row: &String| pair(&value, row);
            builder.stream(&input).join_global(&rows, |key, _| key.clone(), joiner).to(&output);
        }
        _ => return None,
    }
    Some(builder.build())
}

/// `left|right`.
fn pair(left: &str, right: &str) -> String {
    let mut text = String::with_capacity(left.len() + 1 + right.len());
    text.push_str(left);
    text.push('|');
    text.push_str(right);
    text
}

#[cfg(test)]
mod tests {
    use super::super::bench;
    use super::*;

    /// Values of the output, after records (topic, key, value) a second apart.
    fn run(workload: &str, records: &[(&str, &str, &str)]) -> Vec<String> {
        let name = str::to_owned;
        let topics =
            Topics { input: name("in"), input2: name("in2"), table: name("rows"), output: name("out") };
        let driver = TopologyTestDriver::new(bench::topology(workload, topics).unwrap().unwrap()).unwrap();
        for (second, (topic, key, value)) in (0..).zip(records) {
            driver.input(&Topic::<String, String>::named(*topic)).pipe_at(*key, *value, second * 1000);
        }
        let records = driver.output(&Topic::<String, String>::new("out")).read_all();
        records.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn streams_are_joined_within_ten_seconds() {
        assert_eq!(run("streamjoin", &[("in", "k", "l"), ("in2", "k", "r"), ("in2", "o", "r")]), ["l|r"]);
    }

    #[test]
    fn left_records_without_a_partner_come_with_null() {
        let mut records = vec![("in", "k", "l")];
        records.extend([("in2", "o", "r"); 12]);
        assert_eq!(run("outerjoin", &records), ["l|null"]);
    }

    #[test]
    fn tables_are_joined_by_key() {
        assert_eq!(run("tablejoin", &[("in", "k", "l"), ("in2", "k", "r")]), ["l|r"]);
    }

    #[test]
    fn tables_are_joined_by_the_text_before_the_bar() {
        assert_eq!(run("fkjoin", &[("in2", "f", "r"), ("in", "k", "f|l")]), ["f|l|r"]);
    }

    #[test]
    fn records_without_a_global_row_are_dropped() {
        assert_eq!(run("globalenrich", &[("rows", "k", "r"), ("in", "k", "v"), ("in", "o", "v")]), ["v|r"]);
    }
}
