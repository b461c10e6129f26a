//! Serdes that are asked for by name: [`Json`] for any serde type, [`Raw`] for bytes as they are.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Serde, SerdeError, null_probe};

/// JSON text through serde, for every type, strings included. JSON `null` and Kafka's null are the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Serialize + DeserializeOwned + 'static> Serde<T> for Json {
    fn serialize(&self, value: &T, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        if null_probe::is_null(value) {
            return Ok(false);
        }
        serde_json::to_writer(out, value)
            .map_err(|error| SerdeError::new(format!("cannot write JSON: {error}")))?;
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<T, SerdeError> {
        let text = bytes.unwrap_or(b"null");
        serde_json::from_slice(text)
            .map_err(|error| SerdeError::new(format!("not the JSON expected: {error}")))
    }

    fn is_null(&self, value: &T) -> bool {
        null_probe::is_null(value)
    }
}

/// Bytes exactly as they are in Kafka.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Serde<Vec<u8>> for Raw {
    fn serialize(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<bool, SerdeError> {
        out.extend_from_slice(value);
        Ok(true)
    }

    fn deserialize(&self, bytes: Option<&[u8]>) -> Result<Vec<u8>, SerdeError> {
        bytes.map(<[u8]>::to_vec).ok_or_else(|| SerdeError::new("null where bytes were expected"))
    }
}
