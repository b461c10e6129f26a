//! Windowed keys in topics: Java's `WindowedSerdes`.
//!
//! ```text
//! time window               | key ... | start i64 |
//! time window, changelog    | key ... | start i64 | sequence i32 |     read only
//! session                   | key ... | end i64 | start i64 |
//! ```
//!
//! The end of a time window is not written: the reader knows its size. Both refuse windows that cannot be: a start
//! below 0, an end before the start, a time window without length.

use std::sync::Arc;

use super::named::null_refused;
use super::{Part, Serde, SerdeError, SerdeRef};
use crate::format::{session_key, window_key};
use crate::types::{Timestamp, Window, Windowed};

/// Keys of time windows over a serde whose type is erased.
pub type TimeWindowed<K> = TimeWindowedSerde<SerdeRef<K>>;

/// Keys of sessions over a serde whose type is erased.
pub type SessionWindowed<K> = SessionWindowedSerde<SerdeRef<K>>;

/// Java's `WindowedSerdes.timeWindowedSerdeFrom(inner, size)`: keys of time windows.
///
/// A `to()` with this serde for its keys chooses the partition by the inner key alone, so that all windows of a key
/// are in one partition.
///
/// ```
/// use streams_state::serdes::{Serde, StringSerde, TimeWindowedSerde};
/// use streams_state::types::{Window, Windowed};
///
/// let serde = TimeWindowedSerde::new(StringSerde::default(), 60_000);
/// let key = Windowed { key: "ada".to_owned(), window: Window { start: 120_000, end: 180_000 } };
/// let mut bytes = Vec::new();
/// serde.serialize(&key, &mut bytes)?;
/// assert_eq!(bytes, b"ada\0\0\0\0\0\x01\xd4\xc0");
/// let read: Windowed<String> = serde.deserialize(Some(&bytes))?;
/// assert_eq!(read, key);
/// # Ok::<(), streams_state::serdes::SerdeError>(())
/// ```
/// `default()` is [`write_only`](Self::write_only).
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeWindowedSerde<S> {
    inner: S,
    window_size: Option<i64>,
    changelog: bool,
}

impl<S> TimeWindowedSerde<S> {
    /// Keys that `inner` serves, in windows of `window_size` ms.
    pub fn new(inner: S, window_size: i64) -> Self {
        Self { inner, window_size: Some(window_size), changelog: false }
    }

    /// As [`new`](Self::new), for writing only: without a size reading is refused.
    pub fn write_only(inner: S) -> Self {
        Self { inner, window_size: None, changelog: false }
    }

    /// Java's `forChangelog`: whether the keys that are read stand in the changelog of a window store, with a
    /// sequence number. What is written has none in either case.
    #[must_use]
    pub fn for_changelog(self, changelog: bool) -> Self {
        Self { changelog, ..self }
    }

    /// The same layout around another serde.
    fn around<S2>(&self, inner: S2) -> TimeWindowedSerde<S2> {
        TimeWindowedSerde { inner, window_size: self.window_size, changelog: self.changelog }
    }

    fn write<K>(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), SerdeError>
    where
        S: Serde<K>,
    {
        write_key(&self.inner, &value.key, out)?;
        out.extend_from_slice(&value.window.start.to_be_bytes());
        Ok(())
    }

    fn read<K>(&self, bytes: &[u8]) -> Result<Windowed<K>, SerdeError>
    where
        S: Serde<K>,
    {
        let Some(size) = self.window_size else {
            return Err(SerdeError::new("a windowed key cannot be read without the size of its window"));
        };
        let (key, start) = match self.changelog {
            true => window_key::WindowKey::decode(bytes).map(|row| (row.key, row.start))?,
            false => window_key::decode_topic_key(bytes)?,
        };
        let window = window_key::time_window(start, size)?;
        Ok(Windowed { key: self.inner.deserialize(Some(key))?, window })
    }
}

/// [`TimeWindowedSerde`] for windows of `SIZE_MS` ms, as part of the type: for topics that are read, too.
///
/// ```
/// use streams_state::serdes::{Auto, Serde, SizedTimeWindowedSerde};
/// use streams_state::types::{Window, Windowed};
///
/// let serde: SizedTimeWindowedSerde<60_000, Auto> = SizedTimeWindowedSerde::default();
/// let key: Windowed<String> = serde.deserialize(Some(b"ada\0\0\0\0\0\x01\xd4\xc0"))?;
/// assert_eq!(key.window, Window { start: 120_000, end: 180_000 });
/// # Ok::<(), streams_state::serdes::SerdeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SizedTimeWindowedSerde<const SIZE_MS: i64, S> {
    inner: S,
}

impl<const SIZE_MS: i64, K: 'static, S: Serde<K> + Clone> Serde<Windowed<K>>
    for SizedTimeWindowedSerde<SIZE_MS, S>
{
    fn serialize(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        TimeWindowedSerde::new(self.inner.clone(), SIZE_MS).serialize(value, out)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Windowed<K>, SerdeError> {
        TimeWindowedSerde::new(self.inner.clone(), SIZE_MS).deserialize(bytes)
    }
    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<Windowed<K>>> {
        TimeWindowedSerde::new(self.inner.clone(), SIZE_MS).for_topic(topic, part)
    }
    fn base_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..bytes.len().saturating_sub(size_of::<Timestamp>())]
    }
}

