//! Maps the rows of a table with a transformer of the user's, which may keep stores and schedules.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::types::{Change, NO_TIMESTAMP, RecordContext, Timestamp};

use super::value_transformer::ValueTransformerWithKey;
use super::{BoxGetter, ReadResult, RowRef, TableStore, Updates, ValueGetter, update_context};
use crate::error::{BoxError, NodeResult, TaskErrorCause};
use crate::processor::{
    ConnectedStores, Lifecycle, ProcessingContext, Punctuation, Push, TaskBuilder, TaskContext,
};
use crate::record::Record;

/// A transformer with what it needs to be called: its node's name and slot, its stores.
pub(crate) struct TransformerNode<T, K, V, VOut> {
    name: Arc<str>,
    slot: usize,
    transformer: T,
    stores: ConnectedStores,
    types: PhantomData<fn(K, V) -> VOut>,
}

/// A transformer, shared by the node that calls it for values and the task, which calls it outside of records.
pub(crate) type SharedTransformer<T, K, V, VOut> = Rc<RefCell<TransformerNode<T, K, V, VOut>>>;

impl<T, K, V, VOut> TransformerNode<T, K, V, VOut>
where
    T: ValueTransformerWithKey<K, V, VOut> + 'static,
    K: 'static,
    V: 'static,
    VOut: 'static,
{
    /// Registers a transformer for init, punctuation and close.
    pub(crate) fn register(
        builder: &mut TaskBuilder<'_>,
        name: Arc<str>,
        transformer: T,
        stores: ConnectedStores,
    ) -> SharedTransformer<T, K, V, VOut> {
        let node = Self { name, slot: 0, transformer, stores, types: PhantomData };
        let node = Rc::new(RefCell::new(node));
        let slot = builder.register(node.clone());
        node.borrow_mut().slot = slot;
        node
    }

    /// Calls user code as this node.
    fn call<R>(
        &mut self,
        context: &mut TaskContext,
        work: impl FnOnce(&mut T, &mut ProcessingContext<'_>) -> R,
    ) -> R {
        let outer = std::mem::replace(&mut context.node_slot, self.slot);
        let mut processing = ProcessingContext { task: context, stores: &self.stores };
        let result = work(&mut self.transformer, &mut processing);
        context.node_slot = outer;
        result
    }

    fn transform(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        value: Option<&V>,
    ) -> Result<Option<VOut>, BoxError> {
        self.call(context, |transformer, context| transformer.transform(context, key, value))
    }
}

impl<T, K, V, VOut> Lifecycle for TransformerNode<T, K, V, VOut>
where
    T: ValueTransformerWithKey<K, V, VOut> + 'static,
    K: 'static,
    V: 'static,
    VOut: 'static,
{
    fn init(&mut self, context: &mut TaskContext) -> NodeResult {
        let result = self.call(context, |transformer, context| transformer.init(context));
        result.map_err(|error| context.error(&self.name, TaskErrorCause::Processing(error)))
    }

    fn punctuate(
        &mut self,
        context: &mut TaskContext,
        punctuation: Punctuation,
        timestamp: Timestamp,
    ) -> NodeResult {
        let outer = std::mem::replace(&mut context.record, RecordContext::none(timestamp));
        let result =
            self.call(context, |transformer, context| transformer.punctuate(context, punctuation, timestamp));
        let result = result.or_else(|error| context.processing_failed(&self.name, error));
        context.record = outer;
        result
    }

    fn close(&mut self, _context: &mut TaskContext) -> NodeResult {
        self.transformer.close();
        Ok(())
    }
}

/// A transformed table, with a store of its own or without. Without one the transformer is called again for the old
/// value of each update, if somebody below wants it.
pub(crate) struct TableTransformValues<T, K, V, VOut> {
    pub(crate) name: Arc<str>,
    pub(crate) transformer: SharedTransformer<T, K, V, VOut>,
    pub(crate) store: Option<TableStore<K, VOut>>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, VOut>,
}

impl<T, K, V, VOut> TableTransformValues<T, K, V, VOut>
where
    T: ValueTransformerWithKey<K, V, VOut> + 'static,
    K: 'static,
    V: 'static,
    VOut: Clone + 'static,
{
    /// New value, and the old one if the transformer has to be asked for it.
    fn transform(
        &self,
        context: &mut TaskContext,
        key: &K,
        change: &Change<V>,
    ) -> Result<(Option<VOut>, Option<VOut>), BoxError> {
        let mut transformer = self.transformer.borrow_mut();
        let new = transformer.transform(context, key, change.new.as_ref())?;
        let old = match self.store.is_none() && self.send_old {
            true => transformer.transform(context, key, change.old.as_ref())?,
            false => None,
        };
        Ok((new, old))
    }
}

impl<T, K, V, VOut> Push<K, Change<V>> for TableTransformValues<T, K, V, VOut>
where
    T: ValueTransformerWithKey<K, V, VOut> + 'static,
    K: 'static,
    V: 'static,
    VOut: Clone + 'static,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value: change, timestamp, headers } = record;
        let outer = std::mem::replace(&mut context.record, update.clone());
        let transformed = self.transform(context, &key, &change);
        context.record = outer;
        let (new, mut old) = match transformed {
            Ok(values) => values,
            Err(error) => return context.processing_failed(&self.name, error),
        };
        let mut is_latest = change.is_latest;
        if let Some(store) = &self.store {
            let failed = |error| context.state_error(&self.name, error);
            if self.send_old {
                old = store.get(&key).map_err(failed)?.map(|(value, _)| value);
            }
            let put = store.put(&key, new.clone(), timestamp, &update).map_err(failed)?;
            match put.accepted(context, &self.name) {
                Some(accepted) => is_latest = accepted,
                None => return Ok(()),
            }
        }
        let change = Change { old, new, is_latest };
        self.updates.forward(context, Record { key, value: change, timestamp, headers })
    }
}

