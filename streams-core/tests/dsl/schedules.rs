//! When schedules are due: by stream time and wall clock, anchored and not, against the rules of Kafka Streams'
//! `PunctuationQueue` and `StreamTask.schedule`.

use std::time::Duration;

use streams_core::dsl::{Consumed, Stores, StreamsBuilder};
use streams_core::error::BoxError;
use streams_core::processor::PunctuationType::{StreamTime, WallClockTime};
use streams_core::processor::{Processor, ProcessorContext, Punctuation, PunctuationType};
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::{Store, Topic};

use crate::driver;

const IN: Topic<String, i64> = Topic::new("in");
const OUT: Topic<String, i64> = Topic::new("out");
const KEPT: Store<String, i64> = Store::new("kept");

type Plan = (Option<i64>, u64, PunctuationType);

/// Makes schedules, at its start or with the record of value -1, and forwards `schedule, time` when one is due.
struct Clockwork {
    at_start: Vec<Plan>,
    later: Vec<Plan>,
    names: Vec<Punctuation>,
    cancel_itself: bool,
}

fn clockwork(at_start: &[Plan], later: &[Plan], cancel_itself: bool) -> TopologyTestDriver {
    let (at_start, later) = (at_start.to_vec(), later.to_vec());
    let builder = StreamsBuilder::new();
    let supplier = move || Clockwork {
        at_start: at_start.clone(),
        later: later.clone(),
        names: Vec::new(),
        cancel_itself,
    };
    builder.stream(&IN).process(supplier, &[]).to(&OUT);
    driver(&builder)
}

impl Clockwork {
    fn plan(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        plans: &[Plan],
    ) -> Result<(), BoxError> {
        for (start, every, kind) in plans {
            let every = Duration::from_millis(*every);
            self.names.push(match start {
                Some(start) => context.schedule_at(*start, every, *kind)?,
                None => context.schedule(every, *kind)?,
            });
        }
        Ok(())
    }
}

impl Processor<String, i64, String, i64> for Clockwork {
    fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
        let plans = self.at_start.clone();
        self.plan(context, &plans)
    }

    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        record: Record<String, i64>,
    ) -> Result<(), BoxError> {
        let plans = if record.value < 0 { self.later.clone() } else { Vec::new() };
        self.plan(context, &plans)
    }

    fn punctuate(
        &mut self,
        context: &mut ProcessorContext<'_, String, i64>,
        due: Punctuation,
        time: i64,
    ) -> Result<(), BoxError> {
        let which =
            self.names.iter().position(|name| *name == due).ok_or("a schedule of another processor")?;
        if self.cancel_itself {
            context.cancel(due);
        }
        assert_eq!((context.record_metadata(), context.record_context().offset), (None, -1));
        assert_eq!(context.record_context().timestamp, time);
        Ok(context.forward(Record::new(format!("s{which}"), time, time))?)
    }
}

/// What came out since the last look.
fn rounds(driver: &TopologyTestDriver) -> Vec<(String, i64)> {
    driver.output(&OUT).read_all()
}

fn at(driver: &TopologyTestDriver, time: i64, value: i64) -> Vec<i64> {
    driver.input(&IN).pipe_record(Record::new("k".to_owned(), value, time));
    rounds(driver).into_iter().map(|(_, time)| time).collect()
}

#[test]
fn stream_time_starts_with_the_first_record_and_makes_up_for_missed_rounds_by_one() {
    let driver = clockwork(&[(None, 10, StreamTime)], &[], false);
    let rounds: Vec<Vec<i64>> = [3, 9, 10, 12, 39, 40, 38, 49, 50].map(|time| at(&driver, time, 0)).to_vec();
    let expected: [&[i64]; 9] = [&[3], &[], &[10], &[], &[39], &[40], &[], &[], &[50]];
    assert_eq!(rounds, expected);
}

#[test]
fn anchored_stream_time_is_due_at_its_own_times_only() {
    let driver = clockwork(&[(Some(5), 10, StreamTime)], &[], false);
    let rounds: Vec<Vec<i64>> = [3, 5, 14, 15, 47, 54, 55].map(|time| at(&driver, time, 0)).to_vec();
    let expected: [&[i64]; 7] = [&[], &[5], &[], &[15], &[47], &[], &[55]];
    assert_eq!(rounds, expected);
}

