//! What of a topology outlives a deployment: the names of its topics and stores, as a file that can be kept beside the program.
//!
//! In: the arena. Out: a [`TopologySnapshot`], written as JSON. [`plan_diff`](super::plan_diff) compares two of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{StoreKind, StoreSpec, TopicNeeds, Topology, TopologyDescription, TopologyError};

/// Version of the file's form.
const VERSION: u32 = 1;

/// A topology as far as other deployments of the same application see it.
///
/// ```
/// # use streams_core::{dsl::StreamsBuilder, topic::{Store, Topic}, topology::TopologySnapshot};
/// const WORDS: Topic<String, String> = Topic::new("words");
/// const COUNTS: Store<String, i64> = Store::new("counts");
/// let builder = StreamsBuilder::new();
/// builder.stream(&WORDS).group_by_key().count_with(&COUNTS);
///
/// let snapshot = builder.build()?.snapshot();
/// let kept = snapshot.to_json();
/// assert_eq!(TopologySnapshot::from_json(&kept)?, snapshot);
/// assert!(snapshot.stores.contains_key("counts"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TopologySnapshot {
    version: u32,
    /// Sub-topologies, by id.
    pub subtopologies: Vec<SubtopologySnapshot>,
    /// Stores by name, global ones included.
    pub stores: BTreeMap<String, StoreSnapshot>,
    /// Repartition topics by name without the application's prefix, with the number of partitions if it is enforced.
    pub repartition_topics: BTreeMap<String, Option<i32>>,
    /// What it needs of the topics of a cluster; `None` in files of older versions of this library.
    #[serde(default)]
    pub topics: Option<TopicNeeds>,
    /// The nodes; `None` in files of older versions of this library.
    #[serde(default)]
    pub description: Option<TopologyDescription>,
}

/// A sub-topology: what decides which tasks there are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubtopologySnapshot {
    /// Number of the sub-topology: the first half of its task ids.
    pub id: u32,
    /// Topics that it reads, without the application's prefix.
    pub source_topics: Vec<String>,
    /// Names of its stores.
    pub stores: Vec<String>,
}

/// A store: what decides whether state written by another deployment can be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoreSnapshot {
    /// Shape, in words.
    pub kind: String,
    /// How long windows or versions are kept, in ms.
    pub retention_ms: Option<i64>,
    /// The topic that backs it, without the application's prefix; `None` without one.
    pub changelog: Option<String>,
    /// Every instance has all of it.
    pub global: bool,
}

impl Topology {
    /// The topology as other deployments see it; see [`TopologySnapshot`].
    pub fn snapshot(&self) -> TopologySnapshot {
        let subtopologies = self.subtopologies().into_iter().map(|part| SubtopologySnapshot {
            id: part.id,
            source_topics: part.source_topics.iter().map(|topic| topic.name.to_string()).collect(),
            stores: part.stores.iter().map(|store| self.store(*store).name.to_string()).collect(),
        });
        let stores = self.stores.iter().map(|store| (store.name.to_string(), StoreSnapshot::of(store)));
        let topics = self.repartition_topics.values();
        TopologySnapshot {
            version: VERSION,
            subtopologies: subtopologies.collect(),
            stores: stores.collect(),
            repartition_topics: topics.map(|topic| (topic.name.to_string(), topic.partitions)).collect(),
            topics: Some(self.topic_needs()),
            description: Some(self.describe()),
        }
    }
}

impl TopologySnapshot {
    /// The snapshot as JSON with line breaks, good to be kept under version control.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings, numbers and maps by strings are always JSON")
    }

    /// Reads a snapshot that [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// The text is no snapshot, or one of a newer version of this library.
    pub fn from_json(text: &str) -> Result<Self, TopologyError> {
        let snapshot: Self = serde_json::from_str(text)
            .map_err(|error| TopologyError::new(format!("the text is no snapshot of a topology: {error}")))?;
        match snapshot.version {
            VERSION => Ok(snapshot),
            other => Err(TopologyError::new(format!(
                "the snapshot has version {other}, this library reads version {VERSION}; write it again"
            ))),
        }
    }
}

impl StoreSnapshot {
    fn of(store: &StoreSpec) -> Self {
        let (kind, retention_ms) = match store.kind {
            StoreKind::KeyValue => ("key-value", None),
            StoreKind::TimestampedKeyValue => ("timestamped key-value", None),
            StoreKind::Versioned { history } => ("versioned", Some(history)),
            StoreKind::Window { retention, duplicates: false } => ("window", Some(retention)),
            StoreKind::Window { retention, duplicates: true } => ("window of a join", Some(retention)),
            StoreKind::TimestampedWindow { retention } => ("timestamped window", Some(retention)),
            StoreKind::Session { retention } => ("session", Some(retention)),
            StoreKind::Buffer | StoreKind::GraceBuffer | StoreKind::OuterJoin => ("buffer", None),
        };
        let own = || format!("{}-changelog", store.name);
        let changelog = match &store.source_topic {
            Some(topic) => Some(topic.to_string()),
            None => (store.logging && !store.global).then(own),
        };
        Self { kind: kind.to_owned(), retention_ms, changelog, global: store.global }
    }
}
