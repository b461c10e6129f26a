//! Partition counts of repartition topics: from the topics upstream, then evened out where topics are read together.
//!
//! The rules are those of Kafka Streams: first each repartition topic without a fixed count gets the largest count of
//! the topics that feed it; then each co-partition group is brought to one count. Topics of the user are never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::TopologyError;
use super::needs::{PartNeeds, TopicNeeds};
use super::plan::TopicCounts;

/// Partition counts by name without prefix.
pub(super) type Counts = BTreeMap<Arc<str>, i32>;

impl TopicNeeds {
    /// Partition counts of the repartition topics that are read by sub-topologies.
    pub(super) fn repartition_counts(&self, external: TopicCounts<'_>) -> Result<Counts, TopologyError> {
        let mut counts = self.upstream_counts(external)?;
        let mut faults = Vec::new();
        for group in merged_copartition_groups(&self.copartition_groups) {
            faults.extend(self.enforce(&group, &mut counts, external).err());
        }
        if faults.is_empty() { Ok(counts) } else { Err(TopologyError { faults }) }
    }

    /// Fixpoint: a repartition topic gets the largest count of what feeds it.
    fn upstream_counts(&self, external: TopicCounts<'_>) -> Result<Counts, TopologyError> {
        let read = self.parts.iter().flat_map(|part| &part.source_topics).filter(|topic| topic.internal);
        let read: BTreeSet<&Arc<str>> = read.map(|topic| &topic.name).collect();
        let mut counts: Counts = read
            .iter()
            .filter_map(|name| Some(((*name).clone(), (*self.repartition_topics.get(*name)?)?)))
            .collect();
        let mut open: Vec<&Arc<str>> = read.into_iter().filter(|name| !counts.contains_key(*name)).collect();
        // Topics whose feeders are all known first; a cycle takes what is known.
        while !open.is_empty() {
            let complete = self.settle(&mut open, &mut counts, external, true);
            if !complete && !self.settle(&mut open, &mut counts, external, false) {
                let listed = open.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                return Err(TopologyError::new(format!(
                    "the number of partitions of {listed} cannot be found: nothing that exists feeds it; give it a \
                     number with `Repartitioned`, or write to it from a topic that exists"
                )));
            }
        }
        Ok(counts)
    }

    /// One round of the fixpoint. Returns whether a topic got its count.
    fn settle(
        &self,
        open: &mut Vec<&Arc<str>>,
        counts: &mut Counts,
        external: TopicCounts<'_>,
        all_feeders: bool,
    ) -> bool {
        let mut found = Vec::new();
        for name in open.iter() {
            let writes = |part: &&PartNeeds| {
                part.sink_topics.iter().any(|topic| topic.internal && topic.name == **name)
            };
            let feeders: Vec<Option<i32>> =
                self.parts
                    .iter()
                    .filter(writes)
                    .flat_map(|part| &part.source_topics)
                    .map(|topic| {
                        if topic.internal { counts.get(&topic.name).copied() } else { external(&topic.name) }
                    })
                    .collect();
            if !all_feeders || feeders.iter().all(Option::is_some) {
                found.extend(feeders.into_iter().flatten().max().map(|count| ((*name).clone(), count)));
            }
        }
        let progress = !found.is_empty();
        counts.extend(found);
        open.retain(|name| !counts.contains_key(*name));
        progress
    }

    /// Brings the repartition topics of `group` to one count, or says why that cannot be.
    fn enforce(
        &self,
        group: &BTreeSet<Arc<str>>,
        counts: &mut Counts,
        external: TopicCounts<'_>,
    ) -> Result<(), String> {
        let (internal, outside): (Vec<&Arc<str>>, Vec<&Arc<str>>) =
            group.iter().partition(|topic| counts.contains_key(*topic));
        let fixed = |name: &Arc<str>| self.repartition_topics.get(name).copied().flatten();
        let outside: Counts =
            outside.into_iter().map(|name| (name.clone(), external(name).unwrap_or(0))).collect();
        let enforced: Counts =
            internal.iter().filter_map(|name| Some(((*name).clone(), fixed(name)?))).collect();
        let largest = || internal.iter().filter_map(|name| counts.get(*name).copied()).max();

        let decided = match (same_count(&outside), same_count(&enforced)) {
            (Uniform::Different, _) => {
                return Err(format!(
                    "topics that are joined or merged by key need the same number of partitions, but have: {}; \
                     recreate one with the other's number, or insert a repartition() before the join",
                    listed(&outside)
                ));
            }
            (Uniform::One(count), _) => count,
            (Uniform::Empty, Uniform::Different) => {
                return Err(format!(
                    "repartition topics that are joined by key were given different numbers of partitions: {}; \
                     give all of them the same number in `Repartitioned`, or none",
                    listed(&enforced)
                ));
            }
            (Uniform::Empty, Uniform::One(count)) => count,
            (Uniform::Empty, Uniform::Empty) => match largest() {
                Some(count) => count,
                None => return Ok(()),
            },
        };
        let wrong: Counts = enforced.into_iter().filter(|(_, count)| *count != decided).collect();
        if !wrong.is_empty() {
            return Err(format!(
                "repartition topics were given numbers of partitions ({}) that differ from the {decided} of the topics \
                 that they are joined with ({}); change the number in `Repartitioned`, or leave it out",
                listed(&wrong),
                listed(&outside)
            ));
        }
        for name in internal.into_iter().cloned().collect::<Vec<_>>() {
            counts.insert(name, decided);
        }
        Ok(())
    }
}

/// Co-partition groups, those that share a topic merged.
pub(super) fn merged_copartition_groups(groups: &[Vec<Arc<str>>]) -> Vec<BTreeSet<Arc<str>>> {
    let mut merged: Vec<BTreeSet<Arc<str>>> = Vec::new();
    for group in groups {
        let mut group: BTreeSet<Arc<str>> = group.iter().cloned().collect();
        merged.retain_mut(|known| {
            let apart = known.is_disjoint(&group);
            if !apart {
                group.append(known);
            }
            apart
        });
        if !group.is_empty() {
            merged.push(group);
        }
    }
    merged
}

enum Uniform {
    Empty,
    One(i32),
    Different,
}

fn same_count(counts: &Counts) -> Uniform {
    let mut values = counts.values();
    match values.next() {
        None => Uniform::Empty,
        Some(first) if values.all(|other| other == first) => Uniform::One(*first),
        Some(_) => Uniform::Different,
    }
}

fn listed(counts: &Counts) -> String {
    counts.iter().map(|(topic, count)| format!("`{topic}` {count}")).collect::<Vec<_>>().join(", ")
}
