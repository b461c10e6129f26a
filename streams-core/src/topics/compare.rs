//! What is wanted against what is there. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::create::{ADMIN_TIMEOUT, TopicsError};
use super::wanted::{WantedTopic, Wishes, topic_defaults};
use crate::client::{Admin, AdminTopic, TopicSetting};

/// What of a topic differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Aspect {
    /// The number of partitions.
    Partitions,
    /// The number of replicas.
    ReplicationFactor,
    /// A setting.
    Config(String),
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partitions => "partitions",
            Self::ReplicationFactor => "replication.factor",
            Self::Config(key) => key,
        })
    }
}

impl Serialize for Aspect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a topic differs from what is wanted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// In what.
    pub aspect: Aspect,
    /// What is there; `None`: the cluster knows no such setting.
    pub found: Option<String>,
    /// What is wanted.
    pub wanted: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.as_deref().unwrap_or("unknown");
        write!(f, "{} is {found}, wanted {}", self.aspect, self.wanted)
    }
}

/// How it stands with a topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is not there.
    Missing,
    /// It is as it is wanted.
    Equal,
    /// It is there, but otherwise.
    Differs(Vec<Difference>),
}

/// A topic that is wanted, and how it stands with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ComparedTopic {
    /// What is wanted.
    #[serde(flatten)]
    pub wanted: WantedTopic,
    /// How it is.
    pub standing: Standing,
}

/// All topics of an application against a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TopicsPlan {
    /// `application.id`.
    pub application_id: String,
    /// The topics: those of others by name, then the application's own by name.
    pub topics: Vec<ComparedTopic>,
    /// Why the application's own topics are not among them.
    pub unplanned: Option<String>,
}

impl TopicsPlan {
    /// Whether all topics are as they are wanted.
    pub fn is_fulfilled(&self) -> bool {
        self.unplanned.is_none() && self.topics.iter().all(|topic| topic.standing == Standing::Equal)
    }
}

/// Compares what is wanted with what is there.
///
/// # Errors
/// The cluster does not answer or refuses to.
pub fn plan(admin: &mut dyn Admin, wishes: &Wishes<'_>) -> Result<TopicsPlan, TopicsError> {
    let external = wishes.external();
    let found = describe(admin, &external)?;
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    for (wanted, found) in external.iter().zip(&found) {
        let count = found.as_ref().map(|topic| topic.partitions).or(wanted.partitions);
        counts.extend(count.map(|count| (wanted.name.as_str(), count)));
    }
    let application_id = &wishes.config.application_id;
    let planned = match wishes.needs.patterns() {
        [] => wishes.needs.plan(
            application_id,
            &|topic| counts.get(topic).copied(),
            &topic_defaults(wishes.config),
        ),
        [pattern, ..] => Err(crate::topology::TopologyError::new(format!(
            "the topology reads all topics that match `{pattern}`: only the running application knows which"
        ))),
    };
    let (internal, unplanned) = match planned {
        Ok(planned) => {
            (planned.iter().map(|topic| WantedTopic::internal(topic, wishes.config)).collect(), None)
        }
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let found_internal = describe(admin, &internal)?;
    let wanted: Vec<WantedTopic> = external.into_iter().chain(internal).collect();
    let found: Vec<Option<AdminTopic>> = found.into_iter().chain(found_internal).collect();
    let topics = compare(admin, wanted, found)?;
    Ok(TopicsPlan { application_id: application_id.clone(), topics, unplanned })
}

fn describe(admin: &mut dyn Admin, topics: &[WantedTopic]) -> Result<Vec<Option<AdminTopic>>, TopicsError> {
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    admin
        .describe_topics(&names, ADMIN_TIMEOUT)
        .map_err(|source| TopicsError::client("looking at the topics of the application", source))
}

fn compare(
    admin: &mut dyn Admin,
    wanted: Vec<WantedTopic>,
    found: Vec<Option<AdminTopic>>,
) -> Result<Vec<ComparedTopic>, TopicsError> {
    let there =
        wanted.iter().zip(&found).filter(|(wanted, found)| found.is_some() && !wanted.config.is_empty());
    let names: Vec<String> = there.map(|(wanted, _)| wanted.name.clone()).collect();
    let settings = admin
        .describe_configs(&names, ADMIN_TIMEOUT)
        .map_err(|source| TopicsError::client("looking at the settings of topics", source))?;
    let settings: BTreeMap<String, BTreeMap<String, TopicSetting>> =
        names.into_iter().zip(settings).filter_map(|(name, settings)| Some((name, settings?))).collect();
    let compared = wanted.into_iter().zip(found).map(|(wanted, found)| {
        let none = BTreeMap::new();
        let standing = match found {
            None => Standing::Missing,
            Some(found) => match differences(&wanted, &found, settings.get(&wanted.name).unwrap_or(&none)) {
                none if none.is_empty() => Standing::Equal,
                some => Standing::Differs(some),
            },
        };
        ComparedTopic { wanted, standing }
    });
    Ok(compared.collect())
}

fn differences(
    wanted: &WantedTopic,
    found: &AdminTopic,
    settings: &BTreeMap<String, TopicSetting>,
) -> Vec<Difference> {
    let number = |aspect, wanted: i64, found: i64| {
        (wanted != found).then(|| Difference {
            aspect,
            found: Some(found.to_string()),
            wanted: wanted.to_string(),
        })
    };
    let partitions =
        wanted.partitions.and_then(|count| number(Aspect::Partitions, count.into(), found.partitions.into()));
    let replicas = wanted
        .replication_factor
        .and_then(|count| number(Aspect::ReplicationFactor, count.into(), found.replication_factor.into()));
    let config = wanted.config.iter().filter_map(|(key, value)| {
        let found = settings.get(key).map(|setting| setting.value.clone());
        let same = found.as_ref().is_some_and(|found| same(found, value));
        (!same).then(|| Difference { aspect: Aspect::Config(key.clone()), found, wanted: value.clone() })
    });
    partitions.into_iter().chain(replicas).chain(config).collect()
}

/// Lists are equal in any order: `compact,delete`.
fn same(one: &str, two: &str) -> bool {
    let parts = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect::<BTreeSet<_>>();
    one == two || parts(one) == parts(two)
}
