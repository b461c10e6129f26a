//! A consumer that measures: `consumer-metrics`, `consumer-coordinator-metrics`, `consumer-fetch-manager-metrics`, `consumer-node-metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use streams_state::types::{Timestamp, TopicPartition};

use super::network::{NetworkSensors, sums, throttled};
use super::{Client, ClientScope, grown};
use crate::client::{
    Amount, ClientError, CommittedOffset, Consumer, ConsumerStatistics, GroupMetadata, NetworkStatistics,
    OffsetSpec, PartitionStatistics, Polled, RebalanceEvent, RecordSink, Slot, Waker,
};
use crate::metrics::catalogue::clients::consumer as specs;
use crate::metrics::{Batch, MetricValue, Metrics, Scope, Sensor};
use crate::runtime::figures::EVERY_MS;
use crate::runtime::thread_sensors::Gathered;

/// Stands for "never" in the cells of moments.
const NEVER: i64 = i64::MIN;

/// A consumer whose calls are timed, and which is asked for its statistics now and then.
pub(crate) struct MeteredConsumer {
    consumer: Box<dyn Consumer>,
    clock: fn() -> u64,
    now: Timestamp,
    shown_at: Option<Timestamp>,
    /// When the last poll began, ns.
    polled_at: Option<u64>,
    /// A step of a rebalance that waits for its answer, and since when, ns.
    step: Option<(Step, u64)>,
    /// When a rebalance began that has not ended, ns.
    rebalancing: Option<u64>,
    sensors: ConsumerSensors,
}

/// Steps of a rebalance as their sensors are numbered.
#[derive(Clone, Copy)]
enum Step {
    Assigned = 0,
    Revoked = 1,
    Lost = 2,
}

struct ConsumerSensors {
    client: Client,
    _scopes: Vec<ClientScope>,
    last_poll: Arc<AtomicI64>,
    last_rebalance: Arc<AtomicI64>,
    assigned: Arc<AtomicU64>,
    time_between_poll: Gathered,
    poll_idle_ratio: Gathered,
    commit_sync_time: Gathered,
    committed_time: Gathered,
    commit: Gathered,
    rebalance: Gathered,
    rebalance_latency: Gathered,
    steps: [Gathered; 3],
    heartbeat: (Sensor, u64),
    records: Sensor,
    bytes: Sensor,
    fetch: (Sensor, u64),
    fetch_records: Sensor,
    fetched: Amount,
    fetch_throttle: Sensor,
    lag_max: Sensor,
    lead_min: Sensor,
    network: NetworkSensors,
    topics: BTreeMap<Arc<str>, TopicSensors>,
    partitions: BTreeMap<TopicPartition, PartitionSensors>,
}

struct TopicSensors {
    _scope: ClientScope,
    records: Sensor,
    bytes: Sensor,
    before: Amount,
}

/// Each with the scope that registers it, as soon as its number is known.
struct PartitionSensors {
    _replica: ClientScope,
    read_replica: Arc<AtomicI64>,
    lag: Option<(ClientScope, Sensor)>,
    lead: Option<(ClientScope, Sensor)>,
}

impl MeteredConsumer {
    /// Measures `consumer`, which is called `client_id` and was made at `now`; calls are timed with `clock`, ns.
    pub(crate) fn new(
        consumer: Box<dyn Consumer>,
        metrics: &Arc<Metrics>,
        client_id: &str,
        (now, clock): (Timestamp, fn() -> u64),
    ) -> Self {
        let sensors = ConsumerSensors::new(Client::new(metrics, client_id), now);
        Self { consumer, clock, now, shown_at: None, polled_at: None, step: None, rebalancing: None, sensors }
    }

    /// It is `now`: shows what it did, if it is time to.
    pub(crate) fn show(&mut self, now: Timestamp) {
        self.now = now;
        if self.shown_at.is_none_or(|at| (now - at).abs() >= EVERY_MS) {
            self.shown_at = Some(now);
            let told = self.consumer.statistics();
            self.sensors.show(told, now);
        }
    }

    fn since(&self, began: u64) -> u64 {
        (self.clock)().saturating_sub(began)
    }

