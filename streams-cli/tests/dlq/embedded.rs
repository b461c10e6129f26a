//! Lists, shows and replays on the embedded log.

use std::sync::Arc;
use std::time::Duration;

use streams_cli::dlq::{Bytes, Filter, Replay, ReplayOptions, list, replay, show};
use streams_cli::{print_letters, print_listing, print_replay};
use streams_core::client::embedded::EmbeddedKafka;
use streams_core::config::{ProcessingGuarantee, StreamsConfig};
use streams_core::dead_letter::{self as header, Failure};
use streams_core::dsl::StreamsBuilder;
use streams_core::runtime::KafkaStreams;
use streams_core::topic::Topic;
use streams_core::types::Headers;

use crate::{cluster, failure, letters, put_back};

const PATIENCE: Duration = Duration::from_secs(60);

fn run(kafka: &EmbeddedKafka, filter: Filter) -> Replay {
    replay(kafka, "dead", &ReplayOptions { filter, ..ReplayOptions::default() }, &mut |_| {}).unwrap()
}

fn counts(replay: &Replay) -> (u64, u64) {
    (replay.replayed, replay.before)
}

#[test]
fn a_letter_goes_back_as_it_came_with_one_try_more() {
    let kafka = cluster();
    letters(&kafka, 7);
    assert_eq!(counts(&run(&kafka, Filter::default())), (7, 0));
    assert_eq!(put_back(&kafka), (0..7).collect::<Vec<_>>());
    let copy = kafka.read_all("orders", true).unwrap().remove(0);
    let names: Vec<&str> = copy.headers.iter().map(|header| header.key.as_str()).collect();
    assert_eq!((names, header::retries(&copy.headers)), (vec!["trace", header::RETRIES], 3));
    assert_eq!(counts(&run(&kafka, Filter::default())), (0, 7), "not again");
    letters(&kafka, 2);
    assert_eq!(counts(&run(&kafka, Filter::default())), (2, 7), "what came since");
}

