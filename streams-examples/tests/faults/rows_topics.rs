//! What happens to topics and records: topics that go or grow, changelogs that are cut off, records that do not parse or are too large,
//! transactions of others.

use std::io::{Read, Write};
use std::net::TcpStream;

use kstreams::client::ProducerSettings;
use kstreams::types::Headers;

use crate::Site;
use crate::feed::now;
use crate::model::Workload;
use crate::rows_instances::pause;
use crate::scene::{Outcome, PARTITIONS, Scene, partitions};
use crate::support::{WAIT, Writer, admin, create_with};

/// Bytes of a record that is too large for a producer or a topic, which take 1 MiB.
const LARGE: usize = 2 << 20;
/// Setting of a topic that takes them all the same.
const TAKES_LARGE: [(&str, &str); 1] = [("max.message.bytes", "8388608")];
/// Producers that send them.
const SENDS_LARGE: (&str, &str) = ("max.request.size", "8388608");

/// The input is deleted: each instance stops and names it.
pub(crate) fn deleted(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "topic-deleted", Workload::EchoSum);
    scene.set("ON_ERROR", "shutdown");
    scene.begin(2);
    scene.stop_feed();
    let input = scene.input();
    admin(&scene.kafka).delete_topics(std::slice::from_ref(&input), WAIT).unwrap();
    for index in 0..2 {
        scene.must_stop(index, 3, &[&input]);
    }
    scene.end()
}

/// The input gets twice as many partitions, which the state does not fit: instances stop and say both numbers, also when they are started
/// again, instead of reading half of it.
pub(crate) fn partitions_added(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "partitions-added", Workload::EchoSum);
    scene.set("ON_ERROR", "shutdown");
    scene.begin(2);
    scene.stop_feed();
    let (input, changelog) = (scene.input(), scene.changelog("agg"));
    create_partitions(site, &input, PARTITIONS * 2);
    for index in 0..2 {
        scene.must_stop(index, 3, &[&input, "had 4 partitions", "has 8 now"]);
    }
    scene.start_again(0);
    scene.must_stop(0, 1, &[&changelog, "has 4 partitions", "needs 8"]);
    scene.end()
}

/// Kafka's CreatePartitions, version 0, which the clients of this library have no need for.
fn create_partitions(site: &Site, topic: &str, count: i32) {
    let text = |text: &str| [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat();
    let body = [
        // Kind, version, correlation id, client id.
        &37_i16.to_be_bytes()[..],
        &0_i16.to_be_bytes(),
        &7_i32.to_be_bytes(),
        &text("faults"),
        // One topic: name, count, no assignment.
        &1_i32.to_be_bytes(),
        &text(topic),
        &count.to_be_bytes(),
        &(-1_i32).to_be_bytes(),
        // Timeout, not only validated.
        &30_000_i32.to_be_bytes(),
        &[0],
    ]
    .concat();
    let address = site.cluster.addresses.split(',').next().unwrap();
    let mut broker = TcpStream::connect(address).unwrap();
    broker.set_read_timeout(Some(WAIT)).unwrap();
    broker.write_all(&[&(body.len() as i32).to_be_bytes()[..], &body].concat()).unwrap();
    let mut length = [0; 4];
    broker.read_exact(&mut length).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).unwrap();
    // Correlation id, throttle time, one result: name, error code.
    let code = 4 + 4 + 4 + 2 + topic.len();
    assert_eq!(answer[code..code + 2], [0, 0], "CreatePartitions: {answer:?}");
}

