//! Scheduled calls: what is due at a given stream or wall-clock time.

use streams_state::types::{NO_TIMESTAMP, Timestamp};

use super::TimeHeap;

/// Which clock drives a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PunctuationType {
    /// Event time of the task: advances only with records.
    StreamTime,
    /// Wall-clock time given by the runtime.
    WallClockTime,
}

/// Names one schedule of one processor; given back to it when it is due.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Punctuation(pub u32);

#[derive(Clone, Debug)]
struct Schedule {
    node: usize,
    /// 0: once only.
    interval: i64,
    live: bool,
}

/// A round of a schedule that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Slot of the node.
    pub node: usize,
    /// The schedule.
    pub punctuation: Punctuation,
    /// When it was due.
    time: Timestamp,
}

/// All schedules of a task.
#[derive(Debug, Default)]
pub struct Punctuations {
    schedules: Vec<Schedule>,
    stream_time: TimeHeap,
    wall_clock: TimeHeap,
    live: usize,
    /// Places of single calls that are over, to be used again.
    over: Vec<u32>,
}

impl Punctuations {
    /// Adds a schedule for the node in `node`'s slot. Stream time: first due with the first record (at 0), as
    /// in Kafka Streams; wall clock: first due at `now + interval`.
    pub fn schedule(
        &mut self,
        node: usize,
        interval_ms: i64,
        kind: PunctuationType,
        now: Timestamp,
    ) -> Punctuation {
        let index = self.schedules.len() as u32;
        match kind {
            PunctuationType::StreamTime => self.stream_time.offer(0, index),
            PunctuationType::WallClockTime => self.wall_clock.offer(now + interval_ms, index),
        }
        self.schedules.push(Schedule { node, interval: interval_ms.max(1), live: true });
        self.live += 1;
        Punctuation(index)
    }

    /// Adds a schedule that is due at `start` and every `interval_ms` after it, never in between. A `start` that is past
    /// at `now` moves to the next such time.
    pub fn schedule_at(
        &mut self,
        node: usize,
        start: Timestamp,
        interval_ms: i64,
        kind: PunctuationType,
        now: Timestamp,
    ) -> Punctuation {
        let (index, interval) = (self.schedules.len() as u32, interval_ms.max(1));
        let first = if start < now { start + ((now - start) / interval + 1) * interval } else { start };
        match kind {
            PunctuationType::StreamTime => self.stream_time.offer(first, index),
            PunctuationType::WallClockTime => self.wall_clock.offer(first, index),
        }
        self.schedules.push(Schedule { node, interval, live: true });
        self.live += 1;
        Punctuation(index)
    }

    /// Adds one call of the node in `node`'s slot, due at `at` by wall clock. It cannot be cancelled.
    pub(crate) fn once(&mut self, node: usize, at: Timestamp) {
        let schedule = Schedule { node, interval: 0, live: true };
        let index = self.over.pop().unwrap_or(self.schedules.len() as u32);
        match self.schedules.get_mut(index as usize) {
            Some(place) => *place = schedule,
            None => self.schedules.push(schedule),
        }
        self.live += 1;
        self.wall_clock.offer(at, index);
    }

    /// Stops a schedule.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        if let Some(schedule) = self.schedules.get_mut(punctuation.0 as usize) {
            self.live -= usize::from(schedule.live);
            schedule.live = false;
        }
    }

    /// Whether nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Takes the next schedule of `kind` that is due at `now`; after its round [`done`](Self::done) gives it back. To be called
    /// until it gives `None`.
    #[inline]
    pub fn next_due(&mut self, kind: PunctuationType, now: Timestamp) -> Option<Due> {
        if self.live == 0 || now == NO_TIMESTAMP {
            return None;
        }
        let turns = match kind {
            PunctuationType::StreamTime => &mut self.stream_time,
            PunctuationType::WallClockTime => &mut self.wall_clock,
        };
        while let Some((next, index)) = turns.peek().filter(|(next, _)| *next <= now) {
            turns.poll();
            if let Some(schedule) = self.schedules.get(index as usize).filter(|schedule| schedule.live) {
                return Some(Due { node: schedule.node, punctuation: Punctuation(index), time: next });
            }
        }
        None
    }

    /// A round is over: its schedule, if it was not cancelled in it, is next due at its first time after `now`; missed rounds
    /// are skipped.
    pub fn done(&mut self, kind: PunctuationType, due: Due, now: Timestamp) {
        let Due { punctuation: Punctuation(index), time, .. } = due;
        if let Some(schedule) = self.schedules.get_mut(index as usize).filter(|schedule| schedule.live) {
            if schedule.interval == 0 {
                schedule.live = false;
                self.live -= 1;
                self.over.push(index);
                return;
            }
            let next = time + ((now - time) / schedule.interval + 1) * schedule.interval;
            match kind {
                PunctuationType::StreamTime => self.stream_time.offer(next, index),
                PunctuationType::WallClockTime => self.wall_clock.offer(next, index),
            }
        }
    }

    /// The earliest wall-clock time at which something is due.
    pub fn next_wall_clock(&self) -> Option<Timestamp> {
        self.wall_clock.peek().filter(|_| self.live > 0).map(|(next, _)| next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Single calls come once, do not disturb the others, and do not pile up.
    #[test]
    fn a_single_call_comes_once_and_its_place_is_used_again() {
        let (mut all, kind) = (Punctuations::default(), PunctuationType::WallClockTime);
        all.schedule(7, 10, kind, 0);
        let mut calls = Vec::new();
        for now in 0..100 {
            if now % 4 == 0 {
                all.once(1, now + 2);
            }
            while let Some(due) = all.next_due(kind, now) {
                calls.push((now, due.node));
                all.done(kind, due, now);
            }
        }
        let of = |node| calls.iter().filter(|(_, at)| *at == node).map(|(now, _)| *now).collect::<Vec<_>>();
        assert_eq!(of(1), (2..100).step_by(4).collect::<Vec<_>>());
        assert_eq!(of(7), (10..100).step_by(10).collect::<Vec<_>>());
        assert_eq!((all.schedules.len(), all.next_wall_clock()), (2, Some(100)));
    }
}
