//! The windowed workloads of the benchmark: `tumbling`, `hopping`, `sliding`, `session`, `suppress`.

use std::time::Duration;

use kstreams::dsl::{BufferConfig, SessionWindows, SlidingWindows, Suppressed, TimeWindows};
use kstreams::prelude::*;
use kstreams::serdes::{SessionWindowedSerde, TimeWindowedSerde};
use kstreams::types::Windowed;

use super::bench::Topics;

const COUNTS: Store<String, i64> = Store::new("counts");

type WindowKeys = TimeWindowedSerde<Auto>;
type SessionKeys = SessionWindowedSerde<Auto>;

/// The topology of `workload`; `None` if there is none of this name.
pub(super) fn topology(workload: &str, topics: &Topics) -> Option<Result<Topology, TopologyError>> {
    let builder = StreamsBuilder::new();
    let grouped = builder.stream(&Topic::<String, String>::named(topics.input.as_str())).group_by_key();
    let windows = Topic::<Windowed<String>, i64, WindowKeys>::named(topics.output.as_str());
    let ten_seconds = TimeWindows::of_size_with_no_grace(Duration::from_secs(10));
    match workload {
        "tumbling" => grouped.windowed_by(ten_seconds).count_with(&COUNTS).to_stream().to(&windows),
        "hopping" => {
            let minute = TimeWindows::of_size_with_no_grace(Duration::from_secs(60));
            let hopping = minute.advance_by(Duration::from_secs(10));
            grouped.windowed_by(hopping).count_with(&COUNTS).to_stream().to(&windows);
        }
        "sliding" => {
            let sliding = SlidingWindows::of_time_difference_with_no_grace(Duration::from_secs(10));
            grouped.windowed_by(sliding).count_with(&COUNTS).to_stream().to(&windows);
        }
        "session" => {
            let gap = SessionWindows::of_inactivity_gap_with_no_grace(Duration::from_secs(30));
            let sessions = Topic::<Windowed<String>, i64, SessionKeys>::named(topics.output.as_str());
            grouped.windowed_by(gap).count_with(&COUNTS).to_stream().to(&sessions);
        }
        "suppress" => {
            let counts = grouped.windowed_by(ten_seconds).count_with(&COUNTS);
            let closed = Suppressed::until_window_closes(BufferConfig::unbounded());
            counts.named("final").suppress(closed).to_stream().to(&windows);
        }
        _ => return None,
    }
    Some(builder.build())
}

#[cfg(test)]
mod tests {
    use super::super::bench;
    use super::*;

    /// Keys and values of the output, after records of key `k` at these seconds.
    fn run(workload: &str, seconds: &[i64]) -> Vec<(Vec<u8>, Option<i64>)> {
        let name = str::to_owned;
        let topics =
            Topics { input: name("in"), input2: name("in2"), table: name("rows"), output: name("out") };
        let driver = TopologyTestDriver::new(bench::topology(workload, topics).unwrap().unwrap()).unwrap();
        for second in seconds {
            driver.input(&Topic::<String, String>::new("in")).pipe_at("k", "v", second * 1000);
        }
        driver.output(&Topic::<Vec<u8>, Option<i64>>::new("out")).read_all()
    }

    fn key(times: &[i64]) -> Vec<u8> {
        let times = times.iter().flat_map(|seconds| (seconds * 1000).to_be_bytes());
        b"k".iter().copied().chain(times).collect()
    }

    #[test]
    fn tumbling_counts_ten_seconds() {
        let counts = run("tumbling", &[1, 9, 10]);
        assert_eq!(counts, [(key(&[0]), Some(1)), (key(&[0]), Some(2)), (key(&[10]), Some(1))]);
    }

    #[test]
    fn hopping_counts_each_record_in_six_windows() {
        assert_eq!(run("hopping", &[100]).len(), 6);
    }

    #[test]
    fn sliding_counts_what_is_ten_seconds_apart() {
        let last = run("sliding", &[20, 30]).pop();
        assert_eq!(last, Some((key(&[20]), Some(2))));
    }

    #[test]
    fn sessions_end_before_they_start_in_the_key() {
        let sessions = run("session", &[1, 31]);
        assert_eq!(sessions, [(key(&[1, 1]), Some(1)), (key(&[1, 1]), None), (key(&[31, 1]), Some(2))]);
    }

    #[test]
    fn suppress_gives_each_window_once() {
        assert_eq!(run("suppress", &[1, 2, 10]), [(key(&[0]), Some(2))]);
    }
}
