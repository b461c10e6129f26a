//! The bytes of a table's change in a repartition topic, made from the serde of its values.

use std::sync::Arc;

use streams_state::format::change;
use streams_state::serdes::{Part, Serde, SerdeError, SerdeRef};
use streams_state::types::Change;

/// Writes old and new value, one or both, as Kafka Streams does. A change is never null.
pub(crate) struct ChangeSerde<V>(pub(crate) SerdeRef<V>);

impl<V: 'static> ChangeSerde<V> {
    fn bytes(&self, value: Option<&V>) -> Result<Option<Vec<u8>>, SerdeError> {
        let Some(value) = value else { return Ok(None) };
        let mut bytes = Vec::new();
        match self.0.serialize(value, &mut bytes)? {
            true => Ok(Some(bytes)),
            false => Err(SerdeError::new("a row of a table cannot be null in a repartition topic")),
        }
    }

    fn value(&self, bytes: Option<&[u8]>) -> Result<Option<V>, SerdeError> {
        bytes.map(|bytes| self.0.deserialize(Some(bytes))).transpose()
    }
}

impl<V: 'static> Serde<Change<V>> for ChangeSerde<V> {
    fn for_topic(&self, topic: &str, part: Part) -> Option<SerdeRef<Change<V>>> {
        Some(Arc::new(Self(self.0.for_topic(topic, part)?)))
    }

    fn serialize(&self, value: &Change<V>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        let (old, new) = (self.bytes(value.old.as_ref())?, self.bytes(value.new.as_ref())?);
        let change = change::Change { old: old.as_deref(), new: new.as_deref(), is_latest: value.is_latest };
        change.encode(out).map_err(|error| SerdeError::new(error.to_string()))?;
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Change<V>, SerdeError> {
        let Some(bytes) = bytes else {
            return Err(SerdeError::new("null where a change of a table is needed"));
        };
        let change = change::Change::decode(bytes).map_err(|error| SerdeError::new(error.to_string()))?;
        Ok(Change { old: self.value(change.old)?, new: self.value(change.new)?, is_latest: change.is_latest })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use streams_state::serdes::Auto;

    use super::*;

    #[test]
    fn both_values_go_in_one_record() {
        let serde = ChangeSerde::<String>(Arc::new(Auto));
        for (old, new, expected) in [
            (Some("o"), Some("nn"), &b"\x04nno\x02"[..]),
            (Some("o"), None, b"o\0"),
            (None, Some("n"), b"n\x01"),
        ] {
            let change = Change::latest(old.map(str::to_owned), new.map(str::to_owned));
            let mut bytes = Vec::new();
            assert!(serde.serialize(&change, &mut bytes).unwrap());
            assert_eq!(bytes, expected);
            assert_eq!(serde.deserialize(Some(&bytes)).unwrap(), change);
        }
        assert!(serde.deserialize(None).is_err());
        assert!(serde.serialize(&Change::latest(None, None), &mut Vec::new()).is_err());
    }
}