/// Java's `WindowedSerdes.sessionWindowedSerdeFrom(inner)`: keys of sessions.
///
/// A `to()` with this serde for its keys chooses the partition by the inner key alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionWindowedSerde<S> {
    inner: S,
}

impl<S> SessionWindowedSerde<S> {
    /// Keys that `inner` serves.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The same layout around another serde.
    fn around<S2>(&self, inner: S2) -> SessionWindowedSerde<S2> {
        SessionWindowedSerde { inner }
    }

    fn write<K>(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), SerdeError>
    where
        S: Serde<K>,
    {
        write_key(&self.inner, &value.key, out)?;
        session_key::encode_suffix(value.window, out);
        Ok(())
    }

    fn read<K>(&self, bytes: &[u8]) -> Result<Windowed<K>, SerdeError>
    where
        S: Serde<K>,
    {
        let (key, window) = session_key::decode(bytes)?;
        let Window { start, end } = window;
        if start < 0 || end < start {
            return Err(SerdeError::new(format!("no session: start {start}, end {end}")));
        }
        Ok(Windowed { key: self.inner.deserialize(Some(key))?, window })
    }
}

macro_rules! nullable {
    ($name:ident, $window_bytes:expr) => {
        impl<K: 'static, S: Serde<K>> Serde<Windowed<K>> for $name<S> {
            fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<Windowed<K>>> {
                Some(Arc::new(self.around(self.inner.for_topic(topic, part)?)))
            }
            fn serialize(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
                self.write(value, out)?;
                Ok(true)
            }
            fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Windowed<K>, SerdeError> {
                self.read(
                    bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| null_refused("a windowed key"))?,
                )
            }
            fn base_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
                &bytes[..bytes.len().saturating_sub($window_bytes)]
            }
        }

        /// No bytes at all are null, as in Java.
        impl<K: 'static, S: Serde<K>> Serde<Option<Windowed<K>>> for $name<S> {
            fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<Option<Windowed<K>>>> {
                Some(Arc::new(self.around(self.inner.for_topic(topic, part)?)))
            }
            fn serialize(&self, value: &Option<Windowed<K>>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
                if let Some(value) = value {
                    self.write(value, out)?;
                }
                Ok(value.is_some())
            }
            fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Option<Windowed<K>>, SerdeError> {
                bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| self.read(bytes)).transpose()
            }
            fn is_null(&self, value: &Option<Windowed<K>>) -> bool {
                value.is_none()
            }
            fn base_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
                &bytes[..bytes.len().saturating_sub($window_bytes)]
            }
        }
    };
}
nullable!(TimeWindowedSerde, size_of::<Timestamp>());
nullable!(SessionWindowedSerde, session_key::SUFFIX_LEN);

fn write_key<K>(inner: &impl Serde<K>, key: &K, out: &mut Vec<u8>) -> Result<(), SerdeError> {
    match inner.serialize(key, out)? {
        true => Ok(()),
        false => Err(SerdeError::new("a windowed key cannot be null")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::LongSerde;
    use super::*;

    #[test]
    fn time_windows_and_sessions() {
        let key = Windowed { key: 1_i64, window: Window { start: 10, end: 30 } };
        let time = TimeWindowedSerde::new(LongSerde, 20);
        let mut bytes = Vec::new();
        time.serialize(&key, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 10]);
        let read: Windowed<i64> = time.deserialize(Some(&bytes)).unwrap();
        assert_eq!(read, key);
        assert_eq!(Serde::<Windowed<i64>>::base_key(&time, &bytes), [0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend_from_slice(&[0, 0, 0, 9]);
        let read: Windowed<i64> = time.for_changelog(true).deserialize(Some(&bytes)).unwrap();
        assert_eq!(read, key);
        bytes.clear();
        let session = SessionWindowedSerde::new(LongSerde);
        session.serialize(&key, &mut bytes).unwrap();
        assert_eq!(&bytes[8..], [0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 10]);
        let read: Windowed<i64> = session.deserialize(Some(&bytes)).unwrap();
        assert_eq!(read, key);
    }

    #[test]
    fn refuses_windows_that_cannot_be() {
        let time = TimeWindowedSerde::new(LongSerde, i64::MAX);
        let read = |bytes: &[u8]| Serde::<Option<Windowed<i64>>>::deserialize(&time, Some(bytes));
        assert_eq!(read(b"").unwrap(), None);
        assert!(read(&[0xff; 16]).unwrap_err().to_string().contains("no window of"));
        assert!(read(&[0; 7]).unwrap_err().to_string().contains("7 bytes, at least 8"));
        let write_only: Result<Windowed<i64>, _> =
            TimeWindowedSerde::write_only(LongSerde).deserialize(Some(&[0; 16]));
        assert!(write_only.is_err());
    }
}
