//! Settings of a [`TopicConsumer`](super::TopicConsumer), with the names of Kafka's `ConsumerConfig`, and its defaults but
//! for one: nothing is committed until the program says so (`enable.auto.commit`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::properties::{Keys, check, name_of, set, value_of};
use crate::client::{ASSIGNORS, COOPERATIVE, ConsumerSettings};
use crate::config::values::{boolean, count, millis, text};
use crate::config::{ConfigError, METADATA_MAX_AGE_MS};
use crate::topology::OffsetReset;

/// `isolation.level`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IsolationLevel {
    /// All records, those of open and aborted transactions, too. The default.
    ReadUncommitted,
    /// Only records of committed transactions and of none.
    ReadCommitted,
}

/// `partition.assignment.strategy`: how a group shares partitions out. All members must have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignor {
    /// A run of partitions of each topic; the same numbers of all topics go together. The default.
    Range,
    /// All partitions of all topics in turn.
    RoundRobin,
    /// All get as many, and members keep what they have as far as that goes. Members that keep partitions go on reading them while the
    /// group rebalances: the listener hears only of those that come and go.
    CooperativeSticky,
}

const METADATA_MAX_AGE: &str = "metadata.max.age.ms";

const ISOLATION_LEVELS: [(&str, IsolationLevel); 2] = [
    ("read_uncommitted", IsolationLevel::ReadUncommitted),
    ("read_committed", IsolationLevel::ReadCommitted),
];
const ASSIGNOR_NAMES: [(&str, Assignor); 6] = [
    (ASSIGNORS[0], Assignor::Range),
    (ASSIGNORS[1], Assignor::RoundRobin),
    (COOPERATIVE, Assignor::CooperativeSticky),
    ("org.apache.kafka.clients.consumer.RangeAssignor", Assignor::Range),
    ("org.apache.kafka.clients.consumer.RoundRobinAssignor", Assignor::RoundRobin),
    ("org.apache.kafka.clients.consumer.CooperativeStickyAssignor", Assignor::CooperativeSticky),
];

/// Settings of a consumer.
///
/// ```
/// use streams_core::clients::ConsumerConfig;
/// use streams_core::topology::OffsetReset;
/// let config = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::group("shop") };
/// assert_eq!((config.max_poll_records, config.enable_auto_commit), (500, false));
///
/// let config = ConsumerConfig::from_properties([("group.id", "shop"), ("auto.offset.reset", "earliest")])?;
/// assert_eq!(config.auto_offset_reset, OffsetReset::Earliest);
/// # Ok::<(), streams_core::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerConfig {
    /// `group.id`: who shares the partitions, and under whose name offsets are committed.
    pub group_id: Option<String>,
    /// `client.id`, for logs and quotas.
    pub client_id: String,
    /// `group.instance.id`: identity of the member over restarts (static membership).
    pub group_instance_id: Option<String>,
    /// `auto.offset.reset`: where a partition begins whose group has committed nothing, or an offset that is gone.
    pub auto_offset_reset: OffsetReset,
    /// `enable.auto.commit`: commit every [`auto_commit_interval`](Self::auto_commit_interval), when partitions are given back
    /// and on close, what earlier polls handed out. Off, unlike Kafka's.
    pub enable_auto_commit: bool,
    /// `auto.commit.interval.ms`: 5 s.
    pub auto_commit_interval: Duration,
    /// `isolation.level`.
    pub isolation_level: IsolationLevel,
    /// `max.poll.records`: records of one batch; 500.
    pub max_poll_records: usize,
    /// `partition.assignment.strategy`.
    pub assignor: Assignor,
    /// `default.api.timeout.ms`: deadline of commits, seeks and look-ups; a minute.
    pub default_api_timeout: Duration,
    /// `session.timeout.ms`: when a member that is not heard of loses its partitions; 45 s.
    pub session_timeout: Duration,
    /// `max.poll.interval.ms`: when a member that does not poll loses its partitions; 5 minutes.
    pub max_poll_interval: Duration,
    /// All other settings, under the names of Kafka or librdkafka.
    pub properties: BTreeMap<String, String>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group_id: None,
            client_id: String::new(),
            group_instance_id: None,
            auto_offset_reset: OffsetReset::Latest,
            enable_auto_commit: false,
            auto_commit_interval: Duration::from_secs(5),
            isolation_level: IsolationLevel::ReadUncommitted,
            max_poll_records: 500,
            assignor: Assignor::Range,
            default_api_timeout: Duration::from_secs(60),
            session_timeout: Duration::from_secs(45),
            max_poll_interval: Duration::from_secs(300),
            properties: BTreeMap::new(),
        }
    }
}