/// A changelog loses the offset at which a store on disk stands, and all it says of the keys before was said again since: the store
/// is made anew from what is left, and nothing is missing.
pub(crate) fn changelog_truncated(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "changelog-truncated", Workload::EchoSum);
    scene.keys = 500;
    // From a topic that is only compacted nobody may delete records.
    let policy = [("cleanup.policy", "compact,delete"), ("retention.ms", "-1")];
    create_with(&scene.kafka, &scene.changelog("agg"), PARTITIONS, &policy);
    // The state of the first instance stays behind, while the second one works on.
    scene.begin(1);
    scene.stop_feed();
    scene.drain();
    scene.terminate();
    scene.start("i2");
    scene.feed();
    scene.recover("a clean stop, on another instance", now());
    scene.stop_feed();
    scene.drain();
    let ends = scene.ends(&scene.changelog("agg"));
    // Each key again, and behind that nothing of what was before.
    let mut writer = Writer::plain(&scene.kafka);
    for key in 0..scene.keys {
        let record = (Some(format!("k{key}")), Some(format!("again{key},1")));
        let record =
            (record.0.as_deref().map(str::as_bytes), record.1.as_deref().map(str::as_bytes), Some(now()));
        writer.try_send(&scene.input(), (key % PARTITIONS as u64) as i32, record, &Headers::EMPTY).unwrap();
    }
    writer.flush();
    scene.drain();
    scene.kill(1);
    let cut: Vec<_> = partitions(&scene.changelog("agg")).into_iter().zip(ends).collect();
    admin(&scene.kafka).delete_records(&cut, WAIT).unwrap();
    let since = now();
    scene.start_again(0);
    scene.feed();
    scene.recover("a changelog that was cut off", since);
    let events = scene.instances[0].events();
    let restored =
        events.iter().filter(|event| event["event"] == "restore_end" && event["records"] != 0).count();
    scene.outcome.notes.push(format!("{restored} stores restored"));
    scene.finish()
}

/// Records that do not parse, as key or value, at the first and last place of a batch, in between, and a whole partition of them: with a
/// handler that goes on they are dropped, and nothing else is.
pub(crate) fn poison_skipped(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "poison-skipped", Workload::EchoSum);
    let handler = "org.apache.kafka.streams.errors.LogAndContinueExceptionHandler";
    scene.set("EXTRA", &format!("deserialization.exception.handler={handler}"));
    write_poison(&scene);
    scene.begin(2);
    let written = write_poison(&scene);
    let dropped: usize = 2 * written;
    scene.outcome.notes.push(format!("{dropped} records that do not parse"));
    let since = now();
    scene.recover("poison", since);
    scene.finish()
}

/// The same with the handler that fails: the instance stops, names the record, and has committed nothing behind it, however often it starts.
pub(crate) fn poison_stops(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "poison-stops", Workload::EchoSum);
    scene.set("ON_ERROR", "shutdown");
    scene.begin(1);
    scene.stop_feed();
    scene.drain();
    let before = scene.committed();
    let mut writer = Writer::plain(&scene.kafka);
    let input = scene.input();
    (0..10).for_each(|n| writer.send(&input, 2, "k2", if n == 6 { "poison" } else { "9,9" }));
    writer.flush();
    let bad = format!("{input}-2@{}", writer.acked(&input, 2).unwrap() - 3);
    for start in 0..3 {
        if start > 0 {
            scene.start_again(0);
        }
        scene.must_stop(0, 3, &["task 0_2", &bad, "deserialize"]);
    }
    let behind = scene.committed()[2] - before[2];
    if behind > 6 {
        scene
            .outcome
            .violations
            .add("lost", format!("the group has committed {behind} records, the 7th does not parse"));
    }
    // Without it the application goes on where it stopped: the rest comes out, once.
    scene.set(
        "EXTRA",
        "deserialization.exception.handler=org.apache.kafka.streams.errors.LogAndContinueExceptionHandler",
    );
    let since = now();
    scene.start_again(0);
    scene.feed();
    scene.recover("a handler that goes on", since);
    scene.finish()
}

