//! Bad input and bad surroundings: one clear sentence, and nothing lost.

use std::sync::Arc;

use super::world::{LINES, World, lines, word_count};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::StreamsBuilder;
use crate::handler::{DeadLetterQueue, LogAndContinue};
use crate::processor::DropReason;
use crate::runtime::topic_watch::TopicWatch;
use crate::topic::Topic;
use crate::topology::Topology;

const NUMBERS: Topic<(), i64> = Topic::new("lines");
const OUT: Topic<(), i64> = Topic::new("counts");

fn copy_numbers() -> Topology {
    let builder = StreamsBuilder::new();
    builder.stream(&NUMBERS).to(&OUT);
    builder.build().unwrap()
}

fn poisoned() -> World {
    let world = World::new(1);
    for value in [&7_i64.to_be_bytes()[..], b"poison", &8_i64.to_be_bytes()[..]] {
        world.kafka.produce("lines", Some(0), None, Some(value), 0).unwrap();
    }
    world
}

fn turns(world: &World, instance: &mut super::world::Instance) -> Result<(), crate::runtime::StreamsError> {
    (0..50).try_for_each(|_| world.turn(&mut [instance]))
}

fn numbers(world: &World) -> Vec<i64> {
    let records = world.kafka.read_all("counts", true).unwrap();
    records.into_iter().map(|record| i64::from_be_bytes(record.value.unwrap().try_into().unwrap())).collect()
}

#[test]
fn a_record_that_does_not_parse_stops_the_thread_and_says_where() {
    let world = poisoned();
    let mut one = world.instance_of(copy_numbers(), world.config("i1")).unwrap();
    let error = turns(&world, &mut one).unwrap_err().to_string();
    assert!(error.contains("task 0_0") && error.contains("lines-0@1"), "{error}");
    assert!(error.contains("6 bytes where i64 has 8"), "{error}");
    assert_eq!(numbers(&world), [0_i64; 0], "nothing of the failed transaction is visible");
}

#[test]
fn or_it_is_dropped_and_counted() {
    let world = poisoned();
    let mut config = world.config("i1");
    config.deserialization_exception_handler = Arc::new(LogAndContinue);
    let mut one = world.instance_of(copy_numbers(), config).unwrap();
    turns(&world, &mut one).unwrap();
    assert_eq!(numbers(&world), [7, 8]);
    let dropped = one.threads[0].metrics.dropped();
    assert_eq!((dropped.total(), dropped.get(DropReason::Unparsable)), (1, 1));
}

#[test]
fn or_it_goes_to_the_dead_letter_topic_in_the_same_transaction() {
    let world = poisoned();
    world.kafka.create_topic("dead", 1).unwrap();
    let mut config = world.config("i1");
    config.deserialization_exception_handler = Arc::new(DeadLetterQueue::new("dead"));
    let mut one = world.instance_of(copy_numbers(), config).unwrap();
    turns(&world, &mut one).unwrap();
    assert_eq!(numbers(&world), [7, 8]);
    let dead = world.kafka.read_all("dead", true).unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].value.as_deref(), Some(&b"poison"[..]));
    let header = |name| dead[0].headers.last(name).and_then(|header| header.value.clone()).unwrap();
    assert_eq!(header("__streams.errors.topic"), b"lines");
    assert_eq!(header("__streams.errors.offset"), b"1");
}

/// Each line a hundred times: the second of three is larger than the producer takes.
fn oversized(world: &World) -> (Topology, StreamsConfig) {
    ["one", "a somewhat longer line", "three"].iter().for_each(|text| world.line(text));
    let builder = StreamsBuilder::new();
    builder.stream(&LINES).map_values(|line| line.repeat(100)).to(&Topic::<(), String>::new("counts"));
    let mut config = world.config("i1");
    config.client_properties.insert("producer.max.request.size".to_owned(), "1500".to_owned());
    (builder.build().unwrap(), config)
}

fn sizes(world: &World, topic: &str) -> Vec<usize> {
    let records = world.kafka.read_all(topic, true).unwrap();
    records.into_iter().map(|record| record.value.unwrap().len()).collect()
}

