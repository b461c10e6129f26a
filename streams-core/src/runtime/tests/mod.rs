//! The runtime on the embedded log, in virtual time: no threads, no sleeping. A crash is a thread that is dropped in
//! mid-work: nothing is committed, closed or flushed, and its transaction stays open.

mod bad_input;
mod bulk_restore;
#[cfg(feature = "rocksdb")]
mod checkpoints;
mod client_metrics;
mod crashes;
mod custom_store;
#[cfg(feature = "rocksdb")]
mod damage;
#[cfg(feature = "rocksdb")]
mod engine_metrics;
mod exactly_once;
mod foreign_keys;
mod global;
mod keyless;
mod late_rows;
mod metrics;
#[cfg(feature = "metrics")]
mod metrics_publisher;
#[cfg(feature = "rocksdb")]
mod other_changelog;
mod outage;
mod partition_counts;
mod patterns;
mod ported;
mod queries;
mod rebalance;
#[path = "../../../tests/dsl/recorder.rs"]
mod recorder;
mod source_as_changelog;
mod sources;
mod spans;
mod store_metrics;
mod unavailable_serdes;
mod work;
mod world;

use crate::error::BoxError;
use crate::processor::ProcessorContext;
use crate::record::Record;
use crate::topic::Store;

/// What a processor does that keeps a record in its store.
fn put_record<K: 'static, V: Clone + 'static>(
    context: &mut ProcessorContext<'_, (), ()>,
    store: &Store<K, V>,
    record: Record<K, V>,
) -> Result<(), BoxError> {
    let store = context.store(store)?;
    store.borrow_mut().put(&record.key, Some(record.value), record.timestamp, context.record_context())?;
    Ok(())
}