    fn begin_poll(&mut self) -> (u64, u64) {
        let began = (self.clock)();
        let between = self.polled_at.map(|at| began.saturating_sub(at));
        self.polled_at = Some(began);
        if let Some(between) = between {
            self.sensors.time_between_poll.add(millis(between));
        }
        self.sensors.last_poll.store(self.now, Relaxed);
        (began, between.unwrap_or(0))
    }

    fn end_poll(&mut self, (began, between): (u64, u64)) {
        let polled = self.since(began);
        if polled + between > 0 {
            self.sensors.poll_idle_ratio.add(polled as f64 / (polled + between) as f64);
        }
    }

    fn note_step(&mut self, event: &RebalanceEvent) {
        let now = (self.clock)();
        let step = match event {
            RebalanceEvent::Assigned(_) => Step::Assigned,
            RebalanceEvent::Revoked(_) => Step::Revoked,
            RebalanceEvent::Lost(_) => Step::Lost,
        };
        match step {
            Step::Assigned => {}
            Step::Revoked | Step::Lost => {
                self.rebalancing.get_or_insert(now);
            }
        }
        self.step = Some((step, now));
    }

    /// The step that waited is answered.
    fn end_step(&mut self) {
        let Some((step, began)) = self.step.take() else { return };
        let took = millis(self.since(began));
        if let Some(sensor) = self.sensors.steps.get_mut(step as usize) {
            sensor.add(took);
        }
    }

    /// An assignment is answered: a rebalance has ended.
    fn end_rebalance(&mut self) {
        self.end_step();
        self.sensors.rebalance.merge(Batch::events(1));
        if let Some(began) = self.rebalancing.take() {
            let took = millis(self.since(began));
            self.sensors.rebalance_latency.add(took);
        }
        self.sensors.last_rebalance.store(self.now, Relaxed);
    }
}

impl ConsumerSensors {
    fn new(client: Client, now: Timestamp) -> Self {
        let [last_poll, last_rebalance] = [(); 2].map(|()| Arc::new(AtomicI64::new(NEVER)));
        let (polled, rebalanced) = (last_poll.clone(), last_rebalance.clone());
        let (own, (network, [time_between_poll, poll_idle_ratio, commit_sync_time, committed_time])) = client
            .scope(specs::GROUP, &[], |scope| {
                scope.gauge(specs::LAST_POLL_SECONDS_AGO, move |now| seconds_ago(&polled, now));
                let gathered = [
                    &specs::TIME_BETWEEN_POLL,
                    &specs::POLL_IDLE_RATIO,
                    &specs::COMMIT_SYNC_TIME,
                    &specs::COMMITTED_TIME,
                ]
                .map(|spec| Gathered::new(scope, spec));
                (NetworkSensors::new(&client, scope, specs::NODE_GROUP), gathered)
            });
        let assigned: Arc<AtomicU64> = Arc::default();
        let shown = assigned.clone();
        let (coordinator, (heartbeat, [commit, rebalance, rebalance_latency], steps)) =
            client.scope(specs::COORDINATOR_GROUP, &[], |scope| {
                scope.number(specs::ASSIGNED_PARTITIONS, move || shown.load(Relaxed) as f64);
                scope.gauge(specs::LAST_REBALANCE_SECONDS_AGO, move |now| seconds_ago(&rebalanced, now));
                let gathered = [&specs::COMMIT, &specs::REBALANCE, &specs::REBALANCE_LATENCY]
                    .map(|spec| Gathered::new(scope, spec));
                let steps = [&specs::PARTITION_ASSIGNED, &specs::PARTITION_REVOKED, &specs::PARTITION_LOST]
                    .map(|spec| Gathered::new(scope, spec));
                (scope.sensor(&specs::HEARTBEAT), gathered, steps)
            });
        let fetching = [
            &specs::RECORDS_CONSUMED,
            &specs::BYTES_CONSUMED,
            &specs::FETCH,
            &specs::FETCH_RECORDS,
            &specs::FETCH_THROTTLE,
            &specs::LAG_MAX,
            &specs::LEAD_MIN,
        ];
        let (fetches, [records, bytes, fetch, fetch_records, fetch_throttle, lag_max, lead_min]) =
            client.scope(specs::FETCH_GROUP, &[], |scope| fetching.map(|spec| scope.sensor(spec)));
        let scopes = client.app_info(now).into_iter().chain([own, coordinator, fetches]).collect();
        Self {
            client,
            _scopes: scopes,
            last_poll,
            last_rebalance,
            assigned,
            time_between_poll,
            poll_idle_ratio,
            commit_sync_time,
            committed_time,
            commit,
            rebalance,
            rebalance_latency,
            steps,
            heartbeat: (heartbeat, 0),
            records,
            bytes,
            fetch: (fetch, 0),
            fetch_records,
            fetched: Amount::default(),
            fetch_throttle,
            lag_max,
            lead_min,
            network,
            topics: BTreeMap::new(),
            partitions: BTreeMap::new(),
        }
    }

