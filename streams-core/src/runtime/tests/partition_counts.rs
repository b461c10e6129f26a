//! What a partitioner is told about the topic that is written: looked up by the one admin client of the instance, and
//! believed for longer while that gets no answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use streams_state::types::TopicPartition;

use super::world::{COUNTS, Instance, LINES, World, in_memory};
use crate::client::embedded::EmbeddedKafka;
use crate::client::{
    Admin, AdminTopic, ClientError, ClientSupplier, Consumer, ConsumerSettings, Fault, GroupMember, NewTopic,
    Producer, ProducerSettings, TopicSetting,
};
use crate::config::METADATA_MAX_AGE_MS;
use crate::dsl::{Produced, StreamsBuilder};
use crate::topology::Topology;

/// The embedded log, whose admin clients are counted; nobody answers them while it is `away`.
struct Watched {
    kafka: EmbeddedKafka,
    admins: AtomicUsize,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    away: AtomicBool,
    look_ups: AtomicUsize,
}

struct WatchedAdmin(Box<dyn Admin>, Arc<Seen>);

impl ClientSupplier for Watched {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn Consumer>, ClientError> {
        self.kafka.consumer(settings)
    }

    fn producer(&self, settings: &ProducerSettings) -> Result<Box<dyn Producer>, ClientError> {
        self.kafka.producer(settings)
    }

    fn admin(&self) -> Result<Box<dyn Admin>, ClientError> {
        self.admins.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(WatchedAdmin(self.kafka.admin()?, self.seen.clone())))
    }

    fn describe(&self) -> String {
        self.kafka.describe()
    }
}

impl Admin for WatchedAdmin {
    fn describe_topics(
        &mut self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<Option<AdminTopic>>, ClientError> {
        // The sources are looked at now and then by others.
        let written = topics.iter().any(|topic| topic == COUNTS.name());
        self.1.look_ups.fetch_add(usize::from(written), Ordering::Relaxed);
        match self.1.away.load(Ordering::Relaxed) {
            true => Err(ClientError::new(Fault::Retriable, "describe topics", "nobody answers")),
            false => self.0.describe_topics(topics, timeout),
        }
    }

    fn list_topics(&mut self, timeout: Duration) -> Result<Vec<String>, ClientError> {
        self.0.list_topics(timeout)
    }

    fn create_topics(
        &mut self,
        topics: &[NewTopic],
        timeout: Duration,
    ) -> Result<Vec<Result<(), ClientError>>, ClientError> {
        self.0.create_topics(topics, timeout)
    }

    fn describe_configs(
        &mut self,
        topics: &[String],
        timeout: Duration,
    ) -> Result<Vec<Option<BTreeMap<String, TopicSetting>>>, ClientError> {
        self.0.describe_configs(topics, timeout)
    }

    fn alter_configs(
        &mut self,
        topic: &str,
        settings: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.0.alter_configs(topic, settings, timeout)
    }

    fn create_partitions(&mut self, topic: &str, total: i32, timeout: Duration) -> Result<(), ClientError> {
        self.0.create_partitions(topic, total, timeout)
    }

    fn group_members(&mut self, group: &str, timeout: Duration) -> Result<Vec<GroupMember>, ClientError> {
        self.0.group_members(group, timeout)
    }

    fn delete_topics(&mut self, topics: &[String], timeout: Duration) -> Result<(), ClientError> {
        self.0.delete_topics(topics, timeout)
    }

    fn delete_records(
        &mut self,
        before: &[(TopicPartition, i64)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.0.delete_records(before, timeout)
    }
}

/// Lines by their length, to the last partition.
fn lengths() -> Topology {
    let builder = StreamsBuilder::new();
    let last = Produced::new().partitioner(|_, _: &String, _: &i64, count| count - 1);
    let lengths = builder.stream(&LINES).map(|(): &(), line: String| {
        let length = line.len() as i64;
        (line, length)
    });
    lengths.to_with(&COUNTS, last);
    builder.build().unwrap()
}

fn watched() -> (World, Arc<Watched>) {
    let world = World::new(2);
    let supplier = Watched { kafka: world.kafka.clone(), admins: AtomicUsize::new(0), seen: Arc::default() };
    (world, Arc::new(supplier))
}

fn feed(world: &World, one: &mut Instance) {
    for line in ["a", "bb", "ccc", "dddd"] {
        world.line(line);
    }
    world.run_until_drained(&mut [one]);
}

/// Each look-up made an admin client, with its threads and connections; and one look-up without an answer, five minutes after
/// the first, ended the stream thread.
#[test]
fn one_admin_client_looks_partitions_up_and_may_go_without_an_answer() {
    let (world, supplier) = watched();
    let seen = supplier.seen.clone();
    let mut one = world.instance_from(lengths(), world.config("i1"), in_memory(), supplier.clone()).unwrap();
    let look_ups = || seen.look_ups.swap(0, Ordering::Relaxed);
    look_ups();
    feed(&world, &mut one);
    assert_eq!(look_ups(), 2, "each of two tasks once");
    let due = world.now() + METADATA_MAX_AGE_MS;
    while world.now() < due {
        // A member that is not heard of for longer would lose its tasks, and what these know.
        world.clock.advance(10_000);
        world.turn(&mut [&mut one]).unwrap();
    }
    assert_eq!(look_ups(), 0);
    seen.away.store(true, Ordering::Relaxed);
    feed(&world, &mut one);
    feed(&world, &mut one);
    assert_eq!(look_ups(), 2, "and not again soon");
    assert_eq!(world.kafka.end_offsets("counts").unwrap()[0], 0);
    assert_eq!(supplier.admins.load(Ordering::Relaxed), 1);
}

/// A count that was never known is waited for, as in Kafka Streams: the thread ended at the first record, although the cluster
/// was only slow to answer.
#[test]
fn a_first_look_up_without_an_answer_is_tried_again() {
    let (world, supplier) = watched();
    let mut one = world.instance_from(lengths(), world.config("i1"), in_memory(), supplier.clone()).unwrap();
    supplier.seen.look_ups.store(0, Ordering::Relaxed);
    supplier.seen.away.store(true, Ordering::Relaxed);
    world.line("early");
    while supplier.seen.look_ups.load(Ordering::Relaxed) < 5 {
        world.turn(&mut [&mut one]).unwrap();
    }
    supplier.seen.away.store(false, Ordering::Relaxed);
    feed(&world, &mut one);
    assert_eq!(world.kafka.read_all("counts", true).unwrap().len(), 5);
}
