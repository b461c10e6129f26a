//! Questions of a consumer about offsets: what the group has committed, where partitions begin and end.
//!
//! Each keeps asking until its deadline while the answer is "not yet": leaders move, transactions end.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;
use streams_state::types::TopicPartition;

use super::ffi::{Failure, ListedOffset, PartitionList};
use super::handle::Handle;
use crate::client::{ClientError, CommittedOffset, Fault, OffsetSpec};

/// Pause before a question that was not answered is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

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
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = handle.check(handle.native().list_offsets(&asked, spec, left));
        let answer = answer.map_err(|failure| handle.read_error("list offsets", failure));
        match answer.and_then(|answer| in_order(handle, partitions, answer)) {
            Err(error) if not_yet(&error) && !left.is_zero() => pause(left),
            answer => return answer,
        }
    }
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
