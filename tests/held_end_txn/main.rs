//! The EndTxn rule on the wire: a commit is held, its connection cut, the client tries again and goes on, and then the first copy
//! arrives inside the next transaction. A producer that goes on as it was loses here: the broker ends its new transaction, half of a
//! batch is visible, and is processed again. An application must come out as if nothing had happened, and each late copy be refused.
//!
//! `HELD_END_TXN=N` holds N frames (10 unless set). Says SKIPPED if there can be no broker, and fails then if `CI=true`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test without libtest's harness")]

#[path = "../broker/mod.rs"]
mod broker;
mod proxy;
#[path = "../conformance/support.rs"]
#[allow(dead_code, reason = "what the cases of the conformance suite are made of")]
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use kstreams::client::rdkafka::RdKafka;
use kstreams::config::{ProcessingGuarantee, StreamsConfig};
use kstreams::dsl::StreamsBuilder;
use kstreams::runtime::KafkaStreams;
use kstreams::topic::{Store, Topic};
use proxy::Proxy;
use support::{Committed, WAIT, Writer, create_with, eventually, read};

const WORDS: Topic<String, String> = Topic::new("words");
const COUNTS: Topic<String, i64> = Topic::new("counts");
const STORE: Store<String, i64> = Store::new("count-store");

/// Keys of the input, each once in a batch.
const KEYS: usize = 5;

fn main() -> ExitCode {
    let frames = std::env::var("HELD_END_TXN").map_or(10, |frames| frames.parse().expect("a number"));
    let proxy = Proxy::start().unwrap();
    match Broker::start(Some(proxy.port)) {
        Ok(broker) => {
            proxy.connect_to(&broker.address);
            hold(&proxy, frames);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("SKIPPED held EndTxn: {reason}");
            ExitCode::from(u8::from(std::env::var("CI").is_ok_and(|value| value == "true")))
        }
    }
}

/// Counts words while `frames` commits are held, one after the other.
fn hold(proxy: &Proxy, frames: usize) {
    let kafka = RdKafka::new(format!("127.0.0.1:{}", proxy.port), BTreeMap::new());
    [WORDS.name(), COUNTS.name()].into_iter().for_each(|topic| create_with(&kafka, topic, 1, &[]));
    let folder = tempfile::tempdir().unwrap();
    let mut streams = start(&kafka, &folder);
    let (mut writer, mut written) = (Writer::plain(&kafka), 0);
    while proxy.held().answers.len() < frames {
        let answers = proxy.held().answers.len();
        proxy.hold_next();
        eventually("the late frame", || {
            (0..KEYS).for_each(|key| writer.send(WORDS.name(), 0, &format!("k{key}"), "word"));
            writer.flush();
            written += 1;
            (proxy.held().answers.len() > answers).then_some(())
        });
    }
    let all = KEYS * written as usize;
    eventually("all results", || {
        (results(&kafka).values().map(Vec::len).sum::<usize>() >= all).then_some(())
    });
    streams.close(WAIT).unwrap();
    let expected: Counts = (0..KEYS).map(|key| (format!("k{key}"), (1..=written).collect())).collect();
    assert_eq!(results(&kafka), expected);
    let held = proxy.held();
    let torn = held.answers.iter().filter(|code| **code == 0).count();
    println!("held EndTxn: {} kept, {} late, {torn} taken by the broker", held.kept, held.answers.len());
    assert_eq!(torn, 0, "answers: {:?}", held.answers);
}

fn start(kafka: &RdKafka, folder: &tempfile::TempDir) -> KafkaStreams {
    let builder = StreamsBuilder::new();
    builder.stream(&WORDS).group_by_key().count_with(&STORE).to_stream().to(&COUNTS);
    let mut config = StreamsConfig::new("held", ProcessingGuarantee::ExactlyOnceV2);
    config.state_dir = folder.path().to_owned();
    config.commit_interval = Duration::from_millis(20);
    // Each record is a result, so that one that is lost or counted twice shows.
    config.statestore_cache_max_bytes = 0;
    let mut streams = KafkaStreams::new(builder.build().unwrap(), config, Arc::new(kafka.clone())).unwrap();
    streams.start().unwrap();
    streams
}

/// The counts of each key, in order.
type Counts = BTreeMap<String, Vec<i64>>;

fn results(kafka: &RdKafka) -> Counts {
    let mut counts = Counts::new();
    for record in read(kafka, COUNTS.name(), Committed) {
        let key = String::from_utf8(record.key.unwrap()).unwrap();
        let count = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
        counts.entry(key).or_default().push(count);
    }
    counts
}
