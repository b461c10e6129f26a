//! How the chains of a task are built: from the sinks back, types erased only at the node boundary, once.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use streams_state::store::{GraceBuffer, StateStore, StoreOperation};
use streams_state::types::{Headers, Timestamp};

use super::failures::Handled;
use super::wrapper::{Around, Wrapped};
use super::{BoxPush, GlobalStore, Hop, Punctuation, Push, SharedStore, TaskContext};
use crate::error::{NodeResult, TaskError, TaskErrorCause};
use crate::record::{RawRecord, Record};

/// A node whose input type is not named: between the moment it is made and the moment its parent takes it.
pub struct ErasedPush {
    push: Box<dyn Any>,
    share: fn(Box<dyn Any>) -> Option<(Box<dyn Any>, Box<dyn Any>)>,
    wrap: Wrap,
}

/// Puts a wrapper around a node of one input type.
type Wrap = fn(Box<dyn Any>, Rc<RefCell<Around>>) -> Option<Box<dyn Any>>;

/// A node with several parents: one chain, entered from several sides.
struct Shared<K, V>(Rc<RefCell<BoxPush<K, V>>>);

impl<K, V> Push<K, V> for Shared<K, V> {
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        self.0.borrow_mut().push(context, record)
    }
}

impl ErasedPush {
    /// Erases the input type of a node.
    pub fn new<K: 'static, V: 'static>(push: BoxPush<K, V>) -> Self {
        Self { push: Box::new(push), share: share::<K, V>, wrap: wrap::<K, V> }
    }

    /// The node as one that takes `Record<K, V>`. `name` is for the error message.
    pub fn typed<K: 'static, V: 'static>(self, name: &str) -> NodeResult<BoxPush<K, V>> {
        match self.push.downcast::<BoxPush<K, V>>() {
            Ok(push) => Ok(*push),
            Err(_) => Err(other_records(name, std::any::type_name::<K>(), std::any::type_name::<V>())),
        }
    }

    /// The node with a wrapper around it.
    pub(super) fn wrapped(self, around: Rc<RefCell<Around>>) -> Self {
        match (self.wrap)(self.push, around) {
            Some(push) => Self { push, share: self.share, wrap: self.wrap },
            None => unreachable!("`wrap` was made for the same types as `push`"),
        }
    }

    /// A node around which the handler is asked about errors that are not decided.
    pub(crate) fn handled<K: 'static, V: 'static>(node: impl Push<K, V> + 'static) -> Self {
        Self::new::<K, V>(Box::new(Handled(node)))
    }

    /// Two handles of the same node, for a node with several parents.
    pub fn shared(self) -> (Self, Self) {
        let Self { push, share, wrap } = self;
        match share(push) {
            Some((one, two)) => (Self { push: one, share, wrap }, Self { push: two, share, wrap }),
            None => unreachable!("`share` was made for the same types as `push`"),
        }
    }
}

#[cold]
fn other_records(node: &str, key: &str, value: &str) -> Box<TaskError> {
    let cause = format!("the node does not take the records of its parent ({key}, {value})");
    Box::new(TaskError {
        task: String::new(),
        node: node.to_owned(),
        record: String::new(),
        cause: TaskErrorCause::Wiring(cause),
        undecided: false,
    })
}

fn wrap<K: 'static, V: 'static>(push: Box<dyn Any>, around: Rc<RefCell<Around>>) -> Option<Box<dyn Any>> {
    let processor: BoxPush<K, V> = *push.downcast::<BoxPush<K, V>>().ok()?;
    let wrapped: BoxPush<K, V> = Box::new(Wrapped { processor, around });
    Some(Box::new(wrapped))
}

fn share<K: 'static, V: 'static>(push: Box<dyn Any>) -> Option<(Box<dyn Any>, Box<dyn Any>)> {
    let push: BoxPush<K, V> = *push.downcast::<BoxPush<K, V>>().ok()?;
    let node = Rc::new(RefCell::new(push));
    let handle = |node: Rc<RefCell<BoxPush<K, V>>>| -> Box<dyn Any> {
        let push: BoxPush<K, V> = Box::new(Shared(node));
        Box::new(push)
    };
    Some((handle(node.clone()), handle(node)))
}

/// A child on its way to its parent.
pub struct Child {
    /// Name of the child node.
    pub name: Arc<str>,
    /// The child.
    pub push: ErasedPush,
    /// What the thread says of itself on the way there and back.
    pub hop: Hop,
}

