//! What the stores of a task hold and do, and what RocksDB says of itself: `stream-state-metrics`, `stream-record-cache-metrics`.
//!
//! In: the stores, between two batches. Out: cells that gauges show, and, from DEBUG on, meters with what the stores measured of their
//! operations: they are given a clock only then. RocksDB takes a lock for some of its answers, so it is asked now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use streams_state::store::{Measured, OperationClock, StateStore, StoreOperation};
use streams_state::types::Timestamp;

use super::TaskStore;
use super::engine_meters::EngineMeters;
use crate::metrics::catalogue::{GaugeSpec, store};
use crate::metrics::{Batch, Meter, RecordingLevel, Scope, TaskMetrics};
use crate::topology::{StoreKind, Topology};

/// Pause between two looks at engines, ms.
const LOOK_EVERY_MS: i64 = 10_000;

/// A store in memory counts its keys by walking over them: at each look up to so many, more only when engines are looked at.
const KEYS_AT_EACH_LOOK: f64 = 100_000.0;

/// A number that is shown: the bits of a float, NaN before the first look.
type Shown = Arc<AtomicU64>;

struct StoreMeters {
    /// Place in the list of the task's stores.
    index: usize,
    num_keys: Option<Shown>,
    properties: Vec<(&'static str, Shown)>,
    operations: Option<OperationsMeters>,
    /// Of a store on disk.
    engine: Option<EngineMeters>,
}

/// What a store measures of its operations.
struct OperationsMeters {
    times: Vec<(StoreOperation, Meter)>,
    iterators: Meter,
    record_age: Meter,
    /// Of a store with a record cache.
    hit_ratio: Option<Meter>,
}

/// The metrics of all stores of a task.
pub(super) struct StoresMeters {
    stores: Vec<StoreMeters>,
    /// When engines were looked at last.
    looked: Option<Timestamp>,
    /// The stores measure their operations.
    measures: bool,
    /// They take the times of records, too.
    times_records: bool,
}

impl StoresMeters {
    /// Registers the metrics of a task's own stores, and gives them a clock if their operations are to be measured.
    pub(super) fn new(metrics: &mut TaskMetrics, stores: &[TaskStore], topology: &Topology) -> Self {
        Self::of(metrics, stores, topology, |store| !store.global)
    }

    /// The same of the global stores, while they are lent to the task.
    pub(super) fn of_lent(metrics: &mut TaskMetrics, stores: &[TaskStore], topology: &Topology) -> Self {
        Self::of(metrics, stores, topology, |store| store.global)
    }

    fn of(
        metrics: &mut TaskMetrics,
        stores: &[TaskStore],
        topology: &Topology,
        measured: fn(&TaskStore) -> bool,
    ) -> Self {
        let measured = stores.iter().enumerate().filter(|(_, store)| measured(store));
        let stores = measured.filter_map(|(index, store)| {
            let kind = topology.store(topology.find_store(&store.name)?).kind;
            meters(metrics, (index, store), kind)
        });
        let stores = stores.collect();
        let records = |level| metrics.metrics().records(level);
        let (measures, times_records) = (records(RecordingLevel::Debug), records(RecordingLevel::Trace));
        Self { stores, looked: None, measures, times_records }
    }

    /// Looks at the stores at `now`, and at their engines if it is time to. None of them may be restoring.
    pub(super) fn look(&mut self, stores: &[TaskStore], now: Timestamp) {
        let engines = self.looked.is_none_or(|at| (now - at).abs() >= LOOK_EVERY_MS);
        if engines {
            self.looked = Some(now);
        }
        for meters in &mut self.stores {
            let Some(store) = stores.get(meters.index) else { continue };
            let state = store.instance.state.borrow();
            let counts = |shown: &&Shown| engines || seen(shown) <= KEYS_AT_EACH_LOOK;
            if let Some(shown) = meters.num_keys.as_ref().filter(counts) {
                show(shown, state.num_keys());
            }
            for (name, shown) in meters.properties.iter().filter(|_| engines) {
                show(shown, state.engine_property(name));
            }
            if let Some(engine) = meters.engine.as_mut().filter(|engine| engines && engine.records()) {
                state.engine_statistics().into_iter().for_each(|statistics| engine.look(statistics));
            }
        }
    }

    /// Takes what the stores measured since the last call, at `now`.
    pub(super) fn take(&self, stores: &[TaskStore], now: Timestamp) {
        if !self.measures {
            return;
        }
        self.take_ages(stores, now);
        for meters in &self.stores {
            let Some(store) = stores.get(meters.index) else { continue };
            let mut state = store.instance.state.borrow_mut();
            let (Some(measured), Some(meters)) = (state.operation_meters(), &meters.operations) else {
                continue;
            };
            for (operation, meter) in &meters.times {
                meter.merge(batch(measured.take(*operation)));
            }
            meters.iterators.merge(batch(measured.take_iterators()));
            if let Some(meter) = &meters.hit_ratio {
                meter.merge(batch(measured.take_hit_ratios()));
            }
        }
    }

