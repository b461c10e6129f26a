//! A global store: one copy for all threads of an instance.
//!
//! The store lives behind a lock. Stream threads read it there ([`GlobalStoreRef`](super::GlobalStoreRef) and its kin). The thread that feeds it has an
//! empty stand-in in its own cell, as every task has its stores; for a batch the two change places ([`Lend`]). So
//! nodes and processors that write a global store are written like all others, and other stores pay nothing for it.
//! Nobody sees the stand-in: the lock is held as long as it lies there, and a reader that finds it after a panic is
//! refused.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use streams_state::error::StateError;
use streams_state::store::StateStore;

use super::StoreInstance;

/// What the lock guards.
struct Slot<S> {
    store: S,
    /// The store is with the feeding thread; `store` is the stand-in.
    lent: bool,
}

/// A global store in the hands of whoever makes tasks. Clones are the same store.
#[derive(Clone)]
pub struct GlobalStore {
    name: Arc<str>,
    type_name: &'static str,
    /// An `Arc<Mutex<Slot<S>>>`.
    slot: Arc<dyn Any + Send + Sync>,
    lender: fn(&Self, &StoreInstance) -> Option<Box<dyn Lend>>,
}

/// Gives the store to the feeding thread's cell for the time of some work.
pub trait Lend {
    /// Runs `work` while the cell holds the store. Readers wait.
    fn lend(&self, work: &mut dyn FnMut());
}

impl GlobalStore {
    /// A store that is not shared yet. `None` if somebody else holds the instance.
    pub(super) fn of<S: StateStore + Send + 'static>(instance: StoreInstance) -> Option<Self> {
        let StoreInstance { typed, state, type_name, .. } = instance;
        let name = state.borrow().name().into();
        drop(state);
        let cell = Rc::try_unwrap(typed.downcast::<RefCell<S>>().ok()?).ok()?;
        let slot = Arc::new(Mutex::new(Slot { store: cell.into_inner(), lent: false }));
        Some(Self { name, type_name, slot: Arc::new(slot), lender: lender::<S> })
    }

    /// Name of the store.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The type of the store, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Lends the store to the cell of `stand_in`; `None` if that is a store of another type.
    pub fn lender(&self, stand_in: &StoreInstance) -> Option<Box<dyn Lend>> {
        (self.lender)(self, stand_in)
    }

    fn slot<S: 'static>(&self) -> Option<Arc<Mutex<Slot<S>>>> {
        let slot: &dyn Any = &*self.slot;
        slot.downcast_ref::<Arc<Mutex<Slot<S>>>>().cloned()
    }

    /// The store as one of type `S`.
    pub(crate) fn typed<S: 'static>(&self) -> Option<SharedStore<S>> {
        let slot = self.slot::<S>()?;
        Some(SharedStore { name: self.name.clone(), slot })
    }
}

struct Lender<S> {
    slot: Arc<Mutex<Slot<S>>>,
    cell: Rc<RefCell<S>>,
}

fn lender<S: 'static>(store: &GlobalStore, stand_in: &StoreInstance) -> Option<Box<dyn Lend>> {
    let slot = store.slot::<S>()?;
    let cell = stand_in.typed.clone().downcast::<RefCell<S>>().ok()?;
    Some(Box::new(Lender { slot, cell }))
}

impl<S> Lend for Lender<S> {
    fn lend(&self, work: &mut dyn FnMut()) {
        let mut slot = locked(&self.slot);
        slot.lent = true;
        std::mem::swap(&mut slot.store, &mut *self.cell.borrow_mut());
        work();
        std::mem::swap(&mut slot.store, &mut *self.cell.borrow_mut());
        slot.lent = false;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shared store of type `S`, to read.
pub(crate) struct SharedStore<S> {
    name: Arc<str>,
    slot: Arc<Mutex<Slot<S>>>,
}

impl<S> Clone for SharedStore<S> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), slot: self.slot.clone() }
    }
}

impl<S> SharedStore<S> {
    /// Reads the store. Must not be called while it is lent by the same thread.
    pub(crate) fn read<R>(
        &self,
        read: impl FnOnce(&mut S) -> Result<R, StateError>,
    ) -> Result<R, StateError> {
        let mut slot = locked(&self.slot);
        if slot.lent {
            return Err(StateError::Engine {
                store: self.name.to_string(),
                engine: "global store",
                message: "the thread that feeds it failed in the middle of an update".to_owned(),
            });
        }
        read(&mut slot.store)
    }
}