/// A source topic's end of a source node: turns raw records into typed ones. One for each source topic.
pub trait SourceNode {
    /// Deserializes `raw` and keeps it as the head of its queue. `context.record` is the context of `raw`.
    /// Returns its timestamp (may be negative: then the caller drops it), or `None` if it was dropped here.
    fn load(
        &mut self,
        context: &mut TaskContext,
        raw: &RawRecord<'_>,
        partition_time: Timestamp,
    ) -> NodeResult<Option<Timestamp>>;

    /// Pushes the head through the topology. `context.record` is its context again.
    fn process(&mut self, context: &mut TaskContext) -> NodeResult;

    /// The head has these headers from now on.
    fn set_headers(&mut self, headers: &Headers);

    /// Forgets the head.
    fn discard(&mut self);

    /// The node reads `topic` from now on: its serdes may want to know.
    fn read_topic(&mut self, _topic: &str) {}

    /// The same source node for another topic; [`read_topic`](Self::read_topic) follows.
    fn fork(&self) -> Box<dyn SourceNode>;
}

/// What the task calls on nodes outside of records. Nodes register themselves when they are made.
pub trait Lifecycle {
    /// Once, after the stores are restored and before the first record.
    fn init(&mut self, _context: &mut TaskContext) -> NodeResult {
        Ok(())
    }

    /// A schedule of this node is due.
    fn punctuate(
        &mut self,
        _context: &mut TaskContext,
        _punctuation: Punctuation,
        _timestamp: Timestamp,
    ) -> NodeResult {
        Ok(())
    }

    /// Forward up to `max` updates that the node's cached store holds back; returns whether none is left. Before each commit, stores in
    /// registration order.
    fn flush_cache(&mut self, _context: &mut TaskContext, _max: usize) -> NodeResult<bool> {
        Ok(true)
    }

    /// Once, before the task goes away.
    fn close(&mut self, _context: &mut TaskContext) -> NodeResult {
        Ok(())
    }
}

/// A store of a task, typed and untyped at once: both sides are the same cell.
#[derive(Clone)]
pub struct StoreInstance {
    /// `Rc<RefCell<S>>` as `dyn Any`, for the nodes.
    pub typed: Rc<dyn Any>,
    /// The same cell, for the task.
    pub state: Rc<RefCell<dyn StateStore>>,
    /// The type of the store, for messages.
    pub type_name: &'static str,
    /// The same cell as the nodes of a table take it, if not as `typed`.
    face: Option<Rc<dyn Any>>,
    /// Makes a global store of it, if it may move between threads.
    share: Option<fn(Self) -> Option<GlobalStore>>,
}

impl StoreInstance {
    /// Wraps a store.
    pub fn new<S: StateStore + 'static>(store: S) -> Self {
        let cell = Rc::new(RefCell::new(store));
        let type_name = std::any::type_name::<S>();
        Self { typed: cell.clone(), state: cell, type_name, face: None, share: None }
    }

    /// Wraps a store that the nodes of its table take for what `face` makes of it.
    pub(crate) fn with_face<S: StateStore + 'static>(
        store: S,
        face: fn(Rc<RefCell<S>>) -> Rc<dyn Any>,
    ) -> Self {
        let cell = Rc::new(RefCell::new(store));
        let type_name = std::any::type_name::<S>();
        Self { typed: cell.clone(), type_name, face: Some(face(cell.clone())), state: cell, share: None }
    }

    /// Wraps a store that may become a global one: it can move between threads.
    pub fn shareable<S: StateStore + Send + 'static>(store: S) -> Self {
        Self { share: Some(GlobalStore::of::<S>), ..Self::new(store) }
    }

    /// Does `work` with the store, as one of its operations.
    pub(crate) fn measured<R>(
        &self,
        operation: StoreOperation,
        work: impl FnOnce(&mut dyn StateStore) -> R,
    ) -> R {
        let mut state = self.state.borrow_mut();
        let began = state.operation_meters().and_then(|meters| meters.begin());
        let result = work(&mut *state);
        if let Some(meters) = state.operation_meters() {
            meters.end(operation, began);
        }
        result
    }

    /// Makes a global store of it. `None` if it cannot move between threads.
    pub fn share(self) -> Option<GlobalStore> {
        self.share.and_then(|share| share(self))
    }
}

