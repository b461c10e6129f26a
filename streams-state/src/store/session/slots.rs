//! The slots of the tier: found by key, loaded from the engine, measured, evicted, and swept of what is too old.

use super::*;

impl<K: 'static, V: Clone + 'static> SessionStore<K, V> {
    /// The slot has changed.
    pub(super) fn resized(&mut self, id: u32) {
        let len = self.tier.slot(id).row.as_ref().map_or(0, |(sessions, _)| sessions.heap_bytes());
        self.tier.touch(id, Some(len));
    }

    /// Takes sessions that are too old out of the tier: not more often than a walk over it costs less than the puts
    /// since the last one.
    pub(super) fn sweep(&mut self) {
        self.puts += 1;
        let live = self.segment(self.kept_from());
        if live <= self.swept || self.puts < self.tier.slots() {
            return;
        }
        if self.options.caching && self.tier.memory_bytes() <= self.options.expired_max_bytes {
            return;
        }
        (self.swept, self.puts) = (live, 0);
        let kept_from = self.kept_from();
        self.index.expire(kept_from);
        self.tier.for_each_row(|sessions| {
            sessions.expire(kept_from);
            sessions.heap_bytes()
        });
        self.tier.forget_if(|sessions| sessions.list().is_empty());
    }

    /// The slot of `key`; looks into the engine if the tier does not know. `None`: no session and no slot.
    pub(super) fn locate(&mut self, key: &K) -> Result<Option<u32>, StateError> {
        self.encode_key(key)?;
        self.locate_bytes()
    }

    /// The slot of the key in `key_bytes`.
    pub(super) fn locate_bytes(&mut self) -> Result<Option<u32>, StateError> {
        let hash = self.tier.hash(&self.key_bytes);
        match self.tier.find(hash, &self.key_bytes) {
            Some(id) => Ok(Some(id)),
            None if self.tier.may_be_in_engine(hash) => self.load(hash).map(Some),
            None => Ok(None),
        }
    }

    /// The slot of `key`, made if there is none.
    pub(super) fn locate_or_insert(&mut self, key: &K) -> Result<u32, StateError> {
        self.encode_key(key)?;
        self.locate_or_insert_bytes()
    }

    pub(super) fn locate_or_insert_bytes(&mut self) -> Result<u32, StateError> {
        let hash = self.tier.hash(&self.key_bytes);
        match self.tier.find(hash, &self.key_bytes) {
            Some(id) => Ok(id),
            None if self.tier.may_be_in_engine(hash) => self.load(hash),
            None => Ok(self.tier.insert_absent(hash, &self.key_bytes)),
        }
    }

    /// Takes the live sessions of the key in `key_bytes` from the engine into the tier, or their absence.
    #[cold]
    pub(super) fn load(&mut self, hash: u64) -> Result<u32, StateError> {
        self.meters.asks_engine();
        self.tier.make_room(());
        let kept_from = self.kept_from();
        let mut sessions = Sessions::default();
        let mut row_key = Vec::new();
        for segment in self.segments.range(self.segment(kept_from)..) {
            row_key.clear();
            layout::row_key(*segment, &self.key_bytes, &mut row_key);
            if !self.engine.get(&row_key, &mut self.value_bytes)? {
                continue;
            }
            let read = layout::read_row(&self.value_bytes, &mut |window, bytes| {
                if window.end >= kept_from {
                    sessions.set(window, Some(self.values.deserialize(Some(bytes))?), bytes.len());
                }
                Ok(())
            });
            read.map_err(|source| self.progress.serde_error(source))?;
        }
        let len = sessions.heap_bytes();
        let row = (!sessions.list().is_empty()).then_some((sessions, 0));
        Ok(self.tier.insert(hash, &self.key_bytes, row, len))
    }

    /// Serializes `key` into `key_bytes`.
    pub(super) fn encode_key(&mut self, key: &K) -> Result<(), StateError> {
        self.key_bytes.clear();
        self.progress.key_written(self.keys.serialize(key, &mut self.key_bytes))
    }
}
