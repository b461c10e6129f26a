//! Groups of `TopicConsumer`s: who gets what, who hears of it, and what is read twice.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kstreams::client::ClientSupplier;
use kstreams::clients::{
    Assignor, ConsumerConfig, ConsumerError, Partitions, RebalanceListener, SeekTo, TopicConsumer,
};
use kstreams::types::TopicPartition;

use crate::harness::cases;
use crate::support::*;
use crate::typed_support::*;

cases![
    two_members_share_the_partitions,
    a_listener_hears_of_every_step,
    a_commit_in_the_last_moment_leaves_nothing_to_read_twice,
    a_listener_may_seek_where_partitions_begin,
    a_lost_member_hears_it_and_cannot_commit,
    a_stale_commit_says_that_the_group_went_on,
    round_robin_gives_all_members_as_many,
    members_must_agree_on_the_assignor,
    a_static_member_comes_back_to_its_partitions,
    a_static_member_can_leave,
    a_dropped_member_leaves,
    several_topics_of_the_same_types_are_read,
];

/// Writes down what it hears.
#[derive(Clone, Default)]
struct Diary {
    lines: Arc<Mutex<Vec<String>>>,
    commits: bool,
    begins_at: Option<SeekTo>,
}

impl Diary {
    fn note(&self, what: &str, partitions: &[TopicPartition]) {
        self.lines.lock().unwrap().push(format!("{what} {}", partitions.len()));
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl RebalanceListener for Diary {
    fn assigned(&mut self, partitions: &[TopicPartition], consumer: &mut Partitions) {
        assert_eq!(consumer.assignment(), partitions);
        self.note("assigned", partitions);
        if let Some(to) = self.begins_at {
            consumer.seek_all(to).unwrap();
        }
    }

    fn revoked(&mut self, partitions: &[TopicPartition], consumer: &mut Partitions) {
        self.note("revoked", partitions);
        if self.commits {
            consumer.commit().unwrap();
        }
    }

    fn lost(&mut self, partitions: &[TopicPartition]) {
        self.note("lost", partitions);
    }
}

fn two_members_share_the_partitions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 4);
    let (mut one, mut two) =
        (member(names, &topic, member_config(names)), member(names, &topic, member_config(names)));
    join(&mut [&mut one, &mut two], &[2, 2]);
    let mut all = [one.assignment(), two.assignment()].concat();
    all.sort();
    assert_eq!(all, (0..4).map(|partition| at(&topic, partition)).collect::<Vec<_>>());
    one.close(WAIT).unwrap();
    join(&mut [&mut two], &[4]);
}

fn a_listener_hears_of_every_step(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let diary = Diary::default();
    let mut one = member(names, &topic, member_config(names)).with_listener(diary.clone());
    join(&mut [&mut one], &[2]);
    let mut two = member(names, &topic, member_config(names));
    join(&mut [&mut one, &mut two], &[1, 1]);
    one.close(WAIT).unwrap();
    assert_eq!(diary.lines(), ["assigned 2", "revoked 2", "assigned 1", "revoked 1"]);
}

fn a_commit_in_the_last_moment_leaves_nothing_to_read_twice(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let producer = plain(names, &topic);
    let write = |from: i32, to: i32| {
        for number in from..to {
            producer.record().key("k").value(number.to_string()).partition(number % 2).send().unwrap();
        }
        producer.flush(WAIT).unwrap();
    };
    write(0, 10);
    let listener = || Diary { commits: true, ..Diary::default() };
    let mut one = member(names, &topic, member_config(names)).with_listener(listener());
    let mut seen: Vec<i32> = take(&mut one, 10).iter().map(|record| record.value.parse().unwrap()).collect();
    let mut two = member(names, &topic, member_config(names)).with_listener(listener());
    join(&mut [&mut one, &mut two], &[1, 1]);
    write(10, 20);
    eventually("the rest", || {
        for consumer in [&mut one, &mut two] {
            seen.extend(
                consumer.poll(LOOK).unwrap().iter().map(|record| record.value.parse::<i32>().unwrap()),
            );
        }
        (seen.len() >= 20).then_some(())
    });
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

fn a_listener_may_seek_where_partitions_begin(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    fill(names, &topic, 5);
    let diary = Diary { begins_at: Some(SeekTo::Offset(3)), ..Diary::default() };
    let mut reader = member(names, &topic, member_config(names)).with_listener(diary);
    assert_eq!(values(&take(&mut reader, 2)), ["3", "4"]);
}

/// A member that does not poll for too long, and another that gets what it had.
fn lost(names: &Names, topic: &str, diary: Diary) -> [TopicConsumer<String, String>; 2] {
    let millis = Duration::from_millis(6_000);
    let config =
        ConsumerConfig { session_timeout: millis, max_poll_interval: millis, ..member_config(names) };
    let mut sleeper = member(names, topic, config.clone()).with_listener(diary);
    join(&mut [&mut sleeper], &[1]);
    let mut heir = member(names, topic, config);
    join(&mut [&mut heir], &[1]);
    [sleeper, heir]
}

fn a_lost_member_hears_it_and_cannot_commit(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    let diary = Diary::default();
    let [mut sleeper, heir] = lost(names, &topic, diary.clone());
    let error = sleeper.commit().unwrap_err();
    assert!(matches!(&error, ConsumerError::Commit { .. }), "{error}");
    assert!(error.to_string().contains("poll to join it anew"), "{error}");
    heir.close(WAIT).unwrap();
    eventually("the loss", || {
        sleeper.poll(LOOK).unwrap();
        (diary.lines().len() > 1).then_some(())
    });
    assert_eq!(diary.lines()[..2], ["assigned 1", "lost 1"]);
    join(&mut [&mut sleeper], &[1]);
}

fn a_stale_commit_says_that_the_group_went_on(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 1);
    fill(names, &topic, 1);
    let mut one = member(names, &topic, member_config(names));
    take(&mut one, 1);
    // Commits need a group that this consumer is no member of any more.
    let assigned = TopicConsumer::assign(&names.supplier(), &texts_of(&topic), [0], member_config(names));
    let mut outsider = assigned.unwrap();
    take(&mut outsider, 1);
    let error = outsider.commit().unwrap_err();
    assert!(
        error.to_string().contains(&format!("offsets {topic}-0@1 of group `{}`", names.group())),
        "{error}"
    );
    assert_eq!(committed_of(kafka, &names.group(), &at(&topic, 0)), None);
}

