//! A metric as it is seen from outside: name, value, level.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::RecordingLevel;

/// Tags by key, for instance `thread-id`, `task-id`. Shared by all metrics that have the same.
pub type MetricTags = Arc<BTreeMap<Cow<'static, str>, String>>;

/// What a metric is called: group, name and tags together are unique in an application.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MetricName {
    /// For instance `stream-thread-metrics`.
    pub group: Cow<'static, str>,
    /// For instance `process-rate`.
    pub name: Cow<'static, str>,
    /// What it belongs to: instance, thread, task, node, store.
    pub tags: MetricTags,
    /// One line for people.
    pub description: Cow<'static, str>,
}

impl MetricName {
    /// The value of a tag.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
}

/// As `group:name{key=value, ...}`.
impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}{{", self.group, self.name)?;
        for (number, (key, value)) in self.tags.iter().enumerate() {
            write!(f, "{}{key}={value}", if number == 0 { "" } else { ", " })?;
        }
        f.write_str("}")
    }
}

/// What a metric says.
#[derive(Clone, PartialEq, Debug)]
pub enum MetricValue {
    /// A number; NaN for an average, a minimum or a maximum of nothing, as in Kafka.
    Number(f64),
    /// A text: a state, a version, the topology.
    Text(String),
}

impl MetricValue {
    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A metric at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// What it is called.
    pub name: MetricName,
    /// What it says.
    pub value: MetricValue,
    /// From which level on it is recorded; `None` for a gauge, which always says something.
    pub level: Option<RecordingLevel>,
    /// Whether it is recorded at the level of the application: if not, its value is that of a sensor that never saw anything.
    pub recorded: bool,
}
