//! What is left to do or to decide on the cluster: nothing, when a run is over.

use std::collections::BTreeMap;

use streams_state::types::TopicPartition;

use super::simulation::Input;
use crate::client::embedded::EmbeddedKafka;

/// Partitions of `input` and of internal topics of which `group` has not committed everything.
pub(super) fn lag(kafka: &EmbeddedKafka, group: &str, input: &[Input]) -> BTreeMap<String, i64> {
    let read = |topic: &str| {
        let internal = topic.ends_with("-repartition") || topic.ends_with("-topic");
        internal || input.iter().any(|record| record.topic == topic)
    };
    let left = partitions(kafka, read).filter_map(|(at, end)| {
        let committed = kafka.committed_offset(group, &at).map_or(0, |committed| committed.offset);
        (end > committed).then(|| (at.to_string(), end - committed))
    });
    left.collect()
}

/// Partitions with records of which nobody knows whether they count.
pub(super) fn undecided(kafka: &EmbeddedKafka) -> Vec<String> {
    let open = partitions(kafka, |_| true).filter_map(|(at, end)| {
        let stable = kafka.stable_offset(&at)?;
        (stable < end).then(|| format!("{at}: {stable} of {end}"))
    });
    open.collect()
}

/// Partitions with their ends.
fn partitions(
    kafka: &EmbeddedKafka,
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (TopicPartition, i64)> {
    let topics = kafka.topics().into_iter().filter(move |topic| wanted(topic));
    topics.flat_map(|topic| {
        let ends = kafka.end_offsets(&topic).unwrap_or_default();
        (0..).zip(ends).map(move |(partition, end)| (TopicPartition::new(topic.as_str(), partition), end))
    })
}
