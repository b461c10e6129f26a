//! Step 6 of a record's path, the Kafka side: records into librdkafka's queue, acknowledgements and transactions out
//! of it.
//!
//! Transaction calls wait on the producer's [`Worker`] while delivery reports are taken here: librdkafka's flush ends
//! only when somebody takes them. A call that misses its deadline poisons the producer: its outcome is unknown, and
//! librdkafka may be inside it for ever.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::coordinator::CoordinatorWatch;
use super::ffi::{Delivery, EventKind, Failure, Native, Outgoing, PartitionList, Queue, Tag, Topic};
use super::handle::Handle;
use super::refusal::Peer;
use super::statistics::Told;
use super::worker::{Job, Worker};
use crate::client::{
    self, Acknowledged, ClientError, CommittedOffset, Deliveries, Fault, GroupMetadata, ProduceRecord,
    Producer, ProducerStatistics, TopicHandle,
};
use streams_state::types::TopicPartition;

/// librdkafka's word for the time of sending.
const NOW: i64 = 0;

/// A producer on librdkafka.
pub(super) struct KafkaProducer {
    topics: Vec<(String, Topic)>,
    handles: HashMap<String, TopicHandle>,
    partitions: HashMap<String, i32>,
    reports: Queue,
    in_flight: usize,
    /// Records accepted so far (wraps).
    sent: u32,
    /// Reports that came while nobody asked for them, as offsets were sent.
    held: Deliveries,
    /// A transaction was begun, and neither committed nor aborted.
    in_transaction: bool,
    poisoned: Option<(Fault, String)>,
    worker: Option<Worker>,
    /// What librdkafka said of itself last, and records of each topic that failed.
    told: Told,
    failed: HashMap<u32, u64>,
    pub(super) handle: Handle,
}

impl KafkaProducer {
    /// A producer on this client.
    pub(super) fn new(native: Native, peer: Peer) -> Result<Self, ClientError> {
        let native = Arc::new(native);
        let reports = Queue::main(&native)
            .ok_or_else(|| ClientError::new(Fault::ClientDead, "make a producer", "no main queue"))?;
        Ok(Self {
            topics: Vec::new(),
            handles: HashMap::new(),
            partitions: HashMap::new(),
            reports,
            in_flight: 0,
            sent: 0,
            held: nothing_yet(),
            in_transaction: false,
            poisoned: None,
            worker: None,
            told: Told::default(),
            failed: HashMap::new(),
            handle: Handle::new(native, peer),
        })
    }

    fn alive(&self, call: &str) -> Result<(), ClientError> {
        match &self.poisoned {
            None => Ok(()),
            Some((fault, reason)) => Err(ClientError::new(*fault, call, reason.clone())),
        }
    }

    /// Takes reports that are here; waits up to `timeout` for the first.
    fn take_reports(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        let held = std::mem::replace(&mut self.held, nothing_yet());
        let mut wait = if hand_over(held, deliveries) { Duration::ZERO } else { timeout };
        while let Some(mut event) = self.reports.poll(wait) {
            wait = Duration::ZERO;
            match event.kind() {
                EventKind::Deliveries => {
                    let mut tally = Tally {
                        topics: &self.topics,
                        deliveries,
                        run: None,
                        reported: 0,
                        failed: &mut self.failed,
                        handle: &self.handle,
                    };
                    event.deliveries(|delivery| tally.count(delivery));
                    let reported = tally.finish();
                    self.in_flight = self.in_flight.saturating_sub(reported);
                }
                EventKind::Error => {
                    if let Some(failure) = event.failure() {
                        tracing::debug!("producer: {}", failure.text);
                    }
                }
                EventKind::Statistics => self.told.hear(&event.statistics()),
                EventKind::Rebalance | EventKind::Fetch | EventKind::Other => {}
            }
        }
        deliveries.in_flight = self.in_flight;
    }

