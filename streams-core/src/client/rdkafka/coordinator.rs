//! Whether a call that adds offsets to a transaction will be answered. The coordinator of the group takes them.
//!
//! Twice librdkafka (2.12) waits, whatever its timeout, until it happens to connect to a broker, or to lose one: when the cluster has lost
//! the broker that was the coordinator (its issue 5511: the broker is forgotten, but not as coordinator), and when the cluster has said
//! three times that there is no coordinator yet. In: what the cluster and librdkafka's requests say, once a second while such a call waits.
//! Out: that waiting is of no use. What became of the call is not known then.

use std::time::{Duration, Instant};

use super::ffi::Native;

/// How long a call has waited when it is looked at first, and how often that is repeated: an answer takes milliseconds.
const LOOK: Duration = Duration::from_secs(1);

/// Longest wait for the cluster to say which brokers it has.
const ANSWER_MAX: Duration = Duration::from_millis(500);

/// Looks in a row that find a call which asks nobody. While a coordinator is away librdkafka asks for it every second or two.
const SILENT_MAX: u32 = 3;

/// Watches one call.
pub(super) struct CoordinatorWatch {
    next: Instant,
    /// Requests that were sent by the last look.
    sent: u32,
    /// Looks in a row that found none sent, and none waiting for its answer.
    silent: u32,
}

impl CoordinatorWatch {
    /// `native` begins a call.
    pub(super) fn begin(native: &Native) -> Self {
        Self { next: Instant::now() + LOOK, sent: native.offset_requests().sent, silent: 0 }
    }

    /// Time to the next look.
    pub(super) fn next_look(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Why the call that `native` is in will not be answered, if it is time to look and that is so.
    pub(super) fn lost(&mut self, native: &Native) -> Option<String> {
        if !self.next_look().is_zero() {
            return None;
        }
        let brokers = native.brokers(ANSWER_MAX);
        self.next = Instant::now() + LOOK;
        let Ok(brokers) = brokers else {
            // Once a broker can be reached, librdkafka goes on by itself.
            self.silent = 0;
            return None;
        };
        let requests = native.offset_requests();
        if let Some(coordinator) = requests.coordinator.filter(|it| !brokers.contains(it)) {
            return Some(format!(
                "broker {coordinator}, which offsets went to, left the cluster, and librdkafka still waits for it"
            ));
        }
        let silent = requests.sent == self.sent && !requests.waiting;
        (self.sent, self.silent) = (requests.sent, if silent { self.silent + 1 } else { 0 });
        (self.silent >= SILENT_MAX).then(|| "librdkafka waits, and asks no broker any more".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::mocking::{MockCluster, MockCoordinator};
    use rdkafka::producer::{BaseProducer, Producer as _};
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use rdkafka::{ClientConfig, ClientContext};

    use streams_state::types::TopicPartition;

    use super::super::RdKafka;
    use super::super::ffi::{self, Failure};
    use super::super::producer::KafkaProducer;
    use super::super::properties::Role;
    use super::*;
    use crate::client::{ClientError, CommittedOffset, Deliveries, Fault, GroupMetadata, Producer};

    const MINUTE: Duration = Duration::from_secs(60);

    /// A producer of a cluster of three, whose group has its coordinator on broker 2.
    fn producer<C: ClientContext>(cluster: &MockCluster<'_, C>) -> KafkaProducer {
        cluster.create_topic("in", 1, 1).unwrap();
        cluster.partition_leader("in", 0, Some(1)).unwrap();
        cluster.coordinator(MockCoordinator::Transaction("writer".to_owned()), 1).unwrap();
        cluster.coordinator(MockCoordinator::Group("group".to_owned()), 2).unwrap();
        let kafka = RdKafka::new(cluster.bootstrap_servers(), BTreeMap::new());
        let fixed = vec![("transactional.id", "writer".to_owned())];
        let (native, peer) = kafka.native(Role::Producer, (&[], &[]), &BTreeMap::new(), fixed).unwrap();
        let mut producer = KafkaProducer::new(native, peer).unwrap();
        producer.init_transactions(MINUTE).unwrap();
        producer
    }

    fn send_offsets(producer: &mut KafkaProducer) -> Result<(), ClientError> {
        producer.begin_transaction().unwrap();
        let offset = CommittedOffset { offset: 7, metadata: String::new() };
        let group = GroupMetadata { group: "group".to_owned(), generation: 1, member: "member".to_owned() };
        producer.send_offsets(&[(TopicPartition::new("in", 0), offset)], &group, MINUTE)
    }

    /// The producer after sending offsets to a coordinator that the cluster, as librdkafka has heard, has lost, and what came of it.
    fn sends_to_one_that_left() -> (KafkaProducer, Result<(), ClientError>) {
        let host: BaseProducer = ClientConfig::new().set("test.mock.num.brokers", "3").create().unwrap();
        let cluster = host.client().mock_cluster().unwrap();
        let mut producer = producer(&cluster);
        send_offsets(&mut producer).unwrap();
        producer.commit_transaction(&mut Deliveries::default(), MINUTE).unwrap();
        cluster.coordinator(MockCoordinator::Group("group".to_owned()), 3).unwrap();
        ffi::remove_mock_broker(host.client(), 2).unwrap();
        // It may ask the one that is gone. Such a question stays unanswered to its end, so it is a short one.
        let deadline = Instant::now() + MINUTE;
        let knows = |brokers: Result<Vec<i32>, Failure>| brokers.is_ok_and(|brokers| !brokers.contains(&2));
        while !knows(producer.handle.native().brokers(ANSWER_MAX)) {
            assert!(Instant::now() < deadline, "broker 2 is still there");
        }
        let sent = send_offsets(&mut producer);
        (producer, sent)
    }

    /// librdkafka alone waits until the deadline, here a minute, unless it dropped the connection in time: about one time in ten.
    #[test]
    fn a_coordinator_that_left_the_cluster_is_not_waited_for() {
        for _ in 0..10 {
            let (mut producer, sent) = sends_to_one_that_left();
            let error = match sent {
                Ok(()) => continue,
                Err(error) if error.fault == Fault::AbortTransaction => continue,
                Err(error) => error,
            };
            assert_eq!(error.fault, Fault::Unknown, "{error}");
            assert!(error.message.starts_with("broker 2"), "{error}");
            let error = producer.begin_transaction().unwrap_err();
            assert_eq!(error.fault, Fault::ClientDead, "{error}");
            return;
        }
        println!("skipped: librdkafka dropped the connection in time, ten times in a row");
    }

    /// librdkafka alone waits until the deadline, here a minute.
    #[test]
    fn a_coordinator_that_librdkafka_asks_for_no_more_is_not_waited_for() {
        let cluster = MockCluster::new(3).unwrap();
        let mut producer = producer(&cluster);
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
        cluster.request_errors(RDKafkaApiKey::FindCoordinator, &[none; 3]);
        let error = send_offsets(&mut producer).unwrap_err();
        assert_eq!(error.fault, Fault::Unknown, "{error}");
        assert!(error.message.contains("asks no broker"), "{error}");
    }

    /// Looks find it still there, and its answers on their way: that to the first request of a connection, and that to the offsets.
    #[test]
    fn a_coordinator_that_is_only_slow_is_waited_for() {
        let cluster = MockCluster::new(3).unwrap();
        let mut producer = producer(&cluster);
        cluster.broker_round_trip_time(2, Duration::from_millis(3500)).unwrap();
        send_offsets(&mut producer).unwrap();
    }
}
