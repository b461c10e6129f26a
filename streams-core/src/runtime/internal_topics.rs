//! Before the first record: the source topics are looked at, the internal topics created, or checked where they
//! exist. Nothing that exists is ever altered.

use std::collections::HashMap;
use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::StreamsError;
use super::local_state::{LocalState, TopicIds};
use crate::client::{Admin, AdminTopic, NewTopic};
use crate::config::StreamsConfig;
use crate::topics::{ADMIN_TIMEOUT, TopicsError, WantedTopic, make_exist, topic_defaults};
use crate::topology::{TopicKind, TopicPlan, Topology};

impl From<TopicsError> for StreamsError {
    fn from(error: TopicsError) -> Self {
        match error {
            TopicsError::Topology(error) => Self::Topology(error),
            TopicsError::Client { doing, source } => Self::client(doing, source),
        }
    }
}

/// Looks at the source topics, plans tasks and internal topics, and makes the latter exist.
pub(crate) fn prepare(
    admin: &mut dyn Admin,
    topology: &Topology,
    config: &StreamsConfig,
    at: &str,
    local: &LocalState<'_>,
) -> Result<(TopicPlan, TopicIds), StreamsError> {
    let sources = sources(admin, &external_sources(topology), at)?;
    let counts: HashMap<&str, i32> =
        sources.iter().map(|topic| (topic.name.as_str(), topic.partitions)).collect();
    let plan = topology.plan(
        &config.application_id,
        &|topic| counts.get(topic).copied(),
        &topic_defaults(config),
    )?;
    let internal = ensure(admin, &plan, config, local)?;
    let ids = sources.into_iter().chain(internal);
    let ids = ids.filter_map(|topic| Some((topic.name, topic.id?))).collect();
    Ok((plan, ids))
}

/// The topology with the topics that its patterns match now.
pub(crate) fn resolve(
    admin: &mut dyn Admin,
    topology: Arc<Topology>,
    config: &StreamsConfig,
) -> Result<Arc<Topology>, StreamsError> {
    if !topology.has_patterns() {
        return Ok(topology);
    }
    let existing = admin
        .list_topics(ADMIN_TIMEOUT)
        .map_err(|error| StreamsError::client("looking for topics that match a pattern", error))?;
    Ok(Arc::new(topology.resolve_patterns(&config.application_id, &existing)?))
}

/// All partitions of the topics of global stores.
pub(crate) fn global_inputs(
    admin: &mut dyn Admin,
    plan: &TopicPlan,
    at: &str,
) -> Result<Vec<TopicPartition>, StreamsError> {
    let topics: Vec<String> =
        plan.subtopologies.iter().filter_map(|part| part.global.as_deref().map(str::to_owned)).collect();
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let partitions = |topic: &AdminTopic| {
        let name = topic.name.clone();
        (0..topic.partitions).map(move |partition| TopicPartition::new(name.as_str(), partition))
    };
    Ok(sources(admin, &topics, at)?.iter().flat_map(partitions).collect())
}

/// Topics that the application reads and does not make itself.
fn external_sources(topology: &Topology) -> Vec<String> {
    let subtopologies = topology.subtopologies();
    let topics = subtopologies.iter().flat_map(|part| &part.source_topics).filter(|topic| !topic.internal);
    topics.map(|topic| topic.name.to_string()).collect()
}

/// A source topic that is not there any more, or is another one than it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GoneSource {
    topic: String,
    /// There is one of this name again.
    anew: bool,
}

impl GoneSource {
    /// What ends the threads that read it at `at`.
    pub(crate) fn error(&self, at: String) -> StreamsError {
        let topic = self.topic.clone();
        match self.anew {
            false => StreamsError::MissingSourceTopic { topic, at },
            true => StreamsError::IllegalState(format!(
                "source topic `{topic}` was deleted and created anew at {at} while it was read; what was committed of the old \
                 one is gone: start again to read the new one from where its reset policy says, beside the state that the \
                 old one left, or reset the application first"
            )),
        }
    }
}

/// The first source topic that is not the one any more whose id is in `ids`.
pub(crate) fn gone_source(
    admin: &mut dyn Admin,
    topology: &Topology,
    ids: &TopicIds,
) -> Result<Option<GoneSource>, StreamsError> {
    let names = external_sources(topology);
    let gone = |(topic, found): (String, Option<AdminTopic>)| match found {
        None => Some(GoneSource { topic, anew: false }),
        Some(found) => {
            let known = ids.get(&topic).copied();
            let anew = known.is_some() && found.id.is_some() && found.id != known;
            anew.then_some(GoneSource { topic, anew })
        }
    };
    let found = describe(admin, &names)?;
    Ok(names.into_iter().zip(found).find_map(gone))
}

/// What the cluster says of these topics; all must be there.
fn sources(admin: &mut dyn Admin, names: &[String], at: &str) -> Result<Vec<AdminTopic>, StreamsError> {
    let missing =
        |topic: &String| StreamsError::MissingSourceTopic { topic: topic.clone(), at: at.to_owned() };
    let found = describe(admin, names)?;
    names.iter().zip(found).map(|(topic, found)| found.ok_or_else(|| missing(topic))).collect()
}

fn describe(admin: &mut dyn Admin, topics: &[String]) -> Result<Vec<Option<AdminTopic>>, StreamsError> {
    admin
        .describe_topics(topics, ADMIN_TIMEOUT)
        .map_err(|error| StreamsError::client("looking at the topics of the application", error))
}

/// Creates the internal topics that are missing and checks the partition counts of the others. A changelog that `local` state came
/// from must not be missing.
fn ensure(
    admin: &mut dyn Admin,
    plan: &TopicPlan,
    config: &StreamsConfig,
    local: &LocalState<'_>,
) -> Result<Vec<AdminTopic>, StreamsError> {
    let wanted: Vec<NewTopic> = plan
        .internal_topics
        .iter()
        .map(|topic| WantedTopic::internal(topic, config).to_new_topic())
        .collect();
    make_exist(admin, &wanted, &mut |attempt, found| {
        let mut changelogs = Vec::new();
        for (planned, found) in plan.internal_topics.iter().zip(found) {
            match found {
                Some(found) if found.partitions != planned.partitions => {
                    return Err(StreamsError::InternalTopicMismatch {
                        topic: found.name.clone(),
                        found: found.partitions,
                        needed: planned.partitions,
                    });
                }
                None if planned.kind == TopicKind::Changelog => changelogs.push(&*planned.name),
                Some(_) | None => {}
            }
        }
        if attempt == 0 { Ok(local.misses(&changelogs)?) } else { Ok(()) }
    })
}
