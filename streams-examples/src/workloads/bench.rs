//! The workloads of the benchmark: `stateless`, `wordcount`, `enrich`, `kvstate`, and those of `windows` and `joins`.

use std::io::Write;

use kstreams::prelude::*;

use super::{joins, windows};

/// Names of the topics that a workload uses.
#[derive(Clone, Debug)]
pub struct Topics {
    /// The stream.
    pub input: String,
    /// The other stream or table, for the joins that have one.
    pub input2: String,
    /// The table, for those that have one.
    pub table: String,
    /// The results.
    pub output: String,
}

/// The topology of `workload`; `None` if there is none of this name.
pub fn topology(workload: &str, topics: Topics) -> Option<Result<Topology, TopologyError>> {
    Some(match workload {
        "stateless" => stateless(topics),
        "wordcount" => wordcount(topics),
        "enrich" => enrich(topics),
        "kvstate" => kvstate(topics),
        _ => return windows::topology(workload, &topics).or_else(|| joins::topology(workload, &topics)),
    })
}

/// Values longer than 4 characters, in upper case.
fn stateless(topics: Topics) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&Topic::<Option<String>, String>::named(topics.input))
        .filter(|_, value| java_length(value) > 4)
        .map_values(to_upper_case)
        .to(&Topic::<Option<String>, String>::named(topics.output));
    builder.build()
}

/// A running count of each word.
fn wordcount(topics: Topics) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&Topic::<Option<String>, String>::named(topics.input))
        .flat_map_values(|line| split_at_spaces(&line))
        .group_by(|_, word| word.clone())
        .count_with(&Store::<String, i64>::new("counts"))
        .to_stream()
        .to(&Topic::<String, i64>::named(topics.output));
    builder.build()
}

/// Each value with the table's row of the same key.
fn enrich(topics: Topics) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let rows = Topic::<String, String>::named(topics.table);
    let table = builder.table_with(&rows, Consumed::new(), &Store::<String, String>::new("table"));
    builder
        .stream(&Topic::<String, String>::named(topics.input))
        .left_join_table(&table, |mut value, row: Option<&String>| {
            value.push('|');
            value.push_str(row.map_or("null", |row| row));
            value
        })
        .to(&Topic::<String, String>::named(topics.output));
    builder.build()
}

/// How many records each key had, and the newest value: `N|v`.
fn kvstate(topics: Topics) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&Topic::<String, String>::named(topics.input))
        .group_by_key()
        .fold(&Store::<String, Latest, Auto, LatestText>::new("latest"), |_, value, latest| {
            latest.count += 1;
            latest.value = value;
        })
        .to_stream()
        .to(&Topic::<String, Latest, Auto, LatestText>::named(topics.output));
    builder.build()
}

/// State of a key in `kvstate`.
#[derive(Clone, PartialEq, Debug, Default)]
struct Latest {
    count: u64,
    value: String,
}

/// [`Latest`] as `count|value`, written by hand: each update of the state is serialized for the changelog, the output and the engine.
#[derive(Clone, Copy, Debug, Default)]
struct LatestText;

impl Serde<Latest> for LatestText {
    fn serialize(&self, latest: &Latest, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        write!(out, "{}|", latest.count).map_err(|error| SerdeError::new(error.to_string()))?;
        out.extend_from_slice(latest.value.as_bytes());
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Latest, SerdeError> {
        let mut value: String = Auto.deserialize(bytes)?;
        let bar = value.find('|').ok_or_else(|| SerdeError::new(format!("`{value}` has no count")))?;
        let count = value[..bar].parse();
        let count = count.map_err(|_| SerdeError::new(format!("the count of `{value}` is no number")))?;
        value.drain(..=bar);
        Ok(Latest { count, value })
    }
}

/// Java's `String.length()`: UTF-16 code units.
fn java_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Java's `toUpperCase(Locale.ROOT)`; in place for ASCII.
fn to_upper_case(mut text: String) -> String {
    if text.is_ascii() {
        text.make_ascii_uppercase();
        return text;
    }
    text.to_uppercase()
}

/// Java's `split(" ")`: empty words at the end are cut off, unless the text has no space at all.
fn split_at_spaces(text: &str) -> Vec<String> {
    if !text.contains(' ') {
        return vec![text.to_owned()];
    }
    match text.trim_end_matches(' ') {
        "" => Vec::new(),
        text => text.split(' ').map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(workload: &str, table: &[(&str, &str)], inputs: &[(&str, &str)]) -> TopologyTestDriver {
        let name = str::to_owned;
        let topics =
            Topics { input: name("in"), input2: name("in2"), table: name("rows"), output: name("out") };
        let driver = TopologyTestDriver::new(topology(workload, topics).unwrap().unwrap()).unwrap();
        for (topic, records) in [("rows", table), ("in", inputs)] {
            for (key, value) in records {
                driver.input(&Topic::<String, String>::new(topic)).pipe(*key, *value);
            }
        }
        driver
    }

    fn texts(driver: &TopologyTestDriver) -> Vec<String> {
        let records = driver.output(&Topic::<String, String>::new("out")).read_all();
        records.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn stateless_keeps_long_values_in_upper_case() {
        assert_eq!(texts(&run("stateless", &[], &[("k", "abcd"), ("k", "abcde")])), ["ABCDE"]);
    }

    #[test]
    fn wordcount_counts() {
        let driver = run("wordcount", &[], &[("k", "a b a")]);
        let counts = driver.output(&Topic::<String, i64>::new("out")).read_key_values();
        assert_eq!((counts["a"], counts["b"]), (2, 1));
    }

    #[test]
    fn enrich_reads_null_where_there_is_no_row() {
        assert_eq!(
            texts(&run("enrich", &[("k", "row")], &[("k", "v"), ("other", "w")])),
            ["v|row", "w|null"]
        );
    }

    #[test]
    fn kvstate_numbers_the_records_of_a_key() {
        assert_eq!(texts(&run("kvstate", &[], &[("k", "v"), ("k", "w")])), ["1|v", "2|w"]);
    }

    #[test]
    fn splits_as_java_does() {
        assert_eq!(split_at_spaces("a b"), ["a", "b"]);
        assert_eq!(split_at_spaces(" a  b  "), ["", "a", "", "b"]);
        assert_eq!(split_at_spaces(""), [""]);
        assert_eq!(split_at_spaces("  "), [""; 0]);
    }

    #[test]
    fn measures_and_raises_as_java_does() {
        assert_eq!(java_length("a\u{1F600}"), 3);
        assert_eq!(to_upper_case("straße é".to_owned()), "STRASSE É");
        assert_eq!(to_upper_case("abc".to_owned()), "ABC");
    }
}
