//! Metrics through the crate [`metrics`](https://docs.rs/metrics), for programs that have a recorder already: Prometheus, StatsD,
//! OpenTelemetry, or one of their own (cargo feature `metrics`).

use std::collections::{BTreeMap, BTreeSet};

use metrics_facade::{Key, Label, Level, Metadata, Recorder, Unit};

use super::{Family, FamilyKind, Metric};

/// Where recorders that filter see our metrics come from.
const METADATA: Metadata<'static> = Metadata::new("kstreams", Level::INFO, None);
/// What has no value as long as nothing was measured.
const NAN_OF_NOTHING: [&str; 3] = ["_avg", "_min", "_max"];

/// How a name ends, and its unit. Latencies have none: those of threads are ms, those of tasks ns, as in Kafka.
const UNITS: [(&str, Unit); 6] = [
    ("_ns_total", Unit::Nanoseconds),
    ("_bytes_total", Unit::Bytes),
    ("_bytes", Unit::Bytes),
    ("_ms", Unit::Milliseconds),
    ("_rate", Unit::CountPerSecond),
    ("_total", Unit::Count),
];

/// Hands the metrics of an instance to the recorder of the crate `metrics`, whenever it is called.
///
/// Records pay nothing for it: the figures are those of [`KafkaStreams::named_metrics`](crate::runtime::KafkaStreams::named_metrics),
/// which are counted in any case and change about twice a second. Call it every few seconds, from a timer or a thread of the program,
/// with one publisher for each instance; and once more after the instance was closed.
///
/// Names and labels are those of [`Family`], the same as at `/metrics`, with the label `application_id`:
///
/// | in Kafka Streams | in the recorder |
/// |---|---|
/// | a total: `process-total` | a counter, set by `absolute` |
/// | any other number: `process-rate` | a gauge |
/// | a text: `state` | a gauge of 1 with the text as label; once the text is another one, that of the old text is 0 |
///
/// Each name is described once, with its unit where the name tells it (`-rate`, `-total`, `-bytes`, `-ms`): so install the recorder
/// before the first call. Without a recorder a call does nothing that is seen.
///
/// **What ends** (a task moved away, a thread stopped) is no longer among the metrics, but recorders do not forget. Its gauges are set
/// once more, to what they say when there is nothing: NaN for averages, minima and maxima, as in Kafka, and 0 for the rest, so that sums
/// over all tasks stay right. Then they are left alone: exporters with an idle timeout drop them. Its counters stay where they are. Should
/// it come back (the task was given back), its totals begin at 0; the counters go on from where they were. So a counter never goes down;
/// what was counted between the last call and the end is not in it.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use metrics_facade as metrics;
/// use metrics_util::debugging::{DebugValue, DebuggingRecorder};
/// use streams_core::metrics::MetricsPublisher;
/// # use streams_core::client::embedded::EmbeddedKafka;
/// # use streams_core::config::{ProcessingGuarantee, StreamsConfig};
/// # use streams_core::dsl::StreamsBuilder;
/// # use streams_core::runtime::{KafkaStreams, State, clock::SystemClock};
/// # use streams_core::topic::Topic;
/// # let kafka = EmbeddedKafka::new(SystemClock);
/// # kafka.create_topic("lines", 1)?;
/// # kafka.create_topic("copies", 1)?;
/// # let builder = StreamsBuilder::new();
/// # builder.stream(&Topic::<String, String>::new("lines")).to(&Topic::<String, String>::new("copies"));
/// # let dir = tempfile::tempdir()?;
/// # let mut config = StreamsConfig::new("shop", ProcessingGuarantee::ExactlyOnceV2);
/// # config.state_dir = dir.path().to_owned();
/// # let mut streams = KafkaStreams::new(builder.build()?, config, Arc::new(kafka))?;
/// # streams.start()?;
/// # assert!(streams.await_state(&[State::Running], Duration::from_secs(60)));
///
/// // Usually the recorder of an exporter, installed for the whole process.
/// let recorder = DebuggingRecorder::new();
/// let monitor = streams.monitor();
/// let mut publisher = MetricsPublisher::new(monitor.application_id());
/// metrics::with_local_recorder(&recorder, || publisher.publish(&monitor.named_metrics()));
///
/// let alive = recorder.snapshotter().snapshot().into_vec().into_iter().find(|(key, ..)| {
///     key.key().name() == "kafka_streams_stream_metrics_alive_stream_threads"
/// });
/// assert_eq!(alive.map(|(.., value)| value), Some(DebugValue::Gauge(1.0.into())));
/// # streams.close(Duration::from_secs(60))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MetricsPublisher {
    application_id: String,
    described: BTreeSet<String>,
    /// Those of the last call.
    gauges: BTreeSet<Series>,
    /// Those of all calls.
    counters: BTreeMap<Series, Count>,
}

