//! Versioned tables and joins with grace: what the recorded cases do not say.

use std::time::Duration;

use streams_core::dsl::{Consumed, Joined, KTable, Materialized, Stores, StreamsBuilder};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::record::Record;
use streams_core::testing::TestVersion;
use streams_core::topic::{Store, Topic};

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const KEYLESS: Topic<Option<String>, i64> = Topic::new("keyless");
const ROWS: Topic<String, i64> = Topic::new("rows");
const OUT: Topic<String, i64> = Topic::new("out");
const CHANGES: Topic<String, i64> = Topic::new("changes");
const HISTORY: Store<String, i64> = Store::new("history");

const SECOND: Duration = Duration::from_secs(1);

fn versioned(builder: &StreamsBuilder, history: Duration) -> KTable<String, i64> {
    builder.table_with(&ROWS, Consumed::new(), Materialized::from(&HISTORY).versioned(history))
}

fn version(value: i64, valid_from: i64, valid_to: Option<i64>) -> TestVersion<i64> {
    TestVersion { value, valid_from, valid_to }
}

#[test]
fn an_update_out_of_order_takes_its_place_and_a_late_one_is_dropped() {
    let builder = StreamsBuilder::new();
    versioned(&builder, SECOND).to_stream().to(&CHANGES);
    let driver = driver(&builder);
    let rows = driver.input(&ROWS);
    for (value, time) in [(1, 1_000), (3, 3_000), (2, 2_500), (0, 1_999)] {
        rows.pipe_at("a", value, time);
    }
    let store = driver.versioned_store(&HISTORY);
    let kept = [version(1, 1_000, Some(2_500)), version(2, 2_500, Some(3_000)), version(3, 3_000, None)];
    assert_eq!(store.versions(&text("a")), kept);
    assert_eq!(store.get(&text("a")), Some(3));
    assert_eq!(store.get_as_of(&text("a"), 2_999), Some(2));
    assert_eq!(store.get_as_of(&text("a"), 1_999), None, "behind the history");
    assert_eq!(driver.dropped(), 1);
    let changes: Vec<i64> = driver.output(&CHANGES).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(changes, [1, 3, 2], "the refused update is not sent on");
    let changelog = driver.produced("test-history-changelog");
    assert_eq!(changelog.len(), 4, "the changelog has it, as in Kafka Streams");
}

#[test]
fn a_join_with_grace_lets_the_table_catch_up() {
    let builder = StreamsBuilder::new();
    let table = versioned(&builder, 10 * SECOND);
    let joined = Joined::new().grace(SECOND);
    builder.stream(&IN).join_table_with(&table, |_, left, right| left * right, joined).to(&OUT);
    let driver = driver(&builder);
    let (stream, rows) = (driver.input(&IN), driver.input(&ROWS));
    stream.pipe_at("a", 10, 5_000);
    stream.pipe_at("a", 20, 4_500);
    rows.pipe_at("a", 2, 4_000);
    rows.pipe_at("a", 3, 4_800);
    assert!(driver.output(&OUT).is_empty());
    stream.pipe_at("b", 1, 6_000);
    let values: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [40, 30], "in order of time, each with the row of its time");
    stream.pipe_at("a", 5, 4_100);
    let values: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [10], "later than the grace: at once");
}

#[test]
fn a_record_without_a_key_waits_for_nothing() {
    let builder = StreamsBuilder::new();
    let kept = Materialized::from(&Store::<Option<String>, i64>::named("history")).versioned(SECOND);
    let table = builder.table_with(&Topic::<Option<String>, i64>::named("rows"), Consumed::new(), kept);
    let joined = Joined::new().grace(SECOND);
    let out: Topic<Option<String>, i64> = Topic::named("out");
    let stream = builder.stream(&KEYLESS);
    stream.left_join_table_with(&table, |_, left, right| left + right.map_or(0, |row| *row), joined).to(&out);
    let driver = driver(&builder);
    driver.input(&KEYLESS).pipe_at(None::<String>, 7, 100);
    assert_eq!(driver.output(&out).read_all(), [(None, 7)]);
}

