//! The stores of stream-stream joins: where they are, in which form, what their changelogs are like, and that the results do
//! not depend on it.

use std::collections::BTreeMap;
use std::time::Duration;

use streams_core::dsl::{
    JoinWindows, StreamJoined, StreamsBuilder, TopologyConfig, WindowRetention, WindowStoreSupplier,
};
use streams_core::processor::DropReason;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::Topic;
use streams_core::topology::{TopicDefaults, Topology, changelog_topic_config};
use streams_core::types::ValueAndHeaders;
use streams_state::store::{OuterJoinStore, WindowStore};

use crate::text;

const LEFT: Topic<String, i64> = Topic::new("left");
const RIGHT: Topic<String, i64> = Topic::new("right");
const OUT: Topic<String, String> = Topic::new("out");

type Joined = StreamJoined<String, i64, i64>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn windows() -> JoinWindows {
    JoinWindows::of_time_difference_and_grace(ms(10), ms(5))
}

fn supplier(name: &str) -> WindowStoreSupplier {
    WindowStoreSupplier::new(name, WindowRetention::of_join(&windows()))
}

/// A left join of `left` and `right`.
fn left_join(joined: Joined, config: &TopologyConfig) -> Topology {
    let builder = StreamsBuilder::new();
    let right = builder.stream(&RIGHT);
    let pair = |_: &String, left: &i64, right: Option<&i64>| format!("{left} {right:?}");
    builder.stream(&LEFT).left_join_stream_with(right, windows(), pair, joined).to(&OUT);
    builder.build_with(config).unwrap()
}

/// For each store: its name, and whether it is in memory.
fn places(topology: &Topology) -> Vec<(&str, bool)> {
    topology.stores.iter().map(|store| (&*store.name, store.in_memory)).collect()
}

#[test]
fn the_waiting_store_is_where_kafka_streams_has_it() {
    let by_default =
        |dsl_stores_in_memory| TopologyConfig { dsl_stores_in_memory, ..TopologyConfig::default() };
    let (disk, memory) = (by_default(false), by_default(true));
    let this = |supplier: WindowStoreSupplier| Joined::new().this_store_supplier(supplier).store_name("join");
    let cases = [
        (this(supplier("this")), &memory, [false, true, false]),
        (this(supplier("this").in_memory()), &disk, [true, false, true]),
        // What is said for the DSL's own stores goes before the supplier.
        (this(supplier("this").in_memory()).persistent(), &memory, [true, false, false]),
        (this(supplier("this")).in_memory(), &disk, [false, true, true]),
        // A supplier of stores with headers says nothing about the other stores.
        (this(supplier("this").with_headers()), &memory, [false, true, true]),
        (this(supplier("this").with_headers()), &disk, [false, false, false]),
    ];
    for (case, (joined, config, [this, other, waiting])) in cases.into_iter().enumerate() {
        let topology = left_join(joined, config);
        let stores = [
            ("this", this),
            ("join-outer-other-join-store", other),
            ("this-left-shared-join-store", waiting),
        ];
        assert_eq!(places(&topology), stores, "case {case}");
    }
    // The right supplier says nothing about it, and neither names it.
    let joined = Joined::new().other_store_supplier(supplier("other").in_memory()).store_name("join");
    let stores = [("join-this-join-store", false), ("other", true), ("join-left-shared-join-store", false)];
    assert_eq!(places(&left_join(joined, &disk)), stores);
}

#[test]
fn rows_have_headers_in_memory_or_where_the_supplier_says() {
    type Slim = WindowStore<String, i64>;
    type WithHeaders = WindowStore<String, ValueAndHeaders<i64>>;
    // `dsl.store.format` is for stores that nobody supplied.
    for dsl_store_headers in [false, true] {
        let config = TopologyConfig { dsl_store_headers, ..TopologyConfig::default() };
        let places =
            [(supplier("s"), false), (supplier("s").in_memory(), true), (supplier("s").with_headers(), true)];
        for (supplier, headers) in places {
            let joined = Joined::new().this_store_supplier(supplier);
            let driver = TopologyTestDriver::new(left_join(joined, &config)).unwrap();
            assert_eq!(driver.find_store_as::<WithHeaders>("s").is_some(), headers);
            assert_eq!(driver.find_store_as::<Slim>("s").is_some(), !headers);
        }
    }
}