/// The producer's refusal ended the thread, whatever the handler would have said, and did not name the record.
#[test]
fn a_result_too_large_for_the_producer_stops_the_thread_and_says_where() {
    let world = World::new(1);
    let (topology, config) = oversized(&world);
    let mut one = world.instance_of(topology, config).unwrap();
    let error = turns(&world, &mut one).unwrap_err().to_string();
    assert!(error.contains("task 0_0") && error.contains("lines-0@1"), "{error}");
    assert!(error.contains("2286 bytes for topic `counts` exceeds max.request.size=1500"), "{error}");
    assert_eq!(sizes(&world, "counts"), [0_usize; 0], "nothing of the failed transaction is visible");
}

#[test]
fn or_the_production_handler_drops_it() {
    let world = World::new(1);
    let (topology, mut config) = oversized(&world);
    config.production_exception_handler = Arc::new(LogAndContinue);
    let mut one = world.instance_of(topology, config).unwrap();
    turns(&world, &mut one).unwrap();
    assert_eq!(sizes(&world, "counts"), [300, 500]);
    assert_eq!(one.threads[0].metrics.dropped().get(DropReason::ProductionFailed), 1);
}

#[test]
fn or_its_source_goes_to_the_dead_letter_topic_unless_that_is_too_large_as_well() {
    let world = World::new(1);
    world.kafka.create_topic("dead", 1).unwrap();
    let (topology, mut config) = oversized(&world);
    config.production_exception_handler = Arc::new(DeadLetterQueue::new("dead"));
    let mut one = world.instance_of(topology, config).unwrap();
    turns(&world, &mut one).unwrap();
    assert_eq!((sizes(&world, "counts"), sizes(&world, "dead")), (vec![300, 500], vec![22]));
    world.line(&"x".repeat(1500));
    let error = turns(&world, &mut one).unwrap_err().to_string();
    assert!(error.contains("lines-0@3"), "{error}");
}

/// The dead letter of a failure is part of the transaction that the failure takes back. Without one it stays, and nothing
/// else does.
#[test]
fn a_failure_sends_its_dead_letter_only_without_transactions() {
    for (guarantee, letters) in
        [(ProcessingGuarantee::ExactlyOnceV2, 0), (ProcessingGuarantee::AtLeastOnce, 1)]
    {
        let world = poisoned();
        world.kafka.create_topic("dead", 1).unwrap();
        let mut config = world.config("i1");
        config.processing_guarantee = guarantee;
        config.deserialization_exception_handler = Arc::new(DeadLetterQueue::new("dead").and_fail());
        let mut one = world.instance_of(copy_numbers(), config).unwrap();
        assert!(turns(&world, &mut one).unwrap_err().to_string().contains("lines-0@1"));
        let dead = world.kafka.read_all("dead", true).unwrap();
        assert_eq!((dead.len(), numbers(&world)), (letters, vec![]), "{guarantee:?}");
    }
}

/// At a commit the record at the head of the queue is not yet processed: its bytes went to the dead-letter topic.
#[test]
fn what_a_cache_held_back_until_the_commit_fails_with_its_own_record() {
    let world = World::new(1);
    world.kafka.create_topic("dead", 1).unwrap();
    let lines: Topic<String, String> = Topic::new("lines");
    for (key, value) in [("a", "one"), ("bad", "two"), ("c", "three")] {
        world.kafka.produce("lines", Some(0), Some(key.as_bytes()), Some(value.as_bytes()), 0).unwrap();
    }
    let builder = StreamsBuilder::new();
    let fail = |key: &String, _| if key == "bad" { Err("bad key") } else { Ok(()) };
    builder.stream(&lines).group_by_key().count().to_stream().for_each(fail);
    let mut config = world.config("i1");
    config.processing_exception_handler = Arc::new(DeadLetterQueue::new("dead"));
    let mut one = world.instance_of(builder.build().unwrap(), config).unwrap();
    turns(&world, &mut one).unwrap();
    let dead = world.kafka.read_all("dead", true).unwrap();
    let dead: Vec<_> = dead.iter().map(|record| (record.key.as_deref(), record.value.as_deref())).collect();
    assert_eq!(dead, [(Some(&b"bad"[..]), Some(&b"two"[..]))]);
}

