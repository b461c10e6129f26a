//! Records that fail, wait and are tried again (`with_retries`), and dead letters of those that never succeed: each input ends in one of
//! the two, once, after as many tries as it takes, never more than there are.

use std::collections::BTreeMap;
use std::time::Duration;

use kstreams::client::embedded::EmbeddedKafka;
use kstreams::dead_letter;
use kstreams::prelude::*;
use kstreams::sim::{Act, Event, Input, Observed, Schedule};

/// Waits before each further try, ms.
const DELAYS_MS: [u64; 3] = [300, 1_000, 2_500];
/// Further tries of a record at most.
pub(crate) const TRIES_MAX: u32 = DELAYS_MS.len() as u32;

const IN: Topic<String, String> = Topic::new("in"); // `number,failures`
const OUT: Topic<String, String> = Topic::new("out");
const DEAD: Topic<Option<Vec<u8>>, Option<Vec<u8>>> = Topic::new("out-dead");

/// Fails as often as the record says. It knows the number of the try from the record alone, so that a run that begins anew goes the same way.
struct Charge;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Processor<String, String, String, String> for Charge {
    fn process(
        &mut self,
        context: &mut ProcessorContext<'_, String, String>,
        record: Record<String, String>,
    ) -> Result<(), BoxError> {
        let (_, failures) = record.value.split_once(',').ok_or("no failures")?;
        let tries = dead_letter::retries(&record.headers);
        match tries < failures.parse()? {
            true => Err(format!("try {tries} of {}", record.value).into()),
            false => Ok(context.forward(record)?),
        }
    }
}

pub(crate) fn topology() -> Topology {
    let builder = StreamsBuilder::new();
    let retries = Retries::new("charge", DELAYS_MS.map(Duration::from_millis)).dead_letters_to(&DEAD);
    builder.stream(&IN).with_retries(retries, |stream| stream.process(|| Charge, &[])).to(&OUT);
    builder.build().unwrap()
}

/// The committed records of a topic: value, and tries.
fn committed(kafka: &EmbeddedKafka, topic: &str) -> Vec<(String, u32)> {
    let records = kafka.read_all(topic, true).unwrap_or_default();
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    records.into_iter().map(|record| (text(record.value), dead_letter::retries(&record.headers))).collect()
}

/// Whether nothing waits any more. A record that was to be tried at a time that a wrong clock said may wait for days.
pub(crate) fn all_decided(kafka: &EmbeddedKafka, schedule: &Schedule, input: &[Input]) -> bool {
    let mut decided: Vec<String> = ["out", "out-dead"]
        .into_iter()
        .flat_map(|topic| committed(kafka, topic))
        .map(|(value, _)| value)
        .collect();
    decided.sort();
    decided.dedup();
    decided.len() >= input.len() || clock_jumps(schedule)
}

fn clock_jumps(schedule: &Schedule) -> bool {
    schedule.events.iter().any(|event| matches!(event, Event::At(_, Act::ClockJump { .. })))
}

/// All that is wrong. With at least once a record may come out twice, but not both ways.
pub(crate) fn differences(seen: &Observed<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for topic in ["out", "out-dead"] {
        for (value, tries) in committed(seen.kafka, topic) {
            let failures: u32 = value.split_once(',').unwrap().1.parse().unwrap();
            let expected = if failures > TRIES_MAX { ("out-dead", TRIES_MAX) } else { ("out", failures) };
            if (topic, tries) != expected {
                violations.push(format!("I3: {value} is in `{topic}` after {tries} tries, not {expected:?}"));
            }
            *times.entry(value).or_default() += 1;
        }
    }
    for input in seen.input {
        let value = String::from_utf8(input.value.clone().unwrap()).unwrap();
        match times.remove(&value) {
            Some(1) => {}
            Some(_) if !seen.schedule.exactly_once => {}
            None if clock_jumps(seen.schedule) => {}
            None => violations.push(format!("I1: {value} is nowhere")),
            Some(times) => violations.push(format!("I2: {value} came out {times} times")),
        }
    }
    violations.extend(times.into_keys().map(|value| format!("I3: {value} was no input")));
    violations
}
