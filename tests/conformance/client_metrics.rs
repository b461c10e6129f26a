//! What an application shows of its clients: amounts and lags are those of the log on both Kafkas; requests, connections and bytes on the
//! wire there are with a network only.

use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use kstreams::dsl::StreamsBuilder;
use kstreams::metrics::Metric;
use kstreams::runtime::KafkaStreams;
use kstreams::topic::Topic;

use crate::harness::cases;
use crate::support::*;

cases![an_application_shows_what_its_clients_did];

/// Records that wait at the task, of those that were written.
const BUFFERED: usize = 10;
const WRITTEN: usize = 100;

/// The one number of this group and name whose client's id ends so, with exactly these tags beside it.
fn number(
    streams: &KafkaStreams,
    client: &str,
    group: &str,
    name: &str,
    tags: &[(&str, &str)],
) -> Option<f64> {
    let all = streams.named_metrics();
    let fits = |metric: &&Metric| {
        metric.name.group == group
            && metric.name.name == name
            && metric.name.tag("client-id").is_some_and(|id| id.ends_with(client))
            && metric.name.tags.len() == tags.len() + 1
            && tags.iter().all(|(key, value)| metric.name.tag(key) == Some(value))
    };
    let found: Vec<&Metric> = all.iter().filter(fits).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.first()?.value.number()
}

/// Records of nine bytes each.
fn write(writer: &mut Writer, topic: &str) {
    (0..WRITTEN).for_each(|number| writer.send(topic, 0, "k", &format!("value {number:02}")));
    writer.flush();
}

fn an_application_shows_what_its_clients_did(kafka: &dyn ClientSupplier, names: &Names) {
    let [left, right, out] = ["left", "right", "out"].map(|topic| names.topic(topic));
    for topic in [&left, &right, &out] {
        create_with(kafka, topic, 1, &[]);
    }
    let builder = StreamsBuilder::new();
    let other = builder.stream(&Topic::<String, String>::named(right.clone()));
    let both = builder.stream(&Topic::<String, String>::named(left.clone())).merge(other);
    both.to(&Topic::<String, String>::named(out.clone()));
    let folder = tempfile::tempdir().unwrap();
    let mut config = StreamsConfig::new(names.group(), ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    // Nothing of one input is processed before there is something of the other: what the task has no room for is lag.
    config.max_task_idle = Some(Duration::from_secs(3600));
    config.buffered_records_per_partition = BUFFERED;
    config.client_properties.insert("statistics.interval.ms".to_owned(), "200".to_owned());
    let mut writer = Writer::plain(kafka);
    write(&mut writer, &left);
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, names.supplier()).unwrap();
    streams.start().unwrap();

    let (consumer, fetches) = ("-1-consumer", "consumer-fetch-manager-metrics");
    let place = [("partition", "0"), ("topic", left.as_str())];
    let lag = (WRITTEN - BUFFERED) as f64;
    eventually("the lag", || {
        (number(&streams, consumer, fetches, "records-lag", &place) == Some(lag)).then_some(())
    });
    let look = |name, tags: &[(&str, &str)]| number(&streams, consumer, fetches, name, tags);
    let handed_out = BUFFERED as f64;
    assert_eq!(look("records-consumed-total", &[("topic", &left)]), Some(handed_out));
    assert_eq!(look("bytes-consumed-total", &[]), Some(handed_out * 9.0));
    assert_eq!(look("records-lag-max", &[]), Some(look("records-lag-max", &[]).unwrap().max(lag)));
    eventually("the lead", || (look("records-lead", &place) == Some(handed_out)).then_some(()));

    // As many of the other: all of one of them are processed, and what comes out is counted, in the log as here.
    write(&mut writer, &right);
    let sent = |name| number(&streams, "-1-producer", "producer-topic-metrics", name, &[("topic", &out)]);
    let written = || read(kafka, &out, Uncommitted).len() as f64;
    let all = eventually("what was sent", || {
        sent("record-send-total").filter(|sent| *sent >= WRITTEN as f64 && *sent == written())
    });
    assert_eq!((sent("byte-total"), sent("record-error-total")), (Some(all * 9.0), Some(0.0)));
    let producer = |name| number(&streams, "-1-producer", "producer-metrics", name, &[]).unwrap();
    assert_eq!(producer("record-send-total"), all);
    assert_eq!(producer("record-size-avg"), 9.0);
    eventually("a commit", || (producer("txn-commit-time-ns-total") > 0.0).then_some(()));
    assert!(producer("txn-init-time-ns-total") > 0.0 && producer("batch-size-max") > 9.0);

    // On the wire.
    if names.supplier().describe().starts_with("Kafka at ") {
        let node = [("node-id", "node-1")];
        for (client, kind) in
            [("-1-consumer", "consumer"), ("-1-producer", "producer"), ("-admin", "admin-client")]
        {
            let of =
                |what: &str, name: &str, tags| number(&streams, client, &format!("{kind}{what}"), name, tags);
            let told = || of("-node-metrics", "request-latency-max", &node).filter(|longest| *longest > 0.0);
            eventually("news of the network", told);
            for name in ["outgoing-byte-total", "incoming-byte-total", "request-total", "response-total"] {
                let all = of("-metrics", name, &[]);
                assert!(all > Some(0.0), "{kind} {name} {all:?}");
                let one = of("-node-metrics", name, &node);
                assert!(
                    one > Some(0.0) && one <= of("-metrics", name, &[]),
                    "{kind} {name} {one:?} of {all:?}"
                );
            }
            assert!(of("-metrics", "connection-count", &[]) >= Some(1.0), "{kind}");
            assert!(of("-metrics", "connection-creation-total", &[]) >= Some(1.0), "{kind}");
            assert!(of("-metrics", "request-size-avg", &[]) > Some(10.0), "{kind}");
        }
        assert!(look("fetch-total", &[]) > Some(0.0) && look("fetch-size-avg", &[]) > Some(0.0));
        assert!(producer("records-per-request-avg") > 0.0 && producer("buffer-total-bytes") > 0.0);
        assert!(producer("request-latency-avg") > 0.0 && producer("record-queue-time-max") > 0.0);
        assert!(producer("buffer-available-bytes") <= producer("buffer-total-bytes"));
    }
    streams.close(WAIT).unwrap();
}
