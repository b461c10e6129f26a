//! What the stores of a task hold, and what RocksDB says of itself: `stream-state-metrics`.
//!
//! In: the stores, between two batches. Out: cells that gauges show. RocksDB takes a lock for some of its answers, so it is asked now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use streams_state::store::StateStore;
use streams_state::types::Timestamp;

use super::TaskStore;
use crate::metrics::TaskMetrics;
use crate::metrics::catalogue::{GaugeSpec, store};
use crate::topology::StoreKind;

/// Pause between two looks at engines, ms.
const LOOK_EVERY_MS: i64 = 10_000;

/// A number that is shown: the bits of a float, NaN before the first look.
type Shown = Arc<AtomicU64>;

struct StoreMeters {
    /// Place in the list of the task's stores.
    index: usize,
    num_keys: Option<Shown>,
    properties: Vec<(&'static str, Shown)>,
}

/// The gauges of all stores of a task.
pub(super) struct StoresMeters {
    stores: Vec<StoreMeters>,
    /// When engines were looked at last.
    looked: Option<Timestamp>,
}

impl StoresMeters {
    /// Registers the gauges of `stores`, whose kinds come beside them.
    pub(super) fn new(metrics: &mut TaskMetrics, stores: &[TaskStore], kinds: &[StoreKind]) -> Self {
        let own = stores.iter().zip(kinds).enumerate().filter(|(_, (store, _))| !store.global);
        let stores =
            own.filter_map(|(index, (store, kind))| meters(metrics, (index, store), *kind)).collect();
        Self { stores, looked: None }
    }

    /// Looks at the stores at `now`, and at their engines if it is time to. None of them may be restoring.
    pub(super) fn look(&mut self, stores: &[TaskStore], now: Timestamp) {
        let engines = self.looked.is_none_or(|at| (now - at).abs() >= LOOK_EVERY_MS);
        if engines {
            self.looked = Some(now);
        }
        for meters in &self.stores {
            let Some(store) = stores.get(meters.index) else { continue };
            let state = store.instance.state.borrow();
            if let Some(shown) = &meters.num_keys {
                show(shown, state.num_keys());
            }
            for (name, shown) in meters.properties.iter().filter(|_| engines) {
                show(shown, state.engine_property(name));
            }
        }
    }
}

fn show(shown: &Shown, number: Option<u64>) {
    shown.store(number.map_or(f64::NAN, |number| number as f64).to_bits(), Relaxed);
}

/// The scope of a store in Kafka Streams: the beginning of the key of its tag.
fn scope(kind: StoreKind, on_disk: bool) -> Option<&'static str> {
    Some(match (kind, on_disk) {
        (StoreKind::KeyValue | StoreKind::TimestampedKeyValue | StoreKind::Versioned { .. }, true) => {
            "rocksdb-state-id"
        }
        (StoreKind::KeyValue | StoreKind::TimestampedKeyValue | StoreKind::Versioned { .. }, false) => {
            "in-memory-state-id"
        }
        (StoreKind::Window { .. } | StoreKind::TimestampedWindow { .. }, true) => "rocksdb-window-state-id",
        (StoreKind::Window { .. } | StoreKind::TimestampedWindow { .. }, false) => {
            "in-memory-window-state-id"
        }
        (StoreKind::Session { .. }, true) => "rocksdb-session-state-id",
        (StoreKind::Session { .. }, false) => "in-memory-session-state-id",
        // Buffers are measured by who fills them.
        (StoreKind::Buffer, _) => return None,
    })
}

fn meters(
    metrics: &mut TaskMetrics,
    (index, task_store): (usize, &TaskStore),
    kind: StoreKind,
) -> Option<StoreMeters> {
    let on_disk = asks(&*task_store.instance.state.borrow());
    let tag = scope(kind, on_disk)?;
    let mut scope = metrics.scope(store::GROUP, &[(tag, &task_store.name)]);
    let mut gauge = |spec: GaugeSpec| {
        let shown = Arc::new(AtomicU64::new(f64::NAN.to_bits()));
        let cell = shown.clone();
        scope.number(spec, move || f64::from_bits(cell.load(Relaxed)));
        shown
    };
    let num_keys = (tag == "in-memory-state-id").then(|| gauge(store::NUM_KEYS));
    let properties = store::PROPERTIES.iter().filter(|_| on_disk);
    let properties = properties.map(|spec| (spec.0, gauge(*spec))).collect();
    // An iterator ends with the call that it serves.
    scope.number(store::NUM_OPEN_ITERATORS, || 0.0);
    scope.number(store::OLDEST_ITERATOR_OPEN_SINCE_MS, || 0.0);
    metrics.keep(scope);
    Some(StoreMeters { index, num_keys, properties })
}

/// Whether the store has an engine that answers.
fn asks(state: &dyn StateStore) -> bool {
    state.engine_property("estimate-num-keys").is_some()
}