/// What one value belongs to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
}

/// A total whose owner may end, and come back with a total of 0.
#[derive(Default, Debug)]
struct Count {
    /// Sum of the totals of those that ended.
    ended: u64,
    current: u64,
}

impl MetricsPublisher {
    /// For one instance: `application_id` becomes a label of all values.
    pub fn new(application_id: impl Into<String>) -> Self {
        Self {
            application_id: application_id.into(),
            described: BTreeSet::new(),
            gauges: BTreeSet::new(),
            counters: BTreeMap::new(),
        }
    }

    /// Hands `metrics` to the recorder of this thread, or else to that of the process: all those of the instance, for what is missing
    /// has ended.
    pub fn publish(&mut self, metrics: &[Metric]) {
        let (mut counters, mut gauges) = (BTreeMap::new(), BTreeMap::new());
        metrics_facade::with_recorder(|recorder| {
            for family in Family::of(metrics) {
                self.describe(recorder, &family);
                let values = if counts(family.kind) { &mut counters } else { &mut gauges };
                let series = |labels| Series { name: family.name.clone(), labels };
                values.extend(family.samples.into_iter().map(|sample| (series(sample.labels), sample.value)));
            }
            self.set_gauges(recorder, &gauges);
            self.set_counters(recorder, &counters);
        });
        self.gauges = gauges.into_keys().collect();
    }

    fn describe(&mut self, recorder: &dyn Recorder, family: &Family) {
        if !self.described.insert(family.name.clone()) {
            return;
        }
        let (name, unit, help) = (family.name.clone().into(), unit(&family.name), family.help.clone().into());
        match counts(family.kind) {
            true => recorder.describe_counter(name, unit, help),
            false => recorder.describe_gauge(name, unit, help),
        }
    }

    /// Those of `gauges`, and those that are no longer among them.
    fn set_gauges(&self, recorder: &dyn Recorder, gauges: &BTreeMap<Series, f64>) {
        let ended = self.gauges.iter().filter(|series| !gauges.contains_key(series));
        let ended = ended.map(|series| (series, of_nothing(&series.name)));
        for (series, value) in ended.chain(gauges.iter().map(|(series, value)| (series, *value))) {
            recorder.register_gauge(&self.key(series), &METADATA).set(value);
        }
    }

    /// Those of `counters`; of those that are no longer among them the totals are kept.
    fn set_counters(&mut self, recorder: &dyn Recorder, counters: &BTreeMap<Series, f64>) {
        for (series, count) in &mut self.counters {
            if !counters.contains_key(series) {
                count.total(0);
            }
        }
        for (series, value) in counters {
            let total = self.counters.entry(series.clone()).or_default().total(*value as u64);
            recorder.register_counter(&self.key(series), &METADATA).absolute(total);
        }
    }

    fn key(&self, series: &Series) -> Key {
        let application = Label::new("application_id", self.application_id.clone());
        let labels = series.labels.iter().map(|(key, value)| Label::new(key.clone(), value.clone()));
        Key::from_parts(series.name.clone(), std::iter::once(application).chain(labels).collect::<Vec<_>>())
    }
}

impl Count {
    /// The sum over all owners, with the total of the present one, which is a new one if its total is less than before.
    fn total(&mut self, current: u64) -> u64 {
        if current < self.current {
            self.ended += self.current;
        }
        self.current = current;
        self.ended + self.current
    }
}

fn counts(kind: FamilyKind) -> bool {
    match kind {
        FamilyKind::Counter => true,
        FamilyKind::Gauge | FamilyKind::Unknown => false,
    }
}

/// What a gauge of this name says when there is nothing.
fn of_nothing(name: &str) -> f64 {
    if NAN_OF_NOTHING.iter().any(|end| name.ends_with(end)) { f64::NAN } else { 0.0 }
}

