//! Whether a key or value is null, at no cost for types that cannot be.

use streams_state::serdes::SerdeRef;

/// Asks the serde of `T` whether a value is null; asks nothing if no `T` can be.
pub(crate) struct NullCheck<T>(Option<SerdeRef<T>>);

impl<T: 'static> NullCheck<T> {
    /// A check by `serde`, whose contract is to refuse null for types that cannot be null.
    pub(crate) fn new(serde: &SerdeRef<T>) -> Self {
        Self(serde.deserialize(None).is_ok().then(|| serde.clone()))
    }

    /// Whether `value` is null.
    #[inline]
    pub(crate) fn is_null(&self, value: &T) -> bool {
        match &self.0 {
            None => false,
            Some(serde) => serde.is_null(value),
        }
    }
}