    /// Runs a job on the worker and takes reports until it is done. `Err` with [`Fault::Unknown`] poisons.
    fn wait(
        &mut self,
        call: &str,
        job: Job,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<Result<(), Failure>, ClientError> {
        self.alive(call)?;
        let deadline = Instant::now() + timeout;
        let mut coordinator =
            matches!(job, Job::SendOffsets(..)).then(|| CoordinatorWatch::begin(self.handle.native()));
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            None => self.start_worker(call)?,
        };
        worker.submit(job);
        let answer = loop {
            if let Some(answer) = worker.answer() {
                break Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Err(format!("no answer within {timeout:?}"));
            }
            let look = coordinator.as_ref().map_or(left, CoordinatorWatch::next_look);
            self.take_reports(deliveries, left.min(look));
            if let Some(lost) = coordinator.as_mut().and_then(|it| it.lost(self.handle.native())) {
                break Err(lost);
            }
        };
        self.worker = Some(worker);
        self.take_reports(deliveries, Duration::ZERO);
        answer
            .map(|answer| self.handle.check(answer))
            .map_err(|why| self.poison(ClientError::new(Fault::Unknown, call, why)))
    }

    /// Why a record was refused. In a transaction that has failed librdkafka says only that the state is wrong.
    fn refusal(&self, failure: Failure) -> Failure {
        match failure.code {
            Code::State if self.in_transaction => {
                let aborts = Failure { requires_abort: true, ..failure };
                self.handle.native().fatal().unwrap_or(aborts)
            }
            _ => failure,
        }
    }

    fn start_worker(&self, call: &str) -> Result<Worker, ClientError> {
        let native = self.handle.native();
        let no_thread = |why: String| ClientError::new(Fault::ClientDead, call, why);
        let wake = Queue::main(native).ok_or_else(|| no_thread("no main queue".to_owned()))?;
        Worker::start(Arc::clone(native), wake)
            .map_err(|error| no_thread(format!("cannot start its transaction thread: {error}")))
    }

    /// After these faults no further call of this producer has a known meaning.
    fn poison(&mut self, error: ClientError) -> ClientError {
        let fault = match error.fault {
            Fault::ProducerFenced => Fault::ProducerFenced,
            Fault::Unknown | Fault::ClientDead => Fault::ClientDead,
            _ => return error,
        };
        self.poisoned.get_or_insert_with(|| (fault, format!("unusable since: {error}")));
        error
    }

    /// Commits or aborts. The EndTxn rule: a transaction whose requests were not all answered may have ended well, because they were sent
    /// again, but a copy that is still on its way could end the next one. So it counts as unknown, and this producer has no next one.
    fn end_transaction(
        &mut self,
        call: &str,
        job: Job,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let answer = self.wait(call, job, deliveries, timeout)?;
        self.in_transaction &= answer.is_err();
        answer.map_err(|failure| self.settle_error(call, failure))?;
        if self.handle.native().all_answered() {
            return Ok(());
        }
        let message = "a connection broke or a broker was late, so that a request went out twice: the first copy may still arrive";
        Err(self.poison(ClientError::new(Fault::Unknown, call, message)))
    }

    /// The error of a call that ends or extends a transaction: what is not definite is unknown.
    fn settle_error(&mut self, call: &str, failure: Failure) -> ClientError {
        let mut error = self.handle.error(call, failure);
        if matches!(error.fault, Fault::Retriable | Fault::Unreachable) {
            error.fault = Fault::Unknown;
        }
        self.poison(error)
    }
}

/// Reports that are kept for whoever asks next.
fn nothing_yet() -> Deliveries {
    Deliveries { each: Some(Vec::new()), ..Deliveries::default() }
}

/// Gives `held` reports to the one who asks. Whether there were any.
fn hand_over(held: Deliveries, deliveries: &mut Deliveries) -> bool {
    let any = !held.acked.is_empty() || held.failure.is_some();
    for (place, acked) in held.acked {
        deliveries.acknowledged(place, acked);
    }
    if deliveries.failure.is_none() {
        deliveries.failure = held.failure;
    }
    if let Some(each) = &mut deliveries.each {
        each.extend(held.each.unwrap_or_default());
    }
    any
}

/// Counts the reports of one event. Records of a partition come in runs, so that the map is asked once a run.
struct Tally<'a> {
    topics: &'a [(String, Topic)],
    deliveries: &'a mut Deliveries,
    run: Option<(u32, i32, Acknowledged)>,
    reported: usize,
    failed: &'a mut HashMap<u32, u64>,
    handle: &'a Handle,
}