    fn show(&mut self, told: ConsumerStatistics, now: Timestamp) {
        let gathered = [
            &mut self.time_between_poll,
            &mut self.poll_idle_ratio,
            &mut self.commit_sync_time,
            &mut self.committed_time,
            &mut self.commit,
            &mut self.rebalance,
            &mut self.rebalance_latency,
        ];
        gathered.into_iter().chain(&mut self.steps).for_each(|gathered| gathered.flush(now));
        self.show_topics(&told.topics, now);
        self.show_partitions(&told.partitions, now);
        if let Some(network) = &told.network {
            self.show_network(network, now);
        }
    }

    fn show_topics(&mut self, told: &BTreeMap<Arc<str>, Amount>, now: Timestamp) {
        let mut all = Amount::default();
        for (topic, amount) in told {
            if !self.topics.contains_key(topic) {
                let specs = [&specs::RECORDS_CONSUMED, &specs::BYTES_CONSUMED];
                let (scope, [records, bytes]) =
                    self.client.scope(specs::FETCH_GROUP, &[("topic", topic)], |scope| {
                        specs.map(|it| scope.sensor(it))
                    });
                let sensors = TopicSensors { _scope: scope, records, bytes, before: Amount::default() };
                self.topics.insert(topic.clone(), sensors);
            }
            let Some(topic) = self.topics.get_mut(topic) else { continue };
            let since = Amount {
                records: grown(&mut topic.before.records, amount.records),
                bytes: grown(&mut topic.before.bytes, amount.bytes),
            };
            record_amount((&topic.records, &topic.bytes), since, now);
            all.add(since);
        }
        record_amount((&self.records, &self.bytes), all, now);
    }

    fn show_partitions(&mut self, told: &[PartitionStatistics], now: Timestamp) {
        self.assigned.store(told.len() as u64, Relaxed);
        let living: BTreeSet<&TopicPartition> = told.iter().map(|told| &told.partition).collect();
        self.partitions.retain(|partition, _| living.contains(partition));
        let (mut lags, mut leads) = (Batch::default(), Batch::default());
        for told in told {
            let TopicPartition { topic, partition } = &told.partition;
            let number = partition.to_string();
            let tags = [("partition", number.as_str()), ("topic", topic)];
            let client = &self.client;
            let sensors = self.partitions.entry(told.partition.clone()).or_insert_with(|| {
                let read_replica = Arc::new(AtomicI64::new(-1));
                let shown = read_replica.clone();
                let (replica, ()) = client.scope(specs::FETCH_GROUP, &tags, |scope| {
                    scope.number(specs::PREFERRED_READ_REPLICA, move || shown.load(Relaxed) as f64);
                });
                PartitionSensors { _replica: replica, read_replica, lag: None, lead: None }
            });
            sensors.read_replica.store(told.read_replica.map_or(-1, i64::from), Relaxed);
            let show =
                |place: &mut Option<(ClientScope, Sensor)>, number: Option<i64>, spec, all: &mut Batch| {
                    let Some(number) = number else { return };
                    let (_, sensor) = place.get_or_insert_with(|| {
                        client.scope(specs::FETCH_GROUP, &tags, |scope: &mut Scope| scope.sensor(spec))
                    });
                    sensor.record(number as f64, now);
                    all.add(number as f64);
                };
            show(&mut sensors.lag, told.lag, &specs::LAG, &mut lags);
            show(&mut sensors.lead, told.lead, &specs::LEAD, &mut leads);
        }
        self.lag_max.record_batch(lags, now);
        self.lead_min.record_batch(leads, now);
    }

