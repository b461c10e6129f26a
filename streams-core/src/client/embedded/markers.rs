//! Markers of decided transactions on their way: a partition or group shows the decision when its marker has arrived.
//!
//! They are there at once unless a simulation says otherwise. On a cluster a commit is answered before: readers of two partitions
//! see it at two times.

use streams_state::types::TopicPartition;

/// Where a marker goes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Partition(TopicPartition),
    Group(String),
}

/// The decision of a transaction, for one place.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    pub(super) producer: i64,
    pub(super) place: Place,
    pub(super) commit: bool,
}

/// Markers on their way.
#[derive(Debug, Default)]
pub(super) struct Markers {
    /// Longest way, ms.
    pub(super) delay_max_ms: i64,
    under_way: Vec<(i64, Marker)>,
    sent: i64,
}

impl Markers {
    /// Sends a marker; gives it back if it arrives at once.
    pub(super) fn send(&mut self, marker: Marker, now_ms: i64) -> Option<Marker> {
        if self.delay_max_ms == 0 {
            return Some(marker);
        }
        self.sent += 1;
        // Neighbours in a transaction arrive far apart, the same in each run.
        let way_ms = (self.sent * 7_919) % (self.delay_max_ms + 1);
        self.under_way.push((now_ms + way_ms, marker));
        None
    }

    /// Those that have arrived by now.
    pub(super) fn take_due(&mut self, now_ms: i64) -> Vec<Marker> {
        self.take(|(due_ms, _)| *due_ms <= now_ms)
    }

    /// Those of a producer, arrived or not.
    pub(super) fn take_of(&mut self, producer: i64) -> Vec<Marker> {
        self.take(|(_, marker)| marker.producer == producer)
    }

    /// When the next arrives.
    pub(super) fn next_due_ms(&self) -> Option<i64> {
        self.under_way.iter().map(|(due_ms, _)| *due_ms).min()
    }

    fn take(&mut self, which: impl Fn(&(i64, Marker)) -> bool) -> Vec<Marker> {
        if self.under_way.is_empty() {
            return Vec::new();
        }
        let (taken, left) = std::mem::take(&mut self.under_way).into_iter().partition(|entry| which(entry));
        self.under_way = left;
        let taken: Vec<(i64, Marker)> = taken;
        taken.into_iter().map(|(_, marker)| marker).collect()
    }
}
