//! A reader that follows the committed outputs: of each partition it knows how new its newest record is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use kstreams::client::rdkafka::RdKafka;
use kstreams::client::{RecordSink, Slot};
use kstreams::record::RawRecord;
use kstreams::types::TopicPartition;

use crate::support::{Committed, LOOK, reader};

/// Follows from its start until it is dropped.
pub(crate) struct Watch {
    newest: Arc<Mutex<BTreeMap<Slot, i64>>>,
    partitions: usize,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Follows all partitions of these topics.
    pub(crate) fn start(kafka: &RdKafka, topics: &[String], partitions: i32) -> Self {
        let assignment: Vec<_> = topics
            .iter()
            .flat_map(|topic| {
                (0..partitions).map(move |partition| TopicPartition::new(topic.as_str(), partition))
            })
            .zip(0..)
            .map(|(partition, slot)| (partition, 0, slot))
            .collect();
        let partitions = assignment.len();
        let (newest, stop) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(AtomicBool::new(false)));
        let (mut sink, stopped, kafka) = (Follower(newest.clone()), stop.clone(), kafka.clone());
        let thread = thread::spawn(move || {
            let mut consumer = reader(&kafka, Committed);
            consumer.assign(&assignment).unwrap();
            while !stopped.load(Ordering::SeqCst) {
                // Brokers come and go: what fails now is read later, and who waits for it has a deadline.
                let _ = consumer.poll(LOOK, &mut sink);
            }
        });
        Self { newest, partitions, stop, thread: Some(thread) }
    }

    /// Whether every partition has a committed record that was fed at `time` or later.
    pub(crate) fn all_since(&self, time: i64) -> bool {
        self.newest.lock().unwrap().values().filter(|newest| **newest >= time).count() == self.partitions
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Follower(Arc<Mutex<BTreeMap<Slot, i64>>>);

impl RecordSink for Follower {
    fn wants(&self, _: Slot) -> bool {
        true
    }

    fn record(&mut self, slot: Slot, record: RawRecord<'_>) {
        let mut newest = self.0.lock().unwrap();
        let newest = newest.entry(slot).or_insert(i64::MIN);
        *newest = record.timestamp.max(*newest);
    }
}
