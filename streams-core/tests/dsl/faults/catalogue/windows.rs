//! Faults of windows, histories and times.

use std::time::Duration;

use streams_core::dsl::{
    BufferConfig, Consumed, EmitStrategy, JoinWindows, Joined, Materialized, SessionWindows, SlidingWindows,
    Stores, StreamJoined, StreamsBuilder, Strict, Suppressed, TimeWindows, UnlimitedWindows, WindowRetention,
    WindowStoreSupplier, Windows,
};
use streams_core::serdes::{Auto, SessionWindowedSerde};
use streams_core::topic::Topic;
use streams_core::types::{Window, Windowed};

use super::Here::Fault;
use super::{In, Kept, Row};

pub(super) const WINDOWS: &[Row] = &[
    (
        "TimeWindows: size must be larger than zero",
        Fault("the size must be at least 1 ms", |builder| {
            let windows = TimeWindows::of_size_with_no_grace(Duration::from_micros(999));
            builder.stream(&In::new("w1")).group_by_key().windowed_by(windows).count();
        }),
    ),
    (
        "TimeWindows: advance more than zero and not above the size",
        Fault("windows of 10 ms must advance by 1 to 10 ms, not by 11 ms", |builder| {
            let windows = TimeWindows::of_size_with_no_grace(ms(10)).advance_by(ms(11));
            builder.stream(&In::new("w2")).group_by_key().windowed_by(windows).count();
        }),
    ),
    (
        "ApiUtils: a duration that does not fit into long milliseconds",
        Fault(
            "the time is longer than can be counted in milliseconds; give one below 292 million years",
            |builder| {
                let suppressed = Suppressed::until_time_limit(Duration::MAX, unbounded());
                builder.table(&In::new("w3")).suppress(suppressed);
            },
        ),
    ),
    (
        "ApiUtils: the same, of windows",
        Fault("a time is longer than can be counted in milliseconds", |builder| {
            let windows = SessionWindows::of_inactivity_gap_with_no_grace(Duration::MAX);
            builder.stream(&In::new("w4")).group_by_key().windowed_by(windows).count();
        }),
    ),
    (
        "UnlimitedWindows: start time cannot be negative",
        Fault("the start is before the epoch", |builder| {
            let windows = UnlimitedWindows::new().start_on_ms(-1);
            builder.stream(&In::new("w5")).group_by_key().windowed_by(windows).count();
        }),
    ),
    (
        "WindowStoreMaterializer: retention smaller than size plus grace",
        Fault(
            "store `short`: a retention of 14 ms is less than its windows and their grace need; give 15 ms or more, or none",
            |builder| {
                let windows = TimeWindows::of_size_and_grace(ms(10), ms(5));
                let kept = Materialized::from(&Kept::new("short")).retention(ms(14));
                builder.stream(&In::new("w6")).group_by_key().windowed_by(windows).count_with(kept);
            },
        ),
    ),
    (
        "SlidingWindowStoreMaterializer: retention smaller than 2 differences plus grace",
        Fault(
            "store `short2`: a retention of 24 ms is less than its windows and their grace need; give 25 ms or more",
            |builder| {
                let windows = SlidingWindows::of_time_difference_and_grace(ms(10), ms(5));
                let kept = Materialized::from(&Kept::new("short2")).retention(ms(24));
                builder.stream(&In::new("w7")).group_by_key().windowed_by(windows).count_with(kept);
            },
        ),
    ),
    (
        "SessionStoreMaterializer: retention smaller than gap plus grace",
        Fault(
            "store `short3`: a retention of 14 ms is less than its windows and their grace need; give 15 ms or more",
            |builder| {
                let windows = SessionWindows::of_inactivity_gap_and_grace(ms(10), ms(5));
                let kept = Materialized::from(&Kept::new("short3")).retention(ms(14));
                builder.stream(&In::new("w8")).group_by_key().windowed_by(windows).count_with(kept);
            },
        ),
    ),
    (
        "TimeWindowedKStreamImpl: ON_WINDOW_CLOSE cannot be used for UnlimitedWindows",
        Fault("unlimited windows never close; emit on update", |builder| {
            let windowed = builder.stream(&In::new("w9")).group_by_key().windowed_by(UnlimitedWindows::new());
            windowed.emit_strategy(EmitStrategy::OnWindowClose).count();
        }),
    ),
    (
        "KStreamWindowAggregate: ON_WINDOW_CLOSE is only supported for TimeWindows and SlidingWindows",
        Fault(
            "OnWindowClose goes with TimeWindows, SlidingWindows and SessionWindows only; emit on update",
            |builder| {
                let windowed = builder.stream(&In::new("w10")).group_by_key().windowed_by(Own);
                windowed.emit_strategy(EmitStrategy::OnWindowClose).count();
            },
        ),
    ),
    (
        "KTableImpl: suppress() is only supported for non-versioned KTables",
        Fault("a versioned table cannot be suppressed", |builder| {
            let kept = Materialized::from(&Kept::new("versions1")).versioned(ms(1000));
            let table = builder.table_with(&In::new("v1"), Consumed::new(), kept);
            table.suppress(Suppressed::until_time_limit(ms(10), unbounded()));
        }),
    ),
    (
        "GraphGraceSearchUtil: window close time is only defined for windowed computations",
        Fault(
            "the table does not come of a windowed aggregation, so nothing says when its windows close",
            |builder| {
                let windowed: Topic<Windowed<String>, i64, SessionWindowedSerde<Auto>> = Topic::new("v2");
                builder.table(&windowed).suppress(Suppressed::until_window_closes(unbounded()));
            },
        ),
    ),
    (
        "InternalStreamsBuilder: GlobalTables cannot be versioned",
        Fault(
            "the global table of `v3` cannot be versioned; leave out `versioned`, or read the topic with `table`",
            |builder| {
                let kept = Materialized::from(&Kept::new("versions3")).versioned(ms(1000));
                builder.global_table_with(&In::new("v3"), Consumed::new(), kept);
            },
        ),
    ),
    (
        "KStreamImpl: KTable must be versioned to use a grace period",
        Fault(
            "has a grace period: store `plain` of the table is not versioned; give it a history with",
            |builder| {
                let table = builder.table_with(&In::new("v4"), Consumed::new(), &Kept::new("plain"));
                let joined = Joined::new().grace(ms(10));
                builder.stream(&In::new("v5")).join_table_with(&table, |_, value, _| value, joined);
            },
        ),
    ),
    (
        "StreamTableJoinNode: history retention must be at least grace period",
        Fault("store `versions4` keeps 9 ms of history; keep at least the grace of 10 ms", |builder| {
            let kept = Materialized::from(&Kept::new("versions4")).versioned(ms(9));
            let table = builder.table_with(&In::new("v6"), Consumed::new(), kept);
            let joined = Joined::new().grace(ms(10));
            builder.stream(&In::new("v7")).join_table_with(&table, |_, value, _| value, joined);
        }),
    ),
    (
        "VersionedKeyValueStoreBuilder: versioned stores do not support caching",
        Fault("store `versions5` is versioned and cannot be cached", |builder| {
            builder.add_state_store(Stores::versioned(&Kept::new("versions5"), ms(10)).caching(true));
        }),
    ),
    (
        "Stores: segmentInterval cannot be zero or negative",
        Fault("the segment interval is 0", |builder| {
            let kept = Materialized::from(&Kept::new("versions6")).versioned_by_segments(ms(10), ms(0));
            builder.table_with(&In::new("v8"), Consumed::new(), kept);
        }),
    ),
    (
        "Stores.persistentVersionedKeyValueStore: segmentInterval cannot be zero or negative",
        Fault("versioned store `versions8`: the segment interval is 0", |builder| {
            builder.add_state_store(Stores::versioned_by_segments(&Kept::new("versions8"), ms(10), ms(0)));
        }),
    ),
    (
        "Materialized: versioned and windowed",
        Fault("a windowed table cannot be versioned", |builder| {
            let windows = TimeWindows::of_size_with_no_grace(ms(10));
            let kept = Materialized::from(&Kept::new("versions7")).versioned(ms(1000));
            builder.stream(&In::new("v9")).group_by_key().windowed_by(windows).count_with(kept);
        }),
    ),
    (
        "ApiUtils: the same, of a join",
        Fault("the time is longer than can be counted in milliseconds", |builder| {
            let windows = JoinWindows::of_time_difference_with_no_grace(Duration::MAX);
            builder.stream(&In::new("j1")).join_stream(
                builder.stream(&In::new("j2")),
                windows,
                |one, two| one + two,
            );
        }),
    ),
    (
        "JoinWindows: the interval must not be negative",
        Fault("would start 11 ms after it and end 10 ms after it", |builder| {
            let windows = JoinWindows::of_time_difference_with_no_grace(ms(10)).starts_after(ms(11));
            let other = builder.stream(&In::new("j16"));
            builder.stream(&In::new("j15")).join_stream(other, windows, |one, two| one + two);
        }),
    ),
    (
        "KStreamImplJoin: both StoreSuppliers have the same name",
        Fault("two different stores are called `pair`", |builder| {
            let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
            let pair = || WindowStoreSupplier::new("pair", WindowRetention::of_join(&windows));
            join(builder, ["j3", "j4"], windows, [pair(), pair()]);
        }),
    ),
    (
        "KStreamImplJoin: the StoreSupplier must set retainDuplicates=true",
        Fault(
            "store `singles` of a stream-stream join must keep all records of a key, also of the same time; add \
             `retain_duplicates`",
            |builder| {
                let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
                let kept = |name| WindowStoreSupplier::new(name, WindowRetention::of_join(&windows));
                let singles = WindowStoreSupplier::new("singles", WindowRetention::new(ms(20), ms(20)));
                join(builder, ["j5", "j6"], windows, [singles, kept("others")]);
            },
        ),
    ),
    (
        "KStreamImplJoin: window settings mismatch, the retention",
        Fault(
            "store `grown` keeps windows of 20 ms for 30 ms, but the stream-stream join needs windows of 20 ms (before and \
             after) for 25 ms (with the grace); make it with `WindowRetention::of_join`",
            |builder| {
                let windows = JoinWindows::of_time_difference_and_grace(ms(10), ms(5));
                let kept = WindowStoreSupplier::new("kept", WindowRetention::of_join(&windows));
                let rows = WindowRetention::new(ms(30), ms(20)).retain_duplicates();
                join(builder, ["j7", "j8"], windows, [kept, WindowStoreSupplier::new("grown", rows)]);
            },
        ),
    ),
    (
        "KStreamImplJoin: window settings mismatch, the window size",
        Fault(
            "store `narrow` keeps windows of 19 ms for 20 ms, but the stream-stream join needs windows of 20 ms",
            |builder| {
                let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
                let kept = WindowStoreSupplier::new("long", WindowRetention::of_join(&windows));
                let rows = WindowRetention::new(ms(20), ms(19)).retain_duplicates();
                join(builder, ["j9", "j10"], windows, [WindowStoreSupplier::new("narrow", rows), kept]);
            },
        ),
    ),
    (
        "Stores: the retention of a supplied store is less than its window size",
        Fault(
            "window store `shrunk`: its retention of 9 ms is less than its window size of 20 ms",
            |builder| {
                let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
                let kept = WindowStoreSupplier::new("whole", WindowRetention::of_join(&windows));
                let rows = WindowRetention::new(ms(9), ms(20));
                join(builder, ["j11", "j12"], windows, [WindowStoreSupplier::new("shrunk", rows), kept]);
            },
        ),
    ),
    (
        "the base name of join stores is none that Kafka takes for a topic",
        Fault("`open/orders` contains '/'", |builder| {
            let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
            let joined = StreamJoined::new().store_name("open/orders");
            let other = builder.stream(&In::new("j18"));
            let pair = |_: &String, one: &i64, two: Option<&i64>| one + two.unwrap_or(&0);
            builder.stream(&In::new("j17")).left_join_stream_with(other, windows, pair, joined);
        }),
    ),
    (
        "the name of a supplied store is none that Kafka takes for a topic",
        Fault("`un paid` contains ' '", |builder| {
            let windows = JoinWindows::of_time_difference_with_no_grace(ms(10));
            let kept = |name| WindowStoreSupplier::new(name, WindowRetention::of_join(&windows));
            join(builder, ["j13", "j14"], windows, [kept("un paid"), kept("paid")]);
        }),
    ),
];

/// Joins two topics over these stores.
fn join(
    builder: &StreamsBuilder,
    [left, right]: [&'static str; 2],
    windows: JoinWindows,
    [this, other]: [WindowStoreSupplier; 2],
) {
    let joined = StreamJoined::new().this_store_supplier(this).other_store_supplier(other);
    let pair = |_: &String, one: Option<&i64>, two: Option<&i64>| one.or(two).copied().unwrap_or_default();
    let right = builder.stream(&In::new(right));
    builder.stream(&In::new(left)).outer_join_stream_with(right, windows, pair, joined);
}

/// Windows of one's own.
struct Own;

impl Windows for Own {
    fn windows_for(&self, timestamp: i64, visit: &mut dyn FnMut(Window)) {
        visit(Window { start: timestamp, end: timestamp + 1 });
    }

    fn size(&self) -> Duration {
        ms(1)
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn unbounded() -> BufferConfig<Strict> {
    BufferConfig::unbounded()
}