    /// Takes how old records were whose rows were put, in a run whose wall clock is `now`. Nothing below TRACE.
    pub(super) fn take_ages(&self, stores: &[TaskStore], now: Timestamp) {
        if !self.times_records {
            return;
        }
        for meters in &self.stores {
            let (Some(store), Some(operations)) = (stores.get(meters.index), &meters.operations) else {
                continue;
            };
            if let Some(measured) = store.instance.state.borrow_mut().operation_meters() {
                let Measured { count, sum, min, max } = measured.take_record_times();
                let now = now as f64;
                let age = Measured { count, sum: now * count as f64 - sum, min: now - max, max: now - min };
                operations.record_age.merge(batch(age));
            }
        }
    }
}

/// The last of the numbers is not known, and no metric of a store shows it.
fn batch(measured: Measured) -> Batch {
    let Measured { count, sum, min, max } = measured;
    Batch { count, sum, min, max, last: max }
}

fn show(shown: &Shown, number: Option<u64>) {
    shown.store(number.map_or(f64::NAN, |number| number as f64).to_bits(), Relaxed);
}

fn seen(shown: &Shown) -> f64 {
    f64::from_bits(shown.load(Relaxed))
}

/// What Kafka Streams shows of a kind of store.
struct Shape {
    /// The beginnings of the key of its tag: on disk, and in memory.
    tags: [Option<&'static str>; 2],
    /// Its own operations; `None`: nobody measures it, there is what its engine says.
    operations: Option<store::OperationSpecs>,
    /// Whether rows can be put together.
    puts_all: bool,
}

/// What is shown of a store of `kind`. `None`: it is measured by who fills it.
fn shape(kind: StoreKind) -> Option<Shape> {
    let (tags, operations, puts_all) = match kind {
        StoreKind::KeyValue
        | StoreKind::TimestampedKeyValue
        | StoreKind::Versioned { .. }
        | StoreKind::OuterJoin => {
            let tags = ["rocksdb-state-id", "in-memory-state-id"].map(Some);
            (tags, Some(store::KEY_VALUE_OPERATIONS), true)
        }
        StoreKind::Window { .. } | StoreKind::TimestampedWindow { .. } => {
            let tags = ["rocksdb-window-state-id", "in-memory-window-state-id"].map(Some);
            (tags, Some(store::WINDOW_OPERATIONS), false)
        }
        StoreKind::Session { .. } => {
            let tags = ["rocksdb-session-state-id", "in-memory-session-state-id"].map(Some);
            (tags, Some(store::SESSION_OPERATIONS), false)
        }
        // Kafka Streams has no such buffer in memory, and nothing says how one would be shown.
        StoreKind::GraceBuffer => ([Some("rocksdb-state-id"), None], None, false),
        StoreKind::Buffer => return None,
    };
    Some(Shape { tags, operations, puts_all })
}

fn meters(
    metrics: &mut TaskMetrics,
    (index, task_store): (usize, &TaskStore),
    kind: StoreKind,
) -> Option<StoreMeters> {
    let on_disk = asks(&*task_store.instance.state.borrow());
    let shape = shape(kind)?;
    let tag = shape.tags[usize::from(!on_disk)]?;
    start(metrics, task_store);
    let mut scope = metrics.scope(store::GROUP, &[(tag, &task_store.name)]);
    let mut gauge = |spec: GaugeSpec| {
        let shown = Arc::new(AtomicU64::new(f64::NAN.to_bits()));
        let cell = shown.clone();
        scope.number(spec, move || seen(&cell));
        shown
    };
    let num_keys = (!on_disk).then(|| gauge(store::NUM_KEYS));
    let properties = store::PROPERTIES.iter().filter(|_| on_disk);
    let properties = properties.map(|spec| (spec.0, gauge(*spec))).collect();
    if shape.puts_all {
        scope.sensor(&store::PUT_ALL);
    }
    let operations = shape.operations.map(|own| operations(metrics, &mut scope, task_store, own));
    let engine = on_disk.then(|| EngineMeters::new(metrics, &mut scope));
    metrics.keep(scope);
    Some(StoreMeters { index, num_keys, properties, operations, engine })
}

/// Gives a store a clock if its operations are to be measured.
fn start(metrics: &TaskMetrics, store: &TaskStore) {
    let records = |level| metrics.metrics().records(level);
    if records(RecordingLevel::Debug)
        && let Some(meters) = store.instance.state.borrow_mut().operation_meters()
    {
        let record_times = records(RecordingLevel::Trace);
        meters.start(OperationClock { ns: metrics.clock(), record_times });
    }
}

fn operations(
    metrics: &mut TaskMetrics,
    scope: &mut Scope,
    task_store: &TaskStore,
    own: store::OperationSpecs,
) -> OperationsMeters {
    // An iterator ends with the call that it serves.
    scope.number(store::NUM_OPEN_ITERATORS, || 0.0);
    scope.number(store::OLDEST_ITERATOR_OPEN_SINCE_MS, || 0.0);
    let specs = own.iter().chain(store::OPERATIONS);
    let times = specs.map(|(operation, spec)| (*operation, metrics.meter(scope, spec))).collect();
    let iterators = metrics.meter(scope, &store::ITERATOR_DURATION);
    let record_age = metrics.meter(scope, &store::E2E_LATENCY);
    let hit_ratio = task_store.caching.then(|| {
        let mut cache = metrics.scope(store::CACHE_GROUP, &[("record-cache-id", &task_store.name)]);
        let meter = metrics.meter(&mut cache, &store::HIT_RATIO);
        metrics.keep(cache);
        meter
    });
    OperationsMeters { times, iterators, record_age, hit_ratio }
}

/// Whether the store has an engine that answers.
fn asks(state: &dyn StateStore) -> bool {
    state.engine_property("estimate-num-keys").is_some()
}
