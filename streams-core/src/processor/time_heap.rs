//! A heap of small numbers by timestamp, with the ties of `java.util.PriorityQueue`.
//!
//! Which of two queues (or schedules) with equal timestamps goes first is visible in the order of results. Kafka
//! Streams leaves it to Java's binary heap; this is the same heap, so the same one goes first.

use streams_state::types::Timestamp;

/// A binary heap: smallest timestamp first; ties as in Java.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimeHeap {
    entries: Vec<(Timestamp, u32)>,
}

impl TimeHeap {
    /// Whether nothing is in it.
    #[inline]
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry that [`poll`](Self::poll) would take.
    #[inline]
    pub(crate) fn peek(&self) -> Option<(Timestamp, u32)> {
        self.entries.first().copied()
    }

    /// Adds an entry at the end and lets it rise while its parent is greater.
    #[inline]
    pub(crate) fn offer(&mut self, timestamp: Timestamp, item: u32) {
        let mut at = self.entries.len();
        self.entries.push((timestamp, item));
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.time(at) >= self.time(parent) {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    /// Takes the root; the last entry replaces it and sinks below the smaller child, the left one of equals.
    #[inline]
    pub(crate) fn poll(&mut self) -> Option<(Timestamp, u32)> {
        let last = self.entries.pop()?;
        let Some(root) = self.entries.first_mut() else {
            return Some(last);
        };
        let first = std::mem::replace(root, last);
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.entries.len() {
                break;
            }
            let child =
                if right < self.entries.len() && self.time(left) > self.time(right) { right } else { left };
            if self.time(at) <= self.time(child) {
                break;
            }
            self.entries.swap(at, child);
            at = child;
        }
        Some(first)
    }

    /// Forgets everything; capacity stays.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    #[inline]
    fn time(&self, at: usize) -> Timestamp {
        self.entries.get(at).map_or(Timestamp::MAX, |entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_timestamps_leave_in_the_order_of_javas_heap() {
        let mut heap = TimeHeap::default();
        for item in 0..4 {
            heap.offer(5, item);
        }
        let order: Vec<u32> = std::iter::from_fn(|| heap.poll()).map(|entry| entry.1).collect();
        assert_eq!(order, [0, 3, 2, 1]);
    }

    #[test]
    fn smallest_first() {
        let mut heap = TimeHeap::default();
        for (timestamp, item) in [(9, 0), (3, 1), (7, 2), (-1, 3), (3, 4)] {
            heap.offer(timestamp, item);
        }
        assert_eq!((heap.peek(), heap.len()), (Some((-1, 3)), 5));
        let times: Vec<i64> = std::iter::from_fn(|| heap.poll()).map(|entry| entry.0).collect();
        assert_eq!(times, [-1, 3, 3, 7, 9]);
        assert!(heap.is_empty());
    }
}