#[test]
fn what_a_versioned_table_cannot_be() {
    let refused = |build: &dyn Fn(&StreamsBuilder)| {
        let builder = StreamsBuilder::new();
        build(&builder);
        builder.build().map(|_| ()).unwrap_err().faults.join("; ")
    };
    let unnamed = refused(&|builder| {
        builder.table_with(&ROWS, Consumed::new(), Materialized::<String, i64>::unnamed().versioned(SECOND));
    });
    assert_eq!(unnamed, "a versioned table needs a named store; make its Materialized from a `Store`");
    let in_memory = refused(&|builder| {
        let kept = Materialized::from(&HISTORY).versioned(SECOND).in_memory();
        builder.table_with(&ROWS, Consumed::new(), kept);
    });
    assert!(
        in_memory.starts_with("versioned store `history`: the kind of store cannot be chosen"),
        "{in_memory}"
    );
    let no_segments = refused(&|builder| {
        let kept = Materialized::from(&HISTORY).versioned_by_segments(SECOND, Duration::ZERO);
        builder.table_with(&ROWS, Consumed::new(), kept);
    });
    assert!(no_segments.contains("the segment interval must be 1 ms or more"), "{no_segments}");
    let global = refused(&|builder| {
        let kept = Materialized::from(&HISTORY).versioned(SECOND);
        builder.global_table_with(&ROWS, Consumed::new(), kept);
    });
    assert!(global.contains("the global table of `rows` cannot be versioned"), "{global}");
}

#[test]
fn what_the_table_of_a_join_with_grace_must_be() {
    let refused = |table: &dyn Fn(&StreamsBuilder) -> KTable<String, i64>| {
        let builder = StreamsBuilder::new();
        let table = table(&builder);
        let joined = Joined::new().grace(2 * SECOND);
        builder.stream(&IN).join_table_with(&table, |_, left, right| left + right, joined).to(&OUT);
        builder.build().map(|_| ()).err().map(|error| error.faults.join("; "))
    };
    let plain = refused(&|builder| builder.table(&ROWS)).unwrap();
    assert!(plain.starts_with("join `KSTREAM-JOIN-0000000004` has a grace period: "), "{plain}");
    let short = refused(&|builder| versioned(builder, SECOND)).unwrap();
    assert!(
        short.contains("keeps 1000 ms of history, which must be at least the grace of 2000 ms"),
        "{short}"
    );
    let derived = refused(&|builder| {
        versioned(builder, 2 * SECOND).filter_with(|_, _| true, &Store::<String, i64>::new("plain"))
    });
    assert!(derived.is_some(), "a plain store below a versioned table is plain");
    assert_eq!(refused(&|builder| versioned(builder, 2 * SECOND).filter(|_, value| *value > 0)), None);
}

/// Keeps each value, and forwards the one that was valid one second before.
struct Before;

impl Processor<String, i64, String, i64> for Before {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let store = context.versioned_store(&HISTORY)?;
        store.borrow_mut().put(&record.key, Some(record.value), record.timestamp)?;
        let before =
            store.borrow_mut().get_as_of(&record.key, record.timestamp - 1_000)?.map(|(row, _)| *row);
        if let Some(value) = before {
            context.forward(Record { value, ..record })?;
        }
        Ok(())
    }
}

#[test]
fn a_processor_reads_the_past() {
    let builder = StreamsBuilder::new();
    let store = Stores::versioned(&HISTORY, 5 * SECOND);
    builder.stream(&IN).process_with_stores(|| Before, vec![store]).to(&OUT);
    let driver = driver(&builder);
    let input = driver.input(&IN);
    for (value, time) in [(1, 1_000), (2, 1_500), (3, 2_200), (4, 3_200)] {
        input.pipe_at("a", value, time);
    }
    let values: Vec<i64> = driver.output(&OUT).read_all().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [1, 3]);
    assert!(driver.find_versioned_store(&Store::<String, String>::new("history")).is_none());
}
