//! Windows, sessions and suppress: what the recorded cases cannot say.

use std::time::Duration;

use streams_core::dsl::{
    BufferConfig, EmitStrategy, Materialized, SessionWindows, SlidingWindows, StreamsBuilder, Suppressed,
    TimeWindows, UnlimitedWindows, Windows,
};
use streams_core::record::Record;
use streams_core::serdes::{Auto, SessionWindowedSerde, SizedTimeWindowedSerde};
use streams_core::topic::{Store, Topic};
use streams_core::types::{Window, Windowed};

use super::{driver, text, uncached};

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");
const COUNTS: Store<String, i64> = Store::new("counts");

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn tens() -> TimeWindows {
    TimeWindows::of_size_with_no_grace(ms(10))
}

fn windowed(key: &str, start: i64, end: i64) -> Windowed<String> {
    Windowed { key: text(key), window: Window { start, end } }
}

#[test]
fn windowed_keys_go_to_a_topic_and_come_back() {
    const TIME: Topic<Windowed<String>, i64, SizedTimeWindowedSerde<10, Auto>> = Topic::new("time");
    const SESSIONS: Topic<Windowed<String>, Option<i64>, SessionWindowedSerde<Auto>> = Topic::new("sessions");
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).group_by_key();
    grouped.clone().windowed_by(tens()).count().to_stream().filter(|_, count| count.is_some()).to(&TIME);
    let gap = SessionWindows::of_inactivity_gap_with_no_grace(ms(5));
    grouped.windowed_by(gap).count().to_stream().to(&SESSIONS);
    let driver = uncached(&builder);
    driver.input(&IN).pipe_at("a", 1, 12);
    driver.input(&IN).pipe_at("a", 1, 14);
    let read = driver.output(&TIME).read_all();
    assert_eq!(read, [(windowed("a", 10, 20), 1), (windowed("a", 10, 20), 2)]);
    let read = driver.output(&SESSIONS).read_all();
    let sessions =
        [(windowed("a", 12, 12), Some(1)), (windowed("a", 12, 12), None), (windowed("a", 12, 14), Some(2))];
    assert_eq!(read, sessions);
}

#[test]
fn late_records_are_dropped_and_counted() {
    let builder = StreamsBuilder::new();
    builder.stream(&IN).group_by_key().windowed_by(tens()).count_with(&COUNTS);
    let driver = driver(&builder);
    [5, 10, 9, 19].into_iter().for_each(|time| driver.input(&IN).pipe_at("a", 1, time));
    assert_eq!(driver.dropped(), 1);
    let counts = driver.window_store(&COUNTS);
    // A cached store still shows what its retention would hide.
    assert_eq!((counts.fetch(&text("a"), 0), counts.fetch(&text("a"), 10)), (Some(1), Some(2)));
    assert_eq!(counts.rows().len(), 2);
}

#[test]
fn retention_keeps_old_windows() {
    let kept = |retention: Option<u64>| {
        let builder = StreamsBuilder::new();
        let counts = match retention {
            Some(retention) => Materialized::from(&COUNTS).retention(ms(retention)),
            None => Materialized::from(&COUNTS),
        };
        builder.stream(&IN).group_by_key().windowed_by(tens()).count_with(counts);
        let driver = uncached(&builder);
        [5, 15, 25, 35].into_iter().for_each(|time| driver.input(&IN).pipe_at("a", 1, time));
        driver.window_store(&COUNTS).rows().len()
    };
    assert_eq!((kept(None), kept(Some(25))), (1, 3));
}

#[test]
fn unlimited_windows_begin_somewhere() {
    let builder = StreamsBuilder::new();
    let since = UnlimitedWindows::new().start_on_ms(10);
    builder.stream(&IN).group_by_key().windowed_by(since).count_with(&COUNTS);
    let driver = driver(&builder);
    [5, 10, 1_000_000].into_iter().for_each(|time| driver.input(&IN).pipe_at("a", 1, time));
    assert_eq!(driver.window_store(&COUNTS).fetch(&text("a"), 10), Some(2));
    assert_eq!(driver.dropped(), 0);
}

#[test]
fn windows_may_close_by_other_keys() {
    let builder = StreamsBuilder::new();
    let counts = builder.stream(&IN).group_by_key().windowed_by(tens());
    let counts = counts.emit_strategy(EmitStrategy::OnWindowClose).count();
    counts.to_stream_keyed(|key, _| key.to_string()).to(&OUT);
    let driver = driver(&builder);
    [("b", 1), ("a", 2), ("c", 31)]
        .into_iter()
        .for_each(|(key, time)| driver.input(&IN).pipe_at(key, 1, time));
    assert_eq!(driver.output(&OUT).read_all(), [(text("[a@0/10]"), 1), (text("[b@0/10]"), 1)]);
}

