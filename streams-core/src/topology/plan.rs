//! The plan of an application on a cluster: internal topics with partition counts, tasks, and what each task reads.
//!
//! In: the topology and the partition counts of its input topics. Out: a [`TopicPlan`], the same on every instance.
//! Asks the cluster nothing by itself, and creates nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use streams_state::types::{TaskId, TopicPartition};

use super::internal_topic::{
    TopicDefaults, changelog_topic_config, internal_topic_name, repartition_topic_config,
};
use super::validate::{name_fault, validate_name};
use super::{
    NodeKind, OffsetReset, PlannedTopic, SourceTopic, StoreId, SubTopology, TopicKind, Topology,
    TopologyError,
};

/// Says how many partitions a topic has; `None` if it does not exist.
pub type TopicCounts<'a> = &'a dyn Fn(&str) -> Option<i32>;

/// What an application needs of a cluster, and how its work is divided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicPlan {
    /// `application.id`.
    pub application_id: Arc<str>,
    /// Internal topics by name: they must exist with these counts before tasks run.
    pub internal_topics: Vec<PlannedTopic>,
    /// All tasks, in order.
    pub tasks: Vec<TaskId>,
    /// The sub-topologies, by id.
    pub subtopologies: Vec<SubTopology>,
    /// Partition counts of all topics that tasks read, by full name.
    pub source_counts: BTreeMap<Arc<str>, i32>,
    /// For each sub-topology the full names of the topics that it reads, in order.
    sources: Vec<Vec<Arc<str>>>,
    /// For each sub-topology its logged stores and the full names of their changelogs.
    changelogs: Vec<Vec<(StoreId, Arc<str>)>>,
}

impl TopicPlan {
    /// The partitions that a task reads, by topic. Empty if there is no such task.
    pub fn partitions_of_task(&self, task: TaskId) -> Vec<TopicPartition> {
        let sources = self.sources.get(task.subtopology as usize).map_or(&[][..], Vec::as_slice);
        let owns = |topic: &&Arc<str>| {
            self.source_counts.get(*topic).is_some_and(|count| (0..*count).contains(&task.partition))
        };
        sources.iter().filter(owns).map(|topic| TopicPartition::new(topic.clone(), task.partition)).collect()
    }

    /// The stores of a task that are backed by a topic, and the partition that backs each.
    pub fn changelogs_of_task(&self, task: TaskId) -> Vec<(StoreId, TopicPartition)> {
        let changelogs = self.changelogs.get(task.subtopology as usize).map_or(&[][..], Vec::as_slice);
        changelogs
            .iter()
            .map(|(store, topic)| (*store, TopicPartition::new(topic.clone(), task.partition)))
            .collect()
    }

    /// The task that reads this partition.
    pub fn task_of_partition(&self, partition: &TopicPartition) -> Option<TaskId> {
        let reads = |sources: &Vec<Arc<str>>| sources.contains(&partition.topic);
        let count = *self.source_counts.get(&partition.topic)?;
        let subtopology = self.sources.iter().position(reads)? as u32;
        (0..count)
            .contains(&partition.partition)
            .then_some(TaskId { subtopology, partition: partition.partition })
    }

    /// The last of `partitions` that no task reads although tasks read its topic: the topic has grown. With it the number of
    /// partitions that was planned with.
    pub fn grown<'a>(&self, partitions: &'a [TopicPartition]) -> Option<(&'a TopicPartition, i32)> {
        let counted = partitions.iter().filter_map(|it| Some((it, *self.source_counts.get(&it.topic)?)));
        counted.filter(|(it, count)| it.partition >= *count).max_by_key(|(it, _)| it.partition)
    }

    /// Number of tasks of a sub-topology.
    pub fn tasks_of_subtopology(&self, subtopology: u32) -> usize {
        self.tasks.iter().filter(|task| task.subtopology == subtopology).count()
    }
}

impl SourceTopic {
    /// Name in the cluster: with the application's prefix if it is a repartition topic.
    pub fn full_name(&self, application_id: &str) -> Arc<str> {
        if self.internal { internal_topic_name(application_id, &self.name).into() } else { self.name.clone() }
    }
}

impl Topology {
    /// Full names of all topics that tasks read, sorted: what the consumer group subscribes to.
    pub fn source_topic_names(&self, application_id: &str) -> Vec<String> {
        let subtopologies = self.subtopologies();
        let topics = subtopologies.iter().flat_map(|part| &part.source_topics);
        let names: BTreeSet<String> =
            topics.map(|topic| topic.full_name(application_id).to_string()).collect();
        names.into_iter().collect()
    }

