//! System tests of `tests/kafkatest/tests/streams` that need no processes of their own: static membership, and a broker that is down for
//! 70 s (`streams_static_membership_test.py`, `streams_broker_down_resilience_test.py`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::outage::Connection;
use super::super::world::Instance;
use super::scene::{Scene, tasks};
use crate::client::Consumer;
use crate::config::ProcessingGuarantee;
use crate::dsl::StreamsBuilder;
use crate::runtime::GroupMembershipOperation;
use crate::topic::Topic;
use crate::topology::Topology;

const INPUT: Topic<i32, i32> = Topic::new("inputTopic");
const OUTPUT: Topic<i32, i32> = Topic::new("outputTopic");

fn copying() -> Topology {
    let builder = StreamsBuilder::new();
    builder.stream(&INPUT).to(&OUTPUT);
    builder.build().unwrap()
}

/// Each number came out once.
fn check(scene: &Scene, records: i32) {
    let mut found: Vec<i32> = scene.rows(&OUTPUT).into_iter().map(|row| row.value).collect();
    found.sort_unstable();
    assert_eq!(found, (0..records).collect::<Vec<_>>());
}

/// 18 partitions, three clients of three threads, 1,000 records a second; each client goes and comes back three times.
#[test]
fn test_rolling_bounces_will_not_trigger_rebalance_under_static_membership() {
    let scene = Scene::new(&[("inputTopic", 18), ("outputTopic", 18)]);
    let mut written = 0;
    let mut turns = |clients: &mut [Instance], count: usize| {
        for _ in 0..count {
            for _ in 0..10 {
                scene.put(&INPUT, &written, &written);
                written += 1;
            }
            scene.world.turn(&mut clients.iter_mut().collect::<Vec<_>>()).unwrap();
        }
        written
    };
    let start = |name: &str| {
        let mut config = scene.config(name);
        config.num_stream_threads = 3;
        let instance = format!("{name}-instance");
        config.client_properties.insert("main.consumer.group.instance.id".to_owned(), instance);
        scene.start(copying(), config)
    };
    let names = ["consumer-A", "consumer-B", "consumer-C"];
    let mut clients: Vec<Instance> = names.into_iter().map(start).collect();
    turns(&mut clients, 200);
    let generations = |clients: &[Instance]| -> Vec<i32> {
        let threads = clients.iter().flat_map(|client| &client.threads);
        threads.map(|thread| thread.consumer.group_metadata().generation).collect()
    };
    let shares = |clients: &[Instance]| clients.iter().map(tasks).collect::<Vec<_>>();
    let (stable, shared) = (generations(&clients), shares(&clients));
    assert!(
        shared.iter().all(|tasks| tasks.len() == 6) && stable.iter().all(|it| *it == stable[0]),
        "{stable:?}"
    );
    for _ in 0..3 {
        for (index, name) in names.iter().enumerate() {
            clients.remove(index).close_with(GroupMembershipOperation::RemainInGroup);
            turns(&mut clients, 50);
            clients.insert(index, start(name));
            turns(&mut clients, 50);
            assert_eq!(generations(&clients), stable, "after {name} was bounced");
            assert_eq!(shares(&clients), shared);
        }
    }
    let records = turns(&mut clients, 1);
    scene.settle(&mut clients.iter_mut().collect::<Vec<_>>());
    check(&scene, records);
}

/// What happens to the processors while no broker answers.
#[derive(Clone, Copy, PartialEq)]
enum While {
    Nothing,
    /// One of three is stopped.
    ScaleIn,
    /// One of three is killed, and another comes when the broker is back.
    Failover,
}

/// 10,000 records in three parts, the second while no broker answers for 70 s: more than two sessions.
fn run_broker_down(during: While) {
    const PART: i32 = 3_333;
    for guarantee in [ProcessingGuarantee::AtLeastOnce, ProcessingGuarantee::ExactlyOnceV2] {
        let scene = Scene::new(&[("inputTopic", 3), ("outputTopic", 3)]);
        let down = Arc::new(AtomicBool::new(false));
        let start = |name: &str| {
            let connection = Connection::new(&scene.world, down.clone());
            let mut config = scene.at_least_once(name, 100);
            config.processing_guarantee = guarantee;
            scene.world.instance_from(copying(), config, scene.disk.clone(), Arc::new(connection)).unwrap()
        };
        let count = if during == While::Nothing { 1 } else { 3 };
        let mut processors: Vec<Instance> = (0..count).map(|number| start(&format!("p{number}"))).collect();
        let all =
            |processors: &mut Vec<Instance>| scene.settle(&mut processors.iter_mut().collect::<Vec<_>>());
        let put = |part: i32| (part * PART..(part + 1) * PART).for_each(|n| scene.put(&INPUT, &n, &n));
        put(0);
        all(&mut processors);
        // Some of this part is on its way when the broker stops to answer.
        put(1);
        scene.turns(&mut processors.iter_mut().collect::<Vec<_>>(), 1);
        down.store(true, Ordering::SeqCst);
        match during {
            While::Nothing => {}
            While::ScaleIn => {
                let mut stopped = processors.remove(0);
                let membership = GroupMembershipOperation::LeaveGroup;
                // It cannot commit, and says so; nothing of what it did counts.
                let closed = stopped.threads[0].close(std::time::Duration::from_secs(1), membership);
                assert!(closed.unwrap_err().to_string().contains("no broker answers"));
            }
            While::Failover => processors.remove(0).kill(),
        }
        for _ in 0..70 {
            scene.world.clock.advance(990);
            scene.turns(&mut processors.iter_mut().collect::<Vec<_>>(), 1);
        }
        down.store(false, Ordering::SeqCst);
        if during == While::Failover {
            processors.push(start("p3"));
        }
        put(2);
        scene.world.clock.advance(61_000);
        all(&mut processors);
        let found = scene.rows(&OUTPUT).len() as i32;
        match guarantee {
            ProcessingGuarantee::ExactlyOnceV2 => check(&scene, 3 * PART),
            ProcessingGuarantee::AtLeastOnce => {
                let distinct: std::collections::BTreeSet<_> =
                    scene.rows(&OUTPUT).into_iter().map(|row| row.value).collect();
                assert_eq!(distinct, (0..3 * PART).collect(), "{found} records");
            }
        }
    }
}

#[test]
fn test_streams_resilient_to_broker_down() {
    run_broker_down(While::Nothing);
}

#[test]
fn test_streams_should_scale_in_while_brokers_down() {
    run_broker_down(While::ScaleIn);
}

#[test]
fn test_streams_should_failover_while_brokers_down() {
    run_broker_down(While::Failover);
}