const KEYS: Keys<ConsumerConfig> = Keys {
    role: 'c',
    fields: &[
        ("group.id", |config, value| set(&mut config.group_id, Ok(Some(text(value).to_owned())))),
        ("client.id", |config, value| set(&mut config.client_id, Ok(text(value).to_owned()))),
        ("group.instance.id", |config, value| {
            set(&mut config.group_instance_id, Ok(Some(text(value).to_owned())))
        }),
        ("auto.offset.reset", |config, value| set(&mut config.auto_offset_reset, reset(value))),
        ("enable.auto.commit", |config, value| set(&mut config.enable_auto_commit, boolean(value))),
        ("auto.commit.interval.ms", |config, value| set(&mut config.auto_commit_interval, millis(value))),
        ("isolation.level", |config, value| {
            set(&mut config.isolation_level, value_of(&ISOLATION_LEVELS, value))
        }),
        ("max.poll.records", |config, value| set(&mut config.max_poll_records, count(value))),
        ("partition.assignment.strategy", |config, value| {
            set(&mut config.assignor, value_of(&ASSIGNOR_NAMES, value))
        }),
        ("default.api.timeout.ms", |config, value| set(&mut config.default_api_timeout, millis(value))),
        ("session.timeout.ms", |config, value| set(&mut config.session_timeout, millis(value))),
        ("max.poll.interval.ms", |config, value| set(&mut config.max_poll_interval, millis(value))),
    ],
    refused: &[
        ("interceptor.classes", "names a Java class, which cannot run here"),
        ("group.remote.assignor", "is of the new group protocol, which is not supported yet"),
        ("enable.auto.offset.store", "is decided by this library"),
        ("enable.partition.eof", "is decided by this library"),
    ],
};

fn reset(value: &str) -> Result<OffsetReset, String> {
    let must = || "one of `earliest`, `latest`, `none`, `by_duration:PT1H`".to_owned();
    OffsetReset::parse(value.trim()).ok_or_else(must)
}

impl ConsumerConfig {
    /// A member of this group.
    pub fn group(id: impl Into<String>) -> Self {
        Self { group_id: Some(id.into()), ..Self::default() }
    }

