//! How an application closes: within which time, and whether its threads leave their group.

use std::time::Duration;

use crate::client::{ClientError, Consumer};

/// What becomes of the membership in the group when an application closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GroupMembershipOperation {
    /// The others take over at once. The default; Kafka Streams remains.
    #[default]
    LeaveGroup,
    /// The partitions wait for this instance until its session times out: for a quick restart, which finds its tasks as they were.
    RemainInGroup,
}

impl GroupMembershipOperation {
    /// Closes the consumer of a thread.
    pub(super) fn close(self, consumer: &mut dyn Consumer, timeout: Duration) -> Result<(), ClientError> {
        match self {
            Self::LeaveGroup => consumer.close(timeout),
            Self::RemainInGroup => consumer.close_and_remain(timeout),
        }
    }
}

/// Options of [`KafkaStreams::close_with`](super::KafkaStreams::close_with).
///
/// ```
/// use std::time::Duration;
/// use streams_core::runtime::{CloseOptions, GroupMembershipOperation};
///
/// let restart = CloseOptions::timeout(Duration::from_secs(30))
///     .group_membership_operation(GroupMembershipOperation::RemainInGroup);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseOptions {
    pub(crate) timeout: Duration,
    pub(crate) membership: GroupMembershipOperation,
}

impl CloseOptions {
    /// Waits so long for the threads to end; they leave the group.
    pub fn timeout(timeout: Duration) -> Self {
        Self { timeout, membership: GroupMembershipOperation::LeaveGroup }
    }

    /// What becomes of the membership in the group.
    pub fn group_membership_operation(mut self, operation: GroupMembershipOperation) -> Self {
        self.membership = operation;
        self
    }
}