    fn show_network(&mut self, told: &NetworkStatistics, now: Timestamp) {
        let all = self.network.show(told, now);
        let (heartbeat, heartbeats) = &mut self.heartbeat;
        heartbeat.record_batch(Batch::events(grown(heartbeats, all.kinds.heartbeat)), now);
        let (fetch, fetches) = &mut self.fetch;
        let fetches = grown(fetches, all.kinds.fetch);
        if fetches > 0 {
            fetch.record_batch(sums(fetches, grown(&mut self.fetched.bytes, told.fetched.bytes) as f64), now);
            let records = grown(&mut self.fetched.records, told.fetched.records);
            self.fetch_records.record_batch(sums(fetches, records as f64), now);
            self.fetch_throttle.record_batch(throttled(all.throttle_ms, fetches), now);
        }
    }
}

fn record_amount((records, bytes): (&Sensor, &Sensor), since: Amount, now: Timestamp) {
    records.record_batch(sums(since.records, since.records as f64), now);
    bytes.record_batch(sums(since.records, since.bytes as f64), now);
}

fn seconds_ago(moment: &AtomicI64, now: i64) -> MetricValue {
    MetricValue::Number(match moment.load(Relaxed) {
        NEVER => -1.0,
        moment => ((now - moment).max(0) / 1000) as f64,
    })
}

fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl Consumer for MeteredConsumer {
    fn subscribe(&mut self, topics: &[String]) -> Result<(), ClientError> {
        let now = (self.clock)();
        self.rebalancing.get_or_insert(now);
        self.consumer.subscribe(topics)
    }

    fn unsubscribe(&mut self) -> Result<(), ClientError> {
        self.consumer.unsubscribe()
    }

    fn poll(&mut self, timeout: Duration, sink: &mut dyn RecordSink) -> Result<Polled, ClientError> {
        let began = self.begin_poll();
        let polled = self.consumer.poll(timeout, sink);
        self.end_poll(began);
        if let Ok(Polled { rebalance: Some(event), .. }) = &polled {
            self.note_step(event);
        }
        polled
    }

    fn waker(&self) -> Option<Waker> {
        self.consumer.waker()
    }

    fn complete_assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.consumer.complete_assign(partitions)?;
        self.end_rebalance();
        Ok(())
    }

    fn complete_revoke(&mut self) -> Result<(), ClientError> {
        self.consumer.complete_revoke()?;
        self.end_step();
        Ok(())
    }

    fn assign(&mut self, partitions: &[(TopicPartition, i64, Slot)]) -> Result<(), ClientError> {
        self.consumer.assign(partitions)
    }

    fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ClientError> {
        self.consumer.seek(partition, offset)
    }

    fn position(&mut self, partition: &TopicPartition) -> Result<i64, ClientError> {
        self.consumer.position(partition)
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        timeout: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, ClientError> {
        let began = (self.clock)();
        let committed = self.consumer.committed(partitions, timeout);
        let took = self.since(began);
        self.sensors.committed_time.add(took as f64);
        committed
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let began = (self.clock)();
        let committed = self.consumer.commit(offsets, timeout);
        let took = self.since(began);
        self.sensors.commit_sync_time.add(took as f64);
        if committed.is_ok() {
            self.sensors.commit.add(millis(took));
        }
        committed
    }

    fn list_offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
        timeout: Duration,
    ) -> Result<Vec<i64>, ClientError> {
        self.consumer.list_offsets(partitions, spec, timeout)
    }

    fn known_end(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.consumer.known_end(partition)
    }

    fn statistics(&mut self) -> ConsumerStatistics {
        self.consumer.statistics()
    }

    fn group_metadata(&self) -> GroupMetadata {
        self.consumer.group_metadata()
    }

    fn close(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.consumer.close(timeout)
    }

    fn close_and_remain(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.consumer.close_and_remain(timeout)
    }
}
