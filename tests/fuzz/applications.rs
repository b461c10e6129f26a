//! Records as an application meets them: in its input topics and in its internal ones, with any timestamp and headers, through every
//! kind of operator; and the file beside its global stores.
//!
//! With handlers that go on, no record may stop a task.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kstreams::StateError;
use kstreams::client::embedded::EmbeddedKafka;
use kstreams::config::TimestampPolicy;
use kstreams::engine::{Engine, EngineProvider};
use kstreams::prelude::*;
use kstreams::runtime::clock::SystemClock;
use kstreams::serdes::{Auto, ListSerde, SizedTimeWindowedSerde};
use kstreams::testing::DriverConfig;

use crate::changelog::{frame, records};
use crate::decoder::{Decoder, Meter, Verdict};
use crate::engines::{Opener, kept_map};

const SECOND: Duration = Duration::from_secs(1);

const PAYMENTS: Topic<String, i64> = Topic::new("payments");
const REFUNDS: Topic<String, i64> = Topic::new("refunds");
const CITIES: Topic<String, String> = Topic::new("cities");
const PEOPLE: Topic<String, (Option<String>, i64)> = Topic::new("people");
const LISTS: Topic<Windowed<String>, Vec<i32>, SizedTimeWindowedSerde<1000, Auto>, ListSerde<Auto>> =
    Topic::new("lists");
const OUT: Topic<String, Option<String>> = Topic::new("out");
const HISTORY: Store<String, String> = Store::new("history");
const RATES: Topic<String, String> = Topic::new("rates");
const ASKED: Topic<String, String> = Topic::new("asked");
/// How long an application may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn decoders() -> Vec<Decoder> {
    let number = |number: i64| Some(number.to_be_bytes().to_vec());
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let mut of_streams = Vec::new();
    let mut of_tables = Vec::new();
    for (at, time) in [0, 5, 900, 1000, 1001, 950, 2500, 1200, 9000, 5].into_iter().enumerate() {
        let key = ["a", "b", "ab"][at % 3];
        of_streams.push(("payments", key.into(), number(at as i64), time));
        of_streams.push(("refunds", key.into(), number(-1), time + 400));
        let window = [key.as_bytes(), &[0; 8]].concat();
        of_streams.push(("lists", window, Some(vec![0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7]), time));
        of_tables.push(("cities", key.into(), text("berlin").filter(|_| at != 5), time));
        let person = [r#"["a",5]"#, r#"["b",-1]"#, r#"[null,9]"#][at * 5 % 3];
        of_tables.push(("people", key.into(), text(person).filter(|_| at != 7), time));
        of_tables.push(("payments", key.into(), number(3), time));
    }
    vec![
        application("records: windows and joins of streams", streams, of_streams),
        application("records: tables and their joins", tables, of_tables),
        Decoder::new("file: checkpoint of the global stores", global_files(), global_file).one_of(5000),
    ]
}