#[test]
fn filters_take_their_letters_and_leave_the_others_for_later() {
    let kafka = cluster();
    letters(&kafka, 60);
    let odd = failure("payments", 0, 5, "refused");
    kafka.create_topic("payments", 1).unwrap();
    kafka.produce_with_headers("dead", Some(0), (Some(b"k0"), None, 1000), &odd).unwrap();
    let by = |change: fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        run(&kafka, filter).replayed
    };
    assert_eq!(by(|filter| filter.exception = Some("DeserializationError".to_owned())), 0);
    assert_eq!(by(|filter| filter.message = Some("refu".to_owned())), 1);
    assert_eq!(by(|filter| filter.source_topics = vec!["payments".to_owned()]), 0, "it was, just now");
    assert_eq!(by(|filter| filter.source_offsets = Some(10..20)), 10);
    assert_eq!(by(|filter| (filter.source_partition, filter.source_offsets) = (Some(1), Some(0..20))), 3);
    assert_eq!(put_back(&kafka), [1, 4, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(by(|filter| (filter.since, filter.until) = (Some(50), Some(55))), 5);
    let limited = ReplayOptions { limit: Some(3), ..ReplayOptions::default() };
    assert_eq!(replay(&kafka, "dead", &limited, &mut |_| {}).unwrap().replayed, 3);
    assert_eq!(counts(&run(&kafka, Filter::default())), (60 - 14 + 1 - 5 - 3, 22));
    assert_eq!(put_back(&kafka), (0..60).collect::<Vec<_>>());
}

#[test]
fn what_cannot_go_back_stays_and_says_why() {
    let kafka = cluster();
    let put = |headers: &Headers| {
        kafka.produce_with_headers("dead", Some(0), (Some(b"k0"), Some(b"v0"), 0), headers).unwrap();
    };
    put(&failure("orders", 0, 0, "fine"));
    put(&failure("orders", 3, 0, "no such partition"));
    put(&failure("gone", 0, 0, "no such topic"));
    put(&Headers::EMPTY);
    let mut lost = failure("orders", 0, 1, "behind a restart");
    lost.add(header::SOURCE_LOST, Some(b"true".to_vec()));
    put(&lost);
    let replay = run(&kafka, Filter::default());
    assert_eq!(counts(&replay), (1, 0));
    let why: Vec<(&str, u64, i64)> =
        replay.left.iter().map(|left| (left.why.as_str(), left.letters, left.first.1)).collect();
    assert_eq!(why.len(), 4);
    for (part, offset) in [
        ("`orders` has 3 partitions", 1),
        ("no topic `gone`", 2),
        ("does not name a record", 3),
        ("were not kept", 4),
    ] {
        assert!(
            why.iter().any(|(why, one, at)| why.contains(part) && (*one, *at) == (1, offset)),
            "{part}: {why:?}"
        );
    }
    let mut text = Vec::new();
    print_replay(&replay, false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("1 put back, 0 were before") && text.contains("1 stay: there is no topic `gone`"),
        "{text}"
    );
    kafka.create_topic("gone", 1).unwrap();
    assert_eq!(counts(&run(&kafka, Filter::default())), (1, 1), "its topic is there now");
}

#[test]
fn a_dry_run_writes_nothing() {
    let kafka = cluster();
    letters(&kafka, 5);
    let dry = ReplayOptions { dry_run: true, ..ReplayOptions::default() };
    let replayed = replay(&kafka, "dead", &dry, &mut |_| {}).unwrap();
    let targets: Vec<(i32, u64)> =
        replayed.targets.iter().map(|target| (target.partition, target.letters)).collect();
    assert_eq!((replayed.replayed, targets), (5, vec![(0, 2), (1, 2), (2, 1)]));
    assert_eq!((put_back(&kafka).len(), kafka.topics()), (0, vec!["dead".to_owned(), "orders".to_owned()]));
    assert_eq!(counts(&run(&kafka, Filter::default())), (5, 0));
}

/// Offsets begin anew in a topic that was deleted: what was put back of the old one says nothing about the new one.
#[test]
fn a_dead_letter_topic_that_was_created_anew_is_another_one() {
    let kafka = cluster();
    letters(&kafka, 4);
    run(&kafka, Filter::default());
    kafka.delete_topic("dead").unwrap();
    kafka.create_topic("dead", 2).unwrap();
    letters(&kafka, 4);
    assert_eq!(counts(&run(&kafka, Filter::default())), (4, 0));
}

#[test]
fn lists_and_shows() {
    let kafka = cluster();
    letters(&kafka, 4);
    let json = (Some(&b"\x00\x01"[..]), Some(&b"{\"id\": 7}"[..]), 1_000_000);
    kafka.produce_with_headers("dead", Some(1), json, &failure("payments", 0, 5, "a\x1b[2Jb\nc")).unwrap();
    let first = ReplayOptions { limit: Some(1), ..ReplayOptions::default() };
    replay(&kafka, "dead", &first, &mut |_| {}).unwrap();
    let listing = list(&kafka, "dead", &Filter::default(), &mut |_| {}).unwrap();
    let kinds: Vec<(&str, u64, u64, i64, i64)> = listing
        .kinds
        .iter()
        .map(|kind| {
            (kind.source_topic.as_deref().unwrap(), kind.letters, kind.replayed, kind.first, kind.last)
        })
        .collect();
    assert_eq!(kinds, [("orders", 4, 1, 0, 3), ("payments", 1, 0, 1_000_000, 1_000_000)]);
    assert_eq!((listing.letters, listing.replayed, listing.kinds[0].retries_max), (5, 1, 2));
    let mut text = Vec::new();
    print_listing(&listing, false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("dead letters in dead: 5, 1 of them put back"), "{text}");
    assert!(text.contains("1970-01-01T00:16:40.000Z") && text.contains("a [2Jb c"), "{text}");

    let shown = show(&kafka, "dead", &Filter::default(), 20, false).unwrap();
    assert_eq!(shown.len(), 5);
    assert_eq!((shown[0].replayed, &shown[0].key), (true, &Bytes::Text("k0".to_owned())));
    let last = shown.last().unwrap();
    assert_eq!(
        (&last.key, &last.value),
        (&Bytes::Hex("0001".to_owned()), &Bytes::Json(serde_json::json!({ "id": 7 })))
    );
    assert_eq!(
        show(&kafka, "dead", &Filter::default(), 2, true).unwrap()[1].key,
        Bytes::Hex("6b32".to_owned())
    );
    let mut text = Vec::new();
    print_letters(&shown, false, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("partition 0 offset 0 at 1970-01-01T00:00:00.000Z, put back"), "{text}");
    assert!(text.contains("__streams.errors.topic: payments") && !text.contains('\x1b'), "{text}");
    let missing = list(&kafka, "deed", &Filter::default(), &mut |_| {}).unwrap_err().to_string();
    assert!(missing.contains("there is no topic `deed`"), "{missing}");
}

/// The way of a record: it does not parse, goes to the dead letters, is put back when the program knows it, and passes.
#[test]
fn an_application_fails_is_mended_and_gets_its_record_again() {
    const RAW: Topic<String, String> = Topic::new("orders");
    const NUMBERS: Topic<String, i64> = Topic::new("numbers");
    const DEAD: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead");
    let kafka = cluster();
    kafka.create_topic("numbers", 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let start = |knows_hex: bool| {
        let builder = StreamsBuilder::new();
        let parse = move |text: String| match text.strip_prefix("0x").filter(|_| knows_hex) {
            Some(digits) => i64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        builder.stream(&RAW).try_map_values(parse).to(&NUMBERS);
        let mut config = StreamsConfig::new("app", ProcessingGuarantee::ExactlyOnceV2);
        config.state_dir = folder.path().to_owned();
        config.dead_letters_to(&DEAD);
        let topology = builder.build().unwrap();
        let mut streams = KafkaStreams::new(topology, config, Arc::new(kafka.clone())).unwrap();
        streams.start().unwrap();
        streams
    };
    let await_records = |topic: &str, count: usize| {
        let deadline = std::time::Instant::now() + PATIENCE;
        while kafka.read_all(topic, true).unwrap().len() < count {
            assert!(std::time::Instant::now() < deadline, "{count} records in {topic}");
            std::thread::yield_now();
        }
    };
    let mut first = start(false);
    kafka.produce("orders", Some(2), Some(b"a"), Some(b"0x2a"), 5).unwrap();
    await_records("dead", 1);
    assert_eq!(run(&kafka, Filter::default()).replayed, 1);
    await_records("dead", 2);
    let again = Failure::of(&kafka.read_all("dead", true).unwrap().pop().unwrap().headers);
    assert_eq!(
        (again.source.map(|(_, _, at)| at), again.original),
        (Some(1), Some(("orders".to_owned(), 2, 0)))
    );
    assert_eq!((again.retries, again.original_timestamp), (1, Some(5)));
    first.close(PATIENCE).unwrap();

    let mut second = start(true);
    assert_eq!(run(&kafka, Filter::default()).replayed, 1);
    await_records("numbers", 1);
    let number = kafka.read_all("numbers", true).unwrap().remove(0);
    assert_eq!((number.value.unwrap(), number.timestamp), (42_i64.to_be_bytes().to_vec(), 5));
    assert_eq!(header::retries(&number.headers), 2);
    second.close(PATIENCE).unwrap();
}
