//! What an application wants of its topics: from the topology, its settings, and what the user declares.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::client::NewTopic;
use crate::config::StreamsConfig;
use crate::topology::{PlannedTopic, TopicDefaults, TopicKind, TopicNeeds};

/// What a topic is to the application.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicRole {
    /// The application reads it, others write it.
    Input,
    /// The application writes it.
    Output,
    /// The user declares it, and the topology does not name it.
    Declared,
    /// The application's own: records on their way to the partition of their new key.
    Repartition,
    /// The application's own: the rows of a store.
    Changelog,
}

impl TopicRole {
    /// Whether it is the application's own.
    pub fn is_internal(self) -> bool {
        match self {
            Self::Repartition | Self::Changelog => true,
            Self::Input | Self::Output | Self::Declared => false,
        }
    }

    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Declared => "declared",
            Self::Repartition => "repartition",
            Self::Changelog => "changelog",
        }
    }
}

/// What the user wants of a topic that is not the application's own. What is not said may be as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeclaredTopic {
    /// Number of partitions.
    pub partitions: Option<i32>,
    /// Replicas of each.
    pub replication_factor: Option<i16>,
    /// Settings.
    pub config: BTreeMap<String, String>,
}

/// All that an application wants.
#[derive(Clone, Copy)]
pub struct Wishes<'a> {
    /// What its topology needs.
    pub needs: &'a TopicNeeds,
    /// `application.id`, `replication.factor`, `topic.*`.
    pub config: &'a StreamsConfig,
    /// What the user wants of other topics, by name.
    pub declared: &'a BTreeMap<String, DeclaredTopic>,
}

/// A topic as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WantedTopic {
    /// Full name.
    pub name: String,
    /// What it is to the application.
    pub role: TopicRole,
    /// Number of partitions; `None`: any.
    pub partitions: Option<i32>,
    /// Replicas of each; `None`: any.
    pub replication_factor: Option<i16>,
    /// Settings that it must have, among others.
    pub config: BTreeMap<String, String>,
    /// Somebody says how it is to be created.
    #[serde(skip)]
    pub(super) may_be_created: bool,
}

impl WantedTopic {
    /// A topic of the application's own.
    pub(crate) fn internal(planned: &PlannedTopic, config: &StreamsConfig) -> Self {
        Self {
            name: planned.name.to_string(),
            role: match planned.kind {
                TopicKind::Repartition => TopicRole::Repartition,
                TopicKind::Changelog => TopicRole::Changelog,
            },
            partitions: Some(planned.partitions),
            replication_factor: Some(config.replication_factor).filter(|replicas| *replicas > 0),
            config: planned.config.clone(),
            may_be_created: true,
        }
    }

    /// The request for it.
    pub(crate) fn to_new_topic(&self) -> NewTopic {
        NewTopic {
            name: self.name.clone(),
            partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            config: self.config.clone(),
        }
    }
}

impl Wishes<'_> {
    /// Topics that are not the application's own, by name.
    pub(super) fn external(&self) -> Vec<WantedTopic> {
        let mut roles: BTreeMap<&str, TopicRole> = BTreeMap::new();
        roles.extend(self.declared.keys().map(|name| (name.as_str(), TopicRole::Declared)));
        roles.extend(self.needs.output_topics().into_iter().map(|name| (name, TopicRole::Output)));
        roles.extend(self.needs.input_topics().into_iter().map(|name| (name, TopicRole::Input)));
        let wanted = |(name, role): (&str, TopicRole)| {
            let declared = self.declared.get(name);
            let DeclaredTopic { partitions, replication_factor, config } =
                declared.cloned().unwrap_or_default();
            WantedTopic {
                name: name.to_owned(),
                role,
                partitions,
                replication_factor,
                config,
                may_be_created: declared.is_some(),
            }
        };
        roles.into_iter().map(wanted).collect()
    }
}

/// The application's settings for internal topics.
pub(crate) fn topic_defaults(config: &StreamsConfig) -> TopicDefaults {
    let additional = config.window_store_additional_retention.as_millis();
    TopicDefaults {
        properties: config.topic_properties.clone(),
        window_additional_retention_ms: i64::try_from(additional).unwrap_or(i64::MAX),
    }
}
