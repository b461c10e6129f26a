//! Windows of stream-stream joins that do not reach their own record: they start after it, or end before it. Expected is what
//! `KStreamKStreamJoin.process` does with a negative `before` or `after`.

use std::time::Duration;

use streams_core::dsl::{JoinWindows, StreamsBuilder};
use streams_core::topic::Topic;

use crate::driver;

const LEFT: Topic<String, i64> = Topic::new("left");
const RIGHT: Topic<String, i64> = Topic::new("right");
const OUT: Topic<String, String> = Topic::new("out");

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn windows() -> JoinWindows {
    JoinWindows::of_time_difference_and_grace(ms(10), ms(20))
}

/// What a left join gives for records (left?, time), whose values are their times.
fn left_join(windows: JoinWindows, records: &[(bool, i64)]) -> Vec<String> {
    let builder = StreamsBuilder::new();
    let pair = |left: &i64, right: Option<&i64>| {
        right.map_or(format!("{left} alone"), |right| format!("{left} {right}"))
    };
    builder.stream(&LEFT).left_join_stream(builder.stream(&RIGHT), windows, pair).to(&OUT);
    let driver = driver(&builder);
    for (left, time) in records {
        let topic = if *left { LEFT } else { RIGHT };
        driver.input(&topic).pipe_at("a", *time, *time);
    }
    driver.output(&OUT).read_all().into_iter().map(|(_, text)| text).collect()
}

#[test]
fn a_window_may_start_after_its_record() {
    let windows = windows().starts_after(ms(5));
    assert_eq!(windows.size(), ms(5));
    let pairs = left_join(windows, &[(true, 100), (false, 104), (false, 105), (false, 110), (false, 111)]);
    assert_eq!(pairs, ["100 105", "100 110"]);
    // Out of order: the right records are there first.
    let pairs = left_join(windows, &[(false, 104), (false, 105), (false, 110), (false, 111), (true, 100)]);
    assert_eq!(pairs, ["100 105", "100 110"]);
    // A record waits for the end of its window and the grace, at 130.
    let pairs = left_join(windows, &[(true, 100), (false, 103), (false, 130), (false, 131)]);
    assert_eq!(pairs, ["100 alone"]);
    assert!(left_join(windows, &[(true, 100), (false, 103), (false, 130)]).is_empty());
}

#[test]
fn a_window_may_end_before_its_record() {
    let windows = windows().ends_before(ms(5));
    let pairs = left_join(windows, &[(false, 89), (false, 90), (false, 95), (false, 96), (true, 100)]);
    assert_eq!(pairs, ["100 90", "100 95"]);
    // When a left record comes in order its window is over, so that it waits for nobody; but late ones find it.
    let pairs = left_join(windows, &[(true, 100), (false, 96), (false, 95), (false, 89)]);
    assert_eq!(pairs, ["100 alone", "100 95"]);
}
