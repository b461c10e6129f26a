//! What the clients of an instance measure: the metrics of Java's clients.
//!
//! In: calls on their way to a client, timed by a clock that is a hook, and what the client says of itself when it is asked, twice a second.
//! Out: sensors. Records cost nothing here: they are counted where they are handed out.

mod admin;
mod consumer;
mod network;
mod producer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use streams_state::types::Timestamp;

pub(crate) use self::{admin::AdminSensors, consumer::MeteredConsumer, producer::MeteredProducer};
use crate::metrics::catalogue::clients;
use crate::metrics::{MetricValue, Metrics, Scope};

/// What all sensors of a client have in common.
#[derive(Clone)]
struct Client {
    metrics: Arc<Metrics>,
    id: Arc<str>,
    /// How many metrics it has.
    count: Arc<AtomicUsize>,
}

/// A scope of a client, which counts for it.
struct ClientScope {
    scope: Scope,
    counted: usize,
    count: Arc<AtomicUsize>,
}

impl Client {
    fn new(metrics: &Arc<Metrics>, id: &str) -> Self {
        Self { metrics: metrics.clone(), id: id.into(), count: Arc::default() }
    }

    /// A scope with the client's tag and `tags`, filled by `fill`.
    fn scope<T>(
        &self,
        group: &'static str,
        tags: &[(&'static str, &str)],
        fill: impl FnOnce(&mut Scope) -> T,
    ) -> (ClientScope, T) {
        let tags: Vec<(&'static str, &str)> =
            std::iter::once(("client-id", &*self.id)).chain(tags.iter().copied()).collect();
        let mut scope = Scope::new(&self.metrics, group, &tags);
        let filled = fill(&mut scope);
        let counted = scope.len();
        self.count.fetch_add(counted, Relaxed);
        (ClientScope { scope, counted, count: self.count.clone() }, filled)
    }

    /// What a client says of itself, made at `now`.
    fn app_info(&self, now: Timestamp) -> [ClientScope; 2] {
        let text = |text: &'static str| move |_: i64| MetricValue::Text(text.to_owned());
        let (app_info, ()) = self.scope(clients::APP_INFO, &[], |scope| {
            scope.gauge(clients::COMMIT_ID, text(option_env!("KSTREAMS_COMMIT_ID").unwrap_or("unknown")));
            scope.number(clients::START_TIME_MS, move || now as f64);
            scope.gauge(clients::VERSION, text(env!("CARGO_PKG_VERSION")));
        });
        let count = self.count.clone();
        let (metrics_count, ()) = self.scope(clients::METRICS_COUNT, &[], |scope| {
            scope.number(clients::COUNT, move || count.load(Relaxed) as f64);
        });
        [app_info, metrics_count]
    }
}

impl Drop for ClientScope {
    fn drop(&mut self) {
        self.count.fetch_sub(self.counted, Relaxed);
    }
}

impl std::fmt::Debug for ClientScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.scope.fmt(f)
    }
}

/// What a counter grew by since the last look; one that fell began anew.
fn grown(before: &mut u64, now: u64) -> u64 {
    let grown = now.checked_sub(*before).unwrap_or(now);
    *before = now;
    grown
}