impl Tally<'_> {
    fn count(&mut self, delivery: Delivery) {
        self.reported += 1;
        match (delivery.offset, &mut self.run) {
            (Ok(offset), Some((topic, partition, run)))
                if *topic == delivery.tag.topic && *partition == delivery.partition =>
            {
                run.add(Acknowledged::one(offset));
                self.tell(delivery.tag, Ok(offset));
            }
            (Ok(offset), _) => {
                self.end_run();
                self.run = Some((delivery.tag.topic, delivery.partition, Acknowledged::one(offset)));
                self.tell(delivery.tag, Ok(offset));
            }
            (Err(failure), _) => self.fail(delivery.tag, delivery.partition, failure),
        }
    }

    fn tell(&mut self, tag: Tag, offset: Result<i64, ClientError>) {
        if let Some(each) = &mut self.deliveries.each {
            each.push(client::Delivery { number: tag.number, offset });
        }
    }

    fn fail(&mut self, tag: Tag, partition: i32, failure: Failure) {
        *self.failed.entry(tag.topic).or_default() += 1;
        if self.deliveries.failure.is_none() || self.deliveries.each.is_some() {
            let topic = self.topics.get(tag.topic as usize).map_or("?", |(name, _)| name.as_str());
            let call = format!("produce to {topic}-{partition}");
            // Of a dead client all records fail, for want of a better word as "purged".
            let failure = self.handle.native().fatal().unwrap_or(failure);
            let too_large = failure.code == Code::MessageSizeTooLarge;
            let mut error = self.handle.error(call, failure);
            if too_large {
                error.message.push_str("; raise `max.message.bytes` of the topic");
            }
            self.tell(tag, Err(error.clone()));
            self.deliveries.failure.get_or_insert(error);
        }
    }

    fn end_run(&mut self) {
        if let Some((topic, partition, run)) = self.run.take() {
            self.deliveries.acknowledged((TopicHandle(topic), partition), run);
        }
    }

    fn finish(mut self) -> usize {
        self.end_run();
        self.reported
    }
}

impl Producer for KafkaProducer {
    fn topic(&mut self, topic: &str) -> Result<TopicHandle, ClientError> {
        if let Some(handle) = self.handles.get(topic) {
            return Ok(*handle);
        }
        let native = Topic::new(self.handle.native(), topic)
            .map_err(|failure| self.handle.error(format!("open topic `{topic}`"), failure))?;
        let handle = TopicHandle(u32::try_from(self.topics.len()).unwrap_or(u32::MAX));
        self.topics.push((topic.to_owned(), native));
        self.handle.writes(topic);
        self.handles.insert(topic.to_owned(), handle);
        Ok(handle)
    }

    fn partitions(&mut self, topic: &str, timeout: Duration) -> Result<i32, ClientError> {
        if let Some(count) = self.partitions.get(topic) {
            return Ok(*count);
        }
        let call = format!("describe topic `{topic}`");
        let answer = self.handle.native().describe_topics(&[topic.to_owned()], timeout);
        let answer = self.handle.check(answer).map_err(|failure| self.handle.read_error(&call, failure))?;
        match answer.into_iter().next() {
            Some((_, Ok(found))) => {
                let count = found.partitions;
                self.partitions.insert(topic.to_owned(), count);
                Ok(count)
            }
            Some((_, Err(failure))) => Err(self.handle.read_error(call, failure)),
            None => Err(ClientError::new(Fault::UnknownTopic, call, "the broker says nothing of it")),
        }
    }

