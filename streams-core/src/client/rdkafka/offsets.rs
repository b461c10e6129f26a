//! Questions of a consumer about offsets: what the group has committed, where partitions begin and end.
//!
//! Each keeps asking until its deadline while the answer is "not yet": leaders move, transactions end.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use streams_state::types::TopicPartition;

use super::classify::fault;
use super::ffi::{Failure, ListedOffset, PartitionList};
use super::handle::Handle;
use crate::client::{ClientError, CommittedOffset, Fault, OffsetSpec};

/// Pause before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Longest wait for the first answer about offsets of partitions; the next one is twice as long.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Pause before leaders are asked again: another one is elected in seconds, or heard of in milliseconds.
const LEADERS_AGAIN: Duration = Duration::from_millis(100);

/// The offset that says "none" in a list.
const NO_OFFSET: i64 = -1001;

/// What `group` has committed for these partitions, when no open transaction holds them any more. `stable` says that
/// the client itself asks for that, which it does if it reads committed records only.
pub(super) fn committed(
    handle: &Handle,
    group: &str,
    stable: bool,
    partitions: &[TopicPartition],
    timeout: Duration,
) -> Result<Vec<Option<CommittedOffset>>, ClientError> {
    // A step of a rebalance may bring none, which librdkafka takes for a mistake.
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + timeout;
    let mut list = PartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add(&partition.topic, partition.partition, NO_OFFSET, "");
    }
    let mut found = HashMap::with_capacity(partitions.len());
    let answer = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut keep = |topic: &str, partition, offset, metadata: &[u8]| {
            if offset >= 0 {
                let metadata = String::from_utf8_lossy(metadata).into_owned();
                found.insert(TopicPartition::new(topic, partition), CommittedOffset { offset, metadata });
            }
        };
        let answer = if stable {
            handle.native().committed(&list, left).map(|()| {
                for entry in list.entries() {
                    keep(entry.topic, entry.partition, entry.offset, entry.metadata);
                }
            })
        } else {
            // Only where the coordinator answers at all: the second request has no end of its own.
            handle.native().committed(&list, left).and_then(|()| {
                let left = deadline.saturating_duration_since(Instant::now());
                handle.native().stable_group_offsets(group, &list, left, |entry| {
                    keep(entry.topic, entry.partition, entry.offset, entry.metadata);
                })
            })
        };
        match answer {
            Err(failure) if failure.code == Code::UnstableOffsetCommit && !left.is_zero() => pause(left),
            answer => break answer,
        }
    };
    handle.check(answer).map_err(|failure| handle.read_error("read committed offsets", failure))?;
    Ok(partitions.iter().map(|partition| found.remove(partition)).collect())
}

/// First or last offsets of partitions.
///
/// librdkafka believes what it heard of leaders last: it waits for a broker that is gone, and connects to it without a pause, as long as a
/// request may last; and it goes on asking a broker that leads no more. So requests are short at first, and leaders are learnt between them.
pub(super) fn list(
    handle: &Handle,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
    timeout: Duration,
) -> Result<Vec<i64>, ClientError> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + timeout;
    let asked: Vec<_> = partitions.iter().map(|partition| (&*partition.topic, partition.partition)).collect();
    let mut patience = FIRST_REQUEST;
    loop {
        let began = Instant::now();
        let left = deadline.saturating_duration_since(began);
        let answer = handle.check(handle.native().list_offsets(&asked, spec, left.min(patience)));
        let answer = answer.map_err(|failure| handle.read_error("list offsets", failure));
        let mut error = match answer.and_then(|answer| in_order(handle, partitions, answer)) {
            Err(error) if not_yet(&error) || error.fault == Fault::UnknownTopic => error,
            answer => return answer,
        };
        if began.elapsed() >= patience {
            patience *= 2;
        }
        let learnt = learn_leaders(handle, partitions, deadline);
        if error.fault == Fault::UnknownTopic {
            if learnt.is_err_and(|failure| fault(&failure) == Fault::UnknownTopic) {
                return Err(error);
            }
            // librdkafka says the same of partitions that have no leader.
            error.fault = Fault::Retriable;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(error);
        }
        thread::sleep(left.min(LEADERS_AGAIN));
    }
}

/// Who leads these partitions now. A failure if one of them is unknown, or no broker answers.
fn learn_leaders(handle: &Handle, partitions: &[TopicPartition], deadline: Instant) -> Result<(), Failure> {
    let mut last: BTreeMap<&str, i32> = BTreeMap::new();
    for partition in partitions {
        let last = last.entry(&partition.topic).or_default();
        *last = partition.partition.max(*last);
    }
    last.into_iter().try_for_each(|(topic, last)| {
        let left = deadline.saturating_duration_since(Instant::now());
        let count = handle.native().learn_leaders(topic, left.min(FIRST_REQUEST))?;
        let unknown = || Failure::new(Code::UnknownPartition, "no such partition");
        (last < count).then_some(()).ok_or_else(unknown)
    })
}