/// Topic, key, value, timestamp.
type Input = (&'static str, Vec<u8>, Option<Vec<u8>>, i64);

/// Inputs are what somebody sends, and what the application sends to itself then.
fn application(name: &'static str, topology: fn() -> Topology, inputs: Vec<Input>) -> Decoder {
    let topics = topics(&topology());
    let driver = driver(topology()).unwrap();
    for (topic, key, value, time) in &inputs {
        driver.pipe_raw(topic, Some(key), value.as_deref(), *time, Headers::EMPTY).unwrap();
    }
    let mut records = Vec::new();
    for (at, topic) in topics.iter().enumerate() {
        let flags = (at as u8) << 5;
        let given = inputs.iter().filter(|(given, ..)| given == topic);
        let given = given.map(|(_, key, value, time)| (key.clone(), value.clone(), *time));
        let sent = driver.produced(topic).into_iter();
        let sent =
            sent.map(|record| (record.key.unwrap_or_default(), record.value, record.timestamp.unwrap_or(0)));
        records.extend(given.chain(sent).map(|(key, value, time)| {
            (time, frame(flags | u8::from(value.is_none()), time, &key, &value.unwrap_or_default()))
        }));
    }
    // All in the order of time, and in twos.
    records.sort();
    let frames: Vec<Vec<u8>> = records.into_iter().map(|(_, frame)| frame).collect();
    let mut seeds: Vec<Vec<u8>> = frames.chunks(2).map(|frames| frames.concat()).collect();
    seeds.extend(frames.chunks(40).map(|frames| frames.concat()));
    Decoder::new(name, seeds, move |input, _| through(topology, &topics, input)).one_of(50)
}

/// The topics that it reads, its own ones included.
fn topics(topology: &Topology) -> Vec<String> {
    let snapshot = topology.snapshot();
    let own = |topic: &String| match snapshot.repartition_topics.contains_key(topic) {
        true => format!("test-{topic}"),
        false => topic.clone(),
    };
    snapshot.subtopologies.iter().flat_map(|part| &part.source_topics).map(own).collect()
}

fn driver(topology: Topology) -> Result<TopologyTestDriver, StreamsError> {
    let config = DriverConfig {
        default_timestamp_extractor: TimestampPolicy::LogAndSkipOnInvalid,
        deserialization_exception_handler: Arc::new(DeadLetterQueue::new("dead")),
        processing_exception_handler: Arc::new(LogAndContinue),
        production_exception_handler: Arc::new(LogAndContinue),
        statestore_cache_max_bytes: 1000,
        ..DriverConfig::default()
    };
    TopologyTestDriver::with_config(topology, config)
}

fn streams() -> Topology {
    let builder = StreamsBuilder::new();
    let payments = builder.stream(&PAYMENTS);
    let refunds = builder.stream(&REFUNDS);
    let groups = payments.clone().group_by_key();
    let text = |value: Option<i64>| value.map(|value| value.to_string());
    let windows = TimeWindows::of_size_and_grace(SECOND, SECOND).advance_by(Duration::from_millis(300));
    let counts = [
        groups.clone().windowed_by(windows).count(),
        groups.clone().windowed_by(windows).in_panes().count(),
        groups.clone().windowed_by(windows).emit_strategy(EmitStrategy::OnWindowClose).count(),
        groups.clone().windowed_by(SlidingWindows::of_time_difference_and_grace(SECOND, SECOND)).count(),
        groups.clone().windowed_by(SessionWindows::of_inactivity_gap_and_grace(SECOND, SECOND)).count(),
        groups.windowed_by(UnlimitedWindows::new()).count(),
    ];
    for counted in counts {
        let finals =
            Suppressed::until_time_limit(SECOND, BufferConfig::max_records(3).emit_early_when_full());
        counted.suppress(finals).to_stream().map(move |key, count| (key.key.clone(), text(count))).to(&OUT);
    }
    let joined = |one: Option<&i64>, two: Option<&i64>| Some(format!("{one:?} {two:?}"));
    payments
        .outer_join_stream(refunds, JoinWindows::of_time_difference_and_grace(SECOND, SECOND), joined)
        .to(&OUT);
    builder.stream(&LISTS).map(|key, list| (key.key.clone(), Some(list.len().to_string()))).to(&OUT);
    builder.build().unwrap()
}

fn tables() -> Topology {
    let builder = StreamsBuilder::new();
    let cities =
        builder.table_with(&CITIES, Consumed::new(), Materialized::from(&HISTORY).versioned(SECOND * 10));
    let people = builder.table(&PEOPLE);
    let grace = Joined::new().grace(SECOND);
    let with_city = |_: &String, cents: i64, city: &String| Some(format!("{cents} {city}"));
    builder.stream(&PAYMENTS).join_table_with(&cities, with_city, grace).to(&OUT);
    people
        .clone()
        .join_foreign_key(
            &cities,
            |(city, _)| city.clone(),
            |(_, cents), city: &String| format!("{cents} {city}"),
        )
        .to_stream()
        .to(&OUT);
    people
        .group_by(|key, (city, cents)| (city.clone().unwrap_or_else(|| key.clone()), *cents))
        .reduce(|sum, cents| sum.wrapping_add(cents), |sum, cents| sum.wrapping_sub(cents))
        .to_stream()
        .map_values(|sum| sum.map(|sum| sum.to_string()))
        .to(&OUT);
    builder.build().unwrap()
}

/// Each record of the input to one of `topics`: the upper bits of its flags choose.
fn through(topology: fn() -> Topology, topics: &[String], input: &[u8]) -> Verdict {
    let driver = driver(topology()).map_err(|error| error.to_string())?;
    // So many records that the application keeps what is too late, and no more.
    for record in records(input).iter().take(100) {
        let topic = &topics[usize::from(record.flags >> 5) % topics.len()];
        let key = (record.flags & 16 == 0).then_some(record.key);
        // As in Kafka Streams a negative timestamp in a repartition topic stops the task: nobody else may write there.
        if record.timestamp < 0 && topic.starts_with("test-") {
            continue;
        }
        let piped = driver.pipe_raw(topic, key, record.value, record.timestamp, record.headers.clone());
        piped.map_err(|error| format!("{topic}: {error}"))?;
    }
    driver.flush_stores().map_err(|error| error.to_string())?;
    Ok(!driver.produced("out").is_empty())
}

fn global_files() -> Vec<Vec<u8>> {
    let files =
        ["0\n2\nrates 0 2\nrates 1 1\n", "0\n2\nrates 0 0\nrates 1 0\n", "0\n1\nrates 0 2\n", "0\n0\n"];
    let far = "0\n2\nrates 0 9223372036854775807\nrates 1 9223372036854775807\n";
    files.into_iter().chain([far]).map(|text| text.as_bytes().to_vec()).collect()
}

/// Whatever the file says, the application looks up the rows that the topic has, also those that came while it was away.
fn global_file(input: &[u8], _: &mut Meter) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let kafka = EmbeddedKafka::new(SystemClock);
    for topic in ["rates", "asked", "out"] {
        kafka.create_topic(topic, 2).unwrap();
    }
    let rate = |partition, key: &str, value: &str| {
        kafka.produce("rates", Some(partition), Some(key.as_bytes()), Some(value.as_bytes()), 0).unwrap();
    };
    rate(0, "a", "1");
    rate(0, "b", "2");
    rate(1, "c", "3");
    let engines = Arc::new(KeptEngines::default());
    looked_up(&kafka, &folder, &engines, "a", "1")?;
    let file = folder.path().join("app/global/.checkpoint");
    let written = std::fs::read(&file).unwrap();
    std::fs::write(&file, input).unwrap();
    rate(1, "c", "4");
    looked_up(&kafka, &folder, &engines, "c", "4")?;
    looked_up(&kafka, &folder, &engines, "b", "2")?;
    Ok(input == written)
}

