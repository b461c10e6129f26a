//! Scheduled calls: what is due at a given stream or wall-clock time.

use streams_state::types::{NO_TIMESTAMP, Timestamp};

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
    interval: i64,
    next: Timestamp,
    kind: PunctuationType,
    live: bool,
}

/// All schedules of a task.
#[derive(Debug, Default)]
pub struct Punctuations {
    schedules: Vec<Schedule>,
    live: usize,
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
        let next = match kind {
            PunctuationType::StreamTime => 0,
            PunctuationType::WallClockTime => now + interval_ms,
        };
        self.schedules.push(Schedule { node, interval: interval_ms.max(1), next, kind, live: true });
        self.live += 1;
        Punctuation(self.schedules.len() as u32 - 1)
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

    /// The schedules of `kind` due at `now`, earliest first: node slot and schedule. Each is returned once and
    /// moved past `now`; missed rounds are skipped.
    pub fn due(&mut self, kind: PunctuationType, now: Timestamp) -> Vec<(usize, Punctuation)> {
        if self.live == 0 || now == NO_TIMESTAMP {
            return Vec::new();
        }
        let mut due: Vec<(Timestamp, usize, Punctuation)> = Vec::new();
        for (index, schedule) in self.schedules.iter_mut().enumerate() {
            if schedule.live && schedule.kind == kind && schedule.next <= now {
                due.push((schedule.next, schedule.node, Punctuation(index as u32)));
                schedule.next += schedule.interval;
                if schedule.next <= now {
                    schedule.next += (now - schedule.next) / schedule.interval * schedule.interval;
                    if schedule.next <= now {
                        schedule.next += schedule.interval;
                    }
                }
            }
        }
        due.sort_by_key(|(next, _, punctuation)| (*next, punctuation.0));
        due.into_iter().map(|(_, node, punctuation)| (node, punctuation)).collect()
    }

    /// The earliest wall-clock time at which something is due.
    pub fn next_wall_clock(&self) -> Option<Timestamp> {
        let wall = |schedule: &&Schedule| schedule.live && schedule.kind == PunctuationType::WallClockTime;
        self.schedules.iter().filter(wall).map(|schedule| schedule.next).min()
    }
}
