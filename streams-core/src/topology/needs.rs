//! What a topology needs of the topics of a cluster: which internal topics, and by which rules their partitions are counted.
//!
//! In: the arena, once. Out: plain data that can be written to a file, and with the partition counts of the input topics the
//! internal topics. So who has no program, but its description, plans the same topics that the program would create.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::copartition::Counts;
use super::internal_topic::{
    TopicDefaults, changelog_config, changelog_topic_name, internal_topic_name, repartition_topic_config,
};
use super::plan::TopicCounts;
use super::validate::{name_fault, validate_name};
use super::{
    NodeKind, PlannedTopic, SinkTopic, SourceTopic, StoreKind, SubTopology, TopicKind, Topology,
    TopologyError,
};

/// The topics of a topology, without the application's prefix, and what decides how they must be.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TopicNeeds {
    /// Sub-topologies by id.
    pub(super) parts: Vec<PartNeeds>,
    /// Repartition topics, with the number of partitions if it is enforced.
    pub(super) repartition_topics: BTreeMap<Arc<str>, Option<i32>>,
    /// Topics that are read together.
    pub(super) copartition_groups: Vec<Vec<Arc<str>>>,
    /// Patterns of sources: which topics they read is known on a cluster only.
    patterns: Vec<Arc<str>>,
    /// Sinks that choose the topic for each record; none in files of older versions, which did not say.
    #[serde(default)]
    dynamic_sinks: Vec<Arc<str>>,
}

/// Those of a sub-topology.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PartNeeds {
    pub(super) source_topics: Vec<SourceTopic>,
    pub(super) sink_topics: Vec<SourceTopic>,
    global: Option<Arc<str>>,
    changelogs: Vec<ChangelogNeeds>,
}

/// The changelog of a store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ChangelogNeeds {
    store: Arc<str>,
    kind: StoreKind,
    config: BTreeMap<String, String>,
}

/// Partition counts of all topics that tasks read.
pub(super) struct Counted<'a> {
    repartition: Counts,
    external: TopicCounts<'a>,
}

impl Counted<'_> {
    pub(super) fn of(&self, topic: &SourceTopic) -> i32 {
        let count = match topic.internal {
            true => self.repartition.get(&topic.name).copied(),
            false => (self.external)(&topic.name),
        };
        count.unwrap_or(0)
    }

    /// Number of tasks of a sub-topology that reads these.
    pub(super) fn tasks(&self, sources: &[SourceTopic]) -> i32 {
        sources.iter().map(|topic| self.of(topic)).max().unwrap_or(0)
    }
}

impl Topology {
    /// What it needs of the topics of a cluster.
    pub fn topic_needs(&self) -> TopicNeeds {
        let part = |part: SubTopology| {
            let logged = part.stores.iter().map(|id| self.store(*id));
            let logged =
                logged.filter(|store| store.logging && !store.global && store.source_topic.is_none());
            let changelogs = logged.map(|store| ChangelogNeeds {
                store: store.name.clone(),
                kind: store.kind,
                config: store.changelog_config.clone(),
            });
            PartNeeds {
                changelogs: changelogs.collect(),
                source_topics: part.source_topics,
                sink_topics: part.sink_topics,
                global: part.global,
            }
        };
        let patterns = self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Source { pattern, .. } => Some(pattern.as_ref()?.as_str().into()),
            NodeKind::Processor { .. } | NodeKind::Sink { .. } => None,
        });
        let dynamic_sinks = self
            .nodes
            .iter()
            .filter(|node| matches!(&node.kind, NodeKind::Sink { topic: SinkTopic::Dynamic(_), .. }));
        let repartition = self.repartition_topics.iter();
        TopicNeeds {
            parts: self.subtopologies().into_iter().map(part).collect(),
            repartition_topics: repartition.map(|(name, topic)| (name.clone(), topic.partitions)).collect(),
            copartition_groups: self.copartition_groups.clone(),
            patterns: patterns.collect(),
            dynamic_sinks: dynamic_sinks.map(|node| node.name.clone()).collect(),
        }
    }

    /// Input topics that do not exist, by sub-topology id. Topics of global stores are not among them.
    pub fn missing_source_topics(&self, counts: TopicCounts<'_>) -> BTreeMap<u32, Vec<Arc<str>>> {
        self.topic_needs().missing_source_topics(counts)
    }
}

impl TopicNeeds {
    /// Patterns of sources: which topics they read is known on a cluster only.
    pub fn patterns(&self) -> &[Arc<str>] {
        &self.patterns
    }

