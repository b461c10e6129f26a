//! `SuppressionDurabilityIntegrationTest` and `JoinGracePeriodDurabilityIntegrationTest`: what a buffer holds back is there after a restart,
//! with its times; what it let go is not sent again; outputs come from the partition of their input.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::world::Instance;
use super::scene::{Scene, on_each_disk};
use crate::dsl::{BufferConfig, Consumed, Joined, Materialized, StreamsBuilder, Suppressed};
use crate::error::BoxError;
use crate::partitioner::partition_for_key;
use crate::processor::{Processor, ProcessorContext};
use crate::record::Record;
use crate::topic::{Store, Topic};
use crate::topology::Topology;

const INPUT: Topic<String, String> = Topic::new("input");
const RAW: Topic<String, Option<i64>> = Topic::new("output-raw");
const SUPPRESSED: Topic<String, Option<i64>> = Topic::new("output-suppressed");
const TABLE: Topic<String, String> = Topic::new("Tableinput");
const JOINED: Topic<String, String> = Topic::new("output");

/// Twice the commit interval lies between two events.
fn scaled_time(time: i64) -> i64 {
    1_700_000_000_000 + 200 * time
}

/// Writes `k<n>` with `v<n>`, at `n` or at the time that is given, one by one.
fn produce(scene: &Scene, one: &mut Instance, topic: &Topic<String, String>, events: &[(i64, i64)]) {
    for (number, time) in events {
        scene.put_at(topic, (&format!("k{number}"), &format!("v{number}")), scaled_time(*time));
        scene.turns(&mut [&mut *one], 10);
    }
    scene.settle(&mut [one]);
}

/// What a topic of two partitions shows of rows that were written in this order.
fn by_place<V>(rows: impl IntoIterator<Item = (i64, V, i64)>) -> Vec<(String, V, i64)> {
    let named = |(number, value, time)| (format!("k{number}"), value, scaled_time(time));
    let mut rows: Vec<_> = rows.into_iter().map(named).collect();
    rows.sort_by_key(|(key, ..)| partition_for_key(key.as_bytes(), 2));
    rows
}

/// Passes on what comes from partition 0 of the input, and notes what does not.
struct Validate(Arc<Mutex<Vec<String>>>);

impl Processor<String, Option<i64>, String, Option<i64>> for Validate {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, Option<i64>>,
        record: Record<String, Option<i64>>,
    ) -> Result<(), BoxError> {
        let from = context.record_metadata().map(|(topic, partition, _)| format!("{topic}-{partition}"));
        self.0.lock().unwrap().push(from.unwrap_or_default());
        Ok(context.forward(record)?)
    }
}

fn suppressing(seen: &Arc<Mutex<Vec<String>>>) -> Topology {
    let builder = StreamsBuilder::new();
    let kept = Materialized::from(&Store::<String, i64>::new("counts")).caching(false);
    let counts = builder.stream(&INPUT).group_by_key().count_with(kept);
    let buffer = BufferConfig::max_records(3).emit_early_when_full();
    let wait = Suppressed::until_time_limit(Duration::from_millis(i64::MAX as u64 - 1), buffer);
    for (table, topic) in [(counts.clone().suppress(wait), &SUPPRESSED), (counts, &RAW)] {
        let seen = seen.clone();
        table.to_stream().process(move || Validate(seen.clone()), &[]).to(topic);
    }
    builder.build().unwrap()
}

#[test]
fn should_recover_buffer_after_shutdown_of_suppression() {
    on_each_disk(&[("input", 2), ("output-raw", 2), ("output-suppressed", 2)], |scene| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let check = |topic: &Topic<String, Option<i64>>, last: i64| {
            let found: Vec<_> =
                scene.rows(topic).into_iter().map(|row| (row.key, row.value, row.timestamp)).collect();
            let expected = by_place((1..=last).map(|number| (number, Some(1), number)));
            assert_eq!(found, expected, "{}", topic.name());
        };
        let mut one = scene.start(suppressing(&seen), scene.config("i1"));
        produce(scene, &mut one, &INPUT, &[(1, 1), (2, 2), (3, 3)]);
        check(&RAW, 3);
        check(&SUPPRESSED, 0);
        produce(scene, &mut one, &INPUT, &[(4, 4), (5, 5)]);
        check(&RAW, 5);
        check(&SUPPRESSED, 2);
        one.close();
        let mut one = scene.start(suppressing(&seen), scene.config("i1"));
        produce(scene, &mut one, &INPUT, &[(6, 6), (7, 7), (8, 8)]);
        check(&RAW, 8);
        check(&SUPPRESSED, 5);
        one.kill();
        // Beyond the original: once more, after a kill, and from the changelog alone.
        for (instance, next) in [("i1", 9), ("i2", 10)] {
            let mut one = scene.start(suppressing(&seen), scene.config(instance));
            produce(scene, &mut one, &INPUT, &[(next, next)]);
            check(&SUPPRESSED, next - 3);
            one.close();
        }
        assert!(
            seen.lock().unwrap().iter().all(|from| from == "input-0"),
            "the input's metadata come back, too"
        );
    });
}

fn joining() -> Topology {
    let builder = StreamsBuilder::new();
    let history =
        Materialized::from(&Store::<String, String>::new("grace")).versioned(Duration::from_millis(1000));
    let table = builder.table_with(&TABLE, Consumed::new(), history);
    let stream = builder.stream(&INPUT);
    let joined = Joined::new().grace(Duration::from_millis(5));
    stream.join_table_with(&table, |_, left: String, right| format!("{left}+{right}"), joined).to(&JOINED);
    builder.build().unwrap()
}

#[test]
fn should_recover_buffer_after_shutdown_of_join_grace_period() {
    on_each_disk(&[("input", 2), ("Tableinput", 2), ("output", 2)], |scene| {
        let check = |events: &[(i64, i64)]| {
            let rows = scene.rows(&JOINED).into_iter();
            let found: Vec<_> = rows.map(|row| (row.key, row.value, row.timestamp)).collect();
            assert_eq!(found, by_place(events.iter().map(|(n, time)| (*n, format!("v{n}+v{n}"), *time))));
        };
        let mut one = scene.start(joining(), scene.config("i1"));
        produce(scene, &mut one, &TABLE, &[(1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)]);
        produce(scene, &mut one, &INPUT, &[(1, 1), (2, 2), (3, 7)]);
        check(&[(1, 1), (2, 2)]);
        produce(scene, &mut one, &INPUT, &[(4, 4), (5, 5)]);
        one.close();
        let mut one = scene.start(joining(), scene.config("i1"));
        produce(scene, &mut one, &INPUT, &[(6, 20)]);
        check(&[(1, 1), (2, 2), (4, 4), (5, 5), (3, 7)]);
        one.kill();
    });
}
