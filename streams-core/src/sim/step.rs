//! What an application does at the edge of its world, and what may happen there: the table whose cells a run counts.

use serde::{Deserialize, Serialize};

/// A call of the application to the cluster or to its disk, in the order of a commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Step {
    /// A new producer takes over its transactional id.
    InitTransactions,
    /// A rebalance is answered: partitions taken up or given back.
    Rebalance,
    /// Committed offsets are asked for, at the start of tasks.
    Committed,
    /// Ends of changelogs and of inputs are asked for.
    ListOffsets,
    /// Changelog records are read.
    Restore,
    /// Input is read.
    Poll,
    /// Records go out.
    Produce,
    /// Consumed offsets join the transaction.
    SendOffsets,
    /// The transaction is committed.
    EndTransaction,
    /// The transaction is aborted.
    AbortTransaction,
    /// At least once: all records are waited for.
    Flush,
    /// At least once: offsets are committed.
    CommitOffsets,
    /// Committed rows are written to an engine.
    StoreWrite,
    /// The application closes.
    Close,
}

/// What happens to a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum CallFault {
    /// The process dies before the call goes out.
    CrashBefore,
    /// It dies when the call has happened.
    CrashAfter,
    /// The request never arrives; the call runs into its deadline.
    RequestLost,
    /// The request is executed, the answer never arrives.
    ReplyLost,
    /// The connection breaks; the request arrives so many ms after the client has given up.
    Late(i64),
    /// The connection breaks and the request is sent again; its first copy arrives so many ms later.
    Resent(i64),
    /// The broker says no: try again.
    Refused,
    /// The broker answers that a newer producer, or a newer generation of the group, is there.
    Fenced,
    /// The process stands still for so many ms before the call goes out, its heartbeats going on.
    Stall(i64),
    /// The disk is full.
    DiskFull,
    /// The data on disk turn out to be damaged.
    Damaged,
}

/// A fault without its figures: the column of a cell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs, reason = "as in CallFault")]
pub enum FaultKind {
    CrashBefore,
    CrashAfter,
    RequestLost,
    ReplyLost,
    Late,
    Resent,
    Refused,
    Fenced,
    Stall,
    DiskFull,
    Damaged,
}

impl CallFault {
    /// Its column.
    pub fn kind(self) -> FaultKind {
        match self {
            CallFault::CrashBefore => FaultKind::CrashBefore,
            CallFault::CrashAfter => FaultKind::CrashAfter,
            CallFault::RequestLost => FaultKind::RequestLost,
            CallFault::ReplyLost => FaultKind::ReplyLost,
            CallFault::Late(_) => FaultKind::Late,
            CallFault::Resent(_) => FaultKind::Resent,
            CallFault::Refused => FaultKind::Refused,
            CallFault::Fenced => FaultKind::Fenced,
            CallFault::Stall(_) => FaultKind::Stall,
            CallFault::DiskFull => FaultKind::DiskFull,
            CallFault::Damaged => FaultKind::Damaged,
        }
    }
}

impl Step {
    /// All steps.
    pub const ALL: [Step; 14] = [
        Step::InitTransactions,
        Step::Rebalance,
        Step::Committed,
        Step::ListOffsets,
        Step::Restore,
        Step::Poll,
        Step::Produce,
        Step::SendOffsets,
        Step::EndTransaction,
        Step::AbortTransaction,
        Step::Flush,
        Step::CommitOffsets,
        Step::StoreWrite,
        Step::Close,
    ];

    /// What may happen at this step: its row of the table.
    pub fn faults(self) -> &'static [FaultKind] {
        use FaultKind::*;
        match self {
            Step::InitTransactions => &[CrashBefore, CrashAfter, Stall, RequestLost, ReplyLost, Refused],
            Step::Rebalance => &[CrashBefore, CrashAfter, Stall],
            Step::Committed => &[CrashBefore, CrashAfter, Stall, RequestLost, Refused],
            Step::ListOffsets => &[CrashBefore, CrashAfter, Stall, RequestLost, Refused],
            Step::Restore | Step::Poll => &[CrashBefore, CrashAfter, Stall, RequestLost],
            Step::Produce => &[CrashBefore, CrashAfter, Stall, RequestLost, ReplyLost, Fenced],
            Step::SendOffsets | Step::EndTransaction => {
                &[CrashBefore, CrashAfter, Stall, RequestLost, ReplyLost, Late, Resent, Refused, Fenced]
            }
            Step::AbortTransaction => {
                &[CrashBefore, CrashAfter, Stall, RequestLost, ReplyLost, Late, Resent, Refused, Fenced]
            }
            Step::Flush => &[CrashBefore, CrashAfter, Stall, RequestLost],
            Step::CommitOffsets => &[CrashBefore, CrashAfter, Stall, RequestLost, ReplyLost, Refused, Fenced],
            Step::StoreWrite => &[CrashBefore, CrashAfter, Stall, DiskFull, Damaged],
            Step::Close => &[CrashBefore, CrashAfter, Stall],
        }
    }

    /// Whether the step comes up with this guarantee.
    pub fn is_of(self, exactly_once: bool) -> bool {
        match self {
            Step::InitTransactions | Step::SendOffsets | Step::EndTransaction | Step::AbortTransaction => {
                exactly_once
            }
            Step::Flush | Step::CommitOffsets => !exactly_once,
            Step::Rebalance
            | Step::Committed
            | Step::ListOffsets
            | Step::Restore
            | Step::Poll
            | Step::Produce
            | Step::StoreWrite
            | Step::Close => true,
        }
    }
}
