//! What an instance says of itself: `stream-metrics`.

use std::sync::Arc;

use super::clock::SystemClock;
use super::instance::{Instance, Member, lock};
use super::shared::Shared;
use crate::client::embedded::Clock;
use crate::metrics::catalogue::{client, clients};
use crate::metrics::{MetricValue, Scope, Sensor};
use crate::topology::Topology;

/// Keeps the metrics of an instance registered.
pub(super) struct ClientMetrics {
    _scopes: [Scope; 2],
    failed: Sensor,
}

impl Instance {
    /// Registers what it says of itself: after its start, and once.
    pub(super) fn show_itself(self: &Arc<Self>, shared: &Shared, topology: &Arc<Topology>) {
        self.own_metrics.get_or_init(|| self.client_metrics(shared, topology));
    }

    /// A stream thread died of an error.
    pub(super) fn thread_failed(&self) {
        if let Some(own) = self.own_metrics.get() {
            own.failed.record(1.0, SystemClock.now_ms());
        }
    }

    fn client_metrics(self: &Arc<Self>, shared: &Shared, topology: &Arc<Topology>) -> ClientMetrics {
        let application = shared.config.application_id.clone();
        let process = &*shared.process_id;
        let id = format!("{application}-{process}");
        let mut scope = Scope::new(&self.registry, client::GROUP, &[("client-id", &id)]);
        // The registry is a part of the instance: no circle.
        let ask = |answer: fn(&Instance) -> MetricValue| {
            let instance = Arc::downgrade(self);
            move |_: i64| {
                instance.upgrade().map_or(MetricValue::Number(f64::NAN), |instance| answer(&instance))
            }
        };
        let text = |text: &str| {
            let text = text.to_owned();
            move |_: i64| MetricValue::Text(text.clone())
        };
        let alive = |instance: &Instance| {
            let status = lock(&instance.status);
            let stream_threads = status.threads.iter().filter(|member| member.index.is_some());
            MetricValue::Number(stream_threads.filter(|member| Member::is_alive(member)).count() as f64)
        };
        scope.gauge(client::ALIVE_STREAM_THREADS, ask(alive));
        scope.gauge(
            client::STATE,
            ask(|instance| MetricValue::Text(lock(&instance.status).state.to_string())),
        );
        scope.gauge(client::APPLICATION_ID, text(&application));
        scope.gauge(client::VERSION, text(env!("CARGO_PKG_VERSION")));
        scope.gauge(client::COMMIT_ID, text(option_env!("KSTREAMS_COMMIT_ID").unwrap_or("unknown")));
        let topology = topology.clone();
        scope
            .gauge(client::TOPOLOGY_DESCRIPTION, move |_| MetricValue::Text(topology.describe().to_string()));
        let failed = scope.sensor(&client::FAILED_STREAM_THREADS);
        scope.retag(&[("client-id", &id), ("process-id", process)]);
        let level = shared.config.metrics.recording_level.number();
        scope.number(client::RECORDING_LEVEL, move || f64::from(level));
        scope.retag(&[("application-id", &application), ("client-id", &id), ("process-id", process)]);
        let number = |instance: &Instance| MetricValue::Number(lock(&instance.status).state.number().into());
        scope.gauge(client::CLIENT_STATE, ask(number));
        let mut counted = Scope::new(&self.registry, clients::METRICS_COUNT, &[]);
        counted.gauge(clients::COUNT, ask(|instance| MetricValue::Number(instance.registry.count() as f64)));
        ClientMetrics { _scopes: [scope, counted], failed }
    }
}