/// Poison in all partitions; partition 3 gets nothing else. How many records.
fn write_poison(scene: &Scene<'_>) -> usize {
    let mut writer = Writer::plain(&scene.kafka);
    let (input, mut written) = (scene.input(), 0);
    let mut poison = |writer: &mut Writer, partition, key: &[u8], value: &[u8]| {
        written += 1;
        writer.try_send(&input, partition, (Some(key), Some(value), Some(now())), &Headers::EMPTY).unwrap();
    };
    for batch in 0..10 {
        let good = |writer: &mut Writer, partition: i32| {
            writer.send(&input, partition, &format!("k{partition}"), "1,1")
        };
        poison(&mut writer, 0, b"k0", b"first");
        (0..batch).for_each(|_| good(&mut writer, 0));
        (0..batch).for_each(|_| good(&mut writer, 1));
        poison(&mut writer, 1, b"k1", b"2,last");
        good(&mut writer, 2);
        poison(&mut writer, 2, b"\xff\xfe", b"3,3");
        good(&mut writer, 2);
        poison(&mut writer, 3, b"k3", b"\xff");
        writer.flush();
    }
    written
}

/// A result that is larger than the producer takes: the instance stops and says which record, topic and limit, and commits nothing of it.
pub(crate) fn oversized(site: &Site) -> Outcome {
    too_large(site, "oversized", None, &["max.request.size"])
}

/// The same, where the producer takes it and the broker refuses it: no transaction commits without it.
pub(crate) fn oversized_for_the_broker(site: &Site) -> Outcome {
    let sends = format!("producer.{}={}", SENDS_LARGE.0, SENDS_LARGE.1);
    too_large(site, "oversized-broker", Some(&sends), &["max.message.bytes"])
}

fn too_large(site: &Site, row: &str, extra: Option<&str>, words: &[&str]) -> Outcome {
    let mut scene = Scene::with_inputs(site, row, Workload::EchoSum, &TAKES_LARGE);
    scene.set("ON_ERROR", "shutdown");
    scene.set("EXTRA", extra.unwrap_or_default());
    scene.begin(1);
    scene.stop_feed();
    scene.drain();
    let before = scene.committed();
    let properties = [(SENDS_LARGE.0.to_owned(), SENDS_LARGE.1.to_owned())].into();
    let mut writer =
        Writer::with(&scene.kafka, ProducerSettings { properties, ..ProducerSettings::default() });
    let input = scene.input();
    (0..3).for_each(|_| writer.send(&input, 1, "k1", "8,8"));
    writer.send(&input, 1, "k1", &format!("{},1", "x".repeat(LARGE)));
    writer.flush();
    // One of its topics: the outputs and the changelog take no such record.
    let output = format!("{}-", scene.name);
    for start in 0..2 {
        if start > 0 {
            scene.start_again(0);
        }
        scene.must_stop(0, 3, &[words, &[&output]].concat());
    }
    let behind = scene.committed()[1] - before[1];
    if behind > 3 {
        scene
            .outcome
            .violations
            .add("lost", format!("the group has committed {behind} records, the 4th is too large"));
    }
    scene.end()
}

/// A transaction of somebody else stays open on the input: what is behind it waits, nobody restarts, and what it aborts is never seen.
pub(crate) fn foreign_transaction(site: &Site) -> Outcome {
    let mut scene = Scene::new(site, "foreign-transaction", Workload::EchoSum);
    scene.begin(2);
    let mut foreign = Writer::transactional(&scene.kafka, &format!("{}-foreign", scene.name));
    let input = scene.input();
    foreign.begin();
    (0..PARTITIONS).for_each(|partition| (0..500).for_each(|_| foreign.send(&input, partition, "k0", "7,7")));
    foreign.flush();
    pause(8000);
    let since = now();
    foreign.abort();
    scene.recover("the end of a foreign transaction", since);
    foreign.begin();
    (0..PARTITIONS).for_each(|partition| {
        (0..500).for_each(|n| foreign.send(&input, partition, &format!("f{partition}"), &format!("f{n},1")))
    });
    foreign.commit();
    if let Some(failed) =
        scene.instances.iter().flat_map(|it| it.events()).find(|event| event["event"] == "thread_failed")
    {
        scene.outcome.violations.add("thread", failed.to_string());
    }
    scene.finish()
}
