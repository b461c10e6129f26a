//! What a test driver is made with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use streams_state::engine::{EngineProvider, InMemoryProvider};
use streams_state::types::Timestamp;

use crate::config::{StreamsConfig, TimestampPolicy};
use crate::handler::{ExceptionHandler, LogAndFail};

/// Settings of a [`TopologyTestDriver`](super::TopologyTestDriver). The defaults need no files.
#[derive(Clone)]
pub struct DriverConfig {
    /// `application.id`: the prefix of internal topics. Default `test`.
    pub application_id: String,
    /// Wall clock at the start, ms since the epoch. Default 0. It moves only with
    /// [`advance_wall_clock`](super::TopologyTestDriver::advance_wall_clock).
    pub wall_clock: Timestamp,
    /// `statestore.cache.max.bytes`; 0 switches record caches off. Default 10 MiB.
    pub statestore_cache_max_bytes: u64,
    /// Engine below the stores. Default: in memory.
    pub engines: Arc<dyn EngineProvider>,
    /// Directory for the engine, if it writes files. Default: the empty path.
    pub directory: PathBuf,
    /// Bytes of memory for the tiers of all stores. Default 64 MiB.
    pub tier_max_bytes: u64,
    /// `default.timestamp.extractor`: for sources that have none of their own. Default: Kafka's timestamp.
    pub default_timestamp_extractor: TimestampPolicy,
    /// Settings of the application's own, which processors may ask for. Default: none.
    pub app_configs: Arc<BTreeMap<String, String>>,
    /// `deserialization.exception.handler`. Default [`LogAndFail`].
    pub deserialization_exception_handler: Arc<dyn ExceptionHandler>,
    /// `processing.exception.handler`. Default [`LogAndFail`].
    pub processing_exception_handler: Arc<dyn ExceptionHandler>,
    /// `production.exception.handler`. Default [`LogAndFail`].
    pub production_exception_handler: Arc<dyn ExceptionHandler>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            application_id: "test".to_owned(),
            wall_clock: 0,
            statestore_cache_max_bytes: 10 * 1024 * 1024,
            engines: Arc::new(InMemoryProvider),
            directory: PathBuf::new(),
            tier_max_bytes: 64 * 1024 * 1024,
            default_timestamp_extractor: TimestampPolicy::default(),
            app_configs: Arc::default(),
            deserialization_exception_handler: Arc::new(LogAndFail),
            processing_exception_handler: Arc::new(LogAndFail),
            production_exception_handler: Arc::new(LogAndFail),
        }
    }
}

impl From<&StreamsConfig> for DriverConfig {
    /// The application's own id, cache size, default timestamp extractor, own settings and handlers; engine and clock as by default.
    fn from(config: &StreamsConfig) -> Self {
        Self {
            application_id: config.application_id.clone(),
            statestore_cache_max_bytes: config.statestore_cache_max_bytes,
            default_timestamp_extractor: config.default_timestamp_extractor,
            app_configs: config.app_configs.clone(),
            deserialization_exception_handler: config.deserialization_exception_handler.clone(),
            processing_exception_handler: config.processing_exception_handler.clone(),
            production_exception_handler: config.production_exception_handler.clone(),
            ..Self::default()
        }
    }
}
