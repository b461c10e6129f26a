//! What an engine counted of its work for one store: only where it was opened to count, because counting costs.

/// How often something was looked for in a place, and whether it was there.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Lookups {
    /// It was.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

/// Durations of events, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Durations {
    /// How many events.
    pub count: u64,
    /// All of them together.
    pub sum_us: u64,
    /// The shortest; 0 if there was none.
    pub min_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Durations {
    /// Adds an event.
    pub fn add(&mut self, us: u64) {
        self.min_us = if self.count == 0 { us } else { self.min_us.min(us) };
        self.max_us = self.max_us.max(us);
        self.count += 1;
        self.sum_us += us;
    }

    /// Adds all of other events.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self.count, other.count) {
            (0, _) => other,
            (_, 0) => self,
            (own, others) => Self {
                count: own + others,
                sum_us: self.sum_us + other.sum_us,
                min_us: self.min_us.min(other.min_us),
                max_us: self.max_us.max(other.max_us),
            },
        }
    }
}

/// What an engine did for one store since it was opened. From [`Engine::statistics`](super::Engine::statistics).
///
/// The stores of a task share one engine below. Whose work something was is known of all but what is said to be the engine's as a whole: that
/// is the same for each of its stores, but for the bytes of compactions, of which each store has a part, so that they add up.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Statistics {
    /// Bytes of values that were found by key, and of keys and values that scans visited.
    pub bytes_read: u64,
    /// Bytes of keys and values of the runs that were written.
    pub bytes_written: u64,
    /// Bytes of the files in which those runs came to the disk.
    pub bytes_flushed: u64,
    /// How long each run took to be written.
    pub flushes: Durations,
    /// How long the store was held up because an earlier run was still on its way, or because the engine had to catch up.
    pub stalls: Durations,
    /// Files with rows of the store.
    pub open_files: u64,
    /// Calls for the store that failed because of a file.
    pub file_errors: u64,
    /// Reads that a memtable answered, of the engine as a whole. Runs pass by the memtables of RocksDB: they answer for deleted ranges only.
    pub memtable: Lookups,
    /// Blocks with rows that were in the block cache, of the engine as a whole.
    pub data_blocks: Lookups,
    /// The same of blocks with filters.
    pub filter_blocks: Lookups,
    /// The same of blocks with indexes.
    pub index_blocks: Lookups,
    /// How long each compaction took, of the engine as a whole.
    pub compactions: Durations,
    /// Bytes that compactions read: a part of those of the engine, by what each store has flushed.
    pub compaction_bytes_read: u64,
    /// Bytes that compactions wrote, in the same way.
    pub compaction_bytes_written: u64,
}
