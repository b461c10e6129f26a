//! Before the first record: the source topics are looked at, the internal topics created, or checked where they
//! exist. Nothing that exists is ever altered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::StreamsError;
use crate::client::{Admin, AdminTopic, ClientError, Fault, NewTopic};
use crate::config::StreamsConfig;
use crate::topology::{TopicDefaults, TopicPlan, Topology};

/// Deadline of one admin call.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a topic that this or another instance has just created is looked at again, until every broker shows it.
const CREATE_ATTEMPTS: u32 = 50;
/// Pause between two looks.
const CREATE_PAUSE: Duration = Duration::from_millis(200);

/// Looks at the source topics, plans tasks and internal topics, and makes the latter exist.
pub(crate) fn prepare(
    admin: &mut dyn Admin,
    topology: &Topology,
    config: &StreamsConfig,
    at: &str,
) -> Result<TopicPlan, StreamsError> {
    let counts = source_counts(admin, &external_sources(topology), at)?;
    let plan = topology.plan(
        &config.application_id,
        &|topic| counts.get(topic).copied(),
        &TopicDefaults {
            properties: config.topic_properties.clone(),
            window_additional_retention_ms: i64::try_from(
                config.window_store_additional_retention.as_millis(),
            )
            .unwrap_or(i64::MAX),
        },
    )?;
    ensure(admin, &plan, config)?;
    Ok(plan)
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
    let counts = source_counts(admin, &topics, at)?;
    let partitions = |topic: &String| {
        let count = counts.get(topic).copied().unwrap_or(0);
        (0..count).map(|partition| TopicPartition::new(topic.as_str(), partition)).collect::<Vec<_>>()
    };
    Ok(topics.iter().flat_map(partitions).collect())
}

/// Topics that the application reads and does not make itself.
fn external_sources(topology: &Topology) -> Vec<String> {
    let subtopologies = topology.subtopologies();
    let topics = subtopologies.iter().flat_map(|part| &part.source_topics).filter(|topic| !topic.internal);
    topics.map(|topic| topic.name.to_string()).collect()
}

fn source_counts(
    admin: &mut dyn Admin,
    sources: &[String],
    at: &str,
) -> Result<HashMap<String, i32>, StreamsError> {
    let found = describe(admin, sources)?;
    let mut counts = HashMap::new();
    for (topic, found) in sources.iter().zip(found) {
        match found {
            Some(found) => counts.insert(topic.clone(), found.partitions),
            None => return Err(StreamsError::MissingSourceTopic { topic: topic.clone(), at: at.to_owned() }),
        };
    }
    Ok(counts)
}

fn describe(admin: &mut dyn Admin, topics: &[String]) -> Result<Vec<Option<AdminTopic>>, StreamsError> {
    admin
        .describe_topics(topics, ADMIN_TIMEOUT)
        .map_err(|error| StreamsError::client("looking at the topics of the application", error))
}

/// Creates the internal topics that are missing and checks the partition counts of the others.
fn ensure(admin: &mut dyn Admin, plan: &TopicPlan, config: &StreamsConfig) -> Result<(), StreamsError> {
    let names: Vec<String> = plan.internal_topics.iter().map(|topic| topic.name.to_string()).collect();
    let mut last_refusal: Option<ClientError> = None;
    for attempt in 0..CREATE_ATTEMPTS {
        if attempt > 1 {
            std::thread::sleep(CREATE_PAUSE);
        }
        let mut missing = Vec::new();
        for (planned, found) in plan.internal_topics.iter().zip(describe(admin, &names)?) {
            match found {
                Some(found) if found.partitions != planned.partitions => {
                    return Err(StreamsError::InternalTopicMismatch {
                        topic: found.name,
                        found: found.partitions,
                        needed: planned.partitions,
                    });
                }
                Some(_) => {}
                None => missing.push(NewTopic {
                    name: planned.name.to_string(),
                    partitions: planned.partitions,
                    replication_factor: config.replication_factor,
                    config: planned.config.clone(),
                }),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        last_refusal = create(admin, &missing)?.or(last_refusal);
    }
    let error = last_refusal.unwrap_or_else(|| {
        ClientError::new(Fault::Unknown, "create internal topics", "they were created but do not show up")
    });
    Err(StreamsError::client("creating the internal topics", error))
}

/// Asks for the topics once. A topic that another instance created meanwhile is fine; the caller looks again.
fn create(admin: &mut dyn Admin, missing: &[NewTopic]) -> Result<Option<ClientError>, StreamsError> {
    let answers = admin
        .create_topics(missing, ADMIN_TIMEOUT)
        .map_err(|error| StreamsError::client("creating the internal topics", error))?;
    let mut refusal = None;
    for answer in answers {
        match answer {
            Ok(()) => {}
            Err(error) => match error.fault {
                Fault::AlreadyExists => {}
                Fault::Retriable | Fault::Unknown | Fault::Unreachable => refusal = Some(error),
                Fault::AbortTransaction
                | Fault::ProducerFenced
                | Fault::NotInGroup
                | Fault::QueueFull
                | Fault::OffsetOutOfRange
                | Fault::UnknownTopic
                | Fault::Denied
                | Fault::BadRecord
                | Fault::ClientDead
                | Fault::Invalid => return Err(StreamsError::client("creating the internal topics", error)),
            },
        }
    }
    Ok(refusal)
}
