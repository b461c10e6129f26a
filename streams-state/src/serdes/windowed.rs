//! Keys with a window, as Kafka Streams' `TimeWindowedSerde` writes them: the key's bytes and the start.

use super::{Serde, SerdeError, SerdeRef};
use crate::format::window_key;
use crate::types::Windowed;

/// Keys of windows of one size: key, then start, 8 bytes big-endian.
///
/// The bytes do not hold the end, so whoever reads them must give the size. In: [`Windowed<K>`] and the bytes of
/// the key's own serde; a null key, and bytes without a start, are errors.
///
/// ```
/// use std::sync::Arc;
/// use streams_state::serdes::{Auto, Serde, TimeWindowed};
/// use streams_state::types::{Window, Windowed};
///
/// let serde: TimeWindowed<String> = TimeWindowed::new(Arc::new(Auto), 60_000);
/// let key = Windowed { key: "ada".to_owned(), window: Window { start: 120_000, end: 180_000 } };
/// let mut bytes = Vec::new();
/// serde.serialize(&key, &mut bytes).unwrap();
/// assert_eq!(bytes, b"ada\0\0\0\0\0\x01\xd4\xc0");
/// assert_eq!(serde.deserialize(Some(&bytes)).unwrap(), key);
/// ```
pub struct TimeWindowed<K> {
    inner: SerdeRef<K>,
    window_size: i64,
}

impl<K> TimeWindowed<K> {
    /// For windows of `window_size` ms over keys of `inner`. `i64::MAX` reads windows without an end.
    pub fn new(inner: SerdeRef<K>, window_size: i64) -> Self {
        Self { inner, window_size }
    }
}

impl<K> Clone for TimeWindowed<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), window_size: self.window_size }
    }
}

impl<K: 'static> Serde<Windowed<K>> for TimeWindowed<K> {
    fn serialize(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if !self.inner.serialize(&value.key, out)? {
            return Err(SerdeError::new("the key of a window is null"));
        }
        out.extend_from_slice(&value.window.start.to_be_bytes());
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Windowed<K>, SerdeError> {
        let bytes = bytes.ok_or_else(|| SerdeError::new("null where a windowed key was expected"))?;
        let (key, start) = window_key::decode_topic_key(bytes)?;
        let window = window_key::time_window(start, self.window_size)?;
        Ok(Windowed { key: self.inner.deserialize(Some(key))?, window })
    }
}
