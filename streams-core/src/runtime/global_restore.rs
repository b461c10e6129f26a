//! What a restore listener hears of the global stores, whose topics are read from their checkpoint to the ends that they had.

use std::sync::Arc;

use streams_state::types::TopicPartition;

use super::listener::StateRestoreListener;

/// One partition of a global topic, for one store that it feeds.
struct Restoring {
    /// Number of the partition among the inputs.
    input: usize,
    partition: TopicPartition,
    store: Arc<str>,
    end: i64,
    records: u64,
}

/// The partitions that are not read to their ends yet. Tells the listener of each step.
pub(crate) struct GlobalRestore {
    listener: Option<Arc<dyn StateRestoreListener>>,
    entries: Vec<Restoring>,
}

impl GlobalRestore {
    /// Starts with `inputs`, each from its position to its end; `topics` says which store a topic feeds.
    pub(crate) fn new(
        listener: Option<Arc<dyn StateRestoreListener>>,
        topics: &[(Arc<str>, Arc<str>)],
        inputs: &[TopicPartition],
        positions: &[i64],
        ends: &[i64],
    ) -> Self {
        let mut entries = Vec::new();
        for (store, topic) in topics {
            let known = inputs.iter().enumerate().zip(positions.iter().zip(ends));
            for ((input, partition), (from, end)) in known.filter(|((_, input), _)| input.topic == *topic) {
                if let Some(listener) = &listener {
                    listener.on_restore_start(partition, store, *from, *end);
                }
                let (partition, store) = (partition.clone(), store.clone());
                entries.push(Restoring { input, partition, store, end: *end, records: 0 });
            }
        }
        let mut restore = Self { listener, entries };
        restore.advance(positions, &[]);
        restore
    }

    /// The inputs reached `positions`, with so many records each since the last call.
    pub(crate) fn advance(&mut self, positions: &[i64], records: &[u64]) {
        let Some(listener) = &self.listener else { return };
        self.entries.retain_mut(|entry| {
            let position = positions.get(entry.input).copied().unwrap_or(0);
            let batch = records.get(entry.input).copied().unwrap_or(0);
            if batch > 0 {
                entry.records += batch;
                listener.on_batch_restored(&entry.partition, &entry.store, position, batch);
            }
            let restoring = position < entry.end;
            if !restoring {
                listener.on_restore_end(&entry.partition, &entry.store, entry.records);
            }
            restoring
        });
    }

    /// The thread ends before all was read.
    pub(crate) fn suspend(&mut self) {
        for entry in self.entries.drain(..) {
            if let Some(listener) = &self.listener {
                listener.on_restore_suspended(&entry.partition, &entry.store, entry.records);
            }
        }
    }
}
