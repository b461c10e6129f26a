//! A group of consumers in any order of sending, polling, committing, seeking, joining, leaving and being thrown out, against a model.
//!
//! Catches: records out of order or changed, an offset that is committed before its record was handed out, a record that nobody
//! gets, and, without faults, a record that is handed out twice.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use streams_state::types::TopicPartition;

use crate::client::embedded::{EmbeddedKafka, VirtualClock};
use crate::clients::{
    ConsumerConfig, ConsumerError, Partitions, ProducerConfig, RebalanceListener, SeekTo, TopicConsumer,
    TopicProducer,
};
use crate::topic::Topic;
use crate::topology::OffsetReset;

const TOPIC: Topic<String, i64> = Topic::new("t");
const PARTITIONS: i32 = 3;
const MEMBERS_MAX: usize = 3;
const WAIT: Duration = Duration::from_secs(60);

/// What happens. Members are counted modulo those there are.
#[derive(Clone, Debug)]
enum Step {
    Send(i32),
    Poll(usize),
    CommitAll(usize),
    /// The first record of the last batch only.
    CommitFirst(usize),
    Join,
    Close(usize),
    /// Without a commit.
    Drop(usize),
    /// Every member is thrown out of the group.
    Expire,
    SeekBack(usize, i64),
}

fn harmless() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..PARTITIONS).prop_map(Step::Send),
        8 => (0..MEMBERS_MAX).prop_map(Step::Poll),
        2 => (0..MEMBERS_MAX).prop_map(Step::CommitAll),
        1 => Just(Step::Join),
        1 => (0..MEMBERS_MAX).prop_map(Step::Close),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => harmless(),
        1 => (0..MEMBERS_MAX).prop_map(Step::CommitFirst),
        1 => (0..MEMBERS_MAX).prop_map(Step::Drop),
        1 => Just(Step::Expire),
        1 => (0..MEMBERS_MAX, 0..4_i64).prop_map(|(member, by)| Step::SeekBack(member, by)),
    ]
}

/// Commits before partitions go.
struct CommitFirst;

impl RebalanceListener for CommitFirst {
    fn revoked(&mut self, _: &[TopicPartition], consumer: &mut Partitions) {
        consumer.commit().unwrap();
    }
}

struct Member {
    consumer: TopicConsumer<String, i64>,
    /// The next offset that it must hand out of each partition, until it seeks or the group rebalances.
    next: BTreeMap<i32, i64>,
    rebalances: u64,
    last: Option<(TopicPartition, i64)>,
}

struct World {
    kafka: EmbeddedKafka,
    producer: TopicProducer<String, i64>,
    members: Vec<Member>,
    /// Values sent, and offsets handed out in that order, by partition.
    sent: Vec<Vec<i64>>,
    handed_out: Vec<Vec<i64>>,
    commits_first: bool,
}

impl World {
    fn new(commits_first: bool) -> Self {
        let kafka = EmbeddedKafka::new(VirtualClock::new(1_000));
        kafka.create_topic("t", PARTITIONS).unwrap();
        let producer = TopicProducer::new(&kafka, &TOPIC, ProducerConfig::default()).unwrap();
        let lists = || vec![Vec::new(); PARTITIONS as usize];
        Self { kafka, producer, members: Vec::new(), sent: lists(), handed_out: lists(), commits_first }
    }

    fn join(&mut self) {
        let config = ConsumerConfig {
            auto_offset_reset: OffsetReset::Earliest,
            max_poll_records: 3,
            ..ConsumerConfig::group("g")
        };
        let mut consumer = TopicConsumer::subscribe(&self.kafka, &[&TOPIC], config).unwrap();
        if self.commits_first {
            consumer = consumer.with_listener(CommitFirst);
        }
        self.members.push(Member { consumer, next: BTreeMap::new(), rebalances: 0, last: None });
    }

    fn poll(&mut self, member: usize) -> usize {
        let member = &mut self.members[member];
        let batch = member.consumer.poll(Duration::ZERO).unwrap();
        if member.rebalances != member.consumer.rebalances {
            member.rebalances = member.consumer.rebalances;
            member.next.clear();
            member.last = None;
        }
        for record in &batch {
            let partition = record.partition;
            assert_eq!(record.value, self.sent[partition as usize][record.offset as usize]);
            let next = member.next.insert(partition, record.offset + 1);
            assert!(next.is_none_or(|next| next == record.offset), "{next:?} expected, {record:?}");
            self.handed_out[partition as usize].push(record.offset);
        }
        if let Some(first) = batch.first() {
            member.last = Some((first.topic_partition(), first.offset));
        }
        batch.len()
    }

