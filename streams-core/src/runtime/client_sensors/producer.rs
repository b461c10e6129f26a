//! A producer that measures: `producer-metrics`, `producer-topic-metrics`, `producer-node-metrics`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use streams_state::types::{Timestamp, TopicPartition};

use super::network::{NetworkSensors, sums, throttled};
use super::{Client, ClientScope, grown};
use crate::client::{
    Amount, ClientError, CommittedOffset, Deliveries, GroupMetadata, NetworkStatistics, ProduceRecord,
    Producer, ProducerStatistics, SentStatistics, TopicHandle,
};
use crate::metrics::catalogue::clients::producer as specs;
use crate::metrics::{Batch, Metrics, Sensor};
use crate::runtime::figures::EVERY_MS;
use crate::runtime::thread_sensors::Gathered;

/// A producer whose calls are timed, but for [`send`](Producer::send) and [`drain`](Producer::drain), and which is asked for its statistics
/// now and then.
pub(crate) struct MeteredProducer {
    producer: Box<dyn Producer>,
    clock: fn() -> u64,
    shown_at: Option<Timestamp>,
    /// None once it is closed: another one of its name may come.
    sensors: Option<ProducerSensors>,
}

/// Calls as their sensors are numbered.
#[derive(Clone, Copy)]
enum Call {
    Flush = 0,
    Metadata = 1,
    Init = 2,
    Begin = 3,
    SendOffsets = 4,
    Commit = 5,
    Abort = 6,
}

struct ProducerSensors {
    client: Client,
    _scopes: Vec<ClientScope>,
    /// Ns, of each [`Call`].
    calls: [Gathered; 7],
    records: Sensor,
    errors: Sensor,
    record_size: Sensor,
    batch_size: Sensor,
    queue_time: Sensor,
    /// With the requests and the records that were sent when the last news came.
    per_request: (Sensor, u64, u64),
    throttle: Sensor,
    in_flight: Sensor,
    buffer_total: Sensor,
    buffer_available: Sensor,
    metadata_age: Sensor,
    network: NetworkSensors,
    topics: BTreeMap<Arc<str>, TopicSensors>,
}

struct TopicSensors {
    _scope: ClientScope,
    records: Sensor,
    errors: Sensor,
    bytes: Sensor,
    before: SentStatistics,
}

impl MeteredProducer {
    /// Measures `producer`, which is called `client_id` and was made at `now`; calls are timed with `clock`, ns.
    pub(crate) fn new(
        producer: Box<dyn Producer>,
        metrics: &Arc<Metrics>,
        client_id: &str,
        (now, clock): (Timestamp, fn() -> u64),
    ) -> Self {
        let sensors = Some(ProducerSensors::new(Client::new(metrics, client_id), now));
        Self { producer, clock, shown_at: None, sensors }
    }

    /// It is `now`: shows what it did, if it is time to.
    pub(crate) fn show(&mut self, now: Timestamp) {
        let Some(sensors) = &mut self.sensors else { return };
        if self.shown_at.is_none_or(|at| (now - at).abs() >= EVERY_MS) {
            self.shown_at = Some(now);
            sensors.show(&self.producer.statistics(), now);
        }
    }

    fn timed<T>(&mut self, call: Call, work: impl FnOnce(&mut dyn Producer) -> T) -> T {
        let began = (self.clock)();
        let answer = work(&mut *self.producer);
        let took = (self.clock)().saturating_sub(began);
        let calls = self.sensors.as_mut().map(|sensors| &mut sensors.calls);
        if let Some(sensor) = calls.and_then(|calls| calls.get_mut(call as usize)) {
            sensor.add(took as f64);
        }
        answer
    }
}

impl ProducerSensors {
    fn new(client: Client, now: Timestamp) -> Self {
        let calls = [
            &specs::FLUSH_TIME,
            &specs::METADATA_WAIT_TIME,
            &specs::TXN_INIT_TIME,
            &specs::TXN_BEGIN_TIME,
            &specs::TXN_SEND_OFFSETS_TIME,
            &specs::TXN_COMMIT_TIME,
            &specs::TXN_ABORT_TIME,
        ];
        let told = [
            &specs::RECORD_SEND,
            &specs::RECORD_ERROR,
            &specs::RECORD_SIZE,
            &specs::BATCH_SIZE,
            &specs::RECORD_QUEUE_TIME,
            &specs::RECORDS_PER_REQUEST,
            &specs::PRODUCE_THROTTLE,
            &specs::REQUESTS_IN_FLIGHT,
            &specs::BUFFER_TOTAL,
            &specs::BUFFER_AVAILABLE,
            &specs::METADATA_AGE,
        ];
        let (own, (network, calls, told)) = client.scope(specs::GROUP, &[], |scope| {
            let network = NetworkSensors::new(&client, scope, specs::NODE_GROUP).with_latency(scope);
            (network, calls.map(|spec| Gathered::new(scope, spec)), told.map(|spec| scope.sensor(spec)))
        });
        let [records, errors, record_size, batch_size, queue_time, per_request, rest @ ..] = told;
        let [throttle, in_flight, buffer_total, buffer_available, metadata_age] = rest;
        let scopes = client.app_info(now).into_iter().chain([own]).collect();
        Self {
            client,
            _scopes: scopes,
            calls,
            records,
            errors,
            record_size,
            batch_size,
            queue_time,
            per_request: (per_request, 0, 0),
            throttle,
            in_flight,
            buffer_total,
            buffer_available,
            metadata_age,
            network,
            topics: BTreeMap::new(),
        }
    }