fn round_robin_gives_all_members_as_many(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("x"), names.topic("y")];
    topics.iter().for_each(|topic| create_with(kafka, topic, 3, &[]));
    let typed = topics.each_ref().map(|topic| texts_of(topic));
    let joined = |assignor, group: &str, counts: &[usize]| {
        let config = ConsumerConfig { assignor, ..ConsumerConfig::group(names.topic(group)) };
        let subscribe =
            || TopicConsumer::subscribe(&names.supplier(), &[&typed[0], &typed[1]], config.clone()).unwrap();
        let (mut one, mut two) = (subscribe(), subscribe());
        join(&mut [&mut one, &mut two], counts);
    };
    joined(Assignor::RoundRobin, "robin", &[3, 3]);
    joined(Assignor::Range, "range", &[2, 4]);
}

fn members_must_agree_on_the_assignor(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = member(names, &topic, member_config(names));
    join(&mut [&mut one], &[2]);
    let config = ConsumerConfig { assignor: Assignor::RoundRobin, ..member_config(names) };
    let error = poll_failure(&mut member(names, &topic, config));
    assert!(error.to_string().to_lowercase().contains("inconsistent group protocol"), "{error}");
    assert!(!error.is_retriable(), "{error}");
    join(&mut [&mut one], &[2]);
}

fn static_config(names: &Names, instance: &str) -> ConsumerConfig {
    ConsumerConfig { group_instance_id: Some(names.topic(instance)), ..member_config(names) }
}

fn a_static_member_comes_back_to_its_partitions(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = member(names, &topic, static_config(names, "one"));
    let diary = Diary::default();
    let mut two = member(names, &topic, static_config(names, "two")).with_listener(diary.clone());
    join(&mut [&mut one, &mut two], &[1, 1]);
    let (had, steps) = (one.assignment(), diary.lines().len());
    one.close(WAIT).unwrap();
    let mut again = member(names, &topic, static_config(names, "one"));
    join(&mut [&mut again, &mut two], &[1, 1]);
    assert_eq!(again.assignment(), had);
    assert_eq!(diary.lines().len(), steps, "the other one was disturbed");
}

fn a_static_member_can_leave(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = member(names, &topic, static_config(names, "one"));
    let mut two = member(names, &topic, static_config(names, "two"));
    join(&mut [&mut one, &mut two], &[1, 1]);
    one.leave(WAIT).unwrap();
    join(&mut [&mut two], &[2]);
}

fn a_dropped_member_leaves(kafka: &dyn ClientSupplier, names: &Names) {
    let topic = create(kafka, names, 2);
    let mut one = member(names, &topic, member_config(names));
    let mut two = member(names, &topic, member_config(names));
    join(&mut [&mut one, &mut two], &[1, 1]);
    let begin = std::time::Instant::now();
    drop(one);
    join(&mut [&mut two], &[2]);
    assert!(begin.elapsed() < Duration::from_secs(30), "sooner than its session ends");
}

fn several_topics_of_the_same_types_are_read(kafka: &dyn ClientSupplier, names: &Names) {
    let topics = [names.topic("x"), names.topic("y")];
    for topic in &topics {
        create_with(kafka, topic, 1, &[]);
        fill(names, topic, 2);
    }
    let typed = topics.each_ref().map(|topic| texts_of(topic));
    let supplier = names.supplier();
    let mut reader =
        TopicConsumer::subscribe(&supplier, &[&typed[0], &typed[1]], member_config(names)).unwrap();
    let mut records = take(&mut reader, 4);
    records.sort_by(|one, two| (&one.topic, one.offset).cmp(&(&two.topic, two.offset)));
    assert_eq!(values(&records), ["0", "1", "0", "1"]);
    assert_eq!((&*records[1].topic, &*records[2].topic), (topics[0].as_str(), topics[1].as_str()));
}