/// Reads a transformed table that has no store: asks a transformer of its own each time. While it works the record
/// in work is the row that it transforms: the row's timestamp, no topic, no headers.
pub(crate) struct TransformValuesGetter<T, K, V, VOut> {
    pub(crate) parent: BoxGetter<K, V>,
    pub(crate) transformer: SharedTransformer<T, K, V, VOut>,
}

impl<T, K, V, VOut> TransformValuesGetter<T, K, V, VOut>
where
    T: ValueTransformerWithKey<K, V, VOut> + 'static,
    K: 'static,
    V: 'static,
    VOut: 'static,
{
    fn show(
        &self,
        context: &mut TaskContext,
        key: &K,
        row: Option<(V, Timestamp)>,
        visit: &mut dyn FnMut(RowRef<'_, VOut>),
    ) -> ReadResult {
        let timestamp = row.as_ref().map_or(NO_TIMESTAMP, |(_, timestamp)| *timestamp);
        let outer = std::mem::replace(&mut context.record, RecordContext::none(timestamp));
        let value = row.as_ref().map(|(value, _)| value);
        let transformed = self.transformer.borrow_mut().transform(context, key, value);
        context.record = outer;
        let transformed = transformed.map_err(TaskErrorCause::Processing)?;
        visit(transformed.as_ref().map(|value| (value, timestamp)));
        Ok(())
    }
}

impl<T, K, V, VOut> ValueGetter<K, VOut> for TransformValuesGetter<T, K, V, VOut>
where
    T: ValueTransformerWithKey<K, V, VOut> + 'static,
    K: 'static,
    V: Clone + 'static,
    VOut: 'static,
{
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, VOut>),
    ) -> ReadResult {
        let mut row = None;
        let mut take = |found: RowRef<'_, V>| row = found.map(|(value, time)| (value.clone(), time));
        self.parent.read(context, key, &mut take)?;
        self.show(context, key, row, visit)
    }

    fn read_as_of(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, VOut>),
    ) -> ReadResult {
        let mut row = None;
        let mut take = |found: RowRef<'_, V>| row = found.map(|(value, time)| (value.clone(), time));
        self.parent.read_as_of(context, key, timestamp, &mut take)?;
        self.show(context, key, row, visit)
    }
}
