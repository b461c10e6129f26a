//! What takes numbers.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::samples::Samples;
use super::stat::Seen;
use super::{MetricConfig, MetricName, MetricValue, Metrics, RecordingLevel, Stat};

/// Numbers taken together: a batch is recorded at once, not number by number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Batch {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The last.
    pub last: f64,
}

/// Of nothing.
impl Default for Batch {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, last: 0.0 }
    }
}

impl Batch {
    /// Of one number.
    #[must_use]
    pub fn of(number: f64) -> Self {
        Self { count: 1, sum: number, min: number, max: number, last: number }
    }

    /// Of `count` events whose numbers do not matter.
    #[must_use]
    pub fn events(count: u64) -> Self {
        Self { count, sum: count as f64, min: 1.0, max: 1.0, last: 1.0 }
    }

    /// Adds a number.
    pub fn add(&mut self, number: f64) {
        self.merge(Self::of(number));
    }

    /// Adds all of another batch.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if other.count > 0 {
            self.last = other.last;
        }
    }
}

/// Takes numbers for one metric or several. Cheap to clone; clones are the same sensor. Kafka Streams' `Sensor`.
///
/// ```
/// use std::sync::Arc;
/// use streams_core::metrics::{MetricConfig, MetricValue, Metrics, RecordingLevel, Stat};
///
/// let metrics = Arc::new(Metrics::new(MetricConfig::default()));
/// let sensor = metrics.sensor(RecordingLevel::Info);
/// let tags = [("shop", "north")];
/// let _registered = sensor.register(&metrics, "stream-shop-metrics", &tags, &[("basket-avg", "Average of a basket", Stat::Avg)]);
/// sensor.record(10.0, 1_000);
/// sensor.record(20.0, 1_500);
/// let all = metrics.snapshot(2_000);
/// assert_eq!((&*all[0].name.name, &all[0].value), ("basket-avg", &MetricValue::Number(15.0)));
/// ```
#[derive(Clone)]
pub struct Sensor {
    level: RecordingLevel,
    records: bool,
    seen: Arc<Mutex<Seen>>,
}

impl Sensor {
    pub(super) fn new(level: RecordingLevel, config: &MetricConfig) -> Self {
        let seen = Seen { samples: Samples::new(config), ever: Batch::default() };
        Self { level, records: level.records_at(config.recording_level), seen: Arc::new(Mutex::new(seen)) }
    }

    /// From which level on it records.
    #[must_use]
    pub fn level(&self) -> RecordingLevel {
        self.level
    }

    /// Whether it records at the level of the application. Ask before a clock is read for it.
    #[inline]
    #[must_use]
    pub fn should_record(&self) -> bool {
        self.records
    }

    /// Takes a number at `now`, ms since the epoch.
    pub fn record(&self, number: f64, now: i64) {
        if self.records {
            self.seen().take(Batch::of(number), now);
        }
    }

    /// Takes all of a batch at `now`, ms since the epoch. Nothing happens if it is empty.
    pub fn record_batch(&self, batch: Batch, now: i64) {
        if self.records && batch.count > 0 {
            self.seen().take(batch, now);
        }
    }

    /// Whether `other` is this sensor.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.seen, &other.seen)
    }

    /// What `stat` shows of it at `now`.
    pub(super) fn shows(&self, stat: Stat, now: i64) -> MetricValue {
        stat.of(&self.seen(), now)
    }

    /// Shows it as these metrics, (name, description, how), until the registration is dropped.
    pub fn register(
        &self,
        metrics: &Arc<Metrics>,
        group: impl Into<Cow<'static, str>>,
        tags: &[(&'static str, &str)],
        shown: &[(&'static str, &'static str, Stat)],
    ) -> super::Registration {
        let tags = Metrics::tags(tags);
        let group = group.into();
        let mut registration = metrics.registration();
        for (name, description, stat) in shown {
            let name = MetricName {
                group: group.clone(),
                name: Cow::Borrowed(name),
                tags: tags.clone(),
                description: Cow::Borrowed(description),
            };
            registration.add_stat(name, self, *stat);
        }
        registration
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn take(&mut self, batch: Batch, now: i64) {
        self.ever.merge(batch);
        self.samples.record(batch, now);
    }
}

impl fmt::Debug for Sensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sensor")
            .field("level", &self.level)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
