//! The thread of a producer: takes records and calls from the queue, and acknowledgements from the client.
//!
//! In: [`Job`]s. Out: the fate of each record. It owns the client, makes a new one after a transaction whose outcome is not known,
//! and never waits for records while acknowledgements are due.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::metadata::RecordMetadata;
use super::promise::Resolver;
use super::queue::{Job, Outgoing, Queue};
use super::send_error::SendError;
use super::transaction::Standing;
use crate::client::{
    ClientError, ClientSupplier, Deliveries, Fault, ProduceRecord, Producer, ProducerSettings,
};

/// One wait for acknowledgements: after it the thread looks for new records.
const LOOK: Duration = Duration::from_millis(2);
/// One wait for room in the client.
const ROOM_WAIT: Duration = Duration::from_millis(10);
/// How long the client may take to close, if nobody waits for it.
const CLOSE: Duration = Duration::from_secs(1);

/// A record that the client has.
struct InFlight {
    topic: Arc<str>,
    partition: i32,
    bytes: u64,
    fate: Resolver<Result<RecordMetadata, SendError>>,
}

/// What the thread holds.
pub(super) struct Worker {
    supplier: Arc<dyn ClientSupplier>,
    pub(super) settings: ProducerSettings,
    /// `None` after an unknown outcome, until the next transaction begins.
    pub(super) producer: Option<Box<dyn Producer>>,
    queue: Arc<Queue>,
    pub(super) deliveries: Deliveries,
    in_flight: HashMap<u32, InFlight>,
    /// Records that the client accepted (wraps).
    number: u32,
    pub(super) standing: Standing,
    /// The first failure since somebody was told.
    pub(super) failure: Option<SendError>,
    delivery_timeout: Duration,
    /// Whether anybody says at which offset a record is: not with `acks=0`.
    acknowledged: bool,
}

impl Worker {
    /// Makes the client.
    pub(super) fn new(
        supplier: Arc<dyn ClientSupplier>,
        settings: ProducerSettings,
        queue: Arc<Queue>,
        delivery_timeout: Duration,
    ) -> Result<Self, ClientError> {
        let producer = Some(supplier.producer(&settings)?);
        let acknowledged = settings.properties.get("acks").is_none_or(|acks| acks != "0");
        Ok(Self {
            supplier,
            settings,
            producer,
            queue,
            deliveries: Deliveries { each: Some(Vec::new()), ..Deliveries::default() },
            in_flight: HashMap::new(),
            number: 0,
            standing: Standing::Fresh,
            failure: None,
            delivery_timeout,
            acknowledged,
        })
    }

    /// Works until the queue is closed and empty, then sees to it that what was sent arrives.
    pub(super) fn run(mut self) {
        while let Some(jobs) = self.queue.take(self.in_flight.is_empty()) {
            let nothing = jobs.is_empty();
            for job in jobs {
                match job {
                    Job::Send(record) => self.send(record),
                    Job::Call(call) => call(&mut self),
                }
            }
            self.drain(if nothing { LOOK } else { Duration::ZERO });
        }
        self.finish(self.delivery_timeout);
    }

