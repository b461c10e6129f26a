//! Groups of `TopicConsumer`s that rebalance by steps, and subscriptions by pattern: what comes and goes, and what is read meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::clients::{
    Assignor, BatchStream, ConsumerConfig, ConsumerError, Partitions, RebalanceListener, SeekTo,
    TopicConsumer, TopicProducer,
};
use kstreams::types::TopicPartition;

use crate::harness::cases;
use crate::support::*;
use crate::typed_support::*;

cases![
    a_cooperative_member_keeps_what_stays,
    what_stays_is_read_on_and_what_goes_begins_at_the_commit,
    what_stays_misses_nothing_that_is_written_during_a_rebalance,
    a_cooperative_member_that_is_lost_hears_of_all,
    a_partition_that_came_may_be_sought,
    queued_batches_of_what_stays_are_not_dropped,
    cooperative_and_eager_members_do_not_agree,
    a_pattern_finds_topics_that_come_later,
    a_pattern_that_matches_nothing_waits,
    a_new_topic_of_a_pattern_disturbs_no_partition_of_cooperative_members,
    a_pattern_that_is_none_is_refused,
];

/// Writes down which partitions come and go.
#[derive(Clone, Default)]
struct Moves(Arc<Mutex<Vec<(&'static str, Vec<TopicPartition>)>>>);

impl Moves {
    fn note(&self, what: &'static str, partitions: &[TopicPartition]) {
        // A rebalance that brings nothing says so: how many there are is the group's affair.
        if !partitions.is_empty() {
            self.0.lock().unwrap().push((what, partitions.to_vec()));
        }
    }

    /// Kinds of steps with the number of partitions.
    fn steps(&self) -> Vec<(&'static str, usize)> {
        self.0.lock().unwrap().iter().map(|(what, partitions)| (*what, partitions.len())).collect()
    }

    /// All partitions of the steps of this kind.
    fn all(&self, what: &str) -> Vec<TopicPartition> {
        let steps = self.0.lock().unwrap();
        let mut all: Vec<_> = steps
            .iter()
            .filter(|(kind, _)| *kind == what)
            .flat_map(|(_, partitions)| partitions.clone())
            .collect();
        all.sort();
        all
    }
}

impl RebalanceListener for Moves {
    fn assigned(&mut self, partitions: &[TopicPartition], consumer: &mut Partitions) {
        let owned = consumer.assignment();
        assert!(partitions.iter().all(|partition| owned.contains(partition)), "{partitions:?} of {owned:?}");
        self.note("assigned", partitions);
    }

    fn revoked(&mut self, partitions: &[TopicPartition], consumer: &mut Partitions) {
        let owned = consumer.assignment();
        assert!(partitions.iter().all(|partition| owned.contains(partition)), "{partitions:?} of {owned:?}");
        self.note("revoked", partitions);
    }

    fn lost(&mut self, partitions: &[TopicPartition]) {
        self.note("lost", partitions);
    }
}

fn cooperative(names: &Names) -> ConsumerConfig {
    ConsumerConfig { assignor: Assignor::CooperativeSticky, ..member_config(names) }
}

/// Writes a record with this value into each of four partitions.
fn write(names: &Names, topic: &str, value: &str) {
    let producer = plain(names, topic);
    send(&producer, value);
    producer.close(WAIT).unwrap();
}

/// Sends a record with this value to each of four partitions.
fn send(producer: &TopicProducer<String, String>, value: &str) {
    for partition in 0..4 {
        producer.record().key("k").value(value).partition(partition).send().unwrap();
    }
}

fn a_cooperative_member_keeps_what_stays(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    let (first, second) = (Moves::default(), Moves::default());
    let mut one = member(names, &topic, cooperative(names)).with_listener(first.clone());
    join(&mut [&mut one], &[4]);
    let mut two = member(names, &topic, cooperative(names)).with_listener(second.clone());
    join(&mut [&mut one, &mut two], &[2, 2]);
    assert_eq!(first.steps(), [("assigned", 4), ("revoked", 2)]);
    assert_eq!(second.all("assigned"), first.all("revoked"), "what goes is what comes");
    let mut both = [one.assignment(), two.assignment()].concat();
    both.sort();
    assert_eq!(both, (0..4).map(|partition| at(&topic, partition)).collect::<Vec<_>>());
    one.close(WAIT).unwrap();
    join(&mut [&mut two], &[4]);
    assert!(second.steps().iter().all(|(what, _)| *what == "assigned"), "{:?}", second.steps());
    assert_eq!(second.all("assigned").len(), 4, "each came once");
}

fn what_stays_is_read_on_and_what_goes_begins_at_the_commit(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    write(names, &topic, "before");
    let mut one = member(names, &topic, cooperative(names));
    take(&mut one, 4);
    // Nothing is committed: what moves is read again, what stays is not.
    let mut two = member(names, &topic, cooperative(names));
    let mut again = Vec::new();
    eventually("the group to settle", || {
        let kept = one.poll(LOOK).unwrap();
        assert!(kept.is_empty(), "read twice: {:?}", values(&kept));
        again.extend(two.poll(LOOK).unwrap());
        (one.assignment().len() == 2 && again.len() == 2).then_some(())
    });
    let moved: BTreeSet<TopicPartition> = again.iter().map(|record| record.topic_partition()).collect();
    assert_eq!(moved, two.assignment().into_iter().collect());
    write(names, &topic, "after");
    assert_eq!(values(&take(&mut one, 2)), ["after", "after"]);
    assert_eq!(values(&take(&mut two, 2)), ["after", "after"]);
    for partition in one.assignment() {
        assert_eq!(one.position(&partition).unwrap(), 2, "{partition}");
    }
    one.commit().unwrap();
}

/// Writes a record into each of four partitions before partitions are given back.
struct Writer(TopicProducer<String, String>);

impl RebalanceListener for Writer {
    fn revoked(&mut self, _: &[TopicPartition], _: &mut Partitions) {
        send(&self.0, "meanwhile");
        self.0.flush(WAIT).unwrap();
    }
}

/// librdkafka read on one too far where a consumer had been told of the end of a partition before the rebalance: what was written
/// before the answer to a revocation was left out for good, one record of each partition that stayed.
fn what_stays_misses_nothing_that_is_written_during_a_rebalance(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    write(names, &topic, "before");
    let mut one = member(names, &topic, cooperative(names)).with_listener(Writer(plain(names, &topic)));
    take(&mut one, 4);
    one.commit().unwrap();
    // The ends come as messages, after the records.
    assert!(one.poll(LOOK * 50).unwrap().is_empty());
    let mut two = member(names, &topic, cooperative(names));
    let mut read = Vec::new();
    eventually("what was written meanwhile", || {
        read.extend(one.poll(LOOK).unwrap());
        read.extend(two.poll(LOOK).unwrap());
        (read.len() == 4).then_some(())
    });
    assert!(read.iter().all(|record| record.value == "meanwhile" && record.offset == 1), "{read:?}");
    let from: BTreeSet<i32> = read.iter().map(|record| record.partition).collect();
    assert_eq!(from.len(), 4, "{read:?}");
}

fn a_cooperative_member_that_is_lost_hears_of_all(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let millis = Duration::from_millis(6_000);
    let config = ConsumerConfig { session_timeout: millis, max_poll_interval: millis, ..cooperative(names) };
    let moves = Moves::default();
    let mut sleeper = member(names, &topic, config.clone()).with_listener(moves.clone());
    join(&mut [&mut sleeper], &[2]);
    let mut heir = member(names, &topic, config);
    join(&mut [&mut heir], &[2]);
    assert!(matches!(sleeper.commit().unwrap_err(), ConsumerError::Commit { .. }));
    eventually("the loss", || {
        sleeper.poll(LOOK).unwrap();
        heir.poll(LOOK).unwrap();
        (moves.all("lost").len() >= 2).then_some(())
    });
    // In one step or in two: a step that waited for its answer is lost for itself.
    assert_eq!(moves.all("lost"), [at(&topic, 0), at(&topic, 1)]);
    assert_eq!(moves.all("revoked"), []);
    join(&mut [&mut sleeper, &mut heir], &[1, 1]);
}

fn a_partition_that_came_may_be_sought(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    write(names, &topic, "one");
    write(names, &topic, "two");
    let mut one = member(names, &topic, cooperative(names));
    take(&mut one, 8);
    let two = member(names, &topic, cooperative(names));
    two.close(WAIT).unwrap();
    eventually("all again", || {
        one.poll(LOOK).unwrap();
        (one.assignment().len() == 4).then_some(())
    });
    one.seek_all(SeekTo::Offset(1)).unwrap();
    assert_eq!(values(&take(&mut one, 4)), ["two"; 4]);
}

fn queued_batches_of_what_stays_are_not_dropped(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    write(names, &topic, "queued");
    let mut one = member(names, &topic, cooperative(names)).into_batches(8);
    let settle = |one: &BatchStream<String, String>, count: usize| {
        eventually("the assignment", || {
            let owned = one.with(|consumer| consumer.assignment().len()).wait(WAIT);
            (owned == Some(count)).then_some(())
        });
    };
    settle(&one, 4);
    let mut two = member(names, &topic, cooperative(names));
    let mut moved = BTreeSet::new();
    eventually("the group to settle", || {
        moved.extend(two.poll(LOOK).unwrap().iter().map(|record| record.topic_partition()));
        (moved.len() == 2).then_some(())
    });
    settle(&one, 2);
    let mut kept = BTreeSet::new();
    while kept.len() < 2 {
        kept.extend(unwrap_batch(block_on(one.next())).iter().map(|record| record.topic_partition()));
    }
    assert!(kept.is_disjoint(&moved), "{kept:?} {moved:?}");
}

fn cooperative_and_eager_members_do_not_agree(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = member(names, &topic, cooperative(names));
    join(&mut [&mut one], &[2]);
    let error = poll_failure(&mut member(names, &topic, member_config(names)));
    assert!(error.to_string().to_lowercase().contains("inconsistent group protocol"), "{error}");
}

/// A member of the case's group, of all its topics whose names go on with `in-`, looked for ten times a second.
fn pattern_member(names: &Names, config: ConsumerConfig) -> TopicConsumer<String, String> {
    let mut config = config;
    config.properties.insert("metadata.max.age.ms".to_owned(), "100".to_owned());
    TopicConsumer::subscribe_pattern(&names.supplier(), &names.topic("in-.*"), config).unwrap()
}

fn a_pattern_finds_topics_that_come_later(kafka: &dyn ClientSupplier, names: &Names) {
    let [first, second, other] = ["in-1", "in-2", "out"].map(|suffix| names.topic(suffix));
    for topic in [&first, &other] {
        create_with(kafka, topic, 1, &[]);
        fill(names, topic, 2);
    }
    let mut reader = pattern_member(names, member_config(names));
    let records = take(&mut reader, 2);
    assert!(records.iter().all(|record| *record.topic == *first), "{records:?}");
    reader.commit().unwrap();
    create_with(kafka, &second, 1, &[]);
    fill(names, &second, 3);
    let records = take(&mut reader, 3);
    assert!(records.iter().all(|record| *record.topic == *second), "{records:?}");
    assert_eq!(reader.assignment().len(), 2);
}

fn a_pattern_that_matches_nothing_waits(kafka: &dyn ClientSupplier, names: &Names) {
    let mut reader = pattern_member(names, member_config(names));
    assert!(reader.poll(LOOK * 10).unwrap().is_empty());
    let topic = names.topic("in-late");
    create_with(kafka, &topic, 1, &[]);
    fill(names, &topic, 1);
    // One long poll is enough: it looks for topics meanwhile.
    assert_eq!(values(&reader.poll(WAIT).unwrap()), ["0"]);
}

fn a_new_topic_of_a_pattern_disturbs_no_partition_of_cooperative_members(
    kafka: &dyn ClientSupplier,
    names: &Names,
) {
    let [first, second] = ["in-1", "in-2"].map(|suffix| names.topic(suffix));
    create_with(kafka, &first, 2, &[]);
    let moves = Moves::default();
    let mut reader = pattern_member(names, cooperative(names)).with_listener(moves.clone());
    join(&mut [&mut reader], &[2]);
    create_with(kafka, &second, 1, &[]);
    join(&mut [&mut reader], &[3]);
    assert_eq!(moves.steps(), [("assigned", 2), ("assigned", 1)]);
}

fn a_pattern_that_is_none_is_refused(_: &dyn ClientSupplier, names: &Names) {
    let refused = |pattern: &str, config: ConsumerConfig| {
        let made = TopicConsumer::<String, String>::subscribe_pattern(&names.supplier(), pattern, config);
        made.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused("in-(", member_config(names)).contains("`in-(` is no regular expression"));
    assert!(refused("in-.*", ConsumerConfig::default()).contains("set `group.id`"));
}
