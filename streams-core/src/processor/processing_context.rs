//! What every processor may ask for, whatever it forwards: its stores, schedules, metadata of the record in work, commits.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use streams_state::store::{KeyValueStore, SessionStore, VersionedStore, WindowStore};
use streams_state::types::{RecordContext, TaskId, Timestamp};

use super::{
    GlobalSessionStoreRef, GlobalStoreRef, GlobalStoreView, GlobalVersionedStoreRef, GlobalWindowStoreRef,
    Punctuation, PunctuationType, SharedStore, TaskBuilder, TaskContext,
};
use crate::error::{BoxError, NodeResult};
use crate::metrics::StreamsMetrics;
use crate::topic::Store;

/// What a processor may do beside forwarding. Kafka Streams' `ProcessingContext`: all that processors
/// ([`ProcessorContext`](super::ProcessorContext)), processors of values, transformers of tables and wrappers have in common.
pub struct ProcessingContext<'a> {
    pub(crate) task: &'a mut TaskContext,
    /// Stores connected to this processor.
    pub(crate) stores: &'a ConnectedStores,
}

/// A key-value store in the hands of a processor, which is the only one to use it while it works.
pub type StoreRef<K, V> = Rc<RefCell<KeyValueStore<K, V>>>;

/// A versioned store in the hands of a processor. From [`ProcessingContext::versioned_store`].
pub type VersionedStoreRef<K, V> = Rc<RefCell<VersionedStore<K, V>>>;

/// A window store in the hands of a processor. From [`ProcessingContext::window_store`].
pub type WindowStoreRef<K, V> = Rc<RefCell<WindowStore<K, V>>>;

/// A session store in the hands of a processor. From [`ProcessingContext::session_store`].
pub type SessionStoreRef<K, V> = Rc<RefCell<SessionStore<K, V>>>;

/// The stores connected to a processor, by name.
pub type ConnectedStores = Vec<(Arc<str>, Rc<dyn std::any::Any>)>;