/// Starts the application, asks for `key` and ends it.
fn looked_up(
    kafka: &EmbeddedKafka,
    folder: &tempfile::TempDir,
    engines: &Arc<KeptEngines>,
    key: &str,
    expected: &str,
) -> Result<(), String> {
    let builder = StreamsBuilder::new();
    let rates = builder.global_table(&RATES);
    builder.stream(&ASKED).join_global(&rates, |_, key| key.clone(), |_, rate| Some(rate.clone())).to(&OUT);
    let mut config = StreamsConfig::new("app", ProcessingGuarantee::AtLeastOnce);
    config.state_dir = folder.path().to_owned();
    let text = |error: StreamsError| error.to_string();
    let mut streams =
        KafkaStreams::new(builder.build().unwrap(), config, Arc::new(kafka.clone())).map_err(text)?;
    streams.set_engines(engines.clone());
    let answers =
        || kafka.read_all("out", true).unwrap().into_iter().map(|record| record.value).collect::<Vec<_>>();
    let before = answers().len();
    kafka.produce("asked", Some(0), Some(b"k"), Some(key.as_bytes()), 0).unwrap();
    streams.start().map_err(text)?;
    let deadline = Instant::now() + PATIENCE;
    while answers().len() == before {
        if streams.state() == State::Error || Instant::now() > deadline {
            return Err(format!("no answer, {:?}: {:?}", streams.state(), streams.error()));
        }
        std::thread::yield_now();
    }
    streams.close(PATIENCE).map_err(text)?;
    match answers().pop().flatten() {
        Some(answer) if answer == expected.as_bytes() => Ok(()),
        other => Err(format!("`{key}` is {:?}, not {expected}", other.map(|bytes| crate::hex(&bytes)))),
    }
}

/// Engines that are there when the application starts again.
#[derive(Default)]
struct KeptEngines(Mutex<BTreeMap<(PathBuf, String), Opener>>);

impl EngineProvider for KeptEngines {
    fn open(&self, directory: &Path, stores: &[&str]) -> Result<Vec<Box<dyn Engine>>, StateError> {
        let mut kept = self.0.lock().unwrap();
        let mut open = |store: &&str| {
            let place = (directory.to_owned(), (*store).to_owned());
            kept.entry(place).or_insert_with(kept_map)()
        };
        Ok(stores.iter().map(&mut open).collect())
    }

    fn name(&self) -> &'static str {
        "kept"
    }
}
