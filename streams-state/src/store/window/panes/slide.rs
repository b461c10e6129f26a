//! Combining windows from panes, one after the other: as many calls as there are panes and windows, not their product.
//!
//! ```text
//! rows:   5+6+7   6+7   7  │  8   9   10  │  11 ...     a row before `pivot` is combined with those after it
//!         first            pivot          reached        joined: 8+9+10
//! the window from 6 to 10 is 6+7 and 8+9+10; when `first` has come to `pivot`, the rows up to `reached` are combined anew
//! ```

use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::vec::IntoIter;

use super::{Combine, Geometry, OWN, Panes, Part};
use crate::types::Timestamp;

/// Value and timestamp.
pub(super) type Value<V> = (V, Timestamp);
/// A row of the key; without its value only while it is combined.
pub(super) type PartRow<V> = (Part, Option<Value<V>>);

/// The windows of a key in their order, without those that have no rows: start, value and timestamp.
pub(super) struct Slide<'a, K, V> {
    key: &'a K,
    combine: &'a Combine<K, V>,
    geometry: Geometry,
    /// Panes.
    rows: Vec<PartRow<V>>,
    /// The first pane that is not before the window.
    first: usize,
    pivot: usize,
    /// The first pane that no window so far had.
    reached: usize,
    joined: Option<Value<V>>,
    /// Rows that windows have of their own.
    own: Peekable<IntoIter<PartRow<V>>>,
    /// No window before this one is left.
    next: Option<Timestamp>,
    to: Timestamp,
}

impl<'a, K, V: Clone> Slide<'a, K, V> {
    /// The windows that start in `windows`. `rows`: in order.
    pub(super) fn new(
        panes: &'a Panes<K, V>,
        key: &'a K,
        mut rows: Vec<PartRow<V>>,
        windows: RangeInclusive<Timestamp>,
    ) -> Self {
        let Panes { geometry, combine, .. } = panes;
        let mut own = Vec::new();
        if rows.iter().any(|((_, kind), _)| *kind == OWN) {
            (own, rows) = rows.into_iter().partition(|((_, kind), _)| *kind == OWN);
        }
        // The first place of a window from there on.
        let (from, advance) = ((*windows.start()).max(0), geometry.advance);
        let slides = from / advance + i64::from(from % advance > 0);
        Self {
            key,
            combine,
            geometry: *geometry,
            rows,
            first: 0,
            pivot: 0,
            reached: 0,
            joined: None,
            own: own.into_iter().peekable(),
            next: slides.checked_mul(advance),
            to: *windows.end(),
        }
    }

    fn combined(&self, earlier: Option<Value<V>>, later: Option<&Value<V>>) -> Option<Value<V>> {
        match (earlier, later) {
            (Some((earlier, time)), Some((later, later_time))) => {
                Some(((self.combine)(self.key, earlier, later), time.max(*later_time)))
            }
            (earlier, later) => earlier.or_else(|| later.cloned()),
        }
    }

    fn is_before(&self, row: usize, start: Timestamp) -> bool {
        self.rows.get(row).is_some_and(|((at, _), _)| *at < start)
    }

    /// Forgets the rows before `start`, where a window starts.
    fn forget(&mut self, start: Timestamp) {
        while self.first < self.pivot && self.is_before(self.first, start) {
            self.first += 1;
        }
        if self.first == self.pivot && self.is_before(self.first, start) {
            while self.is_before(self.first, start) {
                self.first += 1;
            }
            self.reached = self.reached.max(self.first);
            for row in (self.first + 1..self.reached).rev() {
                let earlier = self.rows[row - 1].1.take();
                self.rows[row - 1].1 = self.combined(earlier, self.rows[row].1.as_ref());
            }
            (self.pivot, self.joined) = (self.reached, None);
        }
        while self.own.next_if(|((at, _), _)| *at < start).is_some() {}
    }

    /// The first window from `start` on that has rows.
    fn find(&mut self, start: Timestamp) -> Option<Timestamp> {
        if self.first < self.reached {
            return Some(start);
        }
        let of_pane =
            self.rows.get(self.reached).map(|(part, _)| self.geometry.first_window(*part).max(start));
        let of_own = self.own.peek().map(|((at, _), _)| *at);
        of_pane.into_iter().chain(of_own).min()
    }
}

impl<K, V: Clone> Iterator for Slide<'_, K, V> {
    type Item = (Timestamp, Value<V>);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next.take()?;
        self.forget(next);
        let start = self.find(next).filter(|start| *start <= self.to)?;
        let last = self.geometry.last_pane(start);
        while self.rows.get(self.reached).is_some_and(|(part, _)| *part <= last) {
            let joined = self.joined.take();
            self.joined = self.combined(joined, self.rows[self.reached].1.as_ref());
            self.reached += 1;
        }
        let front = if self.first < self.pivot { self.rows[self.first].1.clone() } else { None };
        let of_panes = self.combined(front, self.joined.as_ref());
        let own = self.own.next_if(|((at, _), _)| *at == start).and_then(|(_, own)| own);
        let value = self.combined(of_panes, own.as_ref());
        self.next = start.checked_add(self.geometry.advance);
        value.map(|value| (start, value))
    }
}