    /// The client; a new one if there is none.
    pub(super) fn client(&mut self) -> Result<&mut Box<dyn Producer>, ClientError> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                self.number = 0;
                self.supplier.producer(&self.settings)?
            }
        };
        Ok(self.producer.insert(producer))
    }

    fn send(&mut self, record: Outgoing) {
        let sent = loop {
            match self.try_send(&record) {
                Err(error) if error.fault == Fault::QueueFull => self.drain(ROOM_WAIT),
                sent => break sent,
            }
        };
        let Outgoing { topic, partition, bytes, fate, .. } = record;
        let record = InFlight { topic, partition, bytes, fate };
        match sent {
            Ok(()) => {
                self.in_flight.insert(self.number, record);
                self.number = self.number.wrapping_add(1);
            }
            Err(error) => {
                self.settle(record, Err(error));
            }
        }
    }

    fn try_send(&mut self, record: &Outgoing) -> Result<(), ClientError> {
        let Some(producer) = &mut self.producer else {
            let message = "the outcome of its transaction is not known";
            return Err(ClientError::new(Fault::AbortTransaction, "send", message));
        };
        let topic = producer.topic(&record.topic)?;
        producer.send(ProduceRecord {
            topic,
            partition: record.partition,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
        })
    }

    /// Takes acknowledgements; waits up to `timeout` for the first.
    pub(super) fn drain(&mut self, timeout: Duration) {
        if let Some(producer) = &mut self.producer {
            producer.drain(&mut self.deliveries, timeout);
        }
        self.settle_deliveries();
    }

    /// Tells the fate of all records whose report has come.
    pub(super) fn settle_deliveries(&mut self) {
        self.deliveries.acked.clear();
        self.deliveries.failure = None;
        let each = self.deliveries.each.as_mut().map(std::mem::take).unwrap_or_default();
        let mut bytes = 0;
        for delivery in each {
            if let Some(record) = self.in_flight.remove(&delivery.number) {
                bytes += self.tell(record, delivery.offset);
            }
        }
        if bytes > 0 {
            self.queue.release(bytes);
        }
    }

    fn settle(&mut self, record: InFlight, answer: Result<i64, ClientError>) {
        let bytes = self.tell(record, answer);
        self.queue.release(bytes);
    }

    /// Tells the fate of a record; gives the room that it took.
    fn tell(&mut self, record: InFlight, answer: Result<i64, ClientError>) -> u64 {
        let InFlight { topic, partition, bytes, fate } = record;
        let answer = match answer {
            Ok(offset) => {
                let known = self.acknowledged && offset >= 0;
                Ok(RecordMetadata { topic, partition, offset: known.then_some(offset) })
            }
            Err(source) => {
                let error = SendError::NotDelivered { topic, partition, source };
                self.failure.get_or_insert(error.clone());
                Err(error)
            }
        };
        fate.resolve(answer);
        bytes
    }

    /// Gives up what is in flight, because of `why`.
    pub(super) fn give_up(&mut self, why: &ClientError) {
        self.settle_deliveries();
        for (_, record) in std::mem::take(&mut self.in_flight) {
            self.settle(record, Err(why.clone()));
        }
    }

    /// Waits until everything that was queued before is acknowledged: how many are not.
    pub(super) fn flush(&mut self, timeout: Duration) -> Result<usize, ClientError> {
        let flushed = match &mut self.producer {
            Some(producer) => producer.flush(&mut self.deliveries, timeout),
            None => Ok(()),
        };
        self.settle_deliveries();
        match flushed {
            Err(error) if self.in_flight.is_empty() => Err(error),
            Ok(()) | Err(_) => Ok(self.in_flight.len()),
        }
    }

    /// The first failure since somebody was told. In a transaction it stays: that cannot commit any more.
    pub(super) fn told_failure(&mut self) -> Option<SendError> {
        if self.standing == Standing::Open { self.failure.clone() } else { self.failure.take() }
    }

    /// The partitions of a topic.
    pub(super) fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        self.client()?.partitions(topic, timeout)
    }

    /// Closes the client within `timeout`, after what was sent is acknowledged; how many records are not.
    pub(super) fn finish(&mut self, timeout: Duration) -> usize {
        let deadline = deadline_after(timeout);
        if self.standing == Standing::Open {
            // Its records do not count in any case.
            let _ = self.abort(deadline);
        }
        let left = match self.in_flight.is_empty() {
            true => 0,
            false => self.flush(remaining(deadline)).unwrap_or(self.in_flight.len()),
        };
        let why =
            ClientError::new(Fault::Unknown, "close", "the producer was closed before it was acknowledged");
        self.give_up(&why);
        if let Some(mut producer) = self.producer.take() {
            producer.close(remaining(deadline).min(CLOSE));
        }
        left
    }
}

impl Drop for Worker {
    /// However the thread ends, nobody waits for it.
    fn drop(&mut self) {
        self.queue.end();
    }
}

/// The end of `timeout`, which may be for ever.
pub(super) fn deadline_after(timeout: Duration) -> Instant {
    const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
    Instant::now() + timeout.min(FOR_EVER)
}

/// Time until `deadline`.
pub(super) fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