impl ProcessingContext<'_> {
    /// Calls the processor's `punctuate` every `interval`, by stream time or wall clock: first with the first record (stream
    /// time), or when the interval has passed (wall clock). Rounds that were missed are made up for by one call.
    ///
    /// # Errors
    /// An interval below 1 ms; or this processor feeds a global store, which has no schedules.
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationType) -> Result<Punctuation, BoxError> {
        let interval = self.check_schedule(interval)?;
        let (slot, now) = (self.task.node_slot, self.task.wall_time);
        Ok(self.task.punctuations.schedule(slot, interval, kind, now))
    }

    /// `interval` in ms, if this processor may schedule it.
    fn check_schedule(&self, interval: Duration) -> Result<i64, BoxError> {
        if self.task.feeds_globals {
            return Err("a processor that feeds a global store cannot schedule anything".into());
        }
        match i64::try_from(interval.as_millis()) {
            Ok(0) => Err("the interval of a schedule is at least 1 ms".into()),
            Ok(interval) => Ok(interval),
            Err(_) => Err(format!("the interval {interval:?} of a schedule is too long").into()),
        }
    }

    /// Calls the processor's `punctuate` at `start` (ms since the epoch) and every `interval` after it: at these times only,
    /// whenever the task started. A `start` that is past moves to the next of them. Kafka Streams' anchored punctuation.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use streams_core::{error::BoxError, processor::*, record::Record};
    /// struct OnTheHour;
    ///
    /// impl Processor<String, i64, String, i64> for OnTheHour {
    ///     fn init(&mut self, context: &mut ProcessorContext<'_, String, i64>) -> Result<(), BoxError> {
    ///         context.schedule_at(0, Duration::from_secs(3600), PunctuationType::WallClockTime)?;
    ///         Ok(())
    ///     }
    /// #   fn process(&mut self, _: &mut ProcessorContext<'_, String, i64>, _: Record<String, i64>) -> Result<(), BoxError> {
    /// #       Ok(())
    /// #   }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`schedule`](Self::schedule); and a negative `start`.
    pub fn schedule_at(
        &mut self,
        start: Timestamp,
        interval: Duration,
        kind: PunctuationType,
    ) -> Result<Punctuation, BoxError> {
        let interval = self.check_schedule(interval)?;
        if start < 0 {
            return Err(format!("a schedule cannot start at {start}, before the epoch").into());
        }
        let now = match kind {
            PunctuationType::StreamTime => self.task.stream_time,
            PunctuationType::WallClockTime => self.task.wall_time,
        };
        let slot = self.task.node_slot;
        Ok(self.task.punctuations.schedule_at(slot, start, interval, kind, now))
    }

    /// Stops a schedule.
    pub fn cancel(&mut self, punctuation: Punctuation) {
        self.task.punctuations.cancel(punctuation);
    }

    /// The connected store of this name, as the type `S` it was made with.
    pub fn store_as<S: 'static>(&self, name: &str) -> Result<Rc<RefCell<S>>, BoxError> {
        let Some((_, store)) = self.stores.iter().find(|(store, _)| &**store == name) else {
            if self.task.globals.iter().any(|global| &**global.name() == name) {
                return Err(format!("store `{name}` is global: it is read with `global_store`").into());
            }
            return Err(format!(
                "store `{name}` is not connected to this processor; name it where the processor is added"
            )
            .into());
        };
        store.clone().downcast::<RefCell<S>>().map_err(|_| {
            format!("store `{name}` has another type than {}", std::any::type_name::<S>()).into()
        })
    }

    /// The connected key-value store `store`, plain or timestamped.
    ///
    /// # Errors
    /// The store is not connected, or has other types.
    pub fn store<K2, V2, KS, VS>(&self, store: &Store<K2, V2, KS, VS>) -> Result<StoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.store_as(store.name())
    }

    /// The connected versioned store `store`.
    ///
    /// # Errors
    /// The store is not connected, or is no versioned store of these types.
    pub fn versioned_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<VersionedStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.store_as(store.name())
    }

    /// The connected window store `store`, plain or timestamped, or that of a windowed table.
    ///
    /// # Errors
    /// The store is not connected, or is no window store of these types.
    pub fn window_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<WindowStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.store_as(store.name())
    }

    /// The connected session store `store`, or that of a table of sessions.
    ///
    /// # Errors
    /// The store is not connected, or is no session store of these types.
    pub fn session_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<SessionStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.store_as(store.name())
    }

    /// The global store `store`, to read; no connection is needed. Kafka Streams' `getStateStore` for a global store.
    ///
    /// # Errors
    /// There is no such global store, or it is no key-value store of these types.
    pub fn global_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<GlobalStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.global(store.name()).map(GlobalStoreRef)
    }

    /// The global window store `store`, to read; no connection is needed.
    ///
    /// # Errors
    /// There is no such global store, or it is no window store of these types.
    pub fn global_window_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<GlobalWindowStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.global(store.name()).map(GlobalWindowStoreRef)
    }

    /// The global session store `store`, to read; no connection is needed.
    ///
    /// # Errors
    /// There is no such global store, or it is no session store of these types.
    pub fn global_session_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<GlobalSessionStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.global(store.name()).map(GlobalSessionStoreRef)
    }

    /// The global versioned store `store`, to read; no connection is needed.
    ///
    /// # Errors
    /// There is no such global store, or it is no versioned store of these types.
    pub fn global_versioned_store<K2, V2, KS, VS>(
        &self,
        store: &Store<K2, V2, KS, VS>,
    ) -> Result<GlobalVersionedStoreRef<K2, V2>, BoxError>
    where
        K2: 'static,
        V2: 'static,
    {
        self.global(store.name()).map(GlobalVersionedStoreRef)
    }

    /// The global store of this name as the type `S` it was made with, to read; no connection is needed.
    ///
    /// # Errors
    /// There is no such global store, or it has another type.
    pub fn global_store_as<S: 'static>(&self, name: &str) -> Result<GlobalStoreView<S>, BoxError> {
        self.global(name).map(GlobalStoreView)
    }

    fn global<S: 'static>(&self, name: &str) -> Result<SharedStore<S>, BoxError> {
        let Some(global) = self.task.globals.iter().find(|global| &**global.name() == name) else {
            return Err(format!("there is no global store `{name}`; add it with `add_global_store`").into());
        };
        let other = || format!("global store `{name}` has another type than {}", std::any::type_name::<S>());
        global.typed().ok_or_else(|| other().into())
    }

    /// Where the record in work came from: topic (none in a punctuation), partition and offset.
    pub fn record_metadata(&self) -> Option<(&str, i32, i64)> {
        self.task.record_metadata()
    }

    /// Context of the record in work, as stores keep it.
    pub fn record_context(&self) -> &RecordContext {
        &self.task.record
    }

    /// Largest timestamp that the task has seen; -1 before the first record.
    pub fn current_stream_time(&self) -> Timestamp {
        self.task.stream_time
    }

    /// Wall clock as the runtime last read it.
    pub fn current_system_time(&self) -> Timestamp {
        self.task.wall_time
    }

    /// The task.
    pub fn task_id(&self) -> TaskId {
        self.task.task
    }

    /// `application.id`.
    pub fn application_id(&self) -> &str {
        &self.task.application_id
    }

    /// The task's directory below `state.dir`, for files of the processor's own. It need not exist, and goes when the task's state
    /// does; nothing there is committed or restored. Kafka Streams' `stateDir()`.
    pub fn state_dir(&self) -> &Path {
        &self.task.state_dir
    }

    /// Settings of the application's own: [`StreamsConfig::app_configs`](crate::config::StreamsConfig::app_configs).
    pub fn app_configs(&self) -> &std::collections::BTreeMap<String, String> {
        &self.task.app_configs
    }

    /// Adds and removes sensors of the application's own. Kafka Streams' `metrics()`.
    pub fn metrics(&mut self) -> StreamsMetrics<'_> {
        StreamsMetrics(&mut self.task.metrics)
    }

    /// Asks for a commit soon after this record.
    pub fn commit(&mut self) {
        self.task.commit_requested = true;
    }
}

/// Takes the stores `names` for processor `node` out of the builder.
pub(crate) fn connected_stores(
    builder: &TaskBuilder<'_>,
    node: &str,
    names: &[Arc<str>],
) -> NodeResult<ConnectedStores> {
    names
        .iter()
        .map(|name| match builder.stores.iter().find(|(store, _)| store == name) {
            Some((store, instance)) => Ok((store.clone(), instance.typed.clone())),
            None => Err(builder.context.wiring_error(&format!("node `{node}`: there is no store `{name}`"))),
        })
        .collect()
}