fn unit(name: &str) -> Option<Unit> {
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests {
    use metrics_facade::with_local_recorder;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    use super::super::{MetricName, MetricValue, Metrics};
    use super::*;

    fn metric(name: &'static str, value: MetricValue) -> Metric {
        let tags = Metrics::tags(&[("task-id", "0_1")]);
        let description = format!("About {name}").into();
        let name = MetricName { group: "g".into(), name: name.into(), tags, description };
        Metric { name, value, level: None, recorded: true }
    }

    fn number(name: &'static str, value: f64) -> Metric {
        metric(name, MetricValue::Number(value))
    }

    /// What one call hands to `recorder`: the snapshot takes it away.
    fn lines(
        publisher: &mut MetricsPublisher,
        metrics: &[Metric],
        recorder: &DebuggingRecorder,
    ) -> Vec<String> {
        with_local_recorder(recorder, || publisher.publish(metrics));
        let line = |(key, unit, help, value): (_, Option<Unit>, Option<metrics_facade::SharedString>, _)| {
            let key: metrics_util::CompositeKey = key;
            let labels: Vec<String> =
                key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let value = match value {
                DebugValue::Counter(value) => format!("counter {value}"),
                DebugValue::Gauge(value) => format!("gauge {value}"),
                DebugValue::Histogram(_) => "histogram".to_owned(),
            };
            let unit = unit.map_or("-", |unit| unit.as_str());
            let help = help.unwrap_or_default();
            format!("{} {} {value} {unit} {help}", key.key().name(), labels.join(","))
        };
        let mut lines: Vec<String> =
            recorder.snapshotter().snapshot().into_vec().into_iter().map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn kinds_labels_units_and_descriptions() {
        let metrics = [
            number("cache-size-bytes-total", 3.0),
            number("process-latency-avg", f64::NAN),
            number("process-rate", 2.5),
            number("process-total", 7.0),
            metric("state", MetricValue::Text("RUNNING".to_owned())),
        ];
        let mut publisher = MetricsPublisher::new("shop");
        let recorder = DebuggingRecorder::new();
        assert_eq!(
            lines(&mut publisher, &metrics, &recorder),
            [
                "kafka_streams_g application_id=shop,task_id=0_1,state=RUNNING gauge 1 - Texts of g, as labels",
                "kafka_streams_g_cache_size_bytes_total application_id=shop,task_id=0_1 gauge 3 bytes About cache-size-bytes-total",
                "kafka_streams_g_process_latency_avg application_id=shop,task_id=0_1 gauge NaN - About process-latency-avg",
                "kafka_streams_g_process_rate application_id=shop,task_id=0_1 gauge 2.5 count_per_second About process-rate",
                "kafka_streams_g_process_total application_id=shop,task_id=0_1 counter 7 count About process-total",
            ]
        );
        // Described once: another recorder hears values alone.
        assert_eq!(
            lines(&mut publisher, &metrics, &DebuggingRecorder::new())[3],
            "kafka_streams_g_process_rate application_id=shop,task_id=0_1 gauge 2.5 - "
        );
    }

    #[test]
    fn what_ends_says_so_once_and_its_counters_go_on_when_it_is_back() {
        let mut publisher = MetricsPublisher::new("shop");
        let mut after = |metrics: &[Metric]| {
            let values = lines(&mut publisher, metrics, &DebuggingRecorder::new());
            let value = |line: String| {
                let mut words = line.split(' ').filter(|word| !word.starts_with("application_id"));
                let name = words.next().unwrap_or_default().trim_start_matches("kafka_streams_g_").to_owned();
                format!("{name} {}", words.nth(1).unwrap_or_default())
            };
            values.into_iter().map(value).collect::<Vec<_>>()
        };
        let task = |total| [number("lag-max", 4.0), number("p-rate", 2.0), number("p-total", total)];
        assert_eq!(after(&task(7.0)), ["lag_max 4", "p_rate 2", "p_total 7"]);
        assert_eq!(after(&[]), ["lag_max NaN", "p_rate 0"]);
        assert!(after(&[]).is_empty());
        assert_eq!(after(&task(2.0)), ["lag_max 4", "p_rate 2", "p_total 9"]);
        // It ended and came back between two calls.
        assert_eq!(after(&task(1.0))[2], "p_total 10");
        assert_eq!(after(&task(1.0))[2], "p_total 10");
        assert_eq!(after(&task(5.0))[2], "p_total 14");
    }

    #[test]
    fn a_text_that_is_another_one_leaves_the_old_at_zero() {
        let mut publisher = MetricsPublisher::new("shop");
        let state = |text: &str| [metric("state", MetricValue::Text(text.to_owned()))];
        let recorder = DebuggingRecorder::new();
        lines(&mut publisher, &state("REBALANCING"), &recorder);
        assert_eq!(
            lines(&mut publisher, &state("RUNNING"), &recorder),
            [
                "kafka_streams_g application_id=shop,task_id=0_1,state=REBALANCING gauge 0 - Texts of g, as labels",
                "kafka_streams_g application_id=shop,task_id=0_1,state=RUNNING gauge 1 - Texts of g, as labels",
            ]
        );
    }
}
