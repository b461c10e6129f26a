//! Every error that Kafka Streams throws while a topology is built, and what becomes of it here: a sentence in the
//! list of faults, a program that does not compile, or nothing, and why. The sentences are made, one by one, and all in
//! one topology.

use std::time::Duration;

use streams_core::dsl::{
    BufferConfig, Consumed, EmitStrategy, Joined, Materialized, Repartitioned, SessionWindows,
    SlidingWindows, Stores, StreamsBuilder, Strict, Suppressed, TimeWindows, UnlimitedWindows, Windows,
};
use streams_core::serdes::{Auto, Serde, SerdeError};
use streams_core::topic::{Store, Topic};
use streams_core::types::{Window, Windowed};

use super::Silent;

type In = Topic<String, i64>;
type Kept = Store<String, i64>;

/// What becomes of one of Java's errors.
enum Here {
    /// A fault with these words, made by this program. Each program has topics and stores of its own.
    Fault(&'static str, fn(&StreamsBuilder)),
    /// The program does not compile, because of this.
    Type(&'static str),
    /// An error of the call itself, as in Java, or of the start; shown by the test named.
    Elsewhere(&'static str),
    /// Not possible or not wanted here, because of this.
    Never(&'static str),
}

use Here::{Elsewhere, Fault, Never, Type};

/// Where Java throws, and what becomes of it.
const CATALOGUE: &[(&str, Here)] = &[
    (
        "Named: it can't be empty",
        Fault("a name is empty; give it at least one character", |builder| {
            builder.stream(&In::new("n1")).named("").filter(|_, _| true);
        }),
    ),
    (
        "Named: cannot be . or ..",
        Fault("the name `..` is not allowed", |builder| {
            builder.stream(&In::new("n2")).named("..").filter(|_, _| true);
        }),
    ),
    (
        "Named: longer than 249",
        Fault("has 250 characters where Kafka allows 249; choose a shorter one", |builder| {
            builder.stream(&In::new("n3")).named("x".repeat(250)).filter(|_, _| true);
        }),
    ),
    (
        "Named: a character other than ASCII alphanumerics",
        Fault("the name `b$` contains '$'", |builder| {
            builder.stream(&In::new("n4")).named("b$").group_by(|key, _| key.clone()).count();
        }),
    ),
    (
        "Kafka: illegal topic (fails at the broker in Java)",
        Fault("the name `n 5` contains ' '", |builder| {
            builder.stream(&In::new("n 5"));
        }),
    ),
    (
        "Kafka: illegal topic of a sink",
        Fault("the name `out/6` contains '/'", |builder| {
            builder.stream(&In::new("n6")).to(&In::new("out/6"));
        }),
    ),
    (
        "Kafka: illegal store name (changelog topic)",
        Fault("the name `st ore` contains ' '", |builder| {
            builder.stream(&In::new("n7")).group_by_key().count_with(&Kept::new("st ore"));
        }),
    ),
    (
        "InternalStreamsBuilder: overlapping but not equal input topics",
        Fault(
            "sources `s1` and `s2` both read `o2`, but not all the same topics; read each topic once and merge the streams",
            |builder| {
                let [one, two, three] = ["o1", "o2", "o3"].map(In::new);
                builder.stream_with(&[&one, &two], Consumed::new().named("s1"));
                builder.stream_with(&[&two, &three], Consumed::new().named("s2"));
            },
        ),
    ),
    (
        "StreamSourceNode: different offset reset policies",
        Fault(
            "sources `r1` and `r2` read the same topics with different reset policies; give both the same",
            |builder| {
                builder.stream_with(&[&In::new("reset")], Consumed::new().named("r1").latest());
                builder.stream_with(&[&In::new("reset")], Consumed::new().named("r2").earliest());
            },
        ),
    ),
    (
        "InternalTopologyBuilder: topic has already been registered by another source",
        Fault("topic `twice` is read by the sources", |builder| {
            builder.stream(&In::new("twice"));
            builder.table(&In::new("twice"));
        }),
    ),
    (
        "InternalTopologyBuilder: the same, of a global table",
        Fault("topic `global` is read by the sources", |builder| {
            builder.stream(&In::new("global"));
            builder.global_table(&In::new("global"));
        }),
    ),
    (
        "InternalTopologyBuilder: topics cannot be empty",
        Fault("has no topic; name at least one", |builder| {
            builder.stream_with::<String, i64, Auto, Auto>(&[], Consumed::new());
        }),
    ),
    (
        "InternalTopologyBuilder: processor is already added",
        Fault("two nodes are called `same`", |builder| {
            builder
                .stream(&In::new("p1"))
                .named("same")
                .filter(|_, _| true)
                .named("same")
                .filter(|_, _| true);
        }),
    ),
    (
        "InternalTopologyBuilder: processor x-repartition-filter is already added",
        Fault(
            "two repartitions are called `again-repartition`; give their groupings or joins different names",
            |builder| {
                let grouped = |topic: &'static str, store: &'static str| {
                    let stream = builder.stream(&In::new(topic)).select_key(|key, _| key.clone());
                    stream.named("again").group_by_key().count_with(&Kept::new(store));
                };
                grouped("p2", "p2-store");
                grouped("p3", "p3-store");
            },
        ),
    ),
    (
        "InternalTopologyBuilder: a different StateStore has already been added",
        Fault("two different stores are called `double`; give one of them another name", |builder| {
            builder.stream(&In::new("p4")).group_by_key().count_with(&Kept::new("double"));
            builder.add_state_store(Stores::key_value(&Kept::new("double")));
        }),
    ),
    (
        "InternalTopologyBuilder: StateStore is not added yet",
        Fault(
            "node `wants` wants store `nowhere`, which nobody added; add it before with add_state_store",
            |builder| {
                builder.stream(&In::new("p5")).named("wants").process(|| Silent, &["nowhere"]);
            },
        ),
    ),
    (
        "InternalTopologyBuilder: global StateStore can be used without being specified",
        Fault(
            "node `asks`: the global store `everywhere` can be used without being connected; do not name it",
            |builder| {
                let kept = Materialized::from(&Kept::new("everywhere"));
                builder.global_table_with(&In::new("p6"), Consumed::new(), kept);
                builder.stream(&In::new("p7")).named("asks").process(|| Silent, &["everywhere"]);
            },
        ),
    ),
    (
        "InternalTopologyBuilder: topics do not have the same number of partitions",
        Fault(
            "repartition topics that are joined by key were given different numbers of partitions",
            |builder| {
                let spread = |topic: &'static str, name: &str, count| {
                    let stream = builder.stream(&In::new(topic)).named(name);
                    stream.repartition_with(Repartitioned::new().partitions(count))
                };
                let table = spread("c1", "two", 2).to_table();
                spread("c2", "three", 3).join_table(&table, |value, _| value);
            },
        ),
    ),
    (
        "InternalTopicConfig: number of partitions must be at least 1",
        Fault(
            "repartition topic `none-repartition` was given 0 partitions; it needs at least 1, or none given",
            |builder| {
                let stream = builder.stream(&In::new("c3")).named("none");
                stream.repartition_with(Repartitioned::new().partitions(0));
            },
        ),
    ),
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
    ("Windows: grace, difference, gap must not be negative", Type("`std::time::Duration` is never negative")),
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
                let windowed: Topic<Windowed<String>, i64, WindowedSerde> = Topic::new("v2");
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
        "Materialized: versioned and windowed",
        Fault("a windowed table cannot be versioned", |builder| {
            let windows = TimeWindows::of_size_with_no_grace(ms(10));
            let kept = Materialized::from(&Kept::new("versions7")).versioned(ms(1000));
            builder.stream(&In::new("v9")).group_by_key().windowed_by(windows).count_with(kept);
        }),
    ),
    ("InternalTopologyBuilder: predecessorNames cannot be empty", Elsewhere("tests/processor_topology.rs")),
    ("InternalTopologyBuilder: a sink cannot be a parent", Type("`add_sink` gives no `NodeRef`")),
    (
        "InternalTopologyBuilder: parent node is unknown (self-reference); cycles",
        Type(
            "a parent is a `NodeRef`, which only exists when the node does; an arena written by hand: topology/validate.rs",
        ),
    ),
    (
        "InternalTopologyBuilder: state stores cannot be connected to sources or sinks",
        Elsewhere("tests/processor_topology.rs"),
    ),
    (
        "InternalTopologyBuilder: sourceName and processorName must be different",
        Fault("two nodes are called `both-source`", |builder| {
            builder.table_consumed(&In::new("p8"), Consumed::new().named("both"));
            builder.stream(&In::new("p9")).named("both-source").filter(|_, _| true);
        }),
    ),
    (
        "InternalTopologyBuilder: pattern will match a topic of another source",
        Elsewhere("topology/validate.rs, patterns"),
    ),
    ("InternalTopologyBuilder: unrecognized reset format", Type("`OffsetReset` is an enum")),
    ("AutoOffsetReset: duration cannot be negative", Type("`std::time::Duration` is never negative")),
    ("Stores: retention, size, history cannot be negative", Type("`std::time::Duration` is never negative")),
    (
        "Materialized: store type with a pre-configured supplier",
        Type("there are no suppliers of bytes to configure"),
    ),
    ("*StoreBuilder: provided store must not be persistent", Type("stores are made from typed options")),
    (
        "Windowed serializers: inner class or window size missing or given twice",
        Type("windowed serdes are made from the inner serde and the size"),
    ),
    (
        "ApiUtils.checkSupplier: a new object each time",
        Type("`ProcessorSupplier::get` gives the processor away"),
    ),
    ("Suppressed: custom subclasses are not supported", Type("`Suppressed` is one struct")),
    (
        "InternalTopologyBuilder: applicationId hasn't been set",
        Type("the plan is made with an application id"),
    ),
    ("CopartitionedTopicsEnforcer: real counts differ", Elsewhere("topology/plan_tests.rs")),
    (
        "InternalTopicManager: internal topic exists with other counts",
        Elsewhere("runtime/tests/bad_input.rs"),
    ),
    (
        "InternalStreamsBuilder: null keyChangingChild",
        Never("a defect of Java: the rewrite finds its way here"),
    ),
    ("NullPointerException of arguments", Type("references are never null")),
    (
        "IllegalStateException of internal checks",
        Never("they say that Kafka Streams is wrong, not the topology"),
    ),
    (
        "InternalTopologyBuilder: a store that no processor uses",
        Never("allowed, as in Java: it is not made; a warning"),
    ),
];

/// Serde of the keys of windows of 10 ms.
#[derive(Default)]
struct WindowedSerde;

impl Serde<Windowed<String>> for WindowedSerde {
    fn serialize(&self, _: &Windowed<String>, _: &mut Vec<u8>) -> Result<bool, SerdeError> {
        Ok(false)
    }

    fn deserialize(&self, _: Option<&[u8]>) -> Result<Windowed<String>, SerdeError> {
        Ok(Windowed { key: String::new(), window: Window { start: 0, end: 10 } })
    }
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

#[test]
fn each_fault_alone_is_one_sentence() {
    for (java, here) in CATALOGUE {
        let Fault(words, program) = here else { continue };
        let builder = StreamsBuilder::new();
        builder.stream(&In::new("always"));
        program(&builder);
        let faults = super::faults(&builder);
        assert_eq!(faults.len(), 1, "{java}: {faults:#?}");
        assert!(faults[0].contains(words), "{java}: {faults:#?}");
        assert!(!faults[0].contains('\n') && !faults[0].contains("  "), "one line: {faults:?}");
    }
}

#[test]
fn all_faults_of_one_topology_are_in_one_list() {
    let builder = StreamsBuilder::new();
    let programs = CATALOGUE.iter().filter_map(|(java, here)| {
        if let Fault(words, program) = here { Some((java, words, program)) } else { None }
    });
    programs.clone().for_each(|(_, _, program)| program(&builder));
    let faults = super::faults(&builder);
    for (java, words, _) in programs.clone() {
        assert!(faults.iter().any(|fault| fault.contains(words)), "{java}: {words} is not in {faults:#?}");
    }
    assert_eq!(faults.len(), programs.count(), "{faults:#?}");
}

#[test]
fn what_is_no_fault_says_why() {
    for (java, here) in CATALOGUE {
        match here {
            Fault(words, _) | Type(words) | Elsewhere(words) | Never(words) => {
                assert!(!words.is_empty(), "{java}")
            }
        }
    }
}
