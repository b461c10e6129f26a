//! `with_retries` in virtual time: when records come back, with what, how often, and what becomes of them then. Catches tries that
//! are lost, come twice, too early, in another context or for failures that are not theirs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use streams_core::dead_letter::{Failure, RETRIES, retries};
use streams_core::dsl::{KStream, Retries, StreamsBuilder};
use streams_core::error::TaskErrorCause;
use streams_core::handler::{DeadLetterQueue, LogAndContinue};
use streams_core::processor::WrappedProcessor;
use streams_core::record::Record;
use streams_core::testing::{DriverConfig, TopologyTestDriver};
use streams_core::topic::Topic;
use streams_core::types::Headers;

use crate::{driver, text};

const IN: Topic<String, String> = Topic::new("in");
const OUT: Topic<String, String> = Topic::new("out");
const DEAD: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("dead");

/// A function that fails as often as it is told for each value, and writes down when it was called.
#[derive(Clone, Default)]
struct Service {
    failures: Arc<Mutex<BTreeMap<String, u32>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn failing(times: &[(&str, u32)]) -> Self {
        let service = Self::default();
        let mut failures = service.failures.lock().unwrap();
        failures.extend(times.iter().map(|(value, times)| (text(value), *times)));
        drop(failures);
        service
    }

    fn call(&self, value: String) -> Result<String, String> {
        self.calls.lock().unwrap().push(value.clone());
        match self.failures.lock().unwrap().get_mut(&value) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(format!("no answer for {value}"))
            }
            _ => Ok(value.to_uppercase()),
        }
    }

    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn delays(millis: &[u64]) -> Retries {
    Retries::new("call", millis.iter().copied().map(ms))
}

/// `in` through the service to `out`.
fn calling(service: &Service, retries: Retries) -> StreamsBuilder {
    let (builder, service) = (StreamsBuilder::new(), service.clone());
    let call = move |value: String| service.call(value);
    builder.stream(&IN).with_retries(retries, |stream| stream.try_map_values(call)).to(&OUT);
    builder
}

fn results(driver: &TopologyTestDriver) -> Vec<(String, String)> {
    driver.output(&OUT).read_all()
}

#[test]
fn a_record_comes_back_after_each_delay_with_its_own_time_and_headers() {
    let service = Service::failing(&[("slow", 2)]);
    let driver = driver(&calling(&service, delays(&[100, 1000])));
    let mut headers = Headers::EMPTY;
    headers.add("trace", Some(b"t1".to_vec()));
    let slow = Record { key: text("k"), value: text("slow"), timestamp: 77, headers };
    driver.input(&IN).pipe_record(slow);
    driver.input(&IN).pipe_at("k", "quick", 500);
    assert_eq!(results(&driver), [(text("k"), text("QUICK"))], "the later one does not wait");
    assert_eq!(service.take_calls(), ["slow", "quick"]);
    driver.advance_wall_clock(ms(99));
    assert!(service.take_calls().is_empty(), "too early");
    driver.advance_wall_clock(ms(1));
    assert_eq!(service.take_calls(), ["slow"]);
    driver.advance_wall_clock(ms(999));
    assert!(service.take_calls().is_empty(), "the second delay counts from the second failure");
    driver.advance_wall_clock(ms(1));
    let record = driver.output(&OUT).read_records().remove(0);
    assert_eq!((record.value.as_str(), record.timestamp), ("SLOW", 77));
    let names: Vec<&str> = record.headers.iter().map(|header| header.key.as_str()).collect();
    assert_eq!((names, retries(&record.headers)), (vec!["trace", RETRIES], 2));
    driver.advance_wall_clock(ms(100_000));
    assert_eq!(service.take_calls(), ["slow"], "once it has passed it is over");
}

#[test]
fn after_the_last_try_the_source_record_goes_to_the_dead_letter_topic() {
    let service = Service::failing(&[("bad", u32::MAX)]);
    let driver = driver(&calling(&service, delays(&[10, 10]).dead_letters_to(&DEAD)));
    driver.input(&IN).pipe_at("first", "fine", 1);
    driver.input(&IN).pipe_at("k", "bad", 5);
    (0..3).for_each(|_| driver.advance_wall_clock(ms(10)));
    assert_eq!(service.take_calls(), ["fine", "bad", "bad", "bad"]);
    let letters = driver.output(&DEAD).read_records();
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"k"[..]), Some(&b"bad"[..])));
    let failure = Failure::of(&letter.headers);
    assert_eq!(failure.source, Some((text("in"), 0, 1)));
    assert_eq!((failure.original, failure.original_timestamp), (failure.source, Some(5)));
    assert_eq!((failure.retries, failure.source_lost, letter.timestamp), (2, false, 5));
    assert!(failure.message.unwrap().contains("no answer for bad"));
    assert_eq!((failure.exception.as_deref(), driver.dropped()), (Some("ProcessingError"), 1));
}