#[test]
fn suppressed_tables_are_read_as_downstream_knows_them() {
    const ROWS: Topic<String, i64> = Topic::new("rows");
    let builder = StreamsBuilder::new();
    let wait = Suppressed::until_time_limit(ms(10), BufferConfig::unbounded());
    let rows = builder.table(&ROWS).suppress(wait);
    builder.stream(&IN).join_table(&rows, |one, row| one * 100 + row).to(&OUT);
    let driver = driver(&builder);
    driver.input(&ROWS).pipe_at("a", 1, 0);
    driver.input(&IN).pipe_at("a", 1, 1);
    assert!(driver.output(&OUT).read_all().is_empty());
    driver.input(&ROWS).pipe_at("b", 1, 10);
    driver.input(&ROWS).pipe_at("a", 2, 11);
    driver.input(&IN).pipe_at("a", 3, 12);
    assert_eq!(driver.output(&OUT).read_all(), [(text("a"), 301)]);
}

#[test]
fn buffers_emit_early_or_fail_or_spill() {
    let run = |suppressed: Suppressed<String>| {
        let builder = StreamsBuilder::new();
        builder.table(&IN).suppress(suppressed).to_stream().filter(|_, row| row.is_some()).to(&OUT);
        let driver = driver(&builder);
        let piped = ["a", "b", "c"].map(|key| driver.input(&IN).try_pipe(Record::new(text(key), 1, 0)));
        (piped.into_iter().find_map(Result::err), driver.output(&OUT).read_all().len())
    };
    let limit = || ms(10);
    let (error, emitted) = run(Suppressed::until_time_limit(limit(), BufferConfig::max_records(2)));
    assert!(error.is_none());
    assert_eq!(emitted, 1);
    let strict = BufferConfig::max_records(2).shut_down_when_full();
    let (error, _) = run(Suppressed::until_time_limit(limit(), strict));
    let sentence = error.unwrap().to_string();
    assert!(sentence.contains("exceeded its max capacity: 3 records (limit: 2)"), "{sentence}");
    let spilling = BufferConfig::max_bytes(10).spill_to_disk_when_full();
    let (error, emitted) = run(Suppressed::until_time_limit(limit(), spilling));
    assert!(error.is_none());
    assert_eq!(emitted, 0);
}

/// Windows without a length.
struct Empty;

impl Windows for Empty {
    fn windows_for(&self, timestamp: i64, visit: &mut dyn FnMut(Window)) {
        visit(Window { start: timestamp, end: timestamp });
    }
    fn size(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn wrong_windows_are_faults_in_one_list() {
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&IN).group_by_key();
    grouped.clone().windowed_by(TimeWindows::of_size_with_no_grace(ms(0))).count();
    grouped.clone().windowed_by(tens().advance_by(ms(11))).count();
    grouped.clone().windowed_by(Empty).count();
    grouped.clone().windowed_by(UnlimitedWindows::new()).emit_strategy(EmitStrategy::OnWindowClose).count();
    let sliding = SlidingWindows::of_time_difference_and_grace(ms(10), ms(5));
    grouped.windowed_by(sliding).count_with(Materialized::from(&COUNTS).retention(ms(20)));
    let finals = Suppressed::until_time_limit(ms(1), BufferConfig::unbounded());
    builder.table(&Topic::<String, i64>::new("rows")).suppress(finals);
    let faults = builder.build().map(|_| ()).unwrap_err().faults;
    assert_eq!(
        faults,
        [
            "windowed_by of `KSTREAM-SOURCE-0000000000`: TimeWindows: the size must be at least 1 ms",
            "windowed_by of `KSTREAM-SOURCE-0000000000`: TimeWindows: windows of 10 ms must advance by 1 to 10 ms, not by 11 ms",
            "windowed_by of `KSTREAM-SOURCE-0000000000`: Windows: the size must be at least 1 ms",
            "windowed_by of `KSTREAM-SOURCE-0000000000`: EmitStrategy::OnWindowClose: unlimited windows never close; emit on update",
            "store `counts`: a retention of 20 ms is less than its windows and their grace need; give 25 ms or more, or none",
        ]
    );
}

#[test]
fn final_results_need_windows() {
    const WINDOWED: Topic<Windowed<String>, i64, SessionWindowedSerde<Auto>> = Topic::new("windowed");
    let builder = StreamsBuilder::new();
    builder.table(&WINDOWED).suppress(Suppressed::until_window_closes(BufferConfig::unbounded()));
    let faults = builder.build().map(|_| ()).unwrap_err().faults;
    let sentence = "suppress of `KTABLE-SOURCE-0000000002`: the table does not come of a windowed aggregation, so nothing says when its windows \
                    close; use `until_time_limit`";
    assert_eq!(faults, [sentence]);
}
