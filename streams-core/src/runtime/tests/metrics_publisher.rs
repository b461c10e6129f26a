//! What a recorder of the facade `metrics` hears of instances that run, in virtual time. Can be caught: a metric that is left out, named,
//! labelled or described otherwise than in the registry; a counter that goes down; a task that seems to be there after it moved away.

use std::collections::BTreeMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::world::{APP, Instance, World, lines};
use crate::metrics::{Metric, MetricValue, MetricsPublisher};

/// Name and labels.
type Series = (String, BTreeMap<String, String>);
const READ: &str = "kafka_streams_stream_topic_metrics_records_consumed_total";

/// What one call hands over: description, and value.
fn publish(publisher: &mut MetricsPublisher, metrics: &[Metric]) -> BTreeMap<Series, (String, DebugValue)> {
    let recorder = DebuggingRecorder::new();
    metrics_facade::with_local_recorder(&recorder, || publisher.publish(metrics));
    let snapshot = recorder.snapshotter().snapshot().into_vec().into_iter();
    let entry = snapshot.map(|(key, _, help, value)| {
        let labels = key.key().labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
        let series = (key.key().name().to_owned(), labels.collect());
        (series, (help.unwrap_or_default().into_owned(), value))
    });
    entry.collect()
}

fn all(world: &World, instance: &Instance) -> Vec<Metric> {
    instance.threads[0].shared.registry.snapshot(world.now())
}

/// Feeds, and goes on until figures were shown after the last record.
fn feed(world: &World, instances: &mut [&mut Instance]) {
    lines(7, 80).iter().for_each(|line| world.line(line));
    world.run_until_drained(instances);
    (0..60).for_each(|_| world.turn(instances).unwrap());
}

#[test]
fn a_recorder_hears_every_metric_of_the_registry() {
    let world = World::new(2);
    let mut instance = world.instance("one");
    feed(&world, &mut [&mut instance]);
    let metrics = all(&world, &instance);
    let mut heard = publish(&mut MetricsPublisher::new(APP), &metrics);
    let underscored = |text: &str| text.replace('-', "_");
    let mut texts = 0;
    for metric in &metrics {
        let name = underscored(&metric.name.name);
        let id = metric.name.tag("client-id").unwrap_or_default();
        let kind = metric.name.group.split('-').next().unwrap();
        let domain = match (kind, id.rsplit('-').next().unwrap()) {
            ("stream", _) => "streams",
            ("consumer", _) | (_, "consumer") => "consumer",
            ("producer", _) | (_, "producer") => "producer",
            ("admin", _) | (_, "admin") => "admin_client",
            other => panic!("{other:?} of {metric:?}"),
        };
        let group = format!("kafka_{domain}_{}", underscored(&metric.name.group));
        let tags = metric.name.tags.iter().map(|(key, value)| (underscored(key), value.clone()));
        let mut labels: BTreeMap<String, String> = tags.collect();
        labels.insert("application_id".to_owned(), APP.to_owned());
        match &metric.value {
            MetricValue::Text(_) if metric.name.name == "topology-description" => {}
            MetricValue::Text(text) => {
                labels.insert(name, text.clone());
                let (_, value) = heard.remove(&(group, labels)).unwrap_or_else(|| panic!("no {metric:?}"));
                assert_eq!(value, DebugValue::Gauge(1.0.into()), "{metric:?}");
                texts += 1;
            }
            MetricValue::Number(number) => {
                let falls = ["cache_size_bytes_total", "restore_remaining_records_total"];
                let only_grows = name.ends_with("_total") && !falls.contains(&&*name);
                let series = (format!("{group}_{name}"), labels);
                let (help, value) = heard.remove(&series).unwrap_or_else(|| panic!("no {metric:?}"));
                let expected = match only_grows {
                    true => DebugValue::Counter(*number as u64),
                    false => DebugValue::Gauge((*number).into()),
                };
                assert_eq!((help.as_str(), value), (&*metric.name.description, expected), "{metric:?}");
            }
        }
    }
    assert!(heard.is_empty(), "not in the registry: {heard:#?}");
    assert!(metrics.len() > 60 && texts > 0, "{} metrics, {texts} texts", metrics.len());
}

#[test]
fn a_task_that_moves_away_and_comes_back() {
    let world = World::new(4);
    let mut one = world.instance("i1");
    feed(&world, &mut [&mut one]);
    let mut publisher = MetricsPublisher::new(APP);
    let mut last: BTreeMap<Series, u64> = BTreeMap::new();
    let mut step = |metrics: &[Metric]| {
        let heard = publish(&mut publisher, metrics);
        for (series, (_, value)) in &heard {
            if let DebugValue::Counter(value) = value {
                let before = last.insert(series.clone(), *value).unwrap_or_default();
                assert!(before <= *value, "{series:?} fell from {before} to {value}");
            }
        }
        heard
    };
    let counter = |heard: &BTreeMap<Series, (String, DebugValue)>, series: &Series| match heard[series].1 {
        DebugValue::Counter(value) => value,
        DebugValue::Gauge(_) | DebugValue::Histogram(_) => panic!("{series:?} is no counter"),
    };
    let with_all = step(&all(&world, &one));

    let mut two = world.instance("i2");
    feed(&world, &mut [&mut one, &mut two]);
    let with_half = step(&all(&world, &one));
    let is_total = |series: &Series| series.0 == READ;
    let moved: Vec<&Series> =
        with_all.keys().filter(|series| is_total(series) && !with_half.contains_key(*series)).collect();
    assert!(!moved.is_empty() && moved.len() < with_all.keys().filter(|series| is_total(series)).count());
    let task = &moved[0].1["task_id"];
    let gauges = |heard: &BTreeMap<Series, (String, DebugValue)>| -> Vec<(String, f64)> {
        let of_task = heard.iter().filter(|((_, labels), _)| labels.get("task_id") == Some(task));
        let gauge = of_task.filter_map(|((name, _), (_, value))| match value {
            DebugValue::Gauge(value) => Some((name.clone(), value.into_inner())),
            DebugValue::Counter(_) | DebugValue::Histogram(_) => None,
        });
        gauge.collect()
    };
    let ended = gauges(&with_half);
    assert_eq!(ended.len(), gauges(&with_all).len());
    for (name, value) in &ended {
        let average = name.ends_with("_avg") || name.ends_with("_min") || name.ends_with("_max");
        assert!(if average { value.is_nan() } else { *value == 0.0 }, "{name} is {value} after its end");
    }
    assert_eq!(gauges(&step(&all(&world, &one))), [], "they are set once");

    two.close();
    feed(&world, &mut [&mut one]);
    let metrics = all(&world, &one);
    let back = step(&metrics);
    for series in moved {
        let is_it = |metric: &&Metric| {
            metric.name.name == "records-consumed-total"
                && ["task-id", "topic", "processor-node-id"].iter().all(|tag| {
                    metric.name.tag(tag) == series.1.get(&tag.replace('-', "_")).map(String::as_str)
                })
        };
        let anew = metrics.iter().find(is_it).and_then(|metric| metric.value.number()).unwrap() as u64;
        assert!(anew > 0);
        assert_eq!(counter(&back, series), counter(&with_all, series) + anew, "{series:?}");
    }
}
