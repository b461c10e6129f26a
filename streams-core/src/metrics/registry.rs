//! All metrics of an instance: who measures registers, who looks takes a snapshot.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Metric, MetricConfig, MetricName, MetricTags, MetricValue, RecordingLevel, Sensor, Stat};

/// Where a value comes from.
enum Source {
    Sensor(Sensor, Stat),
    /// Asked with the moment, ms since the epoch.
    Gauge(Arc<dyn Fn(i64) -> MetricValue + Send + Sync>),
}

struct Registered {
    name: MetricName,
    source: Source,
}

/// All metrics of an instance. Threads register theirs and record into sensors of their own; the registry is locked only when metrics
/// come, go, or are looked at.
pub struct Metrics {
    config: MetricConfig,
    /// By the order in which they came.
    registered: Mutex<(u64, BTreeMap<u64, Registered>)>,
}

/// Keeps metrics registered; they go when it is dropped.
#[must_use]
pub struct Registration {
    metrics: Arc<Metrics>,
    ids: Vec<u64>,
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new(config: MetricConfig) -> Self {
        Self { config, registered: Mutex::default() }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &MetricConfig {
        &self.config
    }

    /// Whether something of `level` is recorded.
    #[must_use]
    pub fn records(&self, level: RecordingLevel) -> bool {
        level.records_at(self.config.recording_level)
    }

    /// A sensor that records from `level` on. It is seen once it is registered.
    #[must_use]
    pub fn sensor(&self, level: RecordingLevel) -> Sensor {
        Sensor::new(level, &self.config)
    }

    /// Tags from pairs.
    #[must_use]
    pub fn tags(tags: &[(&'static str, &str)]) -> MetricTags {
        Arc::new(tags.iter().map(|(key, value)| (Cow::Borrowed(*key), (*value).to_owned())).collect())
    }

    /// A place to register metrics in.
    pub fn registration(self: &Arc<Self>) -> Registration {
        Registration { metrics: self.clone(), ids: Vec::new() }
    }

    /// All metrics at `now`, ms since the epoch, sorted by group, name and tags.
    #[must_use]
    pub fn snapshot(&self, now: i64) -> Vec<Metric> {
        // Gauges are asked without the lock: one may wait for a thread that registers.
        let sources: Vec<(MetricName, Option<Sensor>, Source)> = self
            .lock()
            .1
            .values()
            .map(|registered| match &registered.source {
                Source::Sensor(sensor, stat) => {
                    (registered.name.clone(), Some(sensor.clone()), Source::Sensor(sensor.clone(), *stat))
                }
                Source::Gauge(gauge) => (registered.name.clone(), None, Source::Gauge(gauge.clone())),
            })
            .collect();
        let metric = |(name, sensor, source): (MetricName, Option<Sensor>, Source)| Metric {
            name,
            value: match source {
                Source::Sensor(sensor, stat) => sensor.shows(stat, now),
                Source::Gauge(gauge) => gauge(now),
            },
            level: sensor.as_ref().map(Sensor::level),
            recorded: sensor.as_ref().is_none_or(Sensor::should_record),
        };
        let mut metrics: Vec<Metric> = sources.into_iter().map(metric).collect();
        metrics.sort_by(|one, other| one.name.cmp(&other.name));
        metrics
    }

    /// How many metrics there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().1.len()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Registered>)> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Shows `sensor` as `name`.
    pub fn add_stat(&mut self, name: MetricName, sensor: &Sensor, stat: Stat) {
        self.add(name, Source::Sensor(sensor.clone(), stat));
    }

    /// Shows what `gauge` answers when somebody looks. It is called on the thread that looks, with the moment in ms since the epoch.
    pub fn add_gauge(
        &mut self,
        name: MetricName,
        gauge: impl Fn(i64) -> MetricValue + Send + Sync + 'static,
    ) {
        self.add(name, Source::Gauge(Arc::new(gauge)));
    }

    /// How many metrics it keeps.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    fn add(&mut self, name: MetricName, source: Source) {
        let mut registered = self.metrics.lock();
        let id = registered.0;
        registered.0 += 1;
        registered.1.insert(id, Registered { name, source });
        self.ids.push(id);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registered = self.metrics.lock();
        for id in &self.ids {
            registered.1.remove(id);
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("config", &self.config)
            .field("registered", &self.lock().1.len())
            .finish()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("metrics", &self.ids.len()).finish()
    }
}
