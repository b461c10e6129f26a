//! A store of the user's own making in the runtime: logged, committed with the records that changed it, restored.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::{World, expected, in_memory, lines};
use crate::dsl::{Stores, StreamsBuilder};
use crate::error::{BoxError, StateError};
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::store::{ChangelogEntry, StateStore};
use crate::topic::Topic;
use crate::topology::Topology;
use crate::types::{Headers, Timestamp};

const LINES: Topic<(), String> = Topic::new("lines");
const COUNTS: Topic<String, i64> = Topic::new("counts");

/// Counts in the order of words, all in memory.
struct Ranking {
    name: Arc<str>,
    counts: BTreeMap<String, i64>,
    unlogged: Vec<(String, i64, Timestamp)>,
    offset: Option<i64>,
}

impl StateStore for Ranking {
    fn name(&self) -> &str {
        &self.name
    }

    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        for (word, count, timestamp) in self.unlogged.drain(..) {
            let (key, value) = (word.as_bytes(), count.to_be_bytes());
            sink(ChangelogEntry { key, value: Some(&value), timestamp, headers: &Headers::EMPTY })?;
        }
        Ok(())
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.offset = offset.or(self.offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, _: Timestamp) -> Result<(), StateError> {
        let count = value.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
        self.counts.insert(String::from_utf8_lossy(key).into_owned(), count);
        Ok(())
    }

    fn offset(&self) -> Option<i64> {
        self.offset
    }

    fn memory_bytes(&self) -> u64 {
        self.counts.len() as u64 * 64
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.counts.clear();
        self.offset = None;
        Ok(())
    }
}

struct Count;

impl Processor<String, String, String, i64> for Count {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let ranking = context.store_as::<Ranking>("ranking")?;
        let mut ranking = ranking.borrow_mut();
        let count = ranking.counts.get(&record.key).copied().unwrap_or(0) + 1;
        ranking.counts.insert(record.key.clone(), count);
        ranking.unlogged.push((record.key.clone(), count, record.timestamp));
        drop(ranking);
        Ok(context.forward(record.with_value(count))?)
    }
}

fn ranked() -> Topology {
    let builder = StreamsBuilder::new();
    let store = Stores::custom("ranking", |open| {
        Ok(Ranking { name: open.name, counts: BTreeMap::new(), unlogged: Vec::new(), offset: None })
    });
    builder
        .stream(&LINES)
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .select_key(|(), word| word.clone())
        .repartition()
        .process_with_stores(|| Count, vec![store])
        .to(&COUNTS);
    builder.build().unwrap()
}

#[test]
fn kills_and_moves_neither_lose_nor_repeat_its_updates() {
    let world = World::new(2);
    let mut input = Vec::new();
    for turns in 1..50 {
        let more = lines(turns, 5);
        more.iter().for_each(|line| world.line(line));
        input.extend(more);
        let config = world.config(if turns % 3 == 0 { "i2" } else { "i1" });
        let mut one = match turns % 2 {
            0 => world.instance_with(ranked(), config, in_memory()).unwrap(),
            _ => world.instance_of(ranked(), config).unwrap(),
        };
        (0..turns).for_each(|_| world.turn(&mut [&mut one]).unwrap());
        if turns % 4 == 0 { one.close() } else { one.kill() }
    }
    let mut one = world.instance_of(ranked(), world.config("i1")).unwrap();
    world.run_until_drained(&mut [&mut one]);
    assert_eq!(world.counts(), expected(&input));
    assert!(world.kafka.topics().iter().any(|topic| &**topic == "wc-ranking-changelog"));
}
