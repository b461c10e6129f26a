//! What an application must be allowed on a cluster that authorizes: the least set of ACLs.
//!
//! In: the snapshot of a topology and who runs it how. Out: the entries, sorted. Kafka's authorizer takes `Describe` as given to whom it
//! gives `Read`, `Write` or `Delete`, so that it is in no entry.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::internal_topic::internal_topic_name;
use super::{TopicNeeds, TopologyError, TopologySnapshot};

/// How the application runs, and what of its topics the topology does not know.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AccessOptions {
    /// `application.id`.
    pub application_id: String,
    /// `processing.guarantee` is exactly once.
    pub exactly_once: bool,
    /// Topics that match the patterns of its sources.
    pub also_reads: BTreeSet<String>,
    /// Topics that its sinks choose, and its dead-letter topic.
    pub also_writes: BTreeSet<String>,
}

/// What an ACL is about, under Kafka's names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum AclResource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
}

/// What is allowed there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum AclOperation {
    /// To create it.
    Create,
    /// To read it; of a group, to be a member and to commit.
    Read,
    /// To write it; of a transactional id, to use it.
    Write,
    /// To delete its records.
    Delete,
}

/// An entry: this operation on this resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Acl {
    /// Kind of the resource.
    pub resource: AclResource,
    /// Its name, or how its names begin.
    pub name: String,
    /// Whether it stands for all names that begin so.
    pub prefixed: bool,
    /// What is allowed.
    pub operation: AclOperation,
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.prefixed { "*" } else { "" };
        write!(f, "{:?} on {:?} {}{star}", self.operation, self.resource, self.name)
    }
}

impl TopologySnapshot {
    /// The least set of ACLs with which the application runs: it creates its internal topics, processes, restores, and deletes what it
    /// has read of its repartition topics. None of them can be left out, none is for a tool (reset, dead letters).
    ///
    /// # Errors
    /// The snapshot was written by an older version of this library; topics that only run time knows are not named in `options`.
    pub fn acls(&self, options: &AccessOptions) -> Result<Vec<Acl>, TopologyError> {
        let topics = self.topics.as_ref().ok_or_else(|| {
            TopologyError::new(
                "the snapshot was written by an older version of this library; write it again".to_owned(),
            )
        })?;
        let mut faults = Vec::new();
        if options.also_reads.is_empty() {
            faults.extend(topics.patterns().iter().map(|pattern| {
                format!("which topics match the pattern `{pattern}` is known on a cluster only: name those that it shall read")
            }));
        }
        if options.also_writes.is_empty() {
            faults.extend(topics.dynamic_sinks().iter().map(|sink| {
                format!("sink `{sink}` chooses the topic for each record: name those that it shall write")
            }));
        }
        if !faults.is_empty() {
            return Err(TopologyError { faults });
        }
        Ok(self.least_acls(topics, options))
    }

    fn least_acls(&self, topics: &TopicNeeds, options: &AccessOptions) -> Vec<Acl> {
        use AclOperation::{Create, Delete, Read, Write};
        let mut acls = BTreeSet::new();
        let mut add = |resource, name: &str, prefixed, operations: &[AclOperation]| {
            acls.extend(operations.iter().map(|operation| Acl {
                resource,
                name: name.to_owned(),
                prefixed,
                operation: *operation,
            }));
        };
        let id = options.application_id.as_str();
        let inputs = topics.input_topics();
        for topic in inputs.iter().copied().chain(options.also_reads.iter().map(String::as_str)) {
            add(AclResource::Topic, topic, false, &[Read]);
        }
        for topic in topics.output_topics().into_iter().chain(options.also_writes.iter().map(String::as_str))
        {
            add(AclResource::Topic, topic, false, &[Write]);
        }
        for topic in self.repartition_topics.keys() {
            add(AclResource::Topic, &internal_topic_name(id, topic), false, &[Create, Read, Write, Delete]);
        }
        // A store that is backed by a topic which the application reads has no changelog of its own.
        let changelogs = self.stores.values().filter_map(|store| store.changelog.as_ref());
        for topic in changelogs.filter(|topic| !inputs.contains(&topic.as_str())) {
            add(AclResource::Topic, &internal_topic_name(id, topic), false, &[Create, Read, Write]);
        }
        add(AclResource::Group, id, false, &[Read]);
        if options.exactly_once {
            add(AclResource::TransactionalId, &format!("{id}-"), true, &[Write]);
        }
        acls.into_iter().collect()
    }
}
