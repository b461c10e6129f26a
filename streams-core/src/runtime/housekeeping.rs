//! Work that no record waits for: topics that match a pattern are looked for, records of repartition topics that every reader committed are deleted, and
//! directories of tasks that moved away are removed after a while.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use streams_state::types::{Timestamp, TopicPartition};

use super::shared::Shared;
use super::topic_watch::TopicWatch;

/// Deadline of one delete call.
const PURGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the thread looks whether something is due.
pub(crate) const ROUND: Duration = Duration::from_millis(100);

/// Committed offsets of repartition partitions since the last purge.
#[derive(Debug, Default)]
pub(crate) struct Purgeable(Mutex<BTreeMap<TopicPartition, i64>>);

impl Purgeable {
    /// `partition` was committed up to `offset`.
    pub(crate) fn committed(&self, partition: &TopicPartition, offset: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.clone(), offset);
    }

    fn take(&self) -> Vec<(TopicPartition, i64)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

/// When each kind of work was done last.
pub(crate) struct Housekeeper {
    /// The watch over topics that match patterns, from the first round on.
    watch: Option<TopicWatch>,
    started: Timestamp,
    purged: Timestamp,
    cleaned: Timestamp,
}

impl Housekeeper {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { watch: None, started: now, purged: now, cleaned: now }
    }

    /// Does what is due. Failures are logged and tried again at the next interval: nothing depends on them.
    pub(crate) fn round(&mut self, shared: &Shared, now: Timestamp) {
        // A clock that was set back makes nothing wait longer.
        (self.purged, self.cleaned) = (self.purged.min(now), self.cleaned.min(now));
        let started = self.started;
        let watch = self.watch.get_or_insert_with(|| TopicWatch::new(shared, started));
        watch.round(shared, now);
        if since(self.purged, now) >= shared.config.repartition_purge_interval {
            self.purged = now;
            let offsets = shared.purgeable.take();
            if !offsets.is_empty()
                && let Err(error) = shared.admin().delete_records(&offsets, PURGE_TIMEOUT)
            {
                tracing::warn!("purging repartition topics failed, it is tried again later: {error}");
            }
        }
        if since(self.cleaned, now) >= shared.config.state_cleanup_delay {
            self.cleaned = now;
            let time = UNIX_EPOCH + since(0, now);
            if let Err(error) = shared.directory.clean(shared.config.state_cleanup_delay, time) {
                tracing::warn!("removing directories of tasks that moved away failed: {error}");
            }
        }
    }
}

/// From one time to a later one.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(then)).unwrap_or(0))
}
