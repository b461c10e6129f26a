//! Step 8: an error of a client call -> what happens to task, transaction and client. Decided here and nowhere else.

use crate::client::{ClientError, Fault};

/// What to do after a client call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// Try the same thing again at the next step.
    Retry,
    /// Abort the transaction, go back to the committed offsets, drop what was not committed.
    AbortAndRewind,
    /// The outcome is not known, or the producer is dead: make a new one with the same transactional id (which
    /// settles the old transaction), then go back to the committed offsets, whichever they are by then.
    ReplaceProducer,
    /// The local state of the task does not fit its changelog: delete it and restore from the start.
    RebuildTask,
    /// An input does not have the offset that is read next: go to where its reset policy says.
    ResetOffsets,
    /// The group does not know this member any more: give up all tasks, join anew.
    Rejoin,
    /// Nothing here helps: stop the thread with this error.
    Fatal,
}

/// Where in the work the call was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading input or serving the group.
    Poll,
    /// Finding out where tasks start.
    Assign,
    /// Sending records.
    Produce,
    /// Committing: offsets, transaction.
    Commit,
    /// Reading changelogs.
    Restore,
}

impl Recovery {
    /// The one table: fault and phase -> recovery.
    #[must_use]
    pub fn of(error: &ClientError, phase: Phase, exactly_once: bool) -> Recovery {
        match error.fault {
            Fault::Retriable | Fault::QueueFull | Fault::Unreachable => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::Retry,
                Phase::Produce => Recovery::AbortAndRewind,
                // With transactions a call that did not end cleanly is taken for unknown (the EndTxn rule);
                // without, committing the same offsets again is harmless.
                Phase::Commit if exactly_once => Recovery::ReplaceProducer,
                Phase::Commit => Recovery::Retry,
            },
            Fault::Unknown => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::Retry,
                Phase::Produce | Phase::Commit if exactly_once => Recovery::ReplaceProducer,
                Phase::Produce => Recovery::AbortAndRewind,
                Phase::Commit => Recovery::Retry,
            },
            Fault::AbortTransaction => Recovery::AbortAndRewind,
            Fault::ProducerFenced | Fault::ClientDead => match phase {
                Phase::Poll | Phase::Assign | Phase::Restore => Recovery::Fatal,
                Phase::Produce | Phase::Commit => Recovery::ReplaceProducer,
            },
            Fault::NotInGroup => Recovery::Rejoin,
            Fault::OffsetOutOfRange => match phase {
                Phase::Restore => Recovery::RebuildTask,
                Phase::Poll | Phase::Assign => Recovery::ResetOffsets,
                Phase::Produce | Phase::Commit => Recovery::Fatal,
            },
            Fault::UnknownTopic => Recovery::Fatal,
            Fault::AlreadyExists => Recovery::Retry,
            Fault::Denied | Fault::BadRecord | Fault::Invalid => Recovery::Fatal,
        }
    }
}

/// Whether the cluster gave no answer, so that `task.timeout.ms` says how long to try, and not a number of times. Reading
/// input is not among it: without a broker there is just nothing to read.
#[must_use]
pub(crate) fn may_answer_later(error: &ClientError, phase: Phase) -> bool {
    let unanswered =
        matches!(error.fault, Fault::Retriable | Fault::QueueFull | Fault::Unreachable | Fault::Unknown);
    unanswered && phase != Phase::Poll
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fault: Fault, phase: Phase, exactly_once: bool) -> Recovery {
        Recovery::of(&ClientError::new(fault, "call", "said"), phase, exactly_once)
    }

    #[test]
    fn an_unclear_commit_replaces_the_producer_only_with_transactions() {
        for fault in [Fault::Unknown, Fault::Retriable, Fault::Unreachable] {
            assert_eq!(of(fault, Phase::Commit, true), Recovery::ReplaceProducer, "{fault:?}");
            assert_eq!(of(fault, Phase::Commit, false), Recovery::Retry, "{fault:?}");
        }
    }

    #[test]
    fn a_changelog_that_lost_the_offset_rebuilds_the_task() {
        assert_eq!(of(Fault::OffsetOutOfRange, Phase::Restore, true), Recovery::RebuildTask);
    }

    #[test]
    fn a_lost_membership_rejoins_in_every_phase() {
        for phase in [Phase::Poll, Phase::Assign, Phase::Produce, Phase::Commit, Phase::Restore] {
            assert_eq!(of(Fault::NotInGroup, phase, true), Recovery::Rejoin);
        }
    }
}
