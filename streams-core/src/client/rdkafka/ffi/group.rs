//! Membership, assignment and offsets of a consumer.

use std::time::Duration;

use rdkafka::bindings as sys;

use super::{Failure, Native, PartitionList, Queue, millis, name, text};
use crate::client::GroupMetadata;

impl Native {
    /// Joins the group for these topics.
    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), Failure> {
        let mut list = PartitionList::with_capacity(topics.len());
        for topic in topics {
            list.add(topic, -1, 0, "");
        }
        // SAFETY: living client; the list is copied.
        Failure::check(unsafe { sys::rd_kafka_subscribe(self.rk(), list.as_ptr()) })
    }

    /// Leaves the group.
    pub(crate) fn unsubscribe(&self) -> Result<(), Failure> {
        // SAFETY: living client.
        Failure::check(unsafe { sys::rd_kafka_unsubscribe(self.rk()) })
    }

    /// Reads these partitions from these offsets; `None` for none at all.
    pub(crate) fn assign(&self, partitions: Option<&PartitionList>) -> Result<(), Failure> {
        let list = partitions.map_or(std::ptr::null_mut(), PartitionList::as_ptr);
        // SAFETY: living client; the list is copied, null unassigns.
        Failure::check(unsafe { sys::rd_kafka_assign(self.rk(), list) })
    }

    /// Reads these partitions from these offsets, too: the answer to a cooperative assignment.
    pub(crate) fn assign_also(&self, partitions: &PartitionList) -> Result<(), Failure> {
        // SAFETY: living client; the list is copied; the error object is ours.
        unsafe { Failure::take(sys::rd_kafka_incremental_assign(self.rk(), partitions.as_ptr())) }
    }

    /// Reads these partitions no more: the answer to a cooperative revocation.
    pub(crate) fn unassign_some(&self, partitions: &PartitionList) -> Result<(), Failure> {
        // SAFETY: as above.
        unsafe { Failure::take(sys::rd_kafka_incremental_unassign(self.rk(), partitions.as_ptr())) }
    }

    /// Whether the assignment was lost, not revoked.
    pub(crate) fn assignment_lost(&self) -> bool {
        // SAFETY: living client.
        unsafe { sys::rd_kafka_assignment_lost(self.rk()) != 0 }
    }

    /// Moves positions. Records fetched before are outdated from now on.
    pub(crate) fn seek(&self, partitions: &PartitionList, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: living client; the call writes errors into the list; the error object is ours.
        unsafe {
            let (list, timeout) = (partitions.as_ptr(), millis(timeout));
            Failure::take(sys::rd_kafka_seek_partitions(self.rk(), list, timeout))?;
        }
        partitions.entries().find_map(|entry| entry.failure).map_or(Ok(()), Err)
    }

    /// Writes committed offsets and their metadata into the list. Waits for open transactions if the consumer
    /// reads committed records only.
    pub(crate) fn committed(&self, partitions: &PartitionList, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: living client; the call writes into the list, which is ours alone.
        let code = unsafe { sys::rd_kafka_committed(self.rk(), partitions.as_ptr(), millis(timeout)) };
        Failure::check(code)?;
        partitions.entries().find_map(|entry| entry.failure).map_or(Ok(()), Err)
    }

    /// Commits offsets; the answer comes into `answers`.
    pub(crate) fn commit(&self, offsets: &PartitionList, answers: &Queue) -> Result<(), Failure> {
        // SAFETY: living client and queue; the list is copied; without a callback the answer is an event.
        Failure::check(unsafe {
            sys::rd_kafka_commit_queue(
                self.rk(),
                offsets.as_ptr(),
                answers.as_ptr(),
                None,
                std::ptr::null_mut(),
            )
        })
    }

    /// The end of an assigned partition as the last fetch saw it.
    pub(crate) fn known_end(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = name(topic);
        let (mut low, mut high) = (-1, -1);
        // SAFETY: living client; the call writes two integers.
        let code = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.rk(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (Failure::check(code).is_ok() && high >= 0).then_some(high)
    }

    /// Member and generation of now.
    pub(crate) fn group_metadata(&self) -> Option<GroupMetadata> {
        // SAFETY: living client; the object is a copy made for us, read and then freed once.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(self.rk());
            if metadata.is_null() {
                return None;
            }
            let read = GroupMetadata {
                group: text(sys::rd_kafka_consumer_group_metadata_group_id(metadata)),
                generation: sys::rd_kafka_consumer_group_metadata_generation_id(metadata),
                member: text(sys::rd_kafka_consumer_group_metadata_member_id(metadata)),
            };
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            Some(read)
        }
    }

    /// Starts to leave the group and close; events of it come into `queue`.
    pub(crate) fn close_consumer(&self, queue: &Queue) -> Result<(), Failure> {
        // SAFETY: living client and queue; the error object is ours.
        unsafe { Failure::take(sys::rd_kafka_consumer_close_queue(self.rk(), queue.as_ptr())) }
    }

    /// Whether closing is done.
    pub(crate) fn consumer_closed(&self) -> bool {
        // SAFETY: living client.
        unsafe { sys::rd_kafka_consumer_closed(self.rk()) != 0 }
    }
}
