//! Records that were dropped without being an error: counted by reason and node, and said aloud now and then.
//!
//! In: a node's word that it drops the record in work. Out: counts, and warnings: the first of a kind at once, then at
//! most one in [`WARN_INTERVAL_MS`] with the number since. Never asks a clock: the time is the one the task was given.

use std::sync::Arc;

use streams_state::types::Timestamp;

use crate::handler::ErrorStage;

/// Pause between two warnings about the same node and reason, in ms of wall-clock time.
const WARN_INTERVAL_MS: Timestamp = 10_000;

/// Why a record was dropped without being an error. All together are Kafka Streams' `dropped-records-total`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// The key is null where a key is needed.
    NullKey,
    /// The value is null where a value is needed.
    NullValue,
    /// The timestamp extractor gave a negative timestamp.
    NegativeTimestamp,
    /// Bytes of a source record do not parse, and the deserialization exception handler said to go on.
    Unparsable,
    /// User code failed, and the processing exception handler said to go on.
    ProcessingFailed,
    /// A result could not be serialized or sent, and the production exception handler said to go on.
    ProductionFailed,
    /// A partitioner chose no partition.
    NoPartition,
    /// A row of a table has no foreign key, where a join needs one.
    NullForeignKey,
    /// An answer in a foreign-key join was made for a value that the row no longer has.
    StaleAnswer,
    /// The record came too late for its window or table version.
    Late,
}

impl DropReason {
    /// All reasons, in the order in which figures list them.
    pub const ALL: [Self; 10] = [
        Self::NullKey,
        Self::NullValue,
        Self::NegativeTimestamp,
        Self::Unparsable,
        Self::ProcessingFailed,
        Self::ProductionFailed,
        Self::NoPartition,
        Self::NullForeignKey,
        Self::StaleAnswer,
        Self::Late,
    ];

    /// The reason as a label of a metric: `null-key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NullKey => "null-key",
            Self::NullValue => "null-value",
            Self::NegativeTimestamp => "negative-timestamp",
            Self::Unparsable => "unparsable",
            Self::ProcessingFailed => "processing-failed",
            Self::ProductionFailed => "production-failed",
            Self::NoPartition => "no-partition",
            Self::NullForeignKey => "null-foreign-key",
            Self::StaleAnswer => "stale-answer",
            Self::Late => "late",
        }
    }

    /// What is counted if the handler of this stage says to go on.
    pub(crate) fn handled(stage: ErrorStage) -> Self {
        match stage {
            ErrorStage::Deserialization => Self::Unparsable,
            ErrorStage::Processing => Self::ProcessingFailed,
            ErrorStage::Production => Self::ProductionFailed,
        }
    }

    /// Place in [`ALL`](Self::ALL).
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many records were dropped, by reason.
///
/// ```
/// use streams_core::processor::{DropCounts, DropReason};
/// let counts: DropCounts = [(DropReason::Late, 2), (DropReason::NullKey, 1)].into_iter().collect();
/// assert_eq!((counts.get(DropReason::Late), counts.total()), (2, 3));
/// assert_eq!(format!("{counts:?}"), "{null-key: 1, late: 2}");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

impl DropCounts {
    /// Records dropped for this reason.
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason.index()).copied().unwrap_or_default()
    }

    /// Records dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Reasons for which records were dropped, and how many.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// Counts `count` more.
    pub fn add(&mut self, reason: DropReason, count: u64) {
        if let Some(slot) = self.0.get_mut(reason.index()) {
            *slot += count;
        }
    }
}

impl std::fmt::Debug for DropCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        self.iter().for_each(|(reason, count)| {
            map.entry(&format_args!("{reason}"), &count);
        });
        map.finish()
    }
}

impl FromIterator<(DropReason, u64)> for DropCounts {
    fn from_iter<I: IntoIterator<Item = (DropReason, u64)>>(counts: I) -> Self {
        let mut sum = Self::default();
        counts.into_iter().for_each(|(reason, count)| sum.add(reason, count));
        sum
    }
}

impl std::iter::Sum for DropCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |mut sum, one| {
            one.iter().for_each(|(reason, count)| sum.add(reason, count));
            sum
        })
    }
}

/// One node and reason, and when it was last spoken of.
#[derive(Debug)]
struct Kind {
    node: Arc<str>,
    reason: DropReason,
    unsaid: u64,
    warned_at: Timestamp,
}

/// The dropped records of a task.
#[derive(Debug, Default)]
pub struct Drops {
    counts: DropCounts,
    published: DropCounts,
    kinds: Vec<Kind>,
}

impl Drops {
    /// Counts one. Returns how many to warn of now, this one included, if the last warning about this node and reason is long
    /// enough ago.
    pub(crate) fn count(&mut self, node: &str, reason: DropReason, now: Timestamp) -> Option<u64> {
        self.counts.add(reason, 1);
        let Some(kind) = self.kinds.iter_mut().find(|kind| kind.reason == reason && &*kind.node == node)
        else {
            self.kinds.push(Kind { node: node.into(), reason, unsaid: 0, warned_at: now });
            return Some(1);
        };
        kind.unsaid += 1;
        if now.saturating_sub(kind.warned_at) < WARN_INTERVAL_MS {
            return None;
        }
        kind.warned_at = now;
        Some(std::mem::take(&mut kind.unsaid))
    }

    /// All so far.
    pub fn counts(&self) -> DropCounts {
        self.counts
    }

    /// Those since the last call.
    pub(crate) fn take_unpublished(&mut self) -> DropCounts {
        let known = std::mem::replace(&mut self.published, self.counts);
        self.counts.iter().map(|(reason, count)| (reason, count - known.get(reason))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_the_order_of_their_indices() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }

    #[test]
    fn the_first_of_a_kind_is_said_at_once_and_the_rest_together() {
        let mut drops = Drops::default();
        assert_eq!(drops.count("a", DropReason::Late, 5), Some(1));
        assert_eq!(drops.count("b", DropReason::Late, 5), Some(1), "another node");
        assert_eq!(drops.count("a", DropReason::NullKey, 5), Some(1), "another reason");
        assert_eq!(drops.count("a", DropReason::Late, 10_004), None);
        assert_eq!(drops.count("a", DropReason::Late, 10_005), Some(2));
        assert_eq!(drops.count("a", DropReason::Late, 10_006), None);
        assert_eq!(drops.counts(), [(DropReason::Late, 5), (DropReason::NullKey, 1)].into_iter().collect());
    }

    #[test]
    fn figures_are_published_once() {
        let mut drops = Drops::default();
        drops.count("a", DropReason::Late, 0);
        assert_eq!(drops.take_unpublished().total(), 1);
        drops.count("a", DropReason::NullKey, 0);
        assert_eq!(drops.take_unpublished(), [(DropReason::NullKey, 1)].into_iter().collect());
        assert_eq!(drops.take_unpublished().total(), 0);
        assert_eq!(drops.counts().total(), 2);
    }
}