    fn send(&mut self, record: ProduceRecord<'_>) -> Result<(), ClientError> {
        let index = record.topic.0;
        let Some((name, topic)) = self.topics.get(index as usize) else {
            return Err(ClientError::new(Fault::Invalid, "produce", "a topic handle of another producer"));
        };
        let timestamp = match record.timestamp {
            None => NOW,
            // The one moment that librdkafka cannot say: its 0 is "now". A millisecond later is the nearest.
            Some(0) => 1,
            Some(timestamp) => timestamp,
        };
        if timestamp < 0 {
            let call = format!("produce to {name}-{}", record.partition);
            return Err(ClientError::new(
                Fault::BadRecord,
                call,
                format!("timestamp {timestamp} is negative"),
            ));
        }
        let outgoing = Outgoing {
            partition: record.partition,
            timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
            tag: Tag { topic: index, number: self.sent },
        };
        match topic.send(&outgoing) {
            Ok(()) => {
                self.in_flight += 1;
                self.sent = self.sent.wrapping_add(1);
                Ok(())
            }
            Err(failure) => {
                let call = format!("produce to {name}-{}", record.partition);
                Err(self.handle.error(call, self.refusal(failure)))
            }
        }
    }

    fn drain(&mut self, deliveries: &mut Deliveries, timeout: Duration) {
        let timeout = if self.in_flight == 0 { Duration::ZERO } else { timeout };
        self.take_reports(deliveries, timeout);
    }

    fn flush(&mut self, deliveries: &mut Deliveries, timeout: Duration) -> Result<(), ClientError> {
        let call = "flush";
        self.alive(call)?;
        self.take_reports(deliveries, Duration::ZERO);
        if self.in_flight > 0 {
            // The job ends before we stop waiting for it: a flush that took too long poisons nothing.
            let patience = timeout + Duration::from_secs(5);
            self.wait(call, Job::Flush(timeout), deliveries, patience)?
                .map_err(|failure| self.handle.error(call, failure))?;
        }
        Ok(())
    }

    fn init_transactions(&mut self, timeout: Duration) -> Result<(), ClientError> {
        let call = "init transactions";
        // librdkafka keeps this timeout; its answer may come a little later.
        let patience = timeout + Duration::from_secs(2);
        self.wait(call, Job::Init(timeout), &mut Deliveries::default(), patience)?.map_err(|failure| {
            let resumable = failure.retriable;
            let mut error = self.handle.error(call, failure);
            if resumable && error.fault != Fault::Unreachable {
                error.fault = Fault::Retriable;
            }
            error
        })
    }

    fn begin_transaction(&mut self) -> Result<(), ClientError> {
        let call = "begin transaction";
        self.alive(call)?;
        let begun = self.handle.native().begin_transaction();
        self.in_transaction |= begun.is_ok();
        begun.map_err(|failure| {
            let error = self.handle.error(call, failure);
            self.poison(error)
        })
    }

    fn send_offsets(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        group: &GroupMetadata,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let call = "send offsets to transaction";
        let mut list = PartitionList::with_capacity(offsets.len());
        for (partition, committed) in offsets {
            list.add(&partition.topic, partition.partition, committed.offset, &committed.metadata);
        }
        let job = Job::SendOffsets(list, group.clone(), timeout);
        let mut deliveries = std::mem::replace(&mut self.held, nothing_yet());
        let answer = self.wait(call, job, &mut deliveries, timeout);
        self.held = deliveries;
        answer?.map_err(|failure| self.settle_error(call, failure))
    }

    fn commit_transaction(
        &mut self,
        deliveries: &mut Deliveries,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        self.end_transaction("commit transaction", Job::Commit, deliveries, timeout)
    }

    fn abort_transaction(&mut self, timeout: Duration) -> Result<(), ClientError> {
        self.end_transaction("abort transaction", Job::Abort, &mut Deliveries::default(), timeout)
    }

    fn statistics(&mut self) -> ProducerStatistics {
        let mut told = self.told.producer();
        for (topic, failed) in &self.failed {
            if let Some((name, _)) = self.topics.get(*topic as usize) {
                told.topics.entry(name.as_str().into()).or_default().errors = *failed;
            }
        }
        told
    }

    fn close(&mut self, timeout: Duration) {
        self.poisoned.get_or_insert_with(|| (Fault::ClientDead, "closed".to_owned()));
        self.handle.native().purge();
        self.handle.set_patience(timeout);
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            tracing::debug!("{} records in flight are dropped with their producer", self.in_flight);
        }
        // Records that are dropped leave reports behind, which keep the client alive until they are taken.
        self.handle.native().purge();
        self.take_reports(&mut Deliveries::default(), Duration::ZERO);
    }
}
