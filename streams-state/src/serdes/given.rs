//! The serde type of topics and stores whose serdes were given as values.

use super::{Serde, SerdeError};

/// Stands in the type of a topic or store that was made with serdes as values, such as one that knows the address of
/// its schema registry. It is never asked itself: a topic of this type that was made without serdes fails with its first record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given;

fn missing() -> SerdeError {
    SerdeError::new("the serdes of this topic or store were never given: make it `with_serdes`")
}

impl<T> Serde<T> for Given {
    fn serialize(&self, _value: &T, _out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        Err(missing())
    }

    fn deserialize(&self, _bytes: Option<&[u8]>) -> Result<T, SerdeError> {
        Err(missing())
    }
}
