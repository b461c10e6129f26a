//! The task that feeds the global stores: all partitions of their topics, through the nodes that update them.
//!
//! In: raw records of every partition, time. Out: global stores that everybody reads. Its stores are stand-ins; the real ones
//! are lent to it for a batch, so that readers see whole batches. It writes no topic: what comes to its outbox is dropped.

use std::path::Path;
use std::sync::Arc;

use streams_state::engine::identity::claim;
use streams_state::engine::{
    Engine, EngineFiles, EngineProvider, Identity, InMemoryEngine, InMemoryProvider,
};
use streams_state::error::StateError;

use super::{GlobalFeed, StreamTask, TaskOptions};
use crate::error::NodeResult;
use crate::processor::{GlobalStore, Lend, StoreInstance};
use crate::topology::{OpenStore, StoreSpec, Topology};

/// Global stores, and the files of those that are on disk.
pub type OpenedGlobalStores = (Vec<GlobalStore>, Option<Arc<dyn EngineFiles>>);

/// Opens the global stores of `topology` that a node feeds, over engines in `directory`.
///
/// # Errors
/// An engine cannot be opened, or a store's type cannot move between threads.
pub fn open_global_stores(
    topology: &Topology,
    application_id: &str,
    directory: &Path,
    engines: &dyn EngineProvider,
    tier_max_bytes: u64,
) -> Result<OpenedGlobalStores, StateError> {
    let specs: Vec<&StoreSpec> = fed(topology).collect();
    let mut stores = Vec::with_capacity(specs.len());
    let names = |in_memory: bool| -> Vec<&str> {
        specs.iter().filter(|spec| spec.in_memory == in_memory).map(|spec| &*spec.name).collect()
    };
    let open = |provider: &dyn EngineProvider, names: Vec<&str>| match names.as_slice() {
        [] => Ok(Vec::new()),
        names => provider.open(directory, names),
    };
    let mut memory = open(&InMemoryProvider, names(true))?.into_iter();
    let others = open(engines, names(false))?;
    let files = others.iter().find_map(|engine| engine.files());
    let mut others = others.into_iter();
    for spec in &specs {
        let fault = |message: &str| StateError::Engine {
            store: spec.name.to_string(),
            engine: engines.name(),
            message: message.to_owned(),
        };
        let engine = if spec.in_memory { memory.next() } else { others.next() };
        let mut engine = engine.ok_or_else(|| fault("the engine was not opened"))?;
        claim(&mut *engine, Identity::new(application_id, "global", &spec.name), directory)?;
        let store = instance(spec, engine, tier_max_bytes / specs.len().max(1) as u64)?.share();
        stores.push(store.ok_or_else(|| fault("a store of this type cannot be shared between threads"))?);
    }
    Ok((stores, files))
}

fn fed(topology: &Topology) -> impl Iterator<Item = &StoreSpec> {
    topology.stores.iter().filter(|spec| spec.global && !spec.processors.is_empty())
}

fn instance(
    spec: &StoreSpec,
    engine: Box<dyn Engine>,
    tier_max_bytes: u64,
) -> Result<StoreInstance, StateError> {
    (spec.factory)(OpenStore {
        name: spec.name.clone(),
        engine,
        in_memory: spec.in_memory,
        caching: false,
        logging: false,
        headers: false,
        tier_max_bytes,
        buffer_max_bytes: tier_max_bytes,
        changelog: spec.source_topic.clone().unwrap_or_else(|| spec.name.clone()),
    })
}

/// The task that feeds the global stores.
pub struct GlobalTask {
    task: StreamTask,
    stores: Vec<(Arc<str>, StoreInstance)>,
    lenders: Vec<Box<dyn Lend>>,
}

impl GlobalTask {
    /// A task over the nodes in `options` that feeds its `global_stores`; `options.global_feed` says which partitions it reads.
    ///
    /// # Errors
    /// The topology does not fit together.
    pub fn new(mut options: TaskOptions<'_>) -> NodeResult<Self> {
        let (mut stores, mut lenders) = (Vec::new(), Vec::new());
        let globals = std::mem::take(&mut options.global_stores);
        for spec in fed(options.topology) {
            let Some(global) = globals.iter().find(|global| *global.name() == spec.name) else { continue };
            let stand_in = instance(spec, Box::new(InMemoryEngine::new()), 1 << 16)
                .map_err(|error| super::state_manager::store_error(options.task, error))?;
            lenders.extend(global.lender(&stand_in));
            stores.push((spec.name.clone(), stand_in));
        }
        let partitions = options.global_feed.take().unwrap_or_default().partitions;
        options.global_feed = Some(GlobalFeed { stores: stores.clone(), partitions });
        let topology = options.topology;
        let mut task = Self { task: StreamTask::new(options)?, stores, lenders };
        task.turn(|task, _| task.measure_lent(topology));
        Ok(task)
    }

    /// The task, to look at and to add records.
    pub fn task(&self) -> &StreamTask {
        &self.task
    }

    /// The task, to add records. Nodes run in [`turn`](Self::turn) only.
    pub fn task_mut(&mut self) -> &mut StreamTask {
        &mut self.task
    }

    /// Closes the nodes; returns the first error.
    ///
    /// # Errors
    /// What a node's `close` returned.
    pub fn close(self) -> NodeResult {
        let Self { task, lenders, .. } = self;
        let (mut task, mut result) = (Some(task), Ok(()));
        lend_all(&lenders, &mut || result = task.take().map_or(Ok(()), StreamTask::close));
        result
    }

    /// Lets the task work on the real stores; readers wait meanwhile.
    pub fn turn<R>(
        &mut self,
        work: impl FnOnce(&mut StreamTask, &[(Arc<str>, StoreInstance)]) -> R,
    ) -> Option<R> {
        let Self { task, stores, lenders } = self;
        let (mut work, mut result) = (Some(work), None);
        lend_all(lenders, &mut || result = work.take().map(|work| work(task, stores)));
        result
    }
}

fn lend_all(lenders: &[Box<dyn Lend>], work: &mut dyn FnMut()) {
    match lenders {
        [] => work(),
        [first, rest @ ..] => first.lend(&mut || lend_all(rest, &mut *work)),
    }
}
