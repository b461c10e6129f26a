//! Word count: lines of text in, a running count of each word out.

use kstreams::prelude::*;

/// Input: lines of text; their keys do not matter.
pub const LINES: Topic<(), String> = Topic::new("lines");
/// Output: how often each word was seen so far.
pub const WORD_COUNTS: Topic<String, i64> = Topic::new("word-counts");
/// State: the counts.
pub const COUNTS: Store<String, i64> = Store::new("counts");

/// Lines are split into words, words grouped, groups counted.
pub fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    builder
        .stream(&LINES)
        .flat_map_values(|line| words(&line))
        .group_by(|_, word| word.clone())
        .count_with(&COUNTS)
        .to_stream()
        .to(&WORD_COUNTS);
    builder.build()
}

/// The words of a line, in lower case.
pub fn words(line: &str) -> Vec<String> {
    line.to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_words() {
        let driver = TopologyTestDriver::new(topology().unwrap()).unwrap();
        driver.input(&LINES).pipe((), "to be, or not To Be");
        let counts = driver.output(&WORD_COUNTS).read_key_values();
        assert_eq!(counts.get("to"), Some(&2));
        assert_eq!(counts.get("be"), Some(&2));
        assert_eq!(counts.get("or"), Some(&1));
    }
}
