//! Ways back since the last commit, and when there were too many.
//!
//! In: each way back with its time, each commit. Out: whether to go on. What a way back does not heal is the same the next time; but a
//! cluster whose brokers come and go, or are silent for a while, may refuse work often before it is well again. So a thread gives up
//! after [`REWINDS_MAX`] ways back that together took longer than `task.timeout.ms`.

use std::time::Duration;

use streams_state::types::Timestamp;

use super::task_timeout::TaskTimeout;

/// Ways back in a row that are never too many, in however long a time.
pub(super) const REWINDS_MAX: u32 = 20;

/// How often a thread went back to the committed offsets since its last commit.
#[derive(Debug)]
pub(crate) struct Rewinds {
    count: u32,
    time: TaskTimeout,
}

impl Rewinds {
    /// `limit` is `task.timeout.ms`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { count: 0, time: TaskTimeout::new(limit) }
    }

    /// There was a commit.
    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.time.clear();
    }

    /// Once more, at `now`. An error if that is too often: what to say of it.
    pub(super) fn add(&mut self, now: Timestamp) -> Result<u32, String> {
        self.count += 1;
        let too_long = self.time.attempt_failed(now);
        match self.count > REWINDS_MAX {
            true => too_long.map(|()| self.count).map_err(|text| {
                format!(
                    "went back to the committed offsets {} times without a commit in between, {text}",
                    self.count
                )
            }),
            false => Ok(self.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_many_and_a_long_time() {
        let mut rewinds = Rewinds::new(Duration::from_secs(1));
        (0..100).for_each(|now| assert!(rewinds.add(now).is_ok(), "quickly one after the other"));
        assert!(rewinds.add(2000).is_err_and(|text| text.contains("101 times") && text.contains("2000 ms")));
        rewinds.clear();
        (0..20).for_each(|turn| assert!(rewinds.add(turn * 50_000).is_ok(), "few, however long it takes"));
        assert!(rewinds.add(1_000_000).is_err());
    }
}
