//! Writing the input of an example, as any producer would, from a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kstreams::client::{
    ClientSupplier, Deliveries, Fault, ProduceRecord, Producer, ProducerSettings, TopicHandle,
};
use kstreams::types::Headers;

use super::{App, Failure};

const TIMEOUT: Duration = Duration::from_secs(30);

/// How far the writing of an input has come, in units (words, orders) and bytes. Clones share it.
#[derive(Clone)]
pub struct Feed(Arc<State>);

struct State {
    units: AtomicU64,
    bytes: AtomicU64,
    size: Option<u64>,
    done: AtomicBool,
    stop: AtomicBool,
    error: Mutex<Option<Failure>>,
    ahead_max: u64,
    processed: Mutex<u64>,
    changed: Condvar,
}

impl Feed {
    /// A feed that writes nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(Some(0), 0, true)
    }

    /// Runs `write` in a thread, with a feeder of its own. `size`: bytes to come, if known. `ahead_max`: how many units may be written before
    /// their results are seen.
    pub fn start(
        app: &App,
        size: Option<u64>,
        ahead_max: u64,
        write: impl FnOnce(&Feed, &mut Feeder) -> Result<(), Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let feed = Self::new(size, ahead_max, false);
        let inside = feed.clone();
        let (clients, client_id) = (app.clients.clone(), client_id(app));
        std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            let written = Feeder::connect(&*clients, client_id).and_then(|mut feeder| {
                write(&inside, &mut feeder)?;
                feeder.flush()
            });
            if let Err(error) = written {
                *inside.0.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            inside.0.done.store(true, SeqCst);
        })?;
        Ok(feed)
    }

    fn new(size: Option<u64>, ahead_max: u64, done: bool) -> Self {
        Self(Arc::new(State {
            units: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            size,
            done: AtomicBool::new(done),
            stop: AtomicBool::new(false),
            error: Mutex::new(None),
            ahead_max,
            processed: Mutex::new(0),
            changed: Condvar::new(),
        }))
    }

    /// The writer has written `units` more, from `bytes` bytes of input. Waits while it is too far ahead.
    pub fn advance(&self, units: u64, bytes: u64) {
        let written = self.0.units.fetch_add(units, SeqCst) + units;
        self.0.bytes.fetch_add(bytes, SeqCst);
        let processed = self.0.processed.lock().unwrap_or_else(PoisonError::into_inner);
        let too_far = |processed: &mut u64| written > *processed + self.0.ahead_max && !self.stopped();
        // A poisoned lock means that the reader panicked: the process ends.
        drop(self.0.changed.wait_while(processed, too_far));
    }

    /// The reader has seen the results of `units` in all.
    pub fn processed(&self, units: u64) {
        *self.0.processed.lock().unwrap_or_else(PoisonError::into_inner) = units;
        self.0.changed.notify_all();
    }

    /// Tells the writer to end.
    pub fn stop(&self) {
        self.0.stop.store(true, SeqCst);
        self.0.changed.notify_all();
    }

    /// Whether the writer should end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.0.stop.load(SeqCst)
    }

    /// Whether everything is written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.done.load(SeqCst)
    }

    /// Units written.
    #[must_use]
    pub fn fed(&self) -> u64 {
        self.0.units.load(SeqCst)
    }

    /// Units in all: exact once everything is written, before that an estimate from the bytes; `None` without a size.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        let (units, bytes) = (self.fed(), self.0.bytes.load(SeqCst));
        match self.0.size {
            _ if self.is_done() => Some(units),
            Some(size) if bytes > 0 => Some((units as f64 * size as f64 / bytes as f64) as u64),
            Some(_) | None => None,
        }
    }

    /// The error that ended the writer, once.
    pub fn take_error(&self) -> Option<Failure> {
        self.0.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Writes records; takes acknowledgements as they come.
pub struct Feeder {
    producer: Box<dyn Producer>,
    deliveries: Deliveries,
}

/// A topic that a feeder writes.
#[derive(Clone, Copy)]
pub struct Target {
    handle: TopicHandle,
    partitions: i32,
    next: i32,
}

impl Feeder {
    /// A producer of its own, without transactions.
    pub fn new(app: &App) -> Result<Self, Failure> {
        Self::connect(&*app.clients, client_id(app))
    }

    fn connect(clients: &dyn ClientSupplier, client_id: String) -> Result<Self, Failure> {
        let producer = clients.producer(&ProducerSettings { client_id, ..ProducerSettings::default() })?;
        Ok(Self { producer, deliveries: Deliveries::default() })
    }

    /// Names a topic to write.
    pub fn target(&mut self, topic: &str) -> Result<Target, Failure> {
        let partitions = self.producer.partitions(topic, TIMEOUT)?;
        Ok(Target { handle: self.producer.topic(topic)?, partitions, next: 0 })
    }

    /// Writes a record. Without a key, the partitions take turns.
    pub fn send(&mut self, target: &mut Target, key: Option<&[u8]>, value: &[u8]) -> Result<(), Failure> {
        let partition = match key {
            Some(key) => kstreams::partitioner::partition_for_key(key, target.partitions),
            None => {
                target.next = (target.next + 1) % target.partitions;
                target.next
            }
        };
        let headers = Headers::EMPTY;
        let (topic, timestamp) = (target.handle, Some(now()));
        loop {
            let record =
                ProduceRecord { topic, partition, timestamp, key, value: Some(value), headers: &headers };
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(error) if error.fault == Fault::QueueFull => {
                    self.producer.drain(&mut self.deliveries, Duration::from_millis(100));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Hands over what waits for more to come: before a wait for input that may be long.
    pub fn push(&mut self) {
        self.producer.drain(&mut self.deliveries, Duration::ZERO);
    }

    /// Waits until everything is written.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.producer.flush(&mut self.deliveries, TIMEOUT)?;
        match self.deliveries.failure.take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn client_id(app: &App) -> String {
    format!("{}-feeder", app.config.application_id)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