fn refusal(world: &World, topology: Topology) -> String {
    match world.instance_of(topology, world.config("i1")) {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_missing_source_topic_is_named() {
    let world = World::new(1);
    world.kafka.delete_topic("lines").unwrap();
    let error = refusal(&world, word_count());
    assert!(error.contains("`lines` does not exist") && error.contains("create it first"), "{error}");
}

/// The members shared out what was left, which was nothing, and went on running for ever; or began the new topic at offset 0.
#[test]
fn a_source_topic_that_is_deleted_ends_the_threads() {
    for anew in [false, true] {
        let world = World::new(2);
        let (mut one, mut two) = (world.instance("i1"), world.instance("i2"));
        world.line("a");
        world.run_until_drained(&mut [&mut one, &mut two]);
        world.kafka.delete_topic("lines").unwrap();
        if anew {
            world.kafka.create_topic("lines", 2).unwrap();
        }
        let mut errors = Vec::new();
        let mut running = vec![one, two];
        for _ in 0..1_000 {
            running.retain_mut(|instance| {
                world.turn(&mut [instance]).map_err(|error| errors.push(error)).is_ok()
            });
        }
        assert_eq!(errors.len(), 2, "they go on");
        for error in errors.iter().map(ToString::to_string) {
            let what = if anew { "`lines` was deleted and created anew" } else { "`lines` does not exist" };
            assert!(error.contains(what), "{error}");
        }
    }
}

/// A broker that does not tell of a topic for a moment ends nothing.
#[test]
fn a_source_topic_is_believed_gone_after_a_second() {
    let world = World::new(1);
    let mut one = world.instance("i1");
    world.run_until_drained(&mut [&mut one]);
    let shared = one.threads[0].shared.clone();
    let mut watch = TopicWatch::new(&shared, world.now());
    world.kafka.delete_topic("lines").unwrap();
    shared.request_look();
    watch.round(&shared, world.now());
    watch.round(&shared, world.now() + 900);
    assert!(shared.gone_source().is_none());
    watch.round(&shared, world.now() + 1_000);
    assert!(shared.gone_source().is_some());
}

#[test]
fn joined_topics_with_different_partition_counts_are_named() {
    let world = World::new(2);
    world.kafka.create_topic("customers", 3).unwrap();
    const ORDERS: Topic<String, String> = Topic::new("lines");
    const CUSTOMERS: Topic<String, String> = Topic::new("customers");
    let builder = StreamsBuilder::new();
    let customers = builder.table(&CUSTOMERS);
    builder.stream(&ORDERS).join_table(&customers, |order, customer| order + customer).for_each(|_, _| {});
    let error = refusal(&world, builder.build().unwrap());
    assert!(error.contains("lines") && error.contains("customers"), "{error}");
    assert!(error.contains('2') && error.contains('3'), "{error}");
}

#[test]
fn an_internal_topic_with_a_wrong_count_is_not_touched() {
    let world = World::new(2);
    world.kafka.create_topic("wc-count-store-changelog", 5).unwrap();
    let error = refusal(&world, word_count());
    assert!(error.contains("`wc-count-store-changelog` has 5 partitions, the topology needs 2"), "{error}");
}

#[test]
fn a_state_directory_in_use_is_refused() {
    let world = World::new(1);
    let _one = world.instance("i1");
    let error = refusal(&world, word_count());
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn user_code_that_fails_stops_the_thread_and_nothing_of_it_is_committed() {
    let world = World::new(1);
    lines(1, 5).iter().for_each(|line| world.line(line));
    world.line("boom");
    let builder = StreamsBuilder::new();
    builder
        .stream(&LINES)
        .try_map_values(|line| if line == "boom" { Err("no such word") } else { Ok(1_i64) })
        .to(&OUT);
    let mut one = world.instance_of(builder.build().unwrap(), world.config("i1")).unwrap();
    let error = turns(&world, &mut one).unwrap_err().to_string();
    assert!(error.contains("lines-0@5") && error.contains("no such word"), "{error}");
    assert_eq!(numbers(&world), [0_i64; 0]);
}

/// It ended the thread with the panic's text alone.
#[test]
fn a_panic_of_user_code_names_task_and_record_and_nothing_of_it_is_committed() {
    let world = World::new(1);
    lines(1, 5).iter().for_each(|line| world.line(line));
    world.line("boom");
    let builder = StreamsBuilder::new();
    let length = |line: String| if line == "boom" { panic!("no such word") } else { line.len() as i64 };
    builder.stream(&LINES).map_values(length).to(&OUT);
    let mut config = world.config("i1");
    config.processing_exception_handler = Arc::new(LogAndContinue);
    let mut one = world.instance_of(builder.build().unwrap(), config).unwrap();
    let error = turns(&world, &mut one).unwrap_err().to_string();
    assert_eq!(error, "task 0_0, record lines-0@5: user code panicked: no such word");
    assert_eq!(numbers(&world), [0_i64; 0]);
}
