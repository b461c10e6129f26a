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

use super::named::null_refused;
use super::{Serde, SerdeError};
use crate::types::{Timestamp, Window, Windowed};

const TIMESTAMP: usize = size_of::<Timestamp>();
const SEQUENCE: usize = size_of::<i32>();

/// Java's `WindowedSerdes.timeWindowedSerdeFrom(inner, size)`: keys of time windows.
///
/// A `to()` with this serde for its keys chooses the partition by the inner key alone, so that all windows of a key
/// are in one partition.
#[derive(Clone, Copy, Debug)]
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
        let bytes = if self.changelog { split_last::<SEQUENCE>(bytes)?.0 } else { bytes };
        let (key, start) = split_last::<TIMESTAMP>(bytes)?;
        let start = i64::from_be_bytes(start);
        let end = start.saturating_add(size);
        if start < 0 || end <= start {
            return Err(SerdeError(format!("no time window: start {start}, end {end}")));
        }
        Ok(Windowed { key: self.inner.deserialize(Some(key))?, window: Window { start, end } })
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

    fn write<K>(&self, value: &Windowed<K>, out: &mut Vec<u8>) -> Result<(), SerdeError>
    where
        S: Serde<K>,
    {
        write_key(&self.inner, &value.key, out)?;
        out.extend_from_slice(&value.window.end.to_be_bytes());
        out.extend_from_slice(&value.window.start.to_be_bytes());
        Ok(())
    }

    fn read<K>(&self, bytes: &[u8]) -> Result<Windowed<K>, SerdeError>
    where
        S: Serde<K>,
    {
        let (bytes, start) = split_last::<TIMESTAMP>(bytes)?;
        let (key, end) = split_last::<TIMESTAMP>(bytes)?;
        let (start, end) = (i64::from_be_bytes(start), i64::from_be_bytes(end));
        if start < 0 || end < start {
            return Err(SerdeError(format!("no session: start {start}, end {end}")));
        }
        Ok(Windowed { key: self.inner.deserialize(Some(key))?, window: Window { start, end } })
    }
}

macro_rules! nullable {
    ($name:ident, $window_bytes:expr) => {
        impl<K, S: Serde<K>> Serde<Windowed<K>> for $name<S> {
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
        impl<K, S: Serde<K>> Serde<Option<Windowed<K>>> for $name<S> {
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
nullable!(TimeWindowedSerde, TIMESTAMP);
nullable!(SessionWindowedSerde, 2 * TIMESTAMP);

fn write_key<K>(inner: &impl Serde<K>, key: &K, out: &mut Vec<u8>) -> Result<(), SerdeError> {
    match inner.serialize(key, out)? {
        true => Ok(()),
        false => Err(SerdeError::new("a windowed key cannot be null")),
    }
}

fn split_last<const N: usize>(bytes: &[u8]) -> Result<(&[u8], [u8; N]), SerdeError> {
    match bytes.split_last_chunk::<N>() {
        Some((rest, last)) => Ok((rest, *last)),
        None => {
            Err(SerdeError(format!("a windowed key that ends with {} bytes instead of {N}", bytes.len())))
        }
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
        assert!(read(&[0xff; 16]).unwrap_err().to_string().starts_with("no time window: start -1"));
        assert!(read(&[0; 7]).unwrap_err().to_string().contains("7 bytes instead of 8"));
        let write_only: Result<Windowed<i64>, _> =
            TimeWindowedSerde::write_only(LongSerde).deserialize(Some(&[0; 16]));
        assert!(write_only.is_err());
    }
}
