//! Every query of every kind of store, through the test driver: Kafka Streams' `IQv2StoreIntegrationTest` and its kin of versioned stores,
//! under their names, over all forms that a store may have (in memory or not, cached or not, plain or timestamped). Can be caught: rows
//! that differ by the form of their store, bounds that leave a row out, an order that is not the one asked for, a query that a store
//! does not refuse. What threads add is in `runtime/tests/queries.rs`.

use std::time::Duration;

use streams_core::dsl::{Consumed, Materialized, SessionWindows, Stores, StreamsBuilder, TimeWindows};
use streams_core::error::BoxError;
use streams_core::processor::{Processor, ProcessorContext};
use streams_core::query::{
    FailureReason, KeyQuery, MultiVersionedKeyQuery, Position, PositionBound, Query, QueryError,
    QueryFailure, RangeQuery, StateQueryRequest, TimestampedKeyQuery, TimestampedRangeQuery,
    ValueAndTimestamp, VersionedKeyQuery, VersionedRecord, WindowKeyQuery, WindowRangeQuery,
};
use streams_core::record::Record;
use streams_core::testing::TopologyTestDriver;
use streams_core::topic::{Store, Topic};
use streams_core::types::{Window, Windowed};

use crate::{driver, text};

const IN: Topic<String, i64> = Topic::new("in");
const STORE: Store<String, i64> = Store::new("store");
const OTHER_VALUES: Store<String, String> = Store::new("store");
const MINUTE: Duration = Duration::from_secs(60);

/// What the query finds in the only partition.
fn ask<Q: Query<String, i64>>(driver: &TopologyTestDriver, query: Q) -> Result<Q::Result, QueryFailure> {
    let result = driver.query(&StateQueryRequest::in_store(&STORE).with_query(query)).unwrap();
    let mut results = result.partition_results.into_values().chain(result.global_result);
    results.next().unwrap().result
}

/// Six records: key `k0` to `k3`, twice for the first two.
fn feed(driver: &TopologyTestDriver) {
    for (number, time) in [(0, 0), (1, 60_000), (2, 120_000), (3, 180_000), (0, 185_000), (1, 190_000)] {
        driver.input(&IN).pipe_at(format!("k{number}"), number + 1, time);
    }
}

/// Keeps the last value of each key in a plain store.
struct Keep;

impl Processor<String, i64, (), ()> for Keep {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, (), ()>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let store = context.store(&STORE)?;
        store.borrow_mut().put(
            &record.key,
            Some(record.value),
            record.timestamp,
            context.record_context(),
        )?;
        Ok(())
    }
}

fn forms() -> Vec<Materialized<String, i64>> {
    let form = || Materialized::from(&STORE);
    vec![form(), form().caching(false), form().in_memory(), form().in_memory().caching(false)]
}

fn tables() -> Vec<TopologyTestDriver> {
    let table = |form| {
        let builder = StreamsBuilder::new();
        builder.table_with(&IN, Consumed::new(), form);
        let driver = driver(&builder);
        feed(&driver);
        driver
    };
    let built = forms().into_iter().map(table);
    let global = || {
        let builder = StreamsBuilder::new();
        builder.global_table_with(&IN, Consumed::new(), Materialized::from(&STORE));
        let driver = driver(&builder);
        feed(&driver);
        driver
    };
    built.chain([global()]).collect()
}

#[test]
#[allow(non_snake_case)]
fn shouldHandleKeyQuery_and_shouldHandleTimestampedKeyQuery() {
    for driver in tables() {
        assert_eq!(ask(&driver, KeyQuery::with_key("k1")), Ok(Some(2)));
        assert_eq!(ask(&driver, KeyQuery::with_key("k1").skip_cache()), Ok(Some(2)), "flushed by the driver");
        assert_eq!(ask(&driver, KeyQuery::with_key("k9")), Ok(None));
        let row = ValueAndTimestamp { value: 2, timestamp: 190_000 };
        assert_eq!(ask(&driver, TimestampedKeyQuery::with_key("k1")), Ok(Some(row)));
        assert_eq!(ask(&driver, TimestampedKeyQuery::with_key("k9")), Ok(None));
    }
}