    /// The reset policy of the source that reads the topic of this full name; `None` leaves it to the consumer's
    /// `auto.offset.reset`.
    pub fn offset_reset(&self, application_id: &str, topic: &str) -> Option<OffsetReset> {
        self.nodes.iter().find_map(|node| match &node.kind {
            NodeKind::Source { topics, offset_reset, .. } => topics
                .iter()
                .any(|source| &*source.full_name(application_id) == topic)
                .then_some(*offset_reset)
                .flatten(),
            NodeKind::Processor { .. } | NodeKind::Sink { .. } => None,
        })
    }

    /// Input topics that do not exist, by sub-topology id. Topics of global stores are not among them.
    pub fn missing_source_topics(&self, counts: TopicCounts<'_>) -> BTreeMap<u32, Vec<Arc<str>>> {
        self.subtopologies()
            .iter()
            .filter_map(|part| {
                let external = part.source_topics.iter().filter(|topic| !topic.internal);
                let missing: Vec<Arc<str>> = external
                    .filter(|topic| counts(&topic.name).is_none_or(|count| count < 1))
                    .map(|topic| topic.name.clone())
                    .collect();
                (!missing.is_empty()).then_some((part.id, missing))
            })
            .collect()
    }

    /// Plans internal topics and tasks. `counts` says how many partitions each input topic has; `topic_defaults`
    /// are the application's settings for internal topics.
    ///
    /// # Errors
    /// Input topics that do not exist; topics that are read together and differ in partition counts.
    pub fn plan(
        &self,
        application_id: &str,
        counts: TopicCounts<'_>,
        topic_defaults: &TopicDefaults,
    ) -> Result<TopicPlan, TopologyError> {
        let missing = self.missing_source_topics(counts);
        if !missing.is_empty() {
            return Err(missing_topics_error(&missing));
        }
        let subtopologies = self.subtopologies();
        let repartition = self.repartition_counts(&subtopologies, counts)?;
        let count_of = |topic: &SourceTopic| -> i32 {
            if topic.internal { repartition.get(&topic.name).copied() } else { counts(&topic.name) }
                .unwrap_or(0)
        };

        let mut plan = TopicPlan {
            application_id: application_id.into(),
            internal_topics: Vec::new(),
            tasks: Vec::new(),
            source_counts: BTreeMap::new(),
            sources: Vec::new(),
            changelogs: Vec::new(),
            subtopologies: Vec::new(),
        };
        for part in &subtopologies {
            let tasks = part.source_topics.iter().map(count_of).max().unwrap_or(0);
            plan.tasks.extend((0..tasks).map(|partition| TaskId { subtopology: part.id, partition }));
            let mut sources = Vec::new();
            for topic in &part.source_topics {
                let name = topic.full_name(application_id);
                plan.source_counts.insert(name.clone(), count_of(topic));
                sources.push(name);
            }
            plan.sources.push(sources);
            self.plan_repartition_topics(part, &count_of, topic_defaults, &mut plan);
            self.plan_changelogs(part, tasks, topic_defaults, &mut plan);
        }
        if !plan.internal_topics.is_empty() {
            validate_name(application_id)
                .map_err(|error| TopologyError::new(format!("application.id: {}", error.faults.join(" "))))?;
        }
        let named = plan.internal_topics.iter().filter_map(|topic| name_fault(&topic.name));
        let faults: Vec<String> = named.map(|fault| format!("internal topic: {fault}")).collect();
        if !faults.is_empty() {
            return Err(TopologyError { faults });
        }
        plan.internal_topics.sort_by(|one, two| one.name.cmp(&two.name));
        plan.subtopologies = subtopologies;
        Ok(plan)
    }

    fn plan_repartition_topics(
        &self,
        part: &SubTopology,
        count_of: &dyn Fn(&SourceTopic) -> i32,
        topic_defaults: &TopicDefaults,
        plan: &mut TopicPlan,
    ) {
        for topic in part.source_topics.iter().filter(|topic| topic.internal) {
            let name = topic.full_name(&plan.application_id);
            if plan.internal_topics.iter().all(|known| known.name != name) {
                plan.internal_topics.push(PlannedTopic {
                    name,
                    kind: TopicKind::Repartition,
                    partitions: count_of(topic),
                    config: repartition_topic_config(&topic_defaults.properties),
                });
            }
        }
    }

    fn plan_changelogs(
        &self,
        part: &SubTopology,
        tasks: i32,
        topic_defaults: &TopicDefaults,
        plan: &mut TopicPlan,
    ) {
        let mut changelogs = Vec::new();
        for id in &part.stores {
            let store = self.store(*id);
            let Some(topic) = store.changelog_topic(&plan.application_id) else { continue };
            let topic: Arc<str> = topic.into();
            changelogs.push((*id, topic.clone()));
            if store.source_topic.is_none() && tasks > 0 {
                plan.internal_topics.push(PlannedTopic {
                    name: topic,
                    kind: TopicKind::Changelog,
                    partitions: tasks,
                    config: changelog_topic_config(store, topic_defaults),
                });
            }
        }
        plan.changelogs.push(changelogs);
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

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
