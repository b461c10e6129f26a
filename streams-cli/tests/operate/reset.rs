//! Resets on the embedded log.

use std::collections::BTreeMap;
use std::time::Duration;

use streams_cli::{Reset, ResetOptions, ResetTo, print_reset, reset};
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::client::{ClientSupplier, CommittedOffset, Consumer, ConsumerSettings, RecordSink, Slot};
use streams_core::record::RawRecord;
use streams_core::runtime::clock::SystemClock;
use streams_core::types::TopicPartition;

const WAIT: Duration = Duration::from_secs(30);
const INTERNAL: [&str; 3] = ["shop-a-changelog", "shop-b-repartition", "shop-c-subscription-response-topic"];

/// `orders` of 2 partitions, with 10 records of the times 0, 100, .. each, of which 2 were deleted; internal topics of two applications.
/// The group `shop` is behind record 6 of partition 0.
fn cluster() -> EmbeddedKafka {
    let kafka = EmbeddedKafka::new(SystemClock);
    kafka.create_topic("orders", 2).unwrap();
    for topic in
        INTERNAL.iter().chain(&["shop-orders", "other-a-changelog", "shopping-a-changelog", "via-changelog"])
    {
        kafka.create_topic(topic, 1).unwrap();
    }
    for number in 0..20 {
        let (partition, time) = ((number % 2) as i32, number / 2 * 100);
        kafka.produce("orders", Some(partition), Some(b"k"), Some(b"v"), time).unwrap();
    }
    let before = [(at(0), 2), (at(1), 2)];
    kafka.admin().unwrap().delete_records(&before, WAIT).unwrap();
    let mut group = member(&kafka, None);
    group.commit(&[(at(0), CommittedOffset { offset: 6, metadata: "m".to_owned() })], WAIT).unwrap();
    kafka
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

fn member(kafka: &EmbeddedKafka, instance: Option<&str>) -> Box<dyn Consumer> {
    let settings = ConsumerSettings {
        client_id: "shop-1".to_owned(),
        group: Some("shop".to_owned()),
        group_instance: instance.map(str::to_owned),
        properties: BTreeMap::from([("session.timeout.ms".to_owned(), "500".to_owned())]),
        ..ConsumerSettings::default()
    };
    kafka.consumer(&settings).unwrap()
}

fn options(to: ResetTo) -> ResetOptions {
    let topics = vec!["orders".to_owned()];
    ResetOptions { application_id: "shop".to_owned(), input_topics: topics, to, ..ResetOptions::default() }
}

fn run(kafka: &EmbeddedKafka, options: &ResetOptions) -> Result<Reset, String> {
    reset(kafka, options, &mut |_| {}).map_err(|error| error.to_string())
}

/// Committed offsets, 0 and 1.
fn committed(kafka: &EmbeddedKafka) -> [Option<i64>; 2] {
    [0, 1].map(|partition| kafka.committed_offset("shop", &at(partition)).map(|committed| committed.offset))
}

#[test]
fn offsets_go_where_they_are_told() {
    let plan = BTreeMap::from([(at(0), 3), (at(1), 99)]);
    for (to, offsets, notes) in [
        (ResetTo::Earliest, [2, 2], 0),
        (ResetTo::Latest, [10, 10], 0),
        (ResetTo::Offset(5), [5, 5], 0),
        (ResetTo::Offset(1), [2, 2], 2),
        (ResetTo::Offset(11), [10, 10], 2),
        // Of partition 1 nothing is committed: Kafka Streams' tool counts from the end, too.
        (ResetTo::ShiftBy(-3), [3, 7], 0),
        (ResetTo::ShiftBy(3), [9, 10], 1),
        (ResetTo::ShiftBy(i64::MIN), [2, 2], 2),
        (ResetTo::Time(450), [5, 5], 0),
        (ResetTo::Time(0), [2, 2], 0),
        (ResetTo::Time(901), [10, 10], 2),
        (ResetTo::Plan(plan), [3, 10], 1),
    ] {
        let (kafka, words) = (cluster(), format!("{to:?}"));
        let dry = run(&kafka, &ResetOptions { dry_run: true, ..options(to.clone()) }).unwrap();
        assert_eq!(committed(&kafka), [Some(6), None], "a dry run changes nothing");
        assert!(INTERNAL.iter().all(|topic| kafka.topics().contains(&(*topic).to_owned())));
        let done = run(&kafka, &options(to)).unwrap();
        assert_eq!(Reset { dry_run: true, ..done.clone() }, dry, "{words}");
        assert_eq!(committed(&kafka), offsets.map(Some), "{words}");
        assert_eq!(done.offsets.iter().map(|moved| moved.before).collect::<Vec<_>>(), [Some(6), None]);
        assert_eq!(done.offsets.iter().filter(|moved| moved.note.is_some()).count(), notes, "{words}");
        assert_eq!(
            kafka.committed_offset("shop", &at(0)).unwrap().metadata,
            "",
            "the times of old records are gone"
        );
    }
}

#[test]
fn internal_topics_go_and_no_others() {
    let kafka = cluster();
    let done = run(&kafka, &options(ResetTo::Earliest)).unwrap();
    assert_eq!(done.deleted, INTERNAL);
    assert_eq!(
        kafka.topics(),
        ["orders", "other-a-changelog", "shop-orders", "shopping-a-changelog", "via-changelog"]
    );
    let again = run(&kafka, &options(ResetTo::Earliest)).unwrap();
    assert!(again.deleted.is_empty(), "a second time there is nothing left");
    let mut text = Vec::new();
    print_reset(&done, false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("internal topics deleted: shop-a-changelog, shop-b-rep"), "{text}");
    assert!(text.contains("local state is not touched"), "{text}");
}

#[test]
fn only_named_internal_topics_go_if_they_are_its_own() {
    let kafka = cluster();
    let named =
        |topic: &str| ResetOptions { internal_topics: vec![topic.to_owned()], ..options(ResetTo::Latest) };
    for other in ["other-a-changelog", "shop-orders", "orders", "missing"] {
        let error = run(&kafka, &named(other)).unwrap_err();
        assert!(error.contains(&format!("`{other}` is no internal topic of shop")), "{error}");
    }
    assert_eq!(committed(&kafka), [Some(6), None], "nothing was changed");
    assert_eq!(run(&kafka, &named(INTERNAL[1])).unwrap().deleted, [INTERNAL[1]]);
    assert!(kafka.topics().contains(&INTERNAL[0].to_owned()));
}

#[test]
fn input_topics_that_look_internal_stay_and_intermediate_ones_are_skipped() {
    let kafka = cluster();
    let mut options = options(ResetTo::Earliest);
    options.input_topics.push(INTERNAL[0].to_owned());
    options.intermediate_topics = vec![INTERNAL[1].to_owned()];
    kafka.produce(INTERNAL[1], Some(0), Some(b"k"), None, 0).unwrap();
    let done = run(&kafka, &options).unwrap();
    assert_eq!(done.deleted, [INTERNAL[2]]);
    let skipped = TopicPartition::new(INTERNAL[1], 0);
    assert_eq!(kafka.committed_offset("shop", &skipped).unwrap().offset, 1);
}

#[test]
fn a_topic_that_does_not_exist_is_skipped_and_told() {
    let kafka = cluster();
    let mut options = options(ResetTo::Earliest);
    options.input_topics.push("ordesr".to_owned());
    let done = run(&kafka, &options).unwrap();
    assert_eq!((done.missing, committed(&kafka)), (vec!["ordesr".to_owned()], [Some(2), Some(2)]));
    options.input_topics = Vec::new();
    assert!(run(&kafka, &options).unwrap().offsets.is_empty(), "without input topics no offset is touched");
}

#[test]
fn a_plan_must_have_all_partitions_and_no_others() {
    let kafka = cluster();
    let error = run(&kafka, &options(ResetTo::Plan([(at(0), 3)].into()))).unwrap_err();
    assert!(error.contains("no offset for orders-1"), "{error}");
    let error =
        run(&kafka, &options(ResetTo::Plan([(at(0), 3), (at(1), 3), (at(2), 3)].into()))).unwrap_err();
    assert!(error.contains("orders-2, which is no partition of an input topic"), "{error}");
    assert_eq!((committed(&kafka), kafka.topics().len()), ([Some(6), None], 8));
}

struct Nothing;

impl RecordSink for Nothing {
    fn wants(&self, _: Slot) -> bool {
        false
    }

    fn record(&mut self, _: Slot, _: RawRecord<'_>) {}
}

/// A member that has joined.
fn joined(kafka: &EmbeddedKafka, instance: &str) -> Box<dyn Consumer> {
    let mut consumer = member(kafka, Some(instance));
    consumer.subscribe(&["orders".to_owned()]).unwrap();
    while consumer.poll(Duration::from_millis(10), &mut Nothing).unwrap().rebalance.is_none() {}
    consumer
}

#[test]
fn while_a_member_is_there_nothing_happens() {
    let kafka = cluster();
    let mut consumer = joined(&kafka, "pod-1");
    let error = run(&kafka, &options(ResetTo::Earliest)).unwrap_err();
    assert!(error.contains("group `shop` is active") && error.contains("instance pod-1"), "{error}");
    assert!(error.contains("stop all instances first") && error.contains("--force"), "{error}");
    let forced = ResetOptions { force: Some(Duration::ZERO), ..options(ResetTo::Earliest) };
    let error = run(&kafka, &forced).unwrap_err();
    assert!(error.contains("still there after 0 s"), "{error}");
    assert_eq!((committed(&kafka), kafka.topics().len()), ([Some(6), None], 8));
    consumer.close(WAIT).unwrap();
    run(&kafka, &options(ResetTo::Earliest)).unwrap();
}

#[test]
fn force_waits_until_members_that_are_gone_are_given_up() {
    let kafka = cluster();
    joined(&kafka, "pod-1").close_and_remain(WAIT).unwrap();
    assert!(run(&kafka, &options(ResetTo::Earliest)).unwrap_err().contains("is active"));
    let mut told = Vec::new();
    let forced = ResetOptions { force: Some(WAIT), ..options(ResetTo::Earliest) };
    reset(&kafka, &forced, &mut |doing| told.push(doing.to_owned())).unwrap();
    assert!(told.iter().any(|doing| doing == "waiting for 1 members to be given up"), "{told:?}");
    assert_eq!(committed(&kafka), [Some(2), Some(2)]);
}