/// Given to each node's factory when a task is built.
pub struct TaskBuilder<'a> {
    /// The task's context: outbox topics are registered here.
    pub context: &'a mut TaskContext,
    /// Stores by name (`store name -> instance`), in registration order.
    pub stores: &'a [(Arc<str>, StoreInstance)],
    /// Names of the stores connected to the processor that is being made, in the order of connection.
    pub connected: Vec<Arc<str>>,
    /// Nodes that the task calls outside of records, in the order in which they were made.
    pub lifecycle: Vec<Rc<RefCell<dyn Lifecycle>>>,
    /// For each cached store, by name: the node that forwards its updates.
    pub cache_forwarders: Vec<(Arc<str>, Rc<RefCell<dyn Lifecycle>>)>,
    /// What several nodes of the task share beside stores, by the name of the node that they form together.
    pub shared: Vec<(Arc<str>, Rc<dyn Any>)>,
}

impl TaskBuilder<'_> {
    /// The store `name` of type `S`, for `node`.
    pub fn store<S: 'static>(&self, node: &str, name: &str) -> NodeResult<Rc<RefCell<S>>> {
        let Some(instance) = self.instance(name) else { return Err(self.no_store(node, "store", name)) };
        let typed = instance.typed.clone().downcast::<RefCell<S>>();
        typed.map_err(|_| self.other_type(node, "store", name, std::any::type_name::<S>()))
    }

    /// Whether an update that failed may have to be taken back: a handler may say to go on, or the record is tried again, for which
    /// it waits in such a buffer.
    pub(crate) fn may_go_on(&self) -> bool {
        let waits = |(_, store): &(Arc<str>, StoreInstance)| {
            store.typed.is::<RefCell<GraceBuffer<Vec<u8>, Vec<u8>>>>()
        };
        self.context.processing_handler.may_resume() || self.stores.iter().any(waits)
    }

    /// The store `name` as the nodes of its table take it, if that is a `T`.
    pub(crate) fn face<T: 'static>(&self, name: &str) -> Option<Rc<T>> {
        self.instance(name)?.face.clone()?.downcast().ok()
    }

    fn instance(&self, name: &str) -> Option<&StoreInstance> {
        self.stores.iter().find(|(store, _)| &**store == name).map(|(_, instance)| instance)
    }

    #[cold]
    fn no_store(&self, node: &str, what: &str, name: &str) -> Box<TaskError> {
        self.context.wiring_error(&format!("node `{node}`: there is no {what} `{name}`"))
    }

    #[cold]
    fn other_type(&self, node: &str, what: &str, name: &str, wanted: &str) -> Box<TaskError> {
        self.context.wiring_error(&format!(
            "node `{node}`: {what} `{name}` is not a {wanted}; use the same `Store` constant everywhere"
        ))
    }

    /// The `T` that the nodes called `name` share in this task; the first that asks makes it.
    pub fn shared<T: Default + 'static>(&mut self, name: &Arc<str>) -> Rc<T> {
        let known = self.shared.iter().filter(|(owner, _)| owner == name);
        if let Some(shared) = known.filter_map(|(_, shared)| shared.clone().downcast().ok()).next() {
            return shared;
        }
        let made = Rc::new(T::default());
        self.shared.push((name.clone(), made.clone()));
        made
    }

    /// The global store `name` of type `S`, for `node` to read.
    pub(crate) fn global_store<S: 'static>(&self, node: &str, name: &str) -> NodeResult<SharedStore<S>> {
        let Some(store) = self.context.globals.iter().find(|store| &**store.name() == name) else {
            return Err(self.no_store(node, "global store", name));
        };
        let typed = store.typed();
        typed.ok_or_else(|| self.other_type(node, "global store", name, std::any::type_name::<S>()))
    }

    /// Registers a node for init, punctuation and close. Returns its slot.
    pub fn register(&mut self, node: Rc<RefCell<dyn Lifecycle>>) -> usize {
        self.lifecycle.push(node);
        self.lifecycle.len() - 1
    }

    /// Registers the node that forwards the updates of cached store `store`.
    pub fn forwards_cache_of(&mut self, store: &str, node: Rc<RefCell<dyn Lifecycle>>) {
        self.cache_forwarders.push((store.into(), node));
    }
}

/// A node that is also called outside of records is a shared cell.
impl<K, V, N: Push<K, V>> Push<K, V> for Rc<RefCell<N>> {
    #[inline]
    fn push(&mut self, context: &mut TaskContext, record: Record<K, V>) -> NodeResult {
        self.borrow_mut().push(context, record)
    }
}
