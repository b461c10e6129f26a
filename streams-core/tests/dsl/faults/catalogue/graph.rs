//! Faults of names, sources, stores and partitions.

use streams_core::dsl::{Consumed, Materialized, Printed, Repartitioned, Stores};
use streams_core::serdes::Auto;

use super::super::Silent;
use super::Here::Fault;
use super::{In, Kept, Row};

pub(super) const GRAPH: &[Row] = &[
    (
        "Printed: unable to write stream to file",
        Fault("print of `seen`: cannot make the file /nowhere/at/all", |builder| {
            let seen = builder.stream_with(&[&In::new("seen")], Consumed::new().named("seen"));
            seen.print(Printed::to_file("/nowhere/at/all"));
        }),
    ),
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
        "InternalTopologyBuilder: pattern will match a topic of another source",
        Fault("topic `pat-1` matches the pattern `pat-.*` of source", |builder| {
            builder.stream(&In::new("pat-1"));
            builder.stream_pattern::<String, i64>("pat-.*");
        }),
    ),
    (
        "Pattern.compile: PatternSyntaxException",
        Fault("the topic pattern `pat(` is no regular expression", |builder| {
            builder.stream_pattern::<String, i64>("pat(");
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
        "InternalTopologyBuilder: sourceName and processorName must be different",
        Fault("two nodes are called `both-source`", |builder| {
            builder.table_consumed(&In::new("p8"), Consumed::new().named("both"));
            builder.stream(&In::new("p9")).named("both-source").filter(|_, _| true);
        }),
    ),
];
