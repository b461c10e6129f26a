//! What `/work` tells, as JSON: where the time of the threads goes, node by node. Somebody looks at the threads as long as somebody asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use streams_core::runtime::{NodeShare, StreamsMonitor, WorkProfile, WorkShares};

/// Looks that count, and looks after the last question: those of about ten seconds.
const LOOKS: u32 = 2000;

/// Looks at the threads of an instance while it is asked.
pub(crate) struct Watch(Mutex<Looking>);

struct Looking {
    profile: WorkProfile,
    /// Looks until nobody looks any more; 0: nobody does.
    left: u32,
}

/// Shares of the time of threads, 0 to 1.
#[derive(Serialize)]
pub(crate) struct Work {
    /// How often stream threads were seen; 0 as long as nobody had looked, and shares say nothing.
    samples: u64,
    threads: Outside,
    nodes: Vec<Node>,
}

/// What stream threads do outside of nodes.
#[derive(Serialize)]
struct Outside {
    polling: f64,
    restoring: f64,
    sending: f64,
    committing: f64,
    other: f64,
}

#[derive(Serialize)]
struct Node {
    name: String,
    /// Of the time of all stream threads.
    share: f64,
    tasks: Vec<Task>,
}

#[derive(Serialize)]
struct Task {
    id: String,
    /// Of the time of its thread.
    share: f64,
}

impl Watch {
    /// Nobody looks at the instance of `monitor` yet.
    pub(crate) fn new(monitor: &StreamsMonitor) -> Self {
        Self(Mutex::new(Looking { profile: monitor.work_profile(LOOKS), left: 0 }))
    }

    /// What was seen over the last looks. Somebody looks from now on, for some seconds after the last question.
    pub(crate) fn ask(self: &Arc<Self>) -> Work {
        let mut looking = self.lock();
        if std::mem::replace(&mut looking.left, LOOKS) == 0 {
            // What was seen long ago is not what they do now.
            looking.profile.clear();
            tokio::spawn(self.clone().look_on());
        }
        Work::of(&looking.profile.shares())
    }

    async fn look_on(self: Arc<Self>) {
        for round in 0.. {
            tokio::time::sleep(pause(round)).await;
            let mut looking = self.lock();
            looking.profile.look();
            looking.left -= 1;
            if looking.left == 0 {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Looking> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the next look: 2 to 6 ms, scattered, so that looks do not fall in step with what threads do at intervals.
fn pause(round: u32) -> Duration {
    Duration::from_millis(u64::from(2 + (round.wrapping_mul(0x9e37_79b9) >> 16) % 5))
}

impl Work {
    fn of(shares: &WorkShares) -> Self {
        let WorkShares { samples, polling, restoring, sending, committing, other, nodes } = shares;
        let node = |NodeShare { name, share, tasks }: &NodeShare| Node {
            name: name.to_string(),
            share: short(*share),
            tasks: tasks
                .iter()
                .map(|(id, share)| Task { id: id.to_string(), share: short(*share) })
                .collect(),
        };
        let threads = Outside {
            polling: short(*polling),
            restoring: short(*restoring),
            sending: short(*sending),
            committing: short(*committing),
            other: short(*other),
        };
        Self { samples: *samples, threads, nodes: nodes.iter().map(node).collect() }
    }
}

/// To four digits: more would be noise.
fn short(share: f64) -> f64 {
    (share * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_scattered_about_four_ms_apart() {
        let pauses: Vec<u64> = (0..1000).map(|round| pause(round).as_millis() as u64).collect();
        assert!((2..=6).all(|ms| pauses.iter().filter(|pause| **pause == ms).count() > 150), "{pauses:?}");
    }
}
