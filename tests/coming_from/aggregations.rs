//! Aggregations, windows, cogroup, suppress, and how stores are kept.

use std::time::Duration;

use kstreams::prelude::*;

use super::{OUT, PAYMENTS, REFUNDS, TOTALS};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn aggregations() {
    let builder = StreamsBuilder::new();
    let payments = builder.stream(&PAYMENTS).group_by_key();
    payments.clone().count().to_stream().to(&OUT);
    const COUNTS: Store<String, i64> = Store::new("counts");
    payments.clone().count_with(&COUNTS).to_stream().to(&OUT);
    payments.clone().reduce(|sum, cents| sum + cents).to_stream().to(&OUT);
    payments.clone().aggregate(|| 0, |_, cents, sum| *sum += cents).to_stream().to(&OUT);
    payments.clone().fold(&TOTALS, |_, cents, sum| *sum += cents).to_stream().to(&OUT);
    payments
        .clone()
        .aggregate_opt(|| None, |_, cents, sum| Some(sum.unwrap_or(0) + cents).filter(|sum| *sum != 0))
        .to_stream()
        .to(&OUT);
    let kept = Materialized::from(&Store::<String, i64>::new("kept"))
        .in_memory()
        .persistent()
        .caching(false)
        .logging(false)
        .changelog_config("min.compaction.lag.ms", "60000");
    payments.clone().named("summed").reduce_with(|sum, cents| sum + cents, kept).to_stream().to(&OUT);
    let unnamed = Materialized::serdes(kstreams::serdes::StringSerde::default(), Json);
    payments.clone().count_with(unnamed).to_stream().to(&OUT);
    let refunds = builder.stream(&REFUNDS).group_by_key();
    payments
        .cogroup(|_, cents, sum: &mut i64| *sum += cents)
        .cogroup(refunds, |_, cents, sum| *sum -= cents)
        .aggregate(|| 0)
        .to_stream()
        .to(&OUT);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&PAYMENTS).pipe("ada", 120);
    assert_eq!(driver.store(&TOTALS).get(&"ada".to_owned()), Some(120));
}

/// Whole hours, and the first minute of each once more.
struct Hours;

impl Windows for Hours {
    fn windows_for(&self, timestamp: Timestamp, visit: &mut dyn FnMut(Window)) {
        let start = timestamp - timestamp % 3_600_000;
        visit(Window { start, end: start + 3_600_000 });
    }

    fn size(&self) -> Duration {
        HOUR
    }
}

#[test]
fn windows() {
    let builder = StreamsBuilder::new();
    let payments = builder.stream(&PAYMENTS).group_by_key();
    let count = |table: KTable<Windowed<String>, i64>| {
        table.to_stream_keyed(|windowed, _| windowed.key.clone()).to(&OUT)
    };
    count(payments.clone().windowed_by(TimeWindows::of_size_with_no_grace(MINUTE)).count());
    count(
        payments.clone().windowed_by(TimeWindows::of_size_and_grace(HOUR, MINUTE).advance_by(MINUTE)).count(),
    );
    count(payments.clone().windowed_by(SlidingWindows::of_time_difference_and_grace(HOUR, MINUTE)).count());
    count(payments.clone().windowed_by(SessionWindows::of_inactivity_gap_and_grace(MINUTE, MINUTE)).count());
    count(payments.clone().windowed_by(UnlimitedWindows::new().start_on_ms(1_000)).count());
    count(payments.clone().windowed_by(Hours).count());
    let windowed = payments.clone().windowed_by(TimeWindows::of_size_with_no_grace(MINUTE));
    count(windowed.clone().reduce(|sum, cents| sum + cents));
    count(windowed.clone().aggregate(|| 0, |_, cents, sum| *sum += cents));
    count(windowed.clone().in_panes().count());
    count(windowed.clone().emit_strategy(EmitStrategy::OnWindowClose).count());
    const SESSION_SUMS: Store<String, i64> = Store::new("session-sums");
    let sessions = payments.clone().windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(MINUTE));
    count(sessions.clone().aggregate_with(
        || 0,
        |_, cents, sum| *sum += cents,
        |_, one, two| one + two,
        &SESSION_SUMS,
    ));
    let cogrouped = payments.clone().cogroup(|_, cents, sum: &mut i64| *sum += cents);
    count(cogrouped.windowed_by(TimeWindows::of_size_with_no_grace(MINUTE)).aggregate(|| 0));
    const KEPT: Store<String, i64> = Store::new("kept");
    count(windowed.clone().count_with(Materialized::from(&KEPT).retention(HOUR)));
    let rows = WindowRetention::new(HOUR, MINUTE);
    count(windowed.clone().count_with(Materialized::named("supplied").window_store(rows)));
    count(sessions.count_with(Materialized::named("supplied-sessions").session_store(HOUR)));
    let finals = Suppressed::until_window_closes(BufferConfig::unbounded());
    count(windowed.clone().count().suppress(finals));
    let rarely = Suppressed::until_time_limit(
        MINUTE,
        BufferConfig::max_records(1_000).with_max_bytes(1 << 20).emit_early_when_full(),
    );
    count(windowed.clone().count().named("rare").suppress(rarely));
    let strict = Suppressed::until_window_closes(
        BufferConfig::max_bytes(1 << 20).shut_down_when_full().logging(false),
    );
    count(windowed.clone().count().suppress(strict));
    let spilling =
        Suppressed::until_window_closes(BufferConfig::max_bytes(1 << 20).spill_to_disk_when_full());
    count(windowed.count().suppress(spilling));
    let starts: Topic<String, i64> = Topic::named("starts");
    payments
        .windowed_by(TimeWindows::of_size_with_no_grace(MINUTE))
        .count()
        .to_stream()
        .map(|windowed, _| (windowed.key.clone(), windowed.window.start))
        .to(&starts);
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&PAYMENTS).pipe_at("ada", 120, 1_000);
    driver.input(&PAYMENTS).pipe_at("ada", 80, 90_000);
    assert!(driver.output(&OUT).len() > 10);
    assert_eq!(driver.window_store(&KEPT).fetch(&"ada".to_owned(), 60_000), Some(1));
}