/// Offsets in the order in which they were asked for.
fn in_order(
    handle: &Handle,
    partitions: &[TopicPartition],
    answer: Vec<ListedOffset>,
) -> Result<Vec<i64>, ClientError> {
    let mut found: HashMap<TopicPartition, Result<i64, Failure>> = HashMap::with_capacity(answer.len());
    for listed in answer {
        found.insert(TopicPartition::new(listed.topic, listed.partition), listed.offset);
    }
    let offset = |partition: &TopicPartition| {
        let call = format!("list offsets of {partition}");
        match found.remove(partition) {
            Some(offset) => offset.map_err(|failure| handle.read_error(call, failure)),
            None => Err(ClientError::new(Fault::Retriable, call, "the broker says nothing of it")),
        }
    };
    partitions.iter().map(offset).collect()
}

fn not_yet(error: &ClientError) -> bool {
    matches!(error.fault, Fault::Retriable | Fault::Unreachable)
}

fn pause(at_most: Duration) {
    thread::sleep(at_most.min(ASK_AGAIN));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::mocking::MockCluster;

    use super::super::RdKafka;
    use super::*;
    use crate::client::{ClientSupplier, Consumer, ConsumerSettings};

    const PATIENCE: Duration = Duration::from_secs(5);

    fn consumer(bootstrap: &str) -> Box<dyn Consumer> {
        let settings = ConsumerSettings {
            client_id: "client".to_owned(),
            group: None,
            group_instance: None,
            read_committed: true,
            partition_buffer_bytes: None,
            properties: BTreeMap::new(),
        };
        RdKafka::new(bootstrap, BTreeMap::new()).consumer(&settings).unwrap()
    }

    fn ends(consumer: &mut dyn Consumer, timeout: Duration) -> Result<Vec<i64>, ClientError> {
        let partitions = [TopicPartition::new("changelog", 0), TopicPartition::new("changelog", 1)];
        consumer.list_offsets(&partitions, OffsetSpec::End, timeout)
    }

    fn cluster() -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic("changelog", 2, 2).unwrap();
        lead(&cluster, [Some(1), Some(1)]);
        cluster
    }

    fn lead<C: rdkafka::ClientContext>(cluster: &MockCluster<'_, C>, leaders: [Option<i32>; 2]) {
        for (partition, leader) in (0..).zip(leaders) {
            cluster.partition_leader("changelog", partition, leader).unwrap();
        }
    }

    /// One of the two, as the other one stays.
    #[test]
    fn a_leader_that_moved_is_asked_where_it_is() {
        let cluster = cluster();
        let mut consumer = consumer(&cluster.bootstrap_servers());
        assert_eq!(ends(&mut *consumer, PATIENCE).unwrap(), [0, 0]);
        lead(&cluster, [Some(2), Some(1)]);
        assert_eq!(ends(&mut *consumer, PATIENCE).unwrap(), [0, 0]);
        lead(&cluster, [Some(1), Some(2)]);
        assert_eq!(ends(&mut *consumer, PATIENCE).unwrap(), [0, 0]);
    }

    /// librdkafka says of such partitions what it says of unknown ones, and believes it for minutes.
    #[test]
    fn partitions_without_leaders_are_asked_again_until_they_have_some() {
        let cluster = cluster();
        let mut consumer = consumer(&cluster.bootstrap_servers());
        assert_eq!(ends(&mut *consumer, PATIENCE).unwrap(), [0, 0]);
        lead(&cluster, [None, None]);
        for _ in 0..2 {
            let error = ends(&mut *consumer, Duration::from_millis(500)).unwrap_err();
            assert_eq!(error.fault, Fault::Retriable, "{error}");
        }
        lead(&cluster, [Some(2), Some(2)]);
        assert_eq!(ends(&mut *consumer, PATIENCE).unwrap(), [0, 0]);
    }

    #[test]
    fn an_unknown_topic_or_partition_is_said_to_be_unknown() {
        let cluster = MockCluster::new(1).unwrap();
        let mut consumer = consumer(&cluster.bootstrap_servers());
        let error = ends(&mut *consumer, PATIENCE).unwrap_err();
        assert_eq!(error.fault, Fault::UnknownTopic, "{error}");
        cluster.create_topic("short", 1, 1).unwrap();
        let missing = [TopicPartition::new("short", 1)];
        let error = consumer.list_offsets(&missing, OffsetSpec::End, PATIENCE).unwrap_err();
        assert_eq!(error.fault, Fault::UnknownTopic, "{error}");
    }
}
