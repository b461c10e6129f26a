//! Metrics under Kafka Streams' names: what is measured, in which group, with which tags, from which level on.
//!
//! A [`Sensor`] takes numbers, once a batch where records are counted; each of its metrics shows them in its own way ([`Stat`]): a rate over
//! the last windows, an average, a maximum, a total. A gauge is asked when somebody looks. [`Metrics`] holds both, and [`Metrics::snapshot`]
//! is all of them at one moment. Nothing here reads a clock: the moment comes in.
//!
//! An application sees its own by [`KafkaStreams::named_metrics`](crate::runtime::KafkaStreams::named_metrics).

mod at_work;
pub(crate) mod catalogue;
mod config;
mod family;
mod name;
#[cfg(feature = "metrics")]
mod publisher;
mod registry;
mod samples;
mod scope;
mod sensor;
mod stat;
mod streams_metrics;
mod task_metrics;

pub(crate) use at_work::OwnWork;
pub use at_work::{Activity, AtWork, Mark};
pub use config::{MetricConfig, RecordingLevel};
pub use family::{Family, FamilyKind, Sample};
pub use name::{Metric, MetricName, MetricTags, MetricValue};
#[cfg(feature = "metrics")]
pub use publisher::MetricsPublisher;
pub use registry::{Metrics, Registration};
pub(crate) use scope::Scope;
pub use sensor::{Batch, Sensor};
pub use stat::Stat;
pub use streams_metrics::StreamsMetrics;
pub use task_metrics::{Meter, MetricsSource, TaskMetrics};
