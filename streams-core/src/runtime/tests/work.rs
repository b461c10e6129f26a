//! What threads say of themselves, looked at by the code that they run: in nodes, and by the clock that they ask between phases. Can be caught:
//! a node that is blamed for what others do, or not for its own work; a thread that is in a node when it is not.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::world::{COUNTS, Instance, LINES, STORE, World, in_memory};
use crate::dsl::{Consumed, StreamsBuilder};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext, Punctuation, PunctuationType};
use crate::record::Record;
use crate::runtime::clock::ThreadClocks;
use crate::runtime::{KafkaStreams, WorkProfile, WorkShares};
use crate::topic::Topic;
use crate::topology::Topology;

const OUT: Topic<(), String> = Topic::new("counts");

thread_local! {
    static PROFILE: RefCell<Option<WorkProfile>> = const { RefCell::new(None) };
}

/// The thread looks at itself.
fn look() {
    PROFILE.with_borrow_mut(|profile| profile.as_mut().unwrap().look());
}

/// What was seen since the last call.
fn seen() -> WorkShares {
    PROFILE.with_borrow_mut(|profile| {
        let profile = profile.as_mut().unwrap();
        let shares = profile.shares();
        profile.clear();
        shares
    })
}

/// Nodes that were seen, with the number of times.
fn nodes(shares: &WorkShares) -> Vec<(&str, f64)> {
    let seen = shares.nodes.iter().filter(|node| node.share > 0.0);
    seen.map(|node| (&*node.name, (node.share * shares.samples as f64).round())).collect()
}

/// An instance of one thread, and a profile of it.
fn watched(world: &World, topology: fn() -> Topology) -> Instance {
    let kafka = Arc::new(world.kafka.clone());
    let monitor = KafkaStreams::new(topology(), world.config("monitor"), kafka).unwrap().monitor();
    let instance = world.instance_with(topology(), world.config("one"), in_memory()).unwrap();
    monitor.instance.metrics.add(instance.threads[0].metrics.clone());
    PROFILE.set(Some(monitor.work_profile(1000)));
    instance
}

/// Looks before and after it forwards, and when its schedule is due.
struct Looks;

impl Processor<(), String, (), String> for Looks {
    fn init(&mut self, context: &mut ProcessorContext<'_, (), String>) -> Result<(), BoxError> {
        look();
        context.schedule(Duration::from_secs(60), PunctuationType::WallClockTime)?;
        Ok(())
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), String>,
        record: Record<(), String>,
    ) -> Result<(), BoxError> {
        look();
        context.forward(record)?;
        look();
        Ok(())
    }

    fn punctuate(
        &mut self,
        _: &mut ProcessorContext<'_, (), String>,
        _: Punctuation,
        _: i64,
    ) -> Result<(), BoxError> {
        look();
        Ok(())
    }
}

/// Source, processor, two children; each looks.
fn looking() -> Topology {
    let builder = StreamsBuilder::new();
    let consumed = Consumed::new().timestamp_extractor(|record, _| {
        look();
        record.timestamp
    });
    let lines = builder.stream_with(&[&LINES], consumed).process::<Looks, (), String>(|| Looks, &[]);
    lines.clone().for_each(|_, _| look());
    lines.peek(|_, _| look()).to(&OUT);
    builder.build().unwrap()
}

#[test]
fn a_node_is_seen_at_its_own_work() {
    let world = World::new(1);
    let mut instance = watched(&world, looking);
    world.line("before");
    world.run_until_drained(&mut [&mut instance]);
    // One init; one record: the processor before and after its children.
    let (source, processor) = ("KSTREAM-SOURCE-0000000000", "KSTREAM-PROCESSOR-0000000001");
    let record = [
        (source, 1.0),
        (processor, 3.0),
        ("KSTREAM-FOREACH-0000000002", 1.0),
        ("KSTREAM-PEEK-0000000003", 1.0),
    ];
    let shares = seen();
    assert_eq!((nodes(&shares), shares.samples), (record.to_vec(), 6));
    assert_eq!(shares.nodes[1].tasks[0].0.to_string(), "0_0");

    // After the record, and as long as nothing comes, the thread is in no node.
    look();
    world.turn(&mut [&mut instance]).unwrap();
    look();
    let shares = seen();
    assert_eq!((nodes(&shares), shares.samples, shares.other), (vec![], 2, 1.0));

    world.clock.advance(60_000);
    world.turn(&mut [&mut instance]).unwrap();
    assert_eq!(nodes(&seen()), [(processor, 1.0)], "its schedule");

    instance.kill();
    look();
    assert_eq!(seen().samples, 0, "a thread that has ended");
}

/// Counts behind a record cache, and looks at what leaves it.
fn cached() -> Topology {
    let builder = StreamsBuilder::new();
    builder
        .stream(&LINES)
        .group_by(|_, line| line.clone())
        .count_with(&STORE)
        .to_stream()
        .peek(|_, _| look())
        .to(&COUNTS);
    builder.build().unwrap()
}

#[test]
fn a_thread_says_what_it_does_outside_of_nodes() {
    let world = World::new(1);
    let mut instance = watched(&world, cached);
    world.line("before");
    world.run_until_drained(&mut [&mut instance]);
    let looking = ThreadClocks {
        ns: || {
            look();
            0
        },
        cpu_ns: || None,
    };
    instance.threads[0].sensors.measure_with(looking);
    seen();

    world.turn(&mut [&mut instance]).unwrap();
    let idle = seen();
    assert!(idle.polling > 0.0 && nodes(&idle).is_empty(), "{idle:?}");
    assert_eq!(idle.committing, 0.0, "{idle:?}");

    world.line("after");
    world.run_until_drained(&mut [&mut instance]);
    let busy = seen();
    assert!(busy.committing > 0.0 && busy.sending > 0.0 && busy.polling > 0.0, "{busy:?}");
    // Out of the cache, at the commit.
    let [(peek, 1.0)] = nodes(&busy)[..] else { panic!("{busy:?}") };
    assert!(peek.starts_with("KSTREAM-PEEK-"), "{busy:?}");
    let all = busy.polling + busy.restoring + busy.sending + busy.committing + busy.other;
    let in_nodes: f64 = busy.nodes.iter().map(|node| node.share).sum();
    assert!((all + in_nodes - 1.0).abs() < 1e-9, "{busy:?}");
}
