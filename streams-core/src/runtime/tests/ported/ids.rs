//! `StandbyTaskEOSMultiRebalanceIntegrationTest`, without its standbys (KAFKA-14172): ids that each partition gives out of a counter
//! under a record cache, while tasks move. A counter or a row that is not that of the committed transactions gives an id twice.

use std::collections::BTreeSet;

use super::scene::{Scene, tasks};
use crate::dsl::{Stores, StreamsBuilder};
use crate::error::BoxError;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const INPUT: Topic<i32, i32> = Topic::new("input");
const OUTPUT: Topic<i32, i32> = Topic::new("output");
const IDS: Store<i32, i32> = Store::new("store");
const COUNTER: Store<i32, i32> = Store::new("counter");
const PARTITIONS: i32 = 12;

/// Each key has the id that it got first; each partition has its own ids.
struct GiveIds;

impl Processor<i32, i32, i32, i32> for GiveIds {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, i32, i32>,
        record: Record<i32, i32>,
    ) -> Result<(), BoxError> {
        let (ids, counter) = (context.store(&IDS)?, context.store(&COUNTER)?);
        let (mut ids, mut counter) = (ids.borrow_mut(), counter.borrow_mut());
        let known = ids.get(&record.key)?.map(|(id, _)| *id);
        let id = match known {
            Some(id) => id,
            None => {
                let next = counter.get(&0)?.map_or(0, |(last, _)| *last + 1);
                counter.put(&0, Some(next), record.timestamp, context.record_context())?;
                let (_, partition, _) = context.record_metadata().ok_or("a record comes from somewhere")?;
                let id = next * PARTITIONS + partition;
                ids.put(&record.key, Some(id), record.timestamp, context.record_context())?;
                id
            }
        };
        Ok(context.forward(Record::new(id, record.value, record.timestamp))?)
    }
}

fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let stores = vec![Stores::key_value(&IDS), Stores::key_value(&COUNTER).caching(true)];
    builder.stream(&INPUT).process_with_stores(|| GiveIds, stores).to(&OUTPUT);
    builder.build().unwrap()
}

/// 3,000 records on one instance of four threads, 60,000 while a second and a third come; and then, beyond the original, one goes, one
/// is killed, and both come back to what they have on disk.
#[test]
fn should_honor_eos_when_using_caching_and_standby_replicas() {
    const INITIAL_BULK: i32 = 3_000;
    const SECOND_BULK: i32 = 60_000;
    let scene = Scene::new(&[("input", PARTITIONS), ("output", PARTITIONS)]);
    let start = |name: &str| {
        let mut config = scene.config(name);
        config.num_stream_threads = 4;
        config.statestore_cache_max_bytes = 10 << 20;
        scene.start(topology(), config)
    };
    let bulk = |from: i32, to: i32| (from..to).for_each(|number| scene.put(&INPUT, &number, &number));
    bulk(0, INITIAL_BULK);
    let mut one = start("i1");
    scene.settle(&mut [&mut one]);
    assert_eq!(scene.rows(&OUTPUT).len() as i32, INITIAL_BULK);
    let mut two = start("i2");
    scene.settle(&mut [&mut one, &mut two]);

    // In six parts, and the group is not stable before the last.
    let part = SECOND_BULK / 6;
    let mut next = INITIAL_BULK;
    let mut more = || {
        bulk(next, next + part);
        next += part;
    };
    more();
    let mut three = start("i3");
    scene.turns(&mut [&mut one, &mut two, &mut three], 7);
    more();
    scene.settle(&mut [&mut one, &mut two, &mut three]);
    assert_eq!([&one, &two, &three].map(|instance| tasks(instance).len()), [4, 4, 4]);
    more();
    scene.turns(&mut [&mut one, &mut two, &mut three], 1);
    one.close();
    scene.turns(&mut [&mut two, &mut three], 3);
    two.kill();
    more();
    scene.turns(&mut [&mut three], 5);
    let mut one = start("i1");
    scene.turns(&mut [&mut one, &mut three], 5);
    more();
    let mut two = start("i2");
    scene.turns(&mut [&mut one, &mut two, &mut three], 2);
    three.kill();
    more();
    scene.settle(&mut [&mut one, &mut two]);

    let rows = scene.rows(&OUTPUT);
    assert_eq!(rows.len() as i32, INITIAL_BULK + SECOND_BULK);
    let distinct = |number: fn(&super::scene::Row<i32, i32>) -> i32| {
        rows.iter().map(number).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(distinct(|row| row.key), rows.len(), "no id twice");
    assert_eq!(distinct(|row| row.value), rows.len(), "no record twice");
}
