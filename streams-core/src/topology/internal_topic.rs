//! Internal topics: their names, their settings, and the check of one that exists already.
//!
//! Names and settings equal those of Kafka Streams, so that an application can be taken over. Nothing here talks to
//! a cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use streams_state::types::Timestamp;

use super::{StoreKind, StoreSpec, TopicKind, TopologyError};

/// Full name of the internal topic `name` of an application: `<application.id>-<name>`.
pub fn internal_topic_name(application_id: &str, name: &str) -> String {
    format!("{application_id}-{name}")
}

/// Full name of a store's changelog: `<application.id>-<store>-changelog`.
pub fn changelog_topic_name(application_id: &str, store: &str) -> String {
    format!("{application_id}-{store}-changelog")
}

impl StoreSpec {
    /// Full name of the topic that backs this store: its changelog, or the source topic that serves as one; `None`
    /// without logging, and for a global store.
    pub fn changelog_topic(&self, application_id: &str) -> Option<String> {
        match &self.source_topic {
            _ if self.global => None,
            Some(topic) => Some(topic.to_string()),
            None => self.logging.then(|| changelog_topic_name(application_id, &self.name)),
        }
    }

    /// The topic whose name serdes of this store see: the one that it is read from, else its changelog, be it logged or not.
    pub(crate) fn serde_topic(&self, application_id: &str) -> Arc<str> {
        let own = || changelog_topic_name(application_id, &self.name).into();
        self.source_topic.clone().unwrap_or_else(own)
    }
}

/// What an application says about its internal topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDefaults {
    /// `topic.*`, without that prefix.
    pub properties: BTreeMap<String, String>,
    /// `windowstore.changelog.additional.retention.ms`: how much longer than its store the changelog of a windowed store
    /// keeps records, as a broker's clock and stream time differ. Default: 1 day.
    pub window_additional_retention_ms: Timestamp,
}

impl Default for TopicDefaults {
    fn default() -> Self {
        Self { properties: BTreeMap::new(), window_additional_retention_ms: DAY_MS }
    }
}

const DAY_MS: Timestamp = 24 * 60 * 60 * 1000;

/// Settings of a repartition topic: ours, then `topic.*` of the application, the later ones winning.
pub fn repartition_topic_config(topic_properties: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut config = library_config("delete");
    config.insert("segment.bytes".to_owned(), (50 * 1024 * 1024).to_string());
    config.insert("retention.ms".to_owned(), "-1".to_owned());
    config.extend(topic_properties.clone());
    config
}

/// Settings of a store's changelog: ours, then `topic.*` of the application, then the store's own, the later ones
/// winning. How long records must be kept follows from the store, unless its own settings say so.
pub fn changelog_topic_config(store: &StoreSpec, defaults: &TopicDefaults) -> BTreeMap<String, String> {
    changelog_config(store.kind, &store.changelog_config, defaults)
}

/// Settings of the changelog of a store of this kind, which has settings of its `own` for it.
pub(super) fn changelog_config(
    kind: StoreKind,
    own: &BTreeMap<String, String>,
    defaults: &TopicDefaults,
) -> BTreeMap<String, String> {
    let mut config = library_config(match kind.retention() {
        Some(_) => "compact,delete",
        None => "compact",
    });
    config.extend(defaults.properties.clone());
    let kept = match kind {
        StoreKind::KeyValue
        | StoreKind::TimestampedKeyValue
        | StoreKind::Buffer
        | StoreKind::GraceBuffer
        | StoreKind::OuterJoin => None,
        StoreKind::Versioned { history } => Some(("min.compaction.lag.ms", history.saturating_add(DAY_MS))),
        StoreKind::Window { retention, .. }
        | StoreKind::TimestampedWindow { retention }
        | StoreKind::Session { retention } => {
            Some(("retention.ms", retention.saturating_add(defaults.window_additional_retention_ms)))
        }
    };
    config.extend(kept.map(|(key, value)| (key.to_owned(), value.to_string())));
    config.extend(own.clone());
    config
}

fn library_config(cleanup_policy: &str) -> BTreeMap<String, String> {
    [("cleanup.policy", cleanup_policy), ("message.timestamp.type", "CreateTime")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// An internal topic as it must exist before tasks run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedTopic {
    /// Full name, with the application's prefix.
    pub name: Arc<str>,
    /// What it is for.
    pub kind: TopicKind,
    /// Number of partitions.
    pub partitions: i32,
    /// Settings that it is created with.
    pub config: BTreeMap<String, String>,
}

impl PlannedTopic {
    /// Checks a topic that exists already with `partitions` partitions: the number must be the planned one, because
    /// a key's rows stay in the partition that they were written to.
    pub fn check_existing(&self, partitions: i32) -> Result<(), TopologyError> {
        if partitions == self.partitions {
            return Ok(());
        }
        let kind = match self.kind {
            TopicKind::Repartition => "repartition",
            TopicKind::Changelog => "changelog",
        };
        Err(TopologyError::new(format!(
            "the {kind} topic `{}` exists with {partitions} partitions where the topology needs {}: either give the \
             input topics the number of partitions they had, or stop all instances and reset the application (delete \
             its internal topics and state directories), or choose another application.id",
            self.name, self.partitions
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::testing::Sketch;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn settings_are_ours_then_the_applications_then_the_stores() {
        let topology = Sketch::new()
            .source("a", &["in"])
            .processor("p", &["a"])
            .store("s", &["p"])
            .with_store(|store| {
                store.changelog_config.insert("segment.bytes".to_owned(), "1".to_owned());
            })
            .topology();
        let properties = map(&[("segment.bytes", "2"), ("retention.ms", "3")]);
        assert_eq!(
            repartition_topic_config(&properties),
            map(&[
                ("cleanup.policy", "delete"),
                ("message.timestamp.type", "CreateTime"),
                ("segment.bytes", "2"),
                ("retention.ms", "3"),
            ])
        );
        assert_eq!(
            changelog_topic_config(
                &topology.stores[0],
                &TopicDefaults { properties, ..TopicDefaults::default() }
            ),
            map(&[
                ("cleanup.policy", "compact"),
                ("message.timestamp.type", "CreateTime"),
                ("segment.bytes", "1"),
                ("retention.ms", "3"),
            ])
        );
        assert_eq!(
            repartition_topic_config(&BTreeMap::new()).get("segment.bytes").map(String::as_str),
            Some("52428800")
        );
    }

    #[test]
    fn an_existing_topic_with_another_count_is_one_clear_sentence() {
        let topic = PlannedTopic {
            name: "app-counts-changelog".into(),
            kind: TopicKind::Changelog,
            partitions: 4,
            config: BTreeMap::new(),
        };
        assert_eq!(topic.check_existing(4), Ok(()));
        let error = topic.check_existing(3).unwrap_err().to_string();
        assert!(error.contains("changelog topic `app-counts-changelog` exists with 3 partitions"), "{error}");
        assert!(error.contains("needs 4") && error.contains("application.id"), "{error}");
    }
}
