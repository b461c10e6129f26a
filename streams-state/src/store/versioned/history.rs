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
    pub(super) changed: Vec<i64>,
}

impl<V> Default for History<V> {
    fn default() -> Self {
        Self { latest: None, older: Vec::new(), latest_changed: false, changed: Vec::new() }
    }
}

impl<V> History<V> {
    /// Whether there is nothing to know about the key.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_none() && self.older.is_empty()
    }

    /// Length of all versions as the engine has them.
    pub(super) fn len(&self) -> usize {
        let latest = self.latest.as_ref().map_or(0, |(value, _)| value.len as usize + 8);
        let len = |version: &Older<V>| 20 + version.value.as_ref().map_or(0, |value| value.len as usize);
        latest + self.older.iter().map(len).sum::<usize>()
    }

    /// Forgets the versions of segments before `oldest`.
    pub(super) fn expire(&mut self, oldest: i64, interval: i64) {
        let gone = self.older.partition_point(|version| segment_of(version.to, interval) < oldest);
        self.older.drain(..gone);
        self.changed.retain(|segment| *segment >= oldest);
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
        if let Some((before, from)) = self.latest.take()
            && from < time
        {
            self.older.push(Older { from, to: time, value: Some(before) });
            self.segment_changed(time, interval);
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
            self.segment_changed(to, interval);
            if self.older[at].from == time {
                self.older[at].value = value;
            } else {
                self.older[at].to = time;
                self.segment_changed(time, interval);
                self.older.insert(at + 1, Older { from: time, to, value });
            }
            return VersionedPut::Older { valid_to: to };
        }
        let next = self.older.partition_point(|version| version.from <= time);
        let boundary = self.older.get(next).map(|version| version.from).or(latest);
        match (boundary, value) {
            (Some(to), value) => {
                self.older.insert(next, Older { from: time, to, value });
                self.segment_changed(to, interval);
                VersionedPut::Older { valid_to: to }
            }
            (None, Some(value)) => {
                self.set_latest(Some(value), time);
                VersionedPut::Latest
            }
            (None, None) => {
                if self.older.last().is_none_or(|version| version.to != time) {
                    self.older.push(Older { from: time, to: time, value: None });
                    self.segment_changed(time, interval);
                }
                VersionedPut::Latest
            }
        }
    }

    fn set_latest(&mut self, value: Option<Sized<V>>, time: Timestamp) {
        self.latest = value.map(|value| (value, time));
        self.latest_changed = true;
    }

    /// Index of the older version that is valid at `time`.
    fn containing(&self, time: Timestamp) -> Option<usize> {
        let at = self.older.partition_point(|version| version.from <= time).checked_sub(1)?;
        (time < self.older[at].to).then_some(at)
    }

    fn segment_changed(&mut self, to: Timestamp, interval: i64) {
        let segment = segment_of(to, interval);
        if !self.changed.contains(&segment) {
            self.changed.push(segment);
        }
    }
}
