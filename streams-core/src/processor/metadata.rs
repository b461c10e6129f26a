//! What operators keep beside committed offsets, so that a restarted task goes on where the last one stopped.

/// Values that operators keep for a restart, by store name: the last window end that was emitted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProcessorMetadata {
    entries: Vec<(String, i64)>,
    changed: bool,
}

impl ProcessorMetadata {
    /// What was kept beside a committed offset.
    pub fn restored(entries: Vec<(String, i64)>) -> Self {
        Self { entries, changed: false }
    }

    /// Entries in the order in which they were added.
    pub fn entries(&self) -> &[(String, i64)] {
        &self.entries
    }

    /// Value kept for `store`.
    pub fn get(&self, store: &str) -> Option<i64> {
        self.entries.iter().find(|(name, _)| name == store).map(|(_, value)| *value)
    }

    /// Keeps a value for `store`.
    pub fn put(&mut self, store: &str, value: i64) {
        match self.entries.iter_mut().find(|(name, _)| name == store) {
            Some((_, kept)) => *kept = value,
            None => self.entries.push((store.to_owned(), value)),
        }
        self.changed = true;
    }

    /// Takes over the greater of both values of each store.
    pub fn merge(&mut self, other: &ProcessorMetadata) {
        for (store, value) in &other.entries {
            match self.entries.iter_mut().find(|(name, _)| name == store) {
                Some((_, kept)) => *kept = (*kept).max(*value),
                None => self.entries.push((store.clone(), *value)),
            }
        }
    }

    /// Whether something was put since the last commit.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// What was put is committed.
    pub fn committed(&mut self) {
        self.changed = false;
    }
}
