//! The sessions of one key, in the order of end and start: what a slot of the tier holds.

use super::super::tier::NONE;
use crate::types::Window;

/// One session.
pub(super) struct Session<V> {
    pub(super) window: Window,
    /// The aggregate. `None` is a deletion that the cache holds back.
    pub(super) value: Option<V>,
    /// The entry of the record cache that holds the last update back, or [`NONE`].
    pub(super) cached: u32,
    /// Bytes of the serialized aggregate, 0 if it was not serialized yet.
    len: u32,
}

/// Sessions of a key.
pub(super) struct Sessions<V> {
    list: Vec<Session<V>>,
    /// Segments that the engine has differently.
    dirty: Vec<i64>,
    /// How many sessions the cache holds back.
    held: u32,
    value_bytes: usize,
}

impl<V> Default for Sessions<V> {
    fn default() -> Self {
        Self { list: Vec::new(), dirty: Vec::new(), held: 0, value_bytes: 0 }
    }
}

impl<V> Sessions<V> {
    /// The sessions in order, held-back deletions included.
    pub(super) fn list(&self) -> &[Session<V>] {
        &self.list
    }

    /// Where `window` is, or would be.
    pub(super) fn position(&self, window: Window) -> Result<usize, usize> {
        // The session that is looked for is nearly always the last one.
        let order = |window: Window| (window.end, window.start);
        match self.list.last() {
            None => Err(0),
            Some(last) if order(last.window) == order(window) => Ok(self.list.len() - 1),
            Some(last) if order(last.window) < order(window) => Err(self.list.len()),
            Some(_) => self.list.binary_search_by_key(&order(window), |session| order(session.window)),
        }
    }

    /// The session `window`.
    pub(super) fn get(&self, window: Window) -> Option<&Session<V>> {
        self.position(window).ok().and_then(|index| self.list.get(index))
    }

    /// Sets the aggregate of `window`, or (`None`) deletes it; returns the one before.
    pub(super) fn set(&mut self, window: Window, value: Option<V>, len: usize) -> Option<V> {
        match (self.position(window), value) {
            (Ok(index), Some(value)) => {
                let session = &mut self.list[index];
                self.value_bytes = self.value_bytes - session.len as usize + len;
                session.len = len as u32;
                session.value.replace(value)
            }
            (Ok(index), None) => self.remove(index),
            (Err(index), Some(value)) => {
                self.value_bytes += len;
                self.list
                    .insert(index, Session { window, value: Some(value), cached: NONE, len: len as u32 });
                None
            }
            (Err(_), None) => None,
        }
    }

    /// Sets the aggregate of `window` for the cache to hold back, deletions as well. Returns where it is and the
    /// aggregate before.
    pub(super) fn hold(&mut self, window: Window, value: Option<V>) -> (usize, Option<V>) {
        match self.position(window) {
            Ok(index) => (index, std::mem::replace(&mut self.list[index].value, value)),
            Err(index) => {
                self.list.insert(index, Session { window, value, cached: NONE, len: 0 });
                (index, None)
            }
        }
    }

    /// The cache holds the session at `index` back.
    pub(super) fn cached(&mut self, index: usize, entry: u32) {
        self.list[index].cached = entry;
        self.held += 1;
    }

    /// The cache lets go of the session at `index`.
    pub(super) fn let_go(&mut self, index: usize) {
        self.list[index].cached = NONE;
        self.held -= 1;
    }

    /// Whether the cache holds nothing back.
    pub(super) fn settled(&self) -> bool {
        self.held == 0
    }

    /// The session at `index` was serialized to `len` bytes.
    pub(super) fn measured(&mut self, index: usize, len: usize) {
        let session = &mut self.list[index];
        self.value_bytes = self.value_bytes - session.len as usize + len;
        session.len = len as u32;
    }

    /// Takes out the session at `index`; returns its aggregate.
    pub(super) fn remove(&mut self, index: usize) -> Option<V> {
        let session = self.list.remove(index);
        self.value_bytes -= session.len as usize;
        session.value
    }

    /// Takes out what ended before `kept_from`, except what the cache holds back.
    pub(super) fn expire(&mut self, kept_from: i64) {
        if self.list.first().is_none_or(|first| first.window.end >= kept_from) {
            return;
        }
        let gone = &mut self.value_bytes;
        self.list.retain(|session| {
            let stays = session.window.end >= kept_from || session.cached != NONE;
            *gone -= if stays { 0 } else { session.len as usize };
            stays
        });
    }

    /// The engine has `segment` differently.
    pub(super) fn touch(&mut self, segment: i64) {
        if !self.dirty.contains(&segment) {
            self.dirty.push(segment);
        }
    }

    /// Segments that the engine has differently.
    pub(super) fn dirty(&self) -> &[i64] {
        &self.dirty
    }

    /// The engine has everything.
    pub(super) fn flushed(&mut self) {
        self.dirty.clear();
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.list.len() * size_of::<Session<V>>() + self.value_bytes
    }
}
