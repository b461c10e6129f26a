//! Figures as Prometheus reads them.
//!
//! Those that Kafka Streams has, too, are named as its JMX beans are by Prometheus' exporter (`kafka_streams_` group `_` name), so that
//! dashboards find them; they are sums over the threads of the instance, with its application id as label. The others begin with
//! `kstreams_`.

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use streams_core::processor::DropReason;
use streams_core::runtime::{MetricsSnapshot, State, StreamsMonitor, ThreadState};

/// The text of `/metrics`.
pub(crate) fn text(monitor: &StreamsMonitor) -> Result<String, std::fmt::Error> {
    let application = monitor.application_id().to_owned();
    let mut registry = Registry::with_labels([("application_id".into(), application.into())].into_iter());
    let metrics = monitor.metrics();
    let threads = monitor.metadata_for_local_threads();
    let alive = threads.iter().filter(|thread| thread.thread_state != ThreadState::Dead).count() as u64;
    named_by_kafka_streams(&mut registry, &metrics, monitor.state(), alive);
    our_own(&mut registry, &metrics);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

fn named_by_kafka_streams(registry: &mut Registry, metrics: &MetricsSnapshot, state: State, alive: u64) {
    let client = "kafka_streams_stream_metrics";
    gauge(
        registry,
        &format!("{client}_client_state"),
        "State: 0 created, 1 rebalancing, 2 running, 3 closing, 4 closed, 5 failing, 6 failed",
        ordinal(state),
    );
    gauge(registry, &format!("{client}_alive_stream_threads"), "Stream threads that are alive", alive);
    let thread = "kafka_streams_stream_thread_metrics";
    counter(registry, &format!("{thread}_process"), "Source records processed", metrics.records_processed);
    counter(registry, &format!("{thread}_commit"), "Commits that succeeded", metrics.commits);
    for reason in DropReason::ALL {
        let dropped = registry.sub_registry_with_label(("reason".into(), reason.as_str().into()));
        let count = metrics.dropped_by_reason.get(reason);
        counter(dropped, "kafka_streams_stream_task_metrics_dropped_records", "Records dropped", count);
    }
}

fn our_own(registry: &mut Registry, metrics: &MetricsSnapshot) {
    counter(
        registry,
        "kstreams_records_produced",
        "Records handed to the producer, changelogs included",
        metrics.records_produced,
    );
    counter(registry, "kstreams_rewinds", "Ways back to the committed offsets", metrics.rewinds);
    counter(registry, "kstreams_records_restored", "Changelog records restored", metrics.records_restored);
    for (name, help, value) in [
        ("kstreams_lag_records", "Records between position and end of the inputs", metrics.lag.max(0) as u64),
        ("kstreams_tasks", "Tasks owned", metrics.tasks),
        ("kstreams_tasks_restoring", "Tasks that restore", metrics.tasks_restoring),
        ("kstreams_restore_records_left", "Changelog records left to restore", metrics.restore_records_left),
        (
            "kstreams_restore_records_per_second",
            "Changelog records restored a second",
            metrics.restore_records_per_second,
        ),
        ("kstreams_state_memory_bytes", "Memory in use by stores", metrics.state_memory_bytes),
        ("kstreams_state_engine_bytes", "Bytes that engines hold", metrics.state_engine_bytes),
        ("kstreams_memory_max_bytes", "The setting memory.max.bytes", metrics.memory_max_bytes),
        ("process_resident_memory_bytes", "Resident memory of the process", metrics.process_memory_bytes),
    ] {
        gauge(registry, name, help, value);
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)));
}

/// The ending `_total` is added by the format.
fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstCounter::new(value));
}

/// The number that Kafka Streams gives the state.
fn ordinal(state: State) -> u64 {
    match state {
        State::Created => 0,
        State::Rebalancing => 1,
        State::Running => 2,
        State::PendingShutdown => 3,
        State::NotRunning => 4,
        State::PendingError => 5,
        State::Error => 6,
    }
}