#[test]
fn an_anchor_that_is_past_moves_to_the_next_of_its_times() {
    // Made at stream time 25, which is one of its times: that one is over, the next is 35. An anchor at 25 itself is due.
    let later = [(Some(5), 10, StreamTime), (Some(25), 10, StreamTime), (Some(26), 10, StreamTime)];
    let driver = clockwork(&[], &later, false);
    assert_eq!(at(&driver, 25, -1), [25]);
    assert_eq!(at(&driver, 26, 0), [26]);
    assert_eq!(at(&driver, 34, 0), [0_i64; 0]);
    assert_eq!(at(&driver, 35, 0), [35, 35]);
    assert_eq!(at(&driver, 36, 0), [36]);
}

#[test]
fn wall_clock_starts_one_interval_from_now_and_anchored_at_its_time() {
    let plans = [(None, 60, WallClockTime), (Some(1_020), 50, WallClockTime), (Some(10), 100, WallClockTime)];
    let plan = plans.to_vec();
    let builder = StreamsBuilder::new();
    let supplier = move || Clockwork {
        at_start: plan.clone(),
        later: Vec::new(),
        names: Vec::new(),
        cancel_itself: false,
    };
    builder.stream(&IN).process(supplier, &[]).to(&OUT);
    let config = DriverConfig { wall_clock: 1_000, ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    let advance = |by| {
        driver.advance_wall_clock(Duration::from_millis(by));
        rounds(&driver)
    };
    let due = |name: &str, time| (name.to_owned(), time);
    assert_eq!(advance(9), []);
    assert_eq!(advance(1), [due("s2", 1_010)]);
    assert_eq!(advance(10), [due("s1", 1_020)]);
    assert_eq!(advance(40), [due("s0", 1_060)]);
    // Past 1_070, 1_110 and 1_120: each once.
    let mut late = advance(65);
    late.sort();
    assert_eq!(late, [due("s0", 1_125), due("s1", 1_125), due("s2", 1_125)]);
    assert_eq!(advance(44), []);
    assert_eq!(advance(1), [due("s1", 1_170)]);
}

#[test]
fn a_schedule_that_cancels_itself_was_due_once() {
    let driver = clockwork(&[(None, 10, StreamTime), (Some(0), 10, StreamTime)], &[], true);
    assert_eq!(at(&driver, 100, 0), [100, 100]);
    assert_eq!(at(&driver, 200, 0), [0_i64; 0]);
}

#[test]
fn schedules_that_cannot_be_are_errors() {
    let fault = |plan: Plan| {
        let builder = StreamsBuilder::new();
        let supplier = move || Clockwork {
            at_start: vec![plan],
            later: Vec::new(),
            names: Vec::new(),
            cancel_itself: false,
        };
        builder.stream(&IN).process(supplier, &[]).to(&OUT);
        TopologyTestDriver::new(builder.build().unwrap()).err().unwrap().to_string()
    };
    assert!(fault((None, 0, StreamTime)).contains("at least 1 ms"));
    assert!(fault((Some(0), 0, WallClockTime)).contains("at least 1 ms"));
    assert!(fault((Some(-1), 5, WallClockTime)).contains("before the epoch"));
}

/// Feeds a global store, and wants a schedule.
struct Feeder;

impl Processor<String, i64, (), ()> for Feeder {
    fn init(&mut self, context: &mut ProcessorContext<'_, (), ()>) -> Result<(), BoxError> {
        let anchored = context.schedule_at(0, Duration::from_secs(1), WallClockTime);
        assert!(anchored.unwrap_err().to_string().contains("global store"));
        context.schedule(Duration::from_secs(1), StreamTime).map(drop)
    }

    fn process(
        &mut self,
        _: &mut ProcessorContext<'_, (), ()>,
        _: Record<String, i64>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

#[test]
fn a_processor_that_feeds_a_global_store_has_no_schedules() {
    let builder = StreamsBuilder::new();
    builder.add_global_store(Stores::key_value(&KEPT), &IN, Consumed::new(), || Feeder);
    let error = TopologyTestDriver::new(builder.build().unwrap()).err().unwrap().to_string();
    assert!(error.contains("feeds a global store cannot schedule"), "{error}");
}