    fn show(&mut self, told: &ProducerStatistics, now: Timestamp) {
        self.calls.iter_mut().for_each(|call| call.flush(now));
        self.show_topics(&told.topics, now);
        if let Some(buffer) = &told.buffer {
            self.buffer_total.record(buffer.total_bytes as f64, now);
            self.buffer_available.record(buffer.total_bytes.saturating_sub(buffer.used_bytes) as f64, now);
        }
        if let Some(age) = told.metadata_age {
            self.metadata_age.record(age.as_secs_f64().floor(), now);
        }
        self.batch_size.record_batch(told.batch_bytes, now);
        self.queue_time.record_batch(told.queue_ms, now);
        if let Some(network) = &told.network {
            let sent = told.topics.values().map(|sent| sent.amount.records).sum();
            self.show_network(network, sent, now);
        }
    }

    fn show_topics(&mut self, told: &BTreeMap<Arc<str>, SentStatistics>, now: Timestamp) {
        let (mut all, mut failed) = (Amount::default(), 0);
        for (topic, told) in told {
            if !self.topics.contains_key(topic) {
                let specs = [&specs::RECORD_SEND, &specs::RECORD_ERROR, &specs::BYTE];
                let (scope, [records, errors, bytes]) =
                    self.client.scope(specs::TOPIC_GROUP, &[("topic", topic)], |scope| {
                        specs.map(|it| scope.sensor(it))
                    });
                let before = SentStatistics::default();
                self.topics
                    .insert(topic.clone(), TopicSensors { _scope: scope, records, errors, bytes, before });
            }
            let Some(topic) = self.topics.get_mut(topic) else { continue };
            let since = Amount {
                records: grown(&mut topic.before.amount.records, told.amount.records),
                bytes: grown(&mut topic.before.amount.bytes, told.amount.bytes),
            };
            let errors = grown(&mut topic.before.errors, told.errors);
            topic.records.record_batch(sums(since.records, since.records as f64), now);
            topic.bytes.record_batch(sums(since.records, since.bytes as f64), now);
            topic.errors.record_batch(Batch::events(errors), now);
            all.add(since);
            failed += errors;
        }
        self.records.record_batch(sums(all.records, all.records as f64), now);
        self.record_size.record_batch(sums(all.records, all.bytes as f64), now);
        self.errors.record_batch(Batch::events(failed), now);
    }

    fn show_network(&mut self, told: &NetworkStatistics, sent: u64, now: Timestamp) {
        let all = self.network.show(told, now);
        self.in_flight.record(all.in_flight as f64, now);
        let (per_request, requests, records) = &mut self.per_request;
        let requests = grown(requests, all.kinds.produce);
        if requests > 0 {
            per_request.record_batch(sums(requests, grown(records, sent) as f64), now);
            self.throttle.record_batch(throttled(all.throttle_ms, requests), now);
        }
    }
}

impl Producer for MeteredProducer {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        self.producer.topic(topic)
    }

    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        self.timed(Call::Metadata, |producer| producer.partitions(topic, timeout))
    }

    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        self.producer.send(record)
    }

    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        self.producer.drain(deliveries, timeout);
    }

    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        self.timed(Call::Flush, |producer| producer.flush(deliveries, timeout))
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.timed(Call::Init, |producer| producer.init_transactions(timeout))
    }

    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        self.timed(Call::Begin, |producer| producer.begin_transaction())
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.timed(Call::SendOffsets, |producer| producer.send_offsets(offsets, group, timeout))
    }

    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.timed(Call::Commit, |producer| producer.commit_transaction(deliveries, timeout))
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.timed(Call::Abort, |producer| producer.abort_transaction(timeout))
    }

    fn statistics(&mut self) -> ProducerStatistics {
        self.producer.statistics()
    }

    fn close(&mut self, timeout: Duration) {
        self.sensors = None;
        self.producer.close(timeout);
    }
}
