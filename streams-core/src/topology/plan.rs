//! The plan of an application on a cluster: internal topics with partition counts, tasks, and what each task reads.
//!
//! In: the topology and the partition counts of its input topics. Out: a [`TopicPlan`], the same on every instance.
//! Asks the cluster nothing by itself, and creates nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use streams_state::types::{TaskId, TopicPartition};

use super::internal_topic::{TopicDefaults, internal_topic_name};
use super::{
    NodeKind, OffsetReset, PlannedTopic, SourceTopic, StoreId, SubTopology, Topology, TopologyError,
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
        let needs = self.topic_needs();
        let counted = needs.counted(counts)?;
        let mut plan = TopicPlan {
            application_id: application_id.into(),
            internal_topics: needs.internal_topics(application_id, &counted, topic_defaults)?,
            tasks: Vec::new(),
            source_counts: BTreeMap::new(),
            sources: Vec::new(),
            changelogs: Vec::new(),
            subtopologies: self.subtopologies(),
        };
        for part in &plan.subtopologies {
            let tasks = counted.tasks(&part.source_topics);
            plan.tasks.extend((0..tasks).map(|partition| TaskId { subtopology: part.id, partition }));
            let mut sources = Vec::new();
            for topic in &part.source_topics {
                let name = topic.full_name(application_id);
                plan.source_counts.insert(name.clone(), counted.of(topic));
                sources.push(name);
            }
            plan.sources.push(sources);
            let backed = |id: &StoreId| Some((*id, self.store(*id).changelog_topic(application_id)?.into()));
            plan.changelogs.push(part.stores.iter().filter_map(backed).collect());
        }
        Ok(plan)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
