//! Where the stores of an application are kept that names no engines of its own.

use std::sync::Arc;

use streams_state::engine::EngineProvider;

use super::StreamsError;
use crate::config::StreamsConfig;

/// RocksDB if it is compiled in, for the stores that are not in memory only. It counts what it does only where that is recorded.
pub(super) fn default_engines(config: &StreamsConfig) -> Result<Arc<dyn EngineProvider>, StreamsError> {
    #[cfg(feature = "rocksdb")]
    {
        use streams_state::engine::{BackgroundProvider, RocksDbProvider};
        use streams_state::memory::MemoryPlan;

        use super::clock::ThreadClocks;
        use crate::metrics::RecordingLevel;

        let mut rocksdb = RocksDbProvider::new(MemoryPlan::of(config.memory_max_bytes).engines);
        let counts = RecordingLevel::Debug.records_at(config.metrics.recording_level);
        let clock = ThreadClocks::SYSTEM.ns;
        if counts {
            rocksdb = rocksdb.with_statistics(clock);
        }
        let background = BackgroundProvider::new(Arc::new(rocksdb)).map_err(|error| {
            StreamsError::IllegalState(format!("the system gives no thread to write state with: {error}"))
        })?;
        Ok(Arc::new(if counts { background.with_statistics(clock) } else { background }))
    }
    #[cfg(not(feature = "rocksdb"))]
    {
        let _ = config;
        Ok(Arc::new(streams_state::engine::InMemoryProvider))
    }
}

#[cfg(all(test, feature = "rocksdb"))]
mod tests {
    use super::*;
    use crate::config::ProcessingGuarantee;
    use crate::metrics::RecordingLevel;

    #[test]
    fn rocksdb_counts_at_debug_and_trace_only() {
        let counts = RecordingLevel::ALL.map(|level| {
            let mut config = StreamsConfig::new("app", ProcessingGuarantee::AtLeastOnce);
            config.metrics.recording_level = level;
            let folder = tempfile::tempdir().unwrap();
            let engines = default_engines(&config).unwrap().open(folder.path(), &["store"]).unwrap();
            engines[0].statistics().is_some()
        });
        assert_eq!(counts, [false, true, true]);
    }
}
