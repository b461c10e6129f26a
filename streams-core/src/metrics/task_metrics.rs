//! What a task and its nodes measure with: numbers are gathered in cells of the task, on its thread, and handed to the sensors now and then.
//!
//! A [`Meter`] of a level that is not recorded is empty: its owner need not even ask a clock.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::catalogue::SensorSpec;
use super::{AtWork, Batch, MetricName, Metrics, Registration, Scope, Sensor, catalogue};

/// Where a task registers what it measures, and the clock that it measures with.
#[derive(Clone)]
pub struct MetricsSource {
    /// The registry.
    pub metrics: Arc<Metrics>,
    /// Tag `thread-id` of its metrics.
    pub thread_id: Arc<str>,
    /// Ns since any moment. The task never asks a clock of its own.
    pub ns: fn() -> u64,
    /// Where its thread says what it is at.
    pub at_work: Arc<AtWork>,
}

/// A registry that nobody sees, no clock, and a place to which nobody looks.
impl Default for MetricsSource {
    fn default() -> Self {
        Self {
            metrics: Arc::new(Metrics::new(super::MetricConfig::default())),
            thread_id: "".into(),
            ns: || 0,
            at_work: Arc::default(),
        }
    }
}

/// Gathers numbers for one sensor. Empty if its level is not recorded.
#[derive(Clone, Debug)]
pub struct Meter(Option<Rc<Cell<Batch>>>);

impl Meter {
    /// Gathers nothing.
    pub(crate) const OFF: Self = Self(None);

    /// Whether numbers are taken.
    #[inline]
    pub fn records(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a number.
    #[inline]
    pub fn add(&self, number: f64) {
        self.merge(Batch::of(number));
    }

    /// Adds a batch.
    pub fn merge(&self, batch: Batch) {
        if let Some(cell) = &self.0 {
            let mut gathered = cell.get();
            gathered.merge(batch);
            cell.set(gathered);
        }
    }

    /// The number is this now: what was gathered counts no more.
    pub fn set(&self, number: f64) {
        if let Some(cell) = &self.0 {
            cell.set(Batch::of(number));
        }
    }

    /// `ns` of `total_ns` went to it.
    pub fn share(&self, ns: u64, total_ns: u64) {
        self.merge(Batch { count: total_ns, sum: ns as f64, ..Batch::default() });
    }
}

/// The metrics of a task and its nodes.
pub struct TaskMetrics {
    source: MetricsSource,
    task: String,
    meters: Vec<(Rc<Cell<Batch>>, Sensor)>,
    scopes: Vec<Scope>,
    /// Meters of nodes and what they read and write: tags and name of the first metric.
    shared: BTreeMap<(String, &'static str), Meter>,
    /// Sensors of the application's own.
    user: Vec<(Sensor, Registration)>,
}

impl TaskMetrics {
    /// Those of the task `task`.
    pub fn new(source: MetricsSource, task: String) -> Self {
        Self {
            source,
            task,
            meters: Vec::new(),
            scopes: Vec::new(),
            shared: BTreeMap::new(),
            user: Vec::new(),
        }
    }

    /// The registry.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.source.metrics
    }

    /// Where the thread of the task says what it is at.
    #[inline]
    pub(crate) fn at_work(&self) -> &AtWork {
        &self.source.at_work
    }

    /// Ns of the clock that measures.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        (self.source.ns)()
    }

    /// That clock, for who measures elsewhere.
    pub(crate) fn clock(&self) -> fn() -> u64 {
        self.source.ns
    }

    /// A scope of this task: `tags` come to its thread and its id.
    pub(crate) fn scope(&self, group: &'static str, tags: &[(&'static str, &str)]) -> Scope {
        let own = [("thread-id", &*self.source.thread_id), ("task-id", &*self.task)];
        let tags: Vec<(&'static str, &str)> = own.into_iter().chain(tags.iter().copied()).collect();
        Scope::new(&self.source.metrics, group, &tags)
    }

    /// A meter of a scope.
    pub(crate) fn meter(&mut self, scope: &mut Scope, spec: &SensorSpec) -> Meter {
        let sensor = scope.sensor(spec);
        Meter(sensor.should_record().then(|| {
            let cell = Rc::new(Cell::new(Batch::default()));
            self.meters.push((cell.clone(), sensor));
            cell
        }))
    }

    /// Keeps a scope registered as long as the task is there.
    pub(crate) fn keep(&mut self, scope: Scope) {
        self.scopes.push(scope);
    }

    /// Meters of one node, in their order; the same ones for whoever asks.
    pub(crate) fn node_meters<const N: usize>(&mut self, node: &str, specs: [&SensorSpec; N]) -> [Meter; N] {
        self.shared_meters(catalogue::node::GROUP, &[("processor-node-id", node)], specs)
    }

    /// Meters of what one node reads from a topic, or writes to it.
    pub(crate) fn topic_meters<const N: usize>(
        &mut self,
        (node, topic): (&str, &str),
        specs: [&SensorSpec; N],
    ) -> [Meter; N] {
        let tags = [("processor-node-id", node), ("topic", topic)];
        self.shared_meters(catalogue::node::TOPIC_GROUP, &tags, specs)
    }

    fn shared_meters<const N: usize>(
        &mut self,
        group: &'static str,
        tags: &[(&'static str, &str)],
        specs: [&SensorSpec; N],
    ) -> [Meter; N] {
        let whose: Vec<&str> = tags.iter().map(|(_, value)| *value).collect();
        let whose = whose.join("\n");
        let mut scope = self.scope(group, tags);
        let meters = specs.map(|spec| {
            let key = (whose.clone(), spec.shown.first().map_or("", |(name, _, _)| *name));
            if let Some(known) = self.shared.get(&key) {
                return known.clone();
            }
            let meter = self.meter(&mut scope, spec);
            self.shared.insert(key, meter.clone());
            meter
        });
        self.keep(scope);
        meters
    }

    /// Hands what was gathered to the sensors.
    pub(crate) fn flush(&self, now: i64) {
        for (cell, sensor) in &self.meters {
            sensor.record_batch(cell.take(), now);
        }
    }

    /// A sensor of the application's own, shown as `shown`: names, descriptions, how.
    pub(super) fn add_user_sensor(
        &mut self,
        sensor: Sensor,
        group: &str,
        tags: &[(&str, &str)],
        shown: &[(String, String, super::Stat)],
    ) -> Sensor {
        let own = [("thread-id", &*self.source.thread_id)];
        let tags = own.iter().chain(tags);
        let tags = tags.map(|(key, value)| (Cow::Owned((*key).to_owned()), (*value).to_owned()));
        let tags = Arc::new(tags.collect());
        let mut registration = self.source.metrics.registration();
        for (name, description, stat) in shown {
            let name = MetricName {
                group: Cow::Owned(group.to_owned()),
                name: Cow::Owned(name.clone()),
                tags: Arc::clone(&tags),
                description: Cow::Owned(description.clone()),
            };
            registration.add_stat(name, &sensor, *stat);
        }
        self.user.push((sensor.clone(), registration));
        sensor
    }

    pub(super) fn remove_user_sensor(&mut self, sensor: &Sensor) {
        self.user.retain(|(other, _)| !other.is(sensor));
    }
}

impl fmt::Debug for MetricsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsSource").field("thread_id", &self.thread_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMetrics")
            .field("task", &self.task)
            .field("meters", &self.meters.len())
            .finish_non_exhaustive()
    }
}