#[test]
fn without_a_handler_of_its_own_the_processing_handler_decides() {
    let service = Service::failing(&[("bad", u32::MAX)]);
    let topology = || calling(&service, delays(&[10])).build().unwrap();
    let fails = TopologyTestDriver::new(topology()).unwrap();
    fails.input(&IN).pipe("k", "bad");
    let error = fails.try_advance_wall_clock(ms(10)).unwrap_err().to_string();
    assert!(error.contains("in-0@0") && error.contains("no answer for bad"), "{error}");
    let handler = Arc::new(DeadLetterQueue::to(&DEAD));
    let config = DriverConfig { processing_exception_handler: handler, ..DriverConfig::default() };
    let resumes = TopologyTestDriver::with_config(topology(), config).unwrap();
    resumes.input(&IN).pipe("k", "bad");
    resumes.advance_wall_clock(ms(10));
    assert_eq!(retries(&resumes.output(&DEAD).read_records()[0].headers), 1);
}

#[test]
fn failures_that_no_waiting_mends_are_final_at_once() {
    let service = Service::failing(&[("bad", 1), ("slow", 1)]);
    let worth_it = |cause: &TaskErrorCause| !cause.to_string().contains("bad");
    let driver = driver(&calling(&service, delays(&[10]).only_if(worth_it).dead_letters_to(&DEAD)));
    driver.input(&IN).pipe("k", "bad");
    driver.input(&IN).pipe("k", "slow");
    assert_eq!(driver.output(&DEAD).len(), 1);
    driver.advance_wall_clock(ms(10));
    assert_eq!((results(&driver), driver.output(&DEAD).len()), (vec![(text("k"), text("SLOW"))], 1));
}

/// What stands above is not repeated, and what stands below fails for itself.
#[test]
fn only_what_is_inside_is_tried_again() {
    let (builder, service) = (StreamsBuilder::new(), Service::failing(&[("a", 1)]));
    let (above, below) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (called, seen, fails) = (service.clone(), above.clone(), below.clone());
    builder
        .stream(&IN)
        .peek(move |_, _| {
            seen.fetch_add(1, Ordering::SeqCst);
        })
        .with_retries(delays(&[10]), |stream| stream.try_map_values(move |value| called.call(value)))
        .try_map_values(move |value: String| match value.as_str() {
            "B" => {
                fails.fetch_add(1, Ordering::SeqCst);
                Err("below")
            }
            _ => Ok(value),
        })
        .to(&OUT);
    let handler = Arc::new(LogAndContinue);
    let config = DriverConfig { processing_exception_handler: handler, ..DriverConfig::default() };
    let driver = TopologyTestDriver::with_config(builder.build().unwrap(), config).unwrap();
    driver.input(&IN).pipe("k", "a");
    driver.input(&IN).pipe("k", "b");
    driver.advance_wall_clock(ms(10));
    assert_eq!((above.load(Ordering::SeqCst), below.load(Ordering::SeqCst)), (2, 1));
    assert_eq!((service.take_calls(), driver.dropped()), (vec![text("a"), text("b"), text("a")], 1));
    assert_eq!(results(&driver), [(text("k"), text("A"))]);
}

/// One call of the clock tries a thousand, the next one goes on.
#[test]
fn many_records_come_back_in_their_order() {
    let values: Vec<String> = (0..2500).map(|number| format!("v{number}")).collect();
    let once: Vec<(&str, u32)> = values.iter().map(|value| (value.as_str(), 1)).collect();
    let driver = driver(&calling(&Service::failing(&once), delays(&[10])));
    values.iter().for_each(|value| driver.input(&IN).pipe("k", value.as_str()));
    driver.advance_wall_clock(ms(10));
    assert_eq!(driver.output(&OUT).len(), 1000);
    (0..2).for_each(|_| driver.advance_wall_clock(ms(1)));
    let came: Vec<String> = results(&driver).into_iter().map(|(_, value)| value.to_lowercase()).collect();
    assert_eq!(came, values);
}

