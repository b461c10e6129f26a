//! Numbered records for the input of a scene, at a steady rate, each with the time at which it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kstreams::client::Fault;
use kstreams::client::rdkafka::RdKafka;
use kstreams::types::Headers;

use crate::model::{Random, Workload};
use crate::support::Writer;

/// How often a handful of records is sent.
const BEAT: Duration = Duration::from_millis(10);

/// What is fed.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Which records.
    pub(crate) workload: Workload,
    /// Topic and its number of partitions.
    pub(crate) topic: (String, i32),
    /// Different keys.
    pub(crate) keys: u64,
    /// Records a second.
    pub(crate) rate: u64,
    /// Decides about keys and values.
    pub(crate) seed: u64,
}

/// A thread that feeds until it is stopped.
pub(crate) struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Feed {
    /// Begins with record number `from`.
    pub(crate) fn start(kafka: &RdKafka, load: Load, from: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, kafka) = (stop.clone(), kafka.clone());
        let thread = thread::spawn(move || {
            let mut writer = Writer::plain(&kafka);
            let mut random = Random(load.seed.wrapping_add(from));
            let (begin, mut sent) = (Instant::now(), from);
            while !stopped.load(Ordering::SeqCst) {
                let due = from + begin.elapsed().as_millis() as u64 * load.rate / 1000;
                while sent < due && !stopped.load(Ordering::SeqCst) {
                    sent += 1;
                    send(&mut writer, &load, sent, &mut random);
                }
                writer.producer.drain(&mut writer.deliveries, Duration::ZERO);
                thread::park_timeout(BEAT);
            }
            writer.flush();
            sent
        });
        Self { stop, thread }
    }

    /// Ends it. All that was sent has arrived. Out: the last record's number.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// The time that a record gets now.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn send(writer: &mut Writer, load: &Load, number: u64, random: &mut Random) {
    let (partition, key, value) = load.workload.record(number, load.topic.1, load.keys, random);
    loop {
        let record = (Some(key.as_bytes()), Some(value.as_bytes()), Some(now()));
        match writer.try_send(&load.topic.0, partition, record, &Headers::EMPTY) {
            Ok(()) => return,
            Err(error) if error.fault == Fault::QueueFull => {
                writer.producer.drain(&mut writer.deliveries, Duration::from_millis(20));
            }
            Err(error) => panic!("the feed cannot send: {error}"),
        }
    }
}
