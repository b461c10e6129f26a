//! Interactive queries: what a store holds, asked while it runs. Through the test driver; `KafkaStreams` answers the same requests.

use kstreams::prelude::*;
use kstreams::query::{
    FailureReason, KeyQuery, MultiVersionedKeyQuery, Position, PositionBound, RangeQuery, StateQueryRequest,
    TimestampedKeyQuery, TimestampedRangeQuery, VersionedKeyQuery, WindowKeyQuery, WindowRangeQuery,
};

use super::{CUSTOMERS, PAYMENTS, TOTALS};

const HISTORY: Store<String, String> = Store::new("history");
const MINUTES: Store<String, i64> = Store::new("minutes");
const VISITS: Store<String, i64> = Store::new("visits");

fn driver() -> TopologyTestDriver {
    let hour = std::time::Duration::from_secs(3600);
    let builder = StreamsBuilder::new();
    let payments = builder.stream(&PAYMENTS).group_by_key();
    payments.clone().fold(&TOTALS, |_, cents, sum| *sum += cents);
    payments.clone().windowed_by(TimeWindows::of_size_with_no_grace(hour)).count_with(&MINUTES);
    payments.windowed_by(SessionWindows::of_inactivity_gap_with_no_grace(hour)).count_with(&VISITS);
    builder.table_with(&CUSTOMERS, Consumed::new(), Materialized::from(&HISTORY).versioned(hour));
    let driver = TopologyTestDriver::new(builder.build().unwrap()).unwrap();
    driver.input(&PAYMENTS).pipe_at("ada", 120, 1_000);
    driver.input(&CUSTOMERS).pipe_at("ada", "Ada", 1_000);
    driver
}

#[test]
fn a_request_and_its_result() -> Result<(), Box<dyn std::error::Error>> {
    let streams = driver();
    let request = StateQueryRequest::in_store(&TOTALS).with_query(KeyQuery::with_key("ada"));
    assert_eq!(streams.query(&request)?.found()?, Some(120));
    let result = streams.query(&request.with_partitions([0, 1]).enable_execution_info())?;
    assert_eq!(result.partition_results[&0].result, Ok(Some(120)));
    assert_eq!(result.partition_results[&1].failure_reason(), Some(FailureReason::DoesNotExist));
    assert_eq!(result.position(), Position::empty().with("payments", 0, 0).with("customers", 0, 0));
    let seen = PositionBound::at(result.position());
    let request = StateQueryRequest::in_store(&TOTALS).with_query(RangeQuery::with_no_bounds());
    let request = request.with_position_bound(seen).enable_stale_stores();
    assert_eq!(streams.query(&request)?.rows()?, [("ada".to_owned(), 120)]);
    Ok(())
}

#[test]
fn queries() -> Result<(), Box<dyn std::error::Error>> {
    let streams = driver();
    let totals = || StateQueryRequest::in_store(&TOTALS);
    assert_eq!(
        streams.query(&totals().with_query(KeyQuery::with_key("ada").skip_cache()))?.found()?,
        Some(120)
    );
    let row = streams.query(&totals().with_query(TimestampedKeyQuery::with_key("ada")))?.found()?;
    assert_eq!(row.map(|row| (row.value, row.timestamp)), Some((120, 1_000)));
    let range = RangeQuery::with_range("a", "b").with_descending_keys().with_limit(100);
    assert_eq!(streams.query(&totals().with_query(range))?.rows()?.len(), 1);
    let all = TimestampedRangeQuery::of(RangeQuery::with_lower_bound("a"));
    assert_eq!(streams.query(&totals().with_query(all))?.rows()?.len(), 1);

    let windows = || StateQueryRequest::in_store(&MINUTES);
    let of_key = WindowKeyQuery::with_key_and_window_start_range("ada", 0, 60_000);
    assert_eq!(streams.query(&windows().with_query(of_key))?.rows()?[0].1.value, 1);
    let of_all = WindowRangeQuery::with_window_start_range(0, 60_000);
    assert_eq!(streams.query(&windows().with_query(of_all))?.rows()?[0].0.key, "ada");
    let sessions = StateQueryRequest::in_store(&VISITS).with_query(WindowRangeQuery::with_key("ada"));
    assert_eq!(streams.query(&sessions)?.rows()?[0].1.value, 1);

    let history = || StateQueryRequest::in_store(&HISTORY);
    let version = streams.query(&history().with_query(VersionedKeyQuery::with_key("ada").as_of(1_500)))?;
    assert_eq!(version.found()?.map(|version| version.value), Some("Ada".to_owned()));
    let versions =
        MultiVersionedKeyQuery::with_key("ada").from_time(0).to_time(2_000).with_ascending_timestamps();
    assert_eq!(streams.query(&history().with_query(versions))?.rows()?[0].timestamp, 1_000);
    Ok(())
}