#[test]
#[allow(non_snake_case)]
fn shouldHandleRangeQueries_and_shouldHandleTimestampedRangeQueries() {
    for driver in tables() {
        let rows = |query: RangeQuery<String>| {
            let rows = ask(&driver, query).unwrap();
            rows.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(rows(RangeQuery::with_range("k1", "k2")), "k1=2 k2=3");
        assert_eq!(rows(RangeQuery::with_range("k1", "k2").with_descending_keys()), "k2=3 k1=2");
        assert_eq!(rows(RangeQuery::with_lower_bound("k2")), "k2=3 k3=4");
        assert_eq!(rows(RangeQuery::with_upper_bound("k1")), "k0=1 k1=2");
        assert_eq!(rows(RangeQuery::with_upper_bound("k1").with_descending_keys()), "k1=2 k0=1");
        assert_eq!(rows(RangeQuery::with_no_bounds()), "k0=1 k1=2 k2=3 k3=4");
        assert_eq!(rows(RangeQuery::with_no_bounds().with_ascending_keys()), "k0=1 k1=2 k2=3 k3=4");
        assert_eq!(rows(RangeQuery::with_no_bounds().with_descending_keys()), "k3=4 k2=3 k1=2 k0=1");
        assert_eq!(rows(RangeQuery::with_no_bounds().with_limit(3)), "k0=1 k1=2 k2=3");
        assert_eq!(rows(RangeQuery::with_no_bounds().with_descending_keys().with_limit(1)), "k3=4");
        assert_eq!(rows(RangeQuery::with_no_bounds().with_limit(0)), "");
        assert_eq!(rows(RangeQuery::with_range("k7", "k9")), "");
        let timestamped = TimestampedRangeQuery::of(RangeQuery::with_range("k2", "k3"));
        let times: Vec<i64> =
            ask(&driver, timestamped).unwrap().into_iter().map(|(_, row)| row.timestamp).collect();
        assert_eq!(times, [120_000, 180_000]);
    }
}

/// A plain store has no timestamps to give.
#[test]
#[allow(non_snake_case)]
fn shouldRejectTimestampedKeyQuery_and_shouldRejectTimestampedRangeQuery() {
    let builder = StreamsBuilder::new();
    builder.add_state_store(Stores::key_value(&STORE));
    builder.stream(&IN).process(|| Keep, &["store"]);
    let driver = driver(&builder);
    feed(&driver);
    assert_eq!(ask(&driver, KeyQuery::with_key("k1")), Ok(Some(2)));
    assert_eq!(ask(&driver, RangeQuery::with_lower_bound("k3")), Ok(vec![(text("k3"), 4)]));
    let failures = [
        ask(&driver, TimestampedKeyQuery::with_key("k1")).unwrap_err(),
        ask(&driver, TimestampedRangeQuery::of(RangeQuery::with_no_bounds())).unwrap_err(),
    ];
    for failure in failures {
        assert_eq!(failure.reason, FailureReason::UnknownQueryType);
        assert!(failure.message.contains("it is a plain store"), "{failure}");
    }
}

fn windows(form: Materialized<String, i64>, panes: bool) -> TopologyTestDriver {
    let builder = StreamsBuilder::new();
    let windows = TimeWindows::of_size_with_no_grace(2 * MINUTE).advance_by(MINUTE);
    let windowed = builder.stream(&IN).group_by_key().windowed_by(windows);
    if panes {
        windowed.in_panes().count_with(form.retention(100 * MINUTE));
    } else {
        windowed.count_with(form.retention(100 * MINUTE));
    }
    let driver = driver(&builder);
    feed(&driver);
    driver
}

#[test]
#[allow(non_snake_case)]
fn shouldHandleWindowKeyQueries_and_shouldHandleWindowRangeQueries() {
    let forms = || forms().into_iter();
    for driver in forms().map(|form| windows(form, false)).chain(forms().map(|form| windows(form, true))) {
        let of_key = |from, to| WindowKeyQuery::with_key_and_window_start_range("k1", from, to);
        let rows = |query: WindowKeyQuery<String>| {
            let rows = ask(&driver, query).unwrap();
            rows.into_iter().map(|(window, row)| (window.start, window.end, row.value)).collect::<Vec<_>>()
        };
        assert_eq!(rows(of_key(0, 60_000)), [(0, 120_000, 1), (60_000, 180_000, 1)]);
        assert_eq!(rows(of_key(60_000, 120_000)), [(60_000, 180_000, 1), (120_000, 240_000, 1)]);
        assert_eq!(rows(of_key(1, 2)), []);
        assert_eq!(rows(of_key(0, i64::MAX)).len(), 4);
        assert_eq!(rows(of_key(0, i64::MAX).with_limit(1)), [(0, 120_000, 1)]);

        let all = |query: WindowRangeQuery<String>| {
            let rows = ask(&driver, query).unwrap();
            let row = |(key, row): (Windowed<String>, ValueAndTimestamp<i64>)| {
                (key.key, key.window.start, row.value)
            };
            rows.into_iter().map(row).collect::<Vec<_>>()
        };
        let mut started = all(WindowRangeQuery::with_window_start_range(180_000, 180_000));
        let mut backward = all(WindowRangeQuery::with_window_start_range(180_000, 180_000).descending());
        assert!(started.iter().rev().eq(&backward), "{started:?} {backward:?}");
        started.sort();
        backward.sort();
        assert_eq!(started, [(text("k0"), 180_000, 1), (text("k1"), 180_000, 1), (text("k3"), 180_000, 1)]);
        assert_eq!(all(WindowRangeQuery::with_window_start_range(1, 59_999)), []);
        assert_eq!(all(WindowRangeQuery::with_window_start_range(0, i64::MAX).with_limit(2)).len(), 2);

        let refused = ask(&driver, WindowRangeQuery::with_key("k1")).unwrap_err();
        assert_eq!(refused.reason, FailureReason::UnknownQueryType);
        assert!(refused.message.contains("WindowKeyQuery"), "{refused}");
    }
}

#[test]
#[allow(non_snake_case)]
fn shouldHandleSessionKeyQueries() {
    for form in forms() {
        let builder = StreamsBuilder::new();
        let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(5));
        builder.stream(&IN).group_by_key().windowed_by(gap).count_with(form.retention(100 * MINUTE));
        let driver = driver(&builder);
        feed(&driver);
        driver.input(&IN).pipe_at("k1", 1, 194_000);
        let sessions = |query: WindowRangeQuery<String>| {
            let rows = ask(&driver, query).unwrap();
            rows.into_iter().map(|(key, row)| (key.window, row.value, row.timestamp)).collect::<Vec<_>>()
        };
        let (first, second) =
            (Window { start: 60_000, end: 60_000 }, Window { start: 190_000, end: 194_000 });
        assert_eq!(sessions(WindowRangeQuery::with_key("k1")), [(first, 1, 60_000), (second, 2, 194_000)]);
        assert_eq!(sessions(WindowRangeQuery::with_key("k1").descending())[0].0, second);
        assert_eq!(sessions(WindowRangeQuery::with_key("k1").with_limit(1)), [(first, 1, 60_000)]);
        assert_eq!(sessions(WindowRangeQuery::with_key("k9")), []);
        let refused = ask(&driver, WindowRangeQuery::with_window_start_range(0, 1)).unwrap_err();
        assert_eq!(refused.reason, FailureReason::UnknownQueryType);
        assert!(refused.message.contains("`WindowRangeQuery::with_key`"), "{refused}");
    }
}

