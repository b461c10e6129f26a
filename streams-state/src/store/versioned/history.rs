//! All versions of one key, and the rules by which a put changes them. In come values with the time from which
//! they are valid, out goes whether the put is the latest and, if not, until when it is valid. Knows no bytes, no
//! engine and no stream time beyond the oldest segment that it is given.
//!
//! ```text
//! older: [from, to) [from, to) ...      latest: [from, ...
//!        ascending; gaps are deletions           None: deleted, or never there
//! ```
//! A version belongs to the segment of its `to`, as in Kafka Streams: so a segment holds what became history
//! in its time, and is dropped as a whole. A deletion is known by the `to` of the version before it. A deletion
//! without one in its segment leaves a marker, `[t, t)` without a value; only a deletion at the very time of the
//! latest version leaves nothing, as in Kafka Streams.

use std::collections::BTreeSet;

use super::VersionedPut;
use crate::types::Timestamp;

/// A value and the length of its serialized form.
pub(super) struct Sized<V> {
    pub(super) value: V,
    pub(super) len: u32,
}

/// A version that is no longer the latest, or (`value` is `None`) a stretch of time without a value.
pub(super) struct Older<V> {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) value: Option<Sized<V>>,
}

impl<V> Older<V> {
    fn bytes(&self) -> usize {
        20 + self.value.as_ref().map_or(0, |value| value.len as usize)
    }
}

fn latest_bytes<V>(value: &Sized<V>) -> usize {
    8 + value.len as usize
}

/// Number of the segment that holds versions ending at `to`.
#[inline]
pub(super) fn segment_of(to: Timestamp, interval: i64) -> i64 {
    to / interval
}

/// The versions of one key.
pub(super) struct History<V> {
    pub(super) latest: Option<(Sized<V>, Timestamp)>,
    pub(super) older: Vec<Older<V>>,
    /// The engine has another latest version.
    pub(super) latest_changed: bool,
    /// Segments of which the engine has another row.
    pub(super) changed: BTreeSet<i64>,
    /// Bytes of all versions as the engine has them.
    bytes: usize,
}

impl<V> Default for History<V> {
    fn default() -> Self {
        Self { latest: None, older: Vec::new(), latest_changed: false, changed: BTreeSet::new(), bytes: 0 }
    }
}

impl<V> History<V> {
    /// Whether there is nothing to know about the key.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_none() && self.older.is_empty()
    }

    /// The versions as the engine has them, `older` in order.
    pub(super) fn read(latest: Option<(Sized<V>, Timestamp)>, older: Vec<Older<V>>) -> Self {
        let mut history = Self { latest, older, ..Self::default() };
        let latest = history.latest.as_ref().map_or(0, |(value, _)| latest_bytes(value));
        history.bytes = latest + history.older.iter().map(Older::bytes).sum::<usize>();
        history
    }

    /// Bytes of all versions as the engine has them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets the versions of segments before `oldest`.
    pub(super) fn expire(&mut self, oldest: i64, interval: i64) {
        let gone = self.older.partition_point(|version| segment_of(version.to, interval) < oldest);
        self.bytes -= self.older.drain(..gone).map(|version| version.bytes()).sum::<usize>();
        if self.changed.first().is_some_and(|first| *first < oldest) {
            self.changed = self.changed.split_off(&oldest);
        }
    }

    /// The version that is valid at `time`.
    pub(super) fn as_of(&self, time: Timestamp) -> Option<(&V, Timestamp)> {
        match &self.latest {
            Some((latest, from)) if *from <= time => Some((&latest.value, *from)),
            Some(_) | None => {
                let version = &self.older[self.containing(time)?];
                version.value.as_ref().map(|value| (&value.value, version.from))
            }
        }
    }

    /// Adds a version that is valid from `time`; `None` is a deletion.
    pub(super) fn put(&mut self, value: Option<Sized<V>>, time: Timestamp, interval: i64) -> VersionedPut {
        let latest = self.latest.as_ref().map(|(_, from)| *from);
        if latest.is_none_or(|from| time < from) {
            return self.put_out_of_order(value, time, latest, interval);
        }
        if let Some((before, from)) = self.latest.take() {
            self.bytes -= latest_bytes(&before);
            if from < time {
                self.insert(self.older.len(), Older { from, to: time, value: Some(before) }, interval);
            }
        }
        self.set_latest(value, time);
        VersionedPut::Latest
    }

    /// A put before the latest version, which is valid from `latest`, or of a key that has none.
    fn put_out_of_order(
        &mut self,
        value: Option<Sized<V>>,
        time: Timestamp,
        latest: Option<Timestamp>,
        interval: i64,
    ) -> VersionedPut {
        if let Some(at) = self.containing(time) {
            let to = self.older[at].to;
            if self.older[at].from == time {
                let replaced = self.older.remove(at);
                self.bytes -= replaced.bytes();
                self.insert(at, Older { from: time, to, value }, interval);
            } else {
                self.older[at].to = time;
                self.changed.insert(segment_of(time, interval));
                self.insert(at + 1, Older { from: time, to, value }, interval);
            }
            return VersionedPut::Older { valid_to: to };
        }
        let next = self.older.partition_point(|version| version.from <= time);
        let boundary = self.older.get(next).map(|version| version.from).or(latest);
        match (boundary, value) {
            (Some(to), value) => {
                self.insert(next, Older { from: time, to, value }, interval);
                VersionedPut::Older { valid_to: to }
            }
            (None, Some(value)) => {
                self.set_latest(Some(value), time);
                VersionedPut::Latest
            }
            (None, None) => {
                if self.older.last().is_none_or(|version| version.to != time) {
                    self.insert(self.older.len(), Older { from: time, to: time, value: None }, interval);
                }
                VersionedPut::Latest
            }
        }
    }

    fn set_latest(&mut self, value: Option<Sized<V>>, time: Timestamp) {
        self.bytes += value.as_ref().map_or(0, latest_bytes);
        self.latest = value.map(|value| (value, time));
        self.latest_changed = true;
    }

    /// Index of the older version that is valid at `time`.
    fn containing(&self, time: Timestamp) -> Option<usize> {
        let at = self.older.partition_point(|version| version.from <= time).checked_sub(1)?;
        (time < self.older[at].to).then_some(at)
    }

    fn insert(&mut self, at: usize, version: Older<V>, interval: i64) {
        self.changed.insert(segment_of(version.to, interval));
        self.bytes += version.bytes();
        self.older.insert(at, version);
    }
}
