//! Lists of keys or values: Java's `Serdes.ListSerde`.

use super::named::null_refused;
use super::{Serde, SerdeError};
use crate::format::list::{self, ElementSize};

/// Java's `Serdes.ListSerde(ArrayList.class, inner)`: a list whose elements `inner` reads and writes.
///
/// Elements that always have the same size (`i16`, `i32`, `i64`, `f32`, `f64`, `Uuid`) stand without lengths, all
/// others with them; both forms are [drawn here](crate::format::list). Null elements need an `Option`.
///
/// ```
/// use streams_state::serdes::{IntegerSerde, ListSerde, Serde};
///
/// let serde = ListSerde::new(IntegerSerde);
/// let mut bytes = Vec::new();
/// serde.serialize(&vec![Some(7_i32), None], &mut bytes)?;
/// assert_eq!(bytes, [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7]);
/// let list: Vec<Option<i32>> = serde.deserialize(Some(&bytes))?;
/// assert_eq!(list, [Some(7), None]);
/// # Ok::<(), streams_state::serdes::SerdeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ListSerde<S> {
    inner: S,
}

impl<S> ListSerde<S> {
    /// Lists of what `inner` serves.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    fn write<T>(&self, values: &[T], out: &mut Vec<u8>) -> Result<(), SerdeError>
    where
        S: Serde<T>,
    {
        let size = self.inner.constant_size().map_or(ElementSize::Variable, ElementSize::Constant);
        list::encode(size, values.len(), out, |index, out| self.inner.serialize(&values[index], out))
    }

    fn read<T>(&self, bytes: &[u8]) -> Result<Vec<T>, SerdeError>
    where
        S: Serde<T>,
    {
        list::decode_each(bytes, self.inner.constant_size(), |element| {
            self.inner.deserialize(element.as_deref())
        })
    }
}

impl<T, S: Serde<T>> Serde<Vec<T>> for ListSerde<S> {
    fn serialize(&self, value: &Vec<T>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        self.write(value, out)?;
        Ok(true)
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Vec<T>, SerdeError> {
        self.read(bytes.ok_or_else(|| null_refused("a list"))?)
    }
}

impl<T, S: Serde<T>> Serde<Option<Vec<T>>> for ListSerde<S> {
    fn serialize(&self, value: &Option<Vec<T>>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if let Some(value) = value {
            self.write(value, out)?;
        }
        Ok(value.is_some())
    }
    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Option<Vec<T>>, SerdeError> {
        bytes.map(|bytes| self.read(bytes)).transpose()
    }
    fn is_null(&self, value: &Option<Vec<T>>) -> bool {
        value.is_none()
    }
}