    fn step(&mut self, step: &Step) {
        let member = |member: &usize, world: &Self| match world.members.len() {
            0 => None,
            count => Some(member % count),
        };
        match step {
            Step::Send(partition) => {
                let values = &mut self.sent[*partition as usize];
                let value = values.len() as i64 * 10 + i64::from(*partition);
                let sent = self.producer.record().key("k").value(value).partition(*partition).send();
                let offset = sent.unwrap().wait(WAIT).unwrap().offset;
                assert_eq!(offset, Some(values.len() as i64));
                values.push(value);
            }
            Step::Poll(at) => {
                if let Some(at) = member(at, self) {
                    self.poll(at);
                }
            }
            Step::CommitAll(at) => {
                if let Some(at) = member(at, self) {
                    let committed = self.members[at].consumer.commit();
                    assert!(!self.commits_first || committed.is_ok() || self.between_generations(&committed));
                }
            }
            Step::CommitFirst(at) => {
                let Some(at) = member(at, self) else { return };
                let member = &mut self.members[at];
                if let Some((partition, offset)) = member.last.take() {
                    let mut offsets = member.consumer.consumed().unwrap();
                    offsets.offsets = [(partition, offset + 1)].into();
                    // It may be thrown out by now.
                    let _ = member.consumer.commit_offsets(&offsets);
                }
            }
            Step::Join if self.members.len() < MEMBERS_MAX => self.join(),
            Step::Join => {}
            Step::Close(at) => {
                if let Some(at) = member(at, self) {
                    let closed = self.members.remove(at).consumer.close(WAIT);
                    closed.unwrap();
                }
            }
            Step::Drop(at) => drop(member(at, self).map(|at| self.members.remove(at))),
            Step::Expire => self.kafka.expire_members("g"),
            Step::SeekBack(at, by) => {
                let Some(at) = member(at, self) else { return };
                let member = &mut self.members[at];
                for partition in member.consumer.assignment() {
                    let position = member.consumer.position(&partition).unwrap();
                    let to = SeekTo::Offset((position - by).max(0));
                    member.consumer.seek(&partition, to).unwrap();
                }
                member.next.clear();
            }
        }
    }

    /// Whether a commit failed because the others rebalance: what it was for is committed when the partitions go.
    fn between_generations(&self, committed: &Result<(), ConsumerError>) -> bool {
        committed.as_ref().err().is_some_and(|error| error.to_string().contains("poll to join"))
    }

    /// What is committed was handed out.
    fn check_commits(&self) {
        for partition in 0..PARTITIONS {
            let at = TopicPartition::new("t", partition);
            let committed = self.kafka.committed_offset("g", &at).map_or(0, |known| known.offset);
            for offset in 0..committed {
                let handed_out = self.handed_out[partition as usize].contains(&offset);
                assert!(handed_out, "{at}@{offset} is committed and was never handed out");
            }
        }
    }

    /// One member reads all that is left.
    fn finish(&mut self) {
        while self.members.len() > 1 {
            self.step(&Step::Close(1));
        }
        if self.members.is_empty() {
            self.join();
        }
        let mut idle = 0;
        while idle < 6 {
            idle = if self.poll(0) == 0 { idle + 1 } else { 0 };
        }
        self.step(&Step::CommitAll(0));
        self.check_commits();
        for partition in 0..PARTITIONS as usize {
            let mut seen = self.handed_out[partition].clone();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, (0..self.sent[partition].len() as i64).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_record_is_handed_out_before_it_is_committed(steps in prop::collection::vec(any_step(), 1..80)) {
        let mut world = World::new(false);
        for step in &steps {
            world.step(step);
            world.check_commits();
        }
        world.finish();
    }

    #[test]
    fn without_faults_every_record_comes_once_and_in_order(steps in prop::collection::vec(harmless(), 1..80)) {
        let mut world = World::new(true);
        for step in &steps {
            world.step(step);
        }
        world.finish();
        for (handed_out, sent) in world.handed_out.iter().zip(&world.sent) {
            prop_assert_eq!(handed_out, &(0..sent.len() as i64).collect::<Vec<_>>());
        }
    }
}
