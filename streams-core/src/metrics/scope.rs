//! What belongs together: one group, one set of tags, gone at once.

use std::borrow::Cow;
use std::sync::Arc;

use super::catalogue::{GaugeSpec, SensorSpec};
use super::{MetricName, MetricTags, MetricValue, Metrics, Registration, Sensor};

/// The metrics of a thread, a task, a node, a store. They are registered as long as it is there.
#[derive(Debug)]
pub(crate) struct Scope {
    metrics: Arc<Metrics>,
    group: &'static str,
    tags: MetricTags,
    registration: Registration,
}

impl Scope {
    pub(crate) fn new(metrics: &Arc<Metrics>, group: &'static str, tags: &[(&'static str, &str)]) -> Self {
        let registration = metrics.registration();
        Self { metrics: metrics.clone(), group, tags: Metrics::tags(tags), registration }
    }

    /// How many metrics it has.
    pub(crate) fn len(&self) -> usize {
        self.registration.len()
    }

    /// The same with other tags from here on.
    pub(crate) fn retag(&mut self, tags: &[(&'static str, &str)]) {
        self.tags = Metrics::tags(tags);
    }

    /// A sensor, with the metrics that show it.
    pub(crate) fn sensor(&mut self, spec: &SensorSpec) -> Sensor {
        let sensor = self.metrics.sensor(spec.level);
        for (name, description, stat) in spec.shown {
            self.registration.add_stat(self.name(name, description), &sensor, *stat);
        }
        sensor
    }

    /// What is asked when somebody looks.
    pub(crate) fn gauge(
        &mut self,
        (name, description): GaugeSpec,
        gauge: impl Fn(i64) -> MetricValue + Send + Sync + 'static,
    ) {
        self.registration.add_gauge(self.name(name, description), gauge);
    }

    /// A number that is asked for when somebody looks.
    pub(crate) fn number(&mut self, spec: GaugeSpec, number: impl Fn() -> f64 + Send + Sync + 'static) {
        self.gauge(spec, move |_| MetricValue::Number(number()));
    }

    fn name(&self, name: &'static str, description: &'static str) -> MetricName {
        MetricName {
            group: Cow::Borrowed(self.group),
            name: Cow::Borrowed(name),
            tags: self.tags.clone(),
            description: Cow::Borrowed(description),
        }
    }
}
