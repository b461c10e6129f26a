//! Figures as Prometheus reads them.
//!
//! All metrics that Kafka Streams has, too, under the names that its dashboards look for: the rule is
//! [`Family`]'s. Beside them our own, which begin with `kstreams_`. Every sample has the application's id as label.

use std::fmt::{self, Write};

use streams_core::metrics::{Family, FamilyKind, Sample};
use streams_core::processor::DropReason;
use streams_core::runtime::{StreamsMonitor, TaskFigures};

/// The text of `/metrics`.
pub(crate) fn text(monitor: &StreamsMonitor) -> Result<String, fmt::Error> {
    let mut families = Family::of(&monitor.named_metrics());
    families.extend(of_the_instance(monitor));
    families.extend(of_tasks(&monitor.tasks()));
    let mut text = String::new();
    write(&families, monitor.application_id(), &mut text)?;
    Ok(text)
}

/// Sums over all threads, and the memory of the process.
fn of_the_instance(monitor: &StreamsMonitor) -> Vec<Family> {
    let metrics = monitor.metrics();
    let (counter, gauge) = (FamilyKind::Counter, FamilyKind::Gauge);
    let one = |(name, help, kind, value): (&str, &str, FamilyKind, u64)| {
        family(name, help, kind, vec![sample(&[], value)])
    };
    let mut families: Vec<Family> = [
        (
            "kstreams_records_produced_total",
            "Records handed to the producer, changelogs included",
            counter,
            metrics.records_produced,
        ),
        ("kstreams_rewinds_total", "Ways back to the committed offsets", counter, metrics.rewinds),
        ("kstreams_records_restored_total", "Changelog records restored", counter, metrics.records_restored),
        (
            "kstreams_handled_failures_total",
            "Failures that handlers were asked about",
            counter,
            monitor.handled_failures().total,
        ),
        (
            "kstreams_lag_records",
            "Records between position and end of the inputs",
            gauge,
            metrics.lag.max(0) as u64,
        ),
        ("kstreams_tasks", "Tasks owned", gauge, metrics.tasks),
        ("kstreams_tasks_restoring", "Tasks that restore", gauge, metrics.tasks_restoring),
        (
            "kstreams_restore_records_left",
            "Changelog records left to restore",
            gauge,
            metrics.restore_records_left,
        ),
        (
            "kstreams_restore_records_per_second",
            "Changelog records restored a second",
            gauge,
            metrics.restore_records_per_second,
        ),
        (
            "kstreams_restore_seconds_left",
            "Seconds that the restore needs at this rate",
            gauge,
            metrics.restore_seconds_left,
        ),
        ("kstreams_state_memory_bytes", "Memory in use by stores", gauge, metrics.state_memory_bytes),
        ("kstreams_state_engine_bytes", "Bytes that engines hold", gauge, metrics.state_engine_bytes),
        ("kstreams_memory_max_bytes", "The setting memory.max.bytes", gauge, metrics.memory_max_bytes),
        (
            "process_resident_memory_bytes",
            "Resident memory of the process",
            gauge,
            metrics.process_memory_bytes,
        ),
    ]
    .map(one)
    .into();
    let dropped = DropReason::ALL
        .map(|reason| sample(&[("reason", reason.as_str())], metrics.dropped_by_reason.get(reason)));
    families.push(family("kstreams_dropped_records_total", "Records dropped", counter, dropped.into()));
    families
}

/// Inputs and stores, one by one.
fn of_tasks(tasks: &[TaskFigures]) -> Vec<Family> {
    let (mut lag, mut memory, mut engine) = (Vec::new(), Vec::new(), Vec::new());
    for task in tasks {
        let id = task.task_id.to_string();
        for input in &task.inputs {
            let partition = input.partition.partition.to_string();
            let labels = [("task_id", &*id), ("topic", &*input.partition.topic), ("partition", &*partition)];
            lag.extend(input.lag().map(|lag| sample(&labels, lag.unsigned_abs())));
        }
        for store in &task.stores {
            let labels = [("task_id", &*id), ("store", &*store.name)];
            memory.push(sample(&labels, store.memory_bytes));
            engine.extend(store.engine_bytes.map(|bytes| sample(&labels, bytes)));
        }
    }
    let gauge = |name, help, samples| family(name, help, FamilyKind::Gauge, samples);
    vec![
        gauge("kstreams_input_lag_records", "Records between position and end of an input", lag),
        gauge("kstreams_store_memory_bytes", "Memory in use by a store", memory),
        gauge("kstreams_store_engine_bytes", "Bytes that the engine of a store holds", engine),
    ]
}

fn family(name: &str, help: &str, kind: FamilyKind, samples: Vec<Sample>) -> Family {
    Family { name: name.to_owned(), help: help.to_owned(), kind, samples }
}

fn sample(labels: &[(&str, &str)], value: u64) -> Sample {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Sample { labels: labels.collect(), value: value as f64 }
}

/// Writes families that have samples in the text format of Prometheus, version 0.0.4:
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>.
fn write(families: &[Family], application: &str, text: &mut String) -> fmt::Result {
    for Family { name, help, kind, samples } in families.iter().filter(|family| !family.samples.is_empty()) {
        let kind = match kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            FamilyKind::Unknown => "untyped",
        };
        writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", escaped(help))?;
        for Sample { labels, value } in samples {
            write!(text, "{name}{{application_id={}", quoted(application))?;
            for (label, of) in labels {
                write!(text, ",{label}={}", quoted(of))?;
            }
            writeln!(text, "}} {}", number(*value))?;
        }
    }
    Ok(())
}

/// On one line.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Between quotation marks.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text).replace('"', "\\\""))
}

fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format() {
        let path = Sample { labels: vec![("path".into(), "C:\\\"x\"\n".into())], value: f64::NAN };
        let families = [
            family("a_total", "One\nline", FamilyKind::Counter, vec![sample(&[], 3)]),
            family("none", "Nothing", FamilyKind::Gauge, Vec::new()),
            family(
                "b",
                "Two",
                FamilyKind::Gauge,
                vec![path, Sample { labels: Vec::new(), value: f64::INFINITY }],
            ),
        ];
        let mut text = String::new();
        write(&families, "app", &mut text).unwrap();
        let expected = r#"# HELP a_total One\nline
# TYPE a_total counter
a_total{application_id="app"} 3
# HELP b Two
# TYPE b gauge
b{application_id="app",path="C:\\\"x\"\n"} NaN
b{application_id="app"} +Inf
"#;
        assert_eq!(text, expected);
    }
}
