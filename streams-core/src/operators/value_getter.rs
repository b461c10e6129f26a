//! Reading a table from a join: straight from its store, or through the operators between.

use std::cell::RefCell;
use std::rc::Rc;

use streams_state::error::StateError;
use streams_state::store::KeyValueStore;

/// Reads a table by key.
pub(crate) trait ValueGetter<K, V> {
    /// Shows the value of `key` to `visit`, once; `None` is no row.
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(Option<&V>)) -> Result<(), StateError>;
}

/// A getter behind its types.
pub(crate) type BoxGetter<K, V> = Box<dyn ValueGetter<K, V>>;

/// Reads a materialized table.
pub(crate) struct StoreGetter<K, V>(pub(crate) Rc<RefCell<KeyValueStore<K, V>>>);

impl<K: 'static, V: Clone + 'static> ValueGetter<K, V> for StoreGetter<K, V> {
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(Option<&V>)) -> Result<(), StateError> {
        let mut store = self.0.borrow_mut();
        visit(store.get(key)?.map(|(value, _)| value));
        Ok(())
    }
}