    /// Names of the sinks that choose the topic for each record: which topics they write is known when they do only.
    pub fn dynamic_sinks(&self) -> &[Arc<str>] {
        &self.dynamic_sinks
    }

    /// Topics that it reads and does not make itself, those of global stores included, by name.
    pub fn input_topics(&self) -> Vec<&str> {
        let sources = self.parts.iter().flat_map(|part| &part.source_topics);
        let sources = sources.filter(|topic| !topic.internal).map(|topic| &*topic.name);
        let mut names: Vec<&str> =
            sources.chain(self.parts.iter().filter_map(|part| part.global.as_deref())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Topics that it always writes and does not make itself, by name. Topics that are chosen for each record are not known.
    pub fn output_topics(&self) -> Vec<&str> {
        let sinks = self.parts.iter().flat_map(|part| &part.sink_topics).filter(|topic| !topic.internal);
        let mut names: Vec<&str> = sinks.map(|topic| &*topic.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The internal topics, by name. `counts` says how many partitions each input topic has; `defaults` are the application's
    /// settings for internal topics.
    ///
    /// # Errors
    /// Input topics that do not exist; topics that are read together and differ in partition counts.
    pub fn plan(
        &self,
        application_id: &str,
        counts: TopicCounts<'_>,
        defaults: &TopicDefaults,
    ) -> Result<Vec<PlannedTopic>, TopologyError> {
        self.internal_topics(application_id, &self.counted(counts)?, defaults)
    }

    /// The partition counts of all topics that are read.
    pub(super) fn counted<'a>(&self, external: TopicCounts<'a>) -> Result<Counted<'a>, TopologyError> {
        let missing = self.missing_source_topics(external);
        if !missing.is_empty() {
            return Err(missing_topics_error(&missing));
        }
        Ok(Counted { repartition: self.repartition_counts(external)?, external })
    }

    pub(super) fn internal_topics(
        &self,
        application_id: &str,
        counted: &Counted<'_>,
        defaults: &TopicDefaults,
    ) -> Result<Vec<PlannedTopic>, TopologyError> {
        let mut planned: BTreeMap<Arc<str>, PlannedTopic> = BTreeMap::new();
        let mut add = |name: String, kind, partitions, config| {
            let name: Arc<str> = name.into();
            planned.insert(name.clone(), PlannedTopic { name, kind, partitions, config });
        };
        for part in &self.parts {
            for topic in part.source_topics.iter().filter(|topic| topic.internal) {
                let config = repartition_topic_config(&defaults.properties);
                let name = internal_topic_name(application_id, &topic.name);
                add(name, TopicKind::Repartition, counted.of(topic), config);
            }
            let tasks = counted.tasks(&part.source_topics);
            for store in part.changelogs.iter().filter(|_| tasks > 0) {
                let config = changelog_config(store.kind, &store.config, defaults);
                add(changelog_topic_name(application_id, &store.store), TopicKind::Changelog, tasks, config);
            }
        }
        if !planned.is_empty() {
            validate_name(application_id)
                .map_err(|error| TopologyError::new(format!("application.id: {}", error.faults.join(" "))))?;
        }
        let named = planned.keys().filter_map(|name| name_fault(name));
        let faults: Vec<String> = named.map(|fault| format!("internal topic: {fault}")).collect();
        if !faults.is_empty() {
            return Err(TopologyError { faults });
        }
        Ok(planned.into_values().collect())
    }

    fn missing_source_topics(&self, counts: TopicCounts<'_>) -> BTreeMap<u32, Vec<Arc<str>>> {
        let missing = |(id, part): (u32, &PartNeeds)| {
            let external = part.source_topics.iter().filter(|topic| !topic.internal);
            let missing = external.filter(|topic| counts(&topic.name).is_none_or(|count| count < 1));
            let missing: Vec<Arc<str>> = missing.map(|topic| topic.name.clone()).collect();
            (!missing.is_empty()).then_some((id, missing))
        };
        (0..).zip(&self.parts).filter_map(missing).collect()
    }
}

fn missing_topics_error(missing: &BTreeMap<u32, Vec<Arc<str>>>) -> TopologyError {
    let faults = missing.iter().map(|(part, topics)| {
        let listed = topics.iter().map(|topic| format!("`{topic}`")).collect::<Vec<_>>().join(", ");
        let (word, verb, it) =
            if topics.len() == 1 { ("topic", "does", "it") } else { ("topics", "do", "them") };
        format!(
            "source {word} {listed} (sub-topology {part}) {verb} not exist: create {it}, then start again"
        )
    });
    TopologyError { faults: faults.collect() }
}
