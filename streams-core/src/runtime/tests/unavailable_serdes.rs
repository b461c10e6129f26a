//! A serde that needs something from outside, such as a schema registry, which does not answer. Can be caught: records that are
//! skipped as if they were bad, results lost or doubled, rows lost in a restore, a thread that gives up too early or never.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::world::{Instance, World, in_memory};
use crate::config::{ProcessingGuarantee, StreamsConfig};
use crate::dsl::{Materialized, StreamsBuilder};
use crate::handler::LogAndContinue;
use crate::runtime::StreamsError;
use crate::serdes::{Auto, Serde, SerdeError, SerdeErrorKind};
use crate::topic::{Store, Topic};
use crate::topology::Topology;

/// Text, as long as what the serde needs is there.
#[derive(Clone)]
struct Remote {
    down: Arc<AtomicBool>,
    kind: SerdeErrorKind,
}

impl Remote {
    fn new(kind: SerdeErrorKind) -> Self {
        Self { down: Arc::default(), kind }
    }

    fn ask(&self) -> Result<(), SerdeError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(SerdeError::of(self.kind, "no answer from far away")),
            false => Ok(()),
        }
    }

    fn set(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

impl Serde<String> for Remote {
    fn serialize(&self, value: &String, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        self.ask()?;
        Auto.serialize(value, out)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<String, SerdeError> {
        self.ask()?;
        Auto.deserialize(bytes)
    }
}

fn config(world: &World, guarantee: ProcessingGuarantee) -> StreamsConfig {
    let mut config = world.config("i1");
    config.processing_guarantee = guarantee;
    // Nobody may be asked.
    config.deserialization_exception_handler = Arc::new(LogAndContinue);
    config.processing_exception_handler = Arc::new(LogAndContinue);
    config.production_exception_handler = Arc::new(LogAndContinue);
    config
}

fn turns(world: &World, one: &mut Instance, count: usize) -> Result<(), StreamsError> {
    (0..count).try_for_each(|_| world.turn(&mut [one]))
}

/// What was committed to `counts`.
fn copied(world: &World) -> Vec<String> {
    let records = world.kafka.read_all("counts", true).unwrap();
    records.into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

/// Each once, in the order in which they came first.
fn without_repeats(lines: Vec<String>) -> Vec<String> {
    let mut once = Vec::new();
    for line in lines {
        if !once.contains(&line) {
            once.push(line);
        }
    }
    once
}

/// `lines` to `counts`, by way of a serde at one of the three places where a record needs one.
fn copy(place: &str, remote: &Remote) -> Topology {
    let builder = StreamsBuilder::new();
    let far = |name| Topic::<(), String, _, _>::with_serdes(name, Auto, remote.clone());
    let near = Topic::<(), String>::new("lines");
    match place {
        "source" => builder.stream(&far("lines")).to(&Topic::<(), String>::new("counts")),
        "sink" => builder.stream(&near).to(&far("counts")),
        _ => {
            let store = Store::<String, String, _, _>::with_serdes("kept", Auto, remote.clone());
            let logged = Materialized::from(&store).caching(false);
            let keyed = builder.stream(&near).group_by(|_, _| "all".to_owned());
            let last = keyed.aggregate_with(String::new, |_, line, last| *last = line, logged);
            last.to_stream().to(&Topic::<String, String>::new("counts"))
        }
    }
    builder.build().unwrap()
}

/// Bad bytes and an outage looked the same to the handler: with one that goes on, an outage dropped every record.
#[test]
fn no_record_is_skipped_while_it_does_not_answer() {
    for place in ["source", "sink", "store"] {
        for guarantee in [ProcessingGuarantee::ExactlyOnceV2, ProcessingGuarantee::AtLeastOnce] {
            let (world, remote) = (World::new(1), Remote::new(SerdeErrorKind::Unavailable));
            let mut one = world.instance_of(copy(place, &remote), config(&world, guarantee)).unwrap();
            world.line("one");
            world.run_until_drained(&mut [&mut one]);
            remote.set(true);
            ["two", "three"].iter().for_each(|line| world.line(line));
            turns(&world, &mut one, 300).unwrap();
            assert_eq!(copied(&world), ["one"], "{place}, {guarantee:?}");
            remote.set(false);
            world.run_until_drained(&mut [&mut one]);
            let copies = match guarantee {
                ProcessingGuarantee::ExactlyOnceV2 => copied(&world),
                // Results may repeat.
                ProcessingGuarantee::AtLeastOnce => without_repeats(copied(&world)),
            };
            assert_eq!(copies, ["one", "two", "three"], "{place}, {guarantee:?}");
            assert_eq!(one.threads[0].metrics.dropped().total(), 0, "{place}, {guarantee:?}");
        }
    }
}

#[test]
fn a_restore_waits_for_it_and_loses_no_row() {
    let (world, remote) = (World::new(1), Remote::new(SerdeErrorKind::Unavailable));
    let start = || {
        let config = config(&world, ProcessingGuarantee::ExactlyOnceV2);
        world.instance_with(copy("store", &remote), config, in_memory()).unwrap()
    };
    let mut one = start();
    ["one", "two"].iter().for_each(|line| world.line(line));
    world.run_until_drained(&mut [&mut one]);
    one.close();
    remote.set(true);
    let mut again = start();
    turns(&world, &mut again, 300).unwrap();
    assert!(!again.is_running(), "nothing could be restored yet");
    remote.set(false);
    world.line("three");
    world.run_until_drained(&mut [&mut again]);
    assert_eq!(copied(&world), ["one", "two", "three"]);
    assert_eq!(again.threads[0].metrics.dropped().total(), 0);
}

#[test]
fn it_ends_with_the_record_after_task_timeout() {
    let (world, remote) = (World::new(1), Remote::new(SerdeErrorKind::Unavailable));
    let mut config = config(&world, ProcessingGuarantee::ExactlyOnceV2);
    config.task_timeout = Duration::from_secs(2);
    let mut one = world.instance_of(copy("source", &remote), config).unwrap();
    world.line("one");
    remote.set(true);
    let error = turns(&world, &mut one, 1000).unwrap_err().to_string();
    assert!(error.contains("longer than `task.timeout.ms`"), "{error}");
    assert!(error.contains("lines-0@0") && error.contains("no answer from far away"), "{error}");
}

#[test]
fn what_would_fail_with_every_record_stops_the_thread_at_once() {
    for place in ["source", "sink", "store"] {
        let (world, remote) = (World::new(1), Remote::new(SerdeErrorKind::Setup));
        let config = config(&world, ProcessingGuarantee::ExactlyOnceV2);
        let mut one = world.instance_of(copy(place, &remote), config).unwrap();
        world.line("one");
        remote.set(true);
        let error = turns(&world, &mut one, 20).unwrap_err().to_string();
        assert!(error.contains("task ") && error.contains("no answer from far away"), "{place}: {error}");
    }
}