#[test]
fn changelog_settings_are_for_the_stores_of_the_join_itself() {
    let config = |topology: &Topology, name: &str| -> Option<BTreeMap<String, String>> {
        let store = topology.store(topology.find_store(name).unwrap());
        store.logging.then(|| changelog_topic_config(store, &TopicDefaults::default()))
    };
    let setting = |config: &Option<BTreeMap<String, String>>, key: &str| {
        config.as_ref().map(|config| config.get(key).cloned().unwrap_or_default())
    };
    let joined = || Joined::new().store_name("join").this_store_supplier(supplier("this"));
    let (own, waiting) = ("join-outer-other-join-store", "this-left-shared-join-store");

    let set = joined().changelog_config("segment.ms", "7");
    let topology = left_join(set, &TopologyConfig::default());
    for (name, policy, segment) in
        [("this", "compact,delete", ""), (own, "delete", "7"), (waiting, "compact", "7")]
    {
        let config = config(&topology, name);
        assert_eq!(setting(&config, "cleanup.policy").unwrap(), policy, "{name}");
        assert_eq!(setting(&config, "segment.ms").unwrap(), segment, "{name}");
    }
    let kept = setting(&config(&topology, "this"), "retention.ms");
    assert_eq!(kept, setting(&config(&topology, own), "retention.ms"));

    let unlogged = left_join(joined().logging(false), &TopologyConfig::default());
    assert!(config(&unlogged, "this").is_some());
    assert!(config(&unlogged, own).is_none() && config(&unlogged, waiting).is_none());
}

/// Records of both sides, some of them late: the results, and how many records were dropped as late.
fn run(joined: Joined) -> (Vec<(String, String)>, u64) {
    let driver = TopologyTestDriver::new(left_join(joined, &TopologyConfig::default())).unwrap();
    for (left, value, time) in [
        (true, 1, 0),
        (false, 2, 5),
        (false, 3, 5),
        (true, 4, 5),
        (true, 5, 40),
        (false, 6, 1),
        (true, 7, 1),
        (false, 8, 70),
        (true, 9, 100),
        (false, 10, 99),
        (false, 11, 2),
    ] {
        let topic = if left { LEFT } else { RIGHT };
        driver.input(&topic).pipe_at("a", value, time);
    }
    let late = driver.dropped_by_reason().get(DropReason::Late);
    assert_eq!(late, driver.dropped());
    (driver.output(&OUT).read_all(), late)
}

#[test]
fn results_do_not_depend_on_the_stores() {
    let (expected, late) = run(Joined::new());
    let values: Vec<&str> = expected.iter().map(|(_, value)| value.as_str()).collect();
    // The right store still has the records of 5 ms when `7` comes: the time of a store is that of its own records.
    assert_eq!(values[..4], ["1 Some(2)", "1 Some(3)", "4 Some(2)", "4 Some(3)"]);
    assert_eq!(values[4..], ["7 Some(6)", "7 Some(2)", "7 Some(3)", "5 None", "9 Some(10)"]);
    // A segment on disk has a minute, so that late records still find their place, where nobody sees them.
    assert_eq!(late, 0);
    let both = |this: WindowStoreSupplier, other: WindowStoreSupplier| {
        run(Joined::new().this_store_supplier(this).other_store_supplier(other))
    };
    assert_eq!(both(supplier("a"), supplier("b").with_headers()), (expected.clone(), 0));
    assert_eq!(both(supplier("a").in_memory(), supplier("b")), (expected.clone(), 1));
    assert_eq!(both(supplier("a").in_memory(), supplier("b").in_memory()), (expected.clone(), 2));
    let rows = WindowRetention::of_join(&windows()).segment_interval(ms(5));
    let small = |name: &str| WindowStoreSupplier::new(name, rows);
    assert_eq!(both(small("a"), small("b")), (expected, 2));
}

#[test]
fn a_self_join_makes_the_left_store_only() {
    for single_store_self_join in [false, true] {
        let builder = StreamsBuilder::new();
        let left = builder.stream(&LEFT);
        let joined = Joined::new()
            .this_store_supplier(supplier("this").in_memory())
            .other_store_supplier(supplier("other"))
            .store_name("join");
        let pair = |_: &String, left: &i64, right: &i64| format!("{left} {right}");
        left.clone().join_stream_with(left, windows(), pair, joined).to(&OUT);
        let config = TopologyConfig { single_store_self_join, ..TopologyConfig::default() };
        let topology = builder.build_with(config).unwrap();
        let stores: &[(&str, bool)] =
            if single_store_self_join { &[("this", true)] } else { &[("this", true), ("other", false)] };
        assert_eq!(places(&topology), stores);
        let driver = TopologyTestDriver::new(topology).unwrap();
        for (value, time) in [(1, 0), (2, 3), (3, 14)] {
            driver.input(&LEFT).pipe_at("a", value, time);
        }
        let pairs: Vec<String> = driver.output(&OUT).read_all().into_iter().map(|(_, pair)| pair).collect();
        assert_eq!(pairs, ["1 1", "2 1", "1 2", "2 2", "3 3"].map(text));
    }
}

#[test]
fn the_waiting_store_is_made_for_records_that_wait() {
    let joined = Joined::new().this_store_supplier(supplier("this").in_memory());
    let driver = TopologyTestDriver::new(left_join(joined, &TopologyConfig::default())).unwrap();
    let waiting = driver.find_store_as::<OuterJoinStore<String, i64, i64>>("this-left-shared-join-store");
    assert!(waiting.is_some());
}