/// Null keys and values wait like others, and a null value is no lost one.
#[test]
fn null_keys_and_values_come_back_as_null() {
    const NULLS: Topic<Option<String>, Option<String>> = Topic::new("in");
    const NULLS_OUT: Topic<Option<String>, Option<String>> = Topic::new("out");
    let (builder, calls) = (StreamsBuilder::new(), AtomicU32::new(0));
    let fails_twice = move |value: Option<String>| match calls.fetch_add(1, Ordering::SeqCst) {
        0 | 1 | 3 => Err("no"),
        _ => Ok(value),
    };
    builder
        .stream(&NULLS)
        .with_retries(delays(&[10]).dead_letters_to(&DEAD), |stream| stream.try_map_values(fails_twice))
        .to(&NULLS_OUT);
    let driver = driver(&builder);
    (0..2).for_each(|_| driver.input(&NULLS).pipe_raw(None, None).unwrap());
    driver.advance_wall_clock(ms(10));
    assert_eq!(driver.output(&NULLS_OUT).read_all(), [(None, None)]);
    let letter = driver.output(&DEAD).read_records().remove(0);
    assert_eq!((letter.key, letter.value), (None, None));
    assert!(!Failure::of(&letter.headers).source_lost);
}

/// Records, and what the clock calls, pass through wrappers.
#[test]
fn wrapped_processors_try_again_as_well() {
    struct Nothing;
    impl WrappedProcessor for Nothing {}
    let service = Service::failing(&[("a", 2)]);
    let mut topology = calling(&service, delays(&[10, 10])).build().unwrap();
    topology.wrap_processors(|_: &str| Some(Box::new(Nothing) as Box<dyn WrappedProcessor>));
    let driver = TopologyTestDriver::new(topology).unwrap();
    driver.input(&IN).pipe("k", "a");
    (0..2).for_each(|_| driver.advance_wall_clock(ms(10)));
    assert_eq!(results(&driver), [(text("k"), text("A"))]);
}

#[test]
fn wrong_retries_are_one_sentence() {
    let fault = |retries: Retries| {
        let builder = calling(&Service::default(), retries);
        builder.build().err().unwrap().to_string()
    };
    assert!(fault(delays(&[])).contains("retries `call` have no delays; give one for each further try"));
    assert!(fault(delays(&[5, 0])).contains("retries `call` wait 0 ms; wait at least 1 ms"));
    assert!(fault(Retries::new("a b", [ms(1)])).contains("a b-retry"));
    let builder = StreamsBuilder::new();
    let within = |stream: KStream<String, String>| stream.with_retries(delays(&[1]), |inner| inner);
    builder.stream(&IN).with_retries(Retries::new("outer", [ms(1)]), within).to(&OUT);
    let nested = builder.build().err().unwrap().to_string();
    assert!(nested.contains("retries `call` are within retries `outer`"), "{nested}");
    let builder = calling(&Service::default(), delays(&[1]));
    builder
        .stream(&Topic::<String, String>::new("other"))
        .with_retries(delays(&[1]), |stream| stream)
        .to(&OUT);
    let twice = builder.build().err().unwrap().to_string();
    assert!(twice.contains("two nodes are called `call-retry-start`"), "{twice}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Each record is called at its arrival and after the sum of the delays, as long as it fails, and ends in one of the two topics.
    #[test]
    fn every_record_is_tried_at_its_times_and_ends_once(
        records in prop::collection::vec((0_u64..40, 0_u32..5), 1..20),
        waits in prop::collection::vec(1_u64..30, 1..4),
    ) {
        let names: Vec<String> = (0..records.len()).map(|number| format!("r{number}")).collect();
        let failing: Vec<(&str, u32)> =
            names.iter().zip(&records).map(|(name, (_, fails))| (name.as_str(), *fails)).collect();
        let service = Service::failing(&failing);
        let driver = driver(&calling(&service, delays(&waits).dead_letters_to(&DEAD)));
        let mut expected = Vec::new();
        for (name, (arrives, fails)) in names.iter().zip(&records) {
            let mut at = *arrives;
            expected.push((at, name.clone()));
            for wait in waits.iter().take(*fails as usize) {
                at += wait;
                expected.push((at, name.clone()));
            }
        }
        let mut called = Vec::new();
        for now in 0..40 + waits.iter().sum::<u64>() {
            let mut note = |calls: Vec<String>| called.extend(calls.into_iter().map(|name| (now, name)));
            note(service.take_calls());
            for (name, _) in names.iter().zip(&records).filter(|(_, (arrives, _))| *arrives == now) {
                driver.input(&IN).pipe("k", name.as_str());
            }
            note(service.take_calls());
            driver.advance_wall_clock(ms(1));
        }
        // Calls of the clock are noted before the next step of it.
        called.sort();
        expected.sort();
        prop_assert_eq!(called, expected);
        let dead = records.iter().filter(|(_, fails)| *fails as usize > waits.len()).count();
        prop_assert_eq!((driver.output(&DEAD).len(), results(&driver).len()), (dead, records.len() - dead));
    }
}