    /// Settings from Kafka's properties.
    ///
    /// # Errors
    /// All faults: unknown and misspelt keys, values that do not fit or contradict.
    pub fn from_properties<K: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        let properties = properties.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut config = Self::default();
        let (rest, mut faults) = KEYS.read(&mut config, properties);
        config.properties = rest;
        faults.extend(config.faults());
        check(faults).map(|()| config)
    }

    /// Checks what must fit together.
    ///
    /// # Errors
    /// All faults, one sentence each.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(self.faults())
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = KEYS.faults_of(&self.properties);
        if self.group_id.as_deref() == Some("") {
            faults.push("`group.id` is empty; leave it out, or name the group".to_owned());
        }
        for (key, set) in [
            ("group.instance.id", self.group_instance_id.is_some()),
            ("enable.auto.commit", self.enable_auto_commit),
        ] {
            if set && self.group_id.is_none() {
                faults.push(format!("`{key}` is set without a group; set `group.id`"));
            }
        }
        if let Some(Err(must)) = self.properties.get(METADATA_MAX_AGE).map(|text| millis(text)) {
            faults.push(format!("`{METADATA_MAX_AGE}` must be {must}"));
        }
        if self.max_poll_records == 0 {
            faults.push("`max.poll.records` is `0`; it must be at least 1".to_owned());
        }
        if self.session_timeout > self.max_poll_interval {
            faults.push(format!(
                "`max.poll.interval.ms` ({}) is shorter than `session.timeout.ms` ({}); make it longer",
                self.max_poll_interval.as_millis(),
                self.session_timeout.as_millis()
            ));
        }
        faults
    }

    /// Whether partitions come and go one by one.
    pub(super) fn is_cooperative(&self) -> bool {
        match self.assignor {
            Assignor::Range | Assignor::RoundRobin => false,
            Assignor::CooperativeSticky => true,
        }
    }

    /// `metadata.max.age.ms`: how often a pattern is held against the topics of the cluster.
    pub(super) fn metadata_max_age(&self) -> Duration {
        let given = self.properties.get(METADATA_MAX_AGE).and_then(|text| millis(text).ok());
        given.unwrap_or(Duration::from_millis(METADATA_MAX_AGE_MS.unsigned_abs()))
    }

    /// Whether records of open and aborted transactions are hidden.
    pub(super) fn read_committed(&self) -> bool {
        self.isolation_level == IsolationLevel::ReadCommitted
    }

    /// What the client is made with.
    pub(super) fn settings(&self) -> ConsumerSettings {
        let mut properties = self.properties.clone();
        for (key, value) in [
            ("partition.assignment.strategy", name_of(&ASSIGNOR_NAMES, self.assignor).to_owned()),
            ("session.timeout.ms", self.session_timeout.as_millis().to_string()),
            ("max.poll.interval.ms", self.max_poll_interval.as_millis().to_string()),
        ] {
            properties.insert(key.to_owned(), value);
        }
        ConsumerSettings {
            client_id: self.client_id.clone(),
            group: self.group_id.clone(),
            group_instance: self.group_instance_id.clone(),
            read_committed: self.read_committed(),
            partition_buffer_bytes: None,
            properties,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(properties: &[(&str, &str)]) -> String {
        ConsumerConfig::from_properties(properties.iter().copied()).unwrap_err().to_string()
    }

    #[test]
    fn every_key_with_a_field_is_kafkas() {
        let config = ConsumerConfig::from_properties([
            ("group.id", "g"),
            ("group.instance.id", "g-1"),
            ("client.id", "reader"),
            ("auto.offset.reset", "by_duration:PT1H"),
            ("enable.auto.commit", "true"),
            ("auto.commit.interval.ms", "100"),
            ("isolation.level", "read_committed"),
            ("max.poll.records", "7"),
            ("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RoundRobinAssignor"),
            ("default.api.timeout.ms", "9"),
            ("session.timeout.ms", "6000"),
            ("max.poll.interval.ms", "7000"),
            ("fetch.min.bytes", "2"),
        ])
        .unwrap();
        let expected = ConsumerConfig {
            client_id: "reader".to_owned(),
            group_instance_id: Some("g-1".to_owned()),
            auto_offset_reset: OffsetReset::ByDuration(3_600_000),
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_millis(100),
            isolation_level: IsolationLevel::ReadCommitted,
            max_poll_records: 7,
            assignor: Assignor::RoundRobin,
            default_api_timeout: Duration::from_millis(9),
            session_timeout: Duration::from_secs(6),
            max_poll_interval: Duration::from_secs(7),
            properties: [("fetch.min.bytes".to_owned(), "2".to_owned())].into(),
            ..ConsumerConfig::group("g")
        };
        assert_eq!(config, expected);
        let text: Vec<String> =
            config.settings().properties.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(
            text.join(" "),
            "fetch.min.bytes=2 max.poll.interval.ms=7000 partition.assignment.strategy=roundrobin session.timeout.ms=6000"
        );
    }

    #[test]
    fn faults_name_the_key_and_the_way_out() {
        assert!(fault(&[("auto.offset.rest", "latest")]).contains("did you mean `auto.offset.reset`?"));
        assert!(fault(&[("linger.ms", "5")]).contains("`linger.ms` is no setting of a consumer"));
        assert!(fault(&[("auto.offset.reset", "first")]).contains("one of `earliest`"));
        assert!(
            fault(&[("partition.assignment.strategy", "sticky")])
                .contains("`range`, `roundrobin`, `cooperative-sticky`")
        );
        assert!(fault(&[("metadata.max.age.ms", "soon")]).contains("`metadata.max.age.ms` must be"));
        assert!(fault(&[("enable.auto.commit", "true")]).contains("set `group.id`"));
        assert!(fault(&[("group.instance.id", "a")]).contains("set `group.id`"));
        assert!(fault(&[("max.poll.records", "0")]).contains("at least 1"));
        assert!(fault(&[("group.id", "")]).contains("leave it out"));
        assert!(fault(&[("max.poll.interval.ms", "1")]).contains("make it longer"));
        assert!(fault(&[("enable.partition.eof", "true")]).contains("decided by this library"));
    }
}
