//! Steps 5 to 7: how far a store is between its changelog and its engine. Counts updates on their way
//! (uncommitted, unflushed), keeps the changelog offset, and remembers why nothing may be committed any more.

use std::sync::Arc;

use crate::engine::identity::claim_layout;
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::serdes::{SerdeError, SerdeErrorKind};

/// Where the updates of one store are.
pub(super) struct Progress {
    store: Arc<str>,
    uncommitted: u64,
    unflushed: u64,
    offset: Option<i64>,
    flushed_offset: Option<i64>,
    broken: Option<SerdeError>,
}

impl Progress {
    /// A store whose engine reaches `offset`.
    pub(super) fn new(store: Arc<str>, offset: Option<i64>) -> Self {
        Self { store, uncommitted: 0, unflushed: 0, offset, flushed_offset: offset, broken: None }
    }

    /// A store whose rows in `engine` are laid out as `layout` says.
    pub(super) fn open(store: Arc<str>, engine: &mut dyn Engine, layout: Layout) -> Result<Self, StateError> {
        claim_layout(engine, layout)?;
        Ok(Self::new(store, engine.offset()?))
    }

    /// An update was made that a commit must keep.
    #[inline]
    pub(super) fn updated(&mut self) {
        self.uncommitted += 1;
    }

    /// An update came from the changelog: it is committed.
    pub(super) fn restored(&mut self) {
        self.unflushed += 1;
    }

    /// Everything drained is committed; the changelog reaches `offset`.
    pub(super) fn committed(&mut self, offset: Option<i64>) {
        self.unflushed += std::mem::take(&mut self.uncommitted);
        if offset.is_some() {
            debug_assert!(offset >= self.offset, "store `{}`: changelog offset goes back", self.store);
            self.offset = offset;
        }
    }

    /// The changelog offset up to which the store holds everything.
    pub(super) fn offset(&self) -> Option<i64> {
        self.offset
    }

    /// Updates that are committed and not flushed.
    pub(super) fn unflushed(&self) -> u64 {
        self.unflushed
    }

    /// Whether the engine has another offset than the store reaches.
    pub(super) fn offset_moved(&self) -> bool {
        self.offset != self.flushed_offset
    }

    /// Whether the engine does not have everything that is committed, or not the offset that it reaches.
    pub(super) fn behind(&self) -> bool {
        self.unflushed > 0 || self.offset_moved()
    }

    /// Refuses a flush while something is uncommitted: `held_back` says what else would be lost.
    pub(super) fn check_flush(&self, held_back: bool) -> Result<(), StateError> {
        if self.uncommitted == 0 && !held_back && self.broken.is_none() {
            return Ok(());
        }
        Err(StateError::Engine {
            store: self.store.to_string(),
            engine: "tier",
            message: "flush was called with uncommitted updates".to_owned(),
        })
    }

    /// The engine has everything.
    pub(super) fn flushed(&mut self) {
        self.unflushed = 0;
        self.flushed_offset = self.offset;
    }

    /// Everything was deleted.
    pub(super) fn wiped(&mut self) {
        *self = Self::new(self.store.clone(), None);
    }

    /// An error of a serde.
    #[cold]
    pub(super) fn serde_error(&self, source: impl Into<SerdeError>) -> StateError {
        StateError::Serde { store: self.store.to_string(), source: source.into() }
    }

    /// What became of writing a key: a store needs one.
    #[inline]
    pub(super) fn key_written(&self, written: Result<bool, SerdeError>) -> Result<(), StateError> {
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.serde_error(SerdeError::new("the key is null; a store needs a key"))),
            Err(source) => Err(self.serde_error(source)),
        }
    }

    /// A change was made that cannot be logged, because of `error`: from now on nothing of this store may be committed.
    #[cold]
    pub(super) fn broken(&mut self, error: StateError) -> StateError {
        let kind = error.serde().map_or(SerdeErrorKind::Record, SerdeError::kind);
        self.broken = Some(SerdeError::of(kind, format!("an earlier change could not be written: {error}")));
        error
    }

    /// An error if the changelog must not be handed over.
    pub(super) fn check_broken(&self) -> Result<(), StateError> {
        match &self.broken {
            Some(error) => Err(self.serde_error(error.clone())),
            None => Ok(()),
        }
    }
}