#[test]
#[allow(non_snake_case)]
fn shouldHandleVersionedKeyQuery_and_shouldHandleMultiVersionedKeyQuery() {
    let builder = StreamsBuilder::new();
    builder.table_with(&IN, Consumed::new(), Materialized::from(&STORE).versioned(100 * MINUTE));
    let driver = driver(&builder);
    for (value, time) in [(1, 1000), (2, 2000), (3, 3000)] {
        driver.input(&IN).pipe_at("k", value, time);
    }
    let version = |value, timestamp, valid_to| VersionedRecord { value, timestamp, valid_to };
    let all = [version(1, 1000, Some(2000)), version(2, 2000, Some(3000)), version(3, 3000, None)];
    let latest_first = || all.iter().rev().cloned().collect::<Vec<_>>();
    let key = || VersionedKeyQuery::with_key("k");
    assert_eq!(ask(&driver, key()), Ok(Some(all[2].clone())));
    assert_eq!(ask(&driver, key().as_of(2999)), Ok(Some(all[1].clone())));
    assert_eq!(ask(&driver, key().as_of(1000)), Ok(Some(all[0].clone())));
    assert_eq!(ask(&driver, key().as_of(999)), Ok(None));
    assert_eq!(ask(&driver, VersionedKeyQuery::with_key("x")), Ok(None));
    let history = || MultiVersionedKeyQuery::with_key("k");
    assert_eq!(ask(&driver, history()), Ok(latest_first()));
    assert_eq!(ask(&driver, history().with_descending_timestamps()), Ok(latest_first()));
    assert_eq!(ask(&driver, history().with_ascending_timestamps()), Ok(all.to_vec()));
    assert_eq!(ask(&driver, history().from_time(2000)), Ok(latest_first()[..2].to_vec()));
    assert_eq!(ask(&driver, history().to_time(1999)), Ok(vec![all[0].clone()]));
    assert_eq!(ask(&driver, history().from_time(2500).to_time(2600)), Ok(vec![all[1].clone()]));
    // A table is not asked for its rows as if it were a plain one.
    assert_eq!(ask(&driver, KeyQuery::with_key("k")).unwrap_err().reason, FailureReason::UnknownQueryType);
}

/// `shouldFailUnknownStore`, and values of another type.
#[test]
#[allow(non_snake_case)]
fn shouldFailUnknownStore_and_other_types() {
    let driver = tables().remove(0);
    let nowhere: Store<String, i64> = Store::new("nowhere");
    let unknown = driver.query(&StateQueryRequest::in_store(&nowhere).with_query(KeyQuery::with_key("k")));
    assert_eq!(
        unknown.unwrap_err(),
        QueryError::UnknownStore { store: text("nowhere"), known: vec![text("store")] }
    );
    let request = StateQueryRequest::in_store(&OTHER_VALUES).with_query(KeyQuery::with_key("k1"));
    let failure = driver.query(&request).unwrap().found().unwrap_err();
    assert_eq!(failure.reason, FailureReason::UnknownQueryType);
    assert!(failure.message.contains("use the `Store` constant"), "{failure}");
}

/// The position is that of the input, whatever the store; a bound ahead of it is refused (`INPUT_POSITION` in Kafka Streams' test).
#[test]
#[allow(non_snake_case)]
fn shouldCollectExecutionInfo_and_positions() {
    for driver in tables() {
        let request = || {
            StateQueryRequest::in_store(&STORE).with_query(KeyQuery::with_key("k1")).enable_execution_info()
        };
        let result = driver.query(&request()).unwrap();
        assert_eq!(result.position(), Position::empty().with("in", 0, 5));
        assert_eq!(result.results().next().unwrap().execution_info.len(), 1);
        assert_eq!(result.found(), Ok(Some(2)));
        let bound = |offset| PositionBound::at(Position::empty().with("in", 0, offset));
        assert_eq!(driver.query(&request().with_position_bound(bound(5))).unwrap().found(), Ok(Some(2)));
        let behind = driver.query(&request().with_position_bound(bound(6))).unwrap();
        assert_eq!(behind.results().next().unwrap().execution_info.len(), 1, "under failure, too");
        assert_eq!(behind.found().unwrap_err().reason, FailureReason::NotUpToBound);
        driver.input(&IN).pipe("k1", 7);
        assert_eq!(driver.query(&request().with_position_bound(bound(6))).unwrap().found(), Ok(Some(7)));
    }
}
